//! What a subscriber hears of a fit. A process of its own: subscribers of one thread and new call
//! sites of another get in each other's way.
#![allow(clippy::unwrap_used, reason = "tests")]

use forecastle_core::conformance::{heard, noise};
use forecastle_core::{Predict, Rows};
use forecastle_ensemble::{Base, OlsParams, RidgeParams, StackingParams};
use tracing::Level;

#[test]
fn a_stacking_tells_every_fold_every_refit_and_the_weights() {
    let (table, targets) = noise(40, 400, 3).unwrap();
    let rows = Rows::from(0..390);
    let (ridge, ols) = (RidgeParams::default(), OlsParams::default());
    let bases = [
        Base { name: "ridge", model: &ridge, table: &table },
        Base { name: "ols", model: &ols, table: &table },
    ];
    // One thread, since a subscriber of this test's is one of its thread's.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let params = StackingParams::default();
    let fit = || params.fit(&bases, &targets, &rows, 2, &()).unwrap();
    let quiet = pool.install(|| heard(Level::INFO, || drop(fit())));
    assert_eq!(quiet, "");
    let told = pool.install(|| heard(Level::DEBUG, || drop(fit())));
    let outer = "stacking{rows=390 horizon=2 bases=2 warm_start=false}:";
    assert!(told.lines().all(|line| line.contains(outer)), "{told}");
    for base in ["ridge", "ols"] {
        for fold in 0..5 {
            let span =
                format!("out_of_fold{{bases=2 folds=5}}:fold{{fold={fold} base={base:?}}}: ");
            assert_eq!(told.matches(&span).count(), 1, "{span:?} in {told}");
        }
        let span = format!("{outer}refit{{base={base:?}}}: ");
        assert_eq!(told.matches(&span).count(), 1, "{span:?} in {told}");
    }
    let last = told.lines().last().unwrap();
    assert!(last.contains("weighed weights=[") && last.contains("naive_weight="), "{last}");
    let told = pool.install(|| {
        heard(Level::DEBUG, || {
            let first = fit();
            let start: Vec<&dyn Predict> = first.bases().iter().map(AsRef::as_ref).collect();
            drop(params.fit_from(&bases, &targets, &rows, 2, &(), &start).unwrap());
        })
    });
    assert!(told.contains("warm_start=true"), "{told}");
}
