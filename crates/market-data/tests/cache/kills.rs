//! A download that is killed, again and again.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::ops::Range;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use forecastle_core::{CandleSeries, Timestamp};
use forecastle_market_data::{CacheError, CacheFormat, CandleCache, Clock};

use crate::{
    assert_true_as_far_as_covered, backward, formats, forward, key_of, later, run, truth, whole,
};

/// Where the child works; without it, it does nothing.
const FOLDER: &str = "FORECASTLE_CACHE_CHILD";
const SEED: &str = "FORECASTLE_CACHE_SEED";
/// How many kills the test makes, 20 by default.
const KILLS: &str = "FORECASTLE_KILLS";
const CANDLES: usize = 2_000;

fn open(root: &Path) -> CandleCache {
    let parquet = root.ends_with(CacheFormat::Parquet.extension());
    let format = if parquet { CacheFormat::Parquet } else { CacheFormat::Csv };
    // Small files, so that merging them is half of the work.
    CandleCache::open(root, format).unwrap().with_segment_rows(100).unwrap()
}

/// Marsaglia's xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

fn say(word: &str, range: &Range<Timestamp>) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n{word} {} {}", range.start.as_millis(), range.end.as_millis()).unwrap();
    out.flush().unwrap();
}

#[test]
#[ignore = "the child of the test below"]
fn child_that_downloads() {
    let Some(root) = std::env::var_os(FOLDER) else { return };
    let seed = std::env::var(SEED).unwrap().parse().unwrap();
    let truth = truth(CANDLES);
    let cache = open(Path::new(&root));
    let clock: Clock = Arc::new(later);
    let mut random = Random(seed);
    let mut arrived: Option<Range<Timestamp>> = None;
    let key = key_of(&truth);
    let filled = cache.fill(&key, whole(&truth), &clock, |hole| {
        // The page before is stored when the next is asked for.
        if let Some(stored) = arrived.take() {
            say("stored", &stored);
        }
        let most = 1 + random.below(40) as usize;
        let page = match random.below(3) {
            0 => backward(&truth, hole, most),
            _ => forward(&truth, hole, most),
        };
        arrived = Some(page.covered.clone());
        Box::pin(async move { Ok::<_, CacheError>(page) })
    });
    run(filled).unwrap();
    cache.compact(&key_of(&truth)).unwrap();
    say("done", &whole(&truth));
}

#[test]
#[ignore = "the child of the test below"]
fn child_that_compacts() {
    let Some(root) = std::env::var_os(FOLDER) else { return };
    let truth = truth(CANDLES);
    open(Path::new(&root)).compact(&key_of(&truth)).unwrap();
    say("done", &whole(&truth));
}

/// Runs a child, kills it after a while, and gives what it said it had stored; whether it was done.
fn kill_after(
    test: &str,
    root: &Path,
    seed: u64,
    delay: Duration,
) -> (Vec<Range<Timestamp>>, bool) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .env(FOLDER, root)
        .env(SEED, seed.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let begun = Arc::new(AtomicBool::new(false));
    let listener = std::thread::spawn({
        let begun = Arc::clone(&begun);
        move || {
            let (mut stored, mut done) = (Vec::new(), false);
            for line in out.lines() {
                let line = line.unwrap();
                begun.store(true, Ordering::Relaxed);
                let parts: Vec<&str> = line.split(' ').collect();
                let time = |at: usize| Timestamp::from_millis(parts[at].parse().unwrap());
                match (parts[0], parts.len()) {
                    ("stored", 3) => stored.push(time(1)..time(2)),
                    ("done", 3) => done = true,
                    _ => {}
                }
            }
            (stored, done)
        }
    });
    // Starting takes a while; the kill is for the work.
    while !begun.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_micros(200));
    }
    std::thread::sleep(delay);
    child.kill().unwrap();
    let status = child.wait().unwrap();
    let (stored, done) = listener.join().unwrap();
    assert!(done || status.code().is_none_or(|code| code != 101), "the child failed by itself");
    (stored, done)
}

fn assert_tidy(cache: &CandleCache, truth: &CandleSeries) {
    let Some(summary) = cache.summary(&key_of(truth)).unwrap() else { return };
    let folder = cache.root().join(key_of(truth).folder());
    let names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    let others = names.iter().filter(|name| [".lock", "_manifest.json"].contains(&name.as_str()));
    assert_eq!(names.len() - others.count(), summary.files, "{names:?}");
}

fn kills() -> usize {
    std::env::var(KILLS).ok().and_then(|kills| kills.parse().ok()).unwrap_or(20)
}

#[test]
fn a_download_killed_at_random_moments_loses_nothing_and_ends_as_if_undisturbed() {
    let truth = truth(CANDLES);
    let key = key_of(&truth);
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let (mut killed, mut downloads, mut pages) = (0, 0, 0);
    while killed < kills() {
        let format = formats()[downloads % formats().len()];
        let parent = tempfile::tempdir().unwrap();
        let root = parent.path().join(format.extension());
        fs::create_dir(&root).unwrap();
        let mut acknowledged: Vec<Range<Timestamp>> = Vec::new();
        loop {
            let delay = Duration::from_micros(random.below(60_000));
            let seed = 1 + random.below(u64::MAX - 1);
            let (stored, done) = kill_after("kills::child_that_downloads", &root, seed, delay);
            pages += stored.len();
            acknowledged.extend(stored);
            let cache = open(&root);
            for page in &acknowledged {
                assert_eq!(cache.missing(&key, page.clone()).unwrap(), []);
            }
            assert_true_as_far_as_covered(&cache, &truth);
            assert_tidy(&cache, &truth);
            if done {
                break;
            }
            killed += 1;
        }
        downloads += 1;
        let read = open(&root).read(&key, whole(&truth)).unwrap();
        assert_eq!(read.series, truth);
        assert_eq!((read.uncovered, read.quarantined), (vec![], vec![]));
    }
    eprintln!("{killed} kills, {downloads} downloads, {pages} pages acknowledged");
}

#[test]
fn a_compaction_killed_at_random_moments_changes_no_candle() {
    let truth = truth(CANDLES).slice(0..400);
    let key = key_of(&truth);
    let mut random = Random(0xD1B5_4A32_D192_ED03);
    let mut killed = 0;
    while killed < kills() / 4 {
        let parent = tempfile::tempdir().unwrap();
        let root = parent.path().join(formats()[killed % formats().len()].extension());
        let page = forward(&truth, whole(&truth), usize::MAX);
        // A file a candle.
        let scattered = open(&root).with_segment_rows(1).unwrap();
        scattered.append(&key, page.covered, &page.candles, later()).unwrap();
        assert_eq!(scattered.summary(&key).unwrap().unwrap().files, 400);
        loop {
            let delay = Duration::from_micros(random.below(30_000));
            let (_, done) = kill_after("kills::child_that_compacts", &root, 1, delay);
            let cache = open(&root);
            let read = cache.read(&key, whole(&truth)).unwrap();
            assert_eq!(read.series, truth);
            assert_eq!((read.uncovered, read.quarantined), (vec![], vec![]));
            assert_tidy(&cache, &truth);
            if done {
                break;
            }
            killed += 1;
        }
        assert!(open(&root).summary(&key).unwrap().unwrap().files <= 5);
    }
}
