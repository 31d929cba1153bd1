use forecastle_core::{Artifact, Error, Load, Lookback, Predict, PredictExt, Result};
use ndarray::{Array1, ArrayRef1, ArrayRef2, s};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::c_api::Booster;
use super::inspect::{self, Summary};
use super::train::narrow;
use super::{XgboostLibrary, XgboostParams, XgboostVersion};
use crate::FitReport;

/// Version of the saved format.
const VERSION: u32 = 1;

/// Rows that are predicted together.
const CHUNK: usize = 4096;

/// Predicts with trees that XGBoost boosted, through its library; made by [`XgboostParams`], or read
/// from a file of XGBoost's.
///
/// NaN in a record means "missing" and goes the way that was learnt for it; infinity is refused. Many
/// rows are shared out over rayon's threads; a prediction does not depend on how.
#[derive(Debug)]
pub struct Xgboost {
    feature_names: Vec<String>,
    library: XgboostLibrary,
    booster: Booster,
    summary: Summary,
    fitted_by: XgboostVersion,
    fitted: Option<(XgboostParams, FitReport)>,
}

/// What is saved.
#[derive(Debug, Serialize, Deserialize)]
struct Content {
    fitted_by: XgboostVersion,
    fitted: Option<(XgboostParams, FitReport)>,
    /// UBJSON.
    model: Vec<u8>,
}

impl Xgboost {
    /// Hands a model in UBJSON to the library.
    pub(super) fn new(
        library: XgboostLibrary,
        feature_names: Vec<String>,
        model: &[u8],
        fitted_by: XgboostVersion,
        fitted: Option<(XgboostParams, FitReport)>,
    ) -> Result<Self> {
        let summary = inspect::ubj(model)?;
        Self::with_summary(library, feature_names, model, summary, fitted_by, fitted)
    }

    fn with_summary(
        library: XgboostLibrary,
        feature_names: Vec<String>,
        model: &[u8],
        summary: Summary,
        fitted_by: XgboostVersion,
        fitted: Option<(XgboostParams, FitReport)>,
    ) -> Result<Self> {
        if feature_names.len() != summary.n_features {
            let (told, had) = (feature_names.len(), summary.n_features);
            let reason = format!("the XGBoost model has {had} features, {told} names are given");
            return Err(Error::artifact(reason));
        }
        // Where an older library does not know a field it goes on without: 3.0 and before read the
        // base score of 3.1 as 0 or 0.5 and say nothing.
        let (wrote, reads) = (summary.version, library.version());
        if (wrote.major, wrote.minor) > (reads.major, reads.minor) {
            let reason = format!("XGBoost {wrote} wrote the model, the library here is {reads}");
            return Err(Error::artifact(reason));
        }
        let mut booster = Booster::new(library.api(), &[])?;
        booster.set("verbosity", "0")?;
        // Rows are shared out by rayon.
        booster.set("nthread", "1")?;
        booster.load(model)?;
        booster.set_feature_names(&feature_names)?;
        // Only the model knows what XGBoost estimated.
        let base_score = summary.base_score;
        let fitted = fitted.map(|(params, report)| (params, FitReport { base_score, ..report }));
        let made = Self { feature_names, library, booster, summary, fitted_by, fitted };
        // XGBoost sets a model up at its first use, which several threads had better not share.
        let missing = vec![f64::NAN; made.summary.n_features];
        if !made.predict_row(&missing)?.is_finite() {
            return Err(Error::numerical("boosting", "the model leaves the range of numbers"));
        }
        Ok(made)
    }

    /// Reads a model that XGBoost saved as JSON. One without feature names gets `f0`, `f1`, ….
    ///
    /// # Errors
    /// - [`Error::Artifact`] when it is no regression by trees with numeric splits, or damaged, or a
    ///   newer XGBoost than the library wrote it.
    /// - [`Error::Component`] when the library cannot read it.
    pub fn from_json(library: &XgboostLibrary, text: &str) -> Result<Self> {
        let summary = inspect::json(text)?;
        // XGBoost tells its forms apart by the first two bytes, `{"` here, and takes what it does
        // not know for a format without checks.
        let members = text.trim_start().trim_start_matches('{').trim_start();
        Self::import(library, format!("{{{members}").as_bytes(), summary)
    }

