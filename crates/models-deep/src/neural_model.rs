use std::fmt;
use std::sync::{Mutex, PoisonError};

use forecastle_core::{
    Artifact, Dataset, Error, Load, Lookback, Predict, PredictExt, Result, Standardizer,
};
use ndarray::{ArrayRef1, ArrayRef2, s};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::architecture::{Architecture, NeuralParams};
use crate::fit_report::FitReport;
use crate::network::Network;
use crate::prepared::standardise_into;
use crate::scaling::TargetScaling;
use crate::weights_file;

/// Version of the saved format.
const VERSION: u32 = 1;

/// Rows that one task predicts.
const CHUNK: usize = 32;

/// All of a model but its feature names and weights.
pub(crate) type Parts<P> = (P, Standardizer, TargetScaling, FitReport);

/// Predicts with a trained network; made by [`GruParams`](crate::GruParams),
/// [`TransformerParams`](crate::TransformerParams) or [`AutoencoderParams`](crate::AutoencoderParams).
///
/// A row's prediction reads the last `lookback` rows up to it; where there are fewer the first one
/// is repeated. Every row must be complete. One row takes the same way as a table of them and gives
/// the same bits, on any number of threads.
///
/// # Weights in files
/// [`save`](Predict::save) makes an artifact like every other model's.
/// [`to_safetensors`](Self::to_safetensors) writes the weights under `PyTorch`'s names and shapes, so
/// that `load_state_dict(safetensors.torch.load_file(path), strict=True)` takes them as they are; the
/// rest of the model travels in the file's metadata. [`with_weights`](Self::with_weights) takes
/// weights that were trained elsewhere.
#[derive(Clone)]
pub struct NeuralModel<P: NeuralParams> {
    feature_names: Vec<String>,
    params: P,
    standardizer: Standardizer,
    target: TargetScaling,
    report: FitReport,
    network: P::Network,
    weights: Vec<f32>,
    scratch: Pool<Scratch<P::Network>>,
}

impl<P: NeuralParams> NeuralModel<P> {
    /// Puts a model together, whose parts may come from a file.
    ///
    /// # Errors
    /// - [`Error::Artifact`] when they do not fit each other.
    pub(crate) fn assemble(
        feature_names: Vec<String>,
        (params, standardizer, target, report): Parts<P>,
        weights: Vec<f32>,
    ) -> Result<Self> {
        params.check().map_err(|e| Error::artifact(e.to_string()))?;
        let n = feature_names.len();
        if n == 0 || standardizer.mean().len() != n || standardizer.scale().len() != n {
            return Err(Error::artifact("its scaling does not fit its features"));
        }
        let (mean, scale) = (standardizer.mean().to_vec(), standardizer.scale().to_vec());
        let standardizer = Standardizer::new(mean, scale, standardizer.clip())
            .map_err(|e| Error::artifact(e.to_string()))?;
        if !target.is_valid() {
            return Err(Error::artifact("its scaling of targets is not finite"));
        }
        let network = params.network(n);
        network.layout().check(&weights)?;
        let scratch = Pool::default();
        Ok(Self { feature_names, params, standardizer, target, report, network, weights, scratch })
    }

    /// The parameters it was fitted with.
    pub fn params(&self) -> &P {
        &self.params
    }

    /// How the fit went.
    pub fn report(&self) -> &FitReport {
        &self.report
    }

    /// The scaling of features, learnt from the training rows.
    pub fn standardizer(&self) -> &Standardizer {
        &self.standardizer
    }

    /// Number of weights.
    pub fn n_weights(&self) -> usize {
        self.weights.len()
    }

    /// The weights' names, `PyTorch`'s, in order.
    pub fn weight_names(&self) -> impl Iterator<Item = &str> {
        self.network.layout().parameters().iter().map(|p| p.name.as_str())
    }

    /// The weights of a name: their shape and the numbers, row-major.
    pub fn weight(&self, name: &str) -> Option<(&[usize], &[f32])> {
        let parameter = self.network.layout().parameters().iter().find(|p| p.name == name)?;
        Some((&parameter.shape, &self.weights[parameter.range.clone()]))
    }

    /// Predicts the last row of a window, without an allocation: the same bits as
    /// [`predict_into`](Predict::predict_into) gives.
    ///
    /// - `window`: `(1..=lookback, n_features)`, consecutive bars
    ///
    /// # Errors
    /// - [`Error::Shape`] when the window is empty, longer than `lookback` or of another width.
    /// - [`Error::NonFinite`] when a row is incomplete.
    /// - [`Error::Numerical`] when the prediction leaves the range of numbers.
    pub fn predict_row(&self, window: &ArrayRef2<f64>) -> Result<f64> {
        let (n, width) = window.dim();
        let lookback = self.network.lookback();
        if width != self.feature_names.len() || n == 0 || n > lookback {
            let expected = format!("1 to {lookback} rows of {} columns", self.feature_names.len());
            return Err(Error::shape("window", expected, format!("{n} rows of {width}")));
        }
        self.check_complete(window)?;
        self.with_scratch(|scratch| {
            let mut records = std::mem::take(&mut scratch.records);
            standardise_into(&self.standardizer, window, n, &mut records);
            let predicted = self.predict_at(&records, n - 1, scratch);
            scratch.records = records;
            predicted
        })
    }

