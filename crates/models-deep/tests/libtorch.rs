//! The same models on libtorch, as a caller uses them; see docs/libtorch.md for what it needs.

#![cfg(feature = "tch")]
#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::atomic::{AtomicU64, Ordering};

use forecastle_core::conformance::{ModelSuite, noise};
use forecastle_core::{
    Artifact, Dataset, Error, FeatureTable, Fit, Load, Predict, PredictExt, Progress,
    ProgressEvent, Result, Rows,
};
use forecastle_models_deep::{
    AutoencoderParams, Device, EarlyStopping, Gru, GruParams, NeuralModel, Torch, TorchModel,
    TorchParams, TrainingParams, Transformer, TransformerParams,
};
use ndarray::Array1;

fn training() -> TrainingParams {
    TrainingParams { epochs: 5, batch_size: 70, learning_rate: 1e-2, ..Default::default() }
}

fn gru() -> GruParams {
    let training = training();
    GruParams {
        hidden_size: 8,
        n_layers: 2,
        dropout: 0.2,
        lookback: 6,
        training,
        ..Default::default()
    }
}

fn transformer() -> TransformerParams {
    let training = training();
    TransformerParams {
        d_model: 12,
        n_heads: 3,
        feed_forward: 20,
        lookback: 5,
        training,
        ..Default::default()
    }
}

fn autoencoder() -> AutoencoderParams {
    AutoencoderParams { hidden: vec![6], latents: 2, training: training(), ..Default::default() }
}

fn load<P: TorchParams>(artifact: &Artifact) -> Result<Box<dyn Predict>> {
    Ok(Box::new(TorchModel::<P>::load(artifact)?))
}

fn fit<P: TorchParams>(
    params: &P,
    (table, targets): &(FeatureTable, Array1<f64>),
) -> Result<TorchModel<P>> {
    let rows = Rows::from(0..table.n_rows() * 3 / 4);
    Torch::new(params.clone(), Device::Cpu).fit(Dataset::from_table(table, targets, &rows, 1)?)
}

fn assert_close(a: &Array1<f64>, b: &Array1<f64>, limit: f64) {
    assert_eq!(a.len(), b.len());
    for (row, (a, b)) in a.iter().zip(b).enumerate() {
        assert!((a - b).abs() <= limit, "row {row}: {a} {b}");
    }
}

#[test]
fn models_keep_the_contract() {
    let suite = ModelSuite::new(noise(11, 400, 3).unwrap());
    suite.check(&Torch::new(gru(), Device::Cpu), load::<GruParams>).unwrap();
    suite.check(&Torch::new(transformer(), Device::Cpu), load::<TransformerParams>).unwrap();
    suite.check(&Torch::new(autoencoder(), Device::Cpu), load::<AutoencoderParams>).unwrap();
    let one_row = GruParams { lookback: 1, n_layers: 1, ..gru() };
    suite.check(&Torch::new(one_row, Device::Cpu), load::<GruParams>).unwrap();
}

#[test]
fn a_row_is_predicted_alike_whatever_rows_are_beside_it() {
    // Sizes of use, so that libtorch takes the ways it takes in use.
    let data = noise(3, 330, 26).unwrap();
    let training = TrainingParams { epochs: 1, ..Default::default() };
    let values = data.0.values();
    let check = |model: &dyn Predict| {
        let all = model.predict(values).unwrap();
        for cut in [1, 2, 31, 64, 65, 100, 127, 129, 200, 329] {
            let some = model.predict(data.0.slice(0..cut).values()).unwrap();
            assert!(some.iter().zip(&all).all(|(a, b)| a.to_bits() == b.to_bits()), "cut at {cut}");
        }
        for row in [31, 32, 77, 300] {
            let some = model.predict(data.0.slice(row - 31..row + 1).values()).unwrap();
            assert_eq!(some[31].to_bits(), all[row].to_bits(), "row {row}");
        }
    };
    check(&fit(&GruParams { training, ..Default::default() }, &data).unwrap());
    check(&fit(&TransformerParams { training, ..Default::default() }, &data).unwrap());
    check(&fit(&AutoencoderParams { training, ..Default::default() }, &data).unwrap());
}

