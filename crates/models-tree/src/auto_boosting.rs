use std::fmt;
use std::str::FromStr;

use forecastle_core::{Artifact, Dataset, Error, Fit, Load, Lookback, Predict, Result};
use ndarray::{Array1, ArrayRef1, ArrayRef2};
use serde::{Deserialize, Serialize};

use crate::xgboost::reason;
use crate::{Boosting, BoostingParams, FitReport, Xgboost, XgboostLibrary, XgboostParams};

/// Version of the saved format.
const VERSION: u32 = 1;

const PURE_RUST: &str = "histogram gradient boosting, pure Rust";

/// Chooses who fits boosted trees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BoostingEngine {
    /// XGBoost where its library is found and can do what is asked, else our own.
    #[default]
    Auto,
    /// Our own booster, [`BoostingParams`].
    PureRust,
    /// XGBoost, [`XgboostParams`]; an error where its library is not found.
    Xgboost,
}

impl BoostingEngine {
    /// The name in configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::PureRust => "pure_rust",
            Self::Xgboost => "xgboost",
        }
    }
}

impl fmt::Display for BoostingEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for BoostingEngine {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let engines = [Self::Auto, Self::PureRust, Self::Xgboost];
        let found = engines.into_iter().find(|engine| engine.as_str() == text);
        found.ok_or_else(|| {
            Error::invalid_parameter("boosting_engine", "auto, pure_rust or xgboost", text)
        })
    }
}

/// Sets up gradient boosting of regression trees by XGBoost where it is installed, by our own booster
/// otherwise.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `engine` | auto | who fits | see [`BoostingEngine`] |
/// | `boosting` | | what is fitted, by either | see [`BoostingParams`] |
/// | `xgboost_threads` | 1 | threads of a fit by XGBoost; 0 is one a processor | ≤ 1024 |
///
/// The engines learn nearly the same model of the same data: they draw other samples and round
/// another way. With [`BoostingEngine::Auto`] a model depends on what is installed; the fitted model
/// [says](AutoBoosting::engine) whose it is.
///
/// # Errors
/// [`fit`](Fit::fit) gives
/// - The errors of [`BoostingParams`] and [`XgboostParams`].
/// - [`Error::Component`] when [`BoostingEngine::Xgboost`] is asked for and there is no library.
///
/// # Examples
/// ```
/// use forecastle_core::{Dataset, Fit, PredictExt, Rows};
/// use forecastle_models_tree::AutoBoostingParams;
/// use ndarray::{Array1, Array2};
///
/// let names = ["x".to_owned()];
/// let records = Array2::from_shape_fn((400, 1), |(i, _)| i as f64);
/// let targets = Array1::from_shape_fn(400, |i| if i < 200 { -1.0 } else { 1.0 });
/// let rows = Rows::from(0..400);
/// let dataset = Dataset::new(&names, &records, &targets, &rows, 1)?;
///
/// let model = AutoBoostingParams::default().fit(dataset)?;
/// println!("{}: {}", model.engine(), model.reason());
/// assert!(model.predict(&records)?[399] > 0.5);
/// # Ok::<(), forecastle_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AutoBoostingParams {
    /// Who fits.
    pub engine: BoostingEngine,
    /// What is fitted.
    pub boosting: BoostingParams,
    /// Threads of a fit by XGBoost, 0 for one a processor.
    #[doc(alias = "nthread")]
    pub xgboost_threads: usize,
}

impl Default for AutoBoostingParams {
    fn default() -> Self {
        BoostingParams::default().into()
    }
}

impl From<BoostingParams> for AutoBoostingParams {
    fn from(boosting: BoostingParams) -> Self {
        Self { engine: BoostingEngine::Auto, boosting, xgboost_threads: 1 }
    }
}

impl AutoBoostingParams {
    /// Fits, with the outcome of a search for XGBoost's library; [`fit`](Fit::fit) searches itself.
    ///
    /// # Errors
    /// As [`fit`](Fit::fit).
    pub fn fit_found(
        &self,
        library: Result<XgboostLibrary>,
        dataset: Dataset<'_>,
    ) -> Result<AutoBoosting> {
        self.fit_chosen(self.choose(|| library)?, dataset)
    }

