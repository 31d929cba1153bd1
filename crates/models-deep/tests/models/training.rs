use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use forecastle_core::conformance::noise;
use forecastle_core::{
    Dataset, Error, FeatureTable, Fit, PredictExt, Progress, ProgressEvent, Rows,
};
use forecastle_models_deep::{
    AutoencoderParams, EarlyStopping, Gru, GruParams, Schedule, TrainingParams,
};
use ndarray::{Array1, s};

fn params(training: TrainingParams) -> GruParams {
    GruParams { hidden_size: 8, lookback: 3, training, ..Default::default() }
}

fn plain() -> TrainingParams {
    TrainingParams {
        epochs: 1,
        early_stopping: None,
        shuffle: false,
        batch_size: 1000,
        ..Default::default()
    }
}

fn fit(params: &GruParams, (table, targets): &(FeatureTable, Array1<f64>), rows: &Rows) -> Gru {
    params.fit(Dataset::from_table(table, targets, rows, 1).unwrap()).unwrap()
}

/// Stage, epochs done, epochs in all, loss, validation loss.
type Event = (String, u64, Option<u64>, f64, Option<f64>);

/// Writes down every event and asks to stop after some questions.
#[derive(Default)]
struct Watcher {
    events: Mutex<Vec<Event>>,
    asked: AtomicUsize,
    stop_after: Option<usize>,
}

impl Progress for Watcher {
    fn update(&self, event: &ProgressEvent<'_>) {
        let ProgressEvent { stage, done, total, loss, validation_loss, .. } = *event;
        let event = (stage.to_owned(), done, total, loss.unwrap(), validation_loss);
        self.events.lock().unwrap().push(event);
    }

    fn is_cancelled(&self) -> bool {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
        self.stop_after.is_some_and(|stop| asked > stop)
    }
}

#[test]
fn early_stopping_keeps_the_weights_of_the_best_epoch() {
    let data = noise(3, 300, 2).unwrap();
    let rows = Rows::from(0..300);
    let stopping = EarlyStopping { patience: 4, validation_share: 0.3 };
    // Far too fast, so that the validation loss soon rises.
    let training = TrainingParams {
        epochs: 60,
        batch_size: 16,
        learning_rate: 0.03,
        early_stopping: Some(stopping),
        ..Default::default()
    };
    let stopped = fit(&params(training), &data, &rows);
    let report = stopped.report();
    assert!(report.epochs < 60, "{report:?}");
    assert_eq!(report.epochs, report.best_epoch + 4);
    assert_eq!(
        (report.train_loss.len(), report.validation_loss.len()),
        (report.epochs, report.epochs)
    );
    let least = report.validation_loss.iter().copied().fold(f64::INFINITY, f64::min);
    assert_eq!(report.validation_loss[report.best_epoch - 1], least);
    // 90 rows are held back, and the one before them is purged.
    assert_eq!((report.train_rows, report.validation_rows), (209, 90));
    assert_eq!(report.n_weights, stopped.n_weights());

    let until_best = TrainingParams { epochs: report.best_epoch, ..training };
    let short = fit(&params(until_best), &data, &rows);
    let names: Vec<&str> = stopped.weight_names().collect();
    assert_eq!(names[0], "gru.weight_ih_l0");
    assert!(names.iter().all(|name| stopped.weight(name) == short.weight(name)));
}

#[test]
fn the_tail_is_purged_by_the_horizon() {
    let (table, targets) = noise(3, 100, 2).unwrap();
    let rows = Rows::from(0..100);
    let stopping = EarlyStopping { patience: 1, validation_share: 0.2 };
    let training = TrainingParams { epochs: 1, early_stopping: Some(stopping), ..plain() };
    let dataset = Dataset::from_table(&table, &targets, &rows, 7).unwrap();
    let report = params(training).fit(dataset).unwrap().report().clone();
    assert_eq!((report.train_rows, report.validation_rows), (73, 20));
}

#[test]
fn progress_tells_every_epoch_and_can_stop_in_the_middle_of_one() {
    let (table, targets) = noise(3, 300, 2).unwrap();
    let rows = Rows::from(0..300);
    let dataset = Dataset::from_table(&table, &targets, &rows, 1).unwrap();
    let training = TrainingParams { epochs: 3, batch_size: 100, ..plain() };
    let watcher = Watcher::default();
    let gru = params(training).fit(dataset.with_progress(&watcher)).unwrap();
    let events = watcher.events.into_inner().unwrap();
    assert_eq!(events.len(), 3);
    for (i, (stage, done, total, loss, validation)) in events.into_iter().enumerate() {
        assert_eq!((stage.as_str(), done, total), ("gru", i as u64 + 1, Some(3)));
        assert_eq!((loss, validation), (gru.report().train_loss[i], None));
    }
    let training = TrainingParams { early_stopping: Some(EarlyStopping::default()), ..training };
    let watcher = Watcher::default();
    let gru = params(training).fit(dataset.with_progress(&watcher)).unwrap();
    let told: Vec<_> = watcher.events.into_inner().unwrap().into_iter().map(|e| e.4).collect();
    let wanted: Vec<_> = gru.report().validation_loss.iter().copied().map(Some).collect();
    assert_eq!(told, wanted);
    // Asked before each of the 3 steps of an epoch: stopped before the 5th.
    let training = TrainingParams { early_stopping: None, ..training };
    let watcher = Watcher { stop_after: Some(4), ..Watcher::default() };
    let error = params(training).fit(dataset.with_progress(&watcher)).unwrap_err();
    assert!(error.is_cancelled(), "{error}");
    assert_eq!(watcher.events.into_inner().unwrap().len(), 1);
    assert_eq!(watcher.asked.into_inner(), 5);
}

