use forecastle_core::{Dataset, Fit, Rows};
use forecastle_models_deep::{GruParams, Schedule, TrainingParams};
use ndarray::{Array1, Array2, s};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

const LENGTH: usize = 200;

/// Sequences of uniform numbers, two of them marked, one after the other; a sequence's last row has
/// the sum of the marked numbers as its target.
fn sequences(n: usize, seed: u64) -> (Array2<f64>, Array1<f64>) {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut uniform = || (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
    let mut records = Array2::zeros((n * LENGTH, 2));
    let mut targets = Array1::zeros(n * LENGTH);
    for sequence in 0..n {
        let first = sequence * LENGTH;
        for row in first..first + LENGTH {
            records[[row, 0]] = uniform();
        }
        // One mark in each half, as the problem's authors place them.
        let half = LENGTH / 2;
        let marks = [0, half].map(|from| first + from + (uniform() * half as f64) as usize);
        for row in marks {
            records[[row, 1]] = 1.0;
            targets[first + LENGTH - 1] += records[[row, 0]];
        }
    }
    (records, targets)
}

fn last_rows(n: usize) -> Rows {
    Rows::new((1..=n).map(|i| i * LENGTH - 1..i * LENGTH)).unwrap()
}

/// Predicting the mean leaves 0.167, the variance of the sum of two uniform numbers.
#[test]
fn gru_solves_the_adding_problem_at_length_200() {
    let n = 2000;
    let (records, targets) = sequences(n, 1);
    let rows = last_rows(n);
    let names = ["value", "mark"].map(str::to_owned);
    let dataset = Dataset::new(&names, &records, &targets, &rows, 0).unwrap();
    let params = GruParams {
        hidden_size: 32,
        lookback: LENGTH,
        clip: None,
        training: TrainingParams {
            epochs: 10,
            batch_size: 32,
            learning_rate: 0.01,
            schedule: Schedule::Cosine { warm_up: 0.0 },
            weight_decay: 0.0,
            early_stopping: None,
            ..Default::default()
        },
        ..Default::default()
    };
    let gru = params.fit(dataset).unwrap();
    let (records, targets) = sequences(500, 2);
    let square = |last: usize| {
        let window = records.slice(s![last + 1 - LENGTH..=last, ..]);
        (gru.predict_row(&window).unwrap() - targets[last]).powi(2)
    };
    let error = last_rows(500).iter().map(square).sum::<f64>() / 500.0;
    assert!(error < 0.01, "{error}");
}
