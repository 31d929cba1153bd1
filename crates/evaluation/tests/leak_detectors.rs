#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
//! The leak detectors, on features made here: honest ones pass, leaky ones are named.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use forecastle_core::{
    Candle, CandleSeries, CandleView, Error, FeatureTable, PurgedKFold, Result, Rows, Timestamp,
    Transform, TransformStream, WalkForward,
};
use forecastle_evaluation::{
    CausalityParams, Experiment, ForesightKind, LeakCheckParams, LeakCheckReport, LeakVerdict,
    LookAheadScanParams, NoiseScanParams, NoiseView, NotCausal, Tabulate, TabulateFn,
    assert_causal, causality_scan, check_split, leak_check, look_ahead_scan, noise_scan,
};
use ndarray::{Array1, Array2, ArrayRef2};
use proptest::prelude::*;
use rand::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;

/// A geometric random walk of hourly candles with clustered volatility.
fn walk(seed: u64, n: usize) -> CandleSeries {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut normal = || -> f64 { StandardNormal.sample(&mut random) };
    let (mut level, mut turbulence) = (100.0_f64.ln(), 0.0);
    let mut candles = CandleSeries::empty("NOISE/USDT".parse().unwrap(), "1h".parse().unwrap());
    for t in 0..n {
        turbulence = 0.95 * turbulence + 0.2 * normal();
        let volatility = 0.01 * f64::exp(turbulence);
        let open = level;
        level += volatility * normal();
        let (high, low) = (
            open.max(level) + volatility * normal().abs(),
            open.min(level) - volatility * normal().abs(),
        );
        let time = Timestamp::from_millis(t as i64 * 3_600_000);
        let volume = (0.5 * normal()).exp();
        let candle =
            Candle::new(time, open.exp(), high.exp(), low.exp(), level.exp(), volume).unwrap();
        candles.push(candle).unwrap();
    }
    candles
}

