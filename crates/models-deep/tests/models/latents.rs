use forecastle_core::conformance::noise;
use forecastle_core::{Dataset, Error, Fit, Load, Predict, PredictExt, Rows};
use forecastle_models_deep::{
    AutoencoderParams, GruParams, LatentModel, TrainingParams, WithLatents,
};
use ndarray::{Array1, Axis, concatenate, s};

fn params() -> WithLatents<GruParams> {
    let training = TrainingParams { epochs: 2, ..Default::default() };
    WithLatents {
        autoencoder: AutoencoderParams { latents: 2, training, ..Default::default() },
        model: GruParams { hidden_size: 6, lookback: 4, training, ..Default::default() },
    }
}

#[test]
fn a_model_with_latents_is_the_model_on_the_wider_table() {
    let (table, targets) = noise(9, 300, 3).unwrap();
    let rows = Rows::from(0..200);
    let weights: Array1<f64> = (0..300).map(|i| 1.0 + (i % 3) as f64).collect();
    let dataset = Dataset::from_table(&table, &targets, &rows, 1).unwrap();
    let dataset = dataset.with_weights(&weights).unwrap();
    let fitted = params().fit(dataset).unwrap();

    let autoencoder = params().autoencoder.fit(dataset).unwrap();
    assert_eq!(fitted.autoencoder(), &autoencoder);
    let latents = autoencoder.encode(table.values()).unwrap();
    let wide = concatenate![Axis(1), table.values().view(), latents];
    let names = [table.names(), &autoencoder.latent_names()].concat();
    let by_hand = Dataset::new(&names, &wide, &targets, &rows, 1).unwrap();
    let by_hand = params().model.fit(by_hand.with_weights(&weights).unwrap()).unwrap();
    assert_eq!(fitted.model(), &by_hand);
    assert_eq!(fitted.predict_table(&table).unwrap(), by_hand.predict(&wide).unwrap());
    assert_eq!((fitted.n_features(), fitted.lookback()), (3, by_hand.lookback()));
    let loaded = LatentModel::load(&fitted.save().unwrap()).unwrap();
    assert_eq!(fitted, loaded);
}

#[test]
fn a_warm_up_full_of_nan_is_no_obstacle_before_the_rows_but_is_inside_them() {
    let (table, targets) = noise(9, 300, 3).unwrap();
    let mut records = table.values().to_owned();
    records.slice_mut(s![..20, 1..]).fill(f64::NAN);
    let fit = |rows: &Rows| {
        params().fit(Dataset::new(table.names(), &records, &targets, rows, 1).unwrap())
    };
    assert!(fit(&Rows::from(20..200)).is_ok());
    assert!(matches!(fit(&Rows::from(19..200)), Err(Error::NonFinite { row: 19, .. })));
}

#[test]
fn a_feature_with_the_name_of_a_latent_is_refused() {
    let (table, targets) = noise(9, 100, 1).unwrap();
    let rows = Rows::from(0..100);
    let names = ["latent_2".to_owned()];
    let dataset = Dataset::new(&names, table.values(), &targets, &rows, 1).unwrap();
    let error = params().fit(dataset).unwrap_err();
    assert!(error.to_string().contains("latent_2"), "{error}");
}

#[test]
fn parts_that_do_not_fit_each_other_are_not_loaded() {
    let (table, targets) = noise(9, 100, 2).unwrap();
    let rows = Rows::from(0..100);
    let dataset = Dataset::from_table(&table, &targets, &rows, 1).unwrap();
    let fitted = params().fit(dataset).unwrap();
    let narrow = params().model.fit(dataset).unwrap();
    let parts = (fitted.autoencoder().save().unwrap(), narrow.save().unwrap());
    let forged = forecastle_core::Artifact::encode("with_latents", 1, table.names(), &parts);
    assert!(LatentModel::<forecastle_models_deep::Gru>::load(&forged.unwrap()).is_err());
}

#[test]
fn a_warm_start_goes_on_with_both_parts() {
    let (table, targets) = noise(9, 300, 3).unwrap();
    let (first, moved) = (Rows::from(0..200), Rows::from(50..250));
    let dataset = Dataset::from_table(&table, &targets, &first, 1).unwrap();
    let start = params().fit(dataset).unwrap();
    let dataset = dataset.with_rows(&moved).unwrap();
    let fitted = params().fit_from(dataset, &start).unwrap();
    let autoencoder = params().autoencoder.fit_from(dataset, start.autoencoder()).unwrap();
    assert_eq!(fitted.autoencoder(), &autoencoder);
    let latents = autoencoder.encode(table.values()).unwrap();
    let wide = concatenate![Axis(1), table.values().view(), latents];
    let names = [table.names(), &autoencoder.latent_names()].concat();
    let by_hand = Dataset::new(&names, &wide, &targets, &moved, 1).unwrap();
    let by_hand = params().model.fit_from(by_hand, start.model()).unwrap();
    assert_eq!(fitted.model(), &by_hand);
    // Either part alone would be another one without the start.
    let cold = params().fit(dataset).unwrap();
    assert!(cold.autoencoder() != fitted.autoencoder() && cold.model() != fitted.model());
    let loaded = LatentModel::load(&start.save().unwrap()).unwrap();
    assert_eq!(params().fit_from(dataset, &loaded).unwrap(), fitted);

    let mut narrow = params();
    narrow.autoencoder.latents = 1;
    assert!(matches!(narrow.fit_from(dataset, &start), Err(Error::Shape { .. })));
    let names = ["x1", "x0", "x2"].map(str::to_owned);
    let swapped = Dataset::new(&names, table.values(), &targets, &moved, 1).unwrap();
    let told = params().fit_from(swapped, &start).unwrap_err();
    assert!(matches!(told, Error::FeatureMismatch { index: 0, .. }), "{told}");
}
