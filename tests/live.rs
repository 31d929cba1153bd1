//! Candle by candle: the rows of a batch run, through saves, loads, refits and kills.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use forecastle::core::{Artifact, Candle, CandleSeries, Error, Target};
use forecastle::features::VwapAnchor;
use forecastle::market_data::{ReadOptions, Simulator, SimulatorParams, read_candles};
use forecastle::{
    FittedPipeline, GapPolicy, Handover, IntervalMethod, Irregular, LiveParams, LivePipeline,
    LiveStore, ModelKind, Pipeline, PipelineConfig, Record, RefitEvent, RefitParams, TableRow,
    WalkForwardParams, write_csv,
};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::shared::shared;

fn simulated(n: usize) -> CandleSeries {
    Simulator::new(SimulatorParams { n, ..Default::default() }).unwrap().series().unwrap()
}

fn quick() -> PipelineConfig {
    PipelineConfig { models: ModelKind::QUICK.to_vec(), ..Default::default() }
}

fn fit(config: &PipelineConfig, candles: &CandleSeries) -> FittedPipeline {
    Pipeline::new(config.clone()).unwrap().fit(candles).unwrap()
}

/// The bits of every column.
fn csv(rows: &[TableRow]) -> String {
    let mut bytes = Vec::new();
    write_csv(rows.iter().cloned(), &mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

fn batch(fitted: &FittedPipeline, candles: &CandleSeries) -> Vec<TableRow> {
    fitted.run(candles).unwrap().rows().collect()
}

fn assert_same(live: &[TableRow], batch: &[TableRow], what: &str) {
    assert_eq!(live.len(), batch.len(), "{what}");
    let (live, batch) = (csv(live), csv(batch));
    for (t, (a, b)) in live.lines().zip(batch.lines()).enumerate() {
        assert_eq!(a, b, "{what}, line {t}");
    }
}

fn reload(live: &LivePipeline) -> LivePipeline {
    let bytes = live.save().unwrap().to_bytes().unwrap();
    let loaded = LivePipeline::load(&Artifact::from_bytes(&bytes).unwrap()).unwrap();
    assert_eq!((loaded.counters(), loaded.data()), (live.counters(), live.data()));
    loaded
}

/// Streams all candles, saving and loading now and then.
fn streamed(mut live: LivePipeline, candles: &CandleSeries, seed: u64) -> Vec<TableRow> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut rows = Vec::with_capacity(candles.len());
    for candle in candles.view().iter() {
        if random.random_range(0..400) == 0 {
            live = reload(&live);
        }
        rows.push(live.update(candle).unwrap().unwrap().row);
    }
    assert_eq!(live.counters().candles, candles.len() as u64);
    rows
}

fn check(config: &PipelineConfig, candles: &CandleSeries, fitted_on: usize, what: &str) {
    let fitted = fit(config, &candles.slice(0..fitted_on));
    let expected = batch(&fitted, candles);
    let live = LivePipeline::new(fitted, LiveParams::default()).unwrap();
    assert_same(&streamed(live, candles, 11), &expected, what);
}

#[test]
fn every_column_is_the_batch_runs_with_every_model_anchor_target_and_interval() {
    let candles = simulated(1_100);
    check(&PipelineConfig::default(), &candles, 700, "all models");
    for vwap in [VwapAnchor::SESSION_UTC, VwapAnchor::Cumulative, VwapAnchor::Rolling(7)] {
        check(&PipelineConfig { vwap, ..quick() }, &candles, 600, &vwap.to_string());
    }
    check(&PipelineConfig { target: Target::Price, ..quick() }, &candles, 600, "price target");
    check(&PipelineConfig { horizon: 1, ..quick() }, &candles, 600, "one bar ahead");
    check(&PipelineConfig { models: vec![], ..quick() }, &candles, 600, "rules alone");
    let mut quantiles = quick();
    quantiles.stacking.interval = IntervalMethod::Quantiles;
    check(&quantiles, &candles, 800, "quantiles");
    // Too short to learn from, and a fit on everything.
    check(&quick(), &candles, 100, "too short");
    check(&quick(), &candles, candles.len(), "all fitted");
}

#[test]
fn live_equals_batch_on_six_real_series_of_5000_candles_through_saves_and_loads() {
    let series = [
        "binance_BTCUSDT_1h",
        "binance_ETHUSDT_1h",
        "binance_EURUSDT_1h",
        "freqtrade_ETHBTC_5m",
        "fxcm_GBPUSD_1m",
        "stockindicators_SPX_1d",
    ];
    for name in series {
        let Some(path) = shared(&format!("data/{name}.csv.gz")) else { return };
        let candles = read_candles(&path, &ReadOptions::default()).unwrap().series;
        let candles = candles.slice(0..candles.len().min(5_000));
        check(&PipelineConfig::default(), &candles, candles.len() / 2, name);
    }
}

#[test]
fn the_features_of_the_last_candle_are_the_models() {
    let candles = simulated(600);
    let mut live = LivePipeline::new(fit(&quick(), &candles), LiveParams::default()).unwrap();
    assert!(live.features().iter().all(|v| v.is_nan()));
    live.warm_up(&candles).unwrap();
    assert_eq!(live.features().len(), 21);
    assert!(live.features().iter().all(|v| v.is_finite()));
    let other = CandleSeries::empty("ETH/USDT".parse().unwrap(), candles.timeframe());
    assert!(matches!(live.warm_up(&other), Err(Error::InvalidParameter { .. })));
}

fn moved(candle: &Candle, hours: i64) -> Candle {
    let time = candle.open_time().checked_add_millis(hours * 3_600_000).unwrap();
    let (o, h, l, c) = (candle.open(), candle.high(), candle.low(), candle.close());
    Candle::new(time, o, h, l, c, candle.volume()).unwrap()
}

#[test]
fn what_does_not_follow_is_refused_or_passed_over_and_changes_nothing() {
    let candles = simulated(700);
    let fitted = fit(&quick(), &candles.slice(0..500));
    let saved = fitted.save().unwrap();
    let all: Vec<Candle> = candles.view().iter().collect();
    let state = |live: &LivePipeline| {
        let mut copy = reload(live);
        let row = copy.update(all[600]).unwrap().unwrap().row;
        csv(&[row])
    };
    let strict = LiveParams { gaps: GapPolicy::Refuse, ..Default::default() };
    let mut live = LivePipeline::new(fitted, strict).unwrap();
    live.warm_up(&candles.slice(0..600)).unwrap();
    let before = state(&live);
    for (hours, of) in [(0, 599), (0, 300), (-1, 599), (1, 600)] {
        let error = live.update(moved(&all[of], hours)).unwrap_err();
        assert!(matches!(error, Error::OutOfOrder { row: 600, .. }), "{error}");
    }
    assert_eq!(state(&live), before);
    assert_eq!((live.counters().refused, live.counters().candles), (4, 600));

    let fitted = FittedPipeline::load(&saved).unwrap();
    let skip = Irregular::Skip;
    let lenient = LiveParams { duplicates: skip, late: skip, ..Default::default() };
    let mut live = LivePipeline::new(fitted, lenient).unwrap();
    live.warm_up(&candles.slice(0..600)).unwrap();
    assert_eq!(live.update(all[599]).unwrap(), None);
    assert_eq!(live.update(moved(&all[598], 1)).unwrap(), None);
    assert_eq!(live.update(all[10]).unwrap(), None);
    assert_eq!(state(&live), before);
    let step = live.update(moved(&all[600], 3)).unwrap().unwrap();
    assert_eq!(step.missing, 3);
    let counters = live.counters();
    assert_eq!((counters.duplicates, counters.revised, counters.late), (2, 1, 1));
    assert_eq!((counters.gaps, counters.missing, counters.refused), (1, 3, 0));
}

#[test]
fn a_candle_of_which_no_forecast_can_be_made_fails_the_update_and_changes_nothing() {
    let candles = simulated(600);
    let mut live = LivePipeline::new(fit(&quick(), &candles), LiveParams::default()).unwrap();
    live.warm_up(&candles).unwrap();
    let last = candles.view().iter().last().unwrap();
    // A price whose squares overflow.
    let time = moved(&last, 1).open_time();
    let absurd = Candle::new(time, 1e200, 1e200, 1e200, 1e200, 1.0).unwrap();
    let mut longer = candles.clone();
    longer.push(absurd).unwrap();
    assert!(live.fitted().run(&longer).is_err(), "nor does a batch run take it");

    let mut other = reload(&live);
    for _ in 0..3 {
        let error = other.update(absurd).unwrap_err();
        assert!(matches!(error, Error::NonFinite { .. }), "{error}");
    }
    assert_eq!((other.counters().errors, other.counters().candles), (3, 600));
    assert_eq!(other.data(), live.data());
    for hour in 1..60 {
        let next = moved(&last, hour);
        let (a, b) = (live.update(next).unwrap().unwrap(), other.update(next).unwrap().unwrap());
        assert_same(&[b.row], &[a.row], "after the failures");
    }
}

fn refitted_every(every: u64, window: usize, handover: Handover) -> LiveParams {
    let refit = RefitParams { every: Some(every), window, handover, ..Default::default() };
    LiveParams { refit: Some(refit), ..Default::default() }
}

#[test]
fn refits_at_once_give_the_walk_forward_that_a_backtest_sees() {
    let candles = simulated(1_500);
    let pipeline = Pipeline::new(quick()).unwrap();
    let (first, every) = (800, 200);
    let run = WalkForwardParams {
        initial_train: Some(first),
        refit: forecastle::Refit::Every(every),
        window: forecastle::core::TrainWindow::Rolling(first),
    };
    let expected = pipeline.walk_forward(&candles, &run, &()).unwrap();

    let history = candles.slice(0..first);
    let params = refitted_every(every as u64, first, Handover::After(0));
    let mut live = LivePipeline::new(pipeline.fit(&history).unwrap(), params).unwrap();
    live.warm_up(&history).unwrap();
    let rest = candles.slice(first..candles.len());
    for (candle, row) in rest.view().iter().zip(expected.rows()) {
        let step = live.update(candle).unwrap().unwrap();
        assert_eq!(step.row.forecast, row.forecast, "{}", candle.open_time());
        assert_eq!(step.row.guard, row.guard);
    }
    assert_eq!(live.counters().refits, 3);
    let swap = live.swaps().last().unwrap();
    let skill = swap.skill.expect("rows that both forecast");
    assert!(skill.rows > 100 && skill.before.is_some_and(|r| (0.8..1.2).contains(&r)), "{skill:?}");
    assert!(swap.to_string().contains("of naive before"), "{swap}");
}

#[test]
fn a_warm_start_keeps_the_folds_and_the_forests_as_they_are() {
    let candles = simulated(1_000);
    let history = candles.slice(0..700);
    let served = |warm_start: bool| {
        let refit = RefitParams {
            every: Some(150),
            window: 700,
            handover: Handover::After(0),
            warm_start,
            ..Default::default()
        };
        let params = LiveParams { refit: Some(refit), ..Default::default() };
        let config = PipelineConfig {
            models: vec![ModelKind::Boosting, ModelKind::Kalman, ModelKind::Gru],
            ..Default::default()
        };
        let mut live = LivePipeline::new(fit(&config, &history), params).unwrap();
        live.warm_up(&history).unwrap();
        let rest = candles.slice(700..1_000);
        let rows: Vec<TableRow> =
            rest.view().iter().map(|c| live.update(c).unwrap().unwrap().row).collect();
        assert_eq!(live.counters().refits, 2);
        (rows, live.swaps().map(|swap| swap.skill.map(|skill| skill.rows)).collect::<Vec<_>>())
    };
    let (cold, warm) = (served(false), served(true));
    let column = |rows: &[TableRow], of: fn(&TableRow) -> Option<f64>| -> Vec<_> {
        rows.iter().map(of).collect()
    };
    assert_eq!(column(&cold.0, |r| r.forecast.boosting), column(&warm.0, |r| r.forecast.boosting));
    assert_ne!(column(&cold.0, |r| r.forecast.gru), column(&warm.0, |r| r.forecast.gru));
    assert_eq!(cold.1, warm.1);
}

#[test]
fn a_refit_in_the_background_takes_over_where_it_was_told_to_even_after_a_restart() {
    let candles = simulated(1_300);
    let history = candles.slice(0..700);
    let rest = candles.slice(700..1_300);
    let rows = |restarts: bool| {
        let params = refitted_every(150, 600, Handover::After(20));
        let mut live = LivePipeline::new(fit(&quick(), &history), params).unwrap();
        live.warm_up(&history).unwrap();
        let mut rows = Vec::new();
        for (i, candle) in rest.view().iter().enumerate() {
            if restarts && i % 31 == 30 {
                live = reload(&live);
            }
            let step = live.update(candle).unwrap().unwrap();
            if let Some(RefitEvent::Swapped(swap)) = &step.refit {
                assert_eq!(swap.behind, 20);
                assert_eq!(swap.served_until, Some(candle.open_time()));
            }
            rows.push(step.row);
        }
        assert_eq!((live.counters().refits_begun, live.counters().refits), (4, 3));
        assert!(live.is_refitting());
        assert!(matches!(live.finish_refit(), Some(RefitEvent::Swapped(_))));
        assert!(!live.is_refitting());
        rows
    };
    let whole = rows(false);
    assert_same(&rows(true), &whole, "restarted");

    // Before the first take-over the first fit speaks; structure never changes its mind.
    let fitted = fit(&quick(), &history);
    let unfitted = batch(&fitted, &candles).split_off(700);
    assert_same(&whole[..169], &unfitted[..169], "before the first take-over");
    assert_ne!(
        whole[171..].iter().map(|r| r.forecast.ridge).collect::<Vec<_>>(),
        unfitted[171..].iter().map(|r| r.forecast.ridge).collect::<Vec<_>>()
    );
    for (a, b) in whole.iter().zip(&unfitted) {
        assert_eq!(
            a.structure.indicators.map(f64::to_bits),
            b.structure.indicators.map(f64::to_bits)
        );
    }
}

#[test]
fn a_refit_when_ready_loses_no_candle_and_drift_begins_one() {
    let candles = simulated(1_200);
    let history = candles.slice(0..700);
    let mut live =
        LivePipeline::new(fit(&quick(), &history), refitted_every(100, 700, Handover::WhenReady))
            .unwrap();
    live.warm_up(&history).unwrap();
    for candle in candles.slice(700..1_200).view().iter() {
        live.update(candle).unwrap().unwrap();
    }
    live.finish_refit();
    let counters = live.counters();
    assert!(counters.refits >= 1 && counters.refits_failed == 0, "{counters:?}");
    assert_eq!(counters.candles, 1_200);
    // What took over has seen every candle: it goes on as a run from its first one does.
    let until = live.fitted().fitted_until().unwrap();
    let end = candles.view().open_time().partition_point(|&time| time <= until);
    let expected = batch(live.fitted(), &candles.slice(end - 700..1_200));
    let next = moved(&candles.view().iter().last().unwrap(), 1);
    let mut longer = candles.slice(end - 700..1_200);
    longer.push(next).unwrap();
    let after = batch(live.fitted(), &longer);
    assert_eq!(csv(&after[..expected.len()]), csv(&expected));
    let step = live.update(next).unwrap().unwrap();
    assert_eq!(step.row.forecast, after.last().unwrap().forecast);

    // Volatility ten times what it was.
    let refit = RefitParams {
        every: None,
        on_drift: true,
        window: 3_000,
        handover: Handover::After(0),
        ..Default::default()
    };
    let calm = simulated(2_600);
    let fitted = fit(&quick(), &calm);
    let mut live =
        LivePipeline::new(fitted, LiveParams { refit: Some(refit), ..Default::default() }).unwrap();
    live.warm_up(&calm).unwrap();
    let mut level = calm.view().close().last().unwrap().ln();
    let last = calm.view().iter().last().unwrap();
    let mut random = Xoshiro256PlusPlus::seed_from_u64(5);
    for hour in 1..900 {
        let open = level.exp();
        level += random.random_range(-0.06..0.06);
        let close = level.exp();
        let time = moved(&last, hour).open_time();
        let candle =
            Candle::new(time, open, open.max(close) * 1.02, open.min(close) / 1.02, close, 50.0);
        live.update(candle.unwrap()).unwrap();
    }
    assert!(live.counters().refits >= 1, "{:?}", live.counters());
}

#[test]
fn a_state_that_is_cut_off_damaged_foreign_or_of_another_version_is_refused() {
    let candles = simulated(500);
    let fitted = fit(&quick(), &candles);
    let foreign = fitted.save().unwrap();
    let mut live =
        LivePipeline::new(fitted, refitted_every(1_000, 100, Handover::WhenReady)).unwrap();
    live.warm_up(&candles).unwrap();
    let artifact = live.save().unwrap();
    let bytes = artifact.to_bytes().unwrap();
    let mut random = Xoshiro256PlusPlus::seed_from_u64(3);
    for _ in 0..200 {
        let n = random.random_range(0..bytes.len());
        assert!(Artifact::from_bytes(&bytes[..n]).is_err());
        let mut damaged = bytes.clone();
        damaged[n] ^= 1 << random.random_range(0..8);
        assert!(Artifact::from_bytes(&damaged).is_err());
    }
    let refused = LivePipeline::load(&foreign).unwrap_err().to_string();
    assert!(refused.contains("pipeline"), "{refused}");
    let other = Artifact::encode("live_pipeline", 99, &[], &0_u8).unwrap();
    let refused = LivePipeline::load(&other).unwrap_err().to_string();
    assert!(refused.contains("format version 99"), "{refused}");

    // With the right checksum over wrong content: an error, or a pipeline that does not panic.
    let body = 20..bytes.len() - 4;
    let mut loaded = 0;
    for _ in 0..400 {
        let mut forged = bytes.clone();
        for _ in 0..random.random_range(1..4) {
            forged[random.random_range(body.clone())] = random.random();
        }
        let checksum = crc32fast::hash(&forged[..body.end]).to_le_bytes();
        forged[body.end..].copy_from_slice(&checksum);
        let Ok(artifact) = Artifact::from_bytes(&forged) else { continue };
        let Ok(mut live) = LivePipeline::load(&artifact) else { continue };
        loaded += 1;
        let last = candles.view().iter().last().unwrap();
        for hour in 1..120 {
            let _ = live.update(moved(&last, hour));
        }
    }
    eprintln!("{loaded} of 400 forgeries load");
}

#[test]
fn a_journal_that_is_cut_off_loses_what_was_never_taken_and_a_damaged_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    assert!(LiveStore::open(&path).unwrap().is_none());
    let candles = simulated(600);
    let fitted = fit(&quick(), &candles.slice(0..500));
    let mut live = LivePipeline::new(fitted, LiveParams::default()).unwrap();
    live.warm_up(&candles.slice(0..500)).unwrap();
    let mut store = LiveStore::create(&path, &live).unwrap();
    for candle in candles.slice(500..590).view().iter() {
        live.update(candle).unwrap();
        store.record(&live, &candle).unwrap();
    }
    drop(store);
    let journal = folder.path().join("state.journal");
    let records = fs::read(&journal).unwrap();
    assert_eq!(records.len(), 90 * 52);
    let open = |records: &[u8]| {
        let copy = folder.path().join("copy");
        fs::copy(&path, &copy).unwrap();
        fs::write(folder.path().join("copy.journal"), records).unwrap();
        LiveStore::open(&copy).map(|found| found.unwrap().1)
    };
    assert_eq!(open(&records).unwrap().data(), live.data());
    for cut in [0, 1, 51, 52, 53, 1_000, records.len() - 1] {
        assert_eq!(open(&records[..cut]).unwrap().counters().candles, (500 + cut / 52) as u64);
    }
    let mut torn = records.clone();
    torn[records.len() - 10] ^= 1;
    assert_eq!(open(&torn).unwrap().counters().candles, 589);
    let mut damaged = records.clone();
    damaged[100] ^= 1;
    let error = open(&damaged).unwrap_err().to_string();
    assert!(error.contains("record 1 of the journal"), "{error}");
    // A state that was written when the journal was not emptied yet.
    let mut store = LiveStore::open(&path).unwrap().unwrap().0;
    store.checkpoint(&live).unwrap();
    let error = LiveStore::open(&path).unwrap_err().to_string();
    assert!(error.contains("live state"), "{error}");
    assert!(LiveStore::create(&path, &live).is_err(), "two writers");
    drop(store.with_sync());
    fs::write(&journal, &records).unwrap();
    assert_eq!(LiveStore::open(&path).unwrap().unwrap().1.data(), live.data());
}

