/// Gauss-Legendre points on 0..1: a sum over them is the integral of any polynomial of degree up
/// to `2M − 1`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quadrature<const M: usize> {
    pub(crate) points: [f64; M],
    /// 1 less each point.
    pub(crate) rests: [f64; M],
    pub(crate) weights: [f64; M],
}

impl<const M: usize> Quadrature<M> {
    pub(crate) fn new() -> Self {
        let mut rule = Self { points: [0.5; M], rests: [0.5; M], weights: [1.0; M] };
        for i in 0..M.div_ceil(2) {
            let (x, weight) = root(M, i);
            // Symmetric about the middle.
            for (at, x) in [(i, x), (M - 1 - i, -x)] {
                rule.points[at] = 0.5 * (1.0 + x);
                rule.rests[at] = 0.5 * (1.0 - x);
                rule.weights[at] = 0.5 * weight;
            }
        }
        rule
    }
}

/// The `i`-th root, from 1 downwards, of the Legendre polynomial of degree `n`, by Newton's steps,
/// and its weight.
fn root(n: usize, i: usize) -> (f64, f64) {
    let n_f = n as f64;
    let mut x = (std::f64::consts::PI * (i as f64 + 0.75) / (n_f + 0.5)).cos();
    let mut slope = 1.0;
    // Quadratic from so near a start; the last step gives the slope at the root.
    for _ in 0..8 {
        let (mut before, mut value) = (1.0, x);
        for k in 2..=n {
            let k = k as f64;
            (before, value) = (value, ((2.0 * k - 1.0) * x * value - (k - 1.0) * before) / k);
        }
        slope = n_f * (x * value - before) / (x * x - 1.0);
        x -= value / slope;
    }
    (x, 2.0 / ((1.0 - x * x) * slope * slope))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worst<const M: usize>() -> f64 {
        let Quadrature { points, weights, rests } = Quadrature::<M>::new();
        assert!(points.iter().zip(rests).all(|(p, r)| (p + r - 1.0).abs() < 1e-15 && *p > 0.0));
        let integral = |degree: i32| -> f64 {
            points.iter().zip(weights).map(|(p, w)| w * p.powi(degree)).sum()
        };
        let error = |degree: i32| (integral(degree) * f64::from(degree + 1) - 1.0).abs();
        (0..2 * M as i32).map(error).fold(0.0, f64::max)
    }

    #[test]
    fn powers_are_integrated_up_to_twice_the_points() {
        let worst =
            [worst::<1>(), worst::<2>(), worst::<4>(), worst::<8>(), worst::<32>(), worst::<128>()];
        assert!(worst.iter().all(|&w| w < 1e-11), "{worst:?}");
        let two = Quadrature::<2>::new();
        let fourth: f64 = two.points.iter().zip(two.weights).map(|(p, w)| w * p.powi(4)).sum();
        assert!((fourth - 0.2).abs() > 1e-3);
    }
}
