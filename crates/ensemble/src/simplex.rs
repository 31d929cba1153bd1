use forecastle_core::{Error, Result};
use nalgebra::{DMatrix, DVector};

/// Minimises `½ w·A·w − b·w` subject to `w ≥ 0` and `Σ w ≤ 1`, exactly.
///
/// `A` is positive definite. Without the sum this is non-negative least squares (active sets after
/// Lawson and Hanson); where the sum binds, its multiplier `μ ≥ 0` turns the problem into
/// non-negative least squares with `b − μ`, whose sum falls with `μ` piecewise linearly: Newton
/// steps, kept in a bracket, end on the exact root.
pub(crate) fn minimise(a: &DMatrix<f64>, b: &DVector<f64>) -> Result<DVector<f64>> {
    let mut weights = non_negative(a, b)?;
    if weights.sum() <= 1.0 {
        return Ok(weights);
    }
    let (mut low, mut high) = (0.0, b.max());
    for _ in 0..200 {
        let step = newton(a, b, &weights);
        let mu = match step {
            Some(mu) if mu > low && mu < high => mu,
            _ => 0.5 * (low + high),
        };
        weights = non_negative(a, &b.add_scalar(-mu))?;
        let excess = weights.sum() - 1.0;
        if excess.abs() <= 1e-14 || mu <= low || mu >= high {
            break;
        }
        if excess > 0.0 {
            low = mu;
        } else {
            high = mu;
        }
    }
    let sum = weights.sum();
    Ok(weights / sum.max(1.0))
}

/// The multiplier at which the present support would sum to 1.
fn newton(a: &DMatrix<f64>, b: &DVector<f64>, weights: &DVector<f64>) -> Option<f64> {
    let support: Vec<usize> = (0..b.len()).filter(|&j| weights[j] > 0.0).collect();
    let ones = DVector::from_element(b.len(), 1.0);
    let (free, slope) = (solve_on(a, b, &support)?, solve_on(a, &ones, &support)?);
    Some((free.sum() - 1.0) / slope.sum())
}

fn solve_on(a: &DMatrix<f64>, b: &DVector<f64>, support: &[usize]) -> Option<DVector<f64>> {
    let n = support.len();
    let part = DMatrix::from_fn(n, n, |i, j| a[(support[i], support[j])]);
    let right = DVector::from_fn(n, |i, _| b[support[i]]);
    let solution = part.clone().cholesky()?;
    let mut w = solution.solve(&right);
    w += solution.solve(&(right - part * &w));
    Some(w)
}

