#![allow(clippy::unwrap_used, reason = "tests")]
//! The guards: against river and scikit-learn where they have a twin, and on streams whose truth is
//! known.

use forecastle_core::{Error, FeatureTable, Rows, Timestamp};
use forecastle_evaluation::{
    Adwin, AdwinParams, DriftDirection, ErrorDrift, ErrorDriftParams, Novelty, NoveltyParams,
    PageHinkley, PageHinkleyParams, PopulationStability, PopulationStabilityParams, ledoit_wolf,
};
use ndarray::{Array1, Array2, s};
use proptest::prelude::*;
use rand::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// By `reference/make_guards.py`: river 0.26.1, scikit-learn 1.9.1.
const REFERENCE: &str = include_str!("reference/guards.json");

#[derive(Debug, Deserialize)]
struct Reference {
    page_hinkley: Vec<PageHinkleyCase>,
    adwin: Vec<AdwinCase>,
    ledoit_wolf: Vec<LedoitWolfCase>,
}

#[derive(Debug, Deserialize)]
struct PageHinkleyCase {
    seed: u64,
    params: PageHinkleyParams,
    detections: Vec<usize>,
}

#[derive(Debug, Deserialize)]
struct AdwinCase {
    seed: u64,
    params: AdwinParams,
    detections: Vec<usize>,
    restarted: Vec<usize>,
    /// Width, sum and sum of squared deviations after every 350 numbers.
    states: Vec<(f64, f64, f64)>,
}

#[derive(Debug, Deserialize)]
struct LedoitWolfCase {
    seed: u64,
    n: usize,
    p: usize,
    shrinkage: f64,
    covariance: Vec<Vec<f64>>,
}

fn reference() -> Reference {
    serde_json::from_str(REFERENCE).unwrap()
}

