//! Holds every backend against `PyTorch`'s own numbers: `tests/data/make_fixtures.py` made them.

use safetensors::{Dtype, SafeTensors};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::activation::Activation;
use crate::autoencoder_network::AutoencoderNetwork;
use crate::gru_network::GruNetwork;
use crate::layout::Layout;
use crate::learner::Learner;
use crate::native_learner::NativeLearner;
use crate::network::Network;
use crate::samples::{Answers, Samples};
use crate::training_params::TrainingParams;
use crate::transformer_network::{TransformerNetwork, TransformerShape};

/// Largest difference of an output.
const OUTPUTS: f32 = 1e-5;
/// Largest difference of a weight after up to three steps.
const WEIGHTS: f32 = 1e-4;

/// One of a file's cases.
struct Case<'a> {
    file: &'a SafeTensors<'a>,
    number: usize,
    settings: &'a Value,
}

impl Case<'_> {
    fn setting<T: DeserializeOwned>(&self, name: &str) -> T {
        serde_json::from_value(self.settings[name].clone()).unwrap()
    }

    fn bytes(&self, name: &str, dtype: Dtype) -> Option<&[u8]> {
        let tensor = self.file.tensor(&format!("{}/{name}", self.number)).ok()?;
        assert_eq!(tensor.dtype(), dtype);
        Some(tensor.data())
    }

    fn floats(&self, name: &str) -> Option<Vec<f32>> {
        let (words, _) = self.bytes(name, Dtype::F32)?.as_chunks();
        Some(words.iter().map(|&word| f32::from_le_bytes(word)).collect())
    }

    fn rows(&self, step: usize) -> Option<Vec<usize>> {
        let (words, _) = self.bytes(&format!("rows/{step}"), Dtype::I64)?.as_chunks();
        Some(words.iter().map(|&word| i64::from_le_bytes(word) as usize).collect())
    }

    /// All weights of a moment, in the order of a layout; no name may be left over.
    fn weights(&self, layout: &Layout, moment: &str) -> Vec<f32> {
        let mut weights = vec![f32::NAN; layout.len()];
        for parameter in layout.parameters() {
            let name = format!("{moment}/{}", parameter.name);
            let tensor = self.file.tensor(&format!("{}/{name}", self.number));
            assert_eq!(tensor.unwrap().shape(), parameter.shape, "{name}");
            weights[parameter.range.clone()].copy_from_slice(&self.floats(&name).unwrap());
        }
        let prefix = format!("{}/{moment}/", self.number);
        let names = self.file.names();
        let n_known = names.iter().filter(|name| name.starts_with(&prefix)).count();
        assert_eq!(n_known, layout.parameters().len(), "PyTorch has weights that we lack");
        weights
    }

    fn samples(&self) -> Samples {
        let targets = self.floats("targets");
        Samples {
            records: self.floats("records").unwrap(),
            n_features: self.setting("n_features"),
            first_bar: 0,
            answers: targets.map_or(Answers::Records, Answers::Targets),
            weights: self.floats("weights"),
        }
    }
}

