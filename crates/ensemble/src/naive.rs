use forecastle_core::{Artifact, Dataset, Error, Fit, Load, Lookback, Predict, PredictExt, Result};
use ndarray::{ArrayRef1, ArrayRef2};
use serde::{Deserialize, Serialize};

const VERSION: u32 = 1;

/// Repeats the last price: a return of zero, whatever the features say.
///
/// The forecast every other model is measured against. It learns nothing, so it takes missing
/// records as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NaiveParams {}

impl Fit for NaiveParams {
    type Fitted = Naive;

    fn fit(&self, dataset: Dataset<'_>) -> Result<Naive> {
        dataset.require_rows("naive", 1)?;
        Ok(Naive { feature_names: dataset.feature_names().to_vec() })
    }
}

/// Forecasts zero for every row; made by [`NaiveParams`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Naive {
    feature_names: Vec<String>,
}

impl Predict for Naive {
    fn feature_names(&self) -> &[String] {
        &self.feature_names
    }

    fn lookback(&self) -> Lookback {
        Lookback::Rows(1)
    }

    fn predict_into(&self, records: &ArrayRef2<f64>, out: &mut ArrayRef1<f64>) -> Result<()> {
        self.check_shapes(records, out)?;
        out.fill(0.0);
        Ok(())
    }

    fn save(&self) -> Result<Artifact> {
        Artifact::encode(Self::KIND, VERSION, &self.feature_names, &0_u8)
    }
}

impl Load for Naive {
    const KIND: &'static str = "naive";

    fn load(artifact: &Artifact) -> Result<Self> {
        match artifact.decode::<u8>(Self::KIND, VERSION)? {
            0 => Ok(Self { feature_names: artifact.feature_names().to_vec() }),
            other => Err(Error::artifact(format!("\"naive\" holds {other}, not 0"))),
        }
    }
}