    /// Reads a model that XGBoost saved as UBJSON. One without feature names gets `f0`, `f1`, ….
    ///
    /// # Errors
    /// As [`from_json`](Self::from_json).
    pub fn from_ubj(library: &XgboostLibrary, bytes: &[u8]) -> Result<Self> {
        Self::import(library, bytes, inspect::ubj(bytes)?)
    }

    fn import(library: &XgboostLibrary, model: &[u8], summary: Summary) -> Result<Self> {
        let names = match summary.feature_names.is_empty() {
            true => (0..summary.n_features).map(|i| format!("f{i}")).collect(),
            false => summary.feature_names.clone(),
        };
        let version = summary.version;
        Self::with_summary(*library, names, model, summary, version, None)
    }

    /// The model in XGBoost's JSON, which every program with XGBoost reads.
    ///
    /// # Errors
    /// - [`Error::Component`] when the library fails.
    pub fn to_json(&self) -> Result<String> {
        String::from_utf8(self.booster.save(true)?)
            .map_err(|_| Error::artifact("XGBoost wrote a text that is not UTF-8"))
    }

    /// The model in XGBoost's UBJSON, the smaller form.
    ///
    /// # Errors
    /// - [`Error::Component`] when the library fails.
    pub fn to_ubj(&self) -> Result<Vec<u8>> {
        Ok(self.booster.save(false)?)
    }

    /// Loads with a library of one's choice; [`load`](Load::load) finds one first.
    ///
    /// # Errors
    /// As [`load`](Load::load).
    pub fn load_with(library: &XgboostLibrary, artifact: &Artifact) -> Result<Self> {
        let content: Content = artifact.decode(Self::KIND, VERSION)?;
        Self::from_content(*library, artifact, content)
    }

    fn from_content(
        library: XgboostLibrary,
        artifact: &Artifact,
        content: Content,
    ) -> Result<Self> {
        let Content { fitted_by, fitted, model } = content;
        Self::new(library, artifact.feature_names().to_vec(), &model, fitted_by, fitted)
    }

    /// The library that predicts.
    pub fn library(&self) -> XgboostLibrary {
        self.library
    }

    /// The version of XGBoost that fitted the model, or wrote the file it was read from. Newer
    /// versions predict the same with it, but would have learnt another one.
    pub fn fitted_by(&self) -> XgboostVersion {
        self.fitted_by
    }

    /// The parameters it was fitted with; `None` for a model from elsewhere.
    pub fn params(&self) -> Option<&XgboostParams> {
        self.fitted.as_ref().map(|(params, _)| params)
    }

    /// How the fit went; `None` for a model from elsewhere.
    pub fn report(&self) -> Option<&FitReport> {
        self.fitted.as_ref().map(|(_, report)| report)
    }

    /// Number of trees.
    pub fn n_trees(&self) -> usize {
        self.summary.n_trees
    }

    /// Prediction before the first tree.
    pub fn base_score(&self) -> f64 {
        self.summary.base_score
    }

    /// The share of the splits' total gain that each feature brought, `(n_features,)`, summing to 1;
    /// all 0 when no tree was split. XGBoost's `total_gain`, and what
    /// [`Boosting::gain_importance`](crate::Boosting::gain_importance) tells.
    #[doc(alias = "total_gain")]
    pub fn gain_importance(&self) -> Array1<f64> {
        self.shares(|gain, _| gain)
    }

    /// The mean gain of the splits on each feature, `(n_features,)`, scaled to sum to 1; all 0 when
    /// no tree was split. XGBoost's `gain`, and the `feature_importances_` of its Python package.
    #[doc(alias = "feature_importances_")]
    pub fn mean_gain_importance(&self) -> Array1<f64> {
        self.shares(|gain, splits| gain / f64::from(splits.max(1)))
    }

