use forecastle_core::{Dataset, Error, Fit, Result, Standardizer};
use serde::{Deserialize, Serialize};

use crate::activation::Activation;
use crate::architecture::{Architecture, check_clip, check_dropout, check_memory, check_size};
use crate::fit::fit_native;
use crate::neural_model::NeuralModel;
use crate::scaling::TargetScaling;
use crate::training_params::TrainingParams;
use crate::transformer_network::{TransformerNetwork, TransformerShape};

/// Predicts with a Transformer encoder; made by [`TransformerParams`].
pub type Transformer = NeuralModel<TransformerParams>;

/// Fits a Transformer encoder: minimises the weighted mean of squared errors `(y − ŷ)²`, where `ŷ`
/// is linear in the last position of a pre-norm encoder over the last `lookback` rows, with learned
/// positions.
///
/// Windows and scalings are those of [`GruParams`](crate::GruParams).
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `d_model` | 64 | numbers of a position | 1 to 4096, a multiple of `n_heads` |
/// | `n_heads` | 4 | heads that look at the window side by side | 1 to 64 |
/// | `n_layers` | 2 | encoder layers | 1 to 32 |
/// | `feed_forward` | 128 | numbers between the linear layers behind each attention | 1 to 16384 |
/// | `dropout` | 0.1 | share of numbers dropped while training | 0 to below 1 |
/// | `activation` | `Relu` | function between the linear layers behind each attention | see [`Activation`] |
/// | `lookback` | 32 | rows of a window | 1 to 2048 |
/// | `clip` | 5 | scaled features are cut to ± this many standard deviations | > 0 |
/// | `training` | | epochs, learning rate, early stopping, seed | see [`TrainingParams`] |
///
/// # Errors
/// As [`GruParams`](crate::GruParams).
///
/// # Examples
/// ```
/// use forecastle_core::{Dataset, Fit, PredictExt, Rows};
/// use forecastle_models_deep::{TrainingParams, TransformerParams};
/// use ndarray::{Array1, Array2};
///
/// let x = |t: usize| (t as f64 * 0.7).sin();
/// let records = Array2::from_shape_fn((200, 1), |(t, _)| x(t));
/// let targets: Array1<f64> = (0..200).map(|t| x(t + 1)).collect();
/// let (names, rows) = (["x".to_owned()], Rows::from(0..200));
/// let dataset = Dataset::new(&names, &records, &targets, &rows, 1)?;
///
/// let training = TrainingParams { epochs: 20, learning_rate: 0.003, ..Default::default() };
/// let params = TransformerParams { d_model: 16, lookback: 8, training, ..Default::default() };
/// let transformer = params.fit(dataset)?;
/// let error = (&transformer.predict(&records)? - &targets).mapv(|e| e * e).sum() / 200.0;
/// assert!(error < 0.1, "{error}");
/// # Ok::<(), forecastle_core::Error>(())
/// ```
///
/// # References
/// - A. Vaswani et al., *Attention Is All You Need*, 2017, arXiv:1706.03762.
/// - R. Xiong et al., *On Layer Normalization in the Transformer Architecture*, 2020,
///   arXiv:2002.04745 (pre-norm).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TransformerParams {
    /// Numbers of a position.
    pub d_model: usize,
    /// Heads that look at the window side by side.
    #[doc(alias = "nhead")]
    pub n_heads: usize,
    /// Encoder layers.
    #[doc(alias = "num_layers")]
    pub n_layers: usize,
    /// Numbers between the linear layers behind each attention.
    #[doc(alias = "dim_feedforward")]
    pub feed_forward: usize,
    /// Share of numbers dropped while training.
    pub dropout: f64,
    /// Function between the linear layers behind each attention.
    pub activation: Activation,
    /// Rows of a window.
    pub lookback: usize,
    /// Scaled features are cut to `±clip`.
    pub clip: Option<f64>,
    /// How it is trained.
    pub training: TrainingParams,
}

impl Default for TransformerParams {
    fn default() -> Self {
        Self {
            d_model: 64,
            n_heads: 4,
            n_layers: 2,
            feed_forward: 128,
            dropout: 0.1,
            activation: Activation::Relu,
            lookback: 32,
            clip: Some(5.0),
            training: TrainingParams::default(),
        }
    }
}

impl Fit for TransformerParams {
    type Fitted = Transformer;

    fn fit(&self, dataset: Dataset<'_>) -> Result<Transformer> {
        fit_native(self, dataset, None)
    }

    /// Fits from the weights of another model on, with its scalings.
    ///
    /// With early stopping the model comes back as it was when no epoch betters it, or forecasts the
    /// mean where that is better still.
    ///
    /// # Errors
    /// - [`Error::FeatureMismatch`] when `start` has other features.
    /// - [`Error::Shape`] when its weights have other shapes.
    /// - As [`fit`](Fit::fit).
    fn fit_from(&self, dataset: Dataset<'_>, start: &Transformer) -> Result<Transformer> {
        fit_native(self, dataset, Some(start))
    }
}

impl Architecture for TransformerParams {
    const KIND: &'static str = "transformer";

    type Network = TransformerNetwork;

    fn check(&self) -> Result<()> {
        check_size("d_model", self.d_model, 4096)?;
        check_size("n_heads", self.n_heads, 64)?;
        if !self.d_model.is_multiple_of(self.n_heads) {
            let requirement = format!("a multiple of n_heads ({})", self.n_heads);
            return Err(Error::invalid_parameter("d_model", requirement, self.d_model));
        }
        check_size("n_layers", self.n_layers, 32)?;
        check_size("feed_forward", self.feed_forward, 16_384)?;
        check_dropout(self.dropout)?;
        check_size("lookback", self.lookback, 2048)?;
        check_clip(self.clip)?;
        let (d, heads, inner) =
            (self.d_model as f64, self.n_heads as f64, self.feed_forward as f64);
        let (layers, window) = (self.n_layers as f64, self.lookback as f64);
        let activations = layers * window * (heads * window + 8.0 * d + 2.0 * inner);
        check_memory("lookback", activations, layers * d * (4.0 * d + 2.0 * inner))?;
        self.training.validate()
    }

    fn training(&self) -> &TrainingParams {
        &self.training
    }

    fn network(&self, n_features: usize) -> TransformerNetwork {
        let Self { d_model, n_heads, n_layers, feed_forward, dropout, activation, .. } = *self;
        let shape =
            TransformerShape { d_model, n_heads, n_layers, feed_forward, dropout, activation };
        TransformerNetwork::new(n_features, self.lookback, shape)
    }

    fn standardizer(&self, dataset: Dataset<'_>) -> Result<Standardizer> {
        Standardizer::fit(dataset, self.clip)
    }

    fn target_scaling(&self, dataset: Dataset<'_>) -> Result<Option<TargetScaling>> {
        TargetScaling::fit(Self::KIND, dataset).map(Some)
    }

    fn prediction(outputs: &[f32], _record: &[f32], target: &TargetScaling) -> f64 {
        outputs.first().map_or(f64::NAN, |&output| target.unscale(output))
    }
}
