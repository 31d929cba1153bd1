//! Probabilistic and deflated Sharpe ratio and minimum track record against published figures.

use forecastle_backtest::{
    deflated_sharpe_ratio, expected_maximum_sharpe, minimum_track_record_length,
    probabilistic_sharpe_ratio,
};
use forecastle_core::Error;
use proptest::prelude::*;

fn near(value: f64, expected: f64, half_digit: f64) -> bool {
    (value - expected).abs() <= half_digit
}

/// Bailey and López de Prado (2014), the numerical example: SR0 0.1132, DSR 0.9004.
#[test]
fn the_deflated_sharpe_ratio_is_the_published_one() {
    let (daily, variance) = (2.5 / 250_f64.sqrt(), 0.5 / 250.0);
    let expected = expected_maximum_sharpe(100, variance).unwrap();
    assert!(near(expected, 0.1132, 5e-5), "{expected}");
    let deflated = deflated_sharpe_ratio(daily, 1250, -3.0, 10.0, 100, variance).unwrap();
    assert!(near(deflated, 0.9004, 5e-5), "{deflated}");
    // The same with SciPy 1.17 from the formulas, to more digits.
    assert!(near(expected, 0.11317200186513214, 1e-9), "{expected}");
    assert!(near(deflated, 0.9003968344493903, 1e-9), "{deflated}");
}

/// Bailey and López de Prado (2012): 24 months at 0.458 a month, with the moments that the fund had
/// and with normal ones.
#[test]
fn the_probabilistic_sharpe_ratio_is_the_published_one() {
    let fund = probabilistic_sharpe_ratio(0.458, 0.0, 24, -2.448, 10.164).unwrap();
    assert!(near(fund, 0.913, 5e-4), "{fund}");
    let normal = probabilistic_sharpe_ratio(0.458, 0.0, 24, 0.0, 3.0).unwrap();
    assert!(near(normal, 0.982, 5e-4), "{normal}");
}

/// Bailey and López de Prado (2012): years until an annual ratio of 2 is above 1 at 95 %, with normal
/// returns of days, weeks and months, and with a hedge fund index's months.
#[test]
fn the_minimum_track_record_is_the_published_one() {
    let years = |periods: f64, g3, g4| {
        let (two, one) = (2.0 / periods.sqrt(), 1.0 / periods.sqrt());
        minimum_track_record_length(two, one, g3, g4, 0.95).unwrap().unwrap() / periods
    };
    for (periods, g3, g4, published) in [
        (250.0, 0.0, 3.0, 2.73),
        (52.0, 0.0, 3.0, 2.83),
        (12.0, 0.0, 3.0, 3.24),
        (12.0, -0.72, 5.78, 4.99),
    ] {
        let found = years(periods, g3, g4);
        assert!(near(found, published, 5e-3), "{periods} {g3} {g4}: {found}");
    }
}

#[test]
fn what_no_returns_can_have_is_refused() {
    let refused = |result: Result<f64, Error>| result.unwrap_err().to_string();
    assert_eq!(
        refused(probabilistic_sharpe_ratio(0.1, 0.0, 1, 0.0, 3.0)),
        "parameter `n` must be >= 2, got 1"
    );
    assert_eq!(
        refused(probabilistic_sharpe_ratio(f64::NAN, 0.0, 10, 0.0, 3.0)),
        "parameter `sharpe` must be finite, got NaN"
    );
    assert_eq!(
        refused(expected_maximum_sharpe(0, 1.0)),
        "parameter `n_trials` must be >= 1, got 0"
    );
    assert!(expected_maximum_sharpe(2, -1.0).unwrap_err().is_invalid_input());
    assert!(matches!(
        probabilistic_sharpe_ratio(1.0, 0.0, 10, 5.0, 1.0),
        Err(Error::Numerical { .. })
    ));
    assert!(minimum_track_record_length(1.0, 0.0, 0.0, 3.0, 0.5).is_err());
    assert_eq!(minimum_track_record_length(0.1, 0.1, 0.0, 3.0, 0.95).unwrap(), None);
}

#[test]
fn a_single_trial_is_not_deflated() {
    assert_eq!(expected_maximum_sharpe(1, 4.0).unwrap(), 0.0);
    let alone = deflated_sharpe_ratio(0.1, 500, -0.5, 4.0, 1, 4.0).unwrap();
    assert_eq!(alone, probabilistic_sharpe_ratio(0.1, 0.0, 500, -0.5, 4.0).unwrap());
}

proptest! {
    #[test]
    fn prop_more_trials_deflate_more(
        sharpe in 0.01..0.3, n in 100_usize..5_000, trials in 2_usize..10_000, variance in 1e-5..1e-2
    ) {
        let of = |trials| deflated_sharpe_ratio(sharpe, n, -0.3, 5.0, trials, variance).unwrap();
        prop_assert!(of(trials + 1) <= of(trials) && of(trials) <= of(1));
    }

    /// A record of just the minimum length has the probability that was asked for.
    #[test]
    fn prop_the_minimum_track_record_is_where_the_probability_reaches_the_confidence(
        sharpe in 0.02..0.2, skewness in -2.0..1.0, kurtosis in 6.0..12.0, confidence in 0.6..0.99
    ) {
        let found = minimum_track_record_length(sharpe, 0.0, skewness, kurtosis, confidence);
        let n = found.unwrap().unwrap();
        let at = |n: f64| {
            probabilistic_sharpe_ratio(sharpe, 0.0, n as usize, skewness, kurtosis).unwrap()
        };
        prop_assert!(at(n.ceil().max(2.0)) >= confidence - 1e-9);
        prop_assume!(n.floor() >= 2.0);
        prop_assert!(at(n.floor()) <= confidence + 1e-9);
    }
}
