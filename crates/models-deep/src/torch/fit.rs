use forecastle_core::{Dataset, Error, Fit, Result};

use crate::architecture::{Architecture, NeuralParams};
use crate::fit::fit_with;
use crate::neural_model::NeuralModel;
use crate::torch::device::Device;
use crate::torch::learner::TorchLearner;
use crate::torch::model::TorchModel;
use crate::torch::network::TorchNetwork;

/// Marks the parameters whose networks libtorch can run: all of this crate's. Nothing else can have
/// it.
pub trait TorchParams: NeuralParams + Architecture<Network: TorchNetwork> {}

impl<P: NeuralParams + Architecture<Network: TorchNetwork>> TorchParams for P {}

/// Fits the same model on libtorch instead of our own arithmetic; cargo feature `tch`.
///
/// For networks that are too large for one processor's cores: on a GPU, or on several cores. First
/// weights, batches, their order, the optimiser, early stopping and the report are those of the
/// pure backend, and so are names, shapes and files of what comes out: a model trained here loads
/// there, and the other way round.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `params` | | the model, as on the pure backend | its own |
/// | `device` | processor | where to compute | see [`Device`] |
/// | `threads` | 1 | of libtorch, within this fit and its model; on the processor only | 1 to 4096 |
///
/// The same seed gives the same bits on one machine, with one version of libtorch and the same
/// `threads`; another number of threads may change the last digits, which training blows up. On a
/// GPU some of libtorch's sums have no fixed order at all. Dropout draws other numbers than the pure
/// backend's. `threads` outlasts the fit for whoever else computes with libtorch on the same thread.
///
/// # Errors
/// - [`Error::InvalidParameter`] when there is no such device, or a parameter is outside its range.
/// - [`Error::Component`] when libtorch fails, e.g. for want of memory.
/// - What the pure backend's fit gives besides.
///
/// # Examples
/// ```
/// use forecastle_core::conformance::noise;
/// use forecastle_core::{Dataset, Fit, PredictExt, Rows};
/// use forecastle_models_deep::{Device, GruParams, Torch, TrainingParams};
///
/// let training = TrainingParams { epochs: 2, ..Default::default() };
/// let params = GruParams { hidden_size: 8, lookback: 4, training, ..Default::default() };
/// let (table, targets) = noise(1, 200, 2)?;
/// let rows = Rows::from(0..150);
/// let dataset = Dataset::from_table(&table, &targets, &rows, 1)?;
///
/// let model = Torch::new(params, Device::Cpu).fit(dataset)?;
/// let (here, there) = (model.predict_table(&table)?, model.native().predict_table(&table)?);
/// assert!(here.iter().zip(&there).all(|(a, b)| (a - b).abs() < 1e-5));
/// # Ok::<(), forecastle_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Torch<P> {
    /// The model, as on the pure backend.
    pub params: P,
    /// Where to compute.
    pub device: Device,
    /// Threads of libtorch.
    pub threads: usize,
}

impl<P: TorchParams> Torch<P> {
    /// Sets up a fit with one thread.
    pub fn new(params: P, device: Device) -> Self {
        Self { params, device, threads: 1 }
    }

    /// The same with more threads on the processor.
    pub fn with_threads(self, threads: usize) -> Self {
        Self { threads, ..self }
    }

    /// Fits on from a model of the pure backend: from its weights, with its scalings.
    ///
    /// # Errors
    /// - As [`fit`](Fit::fit).
    /// - [`Error::FeatureMismatch`] and [`Error::Shape`] when the model does not fit the dataset or
    ///   the parameters.
    pub fn fit_from_native(
        &self,
        dataset: Dataset<'_>,
        start: &NeuralModel<P>,
    ) -> Result<TorchModel<P>> {
        self.run(dataset, Some(start))
    }

    fn run(&self, dataset: Dataset<'_>, start: Option<&NeuralModel<P>>) -> Result<TorchModel<P>> {
        let device = self.device.open()?;
        set_threads(self.threads)?;
        let native = fit_with(&self.params, dataset, start, |network, weights, training| {
            TorchLearner::new(network.clone(), training, &weights, device)
        })?;
        TorchModel::new(native, self.device)?.with_threads(self.threads)
    }
}

impl<P: TorchParams> Fit for Torch<P> {
    type Fitted = TorchModel<P>;

    fn fit(&self, dataset: Dataset<'_>) -> Result<TorchModel<P>> {
        self.run(dataset, None)
    }

    /// Fits on from a model's weights, with its scalings.
    ///
    /// # Errors
    /// As [`fit_from_native`](Self::fit_from_native).
    fn fit_from(&self, dataset: Dataset<'_>, start: &TorchModel<P>) -> Result<TorchModel<P>> {
        self.run(dataset, Some(start.native()))
    }
}

/// Sets libtorch's number of threads for work that begins on this thread.
///
/// # Errors
/// - [`Error::InvalidParameter`].
pub(crate) fn set_threads(threads: usize) -> Result<()> {
    let wanted = i32::try_from(threads).ok().filter(|n| (1..=4096).contains(n));
    let Some(wanted) = wanted else {
        return Err(Error::invalid_parameter("threads", "between 1 and 4096", threads));
    };
    // Asking first matters: it makes libtorch read its defaults on this thread, which would
    // otherwise happen later and replace the number.
    if tch::get_num_threads() != wanted {
        tch::set_num_threads(wanted);
    }
    Ok(())
}
