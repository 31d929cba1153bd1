//! Out-of-fold forecasts, meta-models and stacking.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use forecastle_core::conformance::noise;
use forecastle_core::{
    Artifact, Dataset, DynFit, Error, FeatureTable, Fit, Load, Lookback, Predict, PredictExt,
    Progress, ProgressEvent, Result, Rows, WalkForward,
};
use forecastle_ensemble::{
    Base, Meta, MetaModel, MetaParams, NaiveParams, Ols, OlsParams, OutOfFold, Ridge, RidgeParams,
    Stacking, StackingParams, out_of_fold,
};
use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2, ArrayView1, s};
use proptest::prelude::*;

const HORIZON: usize = 3;

/// Repeats the label of the nearest row it has seen: perfect in sample, mostly noise out of sample.
#[derive(Debug)]
struct NearestParams;

#[derive(Debug)]
struct Nearest {
    names: Vec<String>,
    records: Array2<f64>,
    targets: Array1<f64>,
}

impl Fit for NearestParams {
    type Fitted = Nearest;

    fn fit(&self, dataset: Dataset<'_>) -> Result<Nearest> {
        dataset.require_rows("nearest", 1)?;
        let (records, targets) = dataset.gather();
        Ok(Nearest { names: dataset.feature_names().to_vec(), records, targets })
    }
}

impl Predict for Nearest {
    fn feature_names(&self) -> &[String] {
        &self.names
    }

    fn lookback(&self) -> Lookback {
        Lookback::Rows(1)
    }

    fn predict_into(&self, records: &ArrayRef2<f64>, out: &mut ArrayRef1<f64>) -> Result<()> {
        self.check_shapes(records, out)?;
        for (row, to) in records.rows().into_iter().zip(out.iter_mut()) {
            let distance = |i: usize| -> f64 {
                let seen = self.records.row(i);
                seen.iter().zip(row).map(|(a, b)| (a - b) * (a - b)).sum()
            };
            let nearest = (0..self.targets.len())
                .min_by(|&a, &b| distance(a).total_cmp(&distance(b)))
                .expect("rows");
            *to = self.targets[nearest];
        }
        Ok(())
    }

    fn save(&self) -> Result<Artifact> {
        Artifact::encode("nearest", 1, &self.names, &0_u8)
    }
}

/// Says how many rows came before the one it predicts, as far as it was shown them.
#[derive(Debug, Clone)]
struct Counter {
    names: Vec<String>,
    lookback: Lookback,
}

impl Fit for Counter {
    type Fitted = Counter;

    fn fit(&self, _dataset: Dataset<'_>) -> Result<Counter> {
        Ok(self.clone())
    }
}

impl Predict for Counter {
    fn feature_names(&self) -> &[String] {
        &self.names
    }

    fn lookback(&self) -> Lookback {
        self.lookback
    }

    fn predict_into(&self, records: &ArrayRef2<f64>, out: &mut ArrayRef1<f64>) -> Result<()> {
        self.check_shapes(records, out)?;
        self.check_complete(records)?;
        out.iter_mut().enumerate().for_each(|(i, v)| *v = i as f64);
        Ok(())
    }

    fn save(&self) -> Result<Artifact> {
        Artifact::encode("counter", 1, &self.names, &0_u8)
    }
}

fn base<'a>(name: &'a str, model: &'a dyn DynFit, table: &'a FeatureTable) -> Base<'a> {
    Base { name, model, table }
}

fn same(a: &Array1<f64>, b: &Array1<f64>) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(x, y)| x.to_bits() == y.to_bits())
}

/// Three features, of which the first says a quarter of the variance of the label.
fn weak(seed: u64, n: usize) -> (FeatureTable, Array1<f64>) {
    let all = noise(seed, n, 4).unwrap().0;
    let label = |row: ArrayView1<'_, f64>| 0.6 * row[0] + row[3];
    let targets = all.values().rows().into_iter().map(label).collect();
    let values = all.values().slice(s![.., ..3]).to_owned();
    let table = FeatureTable::new(&all.names()[..3], all.open_time(), values).unwrap();
    (table, targets)
}

