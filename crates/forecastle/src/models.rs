use forecastle_core::{Artifact, DynFit, FeatureTable, Load, Predict, Result, Target};
use forecastle_ensemble::Ridge;
use forecastle_kalman::Kalman;
use forecastle_models_tree::{Boosting, BoostingParams};

use crate::price_target::{PriceModel, PriceTarget};
use crate::{ModelKind, PipelineConfig};

/// The tables that models read, over the same bars.
#[derive(Debug)]
pub(crate) struct Inputs {
    /// Scale-free features, led by the log close when the target is the price.
    pub(crate) features: FeatureTable,
    /// The log close alone.
    pub(crate) log_close: FeatureTable,
}

impl Inputs {
    /// The table that a model reads.
    pub(crate) fn of(&self, kind: ModelKind) -> &FeatureTable {
        match kind {
            ModelKind::Ridge | ModelKind::Boosting => &self.features,
            ModelKind::Kalman => &self.log_close,
        }
    }
}

impl ModelKind {
    /// The model, unfitted, with its settings.
    pub(crate) fn unfitted(self, config: &PipelineConfig) -> Box<dyn DynFit> {
        match self {
            Self::Ridge => with_target(config.ridge, config.target),
            Self::Boosting => {
                let seed = config.seed.wrapping_add(config.boosting.seed);
                let params = BoostingParams { seed, ..config.boosting };
                with_target(params, config.target)
            }
            // A filter of the log close has no other target: its forecast is a level.
            Self::Kalman => Box::new(config.kalman.clone()),
        }
    }

    /// Loads the fitted model.
    pub(crate) fn load(self, artifact: &Artifact, target: Target) -> Result<Box<dyn Predict>> {
        Ok(match (self, target) {
            (Self::Ridge, Target::LogReturn) => Box::new(Ridge::load(artifact)?),
            (Self::Ridge, Target::Price) => Box::new(PriceModel::<Ridge>::load(artifact)?),
            (Self::Boosting, Target::LogReturn) => Box::new(Boosting::load(artifact)?),
            (Self::Boosting, Target::Price) => Box::new(PriceModel::<Boosting>::load(artifact)?),
            (Self::Kalman, _) => Box::new(Kalman::load(artifact)?),
        })
    }

    /// Which implementation speaks under this name.
    pub(crate) fn engine(self) -> &'static str {
        match self {
            Self::Ridge => "exact ridge, standardised and clipped features",
            Self::Boosting => "histogram gradient boosting, pure Rust",
            Self::Kalman => "local linear trend on log close, maximum likelihood",
        }
    }
}

fn with_target<F>(params: F, target: Target) -> Box<dyn DynFit>
where
    F: forecastle_core::Fit + 'static,
    F::Fitted: Load,
{
    match target {
        Target::LogReturn => Box::new(params),
        Target::Price => Box::new(PriceTarget(params)),
    }
}
