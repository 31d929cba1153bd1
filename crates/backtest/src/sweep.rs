use forecastle_core::{CandleView, Error, Result};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::backtest::{Outcome, bars_per_year};
use crate::{Account, BacktestParams, Decision, Performance, PerformanceParams};

/// Holds the figures of many settings of one strategy on the same candles.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Sweep {
    /// One a setting, in their order; each is deflated by all of them.
    pub performances: Vec<Performance>,
    /// Settings tried.
    pub n_trials: usize,
    /// Variance (ddof 1) of their Sharpe ratios a bar, over those that have one; `None` with fewer than
    /// 2.
    pub trial_variance: Option<f64>,
}

impl Sweep {
    /// The setting with the highest Sharpe ratio and its figures, the first of equals; `None` where no
    /// setting has one.
    ///
    /// Its [`deflated_sharpe`](Performance::deflated_sharpe) says how sure its ratio is to be more than
    /// the luck of the best.
    pub fn best(&self) -> Option<(usize, &Performance)> {
        let mut best: Option<(usize, &Performance, f64)> = None;
        for (set, performance) in self.performances.iter().enumerate() {
            if let Some(sharpe) = performance.sharpe_per_bar
                && best.is_none_or(|(_, _, highest)| sharpe > highest)
            {
                best = Some((set, performance, sharpe));
            }
        }
        best.map(|(set, performance, _)| (set, performance))
    }
}

impl BacktestParams {
    /// Backtests many settings in parallel, keeping their figures alone.
    ///
    /// - `decide`: fills the decisions of a setting, `(n_bars,)`, which arrive as
    ///   [`Decision::KEEP`]; called once a setting, from any thread
    ///
    /// The trial count and the variance of the Sharpe ratios are those of this sweep: where it is one
    /// of several, the deflated ratios are still too good. Memory is a setting's decisions and equity,
    /// once a thread. The results are the same bits on any number of threads.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] when `n_sets` is 0, a parameter is outside its range, or a field of
    ///   a decision is.
    /// - [`Error::Numerical`] when a size or an amount of money leaves the range of numbers.
    /// - Any error of `decide`; of several settings that fail, the first one's.
    ///
    /// # Examples
    /// ```
    /// use forecastle_backtest::{BacktestParams, Decision};
    /// # use forecastle_core::{Candle, CandleSeries, Timestamp};
    /// # let candles = (0..500_i64).map(|i| {
    /// #     let (open, close) = (100.0 + (i % 7) as f64, 100.0 + ((i + 1) % 7) as f64);
    /// #     let (high, low) = (open.max(close) + 1.0, open.min(close) - 1.0);
    /// #     Candle::new(Timestamp::from_millis(i * 3_600_000), open, high, low, close, 1.0).unwrap()
    /// # });
    /// # let series = CandleSeries::from_candles("BTC/USDT".parse()?, "1h".parse()?, candles)?;
    /// let close = series.view().close();
    /// let sweep = BacktestParams::default().sweep(series.view(), 20, |set, decisions| {
    ///     let window = set + 1;
    ///     for (decision, pair) in decisions.iter_mut().skip(window).zip(close.windows(window + 1)) {
    ///         let risen = pair[window] > pair[0];
    ///         *decision = if risen { Decision::long() } else { Decision::short() };
    ///     }
    ///     Ok(())
    /// })?;
    /// let (set, best) = sweep.best().expect("some setting traded");
    /// assert_eq!((sweep.performances.len(), best.n_trials), (20, 20));
    /// assert!(set < 20 && best.deflated_sharpe < best.probabilistic_sharpe);
    /// # Ok::<(), forecastle_core::Error>(())
    /// ```
    pub fn sweep<F>(&self, candles: CandleView<'_>, n_sets: usize, decide: F) -> Result<Sweep>
    where
        F: Fn(usize, &mut [Decision]) -> Result<()> + Sync,
    {
        if n_sets == 0 {
            return Err(Error::invalid_parameter("n_sets", ">= 1", 0));
        }
        let opened = Account::new(self)?;
        let periods_per_year = self.periods_per_year.or_else(|| bars_per_year(candles));
        let performances: Vec<Result<Performance>> = (0..n_sets)
            .into_par_iter()
            .map_init(
                || (opened.clone(), vec![Decision::KEEP; candles.len()], Vec::new()),
                |(account, decisions, equity), set| {
                    decisions.fill(Decision::KEEP);
                    decide(set, decisions)?;
                    self.run_into(candles, decisions, account, equity)?;
                    let outcome = Outcome {
                        equity,
                        trades: account.closed(),
                        initial_capital: self.initial_capital,
                        bars_exposed: account.bars_exposed(),
                        bankrupt: account.bankrupt(),
                        costs: self.costs,
                        periods_per_year,
                    };
                    Ok(Performance::new(&outcome, &PerformanceParams::default()))
                },
            )
            .collect();
        let mut performances = performances.into_iter().collect::<Result<Vec<_>>>()?;
        let trial_variance = variance(performances.iter().filter_map(|p| p.sharpe_per_bar));
        for performance in &mut performances {
            performance.deflate(n_sets, trial_variance);
        }
        Ok(Sweep { performances, n_trials: n_sets, trial_variance })
    }
}

/// The variance of numbers, ddof 1.
fn variance(values: impl Iterator<Item = f64> + Clone) -> Option<f64> {
    let n = values.clone().count();
    if n < 2 {
        return None;
    }
    let mean = values.clone().sum::<f64>() / n as f64;
    Some(values.map(|v| (v - mean) * (v - mean)).sum::<f64>() / (n - 1) as f64)
}
