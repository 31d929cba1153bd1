use std::collections::{HashMap, VecDeque};
use std::fmt;

use forecastle_core::{CandleSeries, Timestamp};
use serde::{Deserialize, Serialize};

use crate::learned::PastRow;

/// States how two ensembles did on the same recent rows, none of which they had learnt from when they
/// forecast them.
///
/// The one that served is judged by what it said live, the one that takes over by what its models,
/// fitted on earlier rows alone, say of the same bars out of fold.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RecentSkill {
    /// Rows judged.
    pub rows: usize,
    /// RMSE of log returns of the ensemble that served, over that of naive; `None` where naive made no
    /// error.
    pub before: Option<f64>,
    /// The same of the ensemble that takes over.
    pub after: Option<f64>,
}

/// Records that refitted models took over.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Swap {
    /// Open time of the last candle that the models before served.
    pub served_until: Option<Timestamp>,
    /// Open time of the last candle that the new models know.
    pub fitted_until: Option<Timestamp>,
    /// Candles taken between that one and the take-over.
    pub behind: u64,
    /// Both models' skill on recent rows; `None` where they share none whose outcome is known.
    pub skill: Option<RecentSkill>,
}

impl fmt::Display for Swap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("models refitted")?;
        if let Some(until) = self.fitted_until {
            write!(f, " until {until}")?;
        }
        if let Some(RecentSkill { rows, before: Some(before), after: Some(after), .. }) = self.skill
        {
            write!(
                f,
                "; RMSE on {rows} recent rows {before:.4} of naive before, {after:.4} after"
            )?;
        }
        Ok(())
    }
}

/// What an ensemble said when a candle closed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Told {
    pub(crate) open_time: Timestamp,
    pub(crate) close: f64,
    pub(crate) ensemble: f64,
}

/// Compares two ensembles on the rows that both forecast and whose outcome the candles know.
pub(crate) fn recent_skill(
    candles: &CandleSeries,
    horizon: usize,
    served: &VecDeque<Told>,
    refitted: &[PastRow],
) -> Option<RecentSkill> {
    let (times, closes) = (candles.view().open_time(), candles.view().close());
    let served: HashMap<Timestamp, Told> =
        served.iter().map(|told| (told.open_time, *told)).collect();
    let (mut rows, mut naive, mut before, mut after) = (0_usize, 0.0, 0.0, 0.0);
    for row in refitted {
        let Some(told) = served.get(&row.open_time).filter(|told| told.close == row.close) else {
            continue;
        };
        let (Some(theirs), Ok(t)) = (row.forecast.ensemble, times.binary_search(&row.open_time))
        else {
            continue;
        };
        let Some(then) = t.checked_add(horizon).and_then(|t| closes.get(t)) else {
            continue;
        };
        let error = |price: f64| (then / price).ln().powi(2);
        rows += 1;
        naive += error(row.close);
        before += error(told.ensemble);
        after += error(theirs);
    }
    let relative = |sum: f64| Some((sum / naive).sqrt()).filter(|ratio| ratio.is_finite());
    (rows > 0).then(|| RecentSkill { rows, before: relative(before), after: relative(after) })
}
