//! The leaderboard of many series as a page of Markdown.

use std::fmt::Write as _;

use anyhow::Result;
use forecastle::IntervalSummary;
use forecastle::evaluation::{LeaderboardRow, NAIVE, ReliabilityTable};

/// Size of the Model Confidence Set: what has a p-value below it is out.
const SIZE: f64 = 0.1;
/// Where a Diebold-Mariano test calls a difference significant.
const SIGNIFICANT: f64 = 0.05;
const ENSEMBLE: &str = "ensemble";

/// One series at one horizon.
pub(crate) struct CellOfBoard {
    pub(crate) series: String,
    pub(crate) horizon: usize,
    pub(crate) rows: Vec<LeaderboardRow>,
    pub(crate) interval: Option<IntervalSummary>,
    pub(crate) reliability: Option<ReliabilityTable>,
}

impl CellOfBoard {
    fn ensemble(&self) -> Option<&LeaderboardRow> {
        self.rows.iter().find(|row| row.model == ENSEMBLE)
    }

    fn ensemble_is_worse(&self) -> bool {
        self.ensemble().is_some_and(is_worse)
    }

    fn ensemble_is_out(&self) -> bool {
        self.ensemble().is_some_and(|row| row.mcs_p.is_some_and(|p| p < SIZE))
    }
}

fn is_worse(row: &LeaderboardRow) -> bool {
    row.dm_statistic.is_some_and(|dm| dm > 0.0) && row.dm_p.is_some_and(|p| p < SIGNIFICANT)
}

fn is_better(row: &LeaderboardRow) -> bool {
    row.dm_statistic.is_some_and(|dm| dm < 0.0) && row.dm_p.is_some_and(|p| p < SIGNIFICANT)
}

/// What all cells together say, in a few lines.
pub(crate) fn verdicts(cells: &[CellOfBoard]) -> String {
    let named = |cells: Vec<&CellOfBoard>| -> String {
        let names: Vec<String> =
            cells.iter().map(|cell| format!("{} at {}", cell.series, cell.horizon)).collect();
        if names.is_empty() { String::new() } else { format!(": {}", names.join(", ")) }
    };
    let worse: Vec<&CellOfBoard> = cells.iter().filter(|c| c.ensemble_is_worse()).collect();
    let better = cells.iter().filter(|c| c.ensemble().is_some_and(is_better)).count();
    let out: Vec<&CellOfBoard> = cells.iter().filter(|c| c.ensemble_is_out()).collect();
    format!(
        "cells: {}\nensemble significantly better than naive (Diebold-Mariano, 5 %): {better}\n\
         ensemble significantly worse than naive: {}{}\n\
         ensemble outside the Model Confidence Set (10 %): {}{}\n",
        cells.len(),
        worse.len(),
        named(worse),
        out.len(),
        named(out),
    )
}

/// The whole page.
pub(crate) fn page(cells: &[CellOfBoard], command: &str) -> Result<String> {
    let mut text = format!(
        "# The whole leaderboard\n\nMade by one command; do not edit by hand.\n\n```\n{command}\n```\n\n\
         Every fit knows the candles before its block alone; figures are of the second half of each \
         series, out of sample. RMSE of log returns over that of \"the price stays where it is\": \
         below 1 is better. **Bold**: in the Model Confidence Set (10 %, Hansen, Lunde and Nason), \
         which cannot be told from the best. `+` significantly better than naive, `-` significantly \
         worse (Diebold-Mariano with the HLN correction, 5 %). \"naive\" has the p-value of naive's own \
         place in that set: where it is large, nothing here has been shown to beat it.\n\n"
    );
    let models: Vec<&str> = cells.first().map_or_else(Vec::new, |cell| {
        cell.rows.iter().map(|row| row.model.as_str()).filter(|name| *name != NAIVE).collect()
    });
    let _ = write!(text, "| series | bars | rows | naive, p |");
    for model in &models {
        let _ = write!(text, " {model} |");
    }
    let _ = writeln!(text, " DM | p | p in the set | interval held | width |");
    let _ = writeln!(text, "|---|---|---|---|{}---|---|---|---|---|", "---|".repeat(models.len()));
    for cell in cells {
        let of = |name: &str| cell.rows.iter().find(|row| row.model == name);
        let n = cell.rows.first().map_or(0, |row| row.n);
        let naive = number(of(NAIVE).and_then(|row| row.mcs_p), 2);
        let _ = write!(text, "| {} | {} | {n} | {naive} |", cell.series, cell.horizon);
        for model in &models {
            let _ = write!(text, " {} |", of(model).map_or_else(String::new, skill));
        }
        let ensemble = cell.ensemble();
        let _ = write!(
            text,
            " {} | {} | {} |",
            ensemble.and_then(|row| row.dm_statistic).map_or_else(dash, |v| format!("{v:+.2}")),
            number(ensemble.and_then(|row| row.dm_p), 3),
            number(ensemble.and_then(|row| row.mcs_p), 2),
        );
        let held = cell.interval.map_or_else(dash, |i| percent(i.realised_coverage, 1));
        let width = cell.interval.map_or_else(dash, |i| percent(i.mean_width, 2));
        let _ = writeln!(text, " {held} | {width} |");
    }
    let _ = write!(
        text,
        "\nDM, p and \"p in the set\" are the ensemble's. The interval asks for {}.\n\n```text\n{}```\n",
        cells.iter().find_map(|c| c.interval).map_or_else(dash, |i| percent(i.level, 0)),
        verdicts(cells)
    );
    text.push_str(&confidence(cells)?);
    Ok(text)
}

/// What became of the confidence, all cells together.
fn confidence(cells: &[CellOfBoard]) -> Result<String> {
    let mut merged: Option<ReliabilityTable> = None;
    for table in cells.iter().filter_map(|cell| cell.reliability.as_ref()) {
        match &mut merged {
            None => merged = Some(table.clone()),
            Some(all) => all.merge(table)?,
        }
    }
    let Some(merged) = merged else {
        return Ok(String::new());
    };
    let mut text =
        "\n## Confidence\n\n`ensemble_confidence` over all cells, by what was told; a forecast \
                    that repeats the last price has no direction and so no confidence.\n\n\
                    | told | mean | came true | standard error | rows |\n|---|---|---|---|---|\n"
            .to_owned();
    for bin in merged.rows().iter().filter(|bin| bin.n > 0) {
        let share = |value: Option<f64>| value.map_or_else(dash, |v| percent(v, 1));
        let _ = writeln!(
            text,
            "| {} to {} | {} | {} | {} | {} |",
            percent(bin.lower, 0),
            percent(bin.upper, 0),
            share(bin.mean_forecast),
            share(bin.observed),
            share(bin.standard_error),
            bin.n
        );
    }
    Ok(text)
}

fn skill(row: &LeaderboardRow) -> String {
    let Some(ratio) = row.relative_rmse else {
        return dash();
    };
    let mark = if is_better(row) {
        "+"
    } else if is_worse(row) {
        "-"
    } else {
        ""
    };
    let inside = row.mcs_p.is_some_and(|p| p >= SIZE);
    if inside { format!("**{ratio:.4}**{mark}") } else { format!("{ratio:.4}{mark}") }
}

fn number(value: Option<f64>, decimals: usize) -> String {
    value.map_or_else(dash, |v| format!("{v:.decimals$}"))
}

fn percent(share: f64, decimals: usize) -> String {
    format!("{:.decimals$} %", 100.0 * share)
}

fn dash() -> String {
    "–".to_owned()
}
