//! What a subscriber hears of a fit. A process of its own: subscribers of one thread and new call
//! sites of another get in each other's way.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::io;
use std::sync::{Arc, Mutex};

use forecastle_core::conformance::noise;
use forecastle_core::{Predict, Rows};
use forecastle_ensemble::{Base, OlsParams, RidgeParams, StackingParams};
use tracing::Level;

/// Keeps what is written.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a subscriber of that level hears of `work`.
fn heard(level: Level, work: impl FnOnce()) -> String {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_ansi(false)
        .without_time()
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, work);
    String::from_utf8(log.0.lock().unwrap().clone()).unwrap()
}

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
