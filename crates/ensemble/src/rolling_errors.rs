use forecastle_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::rolling_scores::RollingScores;

/// Keeps the newest errors of a forecast and tells how often they leave its sign right.
///
/// The live counterpart of [`SplitConformal::sign_probability`](crate::SplitConformal): errors, label
/// minus forecast over a scale known beforehand, come one at a time, and beyond `window` of them the
/// oldest is forgotten. Its saved form goes on with the same bits.
///
/// # Examples
/// ```
/// use forecastle_ensemble::RollingErrors;
///
/// let mut errors = RollingErrors::new(1_000)?;
/// for error in [-2.0, -1.0, 0.5, 1.0] {
///     errors.push(error)?;
/// }
/// // A label forecast at +1.5 turns out negative under the error −2 alone.
/// assert!((errors.sign_probability(1.5, 1.0) - 0.7).abs() < 1e-12);
/// assert!(errors.sign_probability(0.0, 1.0).is_nan(), "the last price has no sign");
/// # Ok::<(), forecastle_core::Error>(())
/// ```
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "Saved", into = "Saved")]
pub struct RollingErrors {
    window: usize,
    errors: RollingScores,
}

impl RollingErrors {
    /// Keeps the newest `window` errors.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] when `window` is 0.
    pub fn new(window: usize) -> Result<Self> {
        if window == 0 {
            return Err(Error::invalid_parameter("window", ">= 1", 0));
        }
        Ok(Self { window, errors: RollingScores::new(Some(window)) })
    }

    /// Takes the next error, over its scale.
    ///
    /// # Errors
    /// - [`Error::NonFinite`] when it is not finite.
    pub fn push(&mut self, error: f64) -> Result<()> {
        if !error.is_finite() {
            return Err(Error::NonFinite { what: "error", row: 0, column: String::new() });
        }
        self.errors.push(error);
        Ok(())
    }

    /// Number of errors kept.
    pub fn len(&self) -> usize {
        self.errors.len()
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The share of errors under which the label has the forecast's sign, a label of exactly 0 and
    /// one unseen error counted half, so that it is never 0 or 1. NaN for a forecast of 0 or NaN, which
    /// has no sign, and a scale that is not positive and finite.
    pub fn sign_probability(&self, prediction: f64, scale: f64) -> f64 {
        if prediction.is_nan() || prediction == 0.0 || !(scale > 0.0 && scale.is_finite()) {
            return f64::NAN;
        }
        let (below, up_to) = self.errors.around(-prediction / scale);
        let negative = (0.5 * (below + up_to) as f64 + 0.5) / (self.len() as f64 + 1.0);
        if prediction > 0.0 { 1.0 - negative } else { negative }
    }
}

#[derive(Clone, Serialize, Deserialize)]
struct Saved {
    window: usize,
    errors: Vec<f64>,
}

impl From<RollingErrors> for Saved {
    fn from(kept: RollingErrors) -> Self {
        Self { window: kept.window, errors: kept.errors.recent().iter().copied().collect() }
    }
}

impl TryFrom<Saved> for RollingErrors {
    type Error = Error;

    fn try_from(Saved { window, errors }: Saved) -> Result<Self> {
        if errors.len() > window {
            return Err(Error::artifact("more errors are kept than their window holds"));
        }
        let mut kept = Self::new(window)?;
        errors.into_iter().try_for_each(|error| kept.push(error))?;
        Ok(kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn prop_the_sign_is_right_as_often_as_the_newest_errors_leave_it(
            errors in prop::collection::vec(-9_i32..9, 1..80), prediction in -9_i32..9,
            window in 1_usize..90,
        ) {
            prop_assume!(prediction != 0);
            let mut kept = RollingErrors::new(window).unwrap();
            errors.iter().for_each(|e| kept.push(f64::from(*e)).unwrap());
            let newest = &errors[errors.len().saturating_sub(window)..];
            let right = |e: &i32| match (prediction + e).signum() * prediction.signum() {
                1 => 1.0,
                0 => 0.5,
                _ => 0.0,
            };
            let expected = (newest.iter().map(right).sum::<f64>() + 0.5) / (newest.len() as f64 + 1.0);
            let told = kept.sign_probability(f64::from(prediction), 1.0);
            prop_assert!((told - expected).abs() < 1e-12);
            let saved = serde_json::to_string(&kept).unwrap();
            let mut loaded: RollingErrors = serde_json::from_str(&saved).unwrap();
            loaded.push(3.0).unwrap();
            kept.push(3.0).unwrap();
            prop_assert_eq!(
                loaded.sign_probability(0.5, 2.0).to_bits(), kept.sign_probability(0.5, 2.0).to_bits()
            );
        }
    }
}
