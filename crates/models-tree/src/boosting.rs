use forecastle_core::{Artifact, Error, Load, Lookback, Predict, PredictExt, Result};
use ndarray::{ArrayRef1, ArrayRef2, s};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::forest::Forest;
use crate::quantised::{QuantisedForest, ROWS, Workspace};
use crate::{BoostingParams, FitReport};

/// Version of the saved format.
const VERSION: u32 = 1;

/// Rows that are predicted together.
const CHUNK: usize = 128;

/// Rows from which on turning the forest's thresholds into bytes pays.
const MANY_ROWS: usize = 1000;

/// Predicts with boosted trees; made by [`BoostingParams`].
///
/// NaN in a record means "missing" and goes the way that was learnt for it; infinity is refused.
#[derive(Debug, Clone, PartialEq)]
pub struct Boosting {
    feature_names: Vec<String>,
    content: Content,
}

/// What is saved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Content {
    pub(crate) params: BoostingParams,
    pub(crate) base_score: f64,
    pub(crate) forest: Forest,
    pub(crate) report: FitReport,
}

impl Boosting {
    pub(crate) fn new(feature_names: Vec<String>, content: Content) -> Self {
        Self { feature_names, content }
    }

    /// The parameters it was fitted with.
    pub fn params(&self) -> &BoostingParams {
        &self.content.params
    }

    /// How the fit went.
    pub fn report(&self) -> &FitReport {
        &self.content.report
    }

    /// Number of trees.
    pub fn n_trees(&self) -> usize {
        self.content.forest.n_trees()
    }

    pub(crate) fn forest(&self) -> &Forest {
        &self.content.forest
    }

    /// Prediction before the first tree.
    pub(crate) fn base_score(&self) -> f64 {
        self.content.base_score
    }

    /// Predicts one row, `(n_features,)`: the same bits as a table's row, without an allocation.
    ///
    /// # Errors
    /// - [`Error::Shape`] when the number of features differs.
    /// - [`Error::NonFinite`] when a feature is infinite.
    pub fn predict_row(&self, row: &[f64]) -> Result<f64> {
        if row.len() != self.feature_names.len() {
            let expected = format!("{} features", self.feature_names.len());
            return Err(Error::shape("row", expected, row.len().to_string()));
        }
        if let Some(feature) = row.iter().position(|v| v.is_infinite()) {
            return Err(self.infinite(0, feature));
        }
        let (forest, base) = (&self.content.forest, self.content.base_score);
        Ok(if row.iter().any(|v| v.is_nan()) {
            forest.add_row::<true>(row, base)
        } else {
            forest.add_row::<false>(row, base)
        })
    }

    /// Predicts the given rows, increasing, into `out`, one a row.
    pub(crate) fn predict_rows(
        &self,
        records: &ArrayRef2<f64>,
        rows: &[u32],
        out: &mut [f64],
    ) -> Result<()> {
        let mut from = 0;
        for run in rows.chunk_by(|a, b| *b == a + 1) {
            let (Some(&first), to) = (run.first(), from + run.len()) else {
                continue;
            };
            let first = first as usize;
            let records = records.slice(s![first..first + run.len(), ..]);
            let mut out = ndarray::ArrayViewMut1::from(&mut out[from..to]);
            self.predict_into(&records, &mut out)?;
            from = to;
        }
        Ok(())
    }

    /// Predicts consecutive rows from `first` on, through a row-major copy of them.
    fn predict_chunk(
        &self,
        records: &ArrayRef2<f64>,
        first: usize,
        buffer: &mut Vec<f64>,
        out: &mut [f64],
    ) -> Result<()> {
        let width = self.feature_names.len();
        buffer.resize(out.len() * width, 0.0);
        let mut missing = false;
        for feature in 0..width {
            let column = records.slice(s![first..first + out.len(), feature]);
            for (row, &value) in column.iter().enumerate() {
                if value.is_infinite() {
                    return Err(self.infinite(first + row, feature));
                }
                missing |= value.is_nan();
                buffer[row * width + feature] = value;
            }
        }
        out.fill(self.content.base_score);
        if missing {
            self.content.forest.add_rows::<true>(buffer, width, out);
        } else {
            self.content.forest.add_rows::<false>(buffer, width, out);
        }
        Ok(())
    }

