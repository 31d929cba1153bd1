use serde::{Deserialize, Serialize};

/// Says which features moved one forecast, and how far.
///
/// The contributions and the base add up to the prediction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Explanation {
    /// The model's mean prediction over its training rows.
    #[doc(alias = "expected_value")]
    pub base: f64,
    /// The model's prediction for the row.
    pub prediction: f64,
    /// One entry a feature, the largest in size first; features that the model does not use come
    /// last, with 0.
    pub contributions: Vec<Contribution>,
}

/// Says what one feature adds to a forecast.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Contribution {
    /// The feature's name.
    pub feature: String,
    /// Its value in the row; NaN when it is missing.
    pub value: f64,
    /// What knowing it adds to the prediction, in the target's unit.
    pub contribution: f64,
}
