//! Trains a network on a file from given weights and prints times, losses and memory as one line of
//! JSON; `benches/compare_pytorch.py` runs it beside PyTorch on the same file.
//!
//!     training_file ours|libtorch gru|transformer|autoencoder FILE THREADS EPOCHS
//!
//! The file: safetensors with `records` `(n_bars, n_features)` and `targets` `(n_bars,)`. Beside it,
//! with `.start` at the end of its name, another one with the weights to start from.

#![allow(clippy::print_stdout, reason = "a program")]

use std::error::Error;
use std::sync::Mutex;
use std::time::Instant;

use forecastle_core::{Dataset, Fit, Progress, ProgressEvent, Rows};
#[cfg(not(feature = "tch"))]
use forecastle_models_deep::NeuralParams as Params;
#[cfg(feature = "tch")]
use forecastle_models_deep::TorchParams as Params;
use forecastle_models_deep::{
    AutoencoderParams, GruParams, NeuralModel, TrainingParams, TransformerParams,
};
use ndarray::{Array1, Array2};
use safetensors::SafeTensors;

type Failure = Box<dyn Error>;

/// Trains on from a model on our backend.
type FitFrom<P> =
    fn(&P, Dataset<'_>, &NeuralModel<P>) -> Result<NeuralModel<P>, forecastle_core::Error>;

/// What to run, and on what.
struct Task {
    libtorch: bool,
    threads: usize,
    epochs: usize,
    records: Array2<f64>,
    targets: Array1<f64>,
    start: Vec<u8>,
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [backend, model, path, threads, epochs] = arguments.as_slice() else {
        return Err("training_file ours|libtorch MODEL FILE THREADS EPOCHS".into());
    };
    let bytes = std::fs::read(path)?;
    let file = SafeTensors::deserialize(&bytes)?;
    let numbers = |name: &str| -> Result<Vec<f64>, Failure> {
        let (words, _) = file.tensor(name)?.data().as_chunks::<4>();
        Ok(words.iter().map(|&word| f64::from(f32::from_le_bytes(word))).collect())
    };
    let (records, targets) = (numbers("records")?, Array1::from(numbers("targets")?));
    let shape = (targets.len(), records.len() / targets.len());
    let task = Task {
        libtorch: backend == "libtorch",
        threads: threads.parse()?,
        epochs: epochs.parse()?,
        records: Array2::from_shape_vec(shape, records)?,
        targets,
        start: std::fs::read(format!("{path}.start"))?,
    };
    rayon::ThreadPoolBuilder::new().num_threads(task.threads).build_global()?;
    match model.as_str() {
        "gru" => {
            let params = |training| GruParams { training, ..Default::default() };
            task.run(32, params, GruParams::fit_from)
        }
        "transformer" => {
            let params =
                |training| TransformerParams { dropout: 0.0, training, ..Default::default() };
            task.run(32, params, TransformerParams::fit_from)
        }
        "autoencoder" => {
            let params = |training: TrainingParams| AutoencoderParams {
                training: TrainingParams { batch_size: 256, ..training },
                ..Default::default()
            };
            task.run(1, params, AutoencoderParams::fit_from)
        }
        _ => Err(format!("no model {model:?}").into()),
    }
}

impl Task {
    fn run<P: Params + Fit<Fitted = NeuralModel<P>>>(
        &self,
        lookback: usize,
        params: impl Fn(TrainingParams) -> P,
        fit_from: FitFrom<P>,
    ) -> Result<(), Failure> {
        let (n_bars, width) = self.records.dim();
        let names: Vec<String> = (0..width).map(|j| format!("x{j}")).collect();
        let rows = Rows::from(lookback - 1..n_bars);
        let dataset = Dataset::new(&names, &self.records, &self.targets, &rows, 1)?;
        let training = |epochs| {
            params(TrainingParams {
                epochs,
                shuffle: false,
                early_stopping: None,
                ..Default::default()
            })
        };
        // Scalings come with a fit.
        let start = training(1).fit(dataset)?.with_weights(&self.start)?;
        let clock = Clock::default();
        let (params, dataset) = (training(self.epochs), dataset.with_progress(&clock));
        let model = match self.libtorch {
            true => fit_on_libtorch(params, dataset, &start, self.threads)?,
            false => fit_from(&params, dataset, &start)?,
        };
        let ends = clock.0.into_inner().map_err(|e| e.to_string())?;
        let pairs = || ends.windows(2).map(|w| (&w[0], &w[1]));
        let wall: Vec<f64> = pairs().map(|(a, b)| (b.0 - a.0).as_secs_f64()).collect();
        let cpu: Vec<f64> = pairs().map(|(a, b)| b.1 - a.1).collect();
        let losses = &model.report().train_loss;
        println!(
            "{{\"epoch_s\":{wall:?},\"epoch_cpu_s\":{cpu:?},\"losses\":{losses:?},\"peak_mb\":{}}}",
            peak_mb()
        );
        Ok(())
    }
}

#[cfg(feature = "tch")]
fn fit_on_libtorch<P: Params>(
    params: P,
    dataset: Dataset<'_>,
    start: &NeuralModel<P>,
    threads: usize,
) -> Result<NeuralModel<P>, Failure> {
    use forecastle_models_deep::{Device, Torch};

    let torch = Torch::new(params, Device::Cpu).with_threads(threads);
    Ok(torch.fit_from_native(dataset, start)?.into_native())
}

#[cfg(not(feature = "tch"))]
fn fit_on_libtorch<P: Params>(
    _: P,
    _: Dataset<'_>,
    _: &NeuralModel<P>,
    _: usize,
) -> Result<NeuralModel<P>, Failure> {
    Err("built without the feature `tch`".into())
}

/// Notes when epochs end, and the processor time until then.
#[derive(Default)]
struct Clock(Mutex<Vec<(Instant, f64)>>);

impl Progress for Clock {
    fn update(&self, _event: &ProgressEvent<'_>) {
        if let Ok(mut ends) = self.0.lock() {
            ends.push((Instant::now(), cpu_seconds()));
        }
    }
}

/// Largest resident memory of this process on Linux; 0 elsewhere.
fn peak_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kb = line.and_then(|text| text.trim().trim_end_matches("kB").trim().parse::<f64>().ok());
    kb.unwrap_or(0.0) / 1024.0
}

/// Processor time of all threads of this process on Linux; 0 elsewhere.
fn cpu_seconds() -> f64 {
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let texts = threads.filter_map(|t| std::fs::read_to_string(t.path().join("schedstat")).ok());
    let spent = texts.filter_map(|text| text.split(' ').next()?.parse::<f64>().ok());
    spent.sum::<f64>() * 1e-9
}
