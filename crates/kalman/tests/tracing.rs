//! What a subscriber hears of a fit. A process of its own: subscribers of one thread and new call
//! sites of another get in each other's way.
#![allow(clippy::unwrap_used, reason = "tests")]

use forecastle_core::conformance::heard;
use forecastle_core::{Dataset, Fit, Rows};
use forecastle_kalman::{KalmanParams, LOG_CLOSE};
use ndarray::{Array1, Array2};
use tracing::Level;

#[test]
fn a_fit_tells_its_search_and_why_it_was_given_up() {
    let names = [LOG_CLOSE.to_owned()];
    let wave = |t: usize| 4.0 + 0.01 * (t as f64).sin() + 0.001 * (t * t % 17) as f64;
    let records = Array2::from_shape_fn((120, 1), |(t, _)| wave(t));
    let (targets, rows) = (Array1::zeros(120), Rows::from(0..100));
    let dataset = Dataset::new(&names, &records, &targets, &rows, 3).unwrap();
    let params = KalmanParams::default();
    let model = params.fit(dataset).unwrap();
    let report = model.report();
    let fit = |dataset| {
        let report = report.clone();
        move || {
            let refitted = KalmanParams::default().fit(dataset).unwrap();
            assert_eq!(refitted.report(), &report);
        }
    };
    assert_eq!(heard(Level::INFO, fit(dataset)), "");
    let told = heard(Level::DEBUG, fit(dataset));
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.len(), 2, "{told}");
    let search = "DEBUG maximum_likelihood{rows=100 parameters=3 warm_start=false}: ";
    assert!(lines[0].contains(search) && lines[0].contains("maximised log_likelihood="), "{told}");
    let found = format!("evaluations={}", report.evaluations);
    assert!(lines.iter().all(|line| line.contains(&found)), "{told}");
    assert!(lines[1].contains("fitted rows=100 observed=100"), "{told}");
    let descents = heard(Level::TRACE, fit(dataset));
    assert!(descents.contains("TRACE maximum_likelihood{"), "{descents}");
    let few = Rows::from(0..10);
    let told = heard(Level::DEBUG, || {
        params.fit(dataset.with_rows(&few).unwrap()).unwrap();
    });
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(told.contains("fallback=10 observed rows, 30 are needed"), "{told}");
}
