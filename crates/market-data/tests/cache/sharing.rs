//! Several threads and processes on one folder.

use std::fs::File;
use std::time::Duration;

use forecastle_market_data::{CacheError, CacheFormat, CandleCache};

use crate::{forward, key_of, later, truth, whole};

#[test]
fn a_series_in_use_is_waited_for_and_then_named() {
    let truth = truth(50);
    let key = key_of(&truth);
    let root = tempfile::tempdir().unwrap();
    let cache = CandleCache::open(root.path(), CacheFormat::Csv).unwrap();
    let page = forward(&truth, whole(&truth), usize::MAX);
    cache.append(&key, page.covered, &page.candles, later()).unwrap();

    let folder = root.path().join(key.folder());
    let other_process = File::options().write(true).open(folder.join(".lock")).unwrap();
    other_process.lock().unwrap();
    let impatient = cache.clone().with_lock_wait(Duration::from_millis(20));
    let error = impatient.read(&key, whole(&truth)).unwrap_err();
    assert!(error.is_transient() && matches!(error, CacheError::Locked { .. }));
    let expected = format!("{} is in use by another process, still after 0.02 s", folder.display());
    assert_eq!(error.to_string(), expected);

    let reader = std::thread::spawn({
        let (key, wanted) = (key.clone(), whole(&truth));
        move || cache.read(&key, wanted).unwrap().series
    });
    std::thread::sleep(Duration::from_millis(50));
    assert!(!reader.is_finished());
    drop(other_process);
    assert_eq!(reader.join().unwrap(), truth);
}

#[test]
fn threads_with_caches_of_their_own_lose_no_page_to_each_other() {
    let truth = truth(800);
    let key = key_of(&truth);
    let root = tempfile::tempdir().unwrap();
    let time = |row: usize| truth.view().open_time()[row.min(799)];
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let (truth, key, root) = (&truth, &key, root.path());
            scope.spawn(move || {
                let cache = CandleCache::open(root, CacheFormat::Csv).unwrap();
                let cache = cache.with_segment_rows(64).unwrap();
                for page in (0..40).filter(|page| page % 4 == worker) {
                    let page = forward(truth, time(page * 20)..time(page * 20 + 25), 1_000);
                    cache.append(key, page.covered, &page.candles, later()).unwrap();
                }
            });
        }
    });
    let cache = CandleCache::open(root.path(), CacheFormat::Csv).unwrap();
    let read = cache.read(&key, time(0)..time(799)).unwrap();
    assert_eq!(read.series, truth.slice(0..799));
    assert_eq!((read.uncovered, read.quarantined), (vec![], vec![]));
}
