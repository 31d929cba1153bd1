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
        let unit = binary_unit(largest);
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

/// A power of two near a number ≥ 0, by which dividing rounds nothing; 1 for 0.
pub(crate) fn binary_unit(largest: f64) -> f64 {
    // The largest number's logarithm rounds to 1024, whose power does not exist.
    if largest > 0.0 { largest.log2().floor().min(1023.0).exp2() } else { 1.0 }
}

/// Columns are added four at a time.
const LANES: usize = 4;

/// The means of resampled columns, replication by replication: `n_resamples` rows of k.
pub(crate) fn resampled_means(
    columns: &Array2<f64>,
    resampling: Resampling<'_>,
) -> Result<Vec<f64>> {
    let (n, k) = columns.dim();
    match resampling {
        Resampling::Drawn(bootstrap, n_resamples) => {
            bootstrap.check(n)?;
            let sums = RunningSums::new(columns);
            let mut means = vec![0.0; n_resamples.saturating_mul(k)];
            let draw = |total: &mut Vec<[f64; LANES]>,
                        (replication, means): (usize, &mut [f64])| {
                total.clear();
                total.resize(sums.width, [0.0; LANES]);
                bootstrap.blocks(n, replication as u64, |start, length| {
                    sums.add(start, start + length, total);
                });
                for (mean, sum) in means.iter_mut().zip(total.as_flattened()) {
                    *mean = sum / n as f64;
                }
            };
            let replications = means.par_chunks_mut(k.max(1)).enumerate().with_min_len(32);
            replications.for_each_init(Vec::new, draw);
            Ok(means)
        }
        Resampling::Given(indices) => {
            check_indices(indices, n)?;
            let mut means = vec![0.0; indices.nrows() * k];
            for (drawn, means) in indices.rows().into_iter().zip(means.chunks_mut(k.max(1))) {
                for &row in drawn {
                    for (mean, value) in means.iter_mut().zip(columns.row(row)) {
                        *mean += value;
                    }
                }
                means.iter_mut().for_each(|mean| *mean /= n as f64);
            }
            Ok(means)
        }
    }
}

/// Sums of the first 0, 1, … n rows: those of a block are a difference of two, whatever its length.
struct RunningSums {
    /// Rows of `width` groups of columns, the last one filled up with 0.
    sums: Vec<[f64; LANES]>,
    width: usize,
}

impl RunningSums {
    fn new(columns: &Array2<f64>) -> Self {
        let width = columns.ncols().div_ceil(LANES);
        let mut total = vec![[0.0; LANES]; width];
        let mut sums = total.clone();
        for row in columns.rows() {
            for (sum, value) in total.as_flattened_mut().iter_mut().zip(row) {
                *sum += value;
            }
            sums.extend_from_slice(&total);
        }
        Self { sums, width }
    }

    /// Adds the sums of rows `start..end`.
    fn add(&self, start: usize, end: usize, total: &mut [[f64; LANES]]) {
        let at = |row: usize| {
            let first = row * self.width;
            self.sums.get(first..first + self.width).unwrap_or_default()
        };
        for (total, (before, after)) in total.iter_mut().zip(at(start).iter().zip(at(end))) {
            for (sum, (b, a)) in total.iter_mut().zip(before.iter().zip(after)) {
                *sum += a - b;
            }
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
