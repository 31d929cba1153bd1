#![allow(clippy::unwrap_used, reason = "tests")]
//! Metrics: hand-computed figures, laws, and what is refused.

use forecastle_core::{Error, Result};
use forecastle_evaluation::{
    directional_accuracy, information_coefficient, mae, mase, pinball_loss,
    rank_information_coefficient, relative_mae, relative_rmse, rmse, rmsse, smape, theil_u2,
};
use ndarray::{Array1, array};
use proptest::prelude::*;

type Metric = fn(&Array1<f64>, &Array1<f64>) -> Result<Option<f64>>;

const METRICS: [(&str, Metric); 12] = [
    ("mae", |a, p| mae(a, p).map(Some)),
    ("rmse", |a, p| rmse(a, p).map(Some)),
    ("mase", |a, p| mase(a, p, a)),
    ("relative_mae", |a, p| relative_mae(a, p, &(0.5 * a))),
    ("relative_rmse", |a, p| relative_rmse(a, p, &(0.5 * a))),
    ("directional_accuracy", |a, p| directional_accuracy(a, p)),
    ("information_coefficient", |a, p| information_coefficient(a, p)),
    ("rank_information_coefficient", |a, p| rank_information_coefficient(a, p)),
    ("rmsse", |a, p| rmsse(a, p, a)),
    ("smape", |a, p| smape(a, p).map(Some)),
    ("theil_u2", |a, p| theil_u2(a, p, &(a.mapv(|v| if v == 0.0 { 1.0 } else { 0.5 * v })))),
    ("pinball_loss", |a, p| pinball_loss(a, p, 0.25).map(Some)),
];

#[test]
fn hand_computed_figures_agree() {
    let actual = array![1.0, -2.0, 3.0, 0.0];
    let predicted = array![2.0, -1.0, 1.0, 2.0];
    let expected = [
        ("mae", 1.5),
        ("rmse", 2.5_f64.sqrt()),
        ("mase", 1.0),         // 1.5 / 1.5
        ("relative_mae", 2.0), // 1.5 / 0.75
        ("relative_rmse", (2.5_f64 / 0.875).sqrt()),
        ("directional_accuracy", 1.0), // the row without a move is left out
        // Deviations (0.5, −2.5, 2.5, −0.5) and (1, −2, 0, 1): 5 / sqrt(13 · 6).
        ("information_coefficient", 5.0 / 78.0_f64.sqrt()),
        // Ranks (3, 1, 4, 2) and (3.5, 1, 2, 3.5): 1.5 / sqrt(5 · 4.5).
        ("rank_information_coefficient", 1.5 / 22.5_f64.sqrt()),
        ("rmsse", (2.5_f64 / 3.5).sqrt()),
        ("smape", (2.0 / 3.0 + 2.0 / 3.0 + 1.0 + 2.0) / 4.0),
        // Errors over the last levels ½, −1, 1½, 1; moves of 1, 1, 1 and −1 of them.
        ("theil_u2", ((4.0 + 1.0 + 16.0 / 9.0 + 4.0) / 4.0_f64).sqrt()),
        ("pinball_loss", (0.75 + 0.75 + 0.5 + 1.5) / 4.0),
    ];
    for ((name, metric), (expected_name, value)) in METRICS.iter().zip(expected) {
        assert_eq!(*name, expected_name);
        let actual = metric(&actual, &predicted).unwrap().unwrap();
        assert!((actual - value).abs() < 1e-15, "{name}: {actual}, expected {value}");
    }
}

#[test]
fn bad_input_is_refused_by_every_metric() {
    let good = array![1.0, 2.0];
    for (name, metric) in METRICS {
        let error = metric(&good, &array![1.0]).unwrap_err();
        assert!(matches!(error, Error::Shape { .. }), "{name}: {error}");
        let error = metric(&good, &array![1.0, f64::NAN]).unwrap_err();
        assert!(matches!(error, Error::NonFinite { row: 1, .. }), "{name}: {error}");
        let error = metric(&array![f64::INFINITY, 1.0], &good).unwrap_err();
        assert!(error.is_invalid_input(), "{name}: {error}");
        let empty = Array1::zeros(0);
        assert!(metric(&empty, &empty).unwrap_err().is_not_enough_data(), "{name}");
    }
}

