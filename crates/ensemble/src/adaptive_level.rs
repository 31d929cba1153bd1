use forecastle_core::{Error, Result};
use serde::{Deserialize, Serialize};

/// Steps that are tried side by side.
pub(crate) const EXPERTS: usize = 8;
/// The smallest of them; each of the others doubles the one before.
const SMALLEST_STEP: f64 = 0.001;
/// Labels over which the aggregation promises to follow the best step.
const SPAN: f64 = 500.0;

/// Says how fast the miss level answers a hit or a miss.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StepSize {
    /// One step `γ`: adaptive conformal inference (ACI); 0 never moves, which is split conformal
    /// with the scores so far.
    Fixed(f64),
    /// Eight steps from 0.001 to 0.128, weighted by how well each did lately: dynamically-tuned
    /// adaptive conformal inference (`DtACI`).
    Aggregated,
}

impl StepSize {
    pub(crate) fn check(self) -> Result<()> {
        match self {
            Self::Fixed(step) if !(0.0..=1.0).contains(&step) => {
                Err(Error::invalid_parameter("step", "in 0 to 1", step))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn experts(self) -> usize {
        match self {
            Self::Fixed(_) => 1,
            Self::Aggregated => EXPERTS,
        }
    }

    fn of(self, expert: usize) -> f64 {
        match self {
            Self::Fixed(step) => step,
            Self::Aggregated => SMALLEST_STEP * (1_u32 << expert.min(31)) as f64,
        }
    }
}

/// One miss level a step size, and how much each is trusted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct AdaptiveLevel {
    levels: Vec<f64>,
    /// Sum to 1.
    weights: Vec<f64>,
}

/// What became of a label whose interval was issued earlier.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outcome<'a> {
    /// The levels at issue.
    pub(crate) issued: &'a [f64; EXPERTS],
    /// The level from which on the label would have been outside.
    pub(crate) turning: f64,
    /// Whether it was outside at the level issued.
    pub(crate) missed: bool,
}

impl AdaptiveLevel {
    pub(crate) fn new(wanted: f64, step: StepSize) -> Self {
        let n = step.experts();
        Self { levels: vec![wanted; n], weights: vec![1.0 / n as f64; n] }
    }

    pub(crate) fn is_valid(&self, step: StepSize) -> bool {
        let n = step.experts();
        let finite = self.levels.iter().all(|l| l.is_finite());
        let shares = self.weights.iter().all(|w| (0.0..=1.0).contains(w));
        self.levels.len() == n && self.weights.len() == n && finite && shares
    }

    /// The level in force.
    pub(crate) fn level(&self) -> f64 {
        match self.levels.as_slice() {
            [only] => *only,
            levels => levels.iter().zip(&self.weights).map(|(l, w)| l * w).sum(),
        }
    }

    /// The levels by step, the unused ones 0.
    pub(crate) fn levels(&self) -> [f64; EXPERTS] {
        let mut levels = [0.0; EXPERTS];
        for (slot, level) in levels.iter_mut().zip(&self.levels) {
            *slot = *level;
        }
        levels
    }

    /// Learns from a label; `share` is the part of an independent label that it is worth.
    pub(crate) fn learn(&mut self, wanted: f64, step: StepSize, share: f64, outcome: Outcome<'_>) {
        let Outcome { issued, turning, missed } = outcome;
        if let [only] = self.levels.as_mut_slice() {
            *only += step.of(0) * share * (wanted - f64::from(u8::from(missed)));
            return;
        }
        let rate = share * learning_rate(wanted, self.levels.len());
        let mut sum = 0.0;
        let experts = self.levels.iter_mut().zip(&mut self.weights).zip(issued).enumerate();
        for (k, ((level, weight), then)) in experts {
            let distance = turning - then;
            let loss = wanted * distance - distance.min(0.0);
            *weight *= (-rate * loss).exp();
            sum += *weight;
            let missed = f64::from(u8::from(*then >= turning));
            *level += step.of(k) * share * (wanted - missed);
        }
        // A floor under every weight lets a step that did badly come back.
        let (even, floor) = (1.0 / self.weights.len() as f64, 1.0 / (2.0 * SPAN));
        for weight in &mut self.weights {
            let fair = if sum > 0.0 { *weight / sum } else { even };
            *weight = (1.0 - floor) * fair + floor * even;
        }
    }
}

/// `√(3/I) · √((ln(2KI) + 1) / ((1 − α)²α³ + α²(1 − α)³))` over `I` labels and `K` steps; 2.72 at
/// `α` = 0.1, the figure of Gibbs and Candès.
fn learning_rate(miss: f64, experts: usize) -> f64 {
    let hit = 1.0 - miss;
    let variance = hit.powi(2) * miss.powi(3) + miss.powi(2) * hit.powi(3);
    (3.0 / SPAN).sqrt() * (((2.0 * SPAN * experts as f64).ln() + 1.0) / variance).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Levels after label `t`, the turning levels being `beta(t)`: class `DtACI` of the Python
    /// package confopt 2.0.1 with the paper's learning rate and without its clipping, see
    /// `tests/reference/make_intervals.py`.
    const DTACI: [(usize, f64); 5] = [
        (0, 0.0713125),
        (9, 0.1),
        (99, 0.07993809218281944),
        (150, 0.06021216659223691),
        (300, 0.03946157270477576),
    ];

    fn beta(t: usize) -> f64 {
        let u = ((t * 7919 + 13) % 1009) as f64 / 1009.0;
        if t < 100 { u } else { u.powf(1.6) }
    }

    #[test]
    fn aggregated_levels_are_those_of_the_package_confopt() {
        assert!((learning_rate(0.1, 8) - 2.72).abs() < 0.005);
        let mut level = AdaptiveLevel::new(0.1, StepSize::Aggregated);
        let mut seen = 0;
        for t in 0..=300 {
            let issued = level.levels();
            let outcome = Outcome { issued: &issued, turning: beta(t), missed: false };
            level.learn(0.1, StepSize::Aggregated, 1.0, outcome);
            if let Some((_, expected)) = DTACI.iter().find(|(at, _)| *at == t) {
                let got = level.level();
                assert!((got - expected).abs() < 1e-12, "{t}: {got}, expected {expected}");
                seen += 1;
            }
        }
        assert_eq!(seen, DTACI.len());
    }

    #[test]
    fn a_step_that_suits_gains_weight_and_none_is_lost() {
        let mut level = AdaptiveLevel::new(0.1, StepSize::Aggregated);
        // Every label would be outside from 0.4 on: the fast steps get there first.
        for _ in 0..200 {
            let issued = level.levels();
            let outcome = Outcome { issued: &issued, turning: 0.4, missed: false };
            level.learn(0.1, StepSize::Aggregated, 1.0, outcome);
        }
        let (slow, fast) = (level.weights[0], level.weights[4]);
        assert!(fast > 3.0 * slow && slow > 1e-5, "{:?}", level.weights);
        assert!((level.weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }
}