    /// Predicts consecutive rows from `first` on, as bytes.
    fn predict_quantised(
        &self,
        forest: &QuantisedForest,
        records: &ArrayRef2<f64>,
        first: usize,
        workspace: &mut Workspace,
        out: &mut [f64],
    ) -> Result<()> {
        for feature in 0..self.feature_names.len() {
            let column = records.slice(s![first..first + out.len(), feature]);
            if let Some(row) = column.iter().position(|v| v.is_infinite()) {
                return Err(self.infinite(first + row, feature));
            }
            forest.quantise(feature, column.iter().copied(), workspace);
        }
        out.fill(self.content.base_score);
        forest.add_rows(workspace, out);
        Ok(())
    }

    fn infinite(&self, row: usize, feature: usize) -> Error {
        Error::NonFinite {
            what: "records",
            row,
            column: self.feature_names.get(feature).cloned().unwrap_or_default(),
        }
    }
}

impl Predict for Boosting {
    fn feature_names(&self) -> &[String] {
        &self.feature_names
    }

    fn lookback(&self) -> Lookback {
        Lookback::Rows(1)
    }

    fn predict_into(&self, records: &ArrayRef2<f64>, out: &mut ArrayRef1<f64>) -> Result<()> {
        self.check_shapes(records, out)?;
        let Some(slice) = out.as_slice_mut() else {
            let predicted = self.predict(records)?;
            out.assign(&predicted);
            return Ok(());
        };
        if slice.len() >= MANY_ROWS
            && let Some(forest) =
                QuantisedForest::new(&self.content.forest, self.feature_names.len())
        {
            let chunks = slice.par_chunks_mut(ROWS).enumerate();
            let chunk = |workspace: &mut Workspace, (i, out): (usize, &mut [f64])| {
                self.predict_quantised(&forest, records, i * ROWS, workspace, out).err()
            };
            let error = chunks.map_init(Workspace::default, chunk).find_map_first(|error| error);
            return error.map_or(Ok(()), Err);
        }
        let chunk = |buffer: &mut Vec<f64>, (i, out): (usize, &mut [f64])| {
            self.predict_chunk(records, i * CHUNK, buffer, out).err()
        };
        // Of several errors the first row's is told, whatever the threads do.
        let error = if slice.len() <= 2 * CHUNK {
            let mut buffer = Vec::new();
            let mut chunks = slice.chunks_mut(CHUNK).enumerate();
            chunks.find_map(|part| chunk(&mut buffer, part))
        } else {
            let chunks = slice.par_chunks_mut(CHUNK).enumerate();
            chunks.map_init(Vec::new, chunk).find_map_first(|error| error)
        };
        error.map_or(Ok(()), Err)
    }

    fn predict_last(&self, window: &ArrayRef2<f64>) -> Result<f64> {
        let Some(row) = window.rows().into_iter().next_back() else {
            return Err(Error::shape("window", "at least 1 row", "0"));
        };
        match row.as_slice() {
            Some(row) => self.predict_row(row),
            None => self.predict_row(&row.to_vec()),
        }
    }

    fn save(&self) -> Result<Artifact> {
        Artifact::encode(Self::KIND, VERSION, &self.feature_names, &self.content)
    }
}

impl Load for Boosting {
    const KIND: &'static str = "boosting";

    fn load(artifact: &Artifact) -> Result<Self> {
        let content: Content = artifact.decode(Self::KIND, VERSION)?;
        let feature_names = artifact.feature_names().to_vec();
        content.forest.validate(feature_names.len())?;
        if !content.base_score.is_finite() {
            return Err(Error::artifact("the base score is not finite"));
        }
        Ok(Self::new(feature_names, content))
    }
}
