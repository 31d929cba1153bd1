#![allow(clippy::unwrap_used, reason = "tests")]
//! The reliability table against scikit-learn, its standard errors in simulations, and its laws.

use forecastle_core::Error;
use forecastle_evaluation::{ReliabilityParams, ReliabilityRow, ReliabilityTable};
use ndarray::{Array1, array};
use proptest::prelude::*;
use rand::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;

#[path = "reference/figures.rs"]
mod figures;
use figures::{Figures, near};

fn table(p: &Array1<f64>, events: &[bool], n_bins: usize, horizon: usize) -> ReliabilityTable {
    ReliabilityTable::new(p, events, &ReliabilityParams { n_bins, horizon }).unwrap()
}

/// Figures of scikit-learn 1.9.1: `calibration_curve` and `brier_score_loss`.
#[test]
fn bins_and_brier_score_agree_with_scikit_learn() {
    let figures = Figures::read();
    let stated = figures.vector("stated");
    let events: Vec<bool> = figures.whole("outcome").iter().map(|&o| o == 1).collect();
    let table = table(&stated, &events, 10, 1);
    let rows = table.rows();
    let (forecast, observed) =
        (figures.vector("calibration_forecast"), figures.vector("calibration_observed"));
    assert_eq!((rows.len(), forecast.len(), table.n()), (10, 10, 150));
    for (row, (f, o)) in rows.iter().zip(forecast.iter().zip(&observed)) {
        assert!(near(row.mean_forecast.unwrap(), *f, 1e-13), "{row:?}");
        assert!(near(row.observed.unwrap(), *o, 1e-13), "{row:?}");
        // Without overlap the standard error is the binomial one.
        let binomial = (o * (1.0 - o) / row.n as f64).sqrt();
        assert!(near(row.standard_error.unwrap(), binomial, 1e-12), "{row:?}");
    }
    assert!(near(table.brier().unwrap().brier, figures.number("brier"), 1e-13));
}

#[test]
fn murphys_three_parts_are_all_when_forecasts_in_a_bin_are_alike() {
    let stated = array![0.15, 0.15, 0.85, 0.85, 0.85, 0.85];
    let score = table(&stated, &[false, true, true, true, false, true], 10, 1).brier().unwrap();
    // Observed ½ and ¾, overall ⅔.
    let reliability = (2.0 * 0.35_f64.powi(2) + 4.0 * 0.1_f64.powi(2)) / 6.0;
    let resolution = (2.0 / 36.0 + 4.0 / 144.0) / 6.0;
    assert!(near(score.reliability, reliability, 1e-14), "{score:?}");
    assert!(near(score.resolution, resolution, 1e-13), "{score:?}");
    assert!(near(score.uncertainty, 2.0 / 9.0, 1e-14), "{score:?}");
    assert!(score.within_bins.abs() < 1e-15, "{score:?}");
}

#[test]
fn a_probability_on_a_border_belongs_to_the_bin_above_and_1_to_the_last() {
    let stated: Array1<f64> = (0..=100).map(|k| f64::from(k) / 100.0).collect();
    for n_bins in [10, 100, 7, 1] {
        let table = table(&stated, &[true; 101], n_bins, 1);
        for (k, row) in table.rows().iter().enumerate() {
            let inside = |p: &&f64| **p >= row.lower && (**p < row.upper || k + 1 == n_bins);
            assert_eq!(row.n, stated.iter().filter(inside).count(), "{n_bins} bins, {row:?}");
        }
        assert_eq!(table.n(), 101);
    }
}

#[test]
fn empty_bins_and_outcomes_all_alike_leave_cells_empty() {
    let table = table(&array![0.05, 0.05, 0.95], &[false, false, true], 10, 3);
    let rows = table.rows();
    assert_eq!((rows[0].observed, rows[0].standard_error), (Some(0.0), None));
    assert_eq!((rows[5].n, rows[5].mean_forecast, rows[5].observed), (0, None, None));
    let mut bytes = Vec::new();
    table.write_csv(&mut bytes).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], ReliabilityRow::COLUMNS.join(","));
    assert_eq!((lines.len(), lines[1], lines[6]), (11, "0,0.1,2,0.05,0,", "0.5,0.6,0,,,"));
    let json = serde_json::to_value(rows[0]).unwrap();
    let fields = json.as_object().unwrap();
    assert_eq!(fields.len(), ReliabilityRow::COLUMNS.len());
    assert!(ReliabilityRow::COLUMNS.iter().all(|c| fields.contains_key(*c)));
}

