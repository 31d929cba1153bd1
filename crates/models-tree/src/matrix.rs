use forecastle_core::{Dataset, Error, Result, check_feature_names};
use ndarray::{ArrayRef2, s};
use rayon::prelude::*;

use crate::binning::{FeatureBins, MISSING};
use crate::params::check_max_bins;

/// Features of a block. A block's histograms then fit the first-level cache, a row of it is one
/// machine word, and a histogram of 256 bins needs no bounds check for a `u8`.
pub(crate) const LANES: usize = 8;

/// One row of a block.
pub(crate) type BinRow = [u8; LANES];

/// Rows that one task bins.
const CHUNK: usize = 8192;

/// Holds features as bin numbers, one byte each: what trees are grown on.
///
/// Made once, it serves many fits through
/// [`BoostingParams::fit_binned`](crate::BoostingParams::fit_binned): parameter sets, seeds and the
/// folds of a split.
///
/// # Examples
/// ```
/// use forecastle_core::{Dataset, Rows};
/// use forecastle_models_tree::{BinnedMatrix, BoostingParams};
/// use ndarray::{Array1, Array2};
///
/// let names = ["x".to_owned()];
/// let records = Array2::from_shape_fn((600, 1), |(i, _)| (i % 100) as f64);
/// let targets = Array1::from_shape_fn(600, |i| (i % 100) as f64);
/// let (early, all) = (Rows::from(0..300), Rows::from(0..600));
/// let dataset = Dataset::new(&names, &records, &targets, &early, 1)?;
///
/// let matrix = BinnedMatrix::new(dataset, 255)?;
/// let params = BoostingParams::default();
/// let first = params.fit_binned(&matrix, dataset)?;
/// let second = params.fit_binned(&matrix, dataset.with_rows(&all)?)?;
/// assert_ne!(first.predict_row(&[99.0])?, second.predict_row(&[99.0])?);
/// # Ok::<(), forecastle_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct BinnedMatrix {
    names: Vec<String>,
    features: Vec<FeatureBins>,
    blocks: Vec<Vec<BinRow>>,
    n_rows: usize,
}

impl BinnedMatrix {
    /// Chooses bin edges from the dataset's selected rows, by their weights, and bins every bar.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] when `max_bins` is not between 2 and 255.
    /// - [`Error::NotEnoughData`] when no selected row has a positive weight.
    /// - [`Error::Shape`] when there are more than 4,294,967,295 bars.
    pub fn new(dataset: Dataset<'_>, max_bins: usize) -> Result<Self> {
        check_max_bins(max_bins)?;
        let learnt = crate::train::learnt_rows(dataset)?;
        let features = choose_bins(dataset, &learnt, max_bins);
        let every: Vec<u32> = (0..row_number(dataset.records().nrows())?).collect();
        Ok(Self::encode(dataset.feature_names(), dataset.records(), features, &every))
    }

    /// Chooses bins from the given rows and bins these alone.
    pub(crate) fn of_rows(dataset: Dataset<'_>, rows: &[u32], max_bins: usize) -> Self {
        let features = choose_bins(dataset, rows, max_bins);
        Self::encode(dataset.feature_names(), dataset.records(), features, rows)
    }

    /// Bins further rows by this matrix's edges.
    pub(crate) fn bin_rows(&self, records: &ArrayRef2<f64>, rows: &[u32]) -> Self {
        Self::encode(&self.names, records, self.features.clone(), rows)
    }

    /// Copies rows.
    pub(crate) fn select(&self, rows: &[u32]) -> Self {
        let pick = |block: &Vec<BinRow>| rows.iter().map(|&row| block[row as usize]).collect();
        Self {
            names: self.names.clone(),
            features: self.features.clone(),
            blocks: self.blocks.par_iter().map(pick).collect(),
            n_rows: rows.len(),
        }
    }

