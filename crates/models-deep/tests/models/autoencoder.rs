use forecastle_core::conformance::noise;
use forecastle_core::{Dataset, Error, Fit, PredictExt, Rows};
use forecastle_models_deep::{AutoencoderParams, Schedule, TrainingParams};
use ndarray::{Array1, Array2, Axis, s};

fn iris() -> Array2<f64> {
    let text = include_str!("../data/iris.csv");
    let numbers = text.lines().skip(1).flat_map(|line| line.split(','));
    let numbers: Vec<f64> = numbers.map(|number| number.parse().unwrap()).collect();
    Array2::from_shape_vec((numbers.len() / 4, 4), numbers).unwrap()
}

#[test]
fn a_linear_autoencoder_reaches_the_bound_of_principal_components_on_iris() {
    let records = iris();
    let names = ["a", "b", "c", "d"].map(str::to_owned);
    let (targets, rows) = (Array1::zeros(150), Rows::from(0..150));
    let dataset = Dataset::new(&names, &records, &targets, &rows, 0).unwrap();
    let training = TrainingParams {
        epochs: 3000,
        batch_size: 150,
        learning_rate: 0.02,
        schedule: Schedule::Cosine { warm_up: 0.0 },
        weight_decay: 0.0,
        early_stopping: None,
        ..Default::default()
    };
    // Residual variance in percent: numpy's singular values of the centred table, as it is and with
    // standardised columns.
    for (standardize, bound) in [(false, 2.231_479_4), (true, 4.186_792_8)] {
        let params = AutoencoderParams {
            hidden: Vec::new(),
            latents: 2,
            standardize,
            clip: None,
            training,
            ..Default::default()
        };
        let autoencoder = params.fit(dataset).unwrap();
        let scale = Array1::from(autoencoder.standardizer().scale().to_vec());
        let centred = (&records - &records.mean_axis(Axis(0)).unwrap()) / &scale;
        let left = (&records - &autoencoder.reconstruct(&records).unwrap()) / &scale;
        let square = |x: &Array2<f64>| x.mapv(|v| v * v).sum();
        let residual = 100.0 * square(&left) / square(&centred);
        assert!((residual - bound).abs() < 0.01, "{residual} instead of {bound}");
        // A prediction is the mean squared error of a row.
        let errors = autoencoder.predict(&records).unwrap();
        assert!((errors.sum() * 4.0 / square(&left) - 1.0).abs() < 1e-4);
    }
}

#[test]
fn novelty_is_larger_where_features_no_longer_move_together() {
    let (table, targets) = noise(2, 600, 1).unwrap();
    let x = table.values().column(0).to_owned();
    let mut records = ndarray::stack![Axis(1), x, &x * 2.0, &x * -1.0 + 3.0];
    let names = ["a", "b", "c"].map(str::to_owned);
    let rows = Rows::from(0..500);
    records[[550, 1]] *= -1.0;
    let dataset = Dataset::new(&names, &records, &targets, &rows, 1).unwrap();
    let training = TrainingParams { epochs: 30, ..Default::default() };
    let params = AutoencoderParams { latents: 1, training, ..Default::default() };
    let autoencoder = params.fit(dataset).unwrap();
    let novelty = autoencoder.predict(&records).unwrap();
    let usual = novelty.slice(s![500..550]).mean().unwrap();
    assert!(novelty[550] > 10.0 * usual, "{} {usual}", novelty[550]);
}

#[test]
fn latents_do_not_depend_on_the_rows_beside_them_nor_on_targets() {
    let (table, targets) = noise(4, 400, 5).unwrap();
    let rows = Rows::from(0..300);
    let training = TrainingParams { epochs: 2, ..Default::default() };
    let params = AutoencoderParams { latents: 3, training, ..Default::default() };
    let dataset = Dataset::from_table(&table, &targets, &rows, 1).unwrap();
    let autoencoder = params.fit(dataset).unwrap();
    assert_eq!(autoencoder.latent_names(), ["latent_1", "latent_2", "latent_3"]);
    let whole = autoencoder.encode(table.values()).unwrap();
    assert!(whole.columns().into_iter().all(|z| z.std(0.0) > 0.0));
    for (from, to) in [(0, 1), (137, 300), (399, 400)] {
        let part = autoencoder.encode(table.slice(from..to).values()).unwrap();
        assert_eq!(part, whole.slice(s![from..to, ..]));
    }
    let others = Array1::from_elem(400, 7.0);
    let dataset = Dataset::from_table(&table, &others, &rows, 1).unwrap();
    assert_eq!(params.fit(dataset).unwrap(), autoencoder);

    let mut wrong = Array2::zeros((400, 2));
    let told = autoencoder.encode_into(table.values(), &mut wrong);
    assert!(matches!(told, Err(Error::Shape { .. })));
    let mut holes = table.values().to_owned();
    holes[[7, 1]] = f64::NAN;
    assert!(matches!(autoencoder.encode(&holes), Err(Error::NonFinite { row: 7, .. })));
    assert!(matches!(autoencoder.reconstruct(&holes), Err(Error::NonFinite { row: 7, .. })));
}

#[test]
fn what_leaves_the_range_of_numbers_is_an_error() {
    let (table, targets) = noise(7, 100, 2).unwrap();
    let rows = Rows::from(0..100);
    let training = TrainingParams { epochs: 1, ..Default::default() };
    let params = AutoencoderParams { clip: None, training, ..Default::default() };
    let dataset = Dataset::from_table(&table, &targets, &rows, 1).unwrap();
    let open = params.fit(dataset).unwrap();
    let clipped = AutoencoderParams { clip: Some(5.0), ..params }.fit(dataset).unwrap();
    let mut records = table.values().to_owned();
    records[[3, 0]] = 1e300;
    assert!(matches!(open.predict(&records), Err(Error::Numerical { .. })));
    assert!(matches!(open.encode(&records), Err(Error::Numerical { .. })));
    assert!(clipped.predict(&records).unwrap().iter().all(|v| v.is_finite()));
}

#[test]
fn sizes_outside_their_range_are_named() {
    let (table, targets) = noise(7, 50, 2).unwrap();
    let rows = Rows::from(0..50);
    let dataset = Dataset::from_table(&table, &targets, &rows, 1).unwrap();
    let cases = [
        ("hidden", AutoencoderParams { hidden: vec![8; 17], ..Default::default() }),
        ("hidden", AutoencoderParams { hidden: vec![0], ..Default::default() }),
        ("latents", AutoencoderParams { latents: 0, ..Default::default() }),
        ("clip", AutoencoderParams { clip: Some(-1.0), ..Default::default() }),
    ];
    for (expected, params) in cases {
        match params.fit(dataset) {
            Err(Error::InvalidParameter { name, .. }) => assert_eq!(name, expected),
            other => panic!("{expected}: {other:?}"),
        }
    }
}
