use forecastle_core::{
    Artifact, Dataset, DynFit, FeatureTable, Fit, Load, Predict, Result, Target,
};
use forecastle_ensemble::RidgeParams;
use forecastle_kalman::Kalman;
use forecastle_models_deep::{
    AutoencoderParams, GruParams, TrainingParams, TransformerParams, WithLatents,
};
#[cfg(feature = "tch")]
use forecastle_models_deep::{Device, NeuralModel, Torch, TorchModel, TorchParams};
use forecastle_models_tree::{AutoBoostingParams, BoostingEngine, BoostingParams};

use crate::price_target::{PriceModel, PriceTarget};
use crate::{ModelKind, NeuralEngine, PipelineConfig};

/// The tables that models read, over the same bars.
#[derive(Debug)]
pub(crate) struct Inputs {
    /// Scale-free features.
    pub(crate) features: FeatureTable,
    /// The same led by the log close, where the target is the price.
    pub(crate) priced: Option<FeatureTable>,
    /// The log close alone.
    pub(crate) log_close: FeatureTable,
}

impl Inputs {
    /// The table that a model reads.
    pub(crate) fn of(&self, kind: ModelKind) -> &FeatureTable {
        match kind {
            ModelKind::Kalman => &self.log_close,
            _ => self.priced.as_ref().unwrap_or(&self.features),
        }
    }
}

impl ModelKind {
    /// The model, unfitted, with its settings.
    pub(crate) fn unfitted(self, config: &PipelineConfig) -> Box<dyn DynFit> {
        let boosting = boosting(config);
        let seeded = |training: TrainingParams| TrainingParams {
            seed: config.seed.wrapping_add(training.seed),
            ..training
        };
        match self {
            Self::Ridge => with_target(config.ridge, config.target),
            Self::Boosting => Box::new(Cold(with_target(boosting, config.target))),
            // A filter of the log close has no other target: its forecast is a level.
            Self::Kalman => Box::new(config.kalman.clone()),
            Self::Gru => {
                let training = seeded(config.gru.training);
                neural(GruParams { training, ..config.gru }, config)
            }
            Self::Transformer => {
                let training = seeded(config.transformer.training);
                neural(TransformerParams { training, ..config.transformer }, config)
            }
            Self::AutoencoderBoosting => {
                let training = seeded(config.autoencoder.training);
                let autoencoder = AutoencoderParams { training, ..config.autoencoder.clone() };
                let model = WithLatents { autoencoder, model: boosting };
                Box::new(Cold(with_target(model, config.target)))
            }
        }
    }

    /// Loads the fitted model.
    pub(crate) fn load(
        self,
        artifact: &Artifact,
        config: &PipelineConfig,
    ) -> Result<Box<dyn Predict>> {
        let target = config.target;
        match self {
            Self::Ridge => load_target::<RidgeParams>(artifact, target),
            Self::Boosting => load_target::<AutoBoostingParams>(artifact, target),
            Self::Kalman => Ok(Box::new(Kalman::load(artifact)?)),
            Self::Gru => load_neural::<GruParams>(artifact, config),
            Self::Transformer => load_neural::<TransformerParams>(artifact, config),
            Self::AutoencoderBoosting => {
                load_target::<WithLatents<AutoBoostingParams>>(artifact, target)
            }
        }
    }

    /// Which implementation speaks under this name.
    pub(crate) fn engine(self, config: &PipelineConfig) -> String {
        match self {
            Self::Ridge => "exact ridge, standardised and clipped features".into(),
            Self::Boosting => booster(config),
            Self::Kalman => "local linear trend on log close, maximum likelihood".into(),
            Self::Gru => format!("GRU over {} bars, {}", config.gru.lookback, arithmetic(config)),
            Self::Transformer => {
                let lookback = config.transformer.lookback;
                format!("Transformer encoder over {lookback} bars, {}", arithmetic(config))
            }
            Self::AutoencoderBoosting => {
                let latents = config.autoencoder.latents;
                format!("features and {latents} latents, {}", booster(config))
            }
        }
    }
}

/// Fits anew, whatever there is to start from: a forest that grows with every refit forecasts worse than
/// a fresh one.
#[derive(Debug)]
pub(crate) struct Cold(pub(crate) Box<dyn DynFit>);