const CHILD: &str = "FORECASTLE_LIVE_CHILD";
/// How many kills the test makes, 20 by default.
const KILLS: &str = "FORECASTLE_KILLS";

fn child_series() -> CandleSeries {
    simulated(1_600)
}

fn child_params() -> LiveParams {
    refitted_every(150, 500, Handover::After(10))
}

/// Appends rows to a file that a killed process may have left longer than the state.
fn trimmed(path: &Path, live: &LivePipeline) -> fs::File {
    let text = fs::read_to_string(path).unwrap_or_default();
    let until = live.last_open_time().unwrap().as_millis();
    let known = |line: &&str| {
        let time: i64 = line.split(',').next().unwrap().parse().unwrap();
        line.ends_with('\n') && time <= until
    };
    let kept: usize = text.split_inclusive('\n').take_while(known).map(str::len).sum();
    let file = fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
    file.set_len(kept as u64).unwrap();
    file
}

#[test]
#[ignore = "the child of the test below"]
fn child_that_goes_on() {
    let Some(folder) = std::env::var_os(CHILD) else { return };
    let folder = Path::new(&folder);
    let (mut store, mut live) = LiveStore::open(&folder.join("state")).unwrap().unwrap();
    let mut rows = trimmed(&folder.join("rows.csv"), &live);
    for candle in child_series().view().iter() {
        if Some(candle.open_time()) <= live.last_open_time() {
            continue;
        }
        let step = live.update(candle).unwrap().unwrap();
        let line = csv(std::slice::from_ref(&step.row)).lines().nth(1).unwrap().to_owned();
        // In two halves, so that a kill may come between them.
        let (a, b) = line.split_at(line.len() / 2);
        rows.write_all(a.as_bytes()).unwrap();
        rows.write_all(format!("{b}\n").as_bytes()).unwrap();
        store.record_step(&live, &step).unwrap();
        // Slow enough to be killed on the way.
        std::thread::sleep(Duration::from_millis(1));
    }
    fs::write(folder.join("done"), "").unwrap();
}