#[test]
fn a_loss_that_is_not_finite_is_an_error_that_names_the_epoch() {
    let (table, targets) = noise(3, 200, 2).unwrap();
    let rows = Rows::from(0..200);
    let dataset = Dataset::from_table(&table, &targets, &rows, 1).unwrap();
    let training = TrainingParams {
        epochs: 50,
        batch_size: 10,
        learning_rate: 1e25,
        gradient_clip: None,
        weight_decay: 0.0,
        ..plain()
    };
    let model = AutoencoderParams { training, ..Default::default() };
    let error = model.fit(dataset).unwrap_err();
    assert!(matches!(error, Error::Numerical { what: "autoencoder", .. }), "{error}");
    let message = error.to_string();
    assert!(message.contains("epoch 1") && message.contains("learning_rate"), "{message}");
}

#[test]
fn rows_without_a_weight_teach_nothing() {
    let (table, mut targets) = noise(5, 200, 2).unwrap();
    let rows = Rows::from(0..200);
    let mut weights = Array1::ones(200);
    weights.slice_mut(s![50..80]).fill(0.0);
    let training = TrainingParams { epochs: 3, batch_size: 32, ..plain() };
    let learn = |targets: &Array1<f64>| {
        let dataset = Dataset::from_table(&table, targets, &rows, 1).unwrap();
        params(training).fit(dataset.with_weights(&weights).unwrap()).unwrap()
    };
    let first = learn(&targets);
    assert_eq!(first.report().train_rows, 170);
    targets.slice_mut(s![50..80]).fill(1e6);
    assert_eq!(first, learn(&targets));
    targets[100] += 1.0;
    assert_ne!(first, learn(&targets));
}

#[test]
fn a_weight_of_two_is_the_row_twice() {
    // Windows of one row, so that a row can be repeated.
    let (table, targets) = noise(5, 60, 2).unwrap();
    let twice: Vec<usize> = (0..60).flat_map(|i| vec![i; 1 + i % 2]).collect();
    let repeated = table.values().select(ndarray::Axis(0), &twice);
    let repeated_targets = targets.select(ndarray::Axis(0), &twice);
    let weights: Array1<f64> = (0..60).map(|i| (1 + i % 2) as f64).collect();
    let one_row = GruParams { lookback: 1, ..params(plain()) };
    let (rows, all) = (Rows::from(0..60), Rows::from(0..90));
    let start = fit(&one_row, &(table.clone(), targets.clone()), &rows);
    // The same scalings for both.
    let dataset = Dataset::from_table(&table, &targets, &rows, 1).unwrap();
    let weighted = one_row.fit_from(dataset.with_weights(&weights).unwrap(), &start).unwrap();
    let dataset = Dataset::new(table.names(), &repeated, &repeated_targets, &all, 1).unwrap();
    let doubled = one_row.fit_from(dataset, &start).unwrap();
    let loss = |gru: &Gru| gru.report().train_loss[0];
    assert!((loss(&weighted) - loss(&doubled)).abs() < 1e-6 * loss(&doubled));
    for name in weighted.weight_names() {
        let (_, a) = weighted.weight(name).unwrap();
        let (_, b) = doubled.weight(name).unwrap();
        let (_, before) = start.weight(name).unwrap();
        assert_ne!(a, before);
        assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5), "{name}");
    }
}

#[test]
fn a_warm_start_goes_on_where_the_first_fit_stopped() {
    let data = noise(7, 300, 2).unwrap();
    let rows = Rows::from(0..300);
    let long =
        params(TrainingParams { epochs: 30, batch_size: 30, learning_rate: 0.01, ..plain() });
    let start = fit(&long, &data, &rows);
    let dataset = Dataset::from_table(&data.0, &data.1, &rows, 1).unwrap();
    let tiny = TrainingParams { learning_rate: 1e-12, ..plain() };
    let on = params(tiny).fit_from(dataset, &start).unwrap();
    assert!(on.report().train_loss[0] < 0.7, "{:?}", on.report());
    assert!(on.report().train_loss[0] < start.report().train_loss[0]);
    let (a, b) = (on.predict_table(&data.0).unwrap(), start.predict_table(&data.0).unwrap());
    assert!((&a - &b).iter().all(|d| d.abs() < 1e-6));

    let other = GruParams { hidden_size: 9, ..params(plain()) };
    assert!(matches!(other.fit_from(dataset, &start), Err(Error::Shape { .. })));
    let names = ["x1".to_owned(), "x0".to_owned()];
    let swapped = Dataset::new(&names, data.0.values(), &data.1, &rows, 1).unwrap();
    let error = params(plain()).fit_from(swapped, &start).unwrap_err();
    assert!(matches!(error, Error::FeatureMismatch { index: 0, .. }), "{error}");
}

