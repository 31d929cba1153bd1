use forecastle_core::{
    Dataset, Error, Predict, Progress, ProgressEvent, Result, Rows, check_feature_names,
};
use tracing::{debug_span, trace};

use super::c_api::{Booster, Matrix};
use super::{Xgboost, XgboostLibrary, XgboostParams, inspect};
use crate::train::hold_back;
use crate::{FitReport, Loss};

/// First and second derivative of a row's loss, by target and prediction.
pub(super) type Derivatives<'a> = &'a dyn Fn(f64, f64) -> (f64, f64);

/// A record as XGBoost takes it: the largest numbers stand for those beyond them.
pub(super) fn narrow(value: f64) -> f32 {
    (value as f32).clamp(f32::MIN, f32::MAX)
}

/// What a fit is told beside the parameters.
#[derive(Default, Clone, Copy)]
pub(super) struct Extras<'a> {
    /// An objective of one's own.
    pub(super) derivatives: Option<Derivatives<'a>>,
    /// A model whose trees to keep and to go on from.
    pub(super) start: Option<&'a Xgboost>,
}

/// Fits checked parameters.
///
/// XGBoost draws its random numbers from a generator of the thread, seeded when a model is set up.
/// So nothing here may hand work to rayon: this thread could take up another fit in the midst of it.
pub(super) fn fit(
    params: &XgboostParams,
    library: &XgboostLibrary,
    dataset: Dataset<'_>,
    Extras { derivatives, start }: Extras<'_>,
) -> Result<Xgboost> {
    if let Some(start) = start {
        check_feature_names(start.feature_names(), dataset.feature_names())?;
    }
    let start = start.filter(|start| params.can_go_on_from(start.n_trees()));
    let span = debug_span!(
        "boosting",
        engine = %format_args!("XGBoost {}", library.version()),
        rows = dataset.n_rows(),
        features = dataset.n_features(),
        n_rounds = params.n_rounds,
        start_trees = start.map_or(0, Xgboost::n_trees),
    );
    let _entered = span.enter();
    dataset.require_rows("boosting", 1)?;
    if dataset.n_features() == 0 {
        return Err(Error::shape("records", "at least 1 column", "0"));
    }
    let (head, tail) = hold_back(params.early_stopping, dataset)?;
    let learnt = Part::new(params, library, dataset, &head)?;
    let held = match tail.is_empty() {
        true => None,
        false => Some(Part::new(params, library, dataset, &tail)?),
    };
    let matrices: Vec<&Matrix> =
        std::iter::once(&learnt).chain(&held).map(|part| &part.matrix).collect();
    let base_score = match (params.base_score, derivatives) {
        _ if let Some(start) = start => Some(start.base_score() as f32),
        (Some(score), _) => Some(score as f32),
        (None, Some(_)) => Some(params.loss.best_constant(&mut learnt.weighted_targets()) as f32),
        // XGBoost's own estimate.
        (None, None) => None,
    };
    let custom = derivatives.is_some();
    let beginning = match start.filter(|start| start.n_trees() > 0) {
        // By its own seed each new tree would draw what an old one drew.
        Some(start) => Beginning::Model { model: start.to_ubj()?, seed: params.seed_after(start) },
        None => Beginning::Nothing { base_score },
    };
    let mut booster = set_up(params, library, custom, &matrices, &beginning)?;
    let first_round = match beginning {
        Beginning::Nothing { .. } => 0,
        Beginning::Model { .. } => booster.boosted_rounds()?,
    };
    let rounds = Trainer {
        params,
        derivatives,
        base_score,
        first_round,
        learnt: &learnt,
        held: held.as_ref(),
        report: FitReport {
            train_rows: learnt.targets.len(),
            validation_rows: held.as_ref().map_or(0, |part| part.targets.len()),
            ..FitReport::default()
        },
    };
    let report = rounds.run(&mut booster, dataset)?;
    let mut kept = match first_round + report.best_round {
        // A slice of no rounds would be one of all.
        0 => {
            let base_score = Some(report.base_score as f32);
            set_up(params, library, custom, &matrices, &Beginning::Nothing { base_score })?
        }
        best if report.best_round < report.rounds => booster.first_rounds(best)?,
        _ => booster,
    };
    kept.set_feature_names(dataset.feature_names())?;
    let model = kept.save(false)?;
    drop(kept);
    report.tell();
    let fitted = Some((*params, report));
    Xgboost::new(*library, dataset.feature_names().to_vec(), &model, library.version(), fitted)
}

