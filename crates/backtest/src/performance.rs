use forecastle_core::Result;
use serde::{Deserialize, Serialize};

use crate::backtest::Outcome;
use crate::drawdown::Drawdown;
use crate::{
    Trade, Warning, expected_maximum_sharpe, minimum_track_record_length,
    probabilistic_sharpe_ratio,
};

/// Sets up the figures of a [`Performance`].
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `n_trials` | 1 | backtests among which this one was chosen | ≥ 1 |
/// | `trial_variance` | none | variance of their Sharpe ratios a bar; none: 1/(n − 1), that of n returns worth nothing | ≥ 0 |
/// | `confidence` | 0.95 | of the minimum track record | above ½, below 1 |
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PerformanceParams {
    /// Backtests among which this one was chosen, failures included.
    pub n_trials: usize,
    /// Variance of their Sharpe ratios a bar.
    pub trial_variance: Option<f64>,
    /// Confidence of the minimum track record.
    pub confidence: f64,
}

impl Default for PerformanceParams {
    fn default() -> Self {
        Self { n_trials: 1, trial_variance: None, confidence: 0.95 }
    }
}

impl PerformanceParams {
    /// Checks every parameter's range; [`Backtest::performance`](crate::Backtest::performance) does so
    /// first.
    ///
    /// # Errors
    /// - [`InvalidParameter`](forecastle_core::Error::InvalidParameter) with the first parameter outside
    ///   its range.
    pub fn check(&self) -> Result<()> {
        expected_maximum_sharpe(self.n_trials, self.trial_variance.unwrap_or(0.0))?;
        minimum_track_record_length(0.0, 0.0, 0.0, 3.0, self.confidence).map(|_| ())
    }
}

/// Holds the figures of a backtest; what is undefined is `None`.
///
/// A **return** is the relative change of equity from one close to the next, so that n bars have
/// n − 1 of them: nothing can be held before the second bar. A return from an equity of 0 or less is
/// 0. Ratios have no risk-free rate taken off. A year has `periods_per_year` bars.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Performance {
    /// Bars.
    pub n_bars: usize,
    /// Closed trades.
    pub n_trades: usize,
    /// Bars a year.
    pub periods_per_year: Option<f64>,
    /// n − 1 bars, in years.
    pub years: Option<f64>,
    /// Equity before the first bar.
    pub initial_capital: f64,
    /// Equity at the last close.
    pub final_equity: f64,
    /// `final_equity / initial_capital − 1`.
    pub total_return: f64,
    /// The yearly growth that gives the total return; −1 when nothing is left.
    pub cagr: Option<f64>,
    /// Standard deviation of returns (ddof 1), times √`periods_per_year`.
    pub volatility: Option<f64>,
    /// Sharpe ratio: mean by standard deviation (ddof 1), times √`periods_per_year`; `None` for
    /// returns that do not vary.
    pub sharpe: Option<f64>,
    /// Sharpe ratio of a bar.
    pub sharpe_per_bar: Option<f64>,
    /// Mean return by the root of the mean square of negative returns, times √`periods_per_year`.
    pub sortino: Option<f64>,
    /// Largest share of equity lost since its highest close, the initial capital counted; above 1 when
    /// money is owed.
    pub max_drawdown: f64,
    /// Most bars in a row below an earlier equity.
    pub max_drawdown_bars: usize,
    /// CAGR by maximum drawdown.
    pub calmar: Option<f64>,
    /// Share of trades with a net gain.
    pub hit_rate: Option<f64>,
    /// Net gains by net losses.
    pub profit_factor: Option<f64>,
    /// Notional of all entries and exits a year, by mean equity.
    pub turnover: Option<f64>,
    /// Share of bars in which a position was held, for a part at least.
    pub exposure: Option<f64>,
    /// Mean of the trades' bars held.
    pub mean_bars_held: Option<f64>,
    /// Result of the closed trades at the candles' prices.
    pub gross: f64,
    /// Their fees, spread and slippage.
    pub costs: f64,
    /// γ₃ of the returns, of the population's form.
    pub skewness: Option<f64>,
    /// γ₄ of the returns, of the population's form: 3 for normal ones.
    pub kurtosis: Option<f64>,
    /// Probability that the true Sharpe ratio is above 0.
    #[doc(alias = "psr")]
    pub probabilistic_sharpe: Option<f64>,
    /// Backtests among which this one was chosen.
    pub n_trials: usize,
    /// Variance of their Sharpe ratios a bar.
    pub trial_variance: Option<f64>,
    /// Highest Sharpe ratio a bar to be expected of so many if none were worth anything.
    pub expected_maximum_sharpe: Option<f64>,
    /// Probability that the true Sharpe ratio is above that.
    #[doc(alias = "dsr")]
    pub deflated_sharpe: Option<f64>,
    /// Returns that it takes to call the Sharpe ratio positive; `None` when it is not.
    pub minimum_track_record: Option<f64>,
    /// Reasons to distrust all this.
    pub warnings: Vec<Warning>,
}