/// `SplitMix64`, as in `make_guards.py`.
fn uniforms(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed;
    move || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

fn stream(seed: u64) -> Vec<f64> {
    let levels = [0.0, 0.4, 0.4, -0.3, 0.1, 2.0, 2.05];
    let mut draw = uniforms(seed);
    (0..4_900).map(|t| draw() + levels[t / 700 % levels.len()]).collect()
}

fn close_to(a: f64, b: f64, tolerance: f64) -> bool {
    (a - b).abs() <= tolerance * a.abs().max(b.abs()).max(1.0)
}

fn through_json<T: Serialize + DeserializeOwned>(value: &T) -> T {
    serde_json::from_str(&serde_json::to_string(value).unwrap()).unwrap()
}

#[test]
fn page_hinkley_detects_where_river_does() {
    for case in reference().page_hinkley {
        assert!(!case.detections.is_empty());
        let mut test = PageHinkley::new(case.params).unwrap();
        let mut found = Vec::new();
        for (t, x) in stream(case.seed).into_iter().enumerate() {
            let change = test.update(x);
            assert_eq!(change, test.detected());
            assert_eq!(change, test.verdict().beyond);
            if change {
                found.push(t);
            }
            // Its state is all there is.
            if t % 97 == 0 {
                test = through_json(&test);
            }
        }
        assert_eq!(found, case.detections, "{:?}", case.params);
    }
}

#[test]
fn adwin_detects_where_river_does_and_keeps_the_same_window() {
    for case in reference().adwin {
        assert!(!case.detections.is_empty());
        let mut window = Adwin::new(case.params).unwrap();
        let mut restarted = window.clone();
        let (mut found, mut found_restarted) = (Vec::new(), Vec::new());
        let mut states = case.states.iter();
        for (t, x) in stream(case.seed).into_iter().enumerate() {
            if window.update(x) {
                found.push(t);
            }
            if restarted.detected() {
                restarted.reset();
            }
            if restarted.update(x) {
                found_restarted.push(t);
            }
            if t % 350 == 349 {
                let &(width, total, squares) = states.next().unwrap();
                let n = window.n() as f64;
                assert_eq!(n, width, "{t}");
                assert!(close_to(window.mean() * n, total, 1e-9), "{t}");
                assert!(close_to(window.variance() * n, squares, 1e-9), "{t}");
                window = through_json(&window);
            }
        }
        assert_eq!(found, case.detections, "{:?}", case.params);
        assert_eq!(found_restarted, case.restarted, "{:?}", case.params);
    }
}

#[test]
fn the_shrunk_covariance_is_that_of_scikit_learn() {
    for case in reference().ledoit_wolf {
        let mut draw = uniforms(case.seed);
        let mut records = Array2::from_shape_simple_fn((case.n, case.p), &mut draw);
        for mut row in records.rows_mut() {
            let first = row[0];
            row.iter_mut().enumerate().for_each(|(j, v)| *v = *v * (j + 1) as f64 + first);
        }
        let shrunk = ledoit_wolf(&records).unwrap();
        assert!(case.shrinkage > 0.0 && close_to(shrunk.shrinkage, case.shrinkage, 1e-12));
        for (i, row) in case.covariance.iter().enumerate() {
            for (j, expected) in row.iter().enumerate() {
                assert!(close_to(shrunk.covariance[[i, j]], *expected, 1e-12), "{i} {j}");
            }
        }
    }
    assert!(ledoit_wolf(&Array2::zeros((1, 3))).unwrap_err().is_not_enough_data());
    assert!(matches!(
        ledoit_wolf(&Array2::from_elem((3, 3), f64::NAN)),
        Err(Error::NonFinite { .. })
    ));
    let huge = Array2::from_shape_fn((4, 2), |(i, j)| ((i + j) as f64 - 2.0) * 1e200);
    assert!(matches!(ledoit_wolf(&huge), Err(Error::Numerical { .. })));
    // Nothing to shrink.
    let still = ledoit_wolf(&Array2::from_elem((9, 2), 3.0)).unwrap();
    assert_eq!((still.shrinkage, still.covariance.sum()), (0.0, 0.0));
}

#[test]
fn numbers_that_are_none_do_not_count_in_a_stream() {
    let mut test = PageHinkley::new(PageHinkleyParams::default()).unwrap();
    let mut window = Adwin::new(AdwinParams::default()).unwrap();
    let mut guard = ErrorDriftParams::default().fit(&sizes(1, 500)).unwrap();
    for x in [1.0, 2.0] {
        test.update(x);
        window.update(x);
        guard.update(x);
    }
    let before = (test.clone(), window.clone(), guard.clone());
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert!(!test.update(bad) && !window.update(bad));
        guard.update(bad);
    }
    assert_eq!((test, window, guard), before);
}

#[test]
fn directions_of_page_hinkley_are_kept_apart() {
    let find = |direction, falls: bool| {
        let params = PageHinkleyParams { threshold: 10.0, direction, ..Default::default() };
        let mut test = PageHinkley::new(params).unwrap();
        (0..400).find(|&t| test.update(f64::from(u8::from((t < 200) == falls))))
    };
    assert!(find(DriftDirection::Up, false).is_some());
    assert_eq!(find(DriftDirection::Up, true), None);
    assert!(find(DriftDirection::Down, true).is_some());
    assert_eq!(find(DriftDirection::Down, false), None);
    assert_eq!(find(DriftDirection::Both, false), find(DriftDirection::Up, false));
}

#[test]
fn adwin_rarely_alarms_on_a_stream_that_stays() {
    // 40 streams of 5 000 numbers with a check every 32: the bound is far from tight.
    let alarms = (0..40).map(|seed| {
        let (mut draw, mut window) = (uniforms(seed), Adwin::new(AdwinParams::default()).unwrap());
        (0..5_000).filter(|_| window.update(draw())).count()
    });
    assert_eq!(alarms.sum::<usize>(), 0);
}

