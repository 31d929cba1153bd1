use std::fmt;

use forecastle_backtest::{
    Action, Backtest, BacktestParams, Comparison, Decision, Performance, PerformanceParams,
    RandomEntryParams,
};
use forecastle_core::{CandleSeries, Error, Result};
use serde::{Deserialize, Serialize};

use crate::skill::ENSEMBLE;
use crate::{Cell, ModelKind, Record, TableRow, WalkForwardRun};

/// Names what is traded of a row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Strategy {
    /// The signal column: BUY and SELL with their stop and take-profit, HOLD leaves things as they
    /// are.
    Rules,
    /// The ensemble's forecast.
    Ensemble,
    /// One model's forecast.
    Model(ModelKind),
}

impl Strategy {
    /// The name in tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rules => "rules",
            Self::Ensemble => ENSEMBLE,
            Self::Model(kind) => kind.as_str(),
        }
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Parametrises how rows of the table become decisions.
///
/// A rule signal is traded as it stands: entered at the next open, with its stop, and its take-profit
/// where that is valid; it ends by one of them, by the opposite signal or after `max_bars`. The same
/// signal again moves stop and take-profit to its own. A forecast is traded where it promises more than
/// trading costs: long above `min_move_bps`, short below its negative, left `horizon` bars after the
/// last forecast that said so. Where a guard holds, nothing is entered. A stop that would be a price of
/// 0 or less, of a band wider than the price, is none.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `max_bars` | none | longest stay of a rule's trade | ≥ 1 |
/// | `min_move_bps` | the costs of both sides | forecast move below which a forecast is not traded | ≥ 0 |
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TradingParams {
    /// Longest stay of a rule's trade, in bars.
    pub max_bars: Option<u32>,
    /// Forecast move below which a forecast is not traded; `None`: the costs of both sides.
    pub min_move_bps: Option<f64>,
}

impl TradingParams {
    fn check(&self) -> Result<()> {
        if self.max_bars == Some(0) {
            return Err(Error::invalid_parameter("max_bars", ">= 1", 0));
        }
        match self.min_move_bps {
            Some(bps) if !(bps >= 0.0 && bps.is_finite()) => {
                Err(Error::invalid_parameter("min_move_bps", ">= 0", bps))
            }
            _ => Ok(()),
        }
    }

    /// What a strategy decides at the close of a row's bar.
    ///
    /// - `least_move`: as a share of the price
    fn decide(
        &self,
        strategy: Strategy,
        row: &TableRow,
        horizon: u32,
        least_move: f64,
    ) -> Decision {
        match strategy {
            Strategy::Rules => self.follow_signal(row),
            _ if row.guard.is_some() => Decision::KEEP,
            Strategy::Ensemble | Strategy::Model(_) => {
                let close = row.structure.candle.close();
                let share =
                    forecast(row, strategy.as_str()).map_or(0.0, |price| price / close - 1.0);
                if share > least_move {
                    Decision::long().with_max_bars(horizon)
                } else if share < -least_move {
                    Decision::short().with_max_bars(horizon)
                } else {
                    Decision::KEEP
                }
            }
        }
    }

    fn follow_signal(&self, row: &TableRow) -> Decision {
        let rules = &row.structure.rules;
        let mut decision = Decision::new(Action::from(rules.signal));
        if decision.action == Action::Keep {
            return Decision::KEEP;
        }
        // A band or a target may lie below 0 where σ is larger than the price.
        let price = |value: Option<f64>| value.filter(|p| *p > 0.0 && p.is_finite());
        if let Some(stop) = price(rules.stop_loss.filter(|_| rules.stop_valid)) {
            decision = decision.with_stop(stop);
        }
        if let Some(target) = price(rules.take_profit.filter(|_| rules.take_profit_valid)) {
            decision = decision.with_take_profit(target);
        }
        if let Some(bars) = self.max_bars {
            decision = decision.with_max_bars(bars);
        }
        decision
    }
}

/// A column of the forecast, a price.
fn forecast(row: &TableRow, column: &str) -> Option<f64> {
    let mut price = None;
    row.forecast.visit(&mut |name, cell| {
        if let (true, Cell::Float(value)) = (name == column, cell) {
            price = Some(value);
        }
    });
    price
}

/// Holds one strategy's backtest and what stands beside it.
#[derive(Debug, Clone)]
pub struct Traded {
    /// What was traded.
    pub strategy: Strategy,
    /// Trades and equity.
    pub backtest: Backtest,
    /// Its figures, deflated by all strategies that were tried with it, beside buy-and-hold and
    /// random entries.
    pub beside: Comparison,
}