#[test]
fn a_process_killed_again_and_again_loses_and_doubles_no_candle() {
    let kills: u32 = std::env::var(KILLS).ok().and_then(|n| n.parse().ok()).unwrap_or(20);
    let folder = tempfile::tempdir().unwrap();
    let history = child_series().slice(0..600);
    let mut live = LivePipeline::new(fit(&quick(), &history), child_params()).unwrap();
    live.warm_up(&history).unwrap();
    LiveStore::create(&folder.path().join("state"), &live).unwrap();
    let mut expected = Vec::new();
    for candle in child_series().slice(600..1_600).view().iter() {
        expected.push(live.update(candle).unwrap().unwrap().row);
    }
    let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
    let spawn = || {
        Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "live::child_that_goes_on"])
            .env(CHILD, folder.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    };
    let mut killed = 0;
    while killed < kills && !folder.path().join("done").exists() {
        let mut child = spawn();
        let longest = 5 + 1_000 / u64::from(kills.max(20));
        std::thread::sleep(Duration::from_millis(random.random_range(5..longest)));
        killed += u32::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(spawn().wait().unwrap().success());
    assert!(folder.path().join("done").exists());
    let rows = fs::read_to_string(folder.path().join("rows.csv")).unwrap();
    let expected = csv(&expected);
    assert_eq!(rows.lines().count(), 1_000);
    for (got, wanted) in rows.lines().zip(expected.lines().skip(1)) {
        assert_eq!(got, wanted);
    }
    assert!(killed >= kills / 2, "killed {killed} times");
    eprintln!("killed {killed} times");
}

#[test]
fn rows_serialise_as_json_lines() {
    let candles = simulated(400);
    let mut live = LivePipeline::new(fit(&quick(), &candles), LiveParams::default()).unwrap();
    live.warm_up(&candles).unwrap();
    let next = moved(&candles.view().iter().last().unwrap(), 1);
    let step = live.update(next).unwrap().unwrap();
    let line = serde_json::to_string(&step.row).unwrap();
    assert!(!line.contains('\n'));
    let value: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(value.as_object().unwrap().len(), TableRow::COLUMNS.len());
    let counters = serde_json::to_value(live.counters()).unwrap();
    assert_eq!(counters["candles"], 401);
}
