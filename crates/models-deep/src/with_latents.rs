use forecastle_core::{Artifact, Dataset, Error, Fit, Load, Lookback, Predict, PredictExt, Result};
use ndarray::{Array2, ArrayRef1, ArrayRef2, s};
use serde::{Deserialize, Serialize};

use crate::autoencoder::Autoencoder;
use crate::autoencoder_params::AutoencoderParams;

/// Version of the saved format.
const VERSION: u32 = 1;

/// Fits an autoencoder on the training rows, appends its latents to the features, and fits another
/// model on the wider table.
///
/// Latents are columns `latent_1`, `latent_2`, … behind the features. Both fits see the training
/// rows alone; bars that the other model reads beside them (history) must be complete where it
/// demands so.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `autoencoder` | | what squeezes the features | see [`AutoencoderParams`] |
/// | `model` | the model's | what learns from features and latents | its own |
///
/// # Errors
/// - [`Error::NonFinite`] when a selected row is incomplete, even if the model takes missing values.
/// - [`Error::InvalidParameter`] when a feature has the name of a latent.
/// - As either fit.
///
/// # Examples
/// ```
/// use forecastle_core::conformance::noise;
/// use forecastle_core::{Dataset, Fit, PredictExt, Rows};
/// use forecastle_models_deep::{AutoencoderParams, GruParams, WithLatents};
///
/// let autoencoder = AutoencoderParams { latents: 2, ..Default::default() };
/// let model = GruParams { hidden_size: 8, lookback: 4, ..Default::default() };
/// let (table, targets) = noise(1, 300, 3)?;
/// let rows = Rows::from(0..200);
/// let dataset = Dataset::from_table(&table, &targets, &rows, 1)?;
///
/// let fitted = WithLatents { autoencoder, model }.fit(dataset)?;
/// assert_eq!(fitted.model().standardizer().mean().len(), 5);
/// assert_eq!(fitted.predict_table(&table)?.len(), 300);
/// # Ok::<(), forecastle_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WithLatents<F> {
    /// What squeezes the features.
    #[serde(default)]
    pub autoencoder: AutoencoderParams,
    /// What learns from features and latents.
    pub model: F,
}

impl<F> Fit for WithLatents<F>
where
    F: Fit,
    F::Fitted: Load,
{
    type Fitted = LatentModel<F::Fitted>;

    fn fit(&self, dataset: Dataset<'_>) -> Result<LatentModel<F::Fitted>> {
        self.run(dataset, None)
    }

    /// Fits from both parts of another model on: the autoencoder first, then, on its latents, the
    /// model that reads them.
    ///
    /// # Errors
    /// As the [`fit_from`](Fit::fit_from) of either part.
    fn fit_from(
        &self,
        dataset: Dataset<'_>,
        start: &LatentModel<F::Fitted>,
    ) -> Result<LatentModel<F::Fitted>> {
        self.run(dataset, Some(start))
    }
}

impl<F> WithLatents<F>
where
    F: Fit,
    F::Fitted: Load,
{
    fn run(
        &self,
        dataset: Dataset<'_>,
        start: Option<&LatentModel<F::Fitted>>,
    ) -> Result<LatentModel<F::Fitted>> {
        let autoencoder = match start {
            Some(start) => self.autoencoder.fit_from(dataset, &start.autoencoder)?,
            None => self.autoencoder.fit(dataset)?,
        };
        let latents = autoencoder.latent_names();
        if let Some(name) = dataset.feature_names().iter().find(|name| latents.contains(name)) {
            let requirement = "without the name of a latent";
            return Err(Error::invalid_parameter("feature_names", requirement, name));
        }
        let names = [dataset.feature_names(), &latents].concat();
        let records = widened(&autoencoder, dataset)?;
        let wide =
            Dataset::new(&names, &records, dataset.targets(), dataset.rows(), dataset.horizon())?;
        let wide = match dataset.weights() {
            Some(weights) => wide.with_weights(weights)?,
            None => wide,
        };
        let wide = match dataset.progress() {
            Some(progress) => wide.with_progress(progress),
            None => wide,
        };
        let model = match start {
            Some(start) => self.model.fit_from(wide, &start.model)?,
            None => self.model.fit(wide)?,
        };
        Ok(LatentModel { autoencoder, model })
    }
}

