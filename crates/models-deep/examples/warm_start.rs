//! Refits models on a rolling window of a file's candles, cold and from the model of the window before,
//! and prints the fits' seconds and the errors on the bars that follow, as a table of Markdown.
//!
//!     warm_start FILE [WINDOW [STEP [REFITS]]]
//!
//! Each window is forecast with the last model that knows nothing of what is forecast: it learns from
//! the bars whose labels, 5 bars ahead, are known at its end. The first fit is cold in both columns and
//! not counted. Times are the least of three runs on one thread; the fits are the same each time.

#![allow(clippy::print_stdout, reason = "a program")]

use std::error::Error;
use std::time::Instant;

use forecastle_core::{
    Dataset, FeatureTable, Fit, Predict, PredictExt, Rows, Target, Transform, TransformExt,
};
use forecastle_features::{LogClose, ModelFeatures, VwapAnchor};
use forecastle_kalman::{Kalman, KalmanParams};
use forecastle_market_data::{ReadOptions, read_candles};
use forecastle_models_deep::{
    Autoencoder, AutoencoderParams, Gru, GruParams, LatentModel, TrainingParams, Transformer,
    TransformerParams, WithLatents,
};
use forecastle_models_tree::{Boosting, BoostingParams, EarlyStopping as TreeStopping};
use ndarray::{Array1, s};

const HORIZON: usize = 5;
const RUNS: usize = 3;

type Failure = Box<dyn Error>;

/// What is learnt from, and how it rolls.
struct Roll {
    table: FeatureTable,
    targets: Array1<f64>,
    window: usize,
    step: usize,
    refits: usize,
}

/// What one way of fitting gave.
#[derive(Default)]
struct Tally {
    seconds: f64,
    /// Rounds, epochs or evaluations.
    steps: usize,
    squares: f64,
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize, default: usize| -> Result<usize, Failure> {
        Ok(arguments.get(i).map(|text| text.parse()).transpose()?.unwrap_or(default))
    };
    let Some(path) = arguments.first() else {
        return Err("warm_start FILE [WINDOW [STEP [REFITS]]]".into());
    };
    let (window, step, refits) = (number(1, 5_000)?, number(2, 500)?, number(3, 6)?);
    rayon::ThreadPoolBuilder::new().num_threads(1).build_global()?;

    let candles = read_candles(path, &ReadOptions::default())?.series;
    let features = ModelFeatures::new(VwapAnchor::default())?;
    let table = features.transform(candles.view())?;
    let ready = features.warm_up();
    let table = table.slice(ready..table.n_rows());
    let log_close = LogClose::new().transform(candles.view())?;
    let log_close = log_close.slice(ready..log_close.n_rows());
    let targets = Target::LogReturn.labels(candles.view().close(), HORIZON);
    let targets = targets.slice(s![ready..]).to_owned();
    let needed = window + (refits + 1) * step + HORIZON;
    if table.n_rows() < needed {
        return Err(format!("{needed} rows are needed, {} are there", table.n_rows()).into());
    }
    let roll = Roll { table, targets, window, step, refits };
    let roll_of_log_close = Roll { table: log_close, targets: roll.targets.clone(), ..roll };
    println!("{path}: {window} bars, {refits} refits after {step} bars each\n");
    println!(
        "| | cold s | warm s | ratio | cold steps | warm steps | RMSE, warm / cold | cold / naive |"
    );
    println!("|---|---|---|---|---|---|---|---|");

    let boosting = BoostingParams::default();
    let rounds = |model: &Boosting| model.report().rounds;
    roll.measure("boosting, 100 rounds more", &boosting, &boosting, rounds)?;
    let few = BoostingParams { n_rounds: 10, ..boosting };
    roll.measure("boosting, 10 rounds more", &boosting, &few, rounds)?;
    let stopped = BoostingParams { early_stopping: Some(TreeStopping::default()), ..boosting };
    roll.measure("boosting, stopped early", &stopped, &stopped, rounds)?;
    let kalman = KalmanParams::default();
    let evaluations = |model: &Kalman| model.report().evaluations;
    roll_of_log_close.measure("Kalman filter", &kalman, &kalman, evaluations)?;
    let gru = GruParams::default();
    roll.measure("GRU", &gru, &gru, |model: &Gru| model.report().epochs)?;
    let transformer = TransformerParams::default();
    let epochs = |model: &Transformer| model.report().epochs;
    roll.measure("Transformer", &transformer, &transformer, epochs)?;
    let epochs = |model: &Autoencoder| model.report().epochs;
    let autoencoder = AutoencoderParams::default();
    // Its prediction is its error.
    roll.measure_by("autoencoder", (&autoencoder, &autoencoder), epochs, |error, _| error)?;
    let training = TrainingParams { epochs: 3, ..autoencoder.training };
    let short = AutoencoderParams { training, ..autoencoder.clone() };
    roll.measure_by("autoencoder, 3 epochs more", (&autoencoder, &short), epochs, |error, _| {
        error
    })?;
    let with = |model| WithLatents { autoencoder: autoencoder.clone(), model };
    let epochs = |model: &LatentModel<Boosting>| model.autoencoder().report().epochs;
    let label = "autoencoder and boosting, 10 rounds more";
    roll.measure(label, &with(boosting), &with(few), epochs)?;
    let label = "autoencoder and boosting, stopped early";
    roll.measure(label, &with(stopped), &with(stopped), epochs)?;
    Ok(())
}

