//! Guards of live operation: is this row like those that were learned from, and are the errors?

mod adwin;
mod covariance;
mod error_drift;
mod novelty;
mod page_hinkley;
mod population_stability;
mod stability_stream;
mod verdict;

pub use adwin::{Adwin, AdwinParams};
pub use covariance::{ShrunkCovariance, ledoit_wolf};
pub use error_drift::{ErrorDrift, ErrorDriftParams};
pub use novelty::{Novelty, NoveltyParams, NoveltyReading};
pub use page_hinkley::{DriftDirection, PageHinkley, PageHinkleyParams};
pub use population_stability::{
    ColumnStability, PopulationStability, PopulationStabilityParams, StabilityReading,
};
pub use stability_stream::StabilityStream;
pub use verdict::GuardVerdict;
