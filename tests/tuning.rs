//! Tuning: what it may see, that it is the same on any number of threads, and what luck gives.

use std::cell::Cell;
use std::time::Duration;

use forecastle::core::{Candle, CandleSeries, Progress, ProgressEvent};
use forecastle::evaluation::{Sampler, SearchParams, SearchSpace};
use forecastle::market_data::{Simulator, SimulatorParams};
use forecastle::models_tree::{BoostingEngine, BoostingParams};
use forecastle::{ModelKind, Pipeline, PipelineConfig, Result, Tuning, TuningParams};

const NO_CLOCK: fn() -> Duration = || Duration::ZERO;

/// Candles of a market without memory: independent returns of one size.
fn noise(seed: u64, n: usize) -> CandleSeries {
    let params =
        SimulatorParams { seed, n, regime_volatility: [1.0, 1.0, 1.0], ..Default::default() };
    Simulator::new(params).unwrap().series().unwrap()
}

/// A small, quick booster of our own, whose figures do not depend on what is installed.
fn quick() -> PipelineConfig {
    let boosting = BoostingParams { n_rounds: 15, learning_rate: 0.1, ..Default::default() };
    PipelineConfig { boosting, boosting_engine: BoostingEngine::PureRust, ..Default::default() }
}

fn params(model: ModelKind, trials: usize, space: Option<SearchSpace>) -> TuningParams {
    let search = SearchParams { trials: Some(trials), ..Default::default() };
    TuningParams { model, space, search, ..Default::default() }
}

fn tune(config: PipelineConfig, candles: &CandleSeries, params: &TuningParams) -> Result<Tuning> {
    Pipeline::new(config)?.tune(candles, params, &NO_CLOCK, &())
}

/// Mean and its standard error.
fn mean(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|v| (v - mean) * (v - mean)).sum();
    (mean, (squares / (n - 1.0) / n).sqrt())
}

#[test]
fn on_noise_the_search_gains_by_luck_and_the_rows_held_out_gain_nothing() {
    // Which seed draws the rows of the trees cannot matter, so every gain is luck.
    let space = SearchSpace::new().integer("seed", 0..=1_000_000).unwrap();
    let params = TuningParams {
        search: SearchParams { sampler: Sampler::Random, ..Default::default() },
        ..params(ModelKind::Boosting, 40, Some(space))
    };
    let worlds: Vec<Tuning> =
        (0..16).map(|seed| tune(quick(), &noise(seed, 900), &params).unwrap()).collect();
    let of =
        |figure: &dyn Fn(&Tuning) -> f64| mean(&worlds.iter().map(figure).collect::<Vec<f64>>());
    let (in_search, search_error) = of(&Tuning::gain_in_search);
    let (held_out, held_out_error) = of(&|tuning| tuning.gain_held_out().unwrap());
    let (luck, _) = of(&|tuning| tuning.search.luck().unwrap().from_folds.unwrap());
    let (against_naive, naive_error) =
        of(&|tuning| tuning.held_out.rows[2].relative_rmse.unwrap() - 1.0);
    println!(
        "gain in the search {in_search:.5} ± {search_error:.5}, luck {luck:.5}, held out \
         {held_out:.5} ± {held_out_error:.5}, beside naive {against_naive:.5} ± {naive_error:.5}"
    );
    assert!(in_search > 5.0 * search_error, "{in_search} ± {search_error}");
    assert!(held_out.abs() < 3.0 * held_out_error, "{held_out} ± {held_out_error}");
    assert!(held_out + 2.0 * held_out_error < in_search);
    assert!((0.7..1.4).contains(&(luck / in_search)), "{luck} {in_search}");
    assert!(against_naive > -2.0 * naive_error, "{against_naive} ± {naive_error}");
}

#[test]
fn the_same_seed_gives_the_same_tuning_on_any_number_of_threads() {
    let candles = noise(3, 700);
    let run = |threads, seed| {
        let mut params = params(ModelKind::Boosting, 14, None);
        params.search.seed = seed;
        let config = PipelineConfig { threads: Some(threads), ..quick() };
        let mut tuning = tune(config, &candles, &params).unwrap();
        tuning.config.threads = None;
        tuning
    };
    let one = run(1, 7);
    assert_eq!(one, run(3, 7));
    assert_ne!(one.search, run(1, 8).search);
}

/// The candles with other prices from a row on.
fn with_other_end(candles: &CandleSeries, from: usize) -> CandleSeries {
    let changed = candles.view().iter().enumerate().map(|(t, c)| {
        let k = if t < from { 1.0 } else { 1.0 + 0.02 * (t as f64).sin() };
        let [open, high, low, close] = [c.open(), c.high(), c.low(), c.close()].map(|p| p * k);
        Candle::new(c.open_time(), open, high, low, close, c.volume()).unwrap()
    });
    let symbol = candles.symbol().clone();
    CandleSeries::from_candles(symbol, candles.timeframe(), changed).unwrap()
}

#[test]
fn the_search_sees_nothing_of_the_rows_held_out_and_what_it_sees_ends_just_before() {
    let candles = noise(5, 800);
    let params = params(ModelKind::Ridge, 12, None);
    let before = tune(quick(), &candles, &params).unwrap();
    let border = candles.view().open_time().binary_search(&before.held_out.from).unwrap();
    let n_held_out = before.held_out.rows[0].n;
    assert_eq!(border + n_held_out, 800 - 5);
    // A fifth of 700 labelled rows: the first 95 warm up, the last 5 have no label.
    assert_eq!(n_held_out, 140);

    let after = tune(quick(), &with_other_end(&candles, border), &params).unwrap();
    assert_eq!((&before.search, &before.untuned), (&after.search, &after.untuned));
    assert_eq!(before.config, after.config);
    assert_ne!(before.held_out.rows, after.held_out.rows);
    // Labels of the last rows searched on end with the close before the border.
    let earlier = tune(quick(), &with_other_end(&candles, border - 1), &params).unwrap();
    assert_ne!(before.search, earlier.search);
}

