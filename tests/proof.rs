//! What makes a forecast believable: intervals and confidence that keep their word, guards that hold
//! signals, rows that know nothing after them, trades that pay their costs.

use forecastle::backtest::{Action, BacktestParams, Costs, ExitReason, RandomEntryParams};
use forecastle::core::{Artifact, Candle, CandleSeries};
use forecastle::evaluation::ReliabilityTable;
use forecastle::market_data::{ReadOptions, Simulator, SimulatorParams, read_candles};
use forecastle::{
    FittedPipeline, GuardConfig, IntervalMethod, ModelKind, Pipeline, PipelineConfig, Refit,
    RowSelection, Signal, SkippedModel, Strategy, TradingParams, WalkForwardParams, WalkForwardRun,
    trading_screen,
};
use rand::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::shared::shared;

fn simulated(n: usize, seed: u64) -> CandleSeries {
    Simulator::new(SimulatorParams { n, seed, ..Default::default() }).unwrap().series().unwrap()
}

/// Independent returns of one distribution: errors of any forecast of them are exchangeable.
fn exchangeable(n: usize, seed: u64) -> CandleSeries {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut normal = || -> f64 { StandardNormal.sample(&mut random) };
    let base = simulated(n, seed);
    let mut level = 4.0_f64;
    let candles: Vec<Candle> = base
        .view()
        .iter()
        .map(|candle| {
            let open = level.exp();
            level += 0.01 * normal();
            let (close, wick) = (level.exp(), (0.003 * normal().abs()).exp());
            let (high, low) = (open.max(close) * wick, open.min(close) / wick);
            Candle::new(candle.open_time(), open, high, low, close, 1.0 + normal().abs()).unwrap()
        })
        .collect();
    CandleSeries::from_candles(base.symbol().clone(), base.timeframe(), candles).unwrap()
}

fn settings(horizon: usize, interval: IntervalMethod) -> PipelineConfig {
    let mut config =
        PipelineConfig { horizon, models: ModelKind::QUICK.to_vec(), ..Default::default() };
    config.stacking.interval = interval;
    config
}

fn walk(config: PipelineConfig, candles: &CandleSeries) -> WalkForwardRun {
    let pipeline = Pipeline::new(config).unwrap();
    pipeline.walk_forward(candles, &WalkForwardParams::default(), &()).unwrap()
}

#[test]
fn intervals_hold_between_88_and_92_percent_of_exchangeable_data() {
    let methods = [IntervalMethod::Adaptive, IntervalMethod::Split, IntervalMethod::Quantiles];
    for method in methods {
        let run = walk(settings(1, method), &exchangeable(6_000, 31));
        let interval = run.interval().unwrap();
        assert!(interval.n > 2_900, "{interval:?}");
        assert!((0.88..=0.92).contains(&interval.realised_coverage), "{method:?}: {interval:?}");
        // The shortest interval that could: 2 · 1.645 standard deviations of a return.
        assert!((0.031..0.037).contains(&interval.mean_width), "{method:?}: {interval:?}");
    }
}

#[test]
fn intervals_and_confidence_keep_their_word_on_real_candles() {
    let mut confidence: Option<ReliabilityTable> = None;
    for name in
        ["binance_BTCUSDT_1h", "binance_ETHUSDT_1h", "binance_EURUSDT_1h", "stockindicators_SPX_1d"]
    {
        let Some(path) = shared(&format!("data/{name}.csv.gz")) else { return };
        let candles = read_candles(path, &ReadOptions::default()).unwrap().series.tail(5_000);
        for horizon in [1, 5, 12] {
            let config = settings(horizon, IntervalMethod::Adaptive);
            let fitted = Pipeline::new(config.clone()).unwrap().fit(&candles).unwrap();
            let out_of_fold = fitted.run(&candles).unwrap().run_info().interval.unwrap();
            let run = walk(config, &candles);
            for interval in [out_of_fold, run.interval().unwrap()] {
                let held = interval.realised_coverage;
                assert!((0.86..=0.94).contains(&held), "{name}, {horizon}: {interval:?}");
            }
            if let Some(table) = run.reliability().unwrap() {
                match &mut confidence {
                    None => confidence = Some(table),
                    Some(all) => all.merge(&table).unwrap(),
                }
            }
        }
    }
    let confidence = confidence.unwrap();
    assert!(confidence.n() > 1_000, "{confidence:?}");
    // Of all cells together: 200 overlapping rows of one cell have a standard error above 4 points.
    for decile in confidence.rows().iter().filter(|decile| decile.n >= 200) {
        let gap = decile.observed.unwrap() - decile.mean_forecast.unwrap();
        assert!(gap.abs() <= 0.04, "{decile:?}");
    }
}

