use crate::McsStatistic;
use crate::resampled_means::{Centred, ROUNDING, share_above};

/// One step: the model that goes, and its p-value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Elimination {
    pub(crate) model: usize,
    pub(crate) p_value: f64,
}

/// One test of equal accuracy.
struct Test {
    statistic: f64,
    worst: usize,
    p_value: f64,
}

/// Eliminates the worst model again and again; `drawn` are resampled means of the centred losses.
pub(crate) fn eliminate(
    losses: &Centred,
    drawn: &[f64],
    statistic: McsStatistic,
) -> Vec<Elimination> {
    let k = losses.means.len();
    let pairs = match statistic {
        McsStatistic::Range => Some(Pairs::new(losses, drawn)),
        McsStatistic::Max => None,
    };
    let mut left: Vec<usize> = (0..k).collect();
    let mut order = Vec::with_capacity(k);
    let mut p_value = 0.0_f64;
    while left.len() > 1 {
        let mut test = match &pairs {
            Some(pairs) => pairs.test(&losses.means, &left, drawn),
            None => against_mean(losses, &left, drawn),
        };
        // Nothing differs, so nothing speaks against equality.
        if test.statistic <= 0.0 {
            test.p_value = 1.0;
        }
        p_value = p_value.max(test.p_value);
        order.push(Elimination { model: test.worst, p_value });
        left.retain(|&model| model != test.worst);
    }
    order.extend(left.iter().map(|&model| Elimination { model, p_value: 1.0 }));
    order
}

/// A difference of mean losses in units of its standard deviation, and what its resampled values are
/// to be multiplied by; a difference without variance is 0 or decisive, and its resampled values 0.
fn studentized(difference: f64, deviation: f64, magnitude: f64) -> (f64, f64) {
    if deviation > ROUNDING * magnitude {
        (difference / deviation, 1.0 / deviation)
    } else if difference.abs() <= ROUNDING * magnitude {
        (0.0, 0.0)
    } else {
        (f64::INFINITY.copysign(difference), 0.0)
    }
}

/// Takes note of a model's statistic if it is the largest so far; of infinite ones the model with the
/// larger mean loss is worse.
fn note(worst: &mut (f64, usize), means: &[f64], t: f64, model: usize) {
    let larger = || means.get(model) > means.get(worst.1);
    if t > worst.0 || (t == worst.0 && t == f64::INFINITY && larger()) {
        *worst = (t, model);
    }
}

/// `T_max`: each model's loss against the mean of those left.
fn against_mean(losses: &Centred, left: &[usize], drawn: &[f64]) -> Test {
    let at = |values: &[f64], j: usize| values.get(j).copied().unwrap_or_default();
    let count = left.len() as f64;
    let mean_of = |values: &[f64]| left.iter().map(|&j| at(values, j)).sum::<f64>() / count;
    let k = losses.means.len();
    let n_resamples = drawn.len() as f64 / k as f64;
    let mut squares = vec![0.0; left.len()];
    let centres: Vec<f64> = drawn.chunks(k).map(mean_of).collect();
    for (row, centre) in drawn.chunks(k).zip(&centres) {
        for (square, &j) in squares.iter_mut().zip(left) {
            let difference = at(row, j) - centre;
            *square += difference * difference;
        }
    }
    let magnitude = left.iter().map(|&j| at(&losses.magnitudes, j)).fold(0.0, f64::max);
    let mean = mean_of(&losses.means);
    let mut worst = (f64::NEG_INFINITY, 0);
    let mut scales = Vec::with_capacity(left.len());
    for (square, &j) in squares.iter().zip(left) {
        let deviation = (square / n_resamples).sqrt();
        let (t, scale) = studentized(at(&losses.means, j) - mean, deviation, magnitude);
        scales.push(scale);
        note(&mut worst, &losses.means, t, j);
    }
    let largest = |(row, centre): (&[f64], &f64)| {
        let terms = left.iter().zip(&scales).map(|(&j, scale)| (at(row, j) - centre) * scale);
        terms.fold(f64::NEG_INFINITY, f64::max)
    };
    let simulated: Vec<f64> = drawn.chunks(k).zip(&centres).map(largest).collect();
    let (statistic, worst) = worst;
    Test { statistic, worst, p_value: share_above(&simulated, statistic) }
}

/// `T_R`: every pair, their statistics the same in all steps.
struct Pairs {
    k: usize,
    /// `k × k` statistics of row minus column.
    statistics: Vec<f64>,
    /// `k × k` factors of resampled differences.
    scales: Vec<f64>,
}

impl Pairs {
    fn new(losses: &Centred, drawn: &[f64]) -> Self {
        let k = losses.means.len();
        let n_resamples = drawn.len() as f64 / k as f64;
        let mut squares = vec![0.0; k * k];
        for row in drawn.chunks(k) {
            for (squares, a) in squares.chunks_mut(k).zip(row) {
                for (square, b) in squares.iter_mut().zip(row) {
                    *square += (a - b) * (a - b);
                }
            }
        }
        let models = || losses.means.iter().zip(&losses.magnitudes);
        let (mut statistics, mut scales) = (Vec::new(), Vec::new());
        for (squares, (a, a_size)) in squares.chunks(k).zip(models()) {
            for (square, (b, b_size)) in squares.iter().zip(models()) {
                let deviation = (square / n_resamples).sqrt();
                let (t, scale) = studentized(a - b, deviation, a_size.max(*b_size));
                statistics.push(t);
                scales.push(scale);
            }
        }
        Self { k, statistics, scales }
    }

    fn test(&self, means: &[f64], left: &[usize], drawn: &[f64]) -> Test {
        let k = self.k;
        let row_of = |table: &'_ [f64], i: usize| -> Vec<f64> {
            let row = table.get(i * k..(i + 1) * k).unwrap_or_default();
            left.iter().filter_map(|&j| row.get(j).copied()).collect()
        };
        let mut worst = (f64::NEG_INFINITY, 0);
        for &i in left {
            for t in row_of(&self.statistics, i) {
                note(&mut worst, means, t, i);
            }
        }
        let (statistic, worst) = worst;
        let scales: Vec<Vec<f64>> = left.iter().map(|&i| row_of(&self.scales, i)).collect();
        let mut resampled = Vec::with_capacity(left.len());
        let mut largest = |row: &[f64]| {
            resampled.clear();
            resampled.extend(left.iter().filter_map(|&j| row.get(j).copied()));
            let mut largest = 0.0_f64;
            for (i, (a, scales)) in resampled.iter().zip(&scales).enumerate() {
                // The other half is the same with the opposite sign.
                for (b, scale) in resampled.iter().zip(scales).take(i) {
                    largest = largest.max((a - b).abs() * scale);
                }
            }
            largest
        };
        let simulated: Vec<f64> = drawn.chunks(k).map(&mut largest).collect();
        Test { statistic, worst, p_value: share_above(&simulated, statistic) }
    }
}