#[test]
fn states_that_no_stream_left_are_refused() {
    let mut window = Adwin::new(AdwinParams::default()).unwrap();
    for t in 0..100 {
        window.update(f64::from(t % 7));
    }
    let json = serde_json::to_string(&window).unwrap();
    assert!(serde_json::from_str::<Adwin>(&json).is_ok());
    for (from, to) in
        [("\"n\":100", "\"n\":99"), ("\"clock\":32", "\"clock\":0"), ("\"ticks\":", "\"tocks\":")]
    {
        assert!(json.contains(from), "{json}");
        assert!(serde_json::from_str::<Adwin>(&json.replace(from, to)).is_err(), "{to}");
    }
    let test = PageHinkley::new(PageHinkleyParams::default()).unwrap();
    let json = serde_json::to_string(&test).unwrap();
    assert!(serde_json::from_str::<PageHinkley>(&json.replace("0.9999", "1.9999")).is_err());
    let guard = ErrorDriftParams::default().fit(&sizes(1, 500)).unwrap();
    let json = serde_json::to_string(&guard).unwrap();
    assert!(
        serde_json::from_str::<ErrorDrift>(&json.replace("\"scale\":", "\"scale\":-")).is_err()
    );
}

#[test]
fn parameters_of_guards_outside_their_range_are_refused() {
    let base = PageHinkleyParams::default();
    for bad in [
        PageHinkleyParams { min_instances: 0, ..base },
        PageHinkleyParams { delta: -0.1, ..base },
        PageHinkleyParams { threshold: 0.0, ..base },
        PageHinkleyParams { alpha: 1.1, ..base },
    ] {
        assert!(PageHinkley::new(bad).unwrap_err().is_invalid_input(), "{bad:?}");
    }
    let base = AdwinParams::default();
    for bad in [
        AdwinParams { delta: 1.0, ..base },
        AdwinParams { clock: 0, ..base },
        AdwinParams { max_buckets: 1, ..base },
        AdwinParams { min_window: 0, ..base },
        AdwinParams { grace_period: 0, ..base },
    ] {
        assert!(Adwin::new(bad).unwrap_err().is_invalid_input(), "{bad:?}");
    }
    let (table, rows) = (market(1, 2_100), Rows::from(0..2_100));
    let base = NoveltyParams::default();
    for bad in [
        NoveltyParams { threshold: 0.0, ..base },
        NoveltyParams { n_blocks: 1, ..base },
        NoveltyParams { clip: 0.0, ..base },
        NoveltyParams { ridge: 0.0, ..base },
    ] {
        assert!(bad.fit(&table, &rows).unwrap_err().is_invalid_input(), "{bad:?}");
    }
    let base = PopulationStabilityParams::default();
    for bad in [
        PopulationStabilityParams { bins: 1, ..base },
        PopulationStabilityParams { bins: 101, ..base },
        PopulationStabilityParams { window: 49, ..base },
        PopulationStabilityParams { threshold: 0.0, ..base },
        PopulationStabilityParams { false_alarm: 1.0, ..base },
    ] {
        assert!(bad.fit(&table, &rows).unwrap_err().is_invalid_input(), "{bad:?}");
    }
    let base = ErrorDriftParams::default();
    for bad in [
        ErrorDriftParams { allowance: -1.0, ..base },
        ErrorDriftParams { run_length: 0, ..base },
        ErrorDriftParams { false_alarm: 0.0, ..base },
        ErrorDriftParams { block: 0, ..base },
        ErrorDriftParams { n_paths: 99, ..base },
    ] {
        assert!(bad.fit(&sizes(1, 500)).unwrap_err().is_invalid_input(), "{bad:?}");
    }
}

const COLUMNS: [&str; 4] = ["steady", "heavy", "twin", "seldom"];