fn non_negative(a: &DMatrix<f64>, b: &DVector<f64>) -> Result<DVector<f64>> {
    let m = b.len();
    let failed = || Error::numerical("simplex weights", "the Gram matrix is not positive definite");
    let tolerance = 1e-14 * b.amax();
    let mut weights = DVector::zeros(m);
    let mut support: Vec<usize> = Vec::new();
    // Every pass lowers the objective, so no support comes back; the bound is for rounding alone.
    for _ in 0..3 * m + 10 {
        let gradient = b - a * &weights;
        let outside = (0..m).filter(|j| !support.contains(j));
        let entering = outside.max_by(|&i, &j| gradient[i].total_cmp(&gradient[j]));
        match entering {
            Some(j) if gradient[j] > tolerance => support.push(j),
            _ => break,
        }
        while !support.is_empty() {
            let wanted = solve_on(a, b, &support).ok_or_else(failed)?;
            let blocking = support.iter().zip(wanted.iter()).filter(|(_, w)| **w <= 0.0);
            let step = blocking.map(|(&j, &w)| weights[j] / (weights[j] - w));
            let step = step.fold(1.0, f64::min);
            let mut kept = Vec::with_capacity(support.len());
            for (&j, &w) in support.iter().zip(wanted.iter()) {
                let moved = weights[j] + step * (w - weights[j]);
                let leaves = w <= 0.0 && moved <= 1e-15;
                weights[j] = if leaves { 0.0 } else { moved };
                if !leaves {
                    kept.push(j);
                }
            }
            let done = kept.len() == support.len() && step >= 1.0;
            support = kept;
            if done {
                break;
            }
        }
    }
    Ok(weights)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn objective(a: &DMatrix<f64>, b: &DVector<f64>, w: &DVector<f64>) -> f64 {
        0.5 * w.dot(&(a * w)) - b.dot(w)
    }

    /// Every support, with and without the sum bound: the best feasible stationary point.
    fn brute_force(a: &DMatrix<f64>, b: &DVector<f64>) -> DVector<f64> {
        let m = b.len();
        let mut best = DVector::zeros(m);
        let ones = DVector::from_element(m, 1.0);
        for mask in 1_u32..1 << m {
            let support: Vec<usize> = (0..m).filter(|j| mask >> j & 1 == 1).collect();
            let free = solve_on(a, b, &support).unwrap();
            let slope = solve_on(a, &ones, &support).unwrap();
            let mu = (free.sum() - 1.0) / slope.sum();
            for candidate in [free.clone(), &free - slope * mu] {
                if candidate.iter().all(|&w| w >= 0.0) && candidate.sum() <= 1.0 + 1e-12 {
                    let mut w = DVector::zeros(m);
                    for (&j, &v) in support.iter().zip(candidate.iter()) {
                        w[j] = v;
                    }
                    if objective(a, b, &w) < objective(a, b, &best) {
                        best = w;
                    }
                }
            }
        }
        best
    }

    proptest! {
        #[test]
        fn prop_weights_meet_the_optimality_conditions_and_equal_brute_force(
            m in 1_usize..6,
            x in prop::collection::vec(-1.0_f64..1.0, 60),
            y in prop::collection::vec(-1.0_f64..1.0, 12),
            push in 0.0_f64..6.0,
            ridge in 1e-3_f64..1.0,
        ) {
            let x = DMatrix::from_fn(12, m, |i, j| x[i * 5 + j] + 0.5 * x[i * 5]);
            let a = x.tr_mul(&x) + DMatrix::identity(m, m) * ridge;
            let b = x.tr_mul(&DVector::from_vec(y)).add_scalar(push);
            let w = minimise(&a, &b).unwrap();
            prop_assert!(w.iter().all(|&v| v >= 0.0));
            prop_assert!(w.sum() <= 1.0 + 1e-15);
            prop_assert!((&w - brute_force(&a, &b)).amax() < 1e-10);
            // KKT: the gradient equals the multiplier on the support, is not above it elsewhere,
            // and the multiplier is zero unless the sum binds.
            let gradient = &b - &a * &w;
            let on = |j: &usize| w[*j] > 0.0;
            let mu = if w.sum() < 1.0 - 1e-12 {
                0.0
            } else {
                let on: Vec<f64> = (0..m).filter(on).map(|j| gradient[j]).collect();
                on.iter().sum::<f64>() / on.len() as f64
            };
            let scale = b.amax();
            prop_assert!(mu >= -1e-12 * scale);
            for j in 0..m {
                let slack = gradient[j] - mu;
                prop_assert!(slack <= 1e-12 * scale, "column {j}: {slack}");
                prop_assert!(w[j] == 0.0 || slack.abs() <= 1e-12 * scale, "column {j}: {slack}");
            }
        }
    }

    #[test]
    fn twins_share_the_weight_and_a_harmful_column_gets_none() {
        let a = DMatrix::from_row_slice(3, 3, &[1.01, 1.0, 0.0, 1.0, 1.01, 0.0, 0.0, 0.0, 1.0]);
        let w = minimise(&a, &DVector::from_vec(vec![0.5, 0.5, -0.3])).unwrap();
        assert!((w[0] - w[1]).abs() < 1e-13 && w[0] > 0.2 && w[2] == 0.0, "{w}");
        let none = minimise(&a, &DVector::from_vec(vec![-1.0, -1.0, 0.0])).unwrap();
        assert_eq!(none.amax(), 0.0);
    }
}
