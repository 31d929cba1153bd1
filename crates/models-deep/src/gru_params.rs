use forecastle_core::{Dataset, Fit, Result, Standardizer};
use serde::{Deserialize, Serialize};

use crate::architecture::{Architecture, check_clip, check_dropout, check_memory, check_size};
use crate::fit::fit_native;
use crate::gru_network::GruNetwork;
use crate::neural_model::NeuralModel;
use crate::scaling::TargetScaling;
use crate::training_params::TrainingParams;

/// Predicts with a network of gated recurrent units; made by [`GruParams`].
pub type Gru = NeuralModel<GruParams>;

/// Fits gated recurrent units: minimises the weighted mean of squared errors `(y − ŷ)²`, where `ŷ`
/// is linear in the last layer's state after the last `lookback` rows.
///
/// Features are standardised and clipped by the training rows, targets standardised by the same. A
/// row's window are the last `lookback` bars up to it; history begins at the first complete row,
/// which is repeated where a window would begin before it. With early stopping the last training
/// rows are held back; both scalings still look at all training rows.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `hidden_size` | 64 | numbers in a state | 1 to 4096 |
/// | `n_layers` | 1 | layers of units, each over the states of the one before | 1 to 16 |
/// | `dropout` | 0 | share of states dropped between layers while training | 0 to below 1 |
/// | `lookback` | 32 | rows of a window | 1 to 4096 |
/// | `clip` | 5 | scaled features are cut to ± this many standard deviations | > 0 |
/// | `training` | | epochs, learning rate, early stopping, seed | see [`TrainingParams`] |
///
/// # Errors
/// - [`Error::InvalidParameter`](forecastle_core::Error::InvalidParameter) when a parameter is
///   outside its range, or sizes together would take gigabytes.
/// - [`Error::NotEnoughData`](forecastle_core::Error::NotEnoughData) with the number needed, when
///   history is shorter than a window, or fewer than two rows to learn from remain beside those held
///   back.
/// - [`Error::NonFinite`](forecastle_core::Error::NonFinite) when a window holds an incomplete row.
/// - [`Error::Numerical`](forecastle_core::Error::Numerical) when training diverges.
/// - [`Error::Cancelled`](forecastle_core::Error::Cancelled) when the observer asks to stop.
///
/// # Examples
/// ```
/// use forecastle_core::{Dataset, Fit, PredictExt, Rows};
/// use forecastle_models_deep::{GruParams, TrainingParams};
/// use ndarray::{Array1, Array2};
///
/// // The sum of the last two values.
/// let x = |t: usize| (t as f64 * 0.7).sin();
/// let records = Array2::from_shape_fn((200, 1), |(t, _)| x(t));
/// let targets: Array1<f64> = (0..200).map(|t| x(t) + x(t.saturating_sub(1))).collect();
/// let (names, rows) = (["x".to_owned()], Rows::from(0..200));
/// let dataset = Dataset::new(&names, &records, &targets, &rows, 1)?;
///
/// let training = TrainingParams { epochs: 30, learning_rate: 0.01, ..Default::default() };
/// let params = GruParams { hidden_size: 8, lookback: 4, training, ..Default::default() };
/// let gru = params.fit(dataset)?;
/// let error = (&gru.predict(&records)? - &targets).mapv(|e| e * e).sum() / 200.0;
/// assert!(error < 0.1, "{error}");
/// # Ok::<(), forecastle_core::Error>(())
/// ```
///
/// # References
/// K. Cho et al., *Learning Phrase Representations using RNN Encoder-Decoder for Statistical Machine
/// Translation*, 2014, arXiv:1406.1078.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GruParams {
    /// Numbers in a state.
    pub hidden_size: usize,
    /// Layers of units.
    #[doc(alias = "num_layers")]
    pub n_layers: usize,
    /// Share of states dropped between layers while training.
    pub dropout: f64,
    /// Rows of a window.
    pub lookback: usize,
    /// Scaled features are cut to `±clip`.
    pub clip: Option<f64>,
    /// How it is trained.
    pub training: TrainingParams,
}

impl Default for GruParams {
    fn default() -> Self {
        Self {
            hidden_size: 64,
            n_layers: 1,
            dropout: 0.0,
            lookback: 32,
            clip: Some(5.0),
            training: TrainingParams::default(),
        }
    }
}

impl Fit for GruParams {
    type Fitted = Gru;

    fn fit(&self, dataset: Dataset<'_>) -> Result<Gru> {
        fit_native(self, dataset, None)
    }

    /// Fits from the weights of another model on, with its scalings.
    ///
    /// With early stopping the model comes back as it was when no epoch betters it, or forecasts the
    /// mean where that is better still.
    ///
    /// # Errors
    /// - [`Error::FeatureMismatch`](forecastle_core::Error::FeatureMismatch) when `start` has other
    ///   features.
    /// - [`Error::Shape`](forecastle_core::Error::Shape) when its weights have other shapes.
    /// - As [`fit`](Fit::fit).
    fn fit_from(&self, dataset: Dataset<'_>, start: &Gru) -> Result<Gru> {
        fit_native(self, dataset, Some(start))
    }
}

impl Architecture for GruParams {
    const KIND: &'static str = "gru";

    type Network = GruNetwork;

    fn check(&self) -> Result<()> {
        check_size("hidden_size", self.hidden_size, 4096)?;
        check_size("n_layers", self.n_layers, 16)?;
        check_dropout(self.dropout)?;
        check_size("lookback", self.lookback, 4096)?;
        check_clip(self.clip)?;
        let (hidden, layers) = (self.hidden_size as f64, self.n_layers as f64);
        let activations = layers * self.lookback as f64 * 8.0 * hidden;
        check_memory("hidden_size", activations, layers * 6.0 * hidden * hidden)?;
        self.training.validate()
    }

    fn training(&self) -> &TrainingParams {
        &self.training
    }

    fn network(&self, n_features: usize) -> GruNetwork {
        let Self { hidden_size, n_layers, dropout, lookback, .. } = *self;
        GruNetwork::new(n_features, lookback, hidden_size, n_layers, dropout)
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
