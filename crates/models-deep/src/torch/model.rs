use std::fmt;
use std::sync::{Mutex, PoisonError};

use forecastle_core::{Artifact, Error, Load, Lookback, Predict, PredictExt, Result};
use ndarray::{Array1, ArrayRef1, ArrayRef2};
use tch::TchError;

use crate::architecture::Architecture;
use crate::network::Network;
use crate::neural_model::NeuralModel;
use crate::prepared::standardise_into;
use crate::samples::{Answers, Samples};
use crate::torch::device::Device;
use crate::torch::fit::{TorchParams, set_threads};
use crate::torch::learner::failed;
use crate::torch::network::{Mode, TorchNetwork, windows};
use crate::torch::weights::Weights;

/// Windows of a batch. Always this many, the last ones repeated where there are fewer: libtorch
/// chooses other kernels for other shapes, and a row's prediction must not depend on its neighbours.
const BATCH: usize = 64;

/// Predicts on libtorch; made by [`Torch`](crate::Torch), or from a model of the pure backend.
///
/// It wraps a [`NeuralModel`], whose artifacts it saves and loads. Predictions agree with that model's
/// to rounding. Rows are predicted 64 at a time; where one row must be fast, take
/// [`native`](Self::native). Calls from several threads wait for each other.
pub struct TorchModel<P: TorchParams> {
    native: NeuralModel<P>,
    device: Device,
    threads: usize,
    /// Tensors may be sent to other threads and not shared between them.
    weights: Mutex<Weights>,
}

impl<P: TorchParams> TorchModel<P> {
    /// Puts a model's weights on a device.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] when there is no such device.
    /// - [`Error::Component`] when libtorch fails.
    pub fn new(native: NeuralModel<P>, device: Device) -> Result<Self> {
        let layout = native.network().layout();
        let weights = Weights::new(layout, native.weights(), device.open()?, false);
        let weights = Mutex::new(weights.map_err(failed)?);
        Ok(Self { native, device, threads: 1, weights })
    }

    /// This model with more threads on the processor; the last digits may change with their number.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] when `threads` is not between 1 and 4096.
    pub fn with_threads(self, threads: usize) -> Result<Self> {
        set_threads(threads)?;
        Ok(Self { threads, ..self })
    }

    /// The same model on the pure backend.
    pub fn native(&self) -> &NeuralModel<P> {
        &self.native
    }

    /// The same model on the pure backend, which needs no libtorch.
    pub fn into_native(self) -> NeuralModel<P> {
        self.native
    }

    /// Where it computes.
    pub fn device(&self) -> Device {
        self.device
    }

    /// The network's outputs for a batch of bars, `(rows.len(), n_outputs)`.
    fn outputs(
        &self,
        weights: &Weights,
        samples: &Samples,
        rows: &[usize],
        buffer: &mut Vec<f32>,
    ) -> Result<Vec<f32>, TchError> {
        tch::no_grad(|| {
            let network = self.native.network();
            let inputs = windows(network, samples, rows, buffer, weights.device())?;
            let outputs = network.outputs(weights, &inputs, Mode::Prediction)?;
            let mut numbers = vec![0.0; rows.len() * network.n_outputs()];
            let len = numbers.len();
            outputs.f_copy_data(&mut numbers, len)?;
            Ok(numbers)
        })
    }
}

impl<P: TorchParams> Predict for TorchModel<P> {
    fn feature_names(&self) -> &[String] {
        self.native.feature_names()
    }

    fn lookback(&self) -> Lookback {
        self.native.lookback()
    }

    fn predict_into(&self, records: &ArrayRef2<f64>, out: &mut ArrayRef1<f64>) -> Result<()> {
        self.check_shapes(records, out)?;
        self.check_complete(records)?;
        let (n, n_features) = records.dim();
        let mut scaled = Vec::new();
        standardise_into(self.native.standardizer(), records, n, &mut scaled);
        let answers = Answers::Records;
        let samples = Samples { records: scaled, n_features, first_bar: 0, answers, weights: None };
        let n_outputs = self.native.network().n_outputs();
        let mut predicted = Array1::from_elem(n, f64::NAN);
        let mut buffer = Vec::new();
        let weights = self.weights.lock().unwrap_or_else(PoisonError::into_inner);
        set_threads(self.threads)?;
        for start in (0..n).step_by(BATCH) {
            let rows: Vec<usize> = (start..start + BATCH).map(|row| row.min(n - 1)).collect();
            let outputs = self.outputs(&weights, &samples, &rows, &mut buffer).map_err(failed)?;
            for (row, outputs) in (start..n).zip(outputs.chunks_exact(n_outputs)) {
                let record = &samples.records[row * n_features..(row + 1) * n_features];
                let value = P::prediction(outputs, record, self.native.target_scaling());
                if !value.is_finite() {
                    let reason = format!("the prediction of row {row} leaves the range of numbers");
                    return Err(Error::numerical(<P as Architecture>::KIND, reason));
                }
                predicted[row] = value;
            }
        }
        out.assign(&predicted);
        Ok(())
    }

    fn save(&self) -> Result<Artifact> {
        self.native.save()
    }
}

/// Loads what either backend saved, onto the processor and one thread.
impl<P: TorchParams> Load for TorchModel<P> {
    const KIND: &'static str = <NeuralModel<P> as Load>::KIND;

    fn load(artifact: &Artifact) -> Result<Self> {
        Self::new(NeuralModel::load(artifact)?, Device::Cpu)
    }
}

impl<P: TorchParams> fmt::Debug for TorchModel<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TorchModel")
            .field("native", &self.native)
            .field("device", &self.device)
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}