/// A table of one column, from all candles.
fn column(
    name: &str,
    make: impl Fn(CandleView<'_>) -> Vec<f64>,
) -> TabulateFn<impl Fn(&CandleSeries) -> Result<FeatureTable>> {
    let names = [name.to_owned()];
    TabulateFn::new(move |candles: &CandleSeries| {
        let values = Array2::from_shape_vec((candles.len(), 1), make(candles.view())).unwrap();
        FeatureTable::new(&names, candles.view().open_time(), values)
    })
}

fn window_mean(values: &[f64], t: usize, back: usize, ahead: usize) -> f64 {
    let seen = &values[t.saturating_sub(back)..(t + ahead + 1).min(values.len())];
    seen.iter().sum::<f64>() / seen.len() as f64
}

fn global_vwap(candles: CandleView<'_>) -> f64 {
    let (mut value, mut volume) = (0.0, 0.0);
    for candle in candles.iter() {
        value += candle.volume() * candle.typical_price();
        volume += candle.volume();
    }
    value / volume
}

fn from_global_vwap(candles: CandleView<'_>) -> Vec<f64> {
    let anchor = global_vwap(candles);
    candles.close().iter().map(|c| (c / anchor).ln()).collect()
}

fn centred(candles: CandleView<'_>) -> Vec<f64> {
    let close = candles.close();
    (0..close.len()).map(|t| window_mean(close, t, 10, 10)).collect()
}

fn scaled_on_all_rows(candles: CandleView<'_>) -> Vec<f64> {
    let close = candles.close();
    let mean = close.iter().sum::<f64>() / close.len() as f64;
    let squares: f64 = close.iter().map(|c| (c - mean) * (c - mean)).sum();
    let deviation = (squares / close.len() as f64).sqrt().max(1e-12);
    close.iter().map(|c| (c - mean) / deviation).collect()
}

fn next_return(candles: CandleView<'_>, horizon: usize) -> Vec<f64> {
    let close = candles.close();
    let later = |t: usize| close.get(t + horizon).map_or(f64::NAN, |c| (c / close[t]).ln());
    (0..close.len()).map(later).collect()
}

/// Honest columns of very different kinds: levels, ratios, ranges, volumes, codes.
#[derive(Debug)]
struct Honest {
    names: Vec<String>,
}

impl Honest {
    fn new() -> Self {
        let names = ["price", "mean_ratio", "range", "volume", "up", "hour", "constant"];
        Self { names: names.map(str::to_owned).to_vec() }
    }
}

#[derive(Debug, Default)]
struct HonestStream {
    closes: Vec<f64>,
}

impl Transform for Honest {
    fn names(&self) -> &[String] {
        &self.names
    }

    fn warm_up(&self) -> usize {
        19
    }

    fn stream(&self) -> Box<dyn TransformStream> {
        Box::new(HonestStream::default())
    }

    fn transform_into(&self, candles: CandleView<'_>, out: &mut ArrayRef2<f64>) -> Result<()> {
        let mut stream = HonestStream::default();
        for (candle, mut row) in candles.iter().zip(out.rows_mut()) {
            let mut cells = [0.0; 7];
            stream.update(&candle, &mut cells);
            row.iter_mut().zip(cells).for_each(|(cell, value)| *cell = value);
        }
        Ok(())
    }
}

impl TransformStream for HonestStream {
    fn update(&mut self, candle: &Candle, row: &mut [f64]) {
        self.closes.push(candle.close());
        let t = self.closes.len() - 1;
        let mean = if t < 19 { f64::NAN } else { window_mean(&self.closes, t, 19, 0) };
        let hour = candle.open_time().as_millis() / 3_600_000 % 24;
        let cells = [
            candle.close(),
            candle.close() / mean - 1.0,
            candle.high() - candle.low(),
            candle.volume().ln(),
            f64::from(candle.close() > candle.open()),
            hour as f64,
            7.0,
        ];
        row.iter_mut().zip(cells).for_each(|(cell, value)| *cell = value);
    }
}

fn breach_of(subject: &impl Tabulate) -> forecastle_evaluation::CausalityBreach {
    match assert_causal(subject, &walk(1, 400), &CausalityParams::default()) {
        Err(NotCausal::Breach { first, .. }) => *first,
        other => panic!("{other:?}"),
    }
}

#[test]
fn honest_columns_are_causal_also_behind_dyn() {
    let candles = walk(1, 400);
    let honest: Box<dyn Transform> = Box::new(Honest::new());
    assert_causal(honest.as_ref(), &candles, &CausalityParams::default()).unwrap();
    let subject: &dyn Tabulate = &Honest::new();
    let report = causality_scan(subject, &candles, &CausalityParams::default()).unwrap();
    assert!(report.is_clean() && report.too_short.is_empty(), "{report:?}");
    for decisive in [1, 2, 3, 4, 19, 20, 21, 200, 398, 399] {
        assert!(report.cuts.contains(&decisive), "{decisive} in {:?}", report.cuts);
    }
    assert!(report.cuts.len() > 20, "{:?}", report.cuts);
}

#[test]
fn a_global_vwap_is_not_causal() {
    let breach = breach_of(&column("from_vwap", from_global_vwap));
    // The single candle left at the first cut is its own VWAP.
    assert_eq!((breach.column.as_str(), breach.cut, breach.row), ("from_vwap", 1, 0));
    assert_eq!(breach.reach, 399);
    let text = breach.to_string();
    assert!(text.starts_with("column \"from_vwap\", row 0: "), "{text}");
}

#[test]
fn the_reach_of_a_centred_window_is_found() {
    let breach = breach_of(&column("centred", centred));
    assert_eq!(breach.reach, 10);
    assert!(!breach.by_length_alone);
}

#[test]
fn a_target_column_and_a_scaler_fitted_on_all_rows_are_not_causal() {
    assert_eq!(breach_of(&column("target", |c| next_return(c, 5))).reach, 5);
    assert_eq!(breach_of(&column("scaled", scaled_on_all_rows)).reach, 399);
}

#[test]
fn the_guilty_column_is_named_among_honest_ones() {
    let leaky = TabulateFn::new(|candles: &CandleSeries| {
        let honest = Honest::new().tabulate(candles)?;
        let peek = Array1::from(centred(candles.view()));
        honest.with_columns(&[("peek".to_owned(), &*peek)])
    });
    let candles = walk(2, 300);
    let error = assert_causal(&leaky, &candles, &CausalityParams::default()).unwrap_err();
    let NotCausal::Breach { first, columns, n_cells } = &error else { panic!("{error:?}") };
    assert_eq!((first.column.as_str(), columns.as_slice()), ("peek", &["peek".to_owned()][..]));
    assert_eq!(*n_cells, first.n_cells);
    // The two values are those of the two tables.
    assert_eq!(first.experiment, Experiment::OtherFuture);
    let whole = centred(candles.view());
    assert_eq!(first.value, Some(whole[first.row]));
    assert_ne!(first.changed, first.value);
}

#[test]
fn what_depends_on_the_number_of_candles_alone_is_told_apart() {
    let position =
        column("position", |c| (0..c.len()).map(|t| t as f64 / c.len() as f64).collect());
    let breach = breach_of(&position);
    assert!(breach.by_length_alone, "{breach:?}");
    assert_eq!(breach.experiment, Experiment::Truncated);
    // Row 0 is 0 whatever the length.
    assert_eq!((breach.cut, breach.row), (2, 1));
}

#[test]
fn what_behaves_on_short_histories_is_caught_by_another_future() {
    // Looks ahead only while all 400 candles are there, as a cache by length would.
    let cached = column("cached", |c| {
        let ahead = usize::from(c.len() == 400);
        let close = c.close();
        (0..close.len()).map(|t| close[(t + ahead).min(close.len() - 1)]).collect()
    });
    let breach = breach_of(&cached);
    assert_eq!((breach.experiment, breach.by_length_alone), (Experiment::OtherFuture, false));
    // The other future differs in times and volumes too.
    let next_time = column("next_time", |c| {
        let last = c.len() - 1;
        c.open_time()
            .iter()
            .enumerate()
            .map(|(t, now)| c.open_time()[(t + 1).min(last)].millis_since(*now).unwrap() as f64)
            .collect()
    });
    let breach = breach_of(&next_time);
    assert_eq!((breach.reach, breach.by_length_alone), (1, false));
    let next_volume = column("next_volume", |c| {
        (0..c.len())
            .map(|t| if c.len() == 400 { c.volume()[(t + 1).min(399)] } else { 1.0 })
            .collect()
    });
    assert_eq!(breach_of(&next_volume).experiment, Experiment::OtherFuture);
}

#[test]
fn a_subject_that_is_no_function_of_the_candles_is_caught() {
    let calls = AtomicUsize::new(0);
    let moody =
        column("moody", move |c| vec![calls.fetch_add(1, Ordering::Relaxed) as f64; c.len()]);
    let breach = breach_of(&moody);
    assert_eq!((breach.experiment, breach.row), (Experiment::Repeated, 0));
    assert_eq!((breach.value, breach.changed), (Some(0.0), Some(1.0)));
}

#[test]
fn a_tolerance_lets_rounding_pass_and_nothing_more() {
    // The sum of all is taken in, weighed by almost nothing.
    let rounding = column("rounding", |c| {
        let sum: f64 = c.close().iter().sum();
        c.close().iter().map(|close| close * (1.0 + 1e-16 * sum)).collect()
    });
    let candles = walk(3, 200);
    let strict = CausalityParams::default();
    assert!(assert_causal(&rounding, &candles, &strict).is_err());
    let loose = CausalityParams { tolerance: 1e-9, ..strict };
    assert_causal(&rounding, &candles, &loose).unwrap();
    assert!(assert_causal(&column("scaled", scaled_on_all_rows), &candles, &loose).is_err());
}

#[test]
fn rows_and_names_must_stay_as_they_are() {
    let candles = walk(4, 50);
    let fails = |subject: &dyn Tabulate| match assert_causal(
        subject,
        &candles,
        &CausalityParams::default(),
    )
    .unwrap_err()
    {
        NotCausal::Failed(error) => error,
        other => panic!("{other:?}"),
    };
    let renamed = TabulateFn::new(|c: &CandleSeries| {
        let name = if c.len() < 50 { "short" } else { "whole" };
        FeatureTable::filled_nan(&[name.to_owned()], c.view().open_time())
    });
    assert!(matches!(fails(&renamed), Error::FeatureMismatch { .. }));
    let dropped = TabulateFn::new(|c: &CandleSeries| {
        FeatureTable::filled_nan(&["a".to_owned()], c.slice(1..c.len()).view().open_time())
    });
    assert!(matches!(fails(&dropped), Error::Shape { .. }));
    // Refusing every shorter history is no way out.
    let picky = TabulateFn::new(|c: &CandleSeries| match c.len() {
        50 => FeatureTable::filled_nan(&["a".to_owned()], c.view().open_time()),
        n => Err(Error::not_enough_data("picky", 50, n)),
    });
    assert!(fails(&picky).is_not_enough_data());
    // Refusing some is reported.
    let slow = TabulateFn::new(|c: &CandleSeries| match c.len() {
        0..30 => Err(Error::not_enough_data("slow", 30, c.len())),
        _ => FeatureTable::filled_nan(&["a".to_owned()], c.view().open_time()),
    });
    let report = causality_scan(&slow, &candles, &CausalityParams::default()).unwrap();
    assert!(report.too_short.iter().all(|cut| *cut < 30) && report.too_short.contains(&1));
    assert!(report.cuts.iter().all(|cut| *cut >= 30));
    for bad in [-1e-3, 1.0, f64::NAN] {
        let params = CausalityParams { tolerance: bad, ..Default::default() };
        assert!(causality_scan(&slow, &candles, &params).unwrap_err().is_invalid_input());
    }
    let short = candles.slice(0..1);
    let error = causality_scan(&slow, &short, &CausalityParams::default()).unwrap_err();
    assert!(error.is_not_enough_data());
}

#[test]
fn honest_columns_have_no_skill_on_noise_and_leaky_ones_do() {
    let scan = noise_scan(&Honest::new(), &NoiseScanParams::default()).unwrap();
    assert!(scan.is_clean(), "{scan:?}");
    assert_eq!(scan.not_judged, ["constant"]);
    assert_eq!(scan.readings.len(), 6);
    let guilty = |subject: &dyn Tabulate| {
        let scan = noise_scan(subject, &NoiseScanParams::default()).unwrap();
        let [reading] = scan.readings.as_slice() else { panic!("{scan:?}") };
        assert!(reading.guilty && reading.z.abs() > 6.0, "{reading:?}");
        (reading.view, reading.information_coefficient)
    };
    // The VWAP itself is the same in all rows of a walk, and still goes with where it went.
    let (_, ic) = guilty(&column("vwap", |c| vec![global_vwap(c); c.len()]));
    assert!(ic > 0.05, "{ic}");
    // Fading the distance from it works.
    assert!(guilty(&column("from_vwap", from_global_vwap)).1 < -0.05);
    assert!(guilty(&column("scaled", scaled_on_all_rows)).1 < -0.05);
    let (view, ic) = guilty(&column("centred", centred));
    assert!(view == NoiseView::Change && ic > 0.2, "{ic}");
    let (view, ic) = guilty(&column("target", |c| next_return(c, 5)));
    assert!(view == NoiseView::Level && ic > 0.98, "{ic}");
}

#[test]
fn noise_rarely_accuses_the_innocent() {
    // 200 scans of 6 columns at 5 %: 10 alarms are expected, above 20 lies 1 chance in 700.
    let alarms = (0..200).filter(|&seed| {
        let params = NoiseScanParams {
            seed,
            n_walks: 40,
            n_bars: 120,
            false_alarm: 0.05,
            ..Default::default()
        };
        !noise_scan(&Honest::new(), &params).unwrap().is_clean()
    });
    let alarms = alarms.count();
    assert!(alarms <= 20, "{alarms}");
}

#[test]
fn a_table_of_honest_columns_passes_and_a_leaky_one_is_named_with_its_reach() {
    let candles = walk(5, 2_000);
    let close = candles.view().close();
    let scan = |table: &FeatureTable| {
        look_ahead_scan(table, close, &LookAheadScanParams::default()).unwrap()
    };
    let honest = Honest::new().tabulate(&candles).unwrap();
    let clean = scan(&honest);
    assert!(clean.is_clean(), "{clean:?}");
    assert_eq!(clean.profiles[6].kind, ForesightKind::NotJudged);
    assert!(clean.profiles[0].effect.abs() < 0.15, "{:?}", clean.profiles[0]);
    let profile = |name: &str, make: fn(CandleView<'_>) -> Vec<f64>| {
        let one = scan(&column(name, make).tabulate(&candles).unwrap());
        one.profiles.into_iter().next().unwrap()
    };
    let label = profile("label", |c| next_return(c, 5));
    assert_eq!((label.kind, label.reach), (ForesightKind::Label, 5));
    assert!(label.effect > 0.999999, "{label:?}");
    let window = profile("centred", centred);
    assert_eq!(window.kind, ForesightKind::Foresight, "{window:?}");
    assert!((9..=10).contains(&window.reach), "{window:?}");
    assert!(window.effect > 0.8, "{window:?}");
    // √(20 / 100) = 0.45 is what the first 20 of 100 bars show.
    let wide = profile("wide", |c| {
        let close = c.close();
        (0..close.len()).map(|t| window_mean(close, t, 100, 100)).collect()
    });
    assert_eq!(wide.kind, ForesightKind::Foresight, "{wide:?}");
    assert!((wide.effect - 0.45).abs() < 0.08 && wide.reach >= 15, "{wide:?}");
    let later_price = profile("later", |c| {
        let close = c.close();
        (0..close.len()).map(|t| close.get(t + 7).copied().unwrap_or(f64::NAN)).collect()
    });
    assert_eq!((later_price.kind, later_price.reach), (ForesightKind::Foresight, 7));
    let sign = profile("sign", |c| next_return(c, 3).iter().map(|r| r.signum()).collect());
    assert_eq!((sign.kind, sign.reach), (ForesightKind::Foresight, 3));
    let noisy = profile("noisy", |c| {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
        let mut normal = || -> f64 { StandardNormal.sample(&mut random) };
        next_return(c, 1).iter().map(|r| r + 0.02 * normal()).collect()
    });
    assert_eq!((noisy.kind, noisy.reach), (ForesightKind::Foresight, 1));
}

#[test]
fn what_one_table_cannot_show_is_said_to_be_clean() {
    // The documented limit: a single number of the future looks like any level.
    let candles = walk(5, 2_000);
    let table = column("from_vwap", from_global_vwap).tabulate(&candles).unwrap();
    let scan = look_ahead_scan(&table, candles.view().close(), &Default::default()).unwrap();
    assert!(scan.is_clean(), "{scan:?}");
}

#[test]
fn random_walks_are_suspected_no_more_often_than_asked() {
    // Size alone is not asked for here. 200 tables at 5 %: 10 alarms are expected and more than 20
    // have a chance of 1 in 700; Bonferroni's bound makes them fewer.
    let params = LookAheadScanParams { max_lead: 10, false_alarm: 0.05, min_effect: 0.0 };
    let alarms = (0..200).filter(|&seed| {
        let candles = walk(1_000 + seed, 500);
        let table = Honest::new().tabulate(&candles).unwrap();
        !look_ahead_scan(&table, candles.view().close(), &params).unwrap().is_clean()
    });
    let alarms = alarms.count();
    assert!(alarms <= 20, "{alarms}");
}

#[test]
fn bad_tables_and_parameters_of_a_scan_are_refused() {
    let candles = walk(6, 200);
    let table = Honest::new().tabulate(&candles).unwrap();
    let close = candles.view().close();
    let run = |close: &[f64], params| look_ahead_scan(&table, close, &params).unwrap_err();
    let base = LookAheadScanParams::default();
    assert!(matches!(run(&close[1..], base), Error::Shape { .. }));
    let mut bad = close.to_vec();
    bad[3] = 0.0;
    assert!(run(&bad, base).is_invalid_input());
    for params in [
        LookAheadScanParams { max_lead: 0, ..base },
        LookAheadScanParams { false_alarm: 0.0, ..base },
        LookAheadScanParams { min_effect: 1.0, ..base },
        LookAheadScanParams { min_effect: f64::NAN, ..base },
    ] {
        assert!(run(close, params).is_invalid_input(), "{params:?}");
    }
    let base = NoiseScanParams { n_walks: 20, n_bars: 30, ..Default::default() };
    assert!(noise_scan(&Honest::new(), &base).is_ok());
    let cut = TabulateFn::new(|c: &CandleSeries| Honest::new().tabulate(&c.slice(1..c.len())));
    assert!(matches!(noise_scan(&cut, &base), Err(Error::Shape { .. })));
    for params in [
        NoiseScanParams { n_walks: 19, ..base },
        NoiseScanParams { horizon: 0, ..base },
        NoiseScanParams { n_bars: 6, ..base },
        NoiseScanParams { false_alarm: 1.0, ..base },
    ] {
        let error = noise_scan(&Honest::new(), &params).unwrap_err();
        assert!(error.is_invalid_input(), "{params:?}");
    }
}

/// Rows dealt to five folds at random; the training and test rows of the first.
fn shuffled(n: usize) -> (Rows, Rows) {
    let mut state = 1_u64;
    let mut fold = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) % 5
    };
    let test: BTreeSet<usize> = (0..n).filter(|_| fold() == 0).collect();
    let rows = |keep: bool| {
        Rows::new((0..n).filter(|t| test.contains(t) == keep).map(|t| t..t + 1)).unwrap()
    };
    (rows(false), rows(true))
}

