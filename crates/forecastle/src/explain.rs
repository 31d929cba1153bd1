use forecastle_core::{CandleSeries, Error, Load, Result, Target};
use forecastle_models_tree::{AutoBoosting, Boosting, Explanation};

use crate::{FittedPipeline, ModelKind};

impl FittedPipeline {
    /// Says which features moved the boosted forecast of the last candle: exact SHAP values, in log
    /// returns over the horizon, which add up to the forecast.
    ///
    /// A contribution tells what the model made of a feature, not what moves the market. The model is
    /// the one fitted on all candles of the fit, whatever stands in the table's row.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] when there is no boosting among the models, or they learn prices.
    /// - [`Error::NotEnoughData`] when nothing was learnt, or the features of the last candle are not
    ///   ready.
    /// - [`Error::Component`] when the model is XGBoost's and its library is gone.
    pub fn explain(&self, candles: &CandleSeries) -> Result<Explanation> {
        let config = self.config();
        let index = config.models.iter().position(|&kind| kind == ModelKind::Boosting);
        let Some(index) = index else {
            return Err(Error::invalid_parameter("models", "with boosting, to explain it", "none"));
        };
        if config.target != Target::LogReturn {
            let requirement = "log_return, to explain a forecast";
            return Err(Error::invalid_parameter("target", requirement, "price"));
        }
        let bases = self.bases();
        let Some(base) = bases.get(index) else {
            return Err(Error::not_enough_data("an explanation", 1, 0));
        };
        let table = self.features(candles)?;
        let (ready, n) = (table.first_ready_row(), table.n_rows());
        if ready >= n {
            return Err(Error::not_enough_data("an explanation", ready + 1, n));
        }
        let row = table.values().row(n - 1).to_vec();
        // The stack holds its models behind a trait; what they save says which they are.
        let model = AutoBoosting::load(&base.save()?)?;
        match (model.as_boosting(), model.as_xgboost()) {
            (Some(boosting), _) => boosting.explain(&row),
            (None, Some(xgboost)) => {
                let json = xgboost.to_json()?;
                Boosting::from_xgboost_json(json.as_bytes(), Some(table.names()))?.explain(&row)
            }
            (None, None) => Err(Error::artifact("it holds no boosted trees")),
        }
    }
}