/// Runs a check on every case of a file; `check` sees the training that made it.
fn each_case(bytes: &[u8], check: impl Fn(&Case<'_>, &TrainingParams)) {
    let file = SafeTensors::deserialize(bytes).unwrap();
    let (_, header) = SafeTensors::read_metadata(bytes).unwrap();
    let header = header.metadata().as_ref().unwrap();
    let made: Value = serde_json::from_str(&header["made"]).unwrap();
    let training = &made["training"];
    let params = TrainingParams {
        learning_rate: training["learning_rate"].as_f64().unwrap(),
        weight_decay: training["weight_decay"].as_f64().unwrap(),
        epsilon: training["epsilon"].as_f64().unwrap(),
        gradient_clip: training["gradient_clip"].as_f64(),
        ..TrainingParams::default()
    };
    let cases = made["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 5);
    for (number, settings) in cases.iter().enumerate() {
        check(&Case { file: &file, number, settings }, &params);
    }
}

fn each_gru(check: impl Fn(GruNetwork, &Case<'_>, &TrainingParams)) {
    each_case(include_bytes!("../tests/data/gru.safetensors"), |case, params| {
        let [n_features, lookback, hidden, n_layers] =
            ["n_features", "lookback", "hidden", "n_layers"].map(|name| case.setting(name));
        check(GruNetwork::new(n_features, lookback, hidden, n_layers, 0.0), case, params);
    });
}

fn each_transformer(check: impl Fn(TransformerNetwork, &Case<'_>, &TrainingParams)) {
    each_case(include_bytes!("../tests/data/transformer.safetensors"), |case, params| {
        let [n_features, lookback, d_model, n_heads, n_layers, feed_forward] =
            ["n_features", "lookback", "width", "heads", "n_layers", "feed_forward"]
                .map(|name| case.setting(name));
        let activation: Activation = case.setting("activation");
        let shape =
            TransformerShape { d_model, n_heads, n_layers, feed_forward, dropout: 0.0, activation };
        check(TransformerNetwork::new(n_features, lookback, shape), case, params);
    });
}

fn each_autoencoder(check: impl Fn(AutoencoderNetwork, &Case<'_>, &TrainingParams)) {
    each_case(include_bytes!("../tests/data/autoencoder.safetensors"), |case, params| {
        let hidden: Vec<usize> = case.setting("hidden");
        let activation: Activation = case.setting("activation");
        let [n_features, n_latents] = ["n_features", "n_latents"].map(|name| case.setting(name));
        check(AutoencoderNetwork::new(n_features, &hidden, n_latents, activation), case, params);
    });
}

fn assert_close(found: &[f32], wanted: &[f32], limit: f32, what: &str) {
    assert_eq!(found.len(), wanted.len(), "{what}");
    for (i, (found, wanted)) in found.iter().zip(wanted).enumerate() {
        assert!((found - wanted).abs() <= limit, "{what}, number {i}: {found} is not {wanted}");
    }
}

/// Three steps on three batches, from the weights that `PyTorch` started with.
fn assert_trains_alike(learner: &mut dyn Learner, layout: &Layout, case: &Case<'_>, rate: f64) {
    let samples = case.samples();
    let mut n_steps = 0;
    while let Some(rows) = case.rows(n_steps) {
        let wanted = f64::from(case.floats(&format!("loss/{n_steps}")).unwrap()[0]);
        let evaluated = learner.loss(&samples, &rows).unwrap();
        let loss = learner.step(&samples, &rows, rate).unwrap();
        for (loss, what) in [(evaluated, "evaluated"), (loss, "stepped")] {
            let error = (loss / wanted - 1.0).abs();
            assert!(error < 1e-4, "case {}, step {n_steps}, {what}: {loss} {wanted}", case.number);
        }
        let moment = format!("step/{n_steps}");
        let wanted = case.weights(layout, &moment);
        let what = format!("case {}, {moment}", case.number);
        let found = learner.weights().unwrap();
        for parameter in layout.parameters() {
            let what = format!("{what}, {}", parameter.name);
            let range = parameter.range.clone();
            assert_close(&found[range.clone()], &wanted[range], WEIGHTS, &what);
        }
        n_steps += 1;
    }
    assert_eq!(n_steps, 3);
    let moved = case.weights(layout, "step/2");
    let start = case.weights(layout, "start");
    let most = moved.iter().zip(&start).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(most > 0.01, "PyTorch's own weights have hardly moved: {most}");
}

/// Forward and three steps on our own backend.
fn check_native<N: Network>(network: N, case: &Case<'_>, params: &TrainingParams) {
    let start = case.weights(network.layout(), "start");
    let wanted = case.floats("outputs").unwrap();
    let width = network.n_outputs();
    let n_bars = wanted.len() / width;
    let samples = case.samples();
    let rows: Vec<usize> = (0..n_bars).collect();
    let mut inputs = vec![0.0; n_bars * network.lookback() * network.n_features()];
    samples.windows_into(&rows, network.lookback(), N::ORDER, &mut inputs);
    let mut outputs = vec![f32::NAN; wanted.len()];
    let mut workspace = network.workspace(n_bars);
    network.forward(&start, &inputs, None, &mut workspace, &mut outputs);
    assert_close(&outputs, &wanted, OUTPUTS, &format!("case {}", case.number));

    let mut window = vec![0.0; network.lookback() * network.n_features()];
    for (row, wanted) in wanted.chunks(width).enumerate() {
        samples.windows_into(&[row], network.lookback(), N::ORDER, &mut window);
        let mut output = vec![f32::NAN; width];
        network.predict_one(&start, &window, &mut workspace, &mut output);
        assert_close(&output, wanted, OUTPUTS, &format!("case {}, bar {row}", case.number));
    }

    let mut learner = NativeLearner::new(network.clone(), start, params);
    assert_trains_alike(&mut learner, network.layout(), case, params.learning_rate);
}

#[test]
fn gru_computes_and_trains_as_pytorch_does() {
    each_gru(check_native);
}

#[test]
fn transformer_computes_and_trains_as_pytorch_does() {
    each_transformer(check_native);
}

#[test]
fn autoencoder_computes_and_trains_as_pytorch_does() {
    each_autoencoder(|network, case, params| {
        let wanted = case.floats("latents").unwrap();
        let start = case.weights(network.layout(), "start");
        let records = case.samples().records;
        let n_bars = records.len() / network.n_features();
        let mut latents = vec![f32::NAN; wanted.len()];
        network.encode(&start, &records, &mut network.workspace(n_bars), &mut latents);
        assert_close(&latents, &wanted, OUTPUTS, &format!("case {}, latents", case.number));
        check_native(network, case, params);
    });
}

#[cfg(feature = "tch")]
mod on_libtorch {
    use super::*;
    use crate::torch::learner::TorchLearner;
    use crate::torch::network::{Mode, TorchNetwork, windows};
    use crate::torch::weights::Weights;

    fn check_torch<N: TorchNetwork>(network: N, case: &Case<'_>, params: &TrainingParams) {
        for device in [tch::Device::Cpu, tch::Device::cuda_if_available()] {
            let start = case.weights(network.layout(), "start");
            let wanted = case.floats("outputs").unwrap();
            let rows: Vec<usize> = (0..wanted.len() / network.n_outputs()).collect();
            let weights = Weights::new(network.layout(), &start, device, false).unwrap();
            let samples = case.samples();
            let inputs = windows(&network, &samples, &rows, &mut Vec::new(), device).unwrap();
            let outputs = network.outputs(&weights, &inputs, Mode::Prediction).unwrap();
            assert_eq!(outputs.size(), [rows.len() as i64, network.n_outputs() as i64]);
            let mut found = vec![f32::NAN; wanted.len()];
            outputs.f_copy_data(&mut found, wanted.len()).unwrap();
            assert_close(&found, &wanted, OUTPUTS, &format!("case {}", case.number));

            let mut learner = TorchLearner::new(network.clone(), params, &start, device).unwrap();
            assert_trains_alike(&mut learner, network.layout(), case, params.learning_rate);
        }
    }

    #[test]
    fn gru_computes_and_trains_as_pytorch_does() {
        each_gru(check_torch);
    }

    #[test]
    fn transformer_computes_and_trains_as_pytorch_does() {
        each_transformer(check_torch);
    }

    #[test]
    fn autoencoder_computes_and_trains_as_pytorch_does() {
        each_autoencoder(check_torch);
    }
}