/// Columns as features are: one that persists, one with heavy tails, one that nearly repeats the first
/// and one that mostly stands still.
fn market(seed: u64, n: usize) -> FeatureTable {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut normal = || -> f64 { StandardNormal.sample(&mut random) };
    let mut steady = 0.0;
    let mut values = Array2::zeros((n, 4));
    for mut row in values.rows_mut() {
        steady = 0.9 * steady + normal();
        row[0] = steady;
        row[1] = normal() * (0.7 * normal()).exp();
        row[2] = 3.0 * steady + 0.3 * normal();
        row[3] = if normal() > 1.0 { normal() } else { 0.0 };
    }
    let names = COLUMNS.map(str::to_owned);
    let times: Vec<_> = (0..n as i64).map(|t| Timestamp::from_millis(t * 60_000)).collect();
    FeatureTable::new(&names, &times, values).unwrap()
}

/// Sizes of errors that cluster.
fn sizes(seed: u64, n: usize) -> Array1<f64> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut normal = || -> f64 { StandardNormal.sample(&mut random) };
    let mut turbulence = 0.0;
    let mut size = || {
        turbulence = 0.9 * turbulence + 0.1 * normal();
        0.01 * f64::abs(normal()) * f64::exp(turbulence)
    };
    (0..n).map(|_| size()).collect()
}

fn novelty(table: &FeatureTable, rows: usize, threshold: f64) -> Novelty {
    NoveltyParams { threshold, ..Default::default() }.fit(table, &Rows::from(0..rows)).unwrap()
}

#[test]
fn ordinary_rows_are_novel_as_often_as_the_threshold_says() {
    // Held-out rows of the same process: 5 % and 1 % of 20 000, whose neighbours are alike.
    let table = market(2, 26_000);
    for (threshold, least, most) in [(0.05, 0.04, 0.06), (0.01, 0.006, 0.014)] {
        let guard = novelty(&table, 6_000, threshold);
        let rows = table.values().slice(s![6_000.., ..]);
        let novel = rows
            .rows()
            .into_iter()
            .filter(|row| guard.verdict(&row.to_vec()).unwrap().unwrap().beyond);
        let share = novel.count() as f64 / 20_000.0;
        assert!((least..most).contains(&share), "{share} at {threshold}");
    }
}

#[test]
fn a_novel_row_is_named_by_the_column_that_makes_it_so() {
    let guard = novelty(&market(3, 3_000), 3_000, 0.001);
    let reason = |row: [f64; 4]| guard.verdict(&row).unwrap().unwrap().reason;
    assert_eq!(reason([0.5, 0.2, 1.4, 0.0]), None);
    let far = reason([0.5, 400.0, 1.4, 0.0]).unwrap();
    assert!(far.starts_with("novelty p 0.0003 < 0.001: heavy "), "{far}");
    assert!(far.ends_with(" sd") && !far.contains("beside"), "{far}");
    // Each of the twins is ordinary, the two together never occurred.
    let apart = reason([3.0, 0.2, -9.0, 0.0]).unwrap();
    assert!(apart.contains("sd beside the other columns"), "{apart}");
    assert!(apart.contains("steady") || apart.contains("twin"), "{apart}");
    let shares = guard.contributions(&[0.5, 400.0, 1.4, 0.0]).unwrap();
    assert!(shares[0].0 == "heavy" && shares[0].1 > 0.99, "{shares:?}");
    assert!((shares.iter().map(|s| s.1).sum::<f64>() - 1.0).abs() < 1e-9);
    assert_eq!(guard.names(), COLUMNS);
    assert_eq!(guard.n_rows(), 3_000);
}

