use rand::{Rng, RngExt};
use statrs::distribution::{Continuous, ContinuousCDF, Normal};

/// Trials whose weight is never reduced: the latest ones.
const RECENT: usize = 25;

/// Narrowest and widest share of the range that bandwidths are clipped to, as hyperopt and Optuna
/// do: 1 / min(100, 1 + number of kernels).
const FINEST: f64 = 100.0;

/// A density on the unit interval: a normal kernel, cut off at the ends, on every observation, and a
/// wide one in the middle, the prior.
#[derive(Debug, Clone)]
pub(super) struct Parzen {
    kernels: Vec<Kernel>,
    total: f64,
}

#[derive(Debug, Clone, Copy)]
struct Kernel {
    weight: f64,
    mean: f64,
    deviation: f64,
    /// Share of the uncut kernel below 0, and inside.
    below: f64,
    inside: f64,
}

impl Parzen {
    /// Sets kernels on the observations, oldest first; each is as wide as the larger of the gaps to
    /// its neighbours.
    pub(super) fn new(observations: &[f64], prior_weight: f64) -> Self {
        let n = observations.len();
        let mut sorted: Vec<(f64, usize)> = observations.iter().copied().zip(0..n).collect();
        sorted.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let narrowest = 1.0 / FINEST.min(n as f64 + 2.0);
        let mut deviations = vec![1.0; n];
        for (rank, &(place, index)) in sorted.iter().enumerate() {
            let left = rank.checked_sub(1).and_then(|r| sorted.get(r)).map(|s| place - s.0);
            let right = sorted.get(rank + 1).map(|s| s.0 - place);
            // The ends are neighbours to an observation that stands alone only.
            let widest = left.into_iter().chain(right).reduce(f64::max);
            let widest = widest.unwrap_or(place.max(1.0 - place));
            deviations[index] = widest.clamp(narrowest, 1.0);
        }
        let mut kernels: Vec<Kernel> = observations
            .iter()
            .zip(deviations)
            .zip(recency_weights(n))
            .map(|((&mean, deviation), weight)| Kernel::new(weight, mean, deviation))
            .collect();
        kernels.push(Kernel::new(prior_weight, 0.5, 1.0));
        Self { total: kernels.iter().map(|k| k.weight).sum(), kernels }
    }

    /// Draws a place.
    pub(super) fn draw(&self, random: &mut impl Rng) -> f64 {
        let mut share = random.random::<f64>() * self.total;
        let place = random.random::<f64>();
        for kernel in &self.kernels {
            if share < kernel.weight {
                return kernel.quantile(place);
            }
            share -= kernel.weight;
        }
        // Rounding alone comes here.
        place
    }

    /// The density at a place.
    pub(super) fn density(&self, place: f64) -> f64 {
        self.mean_over_kernels(|kernel| kernel.density(place))
    }

    /// The probability of a stretch.
    pub(super) fn probability(&self, from: f64, to: f64) -> f64 {
        self.mean_over_kernels(|kernel| kernel.below(to) - kernel.below(from))
    }

    fn mean_over_kernels(&self, of: impl Fn(&Kernel) -> f64) -> f64 {
        self.kernels.iter().map(|kernel| kernel.weight * of(kernel)).sum::<f64>() / self.total
    }
}

impl Kernel {
    fn new(weight: f64, mean: f64, deviation: f64) -> Self {
        let normal = Normal::standard();
        let below = normal.cdf(-mean / deviation);
        let inside = normal.cdf((1.0 - mean) / deviation) - below;
        Self { weight, mean, deviation, below, inside }
    }

    fn density(&self, place: f64) -> f64 {
        let z = (place - self.mean) / self.deviation;
        Normal::standard().pdf(z) / (self.deviation * self.inside)
    }

    fn below(&self, place: f64) -> f64 {
        (Normal::standard().cdf((place - self.mean) / self.deviation) - self.below) / self.inside
    }

    fn quantile(&self, share: f64) -> f64 {
        let z = Normal::standard().inverse_cdf(self.below + share * self.inside);
        (self.mean + self.deviation * z).clamp(0.0, 1.0)
    }
}