/// What is there before the first tree.
enum Beginning {
    Nothing { base_score: Option<f32> },
    Model { model: Vec<u8>, seed: u64 },
}

fn set_up(
    params: &XgboostParams,
    library: &XgboostLibrary,
    custom_objective: bool,
    matrices: &[&Matrix],
    beginning: &Beginning,
) -> Result<Booster> {
    let mut booster = Booster::new(library.api(), matrices)?;
    let params = match beginning {
        Beginning::Nothing { .. } => *params,
        Beginning::Model { model, seed } => {
            booster.load(model)?;
            XgboostParams { seed: *seed, ..*params }
        }
    };
    for (name, value) in params.settings(custom_objective) {
        booster.set(name, &value)?;
    }
    if let Beginning::Nothing { base_score: Some(score) } = beginning {
        booster.set("base_score", &format!("{score:?}"))?;
    }
    Ok(booster)
}

/// Rows in XGBoost's hands and, for the losses, in ours.
struct Part {
    matrix: Matrix,
    targets: Vec<f64>,
    weights: Option<Vec<f64>>,
}

impl Part {
    fn new(
        params: &XgboostParams,
        library: &XgboostLibrary,
        dataset: Dataset<'_>,
        rows: &Rows,
    ) -> Result<Self> {
        let weight = |row: usize| dataset.weights().map_or(1.0, |weights| weights[row] as f32);
        let rows: Vec<usize> = rows.iter().filter(|&row| weight(row) > 0.0).collect();
        if rows.is_empty() {
            return Err(Error::not_enough_data("boosting over rows with a weight", 1, 0));
        }
        let width = dataset.n_features();
        let mut records = vec![0.0; rows.len() * width];
        for (feature, column) in dataset.records().columns().into_iter().enumerate() {
            for (to, &row) in rows.iter().enumerate() {
                records[to * width + feature] = narrow(column[row]);
            }
        }
        let mut matrix = Matrix::new(library.api(), &records, rows.len(), width, params.threads)?;
        let targets: Vec<f64> = rows.iter().map(|&row| dataset.targets()[row]).collect();
        let labels: Vec<f32> = targets.iter().map(|&target| target as f32).collect();
        require_finite(&labels, "a target is too large for the 32-bit numbers of XGBoost")?;
        matrix.set("label", &labels)?;
        let weights: Option<Vec<f32>> =
            dataset.weights().map(|_| rows.iter().map(|&row| weight(row)).collect());
        if let Some(weights) = &weights {
            require_finite(weights, "a weight is too large for the 32-bit numbers of XGBoost")?;
            matrix.set("weight", weights)?;
        }
        let weights = weights.map(|w| w.into_iter().map(f64::from).collect());
        Ok(Self { matrix, targets, weights })
    }

    fn weight(&self, row: usize) -> f64 {
        self.weights.as_ref().map_or(1.0, |weights| weights[row])
    }

    fn weighted_targets(&self) -> Vec<(f64, f64)> {
        self.targets.iter().enumerate().map(|(i, &target)| (target, self.weight(i))).collect()
    }

    /// The mean loss of a model's predictions.
    fn told_loss(&self, booster: &mut Booster, loss: Loss) -> Result<f64> {
        let mut told = Vec::new();
        booster.predict_matrix(&self.matrix, &mut told)?;
        self.loss(loss, |i| told[i])
    }

    /// The mean loss of predictions, one a row.
    fn loss(&self, loss: Loss, prediction: impl Fn(usize) -> f32) -> Result<f64> {
        let (sum, weight) =
            self.targets.iter().enumerate().fold((0.0, 0.0), |(sum, weight), (i, &target)| {
                let w = self.weight(i);
                (sum + w * loss.value(target, f64::from(prediction(i))), weight + w)
            });
        let mean: f64 = sum / weight;
        if mean.is_finite() {
            return Ok(mean);
        }
        Err(Error::numerical("boosting", "the loss overflows; scale the targets"))
    }
}