#[test]
fn the_distance_is_that_of_mahalanobis() {
    // Independent columns of variance 1, so the distance is the length of the row, up to what 20 000
    // rows leave open and the ridge of 1 %.
    let mut random = Xoshiro256PlusPlus::seed_from_u64(4);
    let values = Array2::from_shape_simple_fn((20_000, 3), || StandardNormal.sample(&mut random));
    let names = ["a", "b", "c"].map(str::to_owned);
    let times: Vec<_> = (0..20_000).map(|t| Timestamp::from_millis(t * 60_000)).collect();
    let table = FeatureTable::new(&names, &times, values).unwrap();
    let guard = novelty(&table, 20_000, 0.001);
    let reading = guard.measure(&[3.0, 4.0, 0.0]).unwrap().unwrap();
    assert!((reading.distance - 5.0).abs() < 0.15, "{reading:?}");
    // χ² with 3 degrees of freedom exceeds 1.7² = 2.89 with probability 0.4087 (scipy 1.17.1).
    let middling = guard.measure(&[1.7, 0.0, 0.0]).unwrap().unwrap();
    assert!((middling.p - 0.4087).abs() < 0.03, "{middling:?}");
}

#[test]
fn a_column_that_never_moved_is_novel_when_it_does() {
    let still = market(5, 1_500);
    let constant = Array1::from_elem(1_500, 7.0);
    let table = still.with_columns(&[("still".to_owned(), &*constant)]).unwrap();
    let guard = novelty(&table, 1_500, 0.001);
    assert!(!guard.verdict(&[0.0, 0.0, 0.0, 0.0, 7.0]).unwrap().unwrap().beyond);
    let verdict = guard.verdict(&[0.0, 0.0, 0.0, 0.0, 7.01]).unwrap().unwrap();
    assert!(verdict.reason.unwrap().contains("still"));
    // Nothing overflows.
    let far = guard.measure(&[f64::MAX, -f64::MAX, f64::MAX, 0.0, f64::MAX]).unwrap().unwrap();
    assert!(far.distance.is_finite() && far.p < 0.001, "{far:?}");
}

#[test]
fn rows_that_cannot_be_judged_say_so() {
    let table = market(6, 1_200);
    let guard = novelty(&table, 1_200, 0.001);
    assert_eq!(guard.verdict(&[0.0, f64::NAN, 0.0, 0.0]).unwrap(), None);
    assert_eq!(guard.measure(&[0.0, f64::INFINITY, 0.0, 0.0]).unwrap(), None);
    assert!(matches!(guard.verdict(&[0.0; 3]), Err(Error::Shape { .. })));
    assert!(matches!(
        guard.contributions(&[0.0, f64::NAN, 0.0, 0.0]),
        Err(Error::NonFinite { column, .. }) if column == "heavy"
    ));
    // With 999 rows no p-value could be below 0.001.
    let few = NoveltyParams::default().fit(&table, &Rows::from(0..999));
    assert!(few.unwrap_err().is_not_enough_data());
    let outside = NoveltyParams::default().fit(&table, &Rows::from(0..1_201));
    assert!(matches!(outside, Err(Error::Shape { .. })));
    let mut holed = table.clone();
    holed.values_mut()[[50, 2]] = f64::NAN;
    let error = NoveltyParams::default().fit(&holed, &Rows::from(10..1_200)).unwrap_err();
    assert!(matches!(&error, Error::NonFinite { row: 50, column, .. } if column == "twin"));
}

#[test]
fn fitted_guards_survive_json_and_mangled_ones_are_refused() {
    let table = market(7, 2_500);
    let guard = novelty(&table, 2_500, 0.001);
    assert_eq!(through_json(&guard), guard);
    let json = serde_json::to_string(&guard).unwrap();
    for (from, to) in
        [("\"steady\",", ""), ("0.001", "1.5"), ("\"distances\":[", "\"distances\":[9e9,")]
    {
        assert!(json.contains(from), "{from}");
        let mangled = serde_json::from_str::<Novelty>(&json.replacen(from, to, 1));
        assert!(mangled.is_err(), "{from}");
    }
    let psi = PopulationStabilityParams::default().fit(&table, &Rows::from(0..2_500)).unwrap();
    assert_eq!(through_json(&psi), psi);
    let json = serde_json::to_string(&psi).unwrap();
    let mangled = json.replacen("\"counts\":[", "\"counts\":[1,", 1);
    assert!(serde_json::from_str::<PopulationStability>(&mangled).is_err());
}

