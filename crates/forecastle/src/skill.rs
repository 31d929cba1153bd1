use forecastle_core::Result;
use forecastle_ensemble::MetaModel;
use forecastle_evaluation::{Leaderboard, LeaderboardRow, NAIVE};
use ndarray::{ArrayRef1, s};
use serde::{Deserialize, Serialize};

use crate::PipelineConfig;

/// The ensemble's name among the models.
pub(crate) const ENSEMBLE: &str = "ensemble";

/// States a model's weight in the ensemble and its skill out of fold, beside naive.
///
/// Errors are of log returns over the horizon. The ensemble's are made with the weights known at
/// the time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ModelSummary {
    /// The model: `naive`, a base, or `ensemble`.
    pub model: String,
    /// Weight in the ensemble; `None` for the ensemble itself.
    pub weight: Option<f64>,
    /// What speaks under this name.
    pub engine: String,
    /// Rows judged; the same for all.
    pub n: usize,
    /// Mean absolute error.
    pub mae: f64,
    /// Root mean squared error.
    pub rmse: f64,
    /// Mean absolute error over that of naive on the rows before; `None` when that is 0.
    pub mase: Option<f64>,
    /// RMSE over that of naive; `None` when that is 0.
    pub relative_rmse: Option<f64>,
    /// Share of moves whose sign was forecast; `None` without any, as for naive.
    pub directional_accuracy: Option<f64>,
    /// Diebold-Mariano statistic against naive; negative is better than naive.
    pub dm_statistic: Option<f64>,
    /// Its two-sided p-value.
    pub dm_p: Option<f64>,
}

/// Naive, every base and the ensemble on the out-of-fold rows that all of them forecast.
pub(crate) fn summaries(
    config: &PipelineConfig,
    meta: &MetaModel,
    targets: &ArrayRef1<f64>,
) -> Result<Vec<ModelSummary>> {
    let table = meta.out_of_fold();
    let before = targets.slice(s![..table.rows().start.saturating_sub(config.horizon)]);
    let mut board = Leaderboard::new(config.horizon, table.targets())?.with_training(&before)?;
    for (name, column) in table.names().iter().zip(table.predictions().columns()) {
        board.add(name, &column)?;
    }
    let sequential = meta.sequential();
    // Without weights at the time there is no ensemble to judge.
    if sequential.iter().any(|v| v.is_finite()) {
        board.add(ENSEMBLE, &sequential)?;
    }
    let summarise = |row: LeaderboardRow| {
        let base = table.names().iter().position(|name| *name == row.model);
        let (weight, engine) = match base {
            Some(i) => {
                let engine = config.models.get(i).map(|kind| kind.engine(config));
                (meta.weights().get(i).copied(), engine.unwrap_or_default())
            }
            None if row.model == NAIVE => (Some(meta.naive_weight()), "the price stays".into()),
            None => (None, "stacked out of fold, weights known at the time".into()),
        };
        ModelSummary {
            weight,
            engine,
            model: row.model,
            n: row.n,
            mae: row.mae,
            rmse: row.rmse,
            mase: row.mase,
            relative_rmse: row.relative_rmse,
            directional_accuracy: row.directional_accuracy,
            dm_statistic: row.dm_statistic,
            dm_p: row.dm_p,
        }
    };
    Ok(board.rows()?.into_iter().map(summarise).collect())
}
