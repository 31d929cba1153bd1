use forecastle_core::{CandleView, Result};
use serde::{Deserialize, Serialize};

use crate::{
    Backtest, BacktestParams, Decision, Performance, PerformanceParams, RandomEntry,
    RandomEntryParams, Sizing,
};

/// Holds a strategy's figures beside those that need no skill.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Comparison {
    /// The strategy.
    pub strategy: Performance,
    /// All of equity in the market from the second open on, with the same costs.
    pub buy_and_hold: Performance,
    /// The strategy's trades at random times; `None` without trades.
    pub random_entry: Option<RandomEntry>,
}

impl BacktestParams {
    /// Buys at the second bar's open with all of equity, and holds; costs are these parameters'.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn buy_and_hold(&self, candles: CandleView<'_>) -> Result<Backtest> {
        let mut decisions = vec![Decision::KEEP; candles.len()];
        if let Some(first) = decisions.first_mut() {
            *first = Decision::long();
        }
        Self { sizing: Sizing::Fraction(1.0), ..*self }.run(candles, &decisions)
    }

    /// Judges a backtest beside buy-and-hold and random entries on the same candles.
    ///
    /// `performance` says among how many trials the strategy was chosen; buy-and-hold was not chosen.
    ///
    /// # Errors
    /// As [`run`](Self::run) and [`random_entry`](Self::random_entry).
    ///
    /// # Examples
    /// ```
    /// use forecastle_backtest::{BacktestParams, Decision, PerformanceParams, RandomEntryParams};
    /// # use forecastle_core::{Candle, CandleSeries, Timestamp};
    /// # let candles = (0..300_i64).map(|i| {
    /// #     let (open, close) = (100.0 + (i % 20) as f64, 100.0 + ((i + 1) % 20) as f64);
    /// #     let (high, low) = (open.max(close) + 1.0, open.min(close) - 1.0);
    /// #     Candle::new(Timestamp::from_millis(i * 3_600_000), open, high, low, close, 1.0).unwrap()
    /// # });
    /// # let series = CandleSeries::from_candles("BTC/USDT".parse()?, "1h".parse()?, candles)?;
    /// // A market that falls every 20th hour, and a rule that knows.
    /// let candles = series.view();
    /// let rule = |t: usize| match t % 20 {
    ///     0 => Decision::long(),
    ///     17 => Decision::EXIT,
    ///     _ => Decision::KEEP,
    /// };
    /// let decisions: Vec<Decision> = (0..candles.len()).map(rule).collect();
    /// let params = BacktestParams::default();
    /// let backtest = params.run(candles, &decisions)?;
    /// let random = RandomEntryParams { n_runs: 200, ..RandomEntryParams::default() };
    /// let beside = params.compare(candles, &backtest, &PerformanceParams::default(), &random)?;
    /// assert!(beside.strategy.total_return > beside.buy_and_hold.total_return);
    /// assert!(beside.random_entry.is_some_and(|random| random.beaten > 0.99));
    /// assert!(beside.strategy.is_too_good());
    /// # Ok::<(), forecastle_core::Error>(())
    /// ```
    pub fn compare(
        &self,
        candles: CandleView<'_>,
        backtest: &Backtest,
        performance: &PerformanceParams,
        random: &RandomEntryParams,
    ) -> Result<Comparison> {
        let alone = PerformanceParams { n_trials: 1, trial_variance: None, ..*performance };
        Ok(Comparison {
            strategy: backtest.performance(performance)?,
            buy_and_hold: self.buy_and_hold(candles)?.performance(&alone)?,
            random_entry: self.random_entry(candles, backtest, random)?,
        })
    }
}
