use std::str::FromStr;

use forecastle::backtest::{BacktestParams, RandomEntryParams};
use forecastle::core::{Symbol, Timeframe};
use forecastle::{Error, PipelineConfig, Result, TradingParams, WalkForwardParams};
use serde::{Deserialize, Serialize};

/// Says what the functions compute; in SQL a literal string of JSON. Absent keys keep their defaults, unknown
/// ones are refused.
///
/// ```
/// use forecastle_datafusion::Options;
///
/// let options: Options = r#"{"timeframe": "1h", "pipeline": {"models": ["ridge", "kalman"]}}"#.parse()?;
/// assert_eq!(options.pipeline.models.len(), 2);
/// assert!(r#"{"horizon": 5}"#.parse::<Options>().is_err());
/// # Ok::<(), forecastle::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// What the candles are called in reports; nothing is computed from it but whether they are simulated.
    pub symbol: Option<Symbol>,
    /// How long each candle lasts; the most frequent step where absent.
    pub timeframe: Option<Timeframe>,
    /// The last so many candles of each group; all of them where absent.
    pub limit: Option<usize>,
    /// The pipeline.
    pub pipeline: PipelineConfig,
    /// How `leaderboard` and `backtest` walk forward.
    pub walk_forward: WalkForwardParams,
    /// How `backtest` turns rows into decisions.
    pub trading: TradingParams,
    /// Costs and sizes of `backtest`.
    pub backtest: BacktestParams,
    /// Random entries beside each strategy.
    pub random_entries: RandomEntryParams,
}

/// Reads JSON.
impl FromStr for Options {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let options: Self =
            serde_json::from_str(text).map_err(|e| Error::component("options", e))?;
        if options.limit == Some(0) {
            return Err(Error::invalid_parameter("limit", ">= 1", 0));
        }
        Ok(options)
    }
}
