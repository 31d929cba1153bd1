use forecastle_core::{Dataset, Error, Result};

use crate::architecture::{Architecture, NeuralParams};
use crate::learner::Learner;
use crate::native_learner::NativeLearner;
use crate::network::Network;
use crate::neural_model::NeuralModel;
use crate::prepared::{Prepared, split_rows};
use crate::scaling::TargetScaling;
use crate::train::train;
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
    learner: impl FnOnce(&P::Network, Vec<f32>, &TrainingParams) -> Result<L>,
) -> Result<NeuralModel<P>> {
    let kind = <P as Architecture>::KIND;
    params.check()?;
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
    let mut learner = learner(&network, weights, training)?;
    let (weights, report) =
        train(&mut learner, &prepared.samples, [head, tail], training, kind, dataset.progress())?;
    NeuralModel::assemble(
        dataset.feature_names().to_vec(),
        (params.clone(), standardizer, target.unwrap_or(TargetScaling::NONE), report),
        weights,
    )
}