#[test]
fn bad_input_is_refused() {
    let run = |p: &Array1<f64>, events: &[bool], n_bins, horizon| {
        ReliabilityTable::new(p, events, &ReliabilityParams { n_bins, horizon }).unwrap_err()
    };
    let good = array![0.5, 0.7];
    assert_eq!(
        run(&array![0.5, 1.5], &[true, true], 10, 1).to_string(),
        "parameter `probabilities` must be in [0, 1], got 1.5"
    );
    assert!(run(&good, &[true, true], 0, 1).is_invalid_input());
    assert!(run(&good, &[true, true], usize::MAX, 1).is_invalid_input());
    assert!(run(&good, &[true, true], 10, 0).is_invalid_input());
    assert!(matches!(run(&good, &[true], 10, 1), Error::Shape { .. }));
    assert!(matches!(run(&array![0.5, f64::NAN], &[true; 2], 10, 1), Error::NonFinite { .. }));
    assert!(run(&Array1::zeros(0), &[], 10, 1).is_not_enough_data());
    let mut ten = table(&good, &[true, false], 10, 1);
    assert!(ten.merge(&table(&good, &[true, false], 5, 1)).is_err());
}

#[test]
fn standard_errors_count_overlapping_outcomes_for_what_they_are() {
    // Signs of 10-bar moves, forecasts that stay in a bin for a while.
    let mut random = Xoshiro256PlusPlus::seed_from_u64(8);
    let (n, horizon, runs) = (600, 10, 600);
    let (mut shares, mut claimed, mut plain) = (Vec::new(), 0.0, 0.0);
    for _ in 0..runs {
        let shocks: Vec<f64> =
            (0..n + horizon).map(|_| StandardNormal.sample(&mut random)).collect();
        let rose: Vec<bool> =
            shocks.windows(horizon).take(n).map(|w| w.iter().sum::<f64>() > 0.0).collect();
        let stated: Array1<f64> =
            (0..n).map(|t| if t / 40 % 2 == 0 { 0.55 } else { 0.45 }).collect();
        let row = table(&stated, &rose, 10, horizon).rows()[5];
        shares.push(row.observed.unwrap());
        claimed += row.standard_error.unwrap().powi(2) / f64::from(runs);
        plain += 0.25 / row.n as f64 / f64::from(runs);
    }
    let mean = shares.iter().sum::<f64>() / f64::from(runs);
    let truth = shares.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / f64::from(runs - 1);
    assert!((0.75..1.1).contains(&(claimed / truth)), "{}", claimed / truth);
    assert!(plain / truth < 0.3, "as if independent: {}", plain / truth);
}

fn forecasts() -> impl Strategy<Value = Vec<(f64, bool)>> {
    let p = prop_oneof![0.0_f64..=1.0, Just(0.0), Just(1.0), Just(0.5)];
    prop::collection::vec((p, any::<bool>()), 1..80)
}

fn of(rows: &[(f64, bool)], horizon: usize) -> ReliabilityTable {
    let p: Array1<f64> = rows.iter().map(|r| r.0).collect();
    let events: Vec<bool> = rows.iter().map(|r| r.1).collect();
    table(&p, &events, 10, horizon)
}

proptest! {
    #[test]
    fn prop_the_parts_of_the_brier_score_add_up(rows in forecasts(), horizon in 1_usize..6) {
        let table = of(&rows, horizon);
        let score = table.brier().unwrap();
        let sum = score.reliability - score.resolution + score.uncertainty + score.within_bins;
        prop_assert!((score.brier - sum).abs() < 1e-14);
        prop_assert!(score.reliability >= 0.0 && score.resolution <= score.uncertainty + 1e-15);
        let error = table.calibration_error().unwrap();
        // Jensen: the mean distance is at most the root of the mean squared one.
        prop_assert!(error * error <= score.reliability + 1e-14);
        for row in table.rows() {
            prop_assert!(row.standard_error.is_none_or(|s| s > 0.0 && s.is_finite()));
        }
    }

    #[test]
    fn prop_merged_tables_are_the_table_of_all_rows(a in forecasts(), b in forecasts(), horizon in 1_usize..6) {
        let (mut merged, other) = (of(&a, horizon), of(&b, horizon));
        merged.merge(&other).unwrap();
        let together: Vec<(f64, bool)> = a.iter().chain(&b).copied().collect();
        let whole = of(&together, 1);
        prop_assert_eq!(merged.n(), whole.n());
        for (m, w) in merged.rows().iter().zip(whole.rows()) {
            prop_assert_eq!(m.n, w.n);
            prop_assert!((m.mean_forecast.unwrap_or(0.0) - w.mean_forecast.unwrap_or(0.0)).abs() < 1e-12);
            prop_assert_eq!(m.observed, w.observed);
        }
        let (m, w) = (merged.brier().unwrap(), whole.brier().unwrap());
        prop_assert!((m.brier - w.brier).abs() < 1e-12 && (m.resolution - w.resolution).abs() < 1e-12);
        // With no overlap standard errors are those of all rows as well.
        let mut apart = of(&a, 1);
        apart.merge(&of(&b, 1)).unwrap();
        for (m, w) in apart.rows().iter().zip(whole.rows()) {
            let (m, w) = (m.standard_error.unwrap_or(0.0), w.standard_error.unwrap_or(0.0));
            prop_assert!((m - w).abs() < 1e-12);
        }
    }
}
