use forecastle_core::conformance::noise;
use forecastle_core::{Artifact, Dataset, Error, Fit, Load, Predict, PredictExt, Rows};
use forecastle_models_deep::{
    Autoencoder, AutoencoderParams, Gru, GruParams, NeuralModel, NeuralParams, TrainingParams,
    Transformer, TransformerParams,
};
use ndarray::s;
use proptest::prelude::*;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

fn training() -> TrainingParams {
    TrainingParams { epochs: 1, early_stopping: None, ..Default::default() }
}

fn gru() -> GruParams {
    GruParams { hidden_size: 4, lookback: 3, training: training(), ..Default::default() }
}

fn fit<F: Fit>(params: &F) -> F::Fitted {
    let (table, targets) = noise(1, 120, 2).unwrap();
    let rows = Rows::from(0..100);
    params.fit(Dataset::from_table(&table, &targets, &rows, 1).unwrap()).unwrap()
}

fn comes_back<P: NeuralParams>(model: &NeuralModel<P>) {
    let table = noise(1, 120, 2).unwrap().0;
    let predicted = model.predict_table(&table).unwrap();
    let bytes = model.to_safetensors().unwrap();
    assert_eq!(bytes, model.to_safetensors().unwrap());
    let read = NeuralModel::<P>::from_safetensors(&bytes).unwrap();
    assert_eq!(&read, model);
    assert_eq!(read.predict_table(&table).unwrap(), predicted);
    let loaded = NeuralModel::<P>::load(&model.save().unwrap()).unwrap();
    assert_eq!(&loaded, model);
}

#[test]
fn models_come_back_from_safetensors_and_artifacts_as_they_were() {
    comes_back(&fit(&gru()));
    comes_back(&fit(&TransformerParams {
        d_model: 8,
        n_heads: 2,
        feed_forward: 8,
        lookback: 3,
        training: training(),
        ..Default::default()
    }));
    comes_back(&fit(&AutoencoderParams {
        hidden: vec![3],
        latents: 1,
        training: training(),
        ..Default::default()
    }));
}

#[test]
fn a_file_has_the_names_shapes_and_metadata_that_pytorch_expects() {
    let gru = fit(&gru());
    let bytes = gru.to_safetensors().unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!(header.metadata().as_ref().unwrap()["format"], "pt");
    let mut names = file.names();
    names.sort_unstable();
    let wanted = [
        "gru.bias_hh_l0",
        "gru.bias_ih_l0",
        "gru.weight_hh_l0",
        "gru.weight_ih_l0",
        "head.bias",
        "head.weight",
    ];
    assert_eq!(names, wanted);
    let tensor = file.tensor("gru.weight_ih_l0").unwrap();
    assert_eq!((tensor.dtype(), tensor.shape()), (Dtype::F32, &[12, 2][..]));
    let (shape, numbers) = gru.weight("gru.weight_ih_l0").unwrap();
    assert_eq!(shape, [12, 2]);
    let bytes: Vec<u8> = numbers.iter().flat_map(|w| w.to_le_bytes()).collect();
    assert_eq!(tensor.data(), bytes);
    assert!(gru.weight("gru.weight_ih_l1").is_none());
}

/// The model's weights as another program would write them, after `change`.
fn elsewhere(gru: &Gru, change: impl Fn(&str, &mut Vec<usize>, &mut Vec<f32>)) -> Vec<u8> {
    let tensors: Vec<_> = gru
        .weight_names()
        .map(|name| {
            let (shape, numbers) = gru.weight(name).unwrap();
            let (mut shape, mut numbers) = (shape.to_vec(), numbers.to_vec());
            change(name, &mut shape, &mut numbers);
            let bytes: Vec<u8> = numbers.iter().flat_map(|w| w.to_le_bytes()).collect();
            (name.to_owned(), shape, bytes)
        })
        .collect();
    let views = tensors.iter().map(|(name, shape, bytes)| {
        (name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap())
    });
    safetensors::serialize(views, None).unwrap()
}

#[test]
fn weights_from_elsewhere_are_taken() {
    let gru = fit(&gru());
    let zeroed = elsewhere(&gru, |name, _, numbers| {
        if name == "head.weight" {
            numbers.fill(0.0);
        }
    });
    let changed = gru.with_weights(&zeroed).unwrap();
    assert_eq!(changed.weight("head.weight").unwrap().1, [0.0; 4]);
    assert_eq!(changed.weight("gru.weight_hh_l0"), gru.weight("gru.weight_hh_l0"));
    // Only the bias of the head is left.
    let table = noise(1, 20, 2).unwrap().0;
    let predicted = changed.predict_table(&table).unwrap();
    assert!(predicted.iter().all(|&p| p == predicted[0]));
    assert_ne!(predicted, gru.predict_table(&table).unwrap());
}

