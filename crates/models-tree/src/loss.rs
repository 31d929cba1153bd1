use forecastle_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::quantile::weighted_quantile;

/// Says what a fit minimises, with `r = y − ŷ`.
///
/// The trees follow the first derivative, with 1 (times the row's weight) as the second. For all
/// but the squared loss the leaves are then renewed: a leaf answers the constant that suits its
/// rows' residuals best, so that the speed of learning does not depend on the targets' unit.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// `r²`: forecasts the mean.
    #[doc(alias = "reg:squarederror")]
    #[default]
    Squared,
    /// `|r|`: forecasts the median.
    #[doc(alias = "reg:absoluteerror")]
    Absolute,
    /// `r²/2` up to `|r| = delta`, `delta·(|r| − delta/2)` beyond: a mean that outliers cannot pull.
    #[doc(alias = "reg:pseudohubererror")]
    Huber {
        /// Where outliers begin, in the targets' unit; > 0.
        delta: f64,
    },
    /// `alpha·r` for `r ≥ 0`, `(alpha − 1)·r` below: forecasts the `alpha` quantile.
    #[doc(alias = "reg:quantileerror")]
    Quantile {
        /// The quantile's level, between 0 and 1.
        alpha: f64,
    },
}

impl Loss {
    pub(crate) fn check(self) -> Result<()> {
        match self {
            Self::Huber { delta } if !(delta > 0.0 && delta.is_finite()) => {
                Err(Error::invalid_parameter("delta", "> 0 and finite", delta))
            }
            Self::Quantile { alpha } if !(alpha > 0.0 && alpha < 1.0) => {
                Err(Error::invalid_parameter("alpha", "above 0 and below 1", alpha))
            }
            _ => Ok(()),
        }
    }

    /// The loss of one row.
    pub fn value(self, target: f64, prediction: f64) -> f64 {
        let r = target - prediction;
        match self {
            Self::Squared => r * r,
            Self::Absolute => r.abs(),
            Self::Huber { delta } if r.abs() <= delta => 0.5 * r * r,
            Self::Huber { delta } => delta * (r.abs() - 0.5 * delta),
            Self::Quantile { alpha } if r >= 0.0 => alpha * r,
            Self::Quantile { alpha } => (alpha - 1.0) * r,
        }
    }

    /// The derivative by the prediction that the trees follow (half of it for the squared loss, so
    /// that the second one is 1).
    pub(crate) fn gradient(self, target: f64, prediction: f64) -> f64 {
        let d = prediction - target;
        match self {
            Self::Squared => d,
            Self::Absolute if d == 0.0 => 0.0,
            Self::Absolute => d.signum(),
            Self::Huber { delta } => d.clamp(-delta, delta),
            Self::Quantile { .. } if d == 0.0 => 0.0,
            Self::Quantile { alpha } if d > 0.0 => 1.0 - alpha,
            Self::Quantile { alpha } => -alpha,
        }
    }

    /// Whether leaves are renewed by [`best_constant`](Self::best_constant).
    pub(crate) fn renews_leaves(self) -> bool {
        self != Self::Squared
    }

    /// The constant that minimises the loss over residuals with weights (one step of it for Huber,
    /// from the median, after Friedman 2001). Sorts the rows; 0 when there are none.
    pub(crate) fn best_constant(self, rows: &mut [(f64, f64)]) -> f64 {
        match self {
            Self::Squared => {
                // Shifted, so that a large common level costs no digits.
                let shift = rows.first().map_or(0.0, |row| row.0);
                let (sum, weight) =
                    rows.iter().fold((0.0, 0.0), |(s, t), (v, w)| (s + w * (v - shift), t + w));
                if weight > 0.0 { shift + sum / weight } else { 0.0 }
            }
            Self::Absolute => weighted_quantile(rows, 0.5),
            Self::Quantile { alpha } => weighted_quantile(rows, alpha),
            Self::Huber { delta } => {
                let median = weighted_quantile(rows, 0.5);
                let (sum, weight) = rows.iter().fold((0.0, 0.0), |(s, t), (v, w)| {
                    (s + w * (v - median).clamp(-delta, delta), t + w)
                });
                if weight > 0.0 { median + sum / weight } else { median }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Loss; 4] =
        [Loss::Squared, Loss::Absolute, Loss::Huber { delta: 0.7 }, Loss::Quantile { alpha: 0.8 }];

    #[test]
    fn gradients_are_derivatives_of_the_loss() {
        for loss in ALL {
            let scale = if loss == Loss::Squared { 0.5 } else { 1.0 };
            for prediction in [-2.0, -0.3, 0.2, 0.4, 3.0] {
                let step = 1e-6;
                let slope = (loss.value(0.1, prediction + step)
                    - loss.value(0.1, prediction - step))
                    / (2.0 * step);
                let gradient = loss.gradient(0.1, prediction);
                assert!((gradient - scale * slope).abs() < 1e-6, "{loss:?} at {prediction}");
            }
        }
    }

    #[test]
    fn the_best_constant_beats_its_neighbours() {
        let rows = [(1.0, 1.0), (2.0, 0.5), (2.5, 3.0), (4.0, 1.0), (90.0, 0.25)];
        for loss in [Loss::Squared, Loss::Absolute, Loss::Quantile { alpha: 0.8 }] {
            let best = loss.best_constant(&mut rows.to_vec());
            let total = |c: f64| rows.iter().map(|&(v, w)| w * loss.value(v, c)).sum::<f64>();
            for other in [best - 0.01, best + 0.01, best - 1.0, best + 1.0] {
                assert!(total(best) <= total(other) + 1e-12, "{loss:?}: {best} against {other}");
            }
        }
        let huber = Loss::Huber { delta: 1.0 }.best_constant(&mut rows.to_vec());
        assert!((2.0..3.0).contains(&huber), "{huber}");
    }
}