    fn shares(&self, of: impl Fn(f64, u32) -> f64) -> Array1<f64> {
        let shares: Array1<f64> =
            self.summary.gains.iter().map(|&(gain, splits)| of(gain, splits)).collect();
        let total = shares.sum();
        if total > 0.0 { shares / total } else { shares }
    }

    /// Predicts one row, `(n_features,)`: the same bits as a table's row.
    ///
    /// # Errors
    /// - [`Error::Shape`] when the number of features differs.
    /// - [`Error::NonFinite`] when a feature is infinite.
    /// - [`Error::Component`] when the library fails.
    pub fn predict_row(&self, row: &[f64]) -> Result<f64> {
        let width = self.feature_names.len();
        if row.len() != width {
            let expected = format!("{width} features");
            return Err(Error::shape("row", expected, row.len().to_string()));
        }
        if let Some(feature) = row.iter().position(|v| v.is_infinite()) {
            return Err(self.infinite(0, feature));
        }
        let row: Vec<f32> = row.iter().map(|&value| narrow(value)).collect();
        let first = |told: &[f32]| told.first().map_or(f64::NAN, |&value| f64::from(value));
        Ok(self.booster.predict(&row, 1, width, first)?)
    }

    /// Predicts consecutive rows from `first` on, through a row-major copy of them.
    fn predict_chunk(
        &self,
        records: &ArrayRef2<f64>,
        first: usize,
        buffer: &mut Vec<f32>,
        out: &mut [f64],
    ) -> Result<()> {
        let width = self.feature_names.len();
        buffer.resize(out.len() * width, 0.0);
        for feature in 0..width {
            let column = records.slice(s![first..first + out.len(), feature]);
            for (row, &value) in column.iter().enumerate() {
                if value.is_infinite() {
                    return Err(self.infinite(first + row, feature));
                }
                buffer[row * width + feature] = narrow(value);
            }
        }
        let rows = out.len();
        Ok(self.booster.predict(buffer, rows, width, |told| {
            for (out, &value) in out.iter_mut().zip(told) {
                *out = f64::from(value);
            }
        })?)
    }

    fn infinite(&self, row: usize, feature: usize) -> Error {
        Error::NonFinite {
            what: "records",
            row,
            column: self.feature_names.get(feature).cloned().unwrap_or_default(),
        }
    }
}

impl Predict for Xgboost {
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
        let chunk = |buffer: &mut Vec<f32>, (i, out): (usize, &mut [f64])| {
            self.predict_chunk(records, i * CHUNK, buffer, out).err()
        };
        // Of several errors the first row's is told, whatever the threads do.
        let error = if slice.len() <= CHUNK {
            let mut buffer = Vec::new();
            let mut chunks = slice.chunks_mut(CHUNK).enumerate();
            chunks.find_map(|part| chunk(&mut buffer, part))
        } else {
            let chunks = slice.par_chunks_mut(CHUNK).enumerate();
            chunks.map_init(Vec::new, chunk).find_map_first(|error| error)
        };
        error.map_or(Ok(()), Err)
    }

    fn save(&self) -> Result<Artifact> {
        let content = Content {
            fitted_by: self.fitted_by,
            fitted: self.fitted.clone(),
            model: self.to_ubj()?,
        };
        Artifact::encode(Self::KIND, VERSION, &self.feature_names, &content)
    }
}

impl Load for Xgboost {
    const KIND: &'static str = "xgboost";

    /// Loads, with the library that [`XgboostLibrary::find`] finds.
    ///
    /// # Errors
    /// - [`Error::Artifact`] when kind, version or content do not match, or a newer XGBoost than the
    ///   library wrote the model.
    /// - [`Error::Component`] when there is no library, or it cannot read the model.
    fn load(artifact: &Artifact) -> Result<Self> {
        let content: Content = artifact.decode(Self::KIND, VERSION)?;
        Self::from_content(XgboostLibrary::find()?, artifact, content)
    }
}