#[test]
fn the_tuned_settings_are_the_best_trials_and_a_file_of_them_reads_back() {
    let candles = noise(2, 800);
    let tuning = tune(quick(), &candles, &params(ModelKind::Boosting, 20, None)).unwrap();
    let best = tuning.search.best().unwrap();
    assert!(!tuning.kept_untuned && best.loss().unwrap() < tuning.untuned.loss);
    assert_eq!(best.fold_losses().len(), 5);
    let (tuned, point) = (tuning.config.boosting, &best.point);
    assert_eq!(tuned.learning_rate, point.real("learning_rate").unwrap());
    assert_eq!(tuned.max_depth as i64, point.integer("max_depth").unwrap());
    assert_eq!(tuned.max_bins, quick().boosting.max_bins);
    assert_eq!(tuning.config.ridge, quick().ridge);
    let file = tuning.config.to_toml().unwrap();
    assert_eq!(PipelineConfig::from_toml(&file).unwrap(), tuning.config);

    // Settings from such a file lose what the trial lost.
    let again = tune(tuning.config.clone(), &candles, &params(ModelKind::Boosting, 1, None));
    assert_eq!(Some(again.unwrap().untuned.loss), best.loss());
}

#[test]
fn settings_are_kept_when_no_trial_is_better() {
    // The untuned penalty, and ten thousand times less of it.
    let space = SearchSpace::new().log_real("alpha", 1e-3..=1e-2).unwrap();
    let tuning = tune(quick(), &noise(4, 700), &params(ModelKind::Ridge, 5, Some(space))).unwrap();
    assert!(tuning.kept_untuned, "{tuning:?}");
    assert_eq!(tuning.config, quick());
    assert_eq!((tuning.gain_in_search(), tuning.gain_held_out()), (0.0, Some(0.0)));
    assert_eq!(tuning.held_out.tuned_against_untuned, None);
}

#[test]
fn choices_are_tried_and_settings_out_of_range_fail_their_trial_alone() {
    let space = SearchSpace::new()
        .choice("growth", ["leaf_wise", "sideways"])
        .unwrap()
        .real("subsample", 0.5..=1.5)
        .unwrap();
    let tuning =
        tune(quick(), &noise(1, 600), &params(ModelKind::Boosting, 16, Some(space))).unwrap();
    let failures: Vec<&String> =
        tuning.search.trials.iter().filter_map(|t| t.outcome.as_ref().err()).collect();
    assert!(failures.iter().any(|f| f.contains("sideways")), "{failures:?}");
    assert!(failures.iter().any(|f| f.contains("subsample")), "{failures:?}");
    assert!((1..16).contains(&failures.len()));
    let all = SearchSpace::new().choice("growth", ["sideways"]).unwrap();
    let error = tune(quick(), &noise(1, 600), &params(ModelKind::Boosting, 3, Some(all)));
    assert!(error.unwrap_err().to_string().contains("every trial failed"));
}

#[test]
fn bad_requests_are_refused() {
    let candles = noise(1, 600);
    let refused = |params: TuningParams| {
        let error = tune(quick(), &candles, &params).unwrap_err();
        assert!(error.is_invalid_input(), "{error}");
    };
    refused(params(ModelKind::Kalman, 3, None));
    let other = SearchSpace::new().real("learning_rat", 0.1..=0.2).unwrap();
    refused(params(ModelKind::Boosting, 3, Some(other)));
    let ok = params(ModelKind::Ridge, 3, None);
    refused(TuningParams { held_out: 0.0, ..ok.clone() });
    refused(TuningParams { held_out: f64::NAN, ..ok.clone() });
    refused(TuningParams { n_folds: 1, ..ok.clone() });
    refused(TuningParams { refits: 0, ..ok.clone() });
    refused(params(ModelKind::Ridge, 0, None));
    for n in [0, 1, 50, 300] {
        let short = candles.slice(0..n);
        assert!(tune(quick(), &short, &ok).unwrap_err().is_not_enough_data(), "{n}");
    }
    let flat = SimulatorParams { n: 700, zero_volume_probability: 1.0, ..Default::default() };
    let flat = Simulator::new(flat).unwrap().series().unwrap();
    let error = tune(quick(), &flat, &ok).unwrap_err();
    assert!(error.to_string().contains("does not move"), "{error}");
}

struct Stop;

impl Progress for Stop {
    fn update(&self, _event: &ProgressEvent<'_>) {}

    fn is_cancelled(&self) -> bool {
        true
    }
}

#[test]
fn tuning_stops_when_asked_to_and_when_its_time_is_up() {
    let candles = noise(1, 600);
    let pipeline = Pipeline::new(quick()).unwrap();
    let mut params = params(ModelKind::Ridge, 100, None);
    let error = pipeline.tune(&candles, &params, &NO_CLOCK, &Stop).unwrap_err();
    assert!(error.is_cancelled());
    let clock = Cell::new(0);
    let elapsed = || {
        clock.set(clock.get() + 1);
        Duration::from_secs(clock.get())
    };
    params.search.seconds = Some(4.0);
    let tuning = pipeline.tune(&candles, &params, &elapsed, &()).unwrap();
    // Asked before each trial but the first.
    assert_eq!(tuning.search.n_trials(), 4);
}
