use forecastle_core::{Error, Result};
use serde::{Deserialize, Serialize};

/// Says what becomes of a candle that a [`LivePipeline`](crate::LivePipeline) cannot take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Irregular {
    /// An [`Error::OutOfOrder`]; nothing changes.
    #[default]
    Refuse,
    /// It is passed over and counted; nothing else changes.
    Skip,
}

/// Says what becomes of a candle with candles missing before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapPolicy {
    /// It is taken, and the gap counted: markets without trades have no candles.
    #[default]
    Count,
    /// An [`Error::OutOfOrder`]; nothing changes, so that the missing candles can be brought first.
    Refuse,
}

/// Says from which candle on a refitted model serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Handover {
    /// From the candle after the one with which it is found ready, caught up; which candle that is
    /// depends on how fast the machine is. It never waits, but where candles come faster than models
    /// forecast, as in a replay at full speed: after `window` of them, and no fewer than 10,000, an
    /// update lets the new models catch up.
    #[default]
    WhenReady,
    /// So many candles after the fit was begun, on any machine: an update waits for a fit that is late.
    /// 0 waits at once, so that no candle is served by models that are due to be refitted.
    After(u64),
}

/// Parametrises refits of a [`LivePipeline`](crate::LivePipeline) in the background.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `every` | 500 | candles from fit to fit; `None`: no schedule | ≥ 1 |
/// | `on_drift` | false | whether a guard that sees drift begins a fit too | |
/// | `rest` | 100 | candles after a fit before drift begins another | ≥ 1 |
/// | `window` | 5000 | newest candles that a fit knows | 1 to 10,000,000 |
/// | `handover` | when ready | from which candle on the new model serves | |
/// | `warm_start` | false | whether Kalman filter, GRU and Transformer start from those before | |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RefitParams {
    /// Candles from fit to fit; `None`: no schedule.
    pub every: Option<u64>,
    /// Whether a guard that sees drift begins a fit too.
    pub on_drift: bool,
    /// Candles after a fit before drift begins another.
    pub rest: u64,
    /// Newest candles that a fit knows.
    pub window: usize,
    /// From which candle on the new model serves.
    pub handover: Handover,
    /// Whether the Kalman filter, GRU and Transformer start from those before. Boosting and ridge are
    /// always fitted anew, and so is every out-of-fold fit: a start that has seen later rows would leak
    /// into it.
    pub warm_start: bool,
}

impl Default for RefitParams {
    fn default() -> Self {
        Self {
            every: Some(500),
            on_drift: false,
            rest: 100,
            window: 5_000,
            handover: Handover::WhenReady,
            warm_start: false,
        }
    }
}

/// Parametrises a [`LivePipeline`](crate::LivePipeline).
///
/// | Name | Default | Purpose |
/// |---|---|---|
/// | `duplicates` | refuse | a candle of the last one's time |
/// | `late` | refuse | a candle of an earlier time |
/// | `gaps` | count | a candle with candles missing before it |
/// | `refit` | never | fits in the background |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LiveParams {
    /// What becomes of a candle of the last one's time.
    pub duplicates: Irregular,
    /// What becomes of a candle of an earlier time.
    pub late: Irregular,
    /// What becomes of a candle with candles missing before it.
    pub gaps: GapPolicy,
    /// Fits in the background; `None`: never.
    pub refit: Option<RefitParams>,
}

impl LiveParams {
    pub(crate) fn check(&self) -> Result<()> {
        const LONGEST: usize = 10_000_000;
        let Some(refit) = &self.refit else {
            return Ok(());
        };
        let positive = |name: &'static str, value: Option<u64>| match value {
            Some(0) => Err(Error::invalid_parameter(name, ">= 1", 0)),
            _ => Ok(()),
        };
        positive("every", refit.every)?;
        positive("rest", Some(refit.rest))?;
        if !(1..=LONGEST).contains(&refit.window) {
            let requirement = format!("between 1 and {LONGEST}");
            return Err(Error::invalid_parameter("window", requirement, refit.window));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_outside_their_range_are_refused_by_name() {
        let refused = |refit: RefitParams, name: &str| {
            let error = LiveParams { refit: Some(refit), ..Default::default() }.check();
            assert!(error.unwrap_err().to_string().contains(name));
        };
        let good = RefitParams::default();
        assert!(LiveParams { refit: Some(good), ..Default::default() }.check().is_ok());
        refused(RefitParams { every: Some(0), ..good }, "`every`");
        refused(RefitParams { rest: 0, ..good }, "`rest`");
        refused(RefitParams { window: 0, ..good }, "`window`");
    }
}