impl WalkForwardRun {
    /// The strategies that this run can trade: rules, ensemble, then every model.
    pub fn strategies(&self) -> Vec<Strategy> {
        let models = &self.pipeline.config().models;
        let ensemble = (!models.is_empty()).then_some(Strategy::Ensemble);
        let models = models.iter().map(|&kind| Strategy::Model(kind));
        [Strategy::Rules].into_iter().chain(ensemble).chain(models).collect()
    }

    /// The candles that were forecast, on which a strategy is traded.
    pub fn traded_candles(&self) -> CandleSeries {
        self.candles().slice(self.first_row()..self.candles().len())
    }

    /// What a strategy decides at each forecast bar's close, one a row.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] when a parameter is outside its range, or the run has no such
    ///   strategy.
    pub fn decisions(
        &self,
        strategy: Strategy,
        trading: &TradingParams,
        backtest: &BacktestParams,
    ) -> Result<Vec<Decision>> {
        trading.check()?;
        backtest.check()?;
        let known = self.strategies();
        if !known.contains(&strategy) {
            let names: Vec<&str> = known.iter().map(|known| known.as_str()).collect();
            let requirement = format!("among {}", names.join(", "));
            return Err(Error::invalid_parameter("strategy", requirement, strategy));
        }
        let costs = 2.0 * backtest.costs.side_bps();
        let least = trading.min_move_bps.unwrap_or(costs) / 1e4;
        let horizon = u32::try_from(self.pipeline.config().horizon).unwrap_or(u32::MAX);
        let decide = |row: &TableRow| trading.decide(strategy, row, horizon, least);
        Ok(self.rows().iter().map(decide).collect())
    }

    /// Trades strategies out of sample: decided at a bar's close by what was known then, filled at the
    /// next open, costs paid.
    ///
    /// Each strategy's Sharpe ratio is deflated by the number of strategies given and the variance of
    /// their ratios, or that of ratios worth nothing where theirs are more alike; trials made elsewhere are
    /// not known here and deflate further.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] when a parameter is outside its range.
    /// - [`Error::Numerical`] when an amount of money leaves the range of numbers.
    ///
    /// # Examples
    /// ```
    /// use forecastle::backtest::{BacktestParams, RandomEntryParams};
    /// use forecastle::market_data::{Simulator, SimulatorParams};
    /// use forecastle::{ModelKind, Pipeline, TradingParams, WalkForwardParams};
    ///
    /// let candles = Simulator::new(SimulatorParams { n: 1_000, ..Default::default() })?.series()?;
    /// let pipeline = Pipeline::builder().models([ModelKind::Ridge]).build()?;
    /// let run = pipeline.walk_forward(&candles, &WalkForwardParams::default(), &())?;
    /// let traded = run.trade(
    ///     &run.strategies(),
    ///     &TradingParams::default(),
    ///     &BacktestParams::default(),
    ///     &RandomEntryParams { n_runs: 100, ..Default::default() },
    /// )?;
    /// let rules = &traded[0].beside;
    /// assert_eq!(rules.strategy.n_trials, 3);
    /// assert_eq!(rules.strategy.n_bars, rules.buy_and_hold.n_bars);
    /// # Ok::<(), forecastle::Error>(())
    /// ```
    pub fn trade(
        &self,
        strategies: &[Strategy],
        trading: &TradingParams,
        backtest: &BacktestParams,
        random: &RandomEntryParams,
    ) -> Result<Vec<Traded>> {
        let candles = self.traded_candles();
        let mut runs = Vec::with_capacity(strategies.len());
        for &strategy in strategies {
            let decisions = self.decisions(strategy, trading, backtest)?;
            runs.push((strategy, backtest.run(candles.view(), &decisions)?));
        }
        let alone = PerformanceParams::default();
        let figures: Vec<Performance> =
            runs.iter().map(|(_, run)| run.performance(&alone)).collect::<Result<_>>()?;
        let params = PerformanceParams {
            n_trials: strategies.len().max(1),
            trial_variance: variance(figures.iter().filter_map(|p| p.sharpe_per_bar))
                .map(|spread| spread.max(1.0 / candles.len().saturating_sub(2).max(1) as f64)),
            ..alone
        };
        runs.into_iter()
            .map(|(strategy, run)| {
                let beside = backtest.compare(candles.view(), &run, &params, random)?;
                Ok(Traded { strategy, backtest: run, beside })
            })
            .collect()
    }
}

/// The variance (ddof 1); `None` for fewer than two values.
fn variance(values: impl Iterator<Item = f64>) -> Option<f64> {
    let values: Vec<f64> = values.collect();
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|v| (v - mean) * (v - mean)).sum();
    (values.len() > 1).then(|| squares / (n - 1.0))
}
