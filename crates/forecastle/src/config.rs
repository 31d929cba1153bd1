use std::fmt;
use std::str::FromStr;

use forecastle_core::{Error, Result, Target, TrainWindow};
use forecastle_ensemble::{MetaParams, RidgeParams};
use forecastle_features::VwapAnchor;
use forecastle_kalman::KalmanParams;
use forecastle_models_deep::{AutoencoderParams, GruParams, TransformerParams};
use forecastle_models_tree::{BoostingEngine, BoostingParams};
use forecastle_signals::{RuleParams, RuleWeights};
use serde::{Deserialize, Serialize};

use crate::{GuardConfig, NeuralEngine};

/// The errors that are kept promise no more.
const HIGHEST_LEVEL: f64 = 0.999;

/// Names a model that can join the ensemble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ModelKind {
    /// Ridge regression on the model features.
    Ridge,
    /// Gradient boosting on the model features.
    Boosting,
    /// Kalman local linear trend on the log close.
    Kalman,
    /// Gated recurrent unit on the last bars' model features.
    Gru,
    /// Transformer encoder on the last bars' model features.
    Transformer,
    /// Gradient boosting on the model features and an autoencoder's latents.
    #[serde(alias = "autoencoder")]
    AutoencoderBoosting,
}

impl ModelKind {
    /// Every model of this version.
    pub const ALL: [Self; 6] = [
        Self::Ridge,
        Self::Boosting,
        Self::Kalman,
        Self::Gru,
        Self::Transformer,
        Self::AutoencoderBoosting,
    ];

    /// The models that train in a blink: all but the neural ones.
    pub const QUICK: [Self; 3] = [Self::Ridge, Self::Boosting, Self::Kalman];

    /// The name in tables and configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ridge => "ridge",
            Self::Boosting => "boosting",
            Self::Kalman => "kalman",
            Self::Gru => "gru",
            Self::Transformer => "transformer",
            Self::AutoencoderBoosting => "autoencoder_boosting",
        }
    }
}

impl fmt::Display for ModelKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Reads a name; `autoencoder` is short for `autoencoder_boosting`.
impl FromStr for ModelKind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text == "autoencoder" {
            return Ok(Self::AutoencoderBoosting);
        }
        let found = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        found.ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|kind| kind.as_str()).collect();
            Error::invalid_parameter("models", format!("among {}", names.join(", ")), text)
        })
    }
}

/// Sets the rules that blend the three price targets.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RuleConfig {
    /// How many ATRs the ATR target lies away at strength 1; > 0.
    pub atr_multiplier: f64,
    /// Shares of the three targets.
    pub weights: RuleWeights,
}

impl Default for RuleConfig {
    fn default() -> Self {
        let RuleParams { atr_multiplier, weights, .. } = RuleParams::default();
        Self { atr_multiplier, weights }
    }
}

impl RuleConfig {
    /// The rules' parameters at a horizon.
    pub(crate) fn params(&self, horizon: usize) -> RuleParams {
        RuleParams { horizon, atr_multiplier: self.atr_multiplier, weights: self.weights }
    }
}

/// Names what the ensemble's interval is made of.
///
/// All of them know no error before its label, and print the coverage that they realised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum IntervalMethod {
    /// Out-of-fold errors in units of volatility, with a level that moves against misses (adaptive
    /// conformal inference).
    #[default]
    Adaptive,
    /// The same with a level that stays (split conformal).
    Split,
    /// Boosted quantiles of the return in units of volatility, widened or narrowed by how far labels
    /// lay outside, with a level that moves against misses (conformalised quantile regression).
    Quantiles,
}

impl FromStr for IntervalMethod {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "adaptive" => Ok(Self::Adaptive),
            "split" => Ok(Self::Split),
            "quantiles" => Ok(Self::Quantiles),
            _ => {
                let requirement = "adaptive, split or quantiles";
                Err(Error::invalid_parameter("interval", requirement, text))
            }
        }
    }
}

/// Sets how out-of-fold forecasts are made and combined.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StackingConfig {
    /// Walk-forward folds; ≥ 2.
    pub n_folds: usize,
    /// Rows before the first fold; half of the rows when absent.
    pub initial_train: Option<usize>,
    /// Which past a fold learns from.
    pub window: TrainWindow,
    /// Rows left out before a fold, beside the horizon.
    pub embargo: usize,
    /// The meta-model.
    pub meta: MetaParams,
    /// Coverage asked of the ensemble's interval; above 0, at most 0.999.
    pub interval_level: f64,
    /// What that interval is made of.
    pub interval: IntervalMethod,
}

impl Default for StackingConfig {
    fn default() -> Self {
        Self {
            n_folds: 5,
            initial_train: None,
            window: TrainWindow::Expanding,
            embargo: 0,
            meta: MetaParams::default(),
            interval_level: 0.9,
            interval: IntervalMethod::Adaptive,
        }
    }
}