impl DynFit for Cold {
    fn fit_dyn(&self, dataset: Dataset<'_>) -> Result<Box<dyn Predict>> {
        self.0.fit_dyn(dataset)
    }

    fn fit_from_dyn(&self, dataset: Dataset<'_>, _: &dyn Predict) -> Result<Box<dyn Predict>> {
        self.0.fit_dyn(dataset)
    }
}

fn boosting(config: &PipelineConfig) -> AutoBoostingParams {
    let seed = config.seed.wrapping_add(config.boosting.seed);
    let boosting = BoostingParams { seed, ..config.boosting };
    AutoBoostingParams { engine: config.boosting_engine, ..boosting.into() }
}

/// Which booster speaks, and why where nobody asked for it.
fn booster(config: &PipelineConfig) -> String {
    match boosting(config).engine_here() {
        Ok((engine, _)) if config.boosting_engine != BoostingEngine::Auto => engine,
        Ok((engine, reason)) => {
            // Of many places where there is no XGBoost the first.
            let (first, _) = reason.split_once("; ").unwrap_or((&reason, ""));
            format!("{engine} ({first})")
        }
        Err(error) => error.to_string(),
    }
}

fn arithmetic(config: &PipelineConfig) -> String {
    match config.neural_engine {
        NeuralEngine::PureRust => "pure Rust".into(),
        NeuralEngine::LibtorchCpu => "libtorch".into(),
        NeuralEngine::LibtorchCuda(index) => format!("libtorch on GPU {index}"),
    }
}

/// A neural model on the engine that was asked for.
#[cfg(not(feature = "tch"))]
fn neural<P>(params: P, config: &PipelineConfig) -> Box<dyn DynFit>
where
    P: Fit + 'static,
    P::Fitted: Load,
{
    with_target(params, config.target)
}

/// A neural model on the engine that was asked for.
#[cfg(feature = "tch")]
fn neural<P>(params: P, config: &PipelineConfig) -> Box<dyn DynFit>
where
    P: TorchParams + Fit<Fitted = NeuralModel<P>>,
{
    match device(config.neural_engine) {
        None => with_target(params, config.target),
        Some(device) => with_target(Torch::new(params, device), config.target),
    }
}

#[cfg(not(feature = "tch"))]
fn load_neural<P>(artifact: &Artifact, config: &PipelineConfig) -> Result<Box<dyn Predict>>
where
    P: Fit,
    P::Fitted: Load + 'static,
{
    load_target::<P>(artifact, config.target)
}

/// Both engines save the same; the one that was asked for speaks.
#[cfg(feature = "tch")]
fn load_neural<P>(artifact: &Artifact, config: &PipelineConfig) -> Result<Box<dyn Predict>>
where
    P: TorchParams + Fit<Fitted = NeuralModel<P>>,
{
    match (device(config.neural_engine), config.target) {
        (None, target) => load_target::<P>(artifact, target),
        (Some(device), Target::LogReturn) => {
            Ok(Box::new(TorchModel::new(NeuralModel::<P>::load(artifact)?, device)?))
        }
        (Some(_), Target::Price) => Ok(Box::new(PriceModel::<TorchModel<P>>::load(artifact)?)),
    }
}

#[cfg(feature = "tch")]
fn device(engine: NeuralEngine) -> Option<Device> {
    match engine {
        NeuralEngine::PureRust => None,
        NeuralEngine::LibtorchCpu => Some(Device::Cpu),
        NeuralEngine::LibtorchCuda(index) => Some(Device::Cuda(index)),
    }
}

fn with_target<F>(params: F, target: Target) -> Box<dyn DynFit>
where
    F: Fit + 'static,
    F::Fitted: Load,
{
    match target {
        Target::LogReturn => Box::new(params),
        Target::Price => Box::new(PriceTarget(params)),
    }
}

fn load_target<F>(artifact: &Artifact, target: Target) -> Result<Box<dyn Predict>>
where
    F: Fit,
    F::Fitted: Load + 'static,
{
    Ok(match target {
        Target::LogReturn => Box::new(F::Fitted::load(artifact)?),
        Target::Price => Box::new(PriceModel::<F::Fitted>::load(artifact)?),
    })
}