impl Roll {
    fn measure<F: Fit>(
        &self,
        label: &str,
        cold: &F,
        warm: &F,
        steps: impl Fn(&F::Fitted) -> usize,
    ) -> Result<(), Failure> {
        self.measure_by(label, (cold, warm), steps, |predicted, target| {
            (predicted - target) * (predicted - target)
        })
    }

    /// - `steps`: rounds, epochs or evaluations of a fit
    /// - `square`: the squared error of a prediction, by prediction and target
    fn measure_by<F: Fit>(
        &self,
        label: &str,
        (cold, warm): (&F, &F),
        steps: impl Fn(&F::Fitted) -> usize,
        square: impl Fn(f64, f64) -> f64,
    ) -> Result<(), Failure> {
        let mut start = cold.fit(self.dataset(&self.rows(0))?)?;
        let (mut cold_tally, mut warm_tally) = (Tally::default(), Tally::default());
        let mut naive = 0.0;
        for refit in 1..=self.refits {
            let rows = self.rows(refit);
            let dataset = self.dataset(&rows)?;
            let (mut least, mut fitted) = ([f64::INFINITY; 2], None);
            for _ in 0..RUNS {
                let begun = Instant::now();
                let from_nothing = cold.fit(dataset)?;
                let between = Instant::now();
                let from_start = warm.fit_from(dataset, &start)?;
                let seconds = [between - begun, between.elapsed()].map(|d| d.as_secs_f64());
                least = [least[0].min(seconds[0]), least[1].min(seconds[1])];
                fitted = Some((from_nothing, from_start));
            }
            let (from_nothing, from_start) = fitted.ok_or("no run")?;
            let end = refit * self.step + self.window;
            let ahead = end..end + self.step;
            for (tally, model, seconds) in [
                (&mut cold_tally, &from_nothing, least[0]),
                (&mut warm_tally, &from_start, least[1]),
            ] {
                tally.seconds += seconds;
                tally.steps += steps(model);
                let first = end - model.lookback().context(end);
                let predicted = model.predict(self.table.slice(first..ahead.end).values())?;
                let squares = ahead.clone().map(|t| square(predicted[t - first], self.targets[t]));
                tally.squares += squares.sum::<f64>();
            }
            naive += ahead.map(|t| square(0.0, self.targets[t])).sum::<f64>();
            start = from_start;
        }
        let mean = |steps: usize| steps as f64 / self.refits as f64;
        let (cold, warm) = (cold_tally, warm_tally);
        // An autoencoder's error has nothing to do with the targets'.
        let beside_naive = (cold.squares / naive).sqrt();
        let beside_naive = if naive > 0.0 { format!("{beside_naive:.4}") } else { String::new() };
        println!(
            "| {label} | {:.3} | {:.3} | {:.2} | {:.1} | {:.1} | {:.4} | {beside_naive} |",
            cold.seconds,
            warm.seconds,
            warm.seconds / cold.seconds,
            mean(cold.steps),
            mean(warm.steps),
            (warm.squares / cold.squares).sqrt(),
        );
        Ok(())
    }

    fn dataset<'a>(&'a self, rows: &'a Rows) -> Result<Dataset<'a>, Failure> {
        Ok(Dataset::from_table(&self.table, &self.targets, rows, HORIZON)?)
    }

    /// The rows of a window whose labels are known at its end.
    fn rows(&self, refit: usize) -> Rows {
        let from = refit * self.step;
        Rows::from(from..from + self.window - HORIZON)
    }
}
