use forecastle_core::{Error, Result};
use ndarray::{Array2, ArrayRef2};
use rayon::prelude::*;

use crate::BlockBootstrap;

/// What a standard deviation or a difference must exceed, in units of the numbers it comes from, not
/// to be their rounding.
pub(crate) const ROUNDING: f64 = 1e-14;

/// Where resampled rows come from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Resampling<'a> {
    /// Drawn: the bootstrap and the number of replications.
    Drawn(BlockBootstrap, usize),
    /// Given: `(n_resamples, n)` rows.
    Given(&'a ArrayRef2<usize>),
}

/// Columns in units of a power of two near the largest number of all, their means taken out.
#[derive(Debug)]
pub(crate) struct Centred {
    /// `(n, k)`
    pub(crate) values: Array2<f64>,
    /// Mean of each column.
    pub(crate) means: Vec<f64>,
    /// The largest magnitude in each column, before its mean was taken out.
    pub(crate) magnitudes: Vec<f64>,
    /// What one is in the columns' own unit.
    pub(crate) unit: f64,
}

impl Centred {
    /// Takes `(n, k)` finite values.
    pub(crate) fn new(mut values: Array2<f64>) -> Self {
        let largest = values.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
        // A power of two rounds nothing.
        let unit = if largest > 0.0 { largest.log2().floor().exp2() } else { 1.0 };
        let n = values.nrows() as f64;
        let (mut means, mut magnitudes) = (Vec::new(), Vec::new());
        for mut column in values.columns_mut() {
            column.mapv_inplace(|v| v / unit);
            magnitudes.push(column.iter().fold(0.0_f64, |m, v| m.max(v.abs())));
            let mean = column.iter().sum::<f64>() / n;
            column.mapv_inplace(|v| v - mean);
            means.push(mean);
        }
        Self { values, means, magnitudes, unit }
    }
}

/// The means of resampled columns, replication by replication: `n_resamples` rows of k.
pub(crate) fn resampled_means(
    columns: &Array2<f64>,
    resampling: Resampling<'_>,
) -> Result<Vec<f64>> {
    let (n, k) = columns.dim();
    let rows: Vec<f64> = columns.iter().copied().collect();
    let scale = 1.0 / n as f64;
    match resampling {
        Resampling::Drawn(bootstrap, n_resamples) => {
            bootstrap.check(n)?;
            // A block's sum is a difference of two running sums, whatever its length.
            let mut sums = vec![0.0; k];
            sums.reserve(rows.len());
            for t in 0..n {
                for j in 0..k {
                    let before = sums.get(t * k + j).copied().unwrap_or_default();
                    sums.push(before + rows.get(t * k + j).copied().unwrap_or_default());
                }
            }
            let at = |row: usize| sums.get(row * k..(row + 1) * k).unwrap_or_default();
            let mut means = vec![0.0; n_resamples.saturating_mul(k)];
            let draw = |(replication, means): (usize, &mut [f64])| {
                bootstrap.blocks(n, replication as u64, |start, length| {
                    let ends = at(start).iter().zip(at(start + length));
                    for (mean, (before, after)) in means.iter_mut().zip(ends) {
                        *mean += after - before;
                    }
                });
                means.iter_mut().for_each(|mean| *mean *= scale);
            };
            means.par_chunks_mut(k.max(1)).enumerate().with_min_len(32).for_each(draw);
            Ok(means)
        }
        Resampling::Given(indices) => {
            check_indices(indices, n)?;
            let mut means = vec![0.0; indices.nrows() * k];
            for (drawn, means) in indices.rows().into_iter().zip(means.chunks_mut(k.max(1))) {
                for &row in drawn {
                    let values = rows.get(row * k..(row + 1) * k).unwrap_or_default();
                    for (mean, value) in means.iter_mut().zip(values) {
                        *mean += value;
                    }
                }
                means.iter_mut().for_each(|mean| *mean *= scale);
            }
            Ok(means)
        }
    }
}

fn check_indices(indices: &ArrayRef2<usize>, n: usize) -> Result<()> {
    if indices.nrows() == 0 {
        return Err(Error::not_enough_data("indices", 1, 0));
    }
    if indices.ncols() != n {
        return Err(Error::shape("indices", format!("{n} columns"), indices.ncols().to_string()));
    }
    match indices.iter().find(|&&row| row >= n) {
        None => Ok(()),
        Some(row) => Err(Error::invalid_parameter("indices", format!("< {n}"), row)),
    }
}

/// Refuses a table that has no row or no column, or holds a NaN or an infinity.
pub(crate) fn check_losses(losses: &ArrayRef2<f64>) -> Result<()> {
    if losses.ncols() == 0 {
        return Err(Error::shape("losses", "a column per model", "0 columns"));
    }
    if losses.nrows() < 2 {
        return Err(Error::not_enough_data("losses", 2, losses.nrows()));
    }
    match losses.indexed_iter().find(|(_, v)| !v.is_finite()) {
        None => Ok(()),
        Some(((row, column), _)) => {
            Err(Error::NonFinite { what: "losses", row, column: column.to_string() })
        }
    }
}

/// The share of numbers above a limit.
pub(crate) fn share_above(values: &[f64], limit: f64) -> f64 {
    values.iter().filter(|v| **v > limit).count() as f64 / values.len() as f64
}