#[test]
fn shuffled_folds_overlap_and_our_own_do_not() {
    let (train, test) = shuffled(1_000);
    let check = check_split(&train, &test, 5).unwrap();
    assert!(!check.is_clean() && check.n_shared == 0, "{check:?}");
    // A row keeps clear of all others held out with a chance of 0.8⁸ = 17 %.
    let share = check.n_overlapping as f64 / check.n_train as f64;
    assert!((share - 0.83).abs() < 0.06, "{check:?}");
    for horizon in [1, 5, 20] {
        let purged = PurgedKFold { n_folds: 5, horizon, embargo: 0 };
        for split in purged.split(0..1_000).unwrap() {
            let check = check_split(&split.train, &Rows::from(split.test), horizon).unwrap();
            assert!(check.is_clean(), "{check:?}");
        }
        let ahead = WalkForward { n_folds: 5, horizon, ..WalkForward::default() };
        for split in ahead.split(0..1_000).unwrap() {
            let check = check_split(&split.train, &Rows::from(split.test), horizon).unwrap();
            assert!(check.is_clean() && check.n_later == 0, "{check:?}");
        }
    }
    // Folds purged for a short label do not serve a long one.
    let short = PurgedKFold { n_folds: 5, horizon: 5, embargo: 0 }.split(0..1_000).unwrap();
    let check = check_split(&short[2].train, &Rows::from(short[2].test.clone()), 20).unwrap();
    assert!(check.n_overlapping > 0, "{check:?}");
    assert!(check.to_string().contains("training labels overlap test labels"), "{check}");
}