#[test]
fn models_move_between_the_backends() {
    let data = noise(5, 300, 4).unwrap();
    let values = data.0.values();
    let there = fit(&gru(), &data).unwrap();
    let here =
        Gru::load(&Artifact::from_bytes(&there.save().unwrap().to_bytes().unwrap()).unwrap());
    let here = here.unwrap();
    assert_eq!(&here, there.native());
    assert_close(&here.predict(values).unwrap(), &there.predict(values).unwrap(), 1e-5);
    let again = Gru::from_safetensors(&there.native().to_safetensors().unwrap()).unwrap();
    assert_eq!(again, there.into_native());

    let rows = Rows::from(0..200);
    let dataset = Dataset::from_table(&data.0, &data.1, &rows, 1).unwrap();
    let here: Transformer = transformer().fit(dataset).unwrap();
    let predicted = here.predict(values).unwrap();
    let there = TorchModel::load(&here.save().unwrap()).unwrap();
    assert_eq!(there.native(), &here);
    assert_close(&predicted, &there.predict(values).unwrap(), 1e-5);
    let on_two = there.with_threads(2).unwrap();
    assert_close(&predicted, &on_two.predict(values).unwrap(), 1e-5);
}

/// Trains on both backends from the same seed, without dropout.
fn assert_trained_alike<P>(params: P, weighted: bool)
where
    P: TorchParams + Fit<Fitted = NeuralModel<P>>,
{
    let (table, targets) = noise(8, 400, 4).unwrap();
    let rows = Rows::from(20..350);
    let weights = Array1::from_iter((0..400).map(|i| f64::from(i % 3)));
    let mut dataset = Dataset::from_table(&table, &targets, &rows, 2).unwrap();
    if weighted {
        dataset = dataset.with_weights(&weights).unwrap();
    }
    let here = params.fit(dataset).unwrap();
    let there = Torch::new(params, Device::Cpu).fit(dataset).unwrap();
    let (a, b) = (here.report(), there.native().report());
    assert_eq!(
        (a.epochs, a.train_rows, a.validation_rows),
        (b.epochs, b.train_rows, b.validation_rows)
    );
    assert!(a.train_loss.len() == 3 && a.validation_loss.len() == 3);
    let losses = a.train_loss.iter().chain(&a.validation_loss);
    for (a, b) in losses.zip(b.train_loss.iter().chain(&b.validation_loss)) {
        assert!((a / b - 1.0).abs() < 1e-3, "{a} {b}");
    }
    let (a, b) = (here.predict_table(&table).unwrap(), there.predict_table(&table).unwrap());
    assert_close(&a, &b, 1e-2);
}

#[test]
fn both_backends_train_alike_from_the_same_seed() {
    let early_stopping = Some(EarlyStopping { patience: 10, ..Default::default() });
    let training = TrainingParams { epochs: 3, early_stopping, ..training() };
    assert_trained_alike(GruParams { dropout: 0.0, training, ..gru() }, false);
    assert_trained_alike(GruParams { dropout: 0.0, training, ..gru() }, true);
    assert_trained_alike(TransformerParams { dropout: 0.0, training, ..transformer() }, true);
    assert_trained_alike(AutoencoderParams { training, ..autoencoder() }, true);
}

#[test]
fn fits_beside_each_other_draw_what_they_draw_alone() {
    let data = noise(13, 300, 3).unwrap();
    let alone = fit(&gru(), &data).unwrap().into_native();
    let beside: Vec<Gru> = std::thread::scope(|scope| {
        let fits: Vec<_> = (0..4)
            .map(|i| {
                let (params, data) = (gru(), &data);
                let seeded = TrainingParams { seed: i % 2, ..params.training };
                let params = GruParams { training: seeded, ..params };
                scope.spawn(move || fit(&params, data).unwrap().into_native())
            })
            .collect();
        fits.into_iter().map(|fit| fit.join().unwrap()).collect()
    });
    assert_eq!(beside[0], alone);
    assert_eq!(beside[2], alone);
    assert_eq!(beside[1], beside[3]);
    assert_ne!(beside[0], beside[1]);
}

#[test]
fn dropout_hits_training_only() {
    let data = noise(17, 300, 3).unwrap();
    let without = fit(&TransformerParams { dropout: 0.0, ..transformer() }, &data).unwrap();
    let with = fit(&TransformerParams { dropout: 0.4, ..transformer() }, &data).unwrap();
    assert!(with.native().report().train_loss[0] != without.native().report().train_loss[0]);
    let values = data.0.values();
    assert_eq!(with.predict(values).unwrap(), with.predict(values).unwrap());
    assert_close(&with.predict(values).unwrap(), &with.native().predict(values).unwrap(), 1e-5);
}

