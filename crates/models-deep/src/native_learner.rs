use forecastle_core::Result;
use rayon::prelude::*;

use crate::adam::{AdamW, clip_factor};
use crate::dropout::{Dropout, part_key};
use crate::learner::Learner;
use crate::network::Network;
use crate::samples::Samples;
use crate::simd::vectorised;
use crate::training_params::TrainingParams;

/// Shards a thread that are worked on at a time; memory does not grow with the batch beyond them.
const WAVE: usize = 2;

/// Trains a network with our own code.
///
/// A batch is cut into shards of [`Network::SHARD`] windows, whatever the number of threads; their
/// gradients are computed in parallel and added in order, so threads change no bit. All room is made
/// once.
#[derive(Debug)]
pub(crate) struct NativeLearner<N: Network> {
    network: N,
    weights: Vec<f32>,
    gradients: Vec<f32>,
    adam: AdamW,
    clip: Option<f64>,
    seed: u64,
    steps: u64,
    shards: Vec<Shard<N>>,
}

impl<N: Network> NativeLearner<N> {
    /// - `weights`: the first ones, as the network's layout says
    pub(crate) fn new(network: N, weights: Vec<f32>, params: &TrainingParams) -> Self {
        let threads = rayon::current_num_threads();
        let batch = params.batch_size.div_ceil(N::SHARD);
        // One thread needs one shard's room; gradients are added up in the same order.
        let n_shards = if threads == 1 { 1 } else { batch.clamp(1, WAVE * threads) };
        Self {
            gradients: vec![0.0; weights.len()],
            adam: AdamW::new(params, weights.len()),
            clip: params.gradient_clip,
            seed: params.seed,
            steps: 0,
            shards: (0..n_shards).map(|_| Shard::new(&network)).collect(),
            network,
            weights,
        }
    }

    /// The sum of weighted squared errors of `rows`; with a `task` their gradients as well.
    fn pass(&mut self, samples: &Samples, rows: &[usize], task: Option<Task>) -> f64 {
        let Self { network, weights, gradients, shards, .. } = self;
        let mut sum = 0.0;
        let n_shards = shards.len();
        for (wave, rows) in rows.chunks(n_shards * N::SHARD).enumerate() {
            let work = |(i, (shard, rows)): (usize, (&mut Shard<N>, &[usize]))| {
                let part = (wave * n_shards + i) as u64;
                shard.run(network, weights, samples, rows, part, task);
            };
            let used = rows.len().div_ceil(N::SHARD);
            if used == 1 {
                work((0, (&mut shards[0], rows)));
            } else {
                let parts = shards.par_iter_mut().zip(rows.par_chunks(N::SHARD));
                parts.enumerate().for_each(work);
            }
            for (i, shard) in shards[..used].iter_mut().enumerate() {
                sum += shard.sum;
                match task {
                    None => {}
                    Some(_) if wave == 0 && i == 0 => {
                        std::mem::swap(gradients, &mut shard.gradients);
                    }
                    Some(_) => add(gradients, &shard.gradients),
                }
            }
        }
        sum
    }
}

impl<N: Network> Learner for NativeLearner<N> {
    fn weights(&mut self) -> Result<Vec<f32>> {
        Ok(self.weights.clone())
    }

    fn step(&mut self, samples: &Samples, rows: &[usize], learning_rate: f64) -> Result<f64> {
        let total = samples.total_weight(rows) * samples.n_answers() as f64;
        let rate = self.network.dropout();
        let key = part_key(self.seed, self.steps);
        let sum = self.pass(samples, rows, Some(Task { total, rate, key }));
        self.steps += 1;
        let loss = sum / total;
        if loss.is_finite() {
            let factor = clip_factor(&self.gradients, self.clip);
            self.adam.step(&mut self.weights, &self.gradients, factor, learning_rate);
        }
        Ok(loss)
    }

    fn loss(&mut self, samples: &Samples, rows: &[usize]) -> Result<f64> {
        let total = samples.total_weight(rows) * samples.n_answers() as f64;
        Ok(self.pass(samples, rows, None) / total)
    }
}

/// What a step asks of every shard.
#[derive(Debug, Clone, Copy)]
struct Task {
    /// The loss is the sum of weighted squared errors divided by this.
    total: f64,
    /// Of dropout.
    rate: f64,
    /// Of dropout in this step.
    key: u64,
}

/// Room for the windows that are worked on together.
#[derive(Debug)]
struct Shard<N: Network> {
    workspace: N::Workspace<f32>,
    inputs: Vec<f32>,
    answers: Vec<f32>,
    outputs: Vec<f32>,
    gradients: Vec<f32>,
    sum: f64,
}

impl<N: Network> Shard<N> {
    fn new(network: &N) -> Self {
        let n_outputs = N::SHARD * network.n_outputs();
        Self {
            workspace: network.workspace(N::SHARD),
            inputs: vec![0.0; N::SHARD * network.lookback() * network.n_features()],
            answers: vec![0.0; n_outputs],
            outputs: vec![0.0; n_outputs],
            gradients: vec![0.0; network.layout().len()],
            sum: 0.0,
        }
    }

    fn run(
        &mut self,
        network: &N,
        weights: &[f32],
        samples: &Samples,
        rows: &[usize],
        part: u64,
        task: Option<Task>,
    ) {
        let lookback = network.lookback();
        let width = network.n_outputs();
        let inputs = &mut self.inputs[..rows.len() * lookback * network.n_features()];
        let answers = &mut self.answers[..rows.len() * width];
        let outputs = &mut self.outputs[..rows.len() * width];
        samples.windows_into(rows, lookback, N::ORDER, inputs);
        samples.answers_into(rows, answers);
        let dropout = task
            .filter(|task| task.rate > 0.0)
            .map(|task| Dropout::new(task.rate, part_key(task.key, part)));
        network.forward(weights, inputs, dropout, &mut self.workspace, outputs);
        self.sum = 0.0;
        // Outputs become the loss's derivatives by them.
        let places = outputs.chunks_exact_mut(width).zip(answers.chunks_exact(width));
        for ((outputs, answers), &row) in places.zip(rows) {
            let weight = f64::from(samples.weight(row));
            let slope = task.map_or(0.0, |task| 2.0 * weight / task.total) as f32;
            let mut squares = 0.0;
            for (output, answer) in outputs.iter_mut().zip(answers) {
                let error = *output - answer;
                squares += f64::from(error) * f64::from(error);
                *output = slope * error;
            }
            self.sum += weight * squares;
        }
        if task.is_some() {
            self.gradients.fill(0.0);
            let (workspace, gradients) = (&mut self.workspace, &mut self.gradients);
            network.backward(weights, inputs, dropout, outputs, workspace, gradients);
        }
    }
}

fn add(sums: &mut [f32], more: &[f32]) {
    vectorised(
        #[inline(always)]
        || {
            for (sum, &more) in sums.iter_mut().zip(more) {
                *sum += more;
            }
        },
    );
}