#[test]
fn empty_rows_and_a_horizon_of_0_are_refused() {
    let rows = Rows::from(0..5);
    assert!(check_split(&rows, &rows, 0).unwrap_err().is_invalid_input());
    assert!(check_split(&Rows::default(), &rows, 1).unwrap_err().is_not_enough_data());
    assert!(check_split(&rows, &Rows::default(), 1).unwrap_err().is_not_enough_data());
}

#[test]
fn a_leak_check_says_what_it_found_and_survives_json() {
    let candles = walk(7, 600);
    let params = LeakCheckParams::default();
    let clean = leak_check(&Honest::new(), &candles, &params).unwrap();
    assert!(clean.is_clean(), "{clean}");
    assert!(clean.to_string().starts_with("clean: 0 of 7 columns accused"), "{clean}");
    let leaky = TabulateFn::new(|candles: &CandleSeries| {
        let view = candles.view();
        let columns = [from_global_vwap(view), centred(view), next_return(view, 5)];
        let columns = columns.map(Array1::from);
        let names = ["from_vwap", "centred", "target"].map(str::to_owned);
        let named: Vec<_> = names.iter().cloned().zip(columns.iter().map(|c| &**c)).collect();
        Honest::new().tabulate(candles)?.with_columns(&named)
    });
    let report = leak_check(&leaky, &candles, &params).unwrap();
    let accused: Vec<&str> = report.accused().map(|c| c.column.as_str()).collect();
    assert_eq!(accused, ["from_vwap", "centred", "target"]);
    assert_eq!(report.verdict(), LeakVerdict::Leaky);
    let text = report.to_string();
    assert_eq!(text.lines().count(), 4, "{text}");
    assert!(text.contains("the return over the next 5 bars"), "{text}");
    let json = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<LeakCheckReport>(&json).unwrap(), report);
    let strict = r#"{"noise": {"walks": 3}}"#;
    assert!(serde_json::from_str::<LeakCheckParams>(strict).is_err());
}