#[test]
fn a_fit_goes_on_from_a_model_of_either_backend() {
    let (table, targets) = noise(19, 300, 3).unwrap();
    let rows = Rows::from(0..300);
    let dataset = Dataset::from_table(&table, &targets, &rows, 1).unwrap();
    let params = GruParams { dropout: 0.0, ..gru() };
    let first = params.fit(dataset).unwrap();
    let second = Torch::new(params, Device::Cpu).fit_from_native(dataset, &first).unwrap();
    let (before, after) = (first.report(), second.native().report());
    assert!(after.train_loss[0] < before.train_loss[1]);
    let narrow = GruParams { hidden_size: 7, ..gru() };
    let refused = Torch::new(narrow, Device::Cpu);
    let other = narrow.fit(dataset).unwrap();
    assert!(refused.fit_from_native(dataset, &other).is_ok());
    let told = Torch::new(gru(), Device::Cpu).fit_from_native(dataset, &other).unwrap_err();
    assert!(told.is_invalid_input(), "{told}");
    let third = Torch::new(params, Device::Cpu).fit_from(dataset, &second).unwrap();
    assert!(third.native().report().train_loss[0] < after.train_loss[0]);
}

/// Stops after an epoch.
struct Impatient(AtomicU64);

impl Progress for Impatient {
    fn update(&self, event: &ProgressEvent<'_>) {
        self.0.store(event.done, Ordering::Relaxed);
    }

    fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }
}

#[test]
fn a_fit_can_be_watched_and_stopped() {
    let (table, targets) = noise(23, 200, 3).unwrap();
    let rows = Rows::from(0..200);
    let watch = Impatient(AtomicU64::new(0));
    let dataset = Dataset::from_table(&table, &targets, &rows, 1).unwrap().with_progress(&watch);
    let error = Torch::new(gru(), Device::Cpu).fit(dataset).unwrap_err();
    assert!(error.is_cancelled(), "{error}");
    assert_eq!(watch.0.load(Ordering::Relaxed), 1);
}

#[test]
fn what_cannot_be_is_refused_with_reasons() {
    let data = noise(29, 200, 3).unwrap();
    let rows = Rows::from(0..200);
    let dataset = Dataset::from_table(&data.0, &data.1, &rows, 1).unwrap();
    let error = Torch::new(gru(), Device::Cuda(4_000)).fit(dataset).unwrap_err();
    assert!(matches!(error, Error::InvalidParameter { name: "device", .. }), "{error}");
    let error = Torch::new(gru(), Device::Cpu).with_threads(0).fit(dataset).unwrap_err();
    assert!(matches!(error, Error::InvalidParameter { name: "threads", .. }), "{error}");
    let error = fit(&GruParams { hidden_size: 0, ..gru() }, &data).unwrap_err();
    assert!(matches!(error, Error::InvalidParameter { name: "hidden_size", .. }), "{error}");
    let wild = TrainingParams { learning_rate: 1e30, ..training() };
    let error = fit(&GruParams { training: wild, ..gru() }, &data).unwrap_err();
    assert!(matches!(error, Error::Numerical { .. }), "{error}");
}

#[test]
fn a_gpu_gives_what_the_processor_gives_where_there_is_one() {
    let data = noise(31, 400, 5).unwrap();
    let values = data.0.values();
    let rows = Rows::from(0..300);
    let dataset = Dataset::from_table(&data.0, &data.1, &rows, 1).unwrap();
    let device = Device::best();
    let params = TransformerParams { dropout: 0.0, ..transformer() };
    let here = Torch::new(params, Device::Cpu).fit(dataset).unwrap();
    let there = Torch::new(params, device).fit(dataset).unwrap();
    assert_eq!(there.device(), device);
    assert_close(&here.predict(values).unwrap(), &there.predict(values).unwrap(), 1e-2);
    let gru = fit(&gru(), &data).unwrap().into_native();
    let moved = TorchModel::new(gru.clone(), device).unwrap();
    assert_close(&gru.predict(values).unwrap(), &moved.predict(values).unwrap(), 1e-4);
}