/// Independent normal columns.
fn noise(seed: u64, n: usize, width: usize) -> FeatureTable {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let values = Array2::from_shape_simple_fn((n, width), || StandardNormal.sample(&mut random));
    let names: Vec<String> = (0..width).map(|j| format!("x{j}")).collect();
    let times: Vec<_> = (0..n as i64).map(|t| Timestamp::from_millis(t * 60_000)).collect();
    FeatureTable::new(&names, &times, values).unwrap()
}

#[test]
fn the_index_of_like_rows_is_what_theory_expects() {
    // (bins − 1)(1/n + 1/m) = 9 · (1/20 000 + 1/500) = 0.01845, here the mean of 40 columns, whose
    // standard error is √(2/9)/√40 · 0.01845 = 0.0014.
    let table = noise(8, 20_500, 40);
    let guard = PopulationStabilityParams::default().fit(&table, &Rows::from(0..20_000)).unwrap();
    let reading = guard.measure(table.values()).unwrap();
    let mean = reading.columns.iter().map(|c| c.index.unwrap()).sum::<f64>() / 40.0;
    assert!((mean - 0.01845).abs() < 0.005, "{mean}");
    // Nothing here asks for more than the textbook's threshold.
    assert!(reading.columns.iter().all(|c| c.threshold == 0.25 && !c.beyond()));
}

#[test]
fn the_index_of_rows_moved_by_a_known_share_is_known() {
    // Training: 0 and 1 in equal shares; latest: one part 1 in four. (¾ − ½) ln 1.5 + (¼ − ½) ln 0.5 =
    // 0.274653, up to the half row added to every bin.
    let times: Vec<_> = (0..4_000).map(|t| Timestamp::from_millis(t * 60_000)).collect();
    let coin = Array2::from_shape_fn((4_000, 1), |(t, _)| (t % 2) as f64);
    let table = FeatureTable::new(&["coin".to_owned()], &times, coin).unwrap();
    let params = PopulationStabilityParams { bins: 2, window: 1_000, ..Default::default() };
    let guard = params.fit(&table, &Rows::from(0..4_000)).unwrap();
    let latest = Array2::from_shape_fn((1_000, 1), |(t, _)| f64::from(t % 4 == 0));
    let index = guard.measure(&latest).unwrap().columns[0].index.unwrap();
    assert!((index - 0.274_653).abs() < 0.002, "{index}");
    let reason = guard.verdict(&latest).unwrap().reason.unwrap();
    assert_eq!(reason, "drift PSI 0.27 > 0.25: coin");
}

#[test]
fn persistent_columns_raise_their_own_thresholds_and_moves_are_still_seen() {
    // A window of 500 rows holds few independent ones of a column with a half life of 69 rows.
    let mut table = market(9, 12_000);
    let mut slow = 0.0;
    for mut row in table.values_mut().rows_mut() {
        slow = 0.99 * slow + 0.1 * row[1].clamp(-3.0, 3.0);
        row[0] = slow;
    }
    let guard = PopulationStabilityParams::default().fit(&table, &Rows::from(0..8_000)).unwrap();
    let ours = guard.measure(table.values()).unwrap();
    assert!(ours.columns[0].threshold > 1.0, "{ours:?}");
    assert!(ours.columns[1].threshold < 0.6, "{ours:?}");
    let alarms = (8_000..=11_500).step_by(100).filter(|&start| {
        let latest = table.values().slice(s![start..start + 500, ..]).to_owned();
        guard.verdict(&latest).unwrap().beyond
    });
    let alarms = alarms.count();
    assert!(alarms <= 3, "{alarms} of 36");
    let mut moved = table.values().slice(s![11_500.., ..]).to_owned();
    moved.column_mut(1).mapv_inplace(|v| 2.5 * v + 1.0);
    let reason = guard.verdict(&moved).unwrap().reason.unwrap();
    assert!(reason.ends_with(": heavy"), "{reason}");
}