#[test]
fn a_walked_row_knows_no_candle_after_it() {
    let candles = simulated(1_300, 32);
    let params = WalkForwardParams {
        initial_train: Some(600),
        refit: Refit::Every(200),
        ..Default::default()
    };
    let pipeline = Pipeline::new(settings(5, IntervalMethod::Adaptive)).unwrap();
    let walk = |n: usize| pipeline.walk_forward(&candles.slice(0..n), &params, &()).unwrap();
    let long = walk(1_200);
    assert_eq!((long.first_row(), long.rows().len(), long.n_fits()), (600, 600, 3));
    for (n, fits) in [(1_000, 2), (1_001, 3), (1_130, 3)] {
        let short = walk(n);
        assert_eq!((short.first_row(), short.rows().len(), short.n_fits()), (600, n - 600, fits));
        assert_eq!(short.rows(), &long.rows()[..n - 600], "{n} candles");
    }
    // What each row says is what a pipeline says that was fitted on the candles before its block.
    let fitted = pipeline.fit(&candles.slice(0..800)).unwrap();
    let report = fitted.run(&candles.slice(0..1_000)).unwrap();
    for t in [800, 801, 900, 999] {
        assert_eq!(report.row(t).as_ref(), Some(&long.rows()[t - 600]), "row {t}");
    }
}

#[test]
fn every_kind_of_interval_comes_back_from_a_file_and_goes_on_with_the_same_bits() {
    // Enough rows for every guard.
    let candles = simulated(3_400, 33);
    for method in [IntervalMethod::Adaptive, IntervalMethod::Split, IntervalMethod::Quantiles] {
        let pipeline = Pipeline::new(settings(3, method)).unwrap();
        let fitted = pipeline.fit(&candles.slice(0..3_000)).unwrap();
        let bytes = fitted.save().unwrap().to_bytes().unwrap();
        let loaded = FittedPipeline::load(&Artifact::from_bytes(&bytes).unwrap()).unwrap();
        let table = |fitted: &FittedPipeline| {
            let mut text = Vec::new();
            fitted.run(&candles).unwrap().write_csv(RowSelection::All, &mut text).unwrap();
            text
        };
        let whole = table(&fitted);
        assert_eq!(whole, table(&loaded), "{method:?}");
        assert!(
            fitted.run(&candles).unwrap().run_info().skipped.iter().all(|s| s.model != "guard")
        );
        // With every guard at work, no row changes with the candles after it.
        for cut in [1_700, 2_999, 3_000, 3_001, 3_250] {
            let part = fitted.run(&candles.slice(0..cut)).unwrap();
            let mut text = Vec::new();
            part.write_csv(RowSelection::All, &mut text).unwrap();
            assert_eq!(text, whole[..text.len()], "{method:?}, cut at {cut}");
        }
    }
    let spelled: Vec<IntervalMethod> =
        ["adaptive", "split", "quantiles"].iter().map(|text| text.parse().unwrap()).collect();
    assert_eq!(spelled[2], IntervalMethod::Quantiles);
    assert!("wide".parse::<IntervalMethod>().unwrap_err().is_invalid_input());
}

/// The candles with a bar such as none before it: ten times the volume, a tenth of the price gone.
fn with_a_crash(candles: &CandleSeries, at: usize) -> CandleSeries {
    let crashed = candles.view().iter().enumerate().map(|(t, c)| {
        let share = if t >= at { 0.9 } else { 1.0 };
        let open = if t == at { c.open() } else { c.open() * share };
        let (high, low) = (c.high() * share, c.low() * share);
        let volume = if t == at { c.volume() * 10.0 } else { c.volume() };
        Candle::new(c.open_time(), open, high.max(open), low, c.close() * share, volume).unwrap()
    });
    CandleSeries::from_candles(candles.symbol().clone(), candles.timeframe(), crashed).unwrap()
}