fn rmse(predicted: &Array1<f64>, targets: &ArrayRef1<f64>) -> f64 {
    let squares = predicted.iter().zip(targets).map(|(p, y)| (p - y) * (p - y));
    (squares.sum::<f64>() / predicted.len() as f64).sqrt()
}

fn walk() -> WalkForward {
    WalkForward { horizon: HORIZON, ..Default::default() }
}

#[test]
fn every_row_of_every_block_is_forecast_by_a_model_that_saw_only_its_past() {
    let (table, targets) = noise(1, 203, 3).unwrap();
    let rows = Rows::from(10..200);
    let (ridge, nearest) = (RidgeParams::default(), NearestParams);
    let bases = [base("ridge", &ridge, &table), base("nearest", &nearest, &table)];
    let folds = out_of_fold(&bases, &targets, &rows, &walk(), &()).unwrap();
    // The bars whose labels are not known yet are forecast all the same.
    assert_eq!((folds.rows(), folds.folds().len()), (106..203, 5));
    for t in 0..203 {
        let row = folds.predictions().row(t);
        assert!(row.iter().all(|v| v.is_finite() == (106..203).contains(&t)), "row {t}");
        assert_eq!(folds.targets()[t].is_finite(), (106..200).contains(&t));
    }
    for fold in folds.folds() {
        assert_eq!(fold.train.end() + HORIZON, fold.test.start);
        let dataset = Dataset::from_table(&table, &targets, &fold.train, HORIZON).unwrap();
        let alone = ridge.fit(dataset).unwrap().predict_table(&table).unwrap();
        for t in fold.test.clone() {
            assert_eq!(folds.predictions()[[t, 0]].to_bits(), alone[t].to_bits(), "row {t}");
        }
    }
}

#[test]
fn models_with_a_lookback_get_exactly_the_history_they_ask_for() {
    let (mut table, targets) = noise(1, 100, 2).unwrap();
    table.values_mut().slice_mut(s![..7, 1]).fill(f64::NAN);
    let names = table.names().to_vec();
    let counter = |lookback| Counter { names: names.clone(), lookback };
    let (one, eight, all) =
        (counter(Lookback::Rows(1)), counter(Lookback::Rows(8)), counter(Lookback::Unbounded));
    let bases = [base("1", &one, &table), base("8", &eight, &table), base("all", &all, &table)];
    let rows = Rows::from(10..95);
    let params = StackingParams {
        meta: MetaParams { meta: Meta::Mean, ..Default::default() },
        ..Default::default()
    };
    let stacking = params.fit(&bases, &targets, &rows, 1, &()).unwrap();
    let folds = stacking.meta().out_of_fold();
    for fold in folds.folds() {
        for t in fold.test.clone() {
            let inside = (t - fold.test.start) as f64;
            let seen = folds.predictions().row(t);
            assert_eq!(seen.to_vec(), [inside, inside + 7.0, t as f64 - 7.0]);
        }
    }
    // After the fit too, rows before the first complete one are left out.
    let predictions = stacking.predict_bases(&[&table; 3]).unwrap();
    assert!(predictions.slice(s![..7, ..]).iter().all(|v| v.is_nan()));
    assert_eq!(predictions.row(99).to_vec(), [92.0; 3]);
    assert!(stacking.predict(&[&table; 3]).unwrap()[6].is_nan());
}