#[test]
fn what_only_the_candles_tell_is_suspect_and_not_leaky() {
    // Every second return undoes the one before in part: the market itself can be predicted.
    let mut series = CandleSeries::empty("BOUNCE/USDT".parse().unwrap(), "1h".parse().unwrap());
    let mut random = Xoshiro256PlusPlus::seed_from_u64(3);
    let mut shock = || -> f64 { StandardNormal.sample(&mut random) };
    let (mut news, mut level) = (0.0, 100.0_f64.ln());
    for t in 0..3_000 {
        // Volume tells of the next return, as no real one does.
        level += 0.01 * (news + 0.5 * shock());
        news = shock();
        let price = level.exp();
        let time = Timestamp::from_millis(t * 3_600_000);
        series.push(Candle::new(time, price, price, price, price, news.exp()).unwrap()).unwrap();
    }
    let volume = column("volume", |c| c.volume().iter().map(|v| v.ln()).collect());
    let report = leak_check(&volume, &series, &LeakCheckParams::default()).unwrap();
    assert_eq!(report.verdict(), LeakVerdict::Suspect, "{report}");
    assert!(report.columns[0].reason().unwrap().contains("with returns 1 bars ahead"), "{report}");
}

#[test]
fn the_same_seed_gives_the_same_report() {
    let candles = walk(8, 300);
    let run = |seed| {
        let params = LeakCheckParams {
            causality: CausalityParams { seed, ..Default::default() },
            noise: NoiseScanParams { seed, n_walks: 30, ..Default::default() },
            ..Default::default()
        };
        leak_check(&Honest::new(), &candles, &params).unwrap()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn prop_any_step_ahead_is_found_and_measured(ahead in 1_usize..40, seed in 0_u64..1_000) {
        let peek = column("peek", move |c| {
            let close = c.close();
            (0..close.len()).map(|t| close.get(t + ahead).copied().unwrap_or(f64::NAN)).collect()
        });
        let params = CausalityParams { seed, ..Default::default() };
        let report = causality_scan(&peek, &walk(seed, 150), &params).unwrap();
        prop_assert_eq!(report.breach("peek").unwrap().reach, ahead);
    }

    #[test]
    fn prop_overlaps_are_those_that_counting_finds(
        labels in proptest::collection::vec(0_u8..3, 1..60),
        horizon in 1_usize..8,
    ) {
        let pick = |kind: u8| -> Vec<usize> {
            (0..labels.len()).filter(|t| labels[*t] == kind).collect()
        };
        let (train, test) = (pick(0), pick(1));
        prop_assume!(!train.is_empty() && !test.is_empty());
        let rows = |list: &[usize]| Rows::new(list.iter().map(|&t| t..t + 1)).unwrap();
        let check = check_split(&rows(&train), &rows(&test), horizon).unwrap();
        let near = |t: usize| test.iter().any(|&s| t.abs_diff(s) < horizon);
        let counted: Vec<usize> = train.iter().copied().filter(|&t| near(t)).collect();
        prop_assert_eq!(check.n_overlapping, counted.len());
        prop_assert_eq!(check.first.map(|pair| pair.0), counted.first().copied());
        prop_assert_eq!(check.n_later, train.iter().filter(|&&t| t > test[0]).count());
    }
}
