use forecastle_core::{Dataset, Error, Result};
use tracing::debug_span;

use crate::architecture::{Architecture, NeuralParams};
use crate::layout::Layout;
use crate::learner::Learner;
use crate::native_learner::NativeLearner;
use crate::network::Network;
use crate::neural_model::NeuralModel;
use crate::prepared::{Prepared, split_rows};
use crate::scaling::TargetScaling;
use crate::train::Training;
use crate::training_params::TrainingParams;

/// Fits with our own arithmetic.
pub(crate) fn fit_native<P: NeuralParams>(
    params: &P,
    dataset: Dataset<'_>,
    start: Option<&NeuralModel<P>>,
) -> Result<NeuralModel<P>> {
    fit_with(params, dataset, start, |network, weights, training| {
        Ok(NativeLearner::new(network.clone(), weights, training))
    })
}

/// The weights with a head of zeros: such a network answers 0, the mean of what it is to learn.
fn headless(layout: &Layout, weights: &[f32]) -> Vec<f32> {
    let mut weights = weights.to_vec();
    for parameter in layout.parameters().iter().filter(|p| p.name.starts_with("head.")) {
        weights[parameter.range.clone()].fill(0.0);
    }
    weights
}

/// Fits on any backend.
///
/// - `start`: a model whose weights and scalings to begin with
/// - `learner`: makes a learner from the network, the first weights and the parameters
///
/// # Errors
/// As [`Fit::fit`](forecastle_core::Fit::fit), and what the backend fails with.
pub(crate) fn fit_with<P: NeuralParams, L: Learner>(
    params: &P,
    dataset: Dataset<'_>,
    start: Option<&NeuralModel<P>>,
    learner: impl Fn(&P::Network, Vec<f32>, &TrainingParams) -> Result<L>,
) -> Result<NeuralModel<P>> {
    let kind = <P as Architecture>::KIND;
    params.check()?;
    let span = debug_span!(
        "training",
        model = kind,
        rows = dataset.n_rows(),
        features = dataset.n_features(),
        epochs = params.training().epochs,
        warm_start = start.is_some(),
    );
    let _entered = span.enter();
    if dataset.n_features() == 0 {
        return Err(Error::shape("records", "at least 1 column", "0"));
    }
    let network = params.network(dataset.n_features());
    let training = params.training();
    let rows = split_rows(kind, dataset, training, network.lookback())?;
    dataset.require_complete()?;
    let (standardizer, target, weights) = match start {
        None => {
            let weights = network.layout().draw(training.seed);
            (params.standardizer(dataset)?, params.target_scaling(dataset)?, weights)
        }
        Some(start) => {
            start.check_start(&network, dataset)?;
            let target = params.target_scaling(dataset)?.map(|_| *start.target_scaling());
            (start.standardizer().clone(), target, start.weights().to_vec())
        }
    };
    let prepared =
        Prepared::new(kind, dataset, rows, network.lookback(), &standardizer, target.as_ref())?;
    let [head, tail] = &prepared.rows;
    // What no epoch betters is answered by the mean, or by the start where that is no worse.
    let mut fallback: Option<(f64, Vec<f32>)> = None;
    if !tail.is_empty() {
        let mean = headless(network.layout(), &weights);
        for weights in start.map(|_| weights.clone()).into_iter().chain([mean]) {
            let mut learner = learner(&network, weights.clone(), training)?;
            let loss = learner.loss(&prepared.samples, tail)?;
            if fallback.as_ref().is_none_or(|(least, _)| loss < *least) {
                fallback = Some((loss, weights));
            }
        }
    }
    let mut learner = learner(&network, weights, training)?;
    let training = Training { params: training, stage: kind, progress: dataset.progress() };
    let (weights, report) =
        training.run(&mut learner, &prepared.samples, [head, tail], fallback)?;
    report.tell();
    NeuralModel::assemble(
        dataset.feature_names().to_vec(),
        (params.clone(), standardizer, target.unwrap_or(TargetScaling::NONE), report),
        weights,
    )
}