    fn encode(
        names: &[String],
        records: &ArrayRef2<f64>,
        features: Vec<FeatureBins>,
        rows: &[u32],
    ) -> Self {
        let contiguous = rows.windows(2).all(|pair| pair[1] == pair[0] + 1);
        let encode_block = |(block, of_block): (usize, &[FeatureBins])| {
            let mut bins = vec![[0; LANES]; rows.len()];
            let finders: Vec<_> = of_block.iter().map(FeatureBins::finder).collect();
            let encode_chunk = |(out, rows): (&mut [BinRow], &[u32])| {
                for (lane, finder) in finders.iter().enumerate() {
                    let column = records.column(block * LANES + lane);
                    match rows.first() {
                        Some(&first) if contiguous => {
                            let first = first as usize;
                            let column = column.slice(s![first..first + rows.len()]);
                            for (out, &value) in out.iter_mut().zip(column) {
                                out[lane] = finder.bin(value);
                            }
                        }
                        _ => {
                            for (out, &row) in out.iter_mut().zip(rows) {
                                out[lane] = finder.bin(column[row as usize]);
                            }
                        }
                    }
                }
            };
            bins.par_chunks_mut(CHUNK).zip(rows.par_chunks(CHUNK)).for_each(encode_chunk);
            bins
        };
        let blocks = features.par_chunks(LANES).enumerate().map(encode_block).collect();
        Self { names: names.to_vec(), features, blocks, n_rows: rows.len() }
    }

    /// Refuses a dataset of another table.
    pub(crate) fn check_fits(&self, dataset: Dataset<'_>) -> Result<()> {
        check_feature_names(&self.names, dataset.feature_names())?;
        if self.n_rows != dataset.records().nrows() {
            let expected = format!("{} rows", dataset.records().nrows());
            return Err(Error::shape("matrix", expected, self.n_rows.to_string()));
        }
        Ok(())
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Number of features.
    pub fn n_features(&self) -> usize {
        self.features.len()
    }

    /// Number of bins a feature has, that of missing values not counted; `None` past the last one.
    pub fn n_bins(&self, feature: usize) -> Option<usize> {
        self.features.get(feature).map(FeatureBins::n_bins)
    }

    /// Blocks of [`LANES`] features.
    pub(crate) fn blocks(&self) -> &[Vec<BinRow>] {
        &self.blocks
    }

    pub(crate) fn features(&self) -> &[FeatureBins] {
        &self.features
    }
}

/// Whether a bin goes to the right child.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BinRule {
    /// Added to a bin, so that missing values come first where they go left.
    offset: u8,
    limit: u8,
}

impl BinRule {
    pub(crate) fn new(bin: u8, missing_right: bool) -> Self {
        // 255 stays the largest bin where missing values go right, and wraps to 0 where left.
        let offset = u8::from(!missing_right);
        Self { offset, limit: bin.min(MISSING - 1) + offset }
    }

    pub(crate) fn goes_right(self, bin: u8) -> bool {
        bin.wrapping_add(self.offset) > self.limit
    }
}

/// A number of rows as `u32`.
pub(crate) fn row_number(n: usize) -> Result<u32> {
    u32::try_from(n).map_err(|_| Error::shape("records", "at most 4294967295 rows", n.to_string()))
}

fn choose_bins(dataset: Dataset<'_>, rows: &[u32], max_bins: usize) -> Vec<FeatureBins> {
    let choose = |feature: usize| {
        let column = dataset.records().column(feature);
        // Adding 0 turns −0 into 0.
        let value = |row: u32| column[row as usize] + 0.0;
        match dataset.weights() {
            None => FeatureBins::choose(&mut rows.iter().map(|&r| value(r)).collect(), max_bins),
            Some(weights) => {
                let row = |&r: &u32| (value(r), weights[r as usize]);
                FeatureBins::choose_weighted(&mut rows.iter().map(row).collect(), max_bins)
            }
        }
    };
    (0..dataset.n_features()).into_par_iter().map(choose).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_sends_missing_values_its_own_way() {
        for bin in [0, 7, 254] {
            for missing_right in [false, true] {
                let rule = BinRule::new(bin, missing_right);
                for value in 0..=254 {
                    assert_eq!(rule.goes_right(value), value > bin);
                }
                assert_eq!(rule.goes_right(MISSING), missing_right);
            }
        }
    }
}
