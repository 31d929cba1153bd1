//! `forecastle-models-deep` alone: a GRU on a series with memory, its weights as a file for `PyTorch`,
//! training that goes on from there, and an autoencoder that knows an odd row when it sees one.
#![allow(clippy::print_stdout, reason = "an example prints")]

use forecastle::core::{Dataset, Fit, PredictExt, Rows};
use forecastle::models_deep::{AutoencoderParams, Gru, GruParams, TrainingParams};
use ndarray::{Array1, Array2, s};

fn main() -> anyhow::Result<()> {
    // The target is the mean of the last eight values: no single row tells it.
    let (n, memory) = (3_000, 8);
    let value = |t: usize, j: usize| ((t * (7_919 + 104 * j) + 13 * j) % 1_009) as f64 / 1_009.0;
    let records = Array2::from_shape_fn((n, 3), |(t, j)| value(t, j));
    let mean = |t: usize| {
        let window = t.saturating_sub(memory - 1)..=t;
        window.clone().map(|u| value(u, 0)).sum::<f64>() / window.count() as f64
    };
    let targets: Array1<f64> = (0..n).map(mean).collect();
    let names = ["x", "noise", "more noise"].map(str::to_owned);
    let rows = Rows::from(0..2_500);
    let dataset = Dataset::new(&names, &records, &targets, &rows, 1)?;

    let training = TrainingParams { epochs: 8, learning_rate: 5e-3, ..Default::default() };
    let params = GruParams { hidden_size: 16, lookback: 16, training, ..Default::default() };
    let gru = params.fit(dataset)?;
    let report = gru.report();
    println!("GRU of {} weights, best epoch {}", gru.n_weights(), report.best_epoch);
    for (epoch, (train, held_back)) in
        report.train_loss.iter().zip(&report.validation_loss).enumerate()
    {
        println!("epoch {:>2}: loss {train:.4}, held back {held_back:.4}", epoch + 1);
    }
    println!("correlation on unseen rows {:.3}", correlation(&gru, &records, &targets)?);

    // PyTorch reads this with `load_state_dict(safetensors.torch.load_file(path))`.
    let file = gru.to_safetensors()?;
    let names_of_weights: Vec<_> = gru.weight_names().collect();
    println!("{} bytes of safetensors: {}", file.len(), names_of_weights.join(", "));
    let loaded = Gru::from_safetensors(&file)?;
    assert_eq!(loaded.predict(&records)?, gru.predict(&records)?);

    let further = params.fit_from(dataset, &loaded)?;
    println!("trained on: correlation {:.3}", correlation(&further, &records, &targets)?);

    // Unclipped, so that an odd row stays odd.
    let params = AutoencoderParams { latents: 2, clip: None, ..Default::default() };
    let autoencoder = params.fit(dataset)?;
    let odd = Array2::from_elem((1, 3), 40.0);
    println!(
        "reconstruction error of an ordinary row {:.3}, of an odd one {:.1}",
        autoencoder.predict(&records.slice(s![2_600..2_601, ..]))?[0],
        autoencoder.predict(&odd)?[0]
    );
    Ok(())
}

/// Correlation of forecast and target on the last 500 rows.
fn correlation(model: &Gru, records: &Array2<f64>, targets: &Array1<f64>) -> anyhow::Result<f64> {
    let predicted = model.predict(records)?;
    let (a, b) = (predicted.slice(s![2_500..]), targets.slice(s![2_500..]));
    let (a, b) = (&a - a.mean().unwrap_or(0.0), &b - b.mean().unwrap_or(0.0));
    Ok(a.dot(&b) / (a.dot(&a) * b.dot(&b)).sqrt())
}
