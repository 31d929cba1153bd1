use forecastle_core::conformance::{ModelSuite, noise};
use forecastle_core::{Artifact, DynFit, Load, Predict, Result};
use forecastle_models_deep::{
    Activation, Autoencoder, AutoencoderParams, Gru, GruParams, LatentModel, TrainingParams,
    Transformer, TransformerParams, WithLatents,
};

fn training() -> TrainingParams {
    // Batches of several shards, the last one short.
    TrainingParams { epochs: 5, batch_size: 70, learning_rate: 1e-2, ..Default::default() }
}

fn gru() -> GruParams {
    let training = training();
    GruParams {
        hidden_size: 8,
        n_layers: 2,
        dropout: 0.2,
        lookback: 6,
        training,
        ..Default::default()
    }
}

fn suite() -> ModelSuite {
    ModelSuite::new(noise(11, 400, 3).unwrap())
}

fn load<P: Load + 'static>(artifact: &Artifact) -> Result<Box<dyn Predict>> {
    Ok(Box::new(P::load(artifact)?))
}

#[test]
fn gru_keeps_the_contract() {
    suite().check(&gru(), load::<Gru>).unwrap();
    let one_row = GruParams { lookback: 1, n_layers: 1, ..gru() };
    suite().check(&one_row, load::<Gru>).unwrap();
}

#[test]
fn transformer_keeps_the_contract() {
    let transformer = TransformerParams {
        d_model: 12,
        n_heads: 3,
        feed_forward: 20,
        activation: Activation::Gelu,
        lookback: 5,
        training: training(),
        ..Default::default()
    };
    suite().check(&transformer, load::<Transformer>).unwrap();
}

#[test]
fn autoencoder_keeps_the_contract() {
    // Large batches, so that threads share them out.
    let training = TrainingParams { batch_size: 300, early_stopping: None, ..training() };
    for hidden in [vec![], vec![16], vec![9, 7]] {
        let model = AutoencoderParams { hidden, latents: 2, training, ..Default::default() };
        suite().check(&model, load::<Autoencoder>).unwrap();
    }
}

#[test]
fn a_model_with_latents_keeps_the_contract() {
    let autoencoder = AutoencoderParams { latents: 2, training: training(), ..Default::default() };
    let model = WithLatents { autoencoder, model: gru() };
    suite().check(&model as &dyn DynFit, load::<LatentModel<Gru>>).unwrap();
}
