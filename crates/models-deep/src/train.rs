use forecastle_core::{Error, Progress, ProgressEvent, Result};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::dropout::part_key;
use crate::fit_report::FitReport;
use crate::learner::Learner;
use crate::samples::Samples;
use crate::training_params::TrainingParams;

/// Tells the order of rows from the draws of weights and dropout, which have the same seed.
const ORDER: u64 = 0x006F_7264_6572;

/// Trains a network on any backend: epochs, order of rows, schedule, early stopping, progress.
///
/// - `head`, `tail`: rows to learn from, none with weight 0, and rows to validate on, empty without
///   early stopping
/// - `stage`: the model's name in progress and errors
///
/// Returns the weights of the best epoch, which without a tail is the last one.
///
/// # Errors
/// - [`Error::Numerical`] when a loss or the weights are not finite.
/// - [`Error::Cancelled`] when the observer asks to stop; it is asked before every step.
/// - Whatever the backend fails with.
pub(crate) fn train(
    learner: &mut dyn Learner,
    samples: &Samples,
    [head, tail]: [&[usize]; 2],
    params: &TrainingParams,
    stage: &'static str,
    progress: Option<&dyn Progress>,
) -> Result<(Vec<f32>, FitReport)> {
    let stopping = params.early_stopping.filter(|_| !tail.is_empty());
    let n_steps = params.epochs.saturating_mul(head.len().div_ceil(params.batch_size));
    let mut random = Xoshiro256PlusPlus::seed_from_u64(part_key(params.seed, ORDER));
    let mut order = head.to_vec();
    let mut report =
        FitReport { train_rows: head.len(), validation_rows: tail.len(), ..FitReport::default() };
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
        if let Some(progress) = progress {
            let event = ProgressEvent::new(stage, epoch as u64, Some(params.epochs as u64));
            progress.update(&event.with_loss(sum / weight, validation));
        }
        if stopping.is_some_and(|s| epoch - report.best_epoch >= s.patience) {
            break;
        }
    }
    let weights = match best {
        Some((_, weights)) => weights,
        None => {
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
