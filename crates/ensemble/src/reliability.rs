use forecastle_core::{Error, Result};
use serde::{Deserialize, Serialize};

/// Says how often something happened where its probability was told to lie in one range.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ReliabilityBin {
    /// Smallest probability of the range.
    pub from: f64,
    /// End of the range, which belongs to the next one; to this one where it is 1.
    pub to: f64,
    /// Rows with a probability in the range.
    pub n: usize,
    /// Mean of their probabilities.
    pub mean_probability: f64,
    /// Share of them that happened.
    pub happened: f64,
}

impl ReliabilityBin {
    /// What happened minus what was told; positive where the probabilities were too low.
    pub fn gap(&self) -> f64 {
        self.happened - self.mean_probability
    }
}

/// Sorts probabilities into equal ranges and sets what was told beside what happened; ranges
/// without rows, and rows with a NaN, are left out.
///
/// - `probabilities`: `(n_rows,)`, each in 0 to 1
/// - `outcomes`: `(n_rows,)`, 1 where it happened and 0 where not; 0.5 for a tie
/// - `n_bins`: ranges, 10 for deciles
///
/// # Errors
/// - [`Error::InvalidParameter`] when `n_bins` is 0 or a number not in 0 to 1.
/// - [`Error::Shape`] when the lengths differ.
///
/// # Examples
/// ```
/// use forecastle_ensemble::reliability_table;
///
/// let table = reliability_table(&[0.62, 0.68, 0.31, 1.0], &[1.0, 0.0, 0.0, 1.0], 10)?;
/// assert_eq!(table.iter().map(|bin| bin.n).collect::<Vec<_>>(), [1, 2, 1]);
/// assert!((table[1].mean_probability - 0.65).abs() < 1e-12);
/// assert!((table[1].gap() + 0.15).abs() < 1e-12);
/// # Ok::<(), forecastle_core::Error>(())
/// ```
pub fn reliability_table(
    probabilities: &[f64],
    outcomes: &[f64],
    n_bins: usize,
) -> Result<Vec<ReliabilityBin>> {
    if n_bins == 0 {
        return Err(Error::invalid_parameter("n_bins", ">= 1", n_bins));
    }
    if outcomes.len() != probabilities.len() {
        let expected = format!("{} rows", probabilities.len());
        return Err(Error::shape("outcomes", expected, outcomes.len().to_string()));
    }
    let mut sums = vec![(0_usize, 0.0, 0.0); n_bins];
    for (p, y) in probabilities.iter().zip(outcomes) {
        if p.is_nan() || y.is_nan() {
            continue;
        }
        for (what, value) in [("probabilities", p), ("outcomes", y)] {
            if !(0.0..=1.0).contains(value) {
                return Err(Error::invalid_parameter(what, "in 0 to 1", value));
            }
        }
        let bin = ((p * n_bins as f64) as usize).min(n_bins - 1);
        if let Some((n, told, happened)) = sums.get_mut(bin) {
            *n += 1;
            *told += p;
            *happened += y;
        }
    }
    let filled = sums.into_iter().enumerate().filter(|(_, (n, ..))| *n > 0);
    let bin = |(i, (n, told, happened)): (usize, (usize, f64, f64))| ReliabilityBin {
        from: i as f64 / n_bins as f64,
        to: (i + 1) as f64 / n_bins as f64,
        n,
        mean_probability: told / n as f64,
        happened: happened / n as f64,
    };
    Ok(filled.map(bin).collect())
}
