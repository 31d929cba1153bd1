//! Search for good settings: random or by Parzen estimators, counted, so that luck can be told.

mod dimension;
mod luck;
mod parzen;
mod report;
mod run;
mod space;
mod tpe;

pub use dimension::{Dimension, Scale, Value};
pub use luck::{Luck, expected_maximum};
pub use report::{SearchReport, Trial, TrialLoss};
pub use run::{Sampler, SearchParams};
pub use space::{Point, SearchSpace};
pub use tpe::TpeParams;
