use forecastle_core::{Error, Progress, ProgressEvent, Result};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use tracing::trace;

use crate::dropout::part_key;
use crate::fit_report::FitReport;
use crate::learner::Learner;
use crate::samples::Samples;
use crate::training_params::TrainingParams;

/// Tells the order of rows from the draws of weights and dropout, which have the same seed.
const ORDER: u64 = 0x006F_7264_6572;

/// Trains a network on any backend: epochs, order of rows, schedule, early stopping, progress.
#[derive(Clone, Copy)]
pub(crate) struct Training<'a> {
    pub(crate) params: &'a TrainingParams,
    /// The model's name in progress and errors.
    pub(crate) stage: &'static str,
    pub(crate) progress: Option<&'a dyn Progress>,
}

impl Training<'_> {
    /// Trains.
    ///
    /// - `head`, `tail`: rows to learn from, none with weight 0, and rows to validate on, empty
    ///   without early stopping
    /// - `fallback`: weights to return when no epoch is better, and their loss over the tail
    ///
    /// Returns the weights of the best epoch, which without a tail is the last one.
    ///
    /// # Errors
    /// - [`Error::Numerical`] when a loss or the weights are not finite.
    /// - [`Error::Cancelled`] when the observer asks to stop; it is asked before every step.
    /// - Whatever the backend fails with.
    pub(crate) fn run(
        &self,
        learner: &mut dyn Learner,
        samples: &Samples,
        [head, tail]: [&[usize]; 2],
        fallback: Option<(f64, Vec<f32>)>,
    ) -> Result<(Vec<f32>, FitReport)> {
        let Self { params, stage, progress } = *self;
        let stopping = params.early_stopping.filter(|_| !tail.is_empty());
        let n_steps = params.epochs.saturating_mul(head.len().div_ceil(params.batch_size));
        let mut random = Xoshiro256PlusPlus::seed_from_u64(part_key(params.seed, ORDER));
        let mut order = head.to_vec();
        let mut report = FitReport {
            train_rows: head.len(),
            validation_rows: tail.len(),
            ..FitReport::default()
        };
        report.fallback_loss = fallback.as_ref().map(|(loss, _)| *loss);
        let mut best: Option<(f64, Vec<f32>)> = None;
        let mut step = 0;
        for epoch in 1..=params.epochs {
            if params.shuffle {
                shuffle(&mut order, &mut random);
            }
            let (mut sum, mut weight) = (0.0, 0.0);
            for rows in order.chunks(params.batch_size) {
                if progress.is_some_and(Progress::is_cancelled) {
                    return Err(Error::Cancelled);
                }
                let rate = params.learning_rate * params.schedule.factor(step, n_steps);
                let loss = learner.step(samples, rows, rate)?;
                if !loss.is_finite() {
                    return Err(diverged(stage, "loss", epoch));
                }
                let of_rows = samples.total_weight(rows);
                sum += loss * of_rows;
                weight += of_rows;
                step += 1;
            }
            report.epochs = epoch;
            report.train_loss.push(sum / weight);
            let mut validation = None;
            if stopping.is_some() {
                let loss = learner.loss(samples, tail)?;
                if !loss.is_finite() {
                    return Err(diverged(stage, "validation loss", epoch));
                }
                validation = Some(loss);
                report.validation_loss.push(loss);
                if best.as_ref().is_none_or(|(least, _)| loss < *least) {
                    best = Some((loss, learner.weights()?));
                    report.best_epoch = epoch;
                }
            }
            trace!(epoch, train_loss = sum / weight, validation_loss = validation, "epoch");
            if let Some(progress) = progress {
                let event = ProgressEvent::new(stage, epoch as u64, Some(params.epochs as u64));
                progress.update(&event.with_loss(sum / weight, validation));
            }
            if stopping.is_some_and(|s| epoch - report.best_epoch >= s.patience) {
                break;
            }
        }
        let weights = match (best, fallback) {
            // Compared at the end alone: a network may need epochs to get there.
            (Some((loss, _)), Some((least, weights))) if loss >= least => {
                report.best_epoch = 0;
                weights
            }
            (Some((_, weights)), _) => weights,
            (None, _) => {
                report.best_epoch = report.epochs;
                learner.weights()?
            }
        };
        if weights.iter().any(|w| !w.is_finite()) {
            return Err(diverged(stage, "weights", report.best_epoch));
        }
        report.n_weights = weights.len();
        Ok((weights, report))
    }
}

/// Fisher and Yates.
fn shuffle(order: &mut [usize], random: &mut Xoshiro256PlusPlus) {
    for i in (1..order.len()).rev() {
        let below = (u128::from(random.next_u64()) * (i as u128 + 1)) >> 64;
        order.swap(i, below as usize);
    }
}