    /// Writes weights under `PyTorch`'s names, and in the metadata all else that the model is made
    /// of, as a safetensors file.
    ///
    /// # Errors
    /// - [`Error::Artifact`] when it cannot be serialised.
    pub fn to_safetensors(&self) -> Result<Vec<u8>> {
        let description = Description {
            kind: <P as Architecture>::KIND.to_owned(),
            version: VERSION,
            feature_names: self.feature_names.clone(),
            params: self.params.clone(),
            standardizer: self.standardizer.clone(),
            target: self.target,
            report: self.report.clone(),
        };
        let text =
            serde_json::to_string(&description).map_err(|e| Error::artifact(e.to_string()))?;
        weights_file::write(self.network.layout(), &self.weights, Some(text))
    }

    /// Reads what [`to_safetensors`](Self::to_safetensors) wrote; predicts the same bits.
    ///
    /// # Errors
    /// - [`Error::Artifact`] when the file is malformed, was written by others or by another kind
    ///   of model.
    pub fn from_safetensors(bytes: &[u8]) -> Result<Self> {
        let malformed = |e: serde_json::Error| {
            Error::artifact(format!("the description in its metadata is malformed: {e}"))
        };
        let text = weights_file::description(bytes)?;
        let Label { kind, version } = serde_json::from_str(&text).map_err(malformed)?;
        let wanted = <P as Architecture>::KIND;
        if kind != wanted || version != VERSION {
            let shown: String = kind.chars().take(64).collect();
            return Err(Error::artifact(format!(
                "it holds a {shown:?} of version {version}, not a {wanted:?} of version {VERSION}"
            )));
        }
        let Description { feature_names, params, standardizer, target, report, .. } =
            serde_json::from_str(&text).map_err(malformed)?;
        let parts = (params, standardizer, target, report);
        Self::from_file(feature_names, parts, bytes)
    }

    /// This model with weights that were trained elsewhere: a safetensors file of the same names and
    /// shapes.
    ///
    /// Scalings, parameters and the report stay as they are.
    ///
    /// # Errors
    /// - [`Error::Artifact`], naming the weights, when some are missing, unknown, of another shape,
    ///   not `F32` or not finite.
    pub fn with_weights(&self, safetensors: &[u8]) -> Result<Self> {
        let weights = weights_file::read(self.network.layout(), safetensors)?;
        Ok(Self { weights, ..self.clone() })
    }

    fn from_file(feature_names: Vec<String>, parts: Parts<P>, bytes: &[u8]) -> Result<Self> {
        parts.0.check().map_err(|e| Error::artifact(e.to_string()))?;
        if feature_names.is_empty() {
            return Err(Error::artifact("it has no features"));
        }
        let weights = weights_file::read(parts.0.network(feature_names.len()).layout(), bytes)?;
        Self::assemble(feature_names, parts, weights)
    }

    /// Whether a fit of `network` on `dataset` can start from this model.
    pub(crate) fn check_start(&self, network: &P::Network, dataset: Dataset<'_>) -> Result<()> {
        let (ours, theirs) = (&self.feature_names, dataset.feature_names());
        for index in 0..ours.len().max(theirs.len()) {
            let (expected, actual) = (ours.get(index).cloned(), theirs.get(index).cloned());
            if expected != actual {
                return Err(Error::FeatureMismatch { index, expected, actual });
            }
        }
        let (ours, theirs) = (self.network.layout(), network.layout());
        let same = ours.parameters().len() == theirs.parameters().len()
            && ours.parameters().iter().zip(theirs.parameters()).all(|(a, b)| a.shape == b.shape);
        if same {
            return Ok(());
        }
        let (expected, found) = (theirs.len(), ours.len());
        Err(Error::shape(
            "start",
            format!("weights of the same shapes, {expected} in all"),
            format!("{found} in other shapes"),
        ))
    }

    pub(crate) fn target_scaling(&self) -> &TargetScaling {
        &self.target
    }

    pub(crate) fn weights(&self) -> &[f32] {
        &self.weights
    }

    pub(crate) fn network(&self) -> &P::Network {
        &self.network
    }

    /// The prediction of one row of standardised records.
    fn predict_at(
        &self,
        records: &[f32],
        row: usize,
        scratch: &mut Scratch<P::Network>,
    ) -> Result<f64> {
        let (width, lookback) = (self.feature_names.len(), self.network.lookback());
        let end = (row + 1) * width;
        let window = match end.checked_sub(lookback * width) {
            Some(start) => &records[start..end],
            None => {
                scratch.window.clear();
                for _ in row + 1..lookback {
                    scratch.window.extend_from_slice(&records[..width]);
                }
                scratch.window.extend_from_slice(&records[..end]);
                &scratch.window
            }
        };
        let (workspace, outputs) = (&mut scratch.workspace, &mut scratch.outputs);
        self.network.predict_one(&self.weights, window, workspace, outputs);
        let predicted = P::prediction(outputs, &records[end - width..end], &self.target);
        if predicted.is_finite() {
            return Ok(predicted);
        }
        let reason = format!("the prediction of row {row} leaves the range of numbers");
        Err(Error::numerical(<P as Architecture>::KIND, reason))
    }

