use forecastle_core::{Error, Result};
use ndarray::ArrayRef2;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Exp1};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize};

use crate::optimal_block_length;

/// Names how rows are resampled in blocks, so that their dependence in time survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BlockScheme {
    /// Blocks of random (geometric) length with the given mean, after Politis and Romano; the
    /// resampled series is stationary.
    #[default]
    Stationary,
    /// Blocks of one length.
    Circular,
}

/// Resamples the rows of a series in blocks that may wrap around its end.
///
/// Each replication draws from a generator of its own, made from the seed and the replication's
/// number: the indices do not depend on which thread asks for them, nor in what order.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `scheme` | stationary | random or equal lengths of the blocks | |
/// | `block_length` | 10 | the length, or its mean | ≥ 1 |
/// | `seed` | 0 | seeds the draws | |
///
/// # References
/// - D. N. Politis, J. P. Romano, "The stationary bootstrap", *Journal of the American Statistical
///   Association* 89 (1994), 1303–1313, doi:10.1080/01621459.1994.10476870.
/// - D. N. Politis, J. P. Romano, "A circular block-resampling procedure for stationary data", in
///   *Exploring the Limits of Bootstrap*, 1992, 263–270.
///
/// # Examples
/// ```
/// use forecastle_evaluation::{BlockBootstrap, BlockScheme};
///
/// let bootstrap =
///     BlockBootstrap { scheme: BlockScheme::Circular, block_length: 3, ..BlockBootstrap::default() };
/// let rows = bootstrap.indices(10, 0)?;
/// assert_eq!(rows.len(), 10);
/// assert!(rows[..9].chunks(3).all(|block| block[1] == (block[0] + 1) % 10));
/// assert_eq!(rows, bootstrap.indices(10, 0)?);
/// assert_ne!(rows, bootstrap.indices(10, 1)?);
/// # Ok::<(), forecastle_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BlockBootstrap {
    /// Random or equal lengths of the blocks.
    pub scheme: BlockScheme,
    /// The length of the blocks, or its mean.
    pub block_length: usize,
    /// Seeds the draws.
    pub seed: u64,
}

impl Default for BlockBootstrap {
    fn default() -> Self {
        Self { scheme: BlockScheme::Stationary, block_length: 10, seed: 0 }
    }
}

impl BlockBootstrap {
    /// Draws the rows of one replication, as many as there are.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] when `block_length` is 0.
    /// - [`Error::NotEnoughData`] when `n` is 0.
    /// - [`Error::Component`] when there is no memory for so many.
    pub fn indices(&self, n: usize, replication: u64) -> Result<Vec<usize>> {
        self.check(n)?;
        let mut rows = Vec::new();
        rows.try_reserve_exact(n).map_err(|e| Error::component("block bootstrap", e))?;
        self.blocks(n, replication, |start, length| rows.extend(start..start + length));
        Ok(rows)
    }

    pub(crate) fn check(&self, n: usize) -> Result<()> {
        if self.block_length == 0 {
            return Err(Error::invalid_parameter("block_length", ">= 1", 0));
        }
        if n == 0 {
            return Err(Error::not_enough_data("block bootstrap", 1, 0));
        }
        Ok(())
    }

    /// Draws the blocks of one replication of `n` > 0 rows, as (first row, length) that do not pass
    /// the last row: a block that wraps around comes in two pieces.
    pub(crate) fn blocks(&self, n: usize, replication: u64, mut block: impl FnMut(usize, usize)) {
        // The odd factor keeps neighbouring seeds from sharing generators.
        let own = self.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(replication);
        let mut random = Xoshiro256PlusPlus::seed_from_u64(own);
        // Minus the logarithm of the probability that a block goes on; ∞ for blocks of 1.
        let ends = -(-1.0 / self.block_length.max(1) as f64).ln_1p();
        let mut missing = n;
        while missing > 0 {
            let start = random.random_range(0..n);
            let length = match self.scheme {
                BlockScheme::Circular => self.block_length.max(1),
                // The whole part of an exponential number is geometric; a cast of one too large is
                // the largest.
                BlockScheme::Stationary => {
                    let exponential: f64 = Exp1.sample(&mut random);
                    ((exponential / ends) as usize).saturating_add(1)
                }
            };
            let mut length = length.min(missing);
            missing -= length;
            let mut from = start;
            while length > 0 {
                let piece = length.min(n - from);
                block(from, piece);
                length -= piece;
                from = 0;
            }
        }
    }
}

/// The most replications that are taken.
const MOST_RESAMPLES: usize = 1_000_000;

/// Parametrises the bootstrap of tests that compare many models.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `scheme` | stationary | random or equal lengths of the blocks | |
/// | `block_length` | automatic | the length, or its mean; `None` takes the longest that [`optimal_block_length`] finds in a loss difference, and the horizon if that is more | ≥ 1 |
/// | `n_resamples` | 1000 | replications | 1 to 1 000 000 |
/// | `seed` | 0 | seeds the draws | |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BootstrapParams {
    /// Random or equal lengths of the blocks.
    pub scheme: BlockScheme,
    /// The length of the blocks, or its mean.
    pub block_length: Option<usize>,
    /// Replications.
    pub n_resamples: usize,
    /// Seeds the draws.
    pub seed: u64,
}

impl Default for BootstrapParams {
    fn default() -> Self {
        Self { scheme: BlockScheme::Stationary, block_length: None, n_resamples: 1000, seed: 0 }
    }
}

impl BootstrapParams {
    pub(crate) fn check(&self, horizon: usize) -> Result<()> {
        for (name, value) in
            [("horizon", horizon), ("block_length", self.block_length.unwrap_or(1))]
        {
            if value == 0 {
                return Err(Error::invalid_parameter(name, ">= 1", 0));
            }
        }
        // Their means are kept, which takes memory.
        if !(1..=MOST_RESAMPLES).contains(&self.n_resamples) {
            let range = format!("in [1, {MOST_RESAMPLES}]");
            return Err(Error::invalid_parameter("n_resamples", range, self.n_resamples));
        }
        Ok(())
    }

    /// The bootstrap for these loss differences, `(n, n_columns)`.
    pub(crate) fn bootstrap(
        &self,
        differences: &ArrayRef2<f64>,
        horizon: usize,
    ) -> Result<BlockBootstrap> {
        self.check(horizon)?;
        let block_length = match self.block_length {
            Some(length) => length,
            None => {
                let mut longest = horizon;
                for column in differences.columns() {
                    let length = optimal_block_length(&column)?;
                    let length = match self.scheme {
                        BlockScheme::Stationary => length.stationary,
                        BlockScheme::Circular => length.circular,
                    };
                    longest = longest.max(length.ceil() as usize);
                }
                longest
            }
        };
        // Blocks as long as the series, which wrap around, all have its mean and say nothing.
        let needed = block_length.saturating_mul(2);
        if differences.nrows() < needed {
            let n = differences.nrows();
            return Err(Error::not_enough_data("block bootstrap", needed, n));
        }
        Ok(BlockBootstrap { scheme: self.scheme, block_length, seed: self.seed })
    }
}
