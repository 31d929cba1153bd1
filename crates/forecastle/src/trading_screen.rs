use std::fmt::Write as _;

use crate::Traded;
use crate::text_table::{Layout, dash, figure, finish, number, percent, table};

/// Strategies side by side, and what to think of them, as text for a terminal.
///
/// Buy-and-hold stands below them, and each strategy beside its own trades at random times.
pub fn trading_screen(traded: &[Traded]) -> String {
    let mut rows = table(&[
        "strategy",
        "trades",
        "return",
        "CAGR",
        "Sharpe",
        "Sortino",
        "max drawdown",
        "Calmar",
        "hit rate",
        "profit factor",
        "turnover",
        "exposure",
        "gross",
        "costs",
    ]);
    let share = |value: Option<f64>| figure(value, |v| format!("{:.1} %", 100.0 * v));
    let ratio = |value: Option<f64>| figure(value, |v| format!("{v:.2}"));
    let hold = traded.first().map(|first| ("buy and hold", &first.beside.buy_and_hold));
    let strategies = traded.iter().map(|t| (t.strategy.as_str(), &t.beside.strategy));
    for (name, figures) in strategies.chain(hold) {
        rows.add_row([
            name.to_owned(),
            figures.n_trades.to_string(),
            percent(figures.total_return),
            figure(figures.cagr, percent),
            ratio(figures.sharpe),
            ratio(figures.sortino),
            share(Some(figures.max_drawdown)),
            ratio(figures.calmar),
            share(figures.hit_rate),
            ratio(figures.profit_factor),
            ratio(figures.turnover),
            share(figures.exposure),
            number(figures.gross),
            number(figures.costs),
        ]);
    }
    let mut text = finish(rows, Layout::Ledger);
    text.push_str("\nIS IT LUCK?\n");
    let mut rows = table(&[
        "strategy",
        "P(Sharpe > 0)",
        "deflated",
        "trials",
        "track record needed",
        "bars",
        "beats random entries",
        "random, median",
    ]);
    for Traded { strategy, beside, .. } in traded {
        let figures = &beside.strategy;
        let random = beside.random_entry.as_ref();
        rows.add_row([
            strategy.to_string(),
            share(figures.probabilistic_sharpe),
            share(figures.deflated_sharpe),
            figures.n_trials.to_string(),
            figure(figures.minimum_track_record, |bars| format!("{:.0}", bars.ceil())),
            figures.n_bars.to_string(),
            random.map_or_else(dash, |r| format!("{:.0} % of {}", 100.0 * r.beaten, r.n_runs)),
            random.map_or_else(dash, |r| percent(r.median_return)),
        ]);
    }
    text.push_str(&finish(rows, Layout::Ledger));
    text.push_str(
        "deflated: the probability that the Sharpe ratio is more than the luck of the best of the \
         strategies tried here\n",
    );
    for Traded { strategy, beside, .. } in traded {
        for warning in &beside.strategy.warnings {
            let _ = writeln!(text, "WARNING: {strategy}: {warning}");
        }
    }
    text
}