#[test]
fn weights_that_do_not_fit_are_refused_by_name() {
    let gru = fit(&gru());
    let refused = |bytes: &[u8], part: &str| match gru.with_weights(bytes) {
        Err(Error::Artifact { reason }) => assert!(reason.contains(part), "{reason}"),
        other => panic!("{part}: {other:?}"),
    };
    let transposed = elsewhere(&gru, |name, shape, _| {
        if name == "gru.weight_ih_l0" {
            shape.reverse();
        }
    });
    refused(&transposed, "\"gru.weight_ih_l0\" has shape [2, 12] instead of [12, 2]");
    let nan = elsewhere(&gru, |name, _, numbers| {
        if name == "head.bias" {
            numbers[0] = f32::NAN;
        }
    });
    refused(&nan, "\"head.bias\" holds a non-finite number");
    let wide = GruParams { n_layers: 2, ..*gru.params() };
    let wide = fit(&wide).to_safetensors().unwrap();
    refused(&wide, "gru.bias_hh_l1");
    refused(&[], "not a safetensors file");
    let weights_only = elsewhere(&gru, |_, _, _| {});
    let error = Gru::from_safetensors(&weights_only).unwrap_err();
    assert!(error.to_string().contains("with_weights"), "{error}");
    let bytes = gru.to_safetensors().unwrap();
    let error = Transformer::from_safetensors(&bytes).unwrap_err();
    assert!(error.to_string().contains("\"gru\""), "{error}");
    assert!(Autoencoder::load(&gru.save().unwrap()).is_err());
}

#[test]
fn one_row_predicts_the_same_bits_as_a_table() {
    let table = noise(1, 120, 2).unwrap().0;
    let gru = fit(&gru());
    let predicted = gru.predict_table(&table).unwrap();
    for row in [0, 1, 2, 50, 119_usize] {
        let from = (row + 1).saturating_sub(3);
        let window = table.values().slice(s![from..=row, ..]);
        assert_eq!(gru.predict_row(&window).unwrap(), predicted[row]);
    }
    let wrong = |window: ndarray::ArrayView2<'_, f64>| {
        assert!(matches!(gru.predict_row(&window), Err(Error::Shape { .. })));
    };
    wrong(table.values().slice(s![0..0, ..]));
    wrong(table.values().slice(s![0..4, ..]));
    wrong(table.values().slice(s![0..2, ..1]));
    let mut hole = table.values().slice(s![0..2, ..]).to_owned();
    hole[[1, 1]] = f64::NAN;
    let error = gru.predict_row(&hole).unwrap_err();
    assert!(matches!(&error, Error::NonFinite { row: 1, column, .. } if column == "x1"), "{error}");
}

/// Whatever a mutated file gives, it is an error or a model that predicts.
fn survives<P: NeuralParams>(read: forecastle_core::Result<NeuralModel<P>>) {
    if let Ok(model) = read {
        let table = noise(1, 5, model.n_features()).unwrap().0;
        let _either = model.predict(table.values());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn prop_mutated_files_never_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<Option<prop::sample::Index>>(),
        header in any::<bool>(),
    ) {
        let gru = GRU.get_or_init(|| fit(&gru()));
        for make in [|gru: &Gru| gru.to_safetensors().unwrap(), |gru: &Gru| {
            gru.save().unwrap().to_bytes().unwrap()
        }] {
            let mut bytes = make(gru);
            // Most of a file is numbers; its beginning is where the structure lies.
            let reach = if header { 1500.min(bytes.len()) } else { bytes.len() };
            for (place, value) in &edits {
                bytes[place.index(reach)] = *value;
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len()));
            }
            survives(Gru::from_safetensors(&bytes));
            survives(gru.with_weights(&bytes));
            if let Ok(artifact) = Artifact::from_bytes(&bytes) {
                survives(Gru::load(&artifact));
            }
        }
    }

    #[test]
    fn prop_mutated_payloads_never_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        // The checksum would catch these; a payload is edited and wrapped again.
        let gru = GRU.get_or_init(|| fit(&gru()));
        let artifact = gru.save().unwrap();
        let mut body = artifact.to_bytes().unwrap();
        let end = body.len() - 4;
        for (place, value) in &edits {
            let at = 20 + place.index(end - 20);
            body[at] = *value;
        }
        let sum = crc32(&body[..end]);
        body[end..].copy_from_slice(&sum.to_le_bytes());
        if let Ok(artifact) = Artifact::from_bytes(&body) {
            survives(Gru::load(&artifact));
        }
    }
}

static GRU: std::sync::OnceLock<Gru> = std::sync::OnceLock::new();

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |c, _| (c >> 1) ^ (0xEDB8_8320 & (c & 1).wrapping_neg()))
    })
}
