use forecastle_core::{CandleView, Error, Result};
use rand::seq::{SliceRandom, index};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{Account, Backtest, BacktestParams, ExitReason, Side, Trade};

/// Sets up the comparison with random entries.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `n_runs` | 1,000 | random schedules | ≥ 1 |
/// | `seed` | 7 | of all draws | |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RandomEntryParams {
    /// Random schedules.
    pub n_runs: usize,
    /// Seed of all draws.
    pub seed: u64,
}

impl Default for RandomEntryParams {
    fn default() -> Self {
        Self { n_runs: 1_000, seed: 7 }
    }
}

/// Holds what the same trades would have earned at random times.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RandomEntry {
    /// Random schedules.
    pub n_runs: usize,
    /// Trades in each.
    pub n_trades: usize,
    /// Mean of the schedules' total returns.
    pub mean_return: f64,
    /// Total return that a twentieth of the schedules stay below.
    pub low_return: f64,
    /// Total return that half of them stay below.
    pub median_return: f64,
    /// Total return that a twentieth of them exceed.
    pub high_return: f64,
    /// Total return of the backtest itself.
    pub total_return: f64,
    /// Share of schedules that the backtest beats; a tie counts half.
    pub beaten: f64,
}

/// A trade to be placed: how long, on which side, how large.
#[derive(Debug, Clone, Copy)]
struct Stay {
    side: Side,
    bars: usize,
    scale: f64,
}

/// The extremes of all candles: a price outside is never touched.
#[derive(Debug, Clone, Copy)]
struct Range {
    low: f64,
    high: f64,
}

impl Range {
    fn reaches(&self, ruin: f64, side: Side) -> bool {
        match side {
            Side::Long => self.low <= ruin,
            Side::Short => self.high >= ruin,
        }
    }
}

impl BacktestParams {
    /// Trades what a backtest traded at random times: as many trades, on the same sides, held as long,
    /// with the same sizing and costs.
    ///
    /// Each schedule shuffles the trades and spreads them over the candles without overlap, every way
    /// to place the bars between them being equally likely. Stops and targets are not carried over,
    /// their effect on how long a trade lasts is: a trade enters at an open and leaves at the open after
    /// as many bars as it was held for, one at least, or at the last close. `None` without trades.
    ///
    /// The same seed gives the same bits on any number of threads.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] when `n_runs` is 0, or a parameter is outside its range.
    /// - [`Error::Shape`] when the candles are not those of the backtest, by their number.
    /// - [`Error::Numerical`] when a size or an amount of money leaves the range of numbers.
    pub fn random_entry(
        &self,
        candles: CandleView<'_>,
        backtest: &Backtest,
        params: &RandomEntryParams,
    ) -> Result<Option<RandomEntry>> {
        if params.n_runs == 0 {
            return Err(Error::invalid_parameter("n_runs", ">= 1", 0));
        }
        if candles.len() != backtest.equity.len() {
            let expected = format!("{} rows", backtest.equity.len());
            return Err(Error::shape("candles", expected, candles.len().to_string()));
        }
        let stays: Vec<Stay> = backtest
            .trades
            .iter()
            .map(|&Trade { side, bars_held, scale, reason, .. }| {
                // The last bar's close ends a bar that was held to its end.
                let to_the_close = usize::from(reason == ExitReason::EndOfData);
                let bars = (bars_held + to_the_close).max(1);
                Stay { side, bars, scale }
            })
            .collect();
        if stays.is_empty() {
            return Ok(None);
        }
        let account = Account::new(self)?;
        let range = Range {
            low: candles.low().iter().copied().fold(f64::INFINITY, f64::min),
            high: candles.high().iter().copied().fold(f64::NEG_INFINITY, f64::max),
        };
        let results: Vec<Result<f64>> = (0..params.n_runs as u64)
            .into_par_iter()
            .map_init(
                || (account.clone(), stays.clone()),
                |(account, shuffled), run| {
                    shuffled.copy_from_slice(&stays);
                    // Multiplied, so that neighbouring seeds share no run.
                    let seed = params.seed ^ run.wrapping_mul(0x9E37_79B9_7F4A_7C15);
                    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
                    self.schedule(candles, range, account, shuffled, &mut random)
                },
            )
            .collect();
        let mut returns = results.into_iter().collect::<Result<Vec<f64>>>()?;
        let n_runs = returns.len() as f64;
        let total_return = backtest.equity.last().copied().unwrap_or(self.initial_capital)
            / self.initial_capital
            - 1.0;
        let beaten: f64 = returns
            .iter()
            .map(|other| match other.total_cmp(&total_return) {
                std::cmp::Ordering::Less => 1.0,
                std::cmp::Ordering::Equal => 0.5,
                std::cmp::Ordering::Greater => 0.0,
            })
            .sum();
        let mean_return = returns.iter().sum::<f64>() / n_runs;
        returns.sort_by(f64::total_cmp);
        Ok(Some(RandomEntry {
            n_runs: params.n_runs,
            n_trades: stays.len(),
            mean_return,
            low_return: quantile(&returns, 0.05),
            median_return: quantile(&returns, 0.5),
            high_return: quantile(&returns, 0.95),
            total_return,
            beaten: beaten / n_runs,
        }))
    }

