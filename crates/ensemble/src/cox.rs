use nalgebra::{Matrix2, Vector2};

use crate::platt::Sigmoid;

/// Newton steps; some five are enough.
const STEPS: usize = 50;

/// Cox's recalibration with a Gaussian prior at the identity: the intercept is expected at 0 and the
/// slope at 1, each with the precision of `prior` in log odds.
///
/// Minimises `Σ share·loss + prior/2·(intercept² + (slope − 1)²)`, the loss being logistic; a slope
/// below 0 is set to 0.
pub(crate) fn recalibrated(scores: &[f64], outcomes: &[f64], share: f64, prior: f64) -> Sigmoid {
    let fitted = descend(scores, outcomes, share, prior, true);
    if fitted.slope >= 0.0 {
        return fitted;
    }
    descend(scores, outcomes, share, prior, false)
}

fn descend(scores: &[f64], outcomes: &[f64], share: f64, prior: f64, sloped: bool) -> Sigmoid {
    let expected = if sloped { 1.0 } else { 0.0 };
    let mut fitted = Sigmoid { intercept: 0.0, slope: expected };
    let loss = |curve: &Sigmoid| {
        let distance = curve.intercept.powi(2) + (curve.slope - expected).powi(2);
        share * curve.loss(scores, outcomes) + 0.5 * prior * distance
    };
    let mut now = loss(&fitted);
    for _ in 0..STEPS {
        let mut gradient = Vector2::new(
            prior * fitted.intercept,
            if sloped { prior * (fitted.slope - expected) } else { 0.0 },
        );
        let mut hessian = Matrix2::new(prior, 0.0, 0.0, prior);
        for (z, y) in scores.iter().zip(outcomes) {
            let p = fitted.at(*z);
            let z = if sloped { *z } else { 0.0 };
            let (error, weight) = (share * (p - y), share * p * (1.0 - p));
            gradient += Vector2::new(error, error * z);
            hessian += weight * Matrix2::new(1.0, z, z, z * z);
        }
        // The prior keeps it positive definite.
        let Some(step) = hessian.cholesky().map(|c| c.solve(&gradient)) else {
            break;
        };
        let mut part = 1.0;
        let better = loop {
            let tried = Sigmoid {
                intercept: fitted.intercept - part * step.x,
                slope: fitted.slope - part * step.y,
            };
            let then = loss(&tried);
            if then < now {
                break Some((tried, then));
            }
            part *= 0.5;
            if part < 1e-6 {
                break None;
            }
        };
        let Some((tried, then)) = better else {
            break;
        };
        (fitted, now) = (tried, then);
    }
    fitted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_pairs_the_identity_stands_and_many_pairs_overrule_it() {
        let identity = recalibrated(&[], &[], 1.0, 10.0);
        assert_eq!((identity.intercept, identity.slope), (0.0, 1.0));
        // Claims of ±2 log odds, of which 60 % come right.
        let scores: Vec<f64> = (0..20_000).map(|i| if i % 2 == 0 { 2.0 } else { -2.0 }).collect();
        let right = |i: usize| i * 7_919 % 1_000 < 600;
        let outcomes: Vec<f64> =
            (0..20_000).map(|i| f64::from(u8::from(right(i) == (i % 2 == 0)))).collect();
        let fitted = recalibrated(&scores, &outcomes, 1.0, 10.0);
        assert!((fitted.at(2.0) - 0.6).abs() < 0.01, "{fitted:?}");
        // Each pair is worth a thousandth: the prior wins.
        let doubtful = recalibrated(&scores, &outcomes, 1e-3, 10.0);
        assert!(doubtful.slope > 0.3 && doubtful.slope < 1.0, "{doubtful:?}");
        assert!(fitted.slope < doubtful.slope);
    }

    #[test]
    fn the_fit_is_the_mode_of_the_posterior() {
        let scores: Vec<f64> = (0..400).map(|i| f64::from(i * 7_919 % 401) / 100.0 - 2.0).collect();
        let outcomes: Vec<f64> = (0..400).map(|i| f64::from(u8::from(i * 31 % 7 < 4))).collect();
        let (share, prior) = (0.2, 10.0);
        let fitted = recalibrated(&scores, &outcomes, share, prior);
        assert!(fitted.slope > 0.0 && fitted.intercept != 0.0, "{fitted:?}");
        let errors = || scores.iter().zip(&outcomes).map(|(z, y)| (z, share * (fitted.at(*z) - y)));
        let along_intercept = errors().map(|(_, e)| e).sum::<f64>() + prior * fitted.intercept;
        let along_slope = errors().map(|(z, e)| e * z).sum::<f64>() + prior * (fitted.slope - 1.0);
        assert!(along_intercept.abs() < 1e-6 && along_slope.abs() < 1e-6, "{fitted:?}");
    }

    #[test]
    fn a_slope_below_zero_becomes_zero() {
        let scores: Vec<f64> = (0..1_000).map(|i| if i % 2 == 0 { 1.0 } else { -1.0 }).collect();
        let outcomes: Vec<f64> = (0..1_000).map(|i| f64::from(u8::from(i % 2 == 1))).collect();
        let fitted = recalibrated(&scores, &outcomes, 1.0, 1.0);
        assert_eq!(fitted.slope, 0.0);
        assert!((fitted.at(3.0) - 0.5).abs() < 1e-9);
    }
}
