use std::fmt::Write as _;

use forecastle_core::{RepairReport, Signal};
use forecastle_evaluation::{ReliabilityRow, ReliabilityTable};
use forecastle_features::Indicator;
use forecastle_models_tree::Explanation;

use crate::text_table::{Layout, dash, figure, finish, number, optional, percent, table};
use crate::{ForecastRow, Record, Report, RowSelection, RunInfo, TableRow};

/// Features that an explanation names one by one.
const EXPLAINED: usize = 12;

impl Report {
    /// The report as text for a terminal: for the last row the three sections of the table with
    /// every model beside naive, for all rows a line each.
    pub fn to_screen(&self, selection: RowSelection) -> String {
        let mut text = header(&self.run);
        match (selection, self.forecast()) {
            (_, None) => text.push_str("\nno candles, no forecast\n"),
            (RowSelection::Last, Some(row)) => {
                text.push_str(&structure(&row));
                text.push_str(&signal(&row));
                text.push_str(&forecast(&self.run, &row));
            }
            (RowSelection::All, Some(_)) => {
                text.push_str(&lines(self));
                text.push_str(&models(&self.run, None));
            }
        }
        if let Some(explanation) = &self.run.explanation {
            text.push_str(&why(explanation));
        }
        for warning in &self.run.warnings {
            let _ = write!(text, "\nWARNING: {warning}\n");
        }
        text
    }
}

fn header(run: &RunInfo) -> String {
    let mut text = format!("Forecastle {}: {} {}", run.version, run.symbol, run.timeframe);
    let _ = write!(text, ", {} candles", run.rows);
    if let (Some(first), Some(last)) = (run.first_open_time, run.last_open_time) {
        let _ = write!(text, ", {first} to {last}");
    }
    if let Some(source) = &run.source {
        let _ = write!(text, ", {source}");
    }
    let _ = write!(text, "\nhorizon {} bars, VWAP {}, seed {}", run.horizon, run.vwap, run.seed);
    if let Some(input) = &run.input {
        let _ = write!(text, "\ninput: {}", repairs(input));
    }
    text.push('\n');
    text
}

