use std::fmt;

use serde::{Deserialize, Serialize};

use crate::TrendVariances;

/// Says how a model's variances were found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FitReport {
    /// The variances.
    pub variances: TrendVariances,
    /// Log-likelihood of the training rows, less the first terms, under a diffuse prior. Not finite
    /// where the variances are fixed and the numbers overflow.
    pub log_likelihood: f64,
    /// Whether the search ended by its tolerance; true for fixed variances, false for a fallback.
    pub converged: bool,
    /// Why the fallback's variances are used instead of those of maximum likelihood.
    pub fallback: Option<FallbackReason>,
    /// Likelihoods computed.
    pub evaluations: usize,
    /// Training rows with an observation.
    pub n_observed: usize,
}

/// Says why maximum likelihood was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum FallbackReason {
    /// There are too few observed rows.
    TooShort {
        /// How many are needed.
        needed: usize,
        /// How many there are.
        observed: usize,
    },
    /// The price never moves.
    Constant,
    /// No variances give a finite likelihood.
    NonFiniteLikelihood,
}

impl fmt::Display for FallbackReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort { needed, observed } => {
                write!(f, "{observed} observed rows, {needed} are needed")
            }
            Self::Constant => f.write_str("the price never moves"),
            Self::NonFiniteLikelihood => f.write_str("no variances give a finite likelihood"),
        }
    }
}