/// Probabilities of categories: every observation speaks for its own, the prior for all alike.
pub(super) fn categorical(observations: &[usize], n: usize, prior_weight: f64) -> Vec<f64> {
    let weights = recency_weights(observations.len());
    let uniform = 1.0 / n as f64;
    let share = prior_weight / (observations.len() + 1) as f64;
    let mut probabilities = vec![prior_weight * uniform; n];
    let mut total = prior_weight;
    for (&seen, weight) in observations.iter().zip(weights) {
        let whole = 1.0 + share * n as f64;
        for (category, probability) in probabilities.iter_mut().enumerate() {
            let own = if category == seen { 1.0 } else { 0.0 };
            *probability += weight * (own + share) / whole;
        }
        total += weight;
    }
    probabilities.iter_mut().for_each(|p| *p /= total);
    probabilities
}

/// Weights of `n` observations, oldest first: 1 for the recent ones, less for each that is older.
fn recency_weights(n: usize) -> Vec<f64> {
    let old = n.saturating_sub(RECENT);
    let ramp = |i: usize| {
        let (first, steps) = (1.0 / n as f64, old.saturating_sub(1).max(1) as f64);
        first + (1.0 - first) * i as f64 / steps
    };
    (0..n).map(|i| if i < old { ramp(i) } else { 1.0 }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_xoshiro::Xoshiro256PlusPlus;

    fn estimate() -> Parzen {
        Parzen::new(&[0.02, 0.9, 0.93, 0.3, 0.93], 1.0)
    }

    #[test]
    fn the_density_integrates_to_one_and_to_the_probability_of_a_stretch() {
        let parzen = estimate();
        let integral = |from: f64, to: f64| -> f64 {
            let step = (to - from) / 20_000.0;
            (0..20_000).map(|i| parzen.density(from + (f64::from(i) + 0.5) * step) * step).sum()
        };
        assert!((integral(0.0, 1.0) - 1.0).abs() < 1e-8);
        assert!((integral(0.2, 0.4) - parzen.probability(0.2, 0.4)).abs() < 1e-8);
        assert!((parzen.probability(0.0, 1.0) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn draws_follow_the_density() {
        let parzen = estimate();
        let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
        let mut draws: Vec<f64> = (0..20_000).map(|_| parzen.draw(&mut random)).collect();
        draws.sort_by(f64::total_cmp);
        // Kolmogorov-Smirnov; 1.95 / sqrt(n) is passed once in a thousand times.
        let n = draws.len() as f64;
        let distances = draws
            .iter()
            .enumerate()
            .map(|(i, d)| (parzen.probability(0.0, *d) - i as f64 / n).abs());
        let largest = distances.fold(0.0, f64::max);
        assert!(largest < 1.95 / n.sqrt(), "{largest}");
    }

    #[test]
    fn kernels_are_as_wide_as_the_larger_gap_within_the_clip() {
        let parzen = estimate();
        let deviations: Vec<f64> = parzen.kernels.iter().map(|k| k.deviation).collect();
        // Sorted: 0.02 0.3 0.9 0.93 0.93; narrowest 1/7. The prior comes last.
        let expected = [0.28, 0.6, 1.0 / 7.0, 0.6, 1.0 / 7.0, 1.0];
        for (deviation, expected) in deviations.iter().zip(expected) {
            assert!((deviation - expected).abs() < 1e-12, "{deviations:?}");
        }
        assert_eq!(Parzen::new(&[0.2], 1.0).kernels[0].deviation, 0.8);
    }

    #[test]
    fn categories_seen_often_are_likelier_and_none_is_impossible() {
        let probabilities = categorical(&[2, 2, 0], 4, 1.0);
        assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!(probabilities[2] > probabilities[0] && probabilities[0] > probabilities[1]);
        assert!(probabilities[1] > 0.0 && probabilities[1] == probabilities[3]);
        assert_eq!(categorical(&[], 2, 1.0), [0.5, 0.5]);
    }

    #[test]
    fn old_observations_weigh_less_than_recent_ones() {
        assert_eq!(recency_weights(25), [1.0; 25]);
        let weights = recency_weights(40);
        assert_eq!((weights[0], weights[14], weights[39]), (1.0 / 40.0, 1.0, 1.0));
        assert!(weights.windows(2).all(|pair| pair[0] <= pair[1]));
    }
}