#[test]
fn a_row_unlike_all_that_was_learnt_from_is_held_and_says_why() {
    let candles = with_a_crash(&simulated(3_000, 34), 2_900);
    let config = settings(5, IntervalMethod::Adaptive);
    let fitted = Pipeline::new(config.clone()).unwrap().fit(&candles.slice(0..2_800)).unwrap();
    let report = fitted.run(&candles).unwrap();
    let crash = report.row(2_900).unwrap();
    let reason = crash.guard.as_deref().expect("a crash is novel");
    assert!(reason.starts_with("novelty p "), "{reason}");
    assert_eq!(crash.structure.signal(), Signal::Hold);
    assert_eq!(
        (crash.structure.rules.stop_loss, crash.structure.rules.rule_confidence),
        (None, 0.0)
    );
    let text = crash.structure.forecast_text.to_string();
    assert!(text.contains("HOLD"), "{text}");
    let held = report.rows().filter(|row| row.guard.is_some()).count();
    assert!(held < 600, "{held} of 3000 rows are held");

    let last = fitted.run(&candles.slice(0..2_901)).unwrap();
    assert!(last.run_info().warnings.iter().any(|w| w.starts_with("the last signal is held: ")));
    assert!(last.to_screen(RowSelection::Last).contains("held by a guard, novelty"));

    let unguarded =
        PipelineConfig { guards: GuardConfig { enabled: false, ..Default::default() }, ..config };
    let fitted = Pipeline::new(unguarded).unwrap().fit(&candles.slice(0..2_800)).unwrap();
    let report = fitted.run(&candles).unwrap();
    assert!(report.rows().all(|row| row.guard.is_none()));
    // It is the guard that holds: the rules would have sold the crash.
    assert_eq!(report.row(2_900).unwrap().structure.signal(), Signal::Sell);
    let reason = |s: &SkippedModel| s.model == "guard" && s.reason == "switched off";
    assert!(report.run_info().skipped.iter().any(reason));
}

#[test]
fn errors_that_grow_after_the_fit_hold_signals() {
    let calm = exchangeable(3_000, 35);
    let from = 2_600;
    let start = calm.view().close()[from - 1];
    // From a row on every move is five times as large, and so is the range: the scale follows half.
    let wild = calm.view().iter().enumerate().map(|(t, c)| {
        if t < from {
            return c;
        }
        let [open, high, low, close] =
            [c.open(), c.high(), c.low(), c.close()].map(|p| start * (p / start).powi(5));
        Candle::new(c.open_time(), open, high, low, close, c.volume()).unwrap()
    });
    let wild = CandleSeries::from_candles(calm.symbol().clone(), calm.timeframe(), wild).unwrap();
    let config = settings(1, IntervalMethod::Adaptive);
    let fitted = Pipeline::new(config).unwrap().fit(&calm.slice(0..2_500)).unwrap();
    let reasons = |candles: &CandleSeries| -> usize {
        let report = fitted.run(candles).unwrap();
        let rows = (2_700..3_000).filter_map(|t| report.row(t).unwrap().guard);
        rows.filter(|reason| reason.contains("errors drifted")).count()
    };
    assert_eq!(reasons(&calm), 0);
    assert!(reasons(&wild) > 100, "{}", reasons(&wild));
}

#[test]
fn short_histories_say_which_guards_are_missing() {
    let candles = simulated(700, 36);
    let fitted =
        Pipeline::new(settings(5, IntervalMethod::Adaptive)).unwrap().fit(&candles).unwrap();
    let report = fitted.run(&candles).unwrap();
    let missing: Vec<&str> = report
        .run_info()
        .skipped
        .iter()
        .filter(|skipped| skipped.model == "guard")
        .map(|skipped| skipped.reason.as_str())
        .collect();
    assert!(
        missing.iter().any(|r| r.starts_with("novelty needs at least 1000 rows")),
        "{missing:?}"
    );
    assert!(missing.iter().any(|r| r.starts_with("population stability needs")), "{missing:?}");
}

