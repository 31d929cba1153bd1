use std::fmt::Debug;

use forecastle_core::{Dataset, Error, Result, Standardizer};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::network::Network;
use crate::scaling::TargetScaling;
use crate::training_params::TrainingParams;

/// Numbers that a window may leave for the backward pass: 64 MiB.
const MOST_ACTIVATIONS: f64 = (1_u64 << 24) as f64;

/// Weights a model may have: 1 GiB.
const MOST_WEIGHTS: f64 = (1_u64 << 28) as f64;

/// What parameters of a neural model say about it.
pub trait Architecture:
    Clone + Debug + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// The artifact kind, the stage in progress, the name in errors.
    const KIND: &'static str;

    /// What is trained.
    type Network: Network;

    /// Checks every range.
    fn check(&self) -> Result<()>;

    /// How it is trained.
    fn training(&self) -> &TrainingParams;

    /// The network for this many features; parameters are checked.
    fn network(&self, n_features: usize) -> Self::Network;

    /// Learns the scaling of features from the selected rows.
    fn standardizer(&self, dataset: Dataset<'_>) -> Result<Standardizer>;

    /// Learns the scaling of targets from the selected rows; `None` for a model that answers with
    /// the records themselves.
    fn target_scaling(&self, dataset: Dataset<'_>) -> Result<Option<TargetScaling>>;

    /// What a model predicts.
    ///
    /// - `outputs`: the network's, `(n_outputs,)`
    /// - `record`: the row that it is for, standardised, `(n_features,)`
    fn prediction(outputs: &[f32], record: &[f32], target: &TargetScaling) -> f64;
}

/// Marks the parameters that [`NeuralModel`](crate::NeuralModel)s are fitted with:
/// [`GruParams`](crate::GruParams), [`TransformerParams`](crate::TransformerParams) and
/// [`AutoencoderParams`](crate::AutoencoderParams). Nothing else can have it.
pub trait NeuralParams: Architecture {}

impl<P: Architecture> NeuralParams for P {}

pub(crate) fn check_size(name: &'static str, value: usize, most: usize) -> Result<()> {
    if (1..=most).contains(&value) {
        return Ok(());
    }
    Err(Error::invalid_parameter(name, format!("between 1 and {most}"), value))
}

pub(crate) fn check_dropout(dropout: f64) -> Result<()> {
    if (0.0..1.0).contains(&dropout) {
        return Ok(());
    }
    Err(Error::invalid_parameter("dropout", ">= 0 and < 1", dropout))
}

pub(crate) fn check_clip(clip: Option<f64>) -> Result<()> {
    match clip {
        Some(clip) if !(clip > 0.0 && clip.is_finite()) => {
            Err(Error::invalid_parameter("clip", "> 0", clip))
        }
        _ => Ok(()),
    }
}

/// Refuses what would take gigabytes.
///
/// - `activations`: numbers that a window leaves for the backward pass, about
/// - `weights`: of the network, about
pub(crate) fn check_memory(name: &'static str, activations: f64, weights: f64) -> Result<()> {
    if activations > MOST_ACTIVATIONS {
        let most = "such that a window leaves at most 2^24 numbers for the backward pass";
        return Err(Error::invalid_parameter(name, most, format!("{activations:e} numbers")));
    }
    if weights > MOST_WEIGHTS {
        let most = "such that there are at most 2^28 weights";
        return Err(Error::invalid_parameter(name, most, format!("{weights:e} weights")));
    }
    Ok(())
}