#[test]
fn bases_may_read_different_tables_over_the_same_bars() {
    let (table, targets) = noise(4, 300, 3).unwrap();
    let narrow = FeatureTable::new(
        &["log_close".to_owned()],
        table.open_time(),
        table.values().slice(s![.., ..1]).to_owned(),
    )
    .unwrap();
    let (ridge, ols) = (RidgeParams::default(), OlsParams::default());
    let bases = [base("wide", &ridge, &table), base("narrow", &ols, &narrow)];
    let rows = Rows::from(0..290);
    let stacking = StackingParams::default().fit(&bases, &targets, &rows, 1, &()).unwrap();
    assert_eq!(stacking.names(), ["wide", "narrow"]);
    let predictions = stacking.predict_bases(&[&table, &narrow]).unwrap();
    let ensemble = stacking.combine(&predictions).unwrap();
    for (t, row) in predictions.rows().into_iter().enumerate() {
        let alone = stacking.meta().combine_row(&row.to_vec()).unwrap();
        assert_eq!(alone.to_bits(), ensemble[t].to_bits());
    }
    assert!(matches!(
        stacking.predict_bases(&[&narrow, &table]),
        Err(Error::FeatureMismatch { .. })
    ));
    assert!(matches!(stacking.predict_bases(&[&table]), Err(Error::Shape { .. })));
    let short = narrow.slice(0..9);
    assert!(matches!(stacking.predict_bases(&[&table, &short]), Err(Error::Shape { .. })));
}

#[test]
fn weights_go_where_the_signal_is_and_the_rest_to_naive() {
    let (table, targets) = weak(8, 1200);
    let rows = Rows::from(0..1200);
    let (ridge, nearest, naive) = (RidgeParams::default(), NearestParams, NaiveParams::default());
    let bases = [
        base("ridge", &ridge, &table),
        base("nearest", &nearest, &table),
        base("naive", &naive, &table),
    ];
    let stacking = StackingParams::default().fit(&bases, &targets, &rows, 1, &()).unwrap();
    let weights = stacking.weights();
    assert!(weights[0] > 0.5 && weights[1] < 0.3 && weights[2] < 1e-6, "{weights:?}");
    assert!((stacking.naive_weight() + weights.iter().sum::<f64>() - 1.0).abs() < 1e-15);

    // Without any signal the ensemble is the naive forecast.
    let shuffled: Array1<f64> = (0..1200).map(|t| targets[(t * 787 + 13) % 1200]).collect();
    let stacking = StackingParams::default().fit(&bases, &shuffled, &rows, 1, &()).unwrap();
    assert_eq!(stacking.naive_weight(), 1.0, "{:?}", stacking.weights());
}

#[test]
fn a_meta_model_fitted_in_sample_is_visibly_worse_out_of_sample() {
    let (table, targets) = weak(21, 1500);
    let rows = Rows::from(0..1000);
    let (ridge, nearest) = (RidgeParams::default(), NearestParams);
    let bases = [base("ridge", &ridge, &table), base("nearest", &nearest, &table)];
    let honest = StackingParams::default().fit(&bases, &targets, &rows, 1, &()).unwrap();
    let predictions = honest.predict_bases(&[&table, &table]).unwrap();
    // The leak: the same bases, judged on the rows they learnt from.
    let leaky = MetaParams::default()
        .weights(&predictions.slice(s![..1000, ..]), &targets.slice(s![..1000]), 1)
        .unwrap();
    assert!(leaky[1] > 0.8 && honest.weights()[1] < 0.3, "{leaky:?} {:?}", honest.weights());
    let unseen = predictions.slice(s![1000.., ..]);
    let truth = targets.slice(s![1000..]);
    let fair = rmse(&honest.combine(&unseen).unwrap(), &truth);
    let leaked = rmse(&unseen.dot(&Array1::from_vec(leaky)), &truth);
    assert!(leaked > 1.15 * fair, "leaky {leaked}, honest {fair}");
}