impl Performance {
    pub(crate) fn new(outcome: &Outcome<'_>, params: &PerformanceParams) -> Self {
        let Outcome { equity, trades, initial_capital, .. } = *outcome;
        let returns = Returns::new(equity, initial_capital);
        let periods = outcome.periods_per_year;
        let years = periods.map(|periods| returns.n as f64 / periods).filter(|&years| years > 0.0);
        let final_equity = equity.last().copied().unwrap_or(initial_capital);
        let growth = final_equity / initial_capital;
        let cagr = years
            .map(|years| if growth > 0.0 { growth.powf(1.0 / years) - 1.0 } else { -1.0 })
            .filter(|cagr| cagr.is_finite());
        let annual = |ratio: Option<f64>| Some(ratio? * periods?.sqrt());
        let sharpe_per_bar = returns.sharpe();
        let mut performance = Self {
            n_bars: equity.len(),
            n_trades: trades.len(),
            periods_per_year: periods,
            years,
            initial_capital,
            final_equity,
            total_return: growth - 1.0,
            cagr,
            volatility: annual(returns.deviation),
            sharpe: annual(sharpe_per_bar),
            sharpe_per_bar,
            sortino: annual(returns.sortino()),
            max_drawdown: returns.drawdown.deepest(),
            max_drawdown_bars: returns.drawdown.longest(),
            calmar: cagr
                .filter(|_| returns.drawdown.deepest() > 0.0)
                .map(|cagr| cagr / returns.drawdown.deepest()),
            hit_rate: share(trades.iter().filter(|trade| trade.net > 0.0).count(), trades.len()),
            profit_factor: None,
            turnover: None,
            exposure: share(outcome.bars_exposed, equity.len()),
            mean_bars_held: share(trades.iter().map(|t| t.bars_held).sum(), trades.len()),
            // An empty sum is −0.
            gross: 0.0 + trades.iter().map(|trade| trade.gross).sum::<f64>(),
            costs: 0.0 + trades.iter().map(|trade| trade.costs).sum::<f64>(),
            skewness: returns.skewness,
            kurtosis: returns.kurtosis,
            probabilistic_sharpe: None,
            n_trials: params.n_trials,
            trial_variance: None,
            expected_maximum_sharpe: None,
            deflated_sharpe: None,
            minimum_track_record: None,
            warnings: Vec::new(),
        };
        let gains: f64 = trades.iter().map(|trade| trade.net.max(0.0)).sum();
        let losses: f64 = trades.iter().map(|trade| (-trade.net).max(0.0)).sum();
        performance.profit_factor = Some(gains / losses).filter(|_| losses > 0.0);
        let traded = 0.0 + trades.iter().map(Trade::traded).sum::<f64>();
        let mean_equity = equity.iter().sum::<f64>() / equity.len() as f64;
        performance.turnover =
            years.filter(|_| mean_equity > 0.0).map(|years| traded / mean_equity / years);
        let moments = performance.moments();
        performance.probabilistic_sharpe =
            moments.and_then(|m| probabilistic_sharpe_ratio(m.sharpe, 0.0, m.n, m.g3, m.g4).ok());
        performance.minimum_track_record = moments.and_then(|m| {
            minimum_track_record_length(m.sharpe, 0.0, m.g3, m.g4, params.confidence).ok()?
        });
        performance.deflate(params.n_trials, params.trial_variance);
        performance.warn(outcome);
        performance
    }

    /// Whether a warning says that the result is too good to be believed as it stands.
    pub fn is_too_good(&self) -> bool {
        self.warnings.iter().any(Warning::is_too_good)
    }