    fn fit_chosen(&self, mut choice: Choice, dataset: Dataset<'_>) -> Result<AutoBoosting> {
        self.boosting.check()?;
        if self.engine == BoostingEngine::Auto && dataset.n_features() == 0 {
            // What only ours can do.
            choice = Choice::ours("XGBoost takes no table without columns");
        }
        let model = match choice.library {
            None => Model::PureRust(self.boosting.fit(dataset)?),
            Some(library) => Model::Xgboost(self.xgboost().fit_with(&library, dataset)?),
        };
        Ok(AutoBoosting::new(model, choice.reason))
    }

    /// Says who fits here, and why: what [`AutoBoosting::engine`] and [`AutoBoosting::reason`] of a
    /// model fitted now will say.
    ///
    /// # Errors
    /// - [`Error::Component`] when [`BoostingEngine::Xgboost`] is asked for and there is no library.
    pub fn engine_here(&self) -> Result<(String, String)> {
        let choice = self.choose(XgboostLibrary::find)?;
        let engine = match choice.library {
            None => PURE_RUST.to_owned(),
            Some(library) => format!("XGBoost {}", library.version()),
        };
        Ok((engine, choice.reason))
    }

    fn xgboost(&self) -> XgboostParams {
        XgboostParams { threads: self.xgboost_threads, ..XgboostParams::from(self.boosting) }
    }

    /// - `find`: looks for the library; not called when ours is asked for
    fn choose(&self, find: impl FnOnce() -> Result<XgboostLibrary>) -> Result<Choice> {
        match self.engine {
            BoostingEngine::PureRust => return Ok(Choice::ours("asked for")),
            BoostingEngine::Xgboost => {
                return Ok(Choice { library: Some(find()?), reason: "asked for".to_owned() });
            }
            BoostingEngine::Auto => {}
        }
        // What only ours can do.
        if let Err(error) = self.xgboost().check() {
            return Ok(Choice::ours(error.to_string()));
        }
        Ok(match find() {
            Err(error) => Choice::ours(reason(&error)),
            Ok(library) => {
                let reason = format!("found as {}", library.path().display());
                Choice { library: Some(library), reason }
            }
        })
    }
}

impl Fit for AutoBoostingParams {
    type Fitted = AutoBoosting;

    fn fit(&self, dataset: Dataset<'_>) -> Result<AutoBoosting> {
        self.fit_chosen(self.choose(XgboostLibrary::find)?, dataset)
    }

    /// Fits further trees behind those of an earlier fit, by the engine that made it: see
    /// [`BoostingParams::fit_from`] and [`XgboostParams::fit_from`].
    ///
    /// With [`BoostingEngine::Auto`] the start decides who fits, whatever is installed by now.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] when another engine than the start's is asked for.
    /// - [`Error::FeatureMismatch`] when `start` has other features, or in another order.
    /// - As [`fit`](Fit::fit).
    fn fit_from(&self, dataset: Dataset<'_>, start: &AutoBoosting) -> Result<AutoBoosting> {
        let (engine, other) = match start.model {
            Model::PureRust(_) => (BoostingEngine::PureRust, BoostingEngine::Xgboost),
            Model::Xgboost(_) => (BoostingEngine::Xgboost, BoostingEngine::PureRust),
        };
        if self.engine == other {
            let requirement = format!("a model of the engine {other}");
            return Err(Error::invalid_parameter("start", requirement, engine));
        }
        let model = match &start.model {
            Model::PureRust(start) => Model::PureRust(self.boosting.fit_from(dataset, start)?),
            Model::Xgboost(start) => Model::Xgboost(self.xgboost().fit_from(dataset, start)?),
        };
        Ok(AutoBoosting::new(model, start.reason.clone()))
    }
}

/// Who fits, and why; without a library ours.
struct Choice {
    library: Option<XgboostLibrary>,
    reason: String,
}

impl Choice {
    fn ours(reason: impl Into<String>) -> Self {
        Self { library: None, reason: reason.into() }
    }
}

/// Predicts with boosted trees of either engine; made by [`AutoBoostingParams`].
#[derive(Debug)]
pub struct AutoBoosting {
    model: Model,
    engine: String,
    reason: String,
}