#[test]
fn nothing_in_a_row_was_learnt_from_its_future() {
    let (table, targets) = noise(5, 240, 2).unwrap();
    let rows = Rows::from(0..240);
    let (ridge, nearest) = (RidgeParams::default(), NearestParams);
    let params = StackingParams {
        meta: MetaParams { evidence: 0.0, ..Default::default() },
        ..Default::default()
    };
    let fit = |table: &FeatureTable, targets: &Array1<f64>| {
        let bases = [base("ridge", &ridge, table), base("nearest", &nearest, table)];
        params.fit(&bases, targets, &rows, HORIZON, &()).unwrap()
    };
    let whole = fit(&table, &targets);
    for t in [120, 143, 144, 150, 171, 191, 192, 200, 230] {
        let mut poisoned = (table.clone(), targets.clone());
        poisoned.0.values_mut().slice_mut(s![t + 1.., ..]).fill(50.0);
        // A label reaches HORIZON bars ahead: these are all that row t cannot know yet.
        poisoned.1.slice_mut(s![t + 1 - HORIZON..]).fill(-1e3);
        let blind = fit(&poisoned.0, &poisoned.1);
        let known = |stacking: &Stacking| {
            let folds = stacking.meta().out_of_fold().predictions();
            let mut seen = folds.slice(s![..=t, ..]).iter().copied().collect::<Vec<_>>();
            seen.extend(stacking.meta().sequential().slice(s![..=t]));
            Array1::from_vec(seen)
        };
        assert!(same(&known(&whole), &known(&blind)), "row {t} knows its future");
        assert!(!same(&whole.meta().sequential(), &blind.meta().sequential()));
    }
    // Weights exist from the second block on.
    assert!(whole.meta().fold_weights()[0].is_none());
    assert!(whole.meta().fold_weights()[1..].iter().all(Option::is_some));
    let sequential = whole.meta().sequential();
    assert!(
        (0..144).all(|t| sequential[t].is_nan()) && (144..240).all(|t| sequential[t].is_finite())
    );
    assert_eq!(whole.meta().residual_rows(), (144..240).collect::<Vec<_>>());
    let residuals = whole.meta().residuals();
    assert!((0..96).all(|i| residuals[i] == targets[144 + i] - sequential[144 + i]));
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let (table, targets) = noise(6, 400, 4).unwrap();
    let rows = Rows::from(0..380);
    let (ridge, ols, nearest) = (RidgeParams::default(), OlsParams::default(), NearestParams);
    let bases = [
        base("ridge", &ridge, &table),
        base("ols", &ols, &table),
        base("nearest", &nearest, &table),
    ];
    let fit = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let stacking = StackingParams::default().fit(&bases, &targets, &rows, 5, &()).unwrap();
            let live = stacking.predict(&[&table; 3]).unwrap();
            (stacking.meta().sequential(), live, stacking.weights().to_vec())
        })
    };
    let one = fit(1);
    for threads in [2, 4] {
        let many = fit(threads);
        assert!(same(&one.0, &many.0) && same(&one.1, &many.1), "{threads} threads");
        assert_eq!(one.2, many.2);
    }
}

#[test]
fn a_saved_stacking_predicts_the_same_bits() {
    let (table, targets) = noise(7, 300, 3).unwrap();
    let rows = Rows::new([5..100, 110..290]).unwrap();
    let (ridge, ols) = (RidgeParams::default(), OlsParams::default());
    let bases = [base("ridge", &ridge, &table), base("ols", &ols, &table)];
    let stacking = StackingParams::default().fit(&bases, &targets, &rows, 2, &()).unwrap();
    let saved = Artifact::encode("stacking", 1, table.names(), stacking.meta()).unwrap();
    let models: Vec<Artifact> = stacking.bases().iter().map(|b| b.save().unwrap()).collect();
    let meta: MetaModel = saved.decode("stacking", 1).unwrap();
    assert_eq!(&meta.weights(), &stacking.weights());
    assert_eq!(meta.out_of_fold().folds(), stacking.meta().out_of_fold().folds());
    assert!(same(&meta.sequential(), &stacking.meta().sequential()));
    assert_eq!(meta.residuals(), stacking.meta().residuals());
    let json = serde_json::to_string(stacking.meta()).unwrap();
    let json: MetaModel = serde_json::from_str(&json).unwrap();
    assert_eq!(json.residual_rows(), meta.residual_rows());
    let loaded: Vec<Box<dyn Predict>> =
        vec![Box::new(Ridge::load(&models[0]).unwrap()), Box::new(Ols::load(&models[1]).unwrap())];
    let again = Stacking::from_parts(meta.clone(), loaded).unwrap();
    let (a, b) = (again.predict(&[&table; 2]).unwrap(), stacking.predict(&[&table; 2]).unwrap());
    assert!(same(&a, &b));
    assert!(matches!(Stacking::from_parts(meta, Vec::new()), Err(Error::Shape { .. })));
    let mut damaged = serde_json::to_value(stacking.meta()).unwrap();
    damaged["weights"] = serde_json::json!([0.5]);
    assert!(serde_json::from_value::<MetaModel>(damaged).is_err());
    let mut damaged = serde_json::to_value(stacking.meta().out_of_fold()).unwrap();
    damaged["n_bars"] = serde_json::json!(4);
    assert!(serde_json::from_value::<OutOfFold>(damaged).is_err());
}

