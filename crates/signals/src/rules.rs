use forecastle_core::{Direction, Regime, Result, Signal};

use crate::{RuleInputs, RuleOutput, RuleParams, RuleWeights};

/// A σ up to this share of |VWAP| counts as flat.
const FLAT_SIGMA: f64 = 1e-12;

/// Evaluates the rule-based forecast, row by row.
///
/// With s = +1 for BUY, −1 for SELL, 0 for HOLD, and h the horizon:
///
/// - ATR target = close + s · ATR · multiplier · strength
/// - VWAP target = close + strength/2 · (band − close); the band is VWAP in Mean-Reversion, the 1σ
///   band on the price's side in Transition, the next whole band outward, ⌊|z|⌋ + 1, in Trend
/// - regression target = line + h · slope
/// - blended target = weighted mean of the three
///
/// # Signals
/// - Mean-Reversion: low ≤ VWAP − σ is BUY, high ≥ VWAP + σ is SELL, both are HOLD. The touch is
///   intrabar: a close inside ±1σ can never touch a band itself.
/// - Transition: HOLD.
/// - Trend: Bullish is BUY, Bearish is SELL.
/// - HOLD while ATR or z is not ready or σ is flat (≤ 1e-12 · |VWAP|).
///
/// A BUY's stop is below the close and a SELL's above it. Where regime and bands belong together
/// this follows from the rules; a row in which they contradict each other gives HOLD.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rules {
    params: RuleParams,
    bars_ahead: f64,
}

impl Rules {
    /// Makes the rules.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`](forecastle_core::Error::InvalidParameter) when a parameter is
    ///   outside its range.
    pub fn new(params: RuleParams) -> Result<Self> {
        params.validate()?;
        Ok(Self { params, bars_ahead: params.horizon as f64 })
    }

    /// The parameters.
    pub fn params(&self) -> &RuleParams {
        &self.params
    }

    /// Evaluates one row.
    pub fn evaluate(&self, row: &RuleInputs) -> RuleOutput {
        let (signal, stop) = protected_signal(row);
        self.output(row, signal, stop)
    }

    /// Evaluates one row whose signal is HOLD whatever the rules say, for reasons that they do not
    /// know: the targets are those of a HOLD.
    pub fn hold(&self, row: &RuleInputs) -> RuleOutput {
        self.output(row, Signal::Hold, f64::NAN)
    }

    fn output(&self, row: &RuleInputs, signal: Signal, stop: f64) -> RuleOutput {
        let close = row.close;
        let side = f64::from(signal.sign());

        let atr = close + side * row.atr * self.params.atr_multiplier * row.strength;
        let vwap = close + 0.5 * row.strength * (attractor(row) - close);
        let linreg = row.linreg + self.bars_ahead * row.linreg_slope;
        let RuleWeights { atr: atr_weight, vwap: vwap_weight, linreg: linreg_weight } =
            self.params.weights;
        let blended =
            share(atr_weight, atr) + share(vwap_weight, vwap) + share(linreg_weight, linreg);

        // Positive where a price lies the signal's way; 0 for HOLD, NaN where it is not ready.
        let gain = |price: f64| side * (price - close);
        let agreeing = |weight: f64, target: f64| {
            if target.is_finite() && gain(target) > 0.0 { weight } else { 0.0 }
        };
        let take_profit_valid = blended.is_finite() && gain(blended) > 0.0;
        let stop_valid = gain(stop) < 0.0;
        RuleOutput {
            signal,
            stop_loss: ready(stop),
            take_profit: ready(blended),
            atr_target: ready(atr),
            vwap_target: ready(vwap),
            linreg_target: ready(linreg),
            blended_target: ready(blended),
            take_profit_valid,
            stop_valid,
            reward_risk: (take_profit_valid && stop_valid)
                .then(|| gain(blended) / -gain(stop))
                .and_then(ready),
            rule_confidence: agreeing(atr_weight, atr)
                + agreeing(vwap_weight, vwap)
                + agreeing(linreg_weight, linreg),
        }
    }
}

/// The signal and its stop, NaN for HOLD.
fn protected_signal(row: &RuleInputs) -> (Signal, f64) {
    match raw_signal(row) {
        Signal::Buy => {
            let stop = row.vwap - 2.0 * row.vwap_sigma;
            if stop.is_finite() && stop < row.close {
                return (Signal::Buy, stop);
            }
        }
        Signal::Sell => {
            let stop = row.vwap + 2.0 * row.vwap_sigma;
            if stop.is_finite() && stop > row.close {
                return (Signal::Sell, stop);
            }
        }
        Signal::Hold => {}
    }
    (Signal::Hold, f64::NAN)
}

fn raw_signal(row: &RuleInputs) -> Signal {
    let spread = row.vwap_sigma > FLAT_SIGMA * row.vwap.abs();
    if !spread || !row.atr.is_finite() || row.vwap_z.is_nan() {
        return Signal::Hold;
    }
    match (row.regime, row.direction) {
        (Some(Regime::MeanReversion), _) => {
            let touched_lower = row.low <= row.vwap - row.vwap_sigma;
            let touched_upper = row.high >= row.vwap + row.vwap_sigma;
            match (touched_lower, touched_upper) {
                (true, false) => Signal::Buy,
                (false, true) => Signal::Sell,
                _ => Signal::Hold,
            }
        }
        (Some(Regime::Trend), Some(Direction::Bullish)) => Signal::Buy,
        (Some(Regime::Trend), Some(Direction::Bearish)) => Signal::Sell,
        _ => Signal::Hold,
    }
}

/// The price that draws the close: VWAP or a band; NaN while not ready.
fn attractor(row: &RuleInputs) -> f64 {
    let outward = match row.regime {
        None => return f64::NAN,
        Some(Regime::MeanReversion) => return row.vwap,
        Some(Regime::Transition) => 1.0,
        Some(Regime::Trend) => row.vwap_z.abs().floor() + 1.0,
    };
    row.vwap + outward.copysign(row.vwap_z) * row.vwap_sigma
}

/// A mechanism's part of the blended target; one of weight 0 need not be ready.
fn share(weight: f64, target: f64) -> f64 {
    if weight > 0.0 { weight * target } else { 0.0 }
}

fn ready(price: f64) -> Option<f64> {
    price.is_finite().then_some(price)
}