#[test]
fn windows_of_many_columns_alarm_about_as_often_as_asked() {
    // 30 persistent columns, for which the textbook's threshold is useless: every window would alarm.
    // 6 times 29 windows at 5 %: 9 alarms are expected, but some 30 independent windows of training
    // rows tell the level but roughly.
    let (n, mut alarms) = (30_000, 0);
    for seed in 0..6 {
        let mut table = noise(10 + seed, n, 30);
        for mut column in table.values_mut().columns_mut() {
            let mut level = 0.0;
            column.mapv_inplace(|shock| {
                level = 0.98 * level + shock;
                level
            });
        }
        let params = PopulationStabilityParams { false_alarm: 0.05, ..Default::default() };
        let guard = params.fit(&table, &Rows::from(0..15_000)).unwrap();
        for start in (15_000..n - 500).step_by(500) {
            let latest = table.values().slice(s![start..start + 500, ..]).to_owned();
            let worst = guard.measure(&latest).unwrap();
            assert!(worst.columns.iter().any(|c| c.index.unwrap() > 0.25));
            alarms += usize::from(guard.verdict(&latest).unwrap().beyond);
        }
    }
    assert!(alarms <= 22, "{alarms}");
}

#[test]
fn constant_and_missing_columns_of_a_window_are_handled() {
    let mut table = noise(11, 2_500, 3);
    table.values_mut().column_mut(1).fill(7.0);
    let guard = PopulationStabilityParams::default().fit(&table, &Rows::from(0..2_000)).unwrap();
    let mut latest = table.values().slice(s![2_000.., ..]).to_owned();
    assert!(!guard.verdict(&latest).unwrap().beyond);
    for other in [6.0, 8.0] {
        latest.column_mut(1).fill(other);
        let reason = guard.verdict(&latest).unwrap().reason.unwrap();
        assert!(reason.ends_with("x1"), "{reason}");
    }
    latest.column_mut(1).fill(f64::NAN);
    let reading = guard.measure(&latest).unwrap();
    assert_eq!(reading.columns[1].index, None);
    assert!(!guard.verdict(&latest).unwrap().beyond);
    let short = latest.slice(s![..499, ..]).to_owned();
    assert!(guard.measure(&short).unwrap_err().is_not_enough_data());
    assert!(matches!(guard.measure(&Array2::zeros((500, 2))), Err(Error::Shape { .. })));
    let few = PopulationStabilityParams::default().fit(&table, &Rows::from(0..1_999));
    assert!(few.unwrap_err().is_not_enough_data());
}

#[test]
fn unchanged_errors_rarely_alarm_and_worse_ones_do_at_once() {
    // 100 futures of 1 000 bars at 5 %; learned from 5 000, so the mean itself is a little off.
    let params = ErrorDriftParams { false_alarm: 0.05, ..Default::default() };
    let alarms = (0..100).filter(|&seed| {
        let errors = sizes(100 + seed, 6_000);
        let mut guard = params.fit(&errors.slice(s![..5_000]).to_owned()).unwrap();
        errors.iter().skip(5_000).any(|error| guard.update(*error).beyond)
    });
    let alarms = alarms.count();
    assert!(alarms <= 12, "{alarms}");
    // Half as large again: within 400 bars, from the first live bar on.
    let late = (0..20).filter(|&seed| {
        let errors = sizes(300 + seed, 5_400);
        let mut guard = params.fit(&errors.slice(s![..5_000]).to_owned()).unwrap();
        !errors.iter().skip(5_000).any(|error| guard.update(1.5 * error).beyond)
    });
    assert_eq!(late.count(), 0);
}

