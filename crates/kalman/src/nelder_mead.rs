/// Minimises a function of a few variables without derivatives.
///
/// The simplex of Nelder and Mead (1965) with their coefficients; ties are broken by order, so the
/// same function gives the same bits. A value that is not finite counts as infinitely bad.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NelderMead {
    /// Done when the simplex's values differ by less.
    pub(crate) tolerance: f64,
    /// Evaluations allowed.
    pub(crate) budget: usize,
    /// Edge of the first simplex.
    pub(crate) edge: f64,
}

/// Where a search ended.
#[derive(Debug, Clone)]
pub(crate) struct Minimum {
    pub(crate) point: Vec<f64>,
    pub(crate) value: f64,
    pub(crate) converged: bool,
}

impl NelderMead {
    pub(crate) fn minimise(
        &self,
        start: &[f64],
        objective: &mut dyn FnMut(&[f64]) -> f64,
    ) -> Minimum {
        let n = start.len();
        let mut at = |point: Vec<f64>| -> (Vec<f64>, f64) {
            let value = objective(&point);
            let value = if value.is_finite() { value } else { f64::INFINITY };
            (point, value)
        };
        let mut simplex = vec![at(start.to_vec())];
        for i in 0..n {
            let moved = |(j, x): (usize, &f64)| if i == j { x + self.edge } else { *x };
            simplex.push(at(start.iter().enumerate().map(moved).collect()));
        }
        let mut evaluations = n + 1;
        let mut converged = false;
        loop {
            simplex.sort_by(|a, b| a.1.total_cmp(&b.1));
            let (best, worst) = (simplex[0].1, simplex[n].1);
            if worst - best <= self.tolerance {
                converged = true;
                break;
            }
            if evaluations >= self.budget {
                break;
            }
            let centre = |j: usize| simplex[..n].iter().map(|v| v.0[j]).sum::<f64>() / n as f64;
            let centre: Vec<f64> = (0..n).map(centre).collect();
            let last = simplex[n].0.clone();
            let along = |step: f64| -> Vec<f64> {
                let pairs = centre.iter().zip(&last);
                pairs.map(|(c, w)| c + step * (c - w)).collect()
            };
            let reflected = at(along(1.0));
            evaluations += 1;
            if reflected.1 < best {
                let expanded = at(along(2.0));
                evaluations += 1;
                simplex[n] = if expanded.1 < reflected.1 { expanded } else { reflected };
                continue;
            }
            if reflected.1 < simplex[n - 1].1 {
                simplex[n] = reflected;
                continue;
            }
            let outside = reflected.1 < worst;
            let contracted = at(along(if outside { 0.5 } else { -0.5 }));
            evaluations += 1;
            if contracted.1 < worst.min(reflected.1) {
                simplex[n] = contracted;
                continue;
            }
            let towards = simplex[0].0.clone();
            for vertex in simplex.iter_mut().skip(1) {
                let halfway = towards.iter().zip(&vertex.0).map(|(b, x)| 0.5 * (b + x));
                *vertex = at(halfway.collect());
            }
            evaluations += n;
        }
        let (point, value) = simplex.swap_remove(0);
        Minimum { point, value, converged }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bottom_of_a_curved_valley_is_found() {
        let method = NelderMead { tolerance: 1e-14, budget: 500, edge: 1.0 };
        let mut banana = |x: &[f64]| (1.0 - x[0]).powi(2) + 100.0 * (x[1] - x[0] * x[0]).powi(2);
        let minimum = method.minimise(&[-1.2, 1.0], &mut banana);
        assert!(minimum.converged);
        assert!((minimum.point[0] - 1.0).abs() < 1e-6 && (minimum.point[1] - 1.0).abs() < 1e-6);
        let hurried = NelderMead { budget: 20, ..method }.minimise(&[-1.2, 1.0], &mut banana);
        assert!(!hurried.converged && hurried.value > minimum.value);
    }

    #[test]
    fn values_that_are_not_finite_are_walked_around() {
        let method = NelderMead { tolerance: 1e-12, budget: 500, edge: 1.0 };
        let minimum = method.minimise(&[0.5], &mut |x| if x[0] > 1.2 { f64::NAN } else { -x[0] });
        assert!((minimum.point[0] - 1.2).abs() < 1e-9);
    }
}
