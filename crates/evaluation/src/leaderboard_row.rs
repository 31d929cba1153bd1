use std::io::Write;

use forecastle_core::{Error, Result};
use serde::{Deserialize, Serialize};

/// Holds one model's figures; the field names are the columns of the CSV.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LeaderboardRow {
    /// The model.
    pub model: String,
    /// Bars ahead.
    pub horizon: usize,
    /// Judged rows.
    pub n: usize,
    /// Mean absolute error of the log return.
    pub mae: f64,
    /// Root of its mean squared error.
    pub rmse: f64,
    /// MAE divided by naive's MAE in the training window, or in the judged rows when no training
    /// window was given; `None` when that is 0.
    pub mase: Option<f64>,
    /// RMSE divided in the same way by naive's RMSE there.
    pub rmsse: Option<f64>,
    /// RMSE divided by naive's, which is Theil's U; `None` when that is 0.
    pub relative_rmse: Option<f64>,
    /// Share of right directions where neither the move nor the forecast is 0; `None` without any.
    pub directional_accuracy: Option<f64>,
    /// One-sided p-value of [`pesaran_timmermann`](crate::pesaran_timmermann) on rows that share no
    /// bar; `None` where moves or forecasts go one way only.
    pub pt_p: Option<f64>,
    /// Correlation of forecasts and returns; `None` when either is constant.
    pub information_coefficient: Option<f64>,
    /// Correlation of their ranks; `None` when either is constant.
    pub rank_ic: Option<f64>,
    /// Diebold-Mariano against naive (squared loss, HLN correction); negative: better than naive.
    /// `None` with too few rows for the horizon, or when it is infinite.
    pub dm_statistic: Option<f64>,
    /// Its two-sided p-value.
    pub dm_p: Option<f64>,
    /// P-value of [`model_confidence_set`](crate::model_confidence_set) over naive and all models
    /// (squared loss): small when others are better beyond chance. `None` with fewer rows than two
    /// blocks.
    pub mcs_p: Option<f64>,
}

impl LeaderboardRow {
    /// The columns, in order.
    pub const COLUMNS: [&'static str; 15] = [
        "model",
        "horizon",
        "n",
        "mae",
        "rmse",
        "mase",
        "rmsse",
        "relative_rmse",
        "directional_accuracy",
        "pt_p",
        "information_coefficient",
        "rank_ic",
        "dm_statistic",
        "dm_p",
        "mcs_p",
    ];
}

/// Writes rows as CSV with a header; numbers read back to the same bits, `None` is empty.
///
/// # Errors
/// - [`Error::Component`] when the writer fails.
pub fn write_csv(rows: &[LeaderboardRow], to: &mut impl Write) -> Result<()> {
    let mut text = LeaderboardRow::COLUMNS.join(",");
    text.push('\n');
    let optional = |value: Option<f64>| value.map_or_else(String::new, |v| v.to_string());
    for row in rows {
        let cells = [
            quoted(&row.model),
            row.horizon.to_string(),
            row.n.to_string(),
            row.mae.to_string(),
            row.rmse.to_string(),
            optional(row.mase),
            optional(row.rmsse),
            optional(row.relative_rmse),
            optional(row.directional_accuracy),
            optional(row.pt_p),
            optional(row.information_coefficient),
            optional(row.rank_ic),
            optional(row.dm_statistic),
            optional(row.dm_p),
            optional(row.mcs_p),
        ];
        text.push_str(&cells.join(","));
        text.push('\n');
    }
    to.write_all(text.as_bytes()).map_err(|e| Error::component("leaderboard file", e))
}

/// A CSV cell, in quotes where RFC 4180 asks for them.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}
