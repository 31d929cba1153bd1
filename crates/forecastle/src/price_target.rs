use forecastle_core::{Artifact, Dataset, Error, Fit, Load, Lookback, Predict, PredictExt, Result};
use ndarray::{Array1, ArrayRef1, ArrayRef2, s};

/// The column that leads the records of a model that learns prices.
pub(crate) const LOG_CLOSE: &str = "log_close";

/// Lets a model learn the price itself (`Target::Price`) while everything around it speaks of log
/// returns.
///
/// The first column of the records is the log close; the model sees the others, learns
/// `close · exp(y)` and its forecast p is given back as `log(p / close)`. A forecast that is not a
/// positive price is cut to a thousandth of the close.
#[derive(Debug, Clone)]
pub(crate) struct PriceTarget<F>(pub(crate) F);

/// A fitted [`PriceTarget`].
#[derive(Debug)]
pub(crate) struct PriceModel<P> {
    inner: P,
    feature_names: Vec<String>,
}

const LOWEST_SHARE: f64 = 1e-3;

impl<F> Fit for PriceTarget<F>
where
    F: Fit,
    F::Fitted: Load,
{
    type Fitted = PriceModel<F::Fitted>;

    fn fit(&self, dataset: Dataset<'_>) -> Result<Self::Fitted> {
        self.learn(dataset, |inner| self.0.fit(inner))
    }

    fn fit_from(&self, dataset: Dataset<'_>, start: &Self::Fitted) -> Result<Self::Fitted> {
        self.learn(dataset, |inner| self.0.fit_from(inner, &start.inner))
    }
}

impl<F> PriceTarget<F>
where
    F: Fit,
    F::Fitted: Load,
{
    /// Fits the inner model on prices.
    fn learn(
        &self,
        dataset: Dataset<'_>,
        fit: impl FnOnce(Dataset<'_>) -> Result<F::Fitted>,
    ) -> Result<PriceModel<F::Fitted>> {
        let feature_names = dataset.feature_names().to_vec();
        let Some((first, others)) = feature_names.split_first() else {
            return Err(Error::shape("records", "a log_close column", "no column"));
        };
        if first != LOG_CLOSE {
            return Err(Error::shape("records", "log_close as the first column", first.as_str()));
        }
        let log_close = dataset.records().column(0);
        let mut prices = Array1::from_elem(dataset.records().nrows(), f64::NAN);
        for row in dataset.rows().iter() {
            prices[row] = (log_close[row] + dataset.targets()[row]).exp();
        }
        let records = dataset.records().slice(s![.., 1..]);
        let inner = Dataset::new(others, &records, &prices, dataset.rows(), dataset.horizon())?;
        let inner = match dataset.weights() {
            Some(weights) => inner.with_weights(weights)?,
            None => inner,
        };
        let inner = match dataset.progress() {
            Some(progress) => inner.with_progress(progress),
            None => inner,
        };
        let inner = fit(inner)?;
        Ok(PriceModel { inner, feature_names })
    }
}

impl<P: Load> Predict for PriceModel<P> {
    fn feature_names(&self) -> &[String] {
        &self.feature_names
    }

    fn lookback(&self) -> Lookback {
        self.inner.lookback()
    }

    fn predict_into(&self, records: &ArrayRef2<f64>, out: &mut ArrayRef1<f64>) -> Result<()> {
        self.check_shapes(records, out)?;
        let log_close = records.column(0);
        if let Some(row) = log_close.iter().position(|v| !v.is_finite()) {
            return Err(Error::NonFinite { what: "records", row, column: LOG_CLOSE.to_owned() });
        }
        self.inner.predict_into(&records.slice(s![.., 1..]), out)?;
        for (value, log_close) in out.iter_mut().zip(log_close) {
            *value = log_return(*value, *log_close);
        }
        Ok(())
    }

    fn predict_last(&self, window: &ArrayRef2<f64>) -> Result<f64> {
        let (n, width) = window.dim();
        if n == 0 || width != self.feature_names.len() {
            let expected = format!("1 or more rows of {} columns", self.feature_names.len());
            return Err(Error::shape("window", expected, format!("{n} rows of {width}")));
        }
        let log_close = window[[n - 1, 0]];
        if !log_close.is_finite() {
            let (row, column) = (n - 1, LOG_CLOSE.to_owned());
            return Err(Error::NonFinite { what: "window", row, column });
        }
        let price = self.inner.predict_last(&window.slice(s![.., 1..]))?;
        Ok(log_return(price, log_close))
    }

    fn save(&self) -> Result<Artifact> {
        let inner = self.inner.save()?.to_bytes()?;
        Artifact::encode(Self::KIND, VERSION, &self.feature_names, &inner)
    }
}

/// From the log close to a forecast price.
fn log_return(price: f64, log_close: f64) -> f64 {
    (price / log_close.exp()).clamp(LOWEST_SHARE, f64::MAX).ln()
}

const VERSION: u32 = 1;

impl<P: Load> Load for PriceModel<P> {
    const KIND: &'static str = "price_target";

    fn load(artifact: &Artifact) -> Result<Self> {
        let bytes: Vec<u8> = artifact.decode(Self::KIND, VERSION)?;
        let inner = P::load(&Artifact::from_bytes(&bytes)?)?;
        let feature_names = artifact.feature_names().to_vec();
        match feature_names.split_first() {
            Some((first, others)) if first == LOG_CLOSE && others == inner.feature_names() => {
                Ok(Self { inner, feature_names })
            }
            _ => Err(Error::artifact("the features are not log_close and the inner model's")),
        }
    }
}

#[cfg(test)]
mod tests {
    use forecastle_core::conformance::{ModelSuite, noise};
    use forecastle_core::{DynFit, FeatureTable};
    use forecastle_ensemble::{Ridge, RidgeParams};

    use super::*;

    #[test]
    fn a_price_model_keeps_the_contract_of_every_model() {
        let (table, targets) = noise(3, 400, 3).unwrap();
        let mut names = table.names().to_vec();
        names[0] = LOG_CLOSE.to_owned();
        let table = FeatureTable::new(&names, table.open_time(), table.values().to_owned());
        let suite = ModelSuite::new((table.unwrap(), targets * 0.01));
        let model: &dyn DynFit = &PriceTarget(RidgeParams::default());
        suite.check(model, |a| Ok(Box::new(PriceModel::<Ridge>::load(a)?))).unwrap();
    }
}