#[test]
fn unlabelled_rows_are_forecast_but_never_learnt_from() {
    let (table, mut targets) = noise(7, 300, 3).unwrap();
    targets.slice_mut(s![200..210]).fill(f64::NAN);
    let rows = Rows::new([0..200, 210..300]).unwrap();
    let ridge = RidgeParams::default();
    let bases = [base("ridge", &ridge, &table)];
    let stacking = StackingParams::default().fit(&bases, &targets, &rows, 2, &()).unwrap();
    let folds = stacking.meta().out_of_fold();
    assert!((150..300).all(|t| folds.predictions()[[t, 0]].is_finite()));
    assert!((200..210).all(|t| folds.targets()[t].is_nan()));
    assert_eq!(folds.labelled(usize::MAX).1.len(), 140);
    assert!(!stacking.meta().residual_rows().contains(&205));
}

#[test]
fn too_little_or_bad_input_is_an_error() {
    let (table, targets) = noise(9, 60, 2).unwrap();
    let ridge = RidgeParams::default();
    let one = [base("ridge", &ridge, &table)];
    let fit = |bases: &[Base<'_>], targets: &Array1<f64>, rows: Rows| {
        StackingParams::default().fit(bases, targets, &rows, 1, &())
    };
    let told = |result: Result<Stacking>| result.unwrap_err().to_string();
    assert_eq!(
        told(fit(&[], &targets, Rows::from(0..60))),
        "parameter `bases` must be at least one model, got 0"
    );
    let twins = [one[0], one[0]];
    assert_eq!(
        told(fit(&twins, &targets, Rows::from(0..60))),
        "parameter `bases` must be of distinct names, got ridge"
    );
    assert!(fit(&one, &targets, Rows::default()).unwrap_err().is_not_enough_data());
    assert!(fit(&one, &targets, Rows::from(0..4)).unwrap_err().is_not_enough_data());
    assert_eq!(
        told(fit(&one, &targets, Rows::from(0..16))),
        "meta-model needs at least 10 rows, got 8"
    );
    assert!(fit(&one, &targets, Rows::from(0..20)).is_ok());
    assert!(matches!(fit(&one, &targets, Rows::from(0..61)), Err(Error::Shape { .. })));
    let short = targets.slice(s![..59]).to_owned();
    assert!(matches!(fit(&one, &short, Rows::from(0..50)), Err(Error::Shape { .. })));
    let mut broken = targets.clone();
    broken[40] = f64::NAN;
    assert!(matches!(fit(&one, &broken, Rows::from(0..60)), Err(Error::NonFinite { row: 40, .. })));

    let weights = |params: MetaParams, x: &Array2<f64>, y: &Array1<f64>| params.weights(x, y, 1);
    let (x, y) = (Array2::ones((12, 2)), Array1::ones(12));
    for bad in [
        MetaParams { l2: -1.0, ..Default::default() },
        MetaParams { evidence: f64::NAN, ..Default::default() },
    ] {
        assert!(matches!(weights(bad, &x, &y), Err(Error::InvalidParameter { .. })));
    }
    let (default, none) = (MetaParams::default(), Array2::ones((12, 0)));
    assert!(matches!(weights(default, &none, &y), Err(Error::Shape { .. })));
    assert!(matches!(weights(default, &x, &Array1::ones(11)), Err(Error::Shape { .. })));
    let holed = Array2::from_shape_fn((12, 2), |(i, _)| if i == 7 { f64::NAN } else { 1.0 });
    assert!(matches!(weights(default, &holed, &y), Err(Error::NonFinite { row: 7, .. })));
}