/// Holds every setting of a pipeline, so that an experiment is one file.
///
/// | Name | Default | Purpose |
/// |---|---|---|
/// | `horizon` | 5 | bars ahead |
/// | `vwap` | `rolling:96` | anchor of VWAP and its bands |
/// | `target` | `log_return` | what models learn |
/// | `models` | all six | bases of the ensemble; empty: rules alone |
/// | `seed` | 7 | of everything random; a model's own seed is added to it |
/// | `threads` | all cores | worker threads; never changes a number |
/// | `boosting_engine` | `auto` | XGBoost where it is installed, else ours; or `pure_rust`, `xgboost` |
/// | `neural_engine` | `pure_rust` | what GRU and Transformer compute with |
/// | `rules`, `stacking`, `ridge`, `boosting`, `kalman`, `gru`, `transformer`, `autoencoder`, `guards` | | settings of the parts |
///
/// ```
/// use forecastle::PipelineConfig;
///
/// let config = PipelineConfig::from_toml(r#"
///     horizon = 12
///     vwap = "session"
///     models = ["ridge", "kalman"]
///     [stacking]
///     n_folds = 4
/// "#)?;
/// assert_eq!(config.horizon, 12);
/// assert!(PipelineConfig::from_toml("horizn = 12").is_err());
/// # Ok::<(), forecastle::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PipelineConfig {
    /// Bars ahead; ≥ 1.
    pub horizon: usize,
    /// Anchor of VWAP and its bands.
    pub vwap: VwapAnchor,
    /// What models learn.
    pub target: Target,
    /// Bases of the ensemble, in order.
    pub models: Vec<ModelKind>,
    /// Seed of everything random.
    pub seed: u64,
    /// Worker threads; all cores when absent.
    pub threads: Option<usize>,
    /// Who fits boosted trees.
    pub boosting_engine: BoostingEngine,
    /// What GRU and Transformer compute with.
    pub neural_engine: NeuralEngine,
    /// The rules.
    pub rules: RuleConfig,
    /// Out-of-fold forecasts and the meta-model.
    pub stacking: StackingConfig,
    /// Ridge regression.
    pub ridge: RidgeParams,
    /// Gradient boosting.
    pub boosting: BoostingParams,
    /// Kalman filter.
    pub kalman: KalmanParams,
    /// Gated recurrent unit.
    pub gru: GruParams,
    /// Transformer encoder.
    pub transformer: TransformerParams,
    /// Autoencoder in front of `autoencoder_boosting`, whose trees are set by `boosting`.
    pub autoencoder: AutoencoderParams,
    /// What holds a signal whatever the rules say.
    pub guards: GuardConfig,
}

impl Default for PipelineConfig {
    fn default() -> Self {
        Self {
            horizon: 5,
            vwap: VwapAnchor::default(),
            target: Target::LogReturn,
            models: ModelKind::ALL.to_vec(),
            seed: 7,
            threads: None,
            boosting_engine: BoostingEngine::default(),
            neural_engine: NeuralEngine::PureRust,
            rules: RuleConfig::default(),
            stacking: StackingConfig::default(),
            ridge: RidgeParams::default(),
            boosting: BoostingParams::default(),
            kalman: KalmanParams::default(),
            gru: GruParams::default(),
            transformer: TransformerParams::default(),
            autoencoder: AutoencoderParams::default(),
            guards: GuardConfig::default(),
        }
    }
}

impl PipelineConfig {
    /// Reads TOML; absent keys keep their defaults, unknown ones are refused.
    ///
    /// # Errors
    /// - [`Error::Component`] with the parser's message (line, column, key).
    pub fn from_toml(text: &str) -> Result<Self> {
        toml::from_str(text).map_err(|e| Error::component("configuration", e))
    }

    /// Writes TOML that [`from_toml`](Self::from_toml) reads back.
    ///
    /// # Errors
    /// - [`Error::Component`] when a number does not fit TOML (integers above 2⁶³).
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string_pretty(self).map_err(|e| Error::component("configuration", e))
    }

    /// Checks what no part checks by itself.
    pub(crate) fn validate(&self) -> Result<()> {
        if self.horizon == 0 || self.horizon > 100_000 {
            return Err(Error::invalid_parameter("horizon", "between 1 and 100000", self.horizon));
        }
        self.neural_engine.validate()?;
        if self.threads == Some(0) {
            return Err(Error::invalid_parameter("threads", ">= 1", 0));
        }
        if let Some(twice) =
            self.models.iter().enumerate().find(|(i, m)| self.models[..*i].contains(m))
        {
            return Err(Error::invalid_parameter("models", "distinct", twice.1));
        }
        let folds = self.stacking.n_folds;
        if !(2..=1_000).contains(&folds) {
            return Err(Error::invalid_parameter("stacking.n_folds", "between 2 and 1000", folds));
        }
        let level = self.stacking.interval_level;
        if !(level > 0.0 && level <= HIGHEST_LEVEL) {
            let requirement = format!("> 0 and <= {HIGHEST_LEVEL}");
            return Err(Error::invalid_parameter("interval_level", requirement, level));
        }
        self.guards.novelty.check()?;
        self.guards.stability.check()?;
        self.guards.errors.check()
    }
}
