use forecastle_core::{CandleView, Error, Result};
use serde::{Deserialize, Serialize};

use crate::account::{Bar, check_finite};
use crate::{Account, Backtest, Costs, Decision, Sizing};

/// Sets up a backtest.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `initial_capital` | 10,000 | equity before the first bar, in quote currency | > 0 |
/// | `costs` | 10 + 1 + 5 bps a side | fee, half-spread, slippage | see [`Costs`] |
/// | `sizing` | all of equity | how large a position is | see [`Sizing`] |
/// | `allow_short` | yes | otherwise [`Action::Short`](crate::Action::Short) means flat | |
/// | `close_at_end` | yes | close what is open at the last close, costs paid | |
/// | `periods_per_year` | none | bars a year; none: as many as the candles' times give | > 0 |
///
/// # Examples
/// ```
/// use forecastle_backtest::{BacktestParams, Decision, PerformanceParams};
/// # use forecastle_core::{Candle, CandleSeries, Timestamp};
/// # let mut close = 100.0_f64;
/// # let candles = (0..400_i64).map(|i| {
/// #     let open = close;
/// #     close *= 1.0 + 0.01 * (i as f64 / 9.0).sin();
/// #     let (high, low) = (open.max(close) * 1.002, open.min(close) * 0.998);
/// #     Candle::new(Timestamp::from_millis(i * 3_600_000), open, high, low, close, 1.0).unwrap()
/// # });
/// # let series = CandleSeries::from_candles("BTC/USDT".parse()?, "1h".parse()?, candles)?;
///
/// // Above the close of a day ago: long; below: flat.
/// let close = series.view().close();
/// let decisions: Vec<Decision> = (0..close.len())
///     .map(|t| match t.checked_sub(24) {
///         Some(before) if close[t] > close[before] => Decision::long().with_stop(0.9 * close[t]),
///         Some(_) => Decision::EXIT,
///         None => Decision::KEEP,
///     })
///     .collect();
/// let backtest = BacktestParams::default().run(series.view(), &decisions)?;
/// let performance = backtest.performance(&PerformanceParams::default())?;
/// assert_eq!(performance.n_trades, backtest.trades.len());
/// backtest.write_trades_csv(std::io::sink())?;
/// # Ok::<(), forecastle_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BacktestParams {
    /// Equity before the first bar, in quote currency.
    #[doc(alias = "cash")]
    pub initial_capital: f64,
    /// Fee, half-spread and slippage.
    pub costs: Costs,
    /// How large a position is.
    pub sizing: Sizing,
    /// Whether [`Action::Short`](crate::Action::Short) sells short, or only leaves a long position.
    pub allow_short: bool,
    /// Whether what is open at the end is closed at the last close.
    pub close_at_end: bool,
    /// Bars a year, by which figures are made annual.
    pub periods_per_year: Option<f64>,
}

impl Default for BacktestParams {
    fn default() -> Self {
        Self {
            initial_capital: 10_000.0,
            costs: Costs::default(),
            sizing: Sizing::default(),
            allow_short: true,
            close_at_end: true,
            periods_per_year: None,
        }
    }
}

impl BacktestParams {
    /// Checks every parameter's range; a backtest does so first.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] with the first parameter outside its range.
    pub fn check(&self) -> Result<()> {
        let positive = |name, value: f64| {
            if value > 0.0 && value.is_finite() {
                return Ok(());
            }
            Err(Error::invalid_parameter(name, "> 0 and finite", value))
        };
        positive("initial_capital", self.initial_capital)?;
        self.costs.check()?;
        self.sizing.check()?;
        self.periods_per_year.map_or(Ok(()), |periods| positive("periods_per_year", periods))
    }

    /// Trades decisions on candles.
    ///
    /// - `decisions`: `(n_bars,)`, each made at its bar's close; the last one has no next open, and is
    ///   returned as [`Backtest::pending`]
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] with the first parameter, or field of a decision, outside its
    ///   range.
    /// - [`Error::Shape`] when there is not one decision a bar.
    /// - [`Error::Numerical`] when a size or an amount of money leaves the range of numbers.
    pub fn run(&self, candles: CandleView<'_>, decisions: &[Decision]) -> Result<Backtest> {
        let mut account = Account::new(self)?;
        let mut equity = Vec::with_capacity(candles.len());
        self.run_into(candles, decisions, &mut account, &mut equity)?;
        Ok(Backtest::new(self, candles, account, equity))
    }

    /// The loop, in memory that is there.
    pub(crate) fn run_into(
        &self,
        candles: CandleView<'_>,
        decisions: &[Decision],
        account: &mut Account,
        equity: &mut Vec<f64>,
    ) -> Result<()> {
        if decisions.len() != candles.len() {
            let expected = format!("{} rows, one a bar", candles.len());
            return Err(Error::shape("decisions", expected, decisions.len().to_string()));
        }
        account.reset(self.initial_capital);
        equity.clear();
        equity.reserve(candles.len());
        let mut row = 0;
        while row < candles.len() {
            let (ahead, to_come) = (candles.slice(row..candles.len()), &decisions[row..]);
            row += account.coast(ahead, to_come, equity);
            if let (Some(candle), Some(decision)) = (candles.candle(row), decisions.get(row)) {
                equity.push(account.step(&Bar::from(&candle), decision)?);
                row += 1;
            }
        }
        equity.iter().try_for_each(|&equity| check_finite(equity))?;
        if self.close_at_end && account.finish()?.is_some() {
            equity.pop();
            equity.push(account.cash());
        }
        Ok(())
    }
}
