use forecastle_core::{
    Artifact, Dataset, DynFit, Error, FeatureTable, Fit, Load, Predict, PredictExt, Progress,
    Result, Rows, WalkForward,
};
use forecastle_ensemble::{Base, out_of_fold};
use forecastle_models_tree::{Boosting, BoostingParams, Loss};
use ndarray::{Array1, Array2, ArrayRef2, s};

use crate::PipelineConfig;

/// Boosted forecasts of the quantiles between which the interval's share of labels lies, in units of a
/// row's scale; always our own booster.
#[derive(Debug)]
pub(crate) struct QuantileBand {
    bounds: [Boosting; 2],
}

impl QuantileBand {
    /// Fits on all labelled rows, and on each fold's for the out-of-fold bounds: `(n_bars, 2)`, NaN
    /// outside the folds' blocks.
    ///
    /// - `targets`, `scales`: `(n_bars,)`
    pub(crate) fn fit(
        config: &PipelineConfig,
        features: &FeatureTable,
        targets: &Array1<f64>,
        scales: &[f64],
        labelled: &Rows,
        folds: &WalkForward,
        progress: &dyn Progress,
    ) -> Result<(Self, Array2<f64>)> {
        let miss = 1.0 - config.stacking.interval_level;
        let seed = config.seed.wrapping_add(config.boosting.seed);
        let of =
            |alpha: f64| BoostingParams { loss: Loss::Quantile { alpha }, seed, ..config.boosting };
        let params = [of(0.5 * miss), of(1.0 - 0.5 * miss)];
        let targets: Array1<f64> = targets.iter().zip(scales).map(|(y, scale)| y / scale).collect();
        let models: [&dyn DynFit; 2] = [&params[0], &params[1]];
        let bases = [("lower", models[0]), ("upper", models[1])].map(|(name, model)| Base {
            name,
            model,
            table: features,
        });
        let (blocks, bounds) = rayon::join(
            || out_of_fold(&bases, &targets, labelled, folds, progress),
            || -> Result<[Boosting; 2]> {
                let fit = |params: &BoostingParams| {
                    let rows = Dataset::from_table(features, &targets, labelled, folds.horizon)?;
                    params.fit(rows.with_progress(progress))
                };
                Ok([fit(&params[0])?, fit(&params[1])?])
            },
        );
        Ok((Self { bounds: bounds? }, blocks?.predictions().to_owned()))
    }

    /// Both bounds, `(n_bars, 2)`; NaN before the features are ready.
    pub(crate) fn predict(&self, features: &FeatureTable) -> Result<Array2<f64>> {
        let (ready, n) = (features.first_ready_row(), features.n_rows());
        let mut bounds = Array2::from_elem((n, 2), f64::NAN);
        for (j, model) in self.bounds.iter().enumerate() {
            let values = model.predict_table(&features.slice(ready..n))?;
            bounds.slice_mut(s![ready.., j]).assign(&values);
        }
        Ok(bounds)
    }

    /// Both bounds of the last row.
    ///
    /// - `window`: `(1.., n_features)`
    pub(crate) fn predict_last(&self, window: &ArrayRef2<f64>) -> Result<[f64; 2]> {
        let [lower, upper] = &self.bounds;
        Ok([lower.predict_last(window)?, upper.predict_last(window)?])
    }

    pub(crate) fn save(&self) -> Result<Vec<Vec<u8>>> {
        self.bounds.iter().map(|model| model.save()?.to_bytes()).collect()
    }

    pub(crate) fn load(saved: &[Vec<u8>]) -> Result<Self> {
        let [lower, upper] = saved else {
            return Err(Error::artifact("it holds another number of quantiles than two"));
        };
        let load = |bytes: &[u8]| Boosting::load(&Artifact::from_bytes(bytes)?);
        Ok(Self { bounds: [load(lower)?, load(upper)?] })
    }
}
