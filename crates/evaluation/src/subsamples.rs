use forecastle_core::{Error, Result};
use ndarray::ArrayRef1;

use crate::checks::pair;

/// Counts how moves and forecasts went in one subsample of rows that share no bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Directions {
    /// Rows in which both have a direction.
    pub(crate) n: usize,
    /// Moves that went up.
    pub(crate) up: usize,
    /// Forecasts that said up.
    pub(crate) said_up: usize,
    /// Forecasts that were right.
    pub(crate) hits: usize,
}

/// Counts directions in every h-th row, from the given offset or from each of the h in turn.
pub(crate) fn directions(
    actual: &ArrayRef1<f64>,
    predicted: &ArrayRef1<f64>,
    horizon: usize,
    offset: Option<usize>,
) -> Result<Vec<Directions>> {
    if horizon == 0 {
        return Err(Error::invalid_parameter("horizon", ">= 1", 0));
    }
    if let Some(offset) = offset.filter(|&offset| offset >= horizon) {
        return Err(Error::invalid_parameter("offset", format!("< horizon {horizon}"), offset));
    }
    pair(actual, predicted)?;
    let offsets = match offset {
        Some(offset) => offset..offset + 1,
        // Later ones have no row.
        None => 0..horizon.min(actual.len()),
    };
    let count = |offset: usize| {
        let mut counts = Directions { n: 0, up: 0, said_up: 0, hits: 0 };
        let rows = actual.iter().zip(predicted).skip(offset).step_by(horizon);
        for (&a, &p) in rows.filter(|(a, p)| **a != 0.0 && **p != 0.0) {
            counts.n += 1;
            counts.up += usize::from(a > 0.0);
            counts.said_up += usize::from(p > 0.0);
            counts.hits += usize::from((a > 0.0) == (p > 0.0));
        }
        counts
    };
    Ok(offsets.map(count).collect())
}
