//! `forecastle-models-tree` alone: fit, early stopping, importance, save and load.
#![allow(clippy::print_stdout, reason = "an example prints")]

use forecastle::core::{Artifact, Dataset, FeatureTable, Fit, Load, PredictExt, Rows, Timestamp};
use forecastle::models_tree::{Boosting, BoostingParams, EarlyStopping};
use ndarray::{Array1, Array2};

fn main() -> anyhow::Result<()> {
    // A step, a slope and a column of noise.
    let n = 3_000;
    let value = |i: usize, j: usize| ((i * (7_919 + 104 * j) + 13 * j) % 1_009) as f64 / 1_009.0;
    let values = Array2::from_shape_fn((n, 3), |(i, j)| value(i, j));
    let noise = |i: usize| (i * 31_337 % 997) as f64 / 997.0 - 0.5;
    let step = |x: f64| if x > 0.3 { 1.0 } else { 0.0 };
    let targets: Array1<f64> =
        (0..n).map(|i| step(value(i, 0)) + value(i, 1) + 0.2 * noise(i)).collect();
    let times: Vec<_> = (0..n as i64).map(|t| Timestamp::from_millis(t * 60_000)).collect();
    let names = ["step", "slope", "noise"].map(str::to_owned);
    let table = FeatureTable::new(&names, &times, values)?;

    let params = BoostingParams {
        n_rounds: 500,
        learning_rate: 0.1,
        early_stopping: Some(EarlyStopping::default()),
        ..Default::default()
    };
    let rows = Rows::from(0..2_500);
    let model = params.fit(Dataset::from_table(&table, &targets, &rows, 1)?)?;
    let report = model.report();
    println!("best round {} of {}", report.best_round, report.rounds);
    for (name, gain) in names.iter().zip(model.gain_importance()) {
        println!("{name:<6} gain {gain:.3}");
    }

    let forecast = model.predict_table(&table)?;
    let error = (2_500..n).map(|i| (forecast[i] - targets[i]).powi(2)).sum::<f64>() / 500.0;
    println!("RMSE on the last 500 rows {:.4}", error.sqrt());

    let bytes = forecastle::core::Predict::save(&model)?.to_bytes()?;
    let loaded = Boosting::load(&Artifact::from_bytes(&bytes)?)?;
    assert_eq!(loaded.predict_table(&table)?, forecast);
    println!("saved in {} bytes, loaded, the same forecasts", bytes.len());
    Ok(())
}
