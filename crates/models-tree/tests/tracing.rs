//! What a subscriber hears of a fit. A process of its own: subscribers of one thread and new call
//! sites of another get in each other's way.
#![allow(clippy::unwrap_used, reason = "tests")]

use forecastle_core::conformance::{heard, noise};
use forecastle_core::{Dataset, Fit, Rows};
use forecastle_models_tree::{BoostingParams, EarlyStopping, XgboostLibrary, XgboostParams};
use tracing::Level;

#[test]
fn a_fit_tells_its_outcome_and_at_the_finest_level_every_round() {
    let (table, targets) = noise(40, 400, 3).unwrap();
    let rows = Rows::from(0..400);
    let dataset = Dataset::from_table(&table, &targets, &rows, 1).unwrap();
    let early_stopping = Some(EarlyStopping { patience: 4, validation_share: 0.25 });
    let params = BoostingParams { learning_rate: 0.5, early_stopping, ..Default::default() };
    let model = params.fit(dataset).unwrap();
    let report = model.report();
    assert!(report.best_round > 1 && report.rounds < 100, "{report:?}");
    let fit = || assert_eq!(params.fit(dataset).unwrap(), model);
    assert_eq!(heard(Level::INFO, fit), "");
    let told = heard(Level::DEBUG, fit);
    assert_eq!(told.lines().count(), 1, "{told}");
    let best = report.best_round - 1;
    for part in [
        "DEBUG boosting{rows=400 features=3 n_rounds=100 start_trees=0}: ".to_owned(),
        format!("fitted rounds={} best_round={} ", report.rounds, report.best_round),
        format!("train_rows=299 validation_rows=100 train_loss={}", report.train_loss[best]),
        format!("validation_loss={}", report.validation_loss[best]),
    ] {
        assert!(told.contains(&part), "{part:?} is not in {told}");
    }
    let told = heard(Level::TRACE, fit);
    let rounds = told.lines().filter(|line| line.contains("TRACE boosting{")).count();
    assert_eq!(rounds, report.rounds, "{told}");
    // A warm start says what it began with.
    let told = heard(Level::DEBUG, || {
        params.fit_from(dataset, &model).unwrap();
    });
    assert!(told.contains(&format!("start_trees={}", model.n_trees())), "{told}");
    assert!(told.contains("best_round=0 "), "{told}");
    let Ok(library) = XgboostLibrary::find() else { return };
    let told = heard(Level::DEBUG, || {
        XgboostParams::from(params).fit_with(&library, dataset).unwrap();
    });
    let engine = format!("boosting{{engine=XGBoost {} rows=400", library.version());
    assert!(told.contains(&engine) && told.contains("fitted rounds="), "{told}");
}