fn require_finite(values: &[f32], reason: &str) -> Result<()> {
    if values.iter().all(|value| value.is_finite()) {
        return Ok(());
    }
    Err(Error::numerical("boosting", reason))
}

/// What a fit needs from round to round.
struct Trainer<'a> {
    params: &'a XgboostParams,
    derivatives: Option<Derivatives<'a>>,
    base_score: Option<f32>,
    /// Rounds of the start; 0 without one.
    first_round: usize,
    learnt: &'a Part,
    held: Option<&'a Part>,
    report: FitReport,
}

impl Trainer<'_> {
    fn run(mut self, booster: &mut Booster, dataset: Dataset<'_>) -> Result<FitReport> {
        let params = self.params;
        let mut predictions = Vec::new();
        if self.derivatives.is_some() {
            booster.predict_matrix(&self.learnt.matrix, &mut predictions)?;
        }
        let mut best = (f64::INFINITY, 0);
        if let (true, Some(held)) = (self.first_round > 0, self.held) {
            best.0 = held.told_loss(booster, params.loss)?;
        }
        for round in 0..params.n_rounds {
            if dataset.progress().is_some_and(Progress::is_cancelled) {
                return Err(Error::Cancelled);
            }
            let drawn = self.first_round + round;
            self.grow(booster, drawn, &predictions)?;
            if let (0, Some(held)) = (drawn, self.held) {
                let base_score = match self.base_score {
                    Some(score) => score,
                    // Estimated in the first round.
                    None => inspect::ubj(&booster.save(false)?)?.base_score as f32,
                };
                self.report.base_score = f64::from(base_score);
                best.0 = held.loss(params.loss, |_| base_score)?;
            }
            booster.predict_matrix(&self.learnt.matrix, &mut predictions)?;
            let train_loss = self.learnt.loss(params.loss, |i| predictions[i])?;
            self.report.rounds = round + 1;
            self.report.train_loss.push(train_loss);
            let validation_loss = match self.held {
                None => None,
                Some(held) => Some(held.told_loss(booster, params.loss)?),
            };
            trace!(round = round + 1, train_loss, validation_loss, "round");
            if let Some(progress) = dataset.progress() {
                let (done, total) = (round as u64 + 1, params.n_rounds as u64);
                let event = ProgressEvent::new("boosting", done, Some(total));
                progress.update(&event.with_loss(train_loss, validation_loss));
            }
            if let (Some(loss), Some(stopping)) = (validation_loss, params.early_stopping) {
                self.report.validation_loss.push(loss);
                if loss < best.0 {
                    best = (loss, round + 1);
                } else if round + 1 - best.1 >= stopping.patience {
                    break;
                }
            }
        }
        self.report.best_round = if self.held.is_some() { best.1 } else { self.report.rounds };
        Ok(self.report)
    }

    fn grow(&self, booster: &mut Booster, round: usize, predictions: &[f32]) -> Result<()> {
        let learnt = self.learnt;
        let Some(derivatives) = self.derivatives else {
            return Ok(booster.update(round, &learnt.matrix)?);
        };
        // From what XGBoost itself would see of a target, and weighted as it does.
        let row = |(i, (&target, &prediction)): (usize, (&f64, &f32))| {
            let told = derivatives(f64::from(target as f32), f64::from(prediction));
            let weight = learnt.weight(i) as f32;
            (told.0 as f32 * weight, told.1 as f32 * weight)
        };
        let rows = learnt.targets.iter().zip(predictions).enumerate();
        let (mut gradients, mut hessians): (Vec<f32>, Vec<f32>) = rows.map(row).unzip();
        let reason = "a derivative of the objective is not finite";
        require_finite(&gradients, reason)?;
        require_finite(&hessians, reason)?;
        Ok(booster.boost(round, &learnt.matrix, &mut gradients, &mut hessians)?)
    }
}