#[test]
fn the_seed_the_order_and_the_schedule_matter() {
    let data = noise(7, 200, 2).unwrap();
    let rows = Rows::from(0..200);
    let base = TrainingParams { epochs: 2, batch_size: 20, ..plain() };
    let first = fit(&params(base), &data, &rows);
    assert_eq!(first, fit(&params(base), &data, &rows));
    let weights = |training| {
        let gru = fit(&params(training), &data, &rows);
        gru.weight("gru.weight_hh_l0").unwrap().1.to_vec()
    };
    let first = first.weight("gru.weight_hh_l0").unwrap().1.to_vec();
    assert_ne!(first, weights(TrainingParams { seed: 1, ..base }));
    assert_ne!(first, weights(TrainingParams { shuffle: true, ..base }));
    let schedule = Schedule::Cosine { warm_up: 0.1 };
    assert_ne!(first, weights(TrainingParams { schedule, ..base }));
    assert_ne!(first, weights(TrainingParams { gradient_clip: Some(1e-3), ..base }));
    assert_ne!(first, weights(TrainingParams { weight_decay: 0.5, ..base }));
}

#[test]
fn too_few_rows_say_how_many_would_do() {
    let (table, targets) = noise(7, 200, 2).unwrap();
    let model =
        GruParams { lookback: 40, ..params(TrainingParams { epochs: 1, ..Default::default() }) };
    let learn = |n: usize| {
        let rows = Rows::from(0..n);
        model.fit(Dataset::from_table(&table, &targets, &rows, 5).unwrap())
    };
    for n in [1, 9, 39] {
        let error = learn(n).unwrap_err();
        assert!(matches!(error, Error::NotEnoughData { needed: 40, .. }), "{error}");
    }
    assert!(learn(40).is_ok());
}

#[test]
fn parameters_outside_their_range_are_named() {
    let (table, targets) = noise(7, 50, 2).unwrap();
    let rows = Rows::from(0..50);
    let dataset = Dataset::from_table(&table, &targets, &rows, 1).unwrap();
    let ok = params(plain());
    let cases = [
        ("hidden_size", GruParams { hidden_size: 0, ..ok }),
        ("hidden_size", GruParams { hidden_size: 5000, ..ok }),
        ("hidden_size", GruParams { hidden_size: 4096, lookback: 4096, ..ok }),
        ("n_layers", GruParams { n_layers: 0, ..ok }),
        ("dropout", GruParams { dropout: 1.0, ..ok }),
        ("dropout", GruParams { dropout: f64::NAN, ..ok }),
        ("lookback", GruParams { lookback: 0, ..ok }),
        ("clip", GruParams { clip: Some(0.0), ..ok }),
        ("clip", GruParams { clip: Some(f64::INFINITY), ..ok }),
        ("epochs", params(TrainingParams { epochs: 0, ..plain() })),
        ("learning_rate", params(TrainingParams { learning_rate: f64::NAN, ..plain() })),
    ];
    for (expected, params) in cases {
        match params.fit(dataset) {
            Err(Error::InvalidParameter { name, .. }) => assert_eq!(name, expected),
            other => panic!("{expected}: {other:?}"),
        }
    }
}

#[test]
fn a_warm_start_that_gains_nothing_stays_and_one_that_the_mean_beats_gives_way_to_it() {
    let (table, targets) = noise(13, 400, 2).unwrap();
    let rows = Rows::from(0..400);
    let early_stopping = Some(EarlyStopping { patience: 1, validation_share: 0.25 });
    let training = TrainingParams {
        epochs: 20,
        batch_size: 20,
        learning_rate: 0.01,
        early_stopping: None,
        ..plain()
    };
    let start = fit(&params(training), &(table.clone(), targets.clone()), &rows);
    // Steps so wild that the epoch is of no use.
    let wild = TrainingParams {
        epochs: 1,
        learning_rate: 10.0,
        gradient_clip: None,
        early_stopping,
        ..training
    };
    let on = |targets: &Array1<f64>| {
        let dataset = Dataset::from_table(&table, targets, &rows, 1).unwrap();
        params(wild).fit_from(dataset, &start).unwrap()
    };
    let stayed = on(&targets);
    assert_eq!(stayed.report().best_epoch, 0, "{:?}", stayed.report());
    assert!(stayed.report().fallback_loss.unwrap() < 0.7);
    let (a, b) = (stayed.predict_table(&table).unwrap(), start.predict_table(&table).unwrap());
    assert_eq!(a, b);
    // What the start has learnt is now the wrong way round.
    let mean = targets.sum() / 400.0;
    let gone = on(&targets.mapv(|y| 2.0 * mean - y));
    assert_eq!(gone.report().best_epoch, 0, "{:?}", gone.report());
    let predicted = gone.predict_table(&table).unwrap();
    assert!(predicted.iter().all(|&p| (p - mean).abs() < 1e-6 * (1.0 + mean.abs())));
}