#[derive(Debug)]
enum Model {
    PureRust(Boosting),
    Xgboost(Xgboost),
}

/// What is saved.
#[derive(Debug, Serialize, Deserialize)]
struct Content {
    model: Artifact,
    reason: String,
}

impl AutoBoosting {
    fn new(model: Model, reason: String) -> Self {
        let engine = match &model {
            Model::PureRust(_) => PURE_RUST.to_owned(),
            Model::Xgboost(model) => format!("XGBoost {}", model.fitted_by()),
        };
        Self { model, engine, reason }
    }

    /// Who fitted the model: `XGBoost 3.4.1`, or `histogram gradient boosting, pure Rust`.
    pub fn engine(&self) -> &str {
        &self.engine
    }

    /// Why this engine: `asked for`, where XGBoost was found, or what stood against it.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Our own model, if it is one.
    pub fn as_boosting(&self) -> Option<&Boosting> {
        match &self.model {
            Model::PureRust(model) => Some(model),
            Model::Xgboost(_) => None,
        }
    }

    /// XGBoost's model, if it is one.
    pub fn as_xgboost(&self) -> Option<&Xgboost> {
        match &self.model {
            Model::PureRust(_) => None,
            Model::Xgboost(model) => Some(model),
        }
    }

    /// How the fit went.
    pub fn report(&self) -> Option<&FitReport> {
        match &self.model {
            Model::PureRust(model) => Some(model.report()),
            Model::Xgboost(model) => model.report(),
        }
    }

    /// The share of the splits' total gain that each feature brought, `(n_features,)`.
    pub fn gain_importance(&self) -> Array1<f64> {
        match &self.model {
            Model::PureRust(model) => model.gain_importance(),
            Model::Xgboost(model) => model.gain_importance(),
        }
    }

    /// Predicts one row, `(n_features,)`: the same bits as a table's row.
    ///
    /// # Errors
    /// - [`Error::Shape`] when the number of features differs.
    /// - [`Error::NonFinite`] when a feature is infinite.
    pub fn predict_row(&self, row: &[f64]) -> Result<f64> {
        match &self.model {
            Model::PureRust(model) => model.predict_row(row),
            Model::Xgboost(model) => model.predict_row(row),
        }
    }

    fn inner(&self) -> &dyn Predict {
        match &self.model {
            Model::PureRust(model) => model,
            Model::Xgboost(model) => model,
        }
    }
}

impl Predict for AutoBoosting {
    fn feature_names(&self) -> &[String] {
        self.inner().feature_names()
    }

    fn lookback(&self) -> Lookback {
        self.inner().lookback()
    }

    fn predict_into(&self, records: &ArrayRef2<f64>, out: &mut ArrayRef1<f64>) -> Result<()> {
        self.inner().predict_into(records, out)
    }

    fn predict_last(&self, window: &ArrayRef2<f64>) -> Result<f64> {
        self.inner().predict_last(window)
    }

    fn save(&self) -> Result<Artifact> {
        let content = Content { model: self.inner().save()?, reason: self.reason.clone() };
        Artifact::encode(Self::KIND, VERSION, self.feature_names(), &content)
    }
}

impl Load for AutoBoosting {
    const KIND: &'static str = "auto_boosting";

    /// Loads; a model that XGBoost fitted needs its library.
    ///
    /// # Errors
    /// - [`Error::Artifact`] when kind, version or content do not match.
    /// - [`Error::Component`] when XGBoost's library is needed and not found.
    fn load(artifact: &Artifact) -> Result<Self> {
        let Content { model, reason } = artifact.decode(Self::KIND, VERSION)?;
        model
            .require_features(artifact.feature_names())
            .map_err(|error| Error::artifact(error.to_string()))?;
        let loaded = match model.kind() {
            Boosting::KIND => Model::PureRust(Boosting::load(&model)?),
            Xgboost::KIND => Model::Xgboost(Xgboost::load(&model)?),
            other => return Err(Error::artifact(format!("it holds a {other:?}"))),
        };
        Ok(Self::new(loaded, reason))
    }
}
