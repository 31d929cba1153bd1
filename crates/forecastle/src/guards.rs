use std::ops::Range;

use forecastle_core::{Error, FeatureTable, Result, Rows};
use forecastle_evaluation::{
    ErrorDrift, ErrorDriftParams, Novelty, NoveltyParams, PopulationStability,
    PopulationStabilityParams, StabilityStream,
};
use ndarray::Array1;
use serde::{Deserialize, Serialize};

/// Sets the guards: beyond their thresholds the signal is HOLD, and the table says why.
///
/// A guard that has too few rows to learn from does not object; the report says which.
///
/// | Name | Default | Purpose |
/// |---|---|---|
/// | `enabled` | true | whether they hold signals |
/// | `novelty` | [`NoveltyParams::default`] | distance of a row from the training rows |
/// | `stability` | [`PopulationStabilityParams::default`] | drift of the features since training |
/// | `errors` | [`ErrorDriftParams::default`] | growth of the ensemble's errors since training |
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GuardConfig {
    /// Whether they hold signals.
    pub enabled: bool,
    /// Distance of a row from the training rows.
    pub novelty: NoveltyParams,
    /// Drift of the features since training.
    pub stability: PopulationStabilityParams,
    /// Growth of the ensemble's errors since training.
    pub errors: ErrorDriftParams,
}

impl Default for GuardConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            novelty: NoveltyParams::default(),
            stability: PopulationStabilityParams::default(),
            errors: ErrorDriftParams::default(),
        }
    }
}

/// The guards of one fit; they go on from bar to bar.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Guards {
    novelty: Option<Novelty>,
    stability: Option<StabilityStream>,
    errors: Option<ErrorDrift>,
}

impl Guards {
    /// Learns from the training rows' features, and from the sizes of errors out of sample.
    ///
    /// `recent` are the rows before the first to be judged; the features' latest window begins there.
    /// Says why a guard is missing.
    pub(crate) fn fit(
        config: &GuardConfig,
        features: &FeatureTable,
        training: &Rows,
        recent: Range<usize>,
        errors: &[f64],
    ) -> Result<(Self, Vec<String>)> {
        let mut missing = Vec::new();
        if !config.enabled {
            return Ok((Self::default(), missing));
        }
        let novelty = or_missing(config.novelty.fit(features, training), &mut missing)?;
        let stability = or_missing(config.stability.fit(features, training), &mut missing)?;
        let stability = stability.map(PopulationStability::stream);
        let errors = Array1::from(errors.to_vec());
        let errors = or_missing(config.errors.fit(&errors), &mut missing)?;
        let mut guards = Self { novelty, stability, errors };
        for t in recent {
            if let (Some(stability), Some(row)) = (&mut guards.stability, row(features, t)) {
                stability.update(&row)?;
            }
        }
        Ok((guards, missing))
    }

    /// Takes row `t` of the features, and the size of an error that has become known with its bar; says
    /// why the bar's signal must not be followed, or nothing.
    pub(crate) fn step(
        &mut self,
        features: &FeatureTable,
        t: usize,
        error: Option<f64>,
    ) -> Result<Option<String>> {
        let Some(row) = row(features, t) else {
            return Ok(None);
        };
        let objections = self.watch(&row)?;
        Ok(self.conclude(objections, error).reason())
    }

    /// Whether they were fitted on so many features.
    pub(crate) fn fit_width(&self, width: usize) -> bool {
        self.novelty.as_ref().is_none_or(|guard| guard.names().len() == width)
            && self.stability.as_ref().is_none_or(|guard| guard.width() == width)
    }

    /// Takes the next bar's features.
    ///
    /// # Errors
    /// - [`Error::Shape`] when there are more or fewer than at the fit; nothing has changed then.
    pub(crate) fn watch(&mut self, row: &[f64]) -> Result<Objections> {
        let mut objections = Objections::default();
        if let Some(novelty) = &self.novelty {
            objections.novelty = novelty.verdict(row)?.and_then(|verdict| verdict.reason);
        }
        if let Some(stability) = &mut self.stability {
            objections.stability = stability.update(row)?.and_then(|verdict| verdict.reason);
        }
        Ok(objections)
    }

    /// Takes the error that has become known with the bar.
    pub(crate) fn conclude(&mut self, objections: Objections, error: Option<f64>) -> Objections {
        // An error that is not known does not count.
        let errors = self.errors.as_mut().map(|drift| drift.update(error.unwrap_or(f64::NAN)));
        Objections { errors: errors.and_then(|verdict| verdict.reason), ..objections }
    }
}

/// Why a bar's signal must not be followed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Objections {
    novelty: Option<String>,
    stability: Option<String>,
    errors: Option<String>,
}

impl Objections {
    /// All of them in one line.
    pub(crate) fn reason(self) -> Option<String> {
        let all = [self.novelty, self.stability, self.errors];
        all.into_iter().flatten().reduce(|all, reason| format!("{all}; {reason}"))
    }

    /// Whether the market or the errors are no longer those of the fit; one odd bar is not that.
    pub(crate) fn is_drift(&self) -> bool {
        self.stability.is_some() || self.errors.is_some()
    }
}

fn row(features: &FeatureTable, t: usize) -> Option<Vec<f64>> {
    (t < features.n_rows()).then(|| features.values().row(t).to_vec())
}

/// A guard, or why there is none.
fn or_missing<T>(fitted: Result<T>, missing: &mut Vec<String>) -> Result<Option<T>> {
    match fitted {
        Ok(guard) => Ok(Some(guard)),
        // Errors that are all the same (a price that never moved) cannot grow by any measure.
        Err(error @ (Error::NotEnoughData { .. } | Error::Numerical { .. })) => {
            missing.push(error.to_string());
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