#[test]
fn progress_counts_folds_and_bases_and_can_stop_the_fit() {
    #[derive(Default)]
    struct Watch {
        last: AtomicU64,
        stop_after: u64,
    }
    impl Progress for Watch {
        fn update(&self, event: &ProgressEvent<'_>) {
            assert_eq!((event.stage, event.total), ("stacking", Some(10)));
            self.last.fetch_max(event.done, Ordering::Relaxed);
        }
        fn is_cancelled(&self) -> bool {
            self.last.load(Ordering::Relaxed) >= self.stop_after
        }
    }
    let (table, targets) = noise(9, 100, 2).unwrap();
    let (ridge, ols, rows) = (RidgeParams::default(), OlsParams::default(), Rows::from(0..100));
    let bases = [base("ridge", &ridge, &table), base("ols", &ols, &table)];
    let patient = Watch { stop_after: u64::MAX, ..Default::default() };
    StackingParams::default().fit(&bases, &targets, &rows, 1, &patient).unwrap();
    assert_eq!(patient.last.into_inner(), 10);
    let hasty = Watch { stop_after: 3, ..Default::default() };
    let stopped = StackingParams::default().fit(&bases, &targets, &rows, 1, &hasty);
    assert!(stopped.unwrap_err().is_cancelled());
}

#[test]
fn the_steps_of_a_base_are_heard_beside_the_count() {
    #[derive(Debug)]
    struct Talkative(RidgeParams);
    impl Fit for Talkative {
        type Fitted = Ridge;
        fn fit(&self, dataset: Dataset<'_>) -> Result<Ridge> {
            let event = ProgressEvent::new("epochs", 1, Some(1)).with_loss(0.5, None);
            dataset.progress().unwrap().update(&event);
            self.0.fit(dataset)
        }
    }
    #[derive(Default)]
    struct Count(AtomicU64);
    impl Progress for Count {
        fn update(&self, event: &ProgressEvent<'_>) {
            self.0.fetch_add(u64::from(event.stage == "epochs"), Ordering::Relaxed);
        }
    }
    let (table, targets) = noise(9, 100, 2).unwrap();
    let (model, heard) = (Talkative(RidgeParams::default()), Count::default());
    let rows = Rows::from(0..100);
    let bases = [base("ridge", &model, &table)];
    StackingParams::default().fit(&bases, &targets, &rows, 1, &heard).unwrap();
    assert_eq!(heard.0.into_inner(), 6, "five folds and the last fit");
}