#[test]
fn undefined_ratios_are_none_and_never_nan() {
    let (zeros, ones) = (array![0.0, 0.0], array![1.0, 1.0]);
    assert_eq!(mase(&zeros, &ones, &zeros).unwrap(), None);
    assert_eq!(relative_rmse(&zeros, &ones, &zeros).unwrap(), None);
    assert_eq!(relative_mae(&zeros, &zeros, &zeros).unwrap(), None);
    assert_eq!(directional_accuracy(&ones, &zeros).unwrap(), None);
    assert_eq!(
        information_coefficient(&array![0.1, 0.2, 0.4], &array![0.1, 0.1, 0.1]).unwrap(),
        None
    );
    assert_eq!(information_coefficient(&array![1.0], &array![2.0]).unwrap(), None);
}

#[test]
fn errors_near_the_end_of_the_range_do_not_overflow_on_the_way() {
    let (actual, predicted) = (array![1e300, -1e300], array![0.0, 0.0]);
    assert_eq!(rmse(&actual, &predicted).unwrap(), 1e300);
    assert_eq!(mae(&actual, &predicted).unwrap(), 1e300);
    assert_eq!(
        rmse(&array![3e-200, 4e-200], &predicted).unwrap(),
        4e-200 * (25.0_f64 / 32.0).sqrt()
    );
    let error = mae(&array![f64::MAX], &array![-f64::MAX]).unwrap_err();
    assert!(matches!(error, Error::Numerical { .. }));
    assert!(rmse(&array![f64::MAX], &array![-f64::MAX]).is_err());
}

fn vectors() -> impl Strategy<Value = (Array1<f64>, Array1<f64>)> {
    prop::collection::vec((-10.0_f64..10.0, -10.0_f64..10.0), 2..60).prop_map(|pairs| {
        (pairs.iter().map(|p| p.0).collect(), pairs.iter().map(|p| p.1).collect())
    })
}

proptest! {
    #[test]
    fn prop_rmse_is_at_least_mae_and_both_vanish_for_the_truth((a, p) in vectors()) {
        prop_assert!(rmse(&a, &p).unwrap() >= mae(&a, &p).unwrap() * (1.0 - 1e-14));
        prop_assert_eq!((rmse(&a, &a).unwrap(), mae(&a, &a).unwrap()), (0.0, 0.0));
    }

    #[test]
    fn prop_ratios_do_not_depend_on_the_unit((a, p) in vectors(), power in -60_i32..60) {
        let unit = 2_f64.powi(power);
        for (name, metric) in METRICS.iter().filter(|(name, _)| !["mae", "rmse", "pinball_loss"].contains(name)) {
            let scaled = metric(&(&a * unit), &(&p * unit)).unwrap();
            prop_assert_eq!(metric(&a, &p).unwrap(), scaled, "{}", name);
        }
    }

    #[test]
    fn prop_correlation_is_within_one_and_ignores_shift_and_scale((a, p) in vectors(), shift in -5.0_f64..5.0, scale in 0.1_f64..10.0) {
        if let Some(ic) = information_coefficient(&a, &p).unwrap() {
            prop_assert!(ic.abs() <= 1.0);
            let moved = information_coefficient(&a, &(scale * &p + shift)).unwrap().unwrap();
            prop_assert!((ic - moved).abs() < 1e-9);
            let mirrored = information_coefficient(&a, &-&p).unwrap().unwrap();
            prop_assert_eq!(ic, -mirrored);
        }
        let own = information_coefficient(&a, &a).unwrap();
        prop_assert!(own.is_none_or(|ic| (ic - 1.0).abs() < 1e-14));
    }

    #[test]
    fn prop_a_mirrored_forecast_is_right_where_the_other_is_wrong((a, p) in vectors()) {
        let right = directional_accuracy(&a, &p).unwrap();
        let wrong = directional_accuracy(&a, &-&p).unwrap();
        prop_assert_eq!(right.is_some(), wrong.is_some());
        if let (Some(right), Some(wrong)) = (right, wrong) {
            prop_assert!((right + wrong - 1.0).abs() < 1e-15);
        }
    }
}