    pub(crate) fn with_scratch<R>(&self, work: impl FnOnce(&mut Scratch<P::Network>) -> R) -> R {
        let mut scratch = self.scratch.take().unwrap_or_else(|| Scratch::new(&self.network));
        let result = work(&mut scratch);
        self.scratch.put(scratch);
        result
    }
}

impl<P: NeuralParams> Predict for NeuralModel<P> {
    fn feature_names(&self) -> &[String] {
        &self.feature_names
    }

    fn lookback(&self) -> Lookback {
        Lookback::Rows(self.network.lookback())
    }

    fn predict_into(&self, records: &ArrayRef2<f64>, out: &mut ArrayRef1<f64>) -> Result<()> {
        self.check_shapes(records, out)?;
        let Some(slice) = out.as_slice_mut() else {
            let predicted = self.predict(records)?;
            out.assign(&predicted);
            return Ok(());
        };
        self.check_complete(records)?;
        let mut scaled = Vec::new();
        standardise_into(&self.standardizer, records, records.nrows(), &mut scaled);
        let chunk = |(i, out): (usize, &mut [f64])| {
            self.with_scratch(|scratch| {
                for (row, out) in (i * CHUNK..).zip(out) {
                    match self.predict_at(&scaled, row, scratch) {
                        Ok(predicted) => *out = predicted,
                        Err(error) => return Some(error),
                    }
                }
                None
            })
        };
        // Of several errors the first row's is told, whatever the threads do.
        let error = match slice.len() <= CHUNK {
            true => chunk((0, slice)),
            false => slice.par_chunks_mut(CHUNK).enumerate().map(chunk).find_map_first(|e| e),
        };
        error.map_or(Ok(()), Err)
    }

    fn predict_last(&self, window: &ArrayRef2<f64>) -> Result<f64> {
        let n = window.nrows();
        self.predict_row(&window.slice(s![n.saturating_sub(self.network.lookback()).., ..]))
    }

    fn save(&self) -> Result<Artifact> {
        let file = weights_file::write(self.network.layout(), &self.weights, None)?;
        let parts = (&self.params, &self.standardizer, &self.target, &self.report);
        Artifact::encode(<P as Architecture>::KIND, VERSION, &self.feature_names, &(parts, file))
    }
}

impl<P: NeuralParams> Load for NeuralModel<P> {
    const KIND: &'static str = <P as Architecture>::KIND;

    fn load(artifact: &Artifact) -> Result<Self> {
        let (parts, file): (Parts<P>, Vec<u8>) =
            artifact.decode(<P as Architecture>::KIND, VERSION)?;
        Self::from_file(artifact.feature_names().to_vec(), parts, &file)
    }
}

impl<P: NeuralParams> PartialEq for NeuralModel<P> {
    fn eq(&self, other: &Self) -> bool {
        self.feature_names == other.feature_names
            && self.params == other.params
            && self.standardizer == other.standardizer
            && self.target == other.target
            && self.report == other.report
            && self.weights == other.weights
    }
}

impl<P: NeuralParams> fmt::Debug for NeuralModel<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NeuralModel")
            .field("params", &self.params)
            .field("feature_names", &self.feature_names)
            .field("n_weights", &self.weights.len())
            .finish_non_exhaustive()
    }
}

/// What a safetensors file says about the model.
#[derive(Debug, Serialize, Deserialize)]
struct Description<P> {
    kind: String,
    version: u32,
    feature_names: Vec<String>,
    params: P,
    standardizer: Standardizer,
    target: TargetScaling,
    report: FitReport,
}

/// The part of a [`Description`] that says how to read the rest.
#[derive(Debug, Deserialize)]
struct Label {
    kind: String,
    version: u32,
}

/// Room to predict one row.
#[derive(Debug)]
pub(crate) struct Scratch<N: Network> {
    pub(crate) workspace: N::Workspace<f32>,
    window: Vec<f32>,
    pub(crate) outputs: Vec<f32>,
    records: Vec<f32>,
}

impl<N: Network> Scratch<N> {
    fn new(network: &N) -> Self {
        Self {
            workspace: network.workspace(1),
            window: Vec::new(),
            outputs: vec![0.0; network.n_outputs()],
            records: Vec::new(),
        }
    }
}

/// Lends room out and keeps what comes back; a clone has a pool of its own.
#[derive(Debug)]
struct Pool<T>(Mutex<Vec<T>>);

impl<T> Pool<T> {
    fn take(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn put(&self, item: T) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(item);
    }
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self(Mutex::new(Vec::new()))
    }
}

impl<T> Clone for Pool<T> {
    fn clone(&self) -> Self {
        Self::default()
    }
}