fn diverged(stage: &'static str, what: &str, epoch: usize) -> Error {
    let reason = format!(
        "the {what} is not finite in epoch {epoch}; lower `learning_rate`, set `gradient_clip`, \
         or look for extreme targets"
    );
    Error::numerical(stage, reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::Answers;
    use crate::training_params::{EarlyStopping, Schedule};

    /// Writes down what it is asked; its only weight is the number of steps taken.
    #[derive(Default)]
    struct Recorder {
        rates: Vec<f64>,
        rows: Vec<Vec<usize>>,
        validations: Vec<f64>,
    }

    impl Learner for Recorder {
        fn weights(&mut self) -> Result<Vec<f32>> {
            Ok(vec![self.rates.len() as f32])
        }

        fn step(&mut self, _: &Samples, rows: &[usize], learning_rate: f64) -> Result<f64> {
            self.rates.push(learning_rate);
            self.rows.push(rows.to_vec());
            Ok(rows.len() as f64)
        }

        fn loss(&mut self, _: &Samples, rows: &[usize]) -> Result<f64> {
            assert_eq!(rows, [10, 11]);
            Ok(self.validations.remove(0))
        }
    }

    fn run(
        learner: &mut Recorder,
        tail: &[usize],
        params: &TrainingParams,
    ) -> Result<(Vec<f32>, FitReport)> {
        let samples = Samples {
            records: vec![0.0; 12],
            n_features: 1,
            first_bar: 0,
            answers: Answers::Records,
            weights: None,
        };
        let head: Vec<usize> = (0..10).collect();
        let training = Training { params, stage: "test", progress: None };
        let fallback = (!tail.is_empty()).then(|| (9.0, vec![-1.0]));
        training.run(learner, &samples, [&head, tail], fallback)
    }

    #[test]
    fn every_epoch_goes_through_all_rows_in_another_order() {
        let params = TrainingParams { epochs: 2, batch_size: 4, ..Default::default() };
        let mut learner = Recorder::default();
        let (weights, report) = run(&mut learner, &[], &params).unwrap();
        assert_eq!(learner.rows.iter().map(Vec::len).collect::<Vec<_>>(), [4, 4, 2, 4, 4, 2]);
        let epochs: Vec<Vec<usize>> = learner.rows.chunks(3).map(<[_]>::concat).collect();
        let sorted = |epoch: &Vec<usize>| {
            let mut rows = epoch.clone();
            rows.sort_unstable();
            rows
        };
        assert!(epochs.iter().all(|epoch| sorted(epoch).into_iter().eq(0..10)));
        assert_ne!(epochs[0], epochs[1]);
        assert_ne!(epochs[0], sorted(&epochs[0]));
        // A row's share of the loss is its share of the batch.
        assert_eq!(report.train_loss, [3.6, 3.6]);
        assert_eq!((report.best_epoch, weights), (2, vec![6.0]));

        let ordered = TrainingParams { shuffle: false, ..params };
        let mut learner = Recorder::default();
        run(&mut learner, &[], &ordered).unwrap();
        assert_eq!(learner.rows[..3].concat(), (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn a_cosine_rises_in_a_line_and_falls_to_zero() {
        let schedule = Schedule::Cosine { warm_up: 0.25 };
        let params = TrainingParams {
            epochs: 4,
            batch_size: 5,
            learning_rate: 0.5,
            schedule,
            ..Default::default()
        };
        let mut learner = Recorder::default();
        run(&mut learner, &[], &params).unwrap();
        let half_cosine = |i: f64| 0.25 * (1.0 + (std::f64::consts::PI * i / 6.0).cos());
        let wanted = [0.25, 0.5].into_iter().chain((0..6).map(|i| half_cosine(f64::from(i))));
        let wanted: Vec<f64> = wanted.collect();
        assert_eq!(learner.rates.len(), wanted.len());
        let close = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-12;
        assert!(learner.rates.iter().zip(&wanted).all(close), "{:?}", learner.rates);
    }

    #[test]
    fn the_best_epochs_weights_are_kept_and_a_tie_is_no_gain() {
        let stopping = EarlyStopping { patience: 2, validation_share: 0.5 };
        let params = TrainingParams {
            epochs: 9,
            batch_size: 10,
            early_stopping: Some(stopping),
            ..Default::default()
        };
        let validations = vec![3.0, 2.0, 2.5, 1.0, 1.0, 4.0, 0.0];
        let mut learner = Recorder { validations: validations.clone(), ..Default::default() };
        let (weights, report) = run(&mut learner, &[10, 11], &params).unwrap();
        assert_eq!((report.epochs, report.best_epoch), (6, 4));
        assert_eq!(weights, [4.0]);
        assert_eq!(report.fallback_loss, Some(9.0));
        assert_eq!(report.validation_loss, validations[..6]);
        let mut learner = Recorder { validations: vec![1.0, f64::NAN], ..Default::default() };
        let error = run(&mut learner, &[10, 11], &params).unwrap_err().to_string();
        assert!(error.contains("validation loss is not finite in epoch 2"), "{error}");
    }

    #[test]
    fn where_no_epoch_helps_the_fallback_is_kept() {
        let stopping = EarlyStopping { patience: 2, validation_share: 0.5 };
        let params =
            TrainingParams { batch_size: 10, early_stopping: Some(stopping), ..Default::default() };
        let mut learner =
            Recorder { validations: vec![9.5, 9.2, 9.0, 9.4, 9.3], ..Default::default() };
        let (weights, report) = run(&mut learner, &[10, 11], &params).unwrap();
        assert_eq!((report.epochs, report.best_epoch), (5, 0));
        assert_eq!(weights, [-1.0]);
    }
}