    /// Judges the Sharpe ratio as the best of so many trials.
    pub(crate) fn deflate(&mut self, n_trials: usize, trial_variance: Option<f64>) {
        self.n_trials = n_trials;
        let moments = self.moments();
        self.trial_variance = trial_variance.or(moments.map(|m| 1.0 / (m.n - 1) as f64));
        self.expected_maximum_sharpe = self
            .trial_variance
            .and_then(|variance| expected_maximum_sharpe(n_trials, variance).ok());
        self.deflated_sharpe = moments
            .zip(self.expected_maximum_sharpe)
            .and_then(|(m, best)| probabilistic_sharpe_ratio(m.sharpe, best, m.n, m.g3, m.g4).ok());
    }

    fn moments(&self) -> Option<Moments> {
        let n = self.n_bars.checked_sub(1).filter(|&n| n >= 2)?;
        Some(Moments { n, sharpe: self.sharpe_per_bar?, g3: self.skewness?, g4: self.kurtosis? })
    }

    fn warn(&mut self, outcome: &Outcome<'_>) {
        let warnings = &mut self.warnings;
        if let Some(sharpe) = self.sharpe
            && sharpe > Warning::HIGH_SHARPE
        {
            warnings.push(Warning::HighSharpe { sharpe });
        }
        let side_bps = outcome.costs.side_bps();
        if side_bps < Warning::LOW_COSTS_BPS {
            warnings.push(Warning::CostsNearZero { side_bps });
        }
        if self.n_trades < Warning::FEW_TRADES {
            warnings.push(Warning::FewTrades { n_trades: self.n_trades });
        }
        let available = self.n_bars.saturating_sub(1);
        if let Some(needed) = self.minimum_track_record
            && needed > available as f64
        {
            warnings.push(Warning::ShortTrackRecord { needed, available });
        }
        if let Some(bar) = outcome.bankrupt {
            warnings.push(Warning::Bankrupt { bar });
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Moments {
    n: usize,
    sharpe: f64,
    g3: f64,
    g4: f64,
}

fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// What the equity's returns give.
struct Returns {
    n: usize,
    mean: f64,
    downside: f64,
    deviation: Option<f64>,
    skewness: Option<f64>,
    kurtosis: Option<f64>,
    drawdown: Drawdown,
}

impl Returns {
    fn new(equity: &[f64], initial_capital: f64) -> Self {
        let mut drawdown = Drawdown::new(initial_capital);
        for &value in equity {
            drawdown.update(value);
        }
        let n = equity.len().saturating_sub(1);
        let count = n as f64;
        let returns = || equity.iter().zip(equity.iter().skip(1)).map(|(&a, &b)| change(a, b));
        let (sum, squares) = returns().fold((0.0, 0.0), |(sum, squares), r| {
            let loss = f64::min(r, 0.0);
            (sum + r, squares + loss * loss)
        });
        let mean = if n > 0 { sum / count } else { 0.0 };
        let (m2, m3, m4) = returns().fold((0.0, 0.0, 0.0), |(m2, m3, m4), r| {
            let d = r - mean;
            let square = d * d;
            (m2 + square, m3 + square * d, m4 + square * square)
        });
        let deviation = (n >= 2).then(|| (m2 / (count - 1.0)).sqrt());
        // A return is known to the rounding of 1 alone: less than that is no variation.
        let varies = deviation.is_some_and(|s| s > (8.0 * f64::EPSILON).max(1e-12 * mean.abs()));
        let (population, shaped) = (m2 / count, |value: f64| varies.then_some(value));
        Self {
            n,
            mean,
            downside: if n > 0 { (squares / count).sqrt() } else { 0.0 },
            deviation: if varies { deviation } else { deviation.map(|_| 0.0) },
            skewness: shaped(m3 / count / population.powf(1.5)),
            kurtosis: shaped(m4 / count / (population * population)),
            drawdown,
        }
    }

    fn sharpe(&self) -> Option<f64> {
        self.deviation.filter(|&s| s > 0.0).map(|s| self.mean / s)
    }

    fn sortino(&self) -> Option<f64> {
        (self.downside > 8.0 * f64::EPSILON).then(|| self.mean / self.downside)
    }
}

#[inline]
fn change(before: f64, after: f64) -> f64 {
    if before > 0.0 { after / before - 1.0 } else { 0.0 }
}