#[test]
fn a_confidence_is_told_for_a_direction_alone() {
    let candles = simulated(2_000, 37);
    let report =
        Pipeline::new(settings(1, IntervalMethod::Adaptive)).unwrap().fit(&candles).unwrap();
    for row in report.run(&candles).unwrap().rows() {
        let close = row.structure.candle.close();
        let moves = row.forecast.ensemble.is_some_and(|price| price != close);
        let confidence = row.forecast.ensemble_confidence;
        assert!(confidence.is_none() || moves);
        assert!(confidence.is_none_or(|c| (0.5..1.0).contains(&c)), "{confidence:?}");
    }
}

#[test]
fn rules_and_forecasts_are_traded_as_the_table_said() {
    let candles = simulated(1_500, 38);
    let run = walk(settings(5, IntervalMethod::Adaptive), &candles);
    let (trading, costs) = (TradingParams::default(), BacktestParams::default());
    let decisions = run.decisions(Strategy::Rules, &trading, &costs).unwrap();
    assert_eq!(decisions.len(), run.rows().len());
    for (decision, row) in decisions.iter().zip(run.rows()) {
        let rules = &row.structure.rules;
        assert_eq!(decision.action, Action::from(rules.signal));
        if rules.signal != Signal::Hold {
            assert_eq!(decision.stop_loss, rules.stop_loss);
            assert_eq!(decision.take_profit, rules.take_profit.filter(|_| rules.take_profit_valid));
        }
    }
    // A forecast is traded where it promises more than both sides cost, for as long as it reaches.
    let ridge = Strategy::Model(ModelKind::Ridge);
    for (bps, params) in
        [(32.0, trading), (4.0, TradingParams { min_move_bps: Some(4.0), ..trading })]
    {
        let decisions = run.decisions(ridge, &params, &costs).unwrap();
        for (decision, row) in decisions.iter().zip(run.rows()) {
            let close = row.structure.candle.close();
            let promised = 1e4 * (row.forecast.ridge.unwrap() / close - 1.0);
            let expected = match promised {
                _ if row.guard.is_some() => Action::Keep,
                p if p > bps => Action::Long,
                p if p < -bps => Action::Short,
                _ => Action::Keep,
            };
            assert_eq!(decision.action, expected, "{promised} bps");
            assert!(expected == Action::Keep || decision.max_bars == Some(5));
        }
    }
    let random = RandomEntryParams { n_runs: 50, ..Default::default() };
    let traded = run.trade(&run.strategies(), &trading, &costs, &random).unwrap();
    let names: Vec<&str> = traded.iter().map(|t| t.strategy.as_str()).collect();
    assert_eq!(names, ["rules", "ensemble", "ridge", "boosting", "kalman"]);
    let rules = &traded[0];
    assert!(rules.backtest.trades.len() > 20);
    assert!(rules.backtest.trades.iter().any(|t| t.reason == ExitReason::StopLoss));
    assert!(rules.backtest.trades.iter().all(|t| t.entry_bar == t.decision_bar + 1));
    assert!(traded.iter().all(|t| t.beside.strategy.n_trials == 5));
    let screen = trading_screen(&traded);
    assert!(screen.contains("buy and hold") && screen.contains("IS IT LUCK?"), "{screen}");

    // Without costs the same rules end higher, and the result is called too good to be true.
    let free = BacktestParams { costs: Costs::FREE, ..costs };
    let free = run.trade(&[Strategy::Rules], &trading, &free, &random).unwrap();
    let (paid, free) = (&rules.beside.strategy, &free[0].beside.strategy);
    assert!(free.final_equity > paid.final_equity && free.is_too_good());
    let refused = TradingParams { max_bars: Some(0), ..trading };
    assert!(run.decisions(Strategy::Rules, &refused, &costs).unwrap_err().is_invalid_input());
    let absent = run.decisions(Strategy::Model(ModelKind::Gru), &trading, &costs).unwrap_err();
    assert!(absent.to_string().starts_with("parameter `strategy` must be among rules"), "{absent}");
    let broken = BacktestParams { costs: Costs { fee_bps: f64::NAN, ..costs.costs }, ..costs };
    assert!(run.decisions(ridge, &trading, &broken).unwrap_err().is_invalid_input());
}
