//! What was told and what came true, by deciles of the probability.

/// A decile that is not empty.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decile {
    pub(crate) n: usize,
    told: f64,
    came_true: f64,
}

impl Decile {
    /// Share that came true minus mean probability.
    pub(crate) fn gap(&self) -> f64 {
        (self.came_true - self.told) / self.n as f64
    }
}

pub(crate) fn deciles(told: &[f64], came_true: &[f64]) -> Vec<Decile> {
    let mut bins = vec![Decile { n: 0, told: 0.0, came_true: 0.0 }; 10];
    for (p, y) in told.iter().zip(came_true) {
        let bin = &mut bins[((p * 10.0) as usize).min(9)];
        bin.n += 1;
        bin.told += p;
        bin.came_true += y;
    }
    bins.retain(|bin| bin.n > 0);
    bins
}
