//! What a subscriber hears of a fit. A process of its own: subscribers of one thread and new call
//! sites of another get in each other's way.
#![allow(clippy::unwrap_used, reason = "tests")]

use forecastle_core::conformance::{heard, noise};
use forecastle_core::{Dataset, Fit, Rows};
use forecastle_models_deep::{EarlyStopping, GruParams, TrainingParams};
use tracing::Level;

#[test]
fn a_fit_tells_its_outcome_and_at_the_finest_level_every_epoch() {
    let (table, targets) = noise(40, 200, 3).unwrap();
    let rows = Rows::from(0..200);
    let dataset = Dataset::from_table(&table, &targets, &rows, 1).unwrap();
    let early_stopping = Some(EarlyStopping { patience: 4, validation_share: 0.25 });
    let training =
        TrainingParams { epochs: 6, learning_rate: 0.01, early_stopping, ..Default::default() };
    let params = GruParams { hidden_size: 6, lookback: 4, training, ..Default::default() };
    let model = params.fit(dataset).unwrap();
    let report = model.report();
    assert!(report.best_epoch > 0, "{report:?}");
    let fit = || assert_eq!(params.fit(dataset).unwrap(), model);
    assert_eq!(heard(Level::INFO, fit), "");
    let told = heard(Level::DEBUG, fit);
    assert_eq!(told.lines().count(), 1, "{told}");
    for part in [
        "DEBUG training{model=\"gru\" rows=200 features=3 epochs=6 warm_start=false}: ".to_owned(),
        format!("fitted epochs={} best_epoch={} ", report.epochs, report.best_epoch),
        format!("train_rows=149 validation_rows=50 n_weights={} ", model.n_weights()),
        format!("validation_loss={}", report.validation_loss[report.best_epoch - 1]),
        format!("fallback_loss={}", report.fallback_loss.unwrap()),
    ] {
        assert!(told.contains(&part), "{part:?} is not in {told}");
    }
    let told = heard(Level::TRACE, fit);
    let epochs = told.lines().filter(|line| line.contains("TRACE training{")).count();
    assert_eq!(epochs, report.epochs, "{told}");
    let told = heard(Level::DEBUG, || {
        params.fit_from(dataset, &model).unwrap();
    });
    assert!(told.contains("warm_start=true"), "{told}");
}