#[test]
fn every_meta_model_does_what_its_name_says() {
    let random = noise(12, 500, 3).unwrap().0;
    let x = random.values().to_owned();
    let y: Array1<f64> =
        x.rows().into_iter().map(|r| 0.7 * r[0] - 0.4 * r[1] + r[2] * 0.1).collect();
    let weights = |meta, l2| {
        MetaParams { meta, l2, evidence: 0.0, ..Default::default() }.weights(&x, &y, 1).unwrap()
    };
    assert_eq!(weights(Meta::Mean, 0.1), [1.0 / 3.0; 3]);
    assert_eq!(weights(Meta::BestSingle, 0.1), [1.0, 0.0, 0.0]);
    let ridge = weights(Meta::Ridge, 0.0);
    for (found, wanted) in ridge.iter().zip([0.7, -0.4, 0.1]) {
        assert!((found - wanted).abs() < 1e-8, "{ridge:?}");
    }
    let shrunk = weights(Meta::Ridge, 1.0);
    assert!(shrunk[0] > 0.2 && shrunk[0] < 0.5 && shrunk[1] < 0.0, "{shrunk:?}");
    let simplex = weights(Meta::Simplex, 0.0);
    assert!(simplex[0] > 0.6 && simplex[1] == 0.0 && simplex[2] > 0.0, "{simplex:?}");
    let opposite = -&y;
    let best = MetaParams { meta: Meta::BestSingle, ..Default::default() };
    let harmful = x.slice(s![.., ..1]).to_owned();
    assert_eq!(best.weights(&harmful, &opposite, 1).unwrap(), [0.0]);
    let silent = Array2::zeros((500, 2));
    for meta in [Meta::Simplex, Meta::Ridge, Meta::BestSingle] {
        let params = MetaParams { meta, ..Default::default() };
        assert_eq!(params.weights(&silent, &y, 1).unwrap(), [0.0, 0.0]);
    }
}