/// The dataset's records with latents; those of incomplete rows, and everything after the last
/// selected row, are NaN.
fn widened(autoencoder: &Autoencoder, dataset: Dataset<'_>) -> Result<Array2<f64>> {
    let (n_bars, n_features) = dataset.records().dim();
    let mut wide = Array2::from_elem((n_bars, n_features + autoencoder.n_latents()), f64::NAN);
    let past = s![..dataset.rows().end(), ..];
    let records = dataset.records().slice(past);
    wide.slice_mut(s![..dataset.rows().end(), ..n_features]).assign(&records);
    let complete = |&i: &usize| records.row(i).iter().all(|v| v.is_finite());
    let rows: Vec<usize> = (0..records.nrows()).filter(complete).collect();
    let mut chosen = Array2::zeros((rows.len(), n_features));
    for (mut to, &from) in chosen.rows_mut().into_iter().zip(&rows) {
        to.assign(&records.row(from));
    }
    for (latents, &to) in autoencoder.encode(&chosen)?.rows().into_iter().zip(&rows) {
        wide.slice_mut(s![to, n_features..]).assign(&latents);
    }
    Ok(wide)
}

/// Predicts from features and their latents; made by [`WithLatents`].
#[derive(Debug, Clone, PartialEq)]
pub struct LatentModel<P> {
    autoencoder: Autoencoder,
    model: P,
}

impl<P> LatentModel<P> {
    /// What squeezes the features.
    pub fn autoencoder(&self) -> &Autoencoder {
        &self.autoencoder
    }

    /// What predicts from features and latents.
    pub fn model(&self) -> &P {
        &self.model
    }
}

impl<P> LatentModel<P> {
    /// The features and behind them their latents.
    fn widened(&self, records: &ArrayRef2<f64>) -> Result<Array2<f64>> {
        let (n_bars, n_features) = records.dim();
        let mut wide = Array2::zeros((n_bars, n_features + self.autoencoder.n_latents()));
        wide.slice_mut(s![.., ..n_features]).assign(records);
        let mut latents = wide.slice_mut(s![.., n_features..]);
        self.autoencoder.encode_into(records, &mut latents)?;
        Ok(wide)
    }
}

impl<P: Load> Predict for LatentModel<P> {
    fn feature_names(&self) -> &[String] {
        self.autoencoder.feature_names()
    }

    fn lookback(&self) -> Lookback {
        self.model.lookback()
    }

    fn predict_into(&self, records: &ArrayRef2<f64>, out: &mut ArrayRef1<f64>) -> Result<()> {
        self.check_shapes(records, out)?;
        self.model.predict_into(&self.widened(records)?, out)
    }

    fn predict_last(&self, window: &ArrayRef2<f64>) -> Result<f64> {
        let width = self.n_features();
        if window.ncols() != width {
            let expected = format!("{width} columns");
            return Err(Error::shape("window", expected, window.ncols().to_string()));
        }
        let n = window.nrows();
        let context = self.lookback().context(n.saturating_sub(1));
        let last = window.slice(s![n.saturating_sub(context + 1).., ..]);
        self.model.predict_last(&self.widened(&last)?)
    }

    fn save(&self) -> Result<Artifact> {
        let parts = (self.autoencoder.save()?, self.model.save()?);
        Artifact::encode(Self::KIND, VERSION, self.feature_names(), &parts)
    }
}

impl<P: Load> Load for LatentModel<P> {
    const KIND: &'static str = "with_latents";

    fn load(artifact: &Artifact) -> Result<Self> {
        let (autoencoder, model): (Artifact, Artifact) = artifact.decode(Self::KIND, VERSION)?;
        let loaded =
            Self { autoencoder: Autoencoder::load(&autoencoder)?, model: P::load(&model)? };
        artifact.require_features(loaded.autoencoder.feature_names())?;
        let latents = loaded.autoencoder.latent_names();
        let names = [loaded.autoencoder.feature_names(), &latents].concat();
        model.require_features(&names)?;
        if loaded.model.n_features() != names.len() {
            return Err(Error::artifact("its parts do not fit each other"));
        }
        Ok(loaded)
    }
}