/// What was repaired, in words; zeros are left out.
fn repairs(report: &RepairReport) -> String {
    let counts = [
        (report.duplicates, "duplicates dropped"),
        (report.dropped, "invalid rows dropped"),
        (report.volume_repaired, "volumes set to 0"),
        (report.out_of_order, "rows out of order"),
        (report.unclosed, "unclosed candles dropped"),
    ];
    let mut parts = vec![format!("{} rows read", report.rows_in)];
    parts.extend(counts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")));
    if !report.is_repaired() {
        parts.push("nothing repaired".into());
    }
    if report.gaps > 0 {
        parts.push(format!(
            "{} gaps with {} missing candles (not filled)",
            report.gaps, report.missing
        ));
    }
    parts.join(", ")
}

fn structure(row: &TableRow) -> String {
    let candle = &row.structure.candle;
    let mut text = format!("\nMARKET STRUCTURE at {}\n", candle.open_time());
    text.push_str(&row.structure.forecast_text.to_string());
    text.push('\n');
    let value = |indicator: Indicator| number(row.structure.indicators[indicator.index()]);
    let state = row.structure.state;
    let regime = state.map_or_else(dash, |s| s.regime.to_string());
    let direction = state.map_or_else(dash, |s| s.direction.to_string());
    let rows = [
        [
            ("open", number(candle.open())),
            ("vwap", value(Indicator::Vwap)),
            ("sma_5", value(Indicator::Sma5)),
            ("lag 1", value(Indicator::CloseLag1)),
        ],
        [
            ("high", number(candle.high())),
            ("sigma", value(Indicator::VwapSigma)),
            ("sma_20", value(Indicator::Sma20)),
            ("lag 2", value(Indicator::CloseLag2)),
        ],
        [
            ("low", number(candle.low())),
            ("upper 2", value(Indicator::VwapUpper2)),
            ("std_5", value(Indicator::Std5)),
            ("lag 3", value(Indicator::CloseLag3)),
        ],
        [
            ("close", number(candle.close())),
            ("upper 1", value(Indicator::VwapUpper1)),
            ("std_20", value(Indicator::Std20)),
            ("lag 5", value(Indicator::CloseLag5)),
        ],
        [
            ("volume", number(candle.volume())),
            ("lower 1", value(Indicator::VwapLower1)),
            ("atr_14", value(Indicator::Atr14)),
            ("lag 10", value(Indicator::CloseLag10)),
        ],
        [
            ("typical", value(Indicator::TypicalPrice)),
            ("lower 2", value(Indicator::VwapLower2)),
            ("momentum_5", value(Indicator::Momentum5)),
            ("lag 20", value(Indicator::CloseLag20)),
        ],
        [
            ("regime", regime),
            ("z", value(Indicator::VwapZ)),
            ("momentum_10", value(Indicator::Momentum10)),
            ("direction", direction),
        ],
    ];
    let mut table = table(&["candle", "", "VWAP", "", "indicators", "", "closes", ""]);
    for row in rows {
        table.add_row(row.into_iter().flat_map(|(name, value)| [name.to_owned(), value]));
    }
    text.push_str(&finish(table, Layout::Pairs));
    text
}

fn signal(row: &TableRow) -> String {
    let rules = &row.structure.rules;
    let valid = |flag: bool| if flag { "valid" } else { "not valid" };
    let trades = rules.signal != Signal::Hold;
    let mut text = format!("\nSIGNAL {}", rules.signal);
    let _ = match &row.guard {
        Some(reason) => writeln!(text, ": held by a guard, {reason}"),
        None if trades => writeln!(text, ", confidence {:.2}", rules.rule_confidence),
        None => writeln!(text, ": the rules do nothing here"),
    };
    let note = |level: Option<f64>, flag: bool| match level {
        Some(level) if trades => format!("{} ({})", number(level), valid(flag)),
        _ => dash(),
    };
    let mut table = table(&["target", "price", "trade", ""]);
    table.add_row([
        "ATR",
        &optional(rules.atr_target),
        "stop loss",
        &note(rules.stop_loss, rules.stop_valid),
    ]);
    table.add_row([
        "VWAP",
        &optional(rules.vwap_target),
        "take profit",
        &note(rules.take_profit, rules.take_profit_valid),
    ]);
    table.add_row([
        "linear regression",
        &optional(rules.linreg_target),
        "reward : risk",
        &figure(rules.reward_risk, |r| format!("{r:.2}")),
    ]);
    table.add_row(["blended", &optional(rules.blended_target), "", ""]);
    text.push_str(&finish(table, Layout::Pairs));
    text
}

fn forecast(run: &RunInfo, row: &TableRow) -> String {
    let ForecastRow { ensemble, ensemble_lower, ensemble_upper, ensemble_confidence, .. } =
        row.forecast;
    let close = row.structure.candle.close();
    let mut text = format!("\nML FORECAST: price {} bars ahead\n", run.horizon);
    if let Some(ensemble) = ensemble {
        let _ = write!(text, "ensemble {} ({})", number(ensemble), percent(ensemble / close - 1.0));
        if let (Some(interval), Some(lower), Some(upper)) =
            (run.interval, ensemble_lower, ensemble_upper)
        {
            let _ = write!(
                text,
                ", {:.0} % interval {} to {} (realised coverage {:.1} % on {} rows, mean width {:.2} %)",
                100.0 * interval.level,
                number(lower),
                number(upper),
                100.0 * interval.realised_coverage,
                interval.n,
                100.0 * interval.mean_width,
            );
        }
        if let Some(confidence) = ensemble_confidence {
            let _ = write!(text, ", probability of its direction {:.1} %", 100.0 * confidence);
        }
        text.push('\n');
    }
    text.push_str(&models(run, Some(row)));
    if !run.reliability.is_empty() {
        text.push_str(&reliability_text(&run.reliability));
        text.push_str(
            "probability of the ensemble's direction, out of fold: told, and come true\n",
        );
    }
    text
}

/// The bins in which something was told.
pub(crate) fn told_rows(reliability: &ReliabilityTable) -> Vec<ReliabilityRow> {
    reliability.rows().into_iter().filter(|bin| bin.n > 0).collect()
}

/// What was told and what came true, a line a bin of the confidence.
pub(crate) fn reliability_text(reliability: &[ReliabilityRow]) -> String {
    let mut rows = table(&["confidence", "told", "came true", "standard error", "rows"]);
    for bin in reliability {
        rows.add_row([
            format!("{:.0} to {:.0} %", 100.0 * bin.lower, 100.0 * bin.upper),
            figure(bin.mean_forecast, |v| format!("{:.1} %", 100.0 * v)),
            figure(bin.observed, |v| format!("{:.1} %", 100.0 * v)),
            figure(bin.standard_error, |v| format!("{:.1} %", 100.0 * v)),
            bin.n.to_string(),
        ]);
    }
    finish(rows, Layout::Ledger)
}

/// The features that moved the forecast most, then the others together.
fn why(explanation: &Explanation) -> String {
    let Explanation { base, prediction, contributions, .. } = explanation;
    let mut text = format!(
        "\nWHY boosting forecasts {}: exact SHAP values, a log return each\n",
        percent(prediction.exp_m1())
    );
    let share = |value: f64| format!("{:+.3} %", 100.0 * value);
    let mut rows = table(&["feature", "value", "contribution"]);
    rows.add_row([
        "the mean forecast of the training rows".to_owned(),
        String::new(),
        share(*base),
    ]);
    let (shown, others) = contributions.split_at(contributions.len().min(EXPLAINED));
    for part in shown {
        rows.add_row([part.feature.clone(), number(part.value), share(part.contribution)]);
    }
    if !others.is_empty() {
        let rest = others.iter().map(|part| part.contribution).sum();
        rows.add_row([format!("{} others", others.len()), String::new(), share(rest)]);
    }
    rows.add_row(["forecast".to_owned(), String::new(), share(*prediction)]);
    let _ = write!(text, "{}", finish(rows, Layout::Ledger));
    text
}

/// Every model beside naive, and why columns are empty.
fn models(run: &RunInfo, row: Option<&TableRow>) -> String {
    let mut text = String::new();
    if !run.models.is_empty() {
        let mut table = table(&[
            "model",
            "forecast",
            "move",
            "weight",
            "RMSE",
            "vs naive",
            "MASE",
            "direction",
            "DM",
            "p",
            "rows",
        ]);
        for model in &run.models {
            let (forecast, change) = match row {
                Some(row) => named_forecast(row, &model.model),
                None => (dash(), dash()),
            };
            table.add_row([
                model.model.clone(),
                forecast,
                change,
                figure(model.weight, |w| format!("{w:.3}")),
                format!("{:.6}", model.rmse),
                figure(model.relative_rmse, |v| format!("{v:.4}")),
                figure(model.mase, |v| format!("{v:.4}")),
                figure(model.directional_accuracy, |v| format!("{:.1} %", 100.0 * v)),
                figure(model.dm_statistic, |v| format!("{v:+.2}")),
                figure(model.dm_p, |v| format!("{v:.3}")),
                model.n.to_string(),
            ]);
        }
        text.push_str(&finish(table, Layout::Ledger));
        text.push_str(
            "out of fold, errors of log returns; vs naive: RMSE over that of \"the price stays \
             where it is\"; DM < 0: better than naive\n",
        );
    }
    if let Some(boosting) = run.models.iter().find(|m| m.model == "boosting") {
        let _ = writeln!(text, "boosting by {}", boosting.engine);
    }
    for skipped in &run.skipped {
        let _ = writeln!(text, "no {}: {}", skipped.model, skipped.reason);
    }
    text
}

fn named_forecast(row: &TableRow, name: &str) -> (String, String) {
    let close = row.structure.candle.close();
    let mut price = (name == "naive").then_some(close);
    row.forecast.visit(&mut |column, cell| {
        if let (true, crate::Cell::Float(value)) = (column == name, cell) {
            price = Some(value);
        }
    });
    (optional(price), price.map_or_else(dash, |p| percent(p / close - 1.0)))
}

fn lines(report: &Report) -> String {
    let mut table = table(&[
        "open time",
        "close",
        "vwap",
        "z",
        "regime",
        "signal",
        "stop",
        "blended",
        "ensemble",
        "lower",
        "upper",
    ]);
    for row in report.rows() {
        let value = |indicator: Indicator| row.structure.indicators[indicator.index()];
        table.add_row([
            row.structure.candle.open_time().to_string(),
            number(row.structure.candle.close()),
            number(value(Indicator::Vwap)),
            figure(Some(value(Indicator::VwapZ)).filter(|z| z.is_finite()), |z| format!("{z:+.2}")),
            row.structure.state.map_or_else(dash, |s| s.regime.to_string()),
            row.structure.rules.signal.to_string(),
            optional(row.structure.rules.stop_loss),
            optional(row.structure.rules.blended_target),
            optional(row.forecast.ensemble),
            optional(row.forecast.ensemble_lower),
            optional(row.forecast.ensemble_upper),
        ]);
    }
    format!("\n{}", finish(table, Layout::Ledger))
}