#[test]
fn noise_is_left_to_the_naive_forecast_however_the_labels_overlap() {
    // Sums of `h` shocks, as log returns over h bars are, and forecasts that wander as slowly.
    for h in [1_usize, 5, 12] {
        let mut kept = 0;
        for seed in 0..200 {
            let shocks = noise(seed, 600 + h, 3).unwrap().0;
            let sum = |j: usize, t: usize| shocks.values().slice(s![t..t + h, j]).sum();
            let x = Array2::from_shape_fn((600, 2), |(t, j)| sum(j + 1, t));
            let y: Array1<f64> = (0..600).map(|t| sum(0, t)).collect();
            let weights = MetaParams::default().weights(&x, &y, h).unwrap();
            kept += usize::from(weights.iter().any(|&w| w > 0.0));
        }
        // 2.3 % in theory; the errors of a slow series are estimated with little data.
        assert!(kept <= 14, "{kept} of 200 at horizon {h}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn prop_weights_are_feasible_and_free_of_units(
        seed in any::<u64>(), m in 1_usize..5, signal in 0.0_f64..2.0, evidence in 0.0_f64..3.0,
        l2 in 0.0_f64..1.0,
    ) {
        let x = noise(seed, 200, m + 1).unwrap().0.values().to_owned();
        let predictions = x.slice(s![.., ..m]).to_owned() * 1e-3;
        let y: Array1<f64> = x.rows().into_iter().map(|r| 1e-3 * (r[m] + signal * r[0])).collect();
        let params = MetaParams { l2, evidence, ..Default::default() };
        let weights = params.weights(&predictions, &y, 2).unwrap();
        prop_assert!(weights.iter().all(|&w| w >= 0.0));
        prop_assert!(weights.iter().sum::<f64>() <= 1.0 + 1e-15);
        let scaled = params.weights(&(&predictions * 1e3), &(&y * 1e3), 2).unwrap();
        for (a, b) in weights.iter().zip(scaled) {
            prop_assert!((a - b).abs() < 1e-10, "{a} {b}");
        }
    }
}

/// A ridge that counts how often it was fitted on, and adds the count to its forecasts.
#[derive(Debug, Default)]
struct AgeingParams {
    /// Rows of every fit, and whether it was a warm one.
    fits: Mutex<Vec<(usize, bool)>>,
}

#[derive(Debug)]
struct Ageing {
    ridge: Ridge,
    age: f64,
}

impl AgeingParams {
    fn at_age(&self, dataset: Dataset<'_>, age: f64) -> Result<Ageing> {
        self.fits.lock().unwrap().push((dataset.n_rows(), age > 0.0));
        Ok(Ageing { ridge: RidgeParams::default().fit(dataset)?, age })
    }
}

impl Fit for AgeingParams {
    type Fitted = Ageing;

    fn fit(&self, dataset: Dataset<'_>) -> Result<Ageing> {
        self.at_age(dataset, 0.0)
    }

    fn fit_from(&self, dataset: Dataset<'_>, start: &Ageing) -> Result<Ageing> {
        self.at_age(dataset, start.age + 1.0)
    }
}

impl Predict for Ageing {
    fn feature_names(&self) -> &[String] {
        self.ridge.feature_names()
    }

    fn lookback(&self) -> Lookback {
        Lookback::Rows(1)
    }

    fn predict_into(&self, records: &ArrayRef2<f64>, out: &mut ArrayRef1<f64>) -> Result<()> {
        self.ridge.predict_into(records, out)?;
        *out += self.age;
        Ok(())
    }

    fn save(&self) -> Result<Artifact> {
        Artifact::encode("ageing", 1, self.feature_names(), &self.age)
    }
}

#[test]
fn a_warm_start_reaches_the_last_fits_and_no_fold() {
    let (table, targets) = weak(31, 1000);
    let (ageing, ridge) = (AgeingParams::default(), RidgeParams::default());
    let bases = [base("ageing", &ageing, &table), base("ridge", &ridge, &table)];
    let params = StackingParams::default();
    let all = Rows::from(100..1000);
    let old = params.fit(&bases, &targets, &Rows::from(0..900), 1, &()).unwrap();
    let cold = params.fit(&bases, &targets, &all, 1, &()).unwrap();
    ageing.fits.lock().unwrap().clear();
    let start: Vec<&dyn Predict> = old.bases().iter().map(AsRef::as_ref).collect();
    let warm = params.fit_from(&bases, &targets, &all, 1, &(), &start).unwrap();

    // The folds, and all that is learnt from them, know nothing of the start.
    let bits = |stacking: &Stacking| {
        let meta = stacking.meta();
        let mut bits: Vec<u64> = Vec::new();
        bits.extend(meta.out_of_fold().predictions().iter().map(|v| v.to_bits()));
        bits.extend(meta.out_of_fold().targets().iter().map(|v| v.to_bits()));
        bits.extend(meta.sequential().iter().map(|v| v.to_bits()));
        bits.extend(meta.weights().iter().map(|v| v.to_bits()));
        bits.extend(meta.fold_weights().iter().flatten().flatten().map(|v| v.to_bits()));
        bits
    };
    assert!(bits(&warm) == bits(&cold));
    assert_eq!(warm.meta().out_of_fold().folds(), cold.meta().out_of_fold().folds());
    let mut fits = ageing.fits.lock().unwrap().clone();
    fits.sort_unstable();
    assert_eq!(fits.pop(), Some((900, true)));
    assert_eq!(fits.len(), 5);
    assert!(fits.iter().all(|&(rows, warm)| rows < 900 && !warm), "{fits:?}");

    let predict = |stacking: &Stacking| stacking.predict_bases(&[&table, &table]).unwrap();
    let (old_ones, warm_ones) = (predict(&cold), predict(&warm));
    assert!(same(&warm_ones.column(0).to_owned(), &(&old_ones.column(0) + 1.0)));
    // A base that cannot go on from a model is fitted anew.
    assert!(same(&warm_ones.column(1).to_owned(), &old_ones.column(1).to_owned()));

    // From the refitted ones on.
    let start: Vec<&dyn Predict> = warm.bases().iter().map(AsRef::as_ref).collect();
    let again = params.fit_from(&bases, &targets, &all, 1, &(), &start).unwrap();
    assert!(same(&predict(&again).column(0).to_owned(), &(&old_ones.column(0) + 2.0)));
    let told = params.fit_from(&bases, &targets, &all, 1, &(), &start[..1]).unwrap_err();
    assert_eq!(told.to_string(), "start must have 2 models, one a base, got 1");
    let crossed = [start[1], start[0]];
    let told = params.fit_from(&bases, &targets, &all, 1, &(), &crossed).unwrap_err();
    assert_eq!(
        told.to_string(),
        "parameter `start` must be a model that this fit makes, got ridge"
    );
}
