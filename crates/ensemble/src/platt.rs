use serde::{Deserialize, Serialize};

/// Log odds beyond which raw probabilities are not told apart, ln(0.999 / 0.001).
const FURTHEST: f64 = 6.906_754_778_648_554;
/// Newton steps; some ten are enough.
const STEPS: usize = 100;

/// A logistic curve in the log odds of the raw probability, its slope not negative.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sigmoid {
    pub(crate) intercept: f64,
    pub(crate) slope: f64,
}

pub(crate) fn logit(p: f64) -> f64 {
    (p / (1.0 - p)).ln().clamp(-FURTHEST, FURTHEST)
}

fn logistic(x: f64) -> f64 {
    if x >= 0.0 {
        1.0 / (1.0 + (-x).exp())
    } else {
        let e = x.exp();
        e / (1.0 + e)
    }
}

impl Sigmoid {
    pub(crate) fn at(&self, score: f64) -> f64 {
        logistic(self.intercept + self.slope * score)
    }

    /// Maximum likelihood on soft targets strictly between 0 and 1, which have one and a finite one.
    pub(crate) fn fit(scores: &[f64], targets: &[f64]) -> Self {
        let mean = targets.iter().sum::<f64>() / targets.len() as f64;
        let mut fitted = Self { intercept: (mean / (1.0 - mean)).ln(), slope: 0.0 };
        let mut loss = fitted.loss(scores, targets);
        for _ in 0..STEPS {
            let (mut g0, mut g1, mut h00, mut h01, mut h11) = (0.0, 0.0, 0.0, 0.0, 0.0);
            for (z, t) in scores.iter().zip(targets) {
                let p = fitted.at(*z);
                let (error, weight) = (p - t, p * (1.0 - p));
                g0 += error;
                g1 += error * z;
                h00 += weight;
                h01 += weight * z;
                h11 += weight * z * z;
            }
            let determinant = h00 * h11 - h01 * h01;
            // Scores that do not differ have no slope.
            if determinant <= 1e-12 * h00 * h11 {
                break;
            }
            let step0 = (h11 * g0 - h01 * g1) / determinant;
            let step1 = (h00 * g1 - h01 * g0) / determinant;
            let mut part = 1.0;
            let next = loop {
                let tried = Self {
                    intercept: fitted.intercept - part * step0,
                    slope: fitted.slope - part * step1,
                };
                let now = tried.loss(scores, targets);
                if now < loss {
                    break Some((tried, now));
                }
                part *= 0.5;
                if part < 1e-6 {
                    break None;
                }
            };
            let Some((better, lower)) = next else {
                break;
            };
            (fitted, loss) = (better, lower);
        }
        if fitted.slope > 0.0 {
            return fitted;
        }
        Self { intercept: (mean / (1.0 - mean)).ln(), slope: 0.0 }
    }

    /// The same with another slope, and the intercept at which the mean probability is `mean`.
    pub(crate) fn shrunk(&self, factor: f64, scores: &[f64], mean: f64) -> Self {
        let slope = self.slope * factor;
        let at = |intercept: f64| {
            let curve = Self { intercept, slope };
            scores.iter().map(|z| curve.at(*z)).sum::<f64>() / scores.len() as f64
        };
        let centre = (mean / (1.0 - mean)).ln();
        let reach = slope * FURTHEST;
        let (mut low, mut high) = (centre - reach, centre + reach);
        // The mean grows with the intercept: halve the bracket down to the last bits.
        for _ in 0..STEPS {
            let middle = 0.5 * (low + high);
            if middle <= low || middle >= high {
                break;
            }
            if at(middle) < mean { low = middle } else { high = middle }
        }
        Self { intercept: 0.5 * (low + high), slope }
    }

    pub(crate) fn loss(&self, scores: &[f64], targets: &[f64]) -> f64 {
        let each = |(z, t): (&f64, &f64)| {
            let x = self.intercept + self.slope * z;
            // ln(1 + eˣ) − t·x
            x.max(0.0) + (-x.abs()).exp().ln_1p() - t * x
        };
        scores.iter().zip(targets).map(each).sum()
    }
}

/// Platt's targets: `(n₊ + h) / (n₊ + 2h)` where it happened and `h / (n₋ + 2h)` where it did not,
/// `h` the weight of one pair among overlapping ones.
pub(crate) fn smoothed(outcomes: &[f64], weight: f64) -> Vec<f64> {
    let happened: f64 = outcomes.iter().sum();
    let not = outcomes.len() as f64 - happened;
    let yes = (happened + weight) / (happened + 2.0 * weight);
    let no = weight / (not + 2.0 * weight);
    outcomes.iter().map(|y| y * yes + (1.0 - y) * no).collect()
}