#[test]
fn an_alarm_of_errors_ends_when_they_do_and_one_bad_bar_is_none() {
    let errors = sizes(1, 3_000);
    let mut guard = ErrorDriftParams::default().fit(&errors).unwrap();
    assert!(!guard.update(1e9).beyond);
    guard.reset();
    let raised = (0..500).find(|_| guard.update(0.05).beyond);
    assert!(raised.is_some_and(|bars| bars < 100), "{raised:?}");
    (0..10_000).for_each(|_| drop(guard.update(0.05)));
    let verdict = guard.verdict();
    assert!(verdict.beyond && verdict.score <= 2.0 * verdict.threshold, "{verdict:?}");
    assert!(verdict.reason.unwrap().starts_with("errors drifted: sum "));
    let quiet = errors.iter().position(|error| !guard.update(*error).beyond);
    assert!(quiet.is_some(), "{guard:?}");
    assert_eq!(through_json(&guard), guard);
}

#[test]
fn guards_can_be_shared_between_threads() {
    fn shared<T: Send + Sync + Clone + Serialize + DeserializeOwned>() {}
    shared::<Novelty>();
    shared::<PopulationStability>();
    shared::<PageHinkley>();
    shared::<Adwin>();
    shared::<ErrorDrift>();
}

#[test]
fn errors_that_teach_nothing_are_refused() {
    let fit = |errors: &Array1<f64>| ErrorDriftParams::default().fit(errors).unwrap_err();
    assert!(fit(&sizes(1, 199)).is_not_enough_data());
    assert!(matches!(fit(&Array1::from_elem(300, 0.1)), Error::Numerical { .. }));
    let mut holed = sizes(1, 300);
    holed[7] = f64::NAN;
    assert!(matches!(fit(&holed), Error::NonFinite { row: 7, .. }));
}

#[test]
fn the_same_seed_finds_the_same_level() {
    let errors = sizes(2, 1_000);
    let level = |seed| ErrorDriftParams { seed, ..Default::default() }.fit(&errors).unwrap();
    assert_eq!(level(1), level(1));
    assert_ne!(level(1), level(2));
    let (a, b) = (level(1).threshold(), level(2).threshold());
    assert!((a / b - 1.0).abs() < 0.2, "{a} {b}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn prop_adwins_window_has_the_mean_and_variance_of_its_latest_numbers(
        values in proptest::collection::vec(-1e3_f64..1e3, 1..400),
    ) {
        let mut window = Adwin::new(AdwinParams::default()).unwrap();
        for (t, value) in values.iter().enumerate() {
            window.update(*value);
            let latest = &values[t + 1 - window.n() as usize..=t];
            let mean = latest.iter().sum::<f64>() / latest.len() as f64;
            let squares: f64 = latest.iter().map(|v| (v - mean) * (v - mean)).sum();
            prop_assert!(close_to(window.mean(), mean, 1e-9));
            prop_assert!((window.variance() - squares / latest.len() as f64).abs() < 1e-3);
        }
    }

    #[test]
    fn prop_farther_out_is_never_less_novel(scale in 1.0_f64..100.0, row in proptest::array::uniform4(-3.0_f64..3.0)) {
        use std::sync::OnceLock;
        static GUARD: OnceLock<Novelty> = OnceLock::new();
        let guard = GUARD.get_or_init(|| novelty(&noise(12, 1_500, 4), 1_500, 0.001));
        // Away from where the rows lie: the centre is within 0.1 of 0 in every column.
        let near = guard.measure(&row).unwrap().unwrap();
        let far = guard.measure(&row.map(|v| v * scale + 0.2 * v.signum() * scale)).unwrap().unwrap();
        prop_assert!(far.p <= near.p + 1e-12 || near.distance < 0.5, "{near:?} {far:?}");
    }
}
