use forecastle_core::{Dataset, Error, Fit, Result, Standardizer};
use serde::{Deserialize, Serialize};

use crate::activation::Activation;
use crate::architecture::{Architecture, check_clip, check_memory, check_size};
use crate::autoencoder::Autoencoder;
use crate::autoencoder_network::AutoencoderNetwork;
use crate::fit::fit_native;
use crate::scaling::{TargetScaling, one_scale};
use crate::training_params::TrainingParams;

/// Hidden layers an encoder may have.
const MOST_LAYERS: usize = 16;

/// Fits an autoencoder: minimises the weighted mean of `‖z − decoder(encoder(z))‖²`, where `z` is a
/// row of features, scaled, and the encoder gives `latents` numbers.
///
/// The targets are not looked at. Without `hidden` layers, or with [`Activation::Identity`], it is
/// linear and finds the space of the first principal components.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `hidden` | `[64]` | widths of the encoder's inner layers; the decoder mirrors them | 1 to 8192 each, at most 16 |
/// | `latents` | 8 | numbers a row is squeezed through | 1 to 8192 |
/// | `activation` | `Relu` | function after each inner layer | see [`Activation`] |
/// | `standardize` | true | divide each column by its own standard deviation; off: all by one number, so that columns keep their ratios and wide ones weigh more | |
/// | `clip` | 5 | scaled features are cut to ± this | > 0 |
/// | `training` | | epochs, learning rate, early stopping, seed | see [`TrainingParams`] |
///
/// # Errors
/// - [`Error::InvalidParameter`] when a parameter is outside its range.
/// - [`Error::NotEnoughData`] with the number needed, when fewer than two rows to learn from remain
///   beside those that early stopping holds back.
/// - [`Error::NonFinite`] when a selected row is incomplete.
/// - [`Error::Numerical`] when training diverges.
/// - [`Error::Cancelled`] when the observer asks to stop.
///
/// # Examples
/// ```
/// use forecastle_core::{Dataset, Fit, Rows};
/// use forecastle_models_deep::AutoencoderParams;
/// use ndarray::{Array1, Array2};
///
/// // Three columns that move together.
/// let records = Array2::from_shape_fn((300, 3), |(t, j)| (t as f64 * 0.3).sin() * (j + 1) as f64);
/// let names = ["a".to_owned(), "b".to_owned(), "c".to_owned()];
/// let (targets, rows) = (Array1::zeros(300), Rows::from(0..300));
/// let dataset = Dataset::new(&names, &records, &targets, &rows, 1)?;
///
/// let autoencoder = AutoencoderParams { latents: 1, ..Default::default() }.fit(dataset)?;
/// let latents = autoencoder.encode(&records)?;
/// assert_eq!(latents.dim(), (300, 1));
/// # Ok::<(), forecastle_core::Error>(())
/// ```
///
/// # References
/// - G. E. Hinton, R. R. Salakhutdinov, *Reducing the Dimensionality of Data with Neural Networks*,
///   Science 313, 2006, doi:10.1126/science.1127647.
/// - P. Baldi, K. Hornik, *Neural Networks and Principal Component Analysis: Learning from Examples
///   Without Local Minima*, Neural Networks 2, 1989, doi:10.1016/0893-6080(89)90014-2.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AutoencoderParams {
    /// Widths of the encoder's inner layers.
    pub hidden: Vec<usize>,
    /// Numbers a row is squeezed through.
    pub latents: usize,
    /// Function after each inner layer.
    pub activation: Activation,
    /// Whether each column is divided by its own standard deviation.
    pub standardize: bool,
    /// Scaled features are cut to `±clip`.
    pub clip: Option<f64>,
    /// How it is trained.
    pub training: TrainingParams,
}

impl Default for AutoencoderParams {
    fn default() -> Self {
        Self {
            hidden: vec![64],
            latents: 8,
            activation: Activation::Relu,
            standardize: true,
            clip: Some(5.0),
            training: TrainingParams::default(),
        }
    }
}

impl Fit for AutoencoderParams {
    type Fitted = Autoencoder;

    fn fit(&self, dataset: Dataset<'_>) -> Result<Autoencoder> {
        fit_native(self, dataset, None)
    }

    /// Fits from the weights of another model on, with its scaling.
    ///
    /// With early stopping the model comes back as it was when no epoch betters it.
    ///
    /// # Errors
    /// - [`Error::FeatureMismatch`] when `start` has other features.
    /// - [`Error::Shape`] when its weights have other shapes.
    /// - As [`fit`](Fit::fit).
    fn fit_from(&self, dataset: Dataset<'_>, start: &Autoencoder) -> Result<Autoencoder> {
        fit_native(self, dataset, Some(start))
    }
}

impl Architecture for AutoencoderParams {
    const KIND: &'static str = "autoencoder";

    type Network = AutoencoderNetwork;

    fn check(&self) -> Result<()> {
        if self.hidden.len() > MOST_LAYERS {
            let requirement = format!("at most {MOST_LAYERS} widths");
            return Err(Error::invalid_parameter("hidden", requirement, self.hidden.len()));
        }
        for &width in &self.hidden {
            check_size("hidden", width, 8192)?;
        }
        check_size("latents", self.latents, 8192)?;
        check_clip(self.clip)?;
        let widths = [self.hidden.as_slice(), &[self.latents]].concat();
        let weights: f64 = widths.windows(2).map(|w| 2.0 * w[0] as f64 * w[1] as f64).sum();
        check_memory("hidden", 4.0 * widths.iter().map(|&w| w as f64).sum::<f64>(), weights)?;
        self.training.validate()
    }

    fn training(&self) -> &TrainingParams {
        &self.training
    }

    fn network(&self, n_features: usize) -> AutoencoderNetwork {
        AutoencoderNetwork::new(n_features, &self.hidden, self.latents, self.activation)
    }

    fn standardizer(&self, dataset: Dataset<'_>) -> Result<Standardizer> {
        match self.standardize {
            true => Standardizer::fit(dataset, self.clip),
            false => one_scale(dataset, self.clip),
        }
    }

    fn target_scaling(&self, _dataset: Dataset<'_>) -> Result<Option<TargetScaling>> {
        Ok(None)
    }

    /// The mean squared error of the row's reconstruction.
    fn prediction(outputs: &[f32], record: &[f32], _target: &TargetScaling) -> f64 {
        let square = |(&a, &b): (&f32, &f32)| (f64::from(a) - f64::from(b)).powi(2);
        outputs.iter().zip(record).map(square).sum::<f64>() / record.len() as f64
    }
}