    /// One random schedule's total return.
    fn schedule(
        &self,
        candles: CandleView<'_>,
        range: Range,
        account: &mut Account,
        stays: &mut [Stay],
        random: &mut impl Rng,
    ) -> Result<f64> {
        account.reset(self.initial_capital);
        stays.shuffle(random);
        // Entries are possible from the second bar on; the bars that no trade covers are spread before,
        // between and after the trades: a choice of places among trades and free bars.
        let covered: usize = stays.iter().map(|stay| stay.bars).sum();
        let free = (candles.len().saturating_sub(1)).saturating_sub(covered);
        let mut places = index::sample(random, free + stays.len(), stays.len()).into_vec();
        places.sort_unstable();
        let mut row = 1;
        let mut taken = 0;
        for (stay, place) in stays.iter().zip(places) {
            // `place` counts free bars and trades before this one.
            row += place - taken;
            taken = place + 1;
            if account.bankrupt().is_none() {
                self.hold(candles, range, account, row, stay)?;
            }
            row += stay.bars;
        }
        Ok(account.cash() / self.initial_capital - 1.0)
    }

    /// Enters at the open of `row` and leaves as a stay says.
    fn hold(
        &self,
        candles: CandleView<'_>,
        range: Range,
        account: &mut Account,
        row: usize,
        stay: &Stay,
    ) -> Result<()> {
        let at = |row: usize| Some((*candles.open_time().get(row)?, *candles.open().get(row)?));
        let Some(entry) = at(row) else { return Ok(()) };
        let seen = candles.slice(row.saturating_sub(self.sizing.closes_needed())..row);
        let closes = seen.open_time().iter().copied().zip(seen.close().iter().copied());
        let Some(amount) = self.sizing.amount(stay.scale, self.periods_per_year, closes) else {
            return Ok(());
        };
        if !account.open_position(row, entry, stay.side, stay.scale, amount)? {
            return Ok(());
        }
        let market = account.market_rate();
        let leave = row + stay.bars;
        if let Some((ruin, side)) = account.ruin()
            && range.reaches(ruin, side)
        {
            let held = candles.slice(row..leave);
            let mut extremes = held.low().iter().zip(held.high());
            let ruined = extremes.position(|(&low, &high)| match side {
                Side::Long => low <= ruin,
                Side::Short => high >= ruin,
            });
            if let Some((row, (time, open))) =
                ruined.and_then(|after| Some((row + after, at(row + after)?)))
            {
                let price = match side {
                    Side::Long => open.min(ruin),
                    Side::Short => open.max(ruin),
                };
                return account.exit(row, time, price, market, ExitReason::Bankrupt);
            }
        }
        let last = candles.len().saturating_sub(1);
        match (at(leave), at(last), candles.close().last()) {
            (Some((time, open)), ..) => {
                account.exit(leave, time, open, market, ExitReason::MaxBars)
            }
            (None, Some((time, _)), Some(&close)) => {
                account.exit(last, time, close, market, ExitReason::EndOfData)
            }
            _ => Ok(()),
        }
    }
}

/// A quantile of sorted numbers, interpolated.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = share * sorted.len().saturating_sub(1) as f64;
    let below = sorted.get(at.floor() as usize).copied().unwrap_or(f64::NAN);
    let above = sorted.get(at.ceil() as usize).copied().unwrap_or(f64::NAN);
    below + (above - below) * at.fract()
}
