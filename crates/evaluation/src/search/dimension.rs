use std::fmt;

use forecastle_core::{Error, Result};
use serde::{Deserialize, Serialize};

/// Integers up to here are exact in an `f64`.
const LARGEST_INTEGER: i64 = 1 << 53;

/// Says how a range is laid out: where a draw is equally likely to fall.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// Equal differences are equally likely.
    #[default]
    Linear,
    /// Equal ratios are equally likely; for settings whose order of magnitude is unknown.
    Log,
}

/// Describes the values that one setting can take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
    /// A number between two bounds, both included.
    Real {
        /// Least value.
        low: f64,
        /// Largest value.
        high: f64,
        /// How the range is laid out.
        scale: Scale,
    },
    /// An integer between two bounds, both included.
    Integer {
        /// Least value.
        low: i64,
        /// Largest value.
        high: i64,
        /// How the range is laid out.
        scale: Scale,
    },
    /// One of some texts, in no order.
    Choice {
        /// The texts.
        options: Vec<String>,
    },
}

/// Holds one setting's value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// An integer.
    Integer(i64),
    /// A number.
    Real(f64),
    /// One of some texts.
    Choice(String),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(value) => value.fmt(f),
            Self::Real(value) => value.fmt(f),
            Self::Choice(text) => f.pad(text),
        }
    }
}

impl Dimension {
    /// Refuses empty ranges and logarithms of what has none.
    pub(super) fn check(&self) -> Result<()> {
        let refuse = |requirement: &str, value: String| {
            Err(Error::invalid_parameter("dimension", requirement, value))
        };
        match self {
            Self::Real { low, high, scale } => {
                let width = high - low;
                if !(width > 0.0 && width.is_finite()) {
                    return refuse("a finite range with low < high", format!("{low} to {high}"));
                }
                if *scale == Scale::Log && *low <= 0.0 {
                    return refuse("above 0 on a log scale", low.to_string());
                }
            }
            Self::Integer { low, high, scale } => {
                if low >= high {
                    return refuse("a range with low < high", format!("{low} to {high}"));
                }
                if *low < -LARGEST_INTEGER || *high > LARGEST_INTEGER {
                    return refuse("within ± 2^53", format!("{low} to {high}"));
                }
                if *scale == Scale::Log && *low < 1 {
                    return refuse(">= 1 on a log scale", low.to_string());
                }
            }
            Self::Choice { options } => {
                let twice = options.iter().enumerate().find(|(i, o)| options[..*i].contains(o));
                if options.is_empty() || twice.is_some() {
                    return refuse("a choice among distinct options", format!("{options:?}"));
                }
            }
        }
        Ok(())
    }

    /// Whether the value is one of this dimension's.
    pub fn contains(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Real { low, high, .. }, Value::Real(v)) => v >= low && v <= high,
            (Self::Integer { low, high, .. }, Value::Integer(v)) => v >= low && v <= high,
            (Self::Choice { options }, Value::Choice(text)) => options.contains(text),
            _ => false,
        }
    }

    /// The value at a place of the unit interval: uniform places give this dimension's distribution.
    pub(super) fn at(&self, place: f64) -> Value {
        match self {
            Self::Real { low, high, scale } => {
                let (from, to) = self.ends();
                let inner = from + place * (to - from);
                let value = if *scale == Scale::Log { inner.exp() } else { inner };
                Value::Real(value.clamp(*low, *high))
            }
            Self::Integer { low, high, scale } => {
                let (from, to) = self.ends();
                let inner = from + place * (to - from);
                let value = if *scale == Scale::Log { inner.exp() } else { inner };
                Value::Integer((value.round() as i64).clamp(*low, *high))
            }
            Self::Choice { options } => {
                let index = (place * options.len() as f64) as usize;
                let last = options.len().saturating_sub(1);
                Value::Choice(options.get(index.min(last)).cloned().unwrap_or_default())
            }
        }
    }

    /// The place of a number in the unit interval; of an integer, the one of the number itself.
    pub(super) fn place(&self, value: &Value) -> f64 {
        match value {
            Value::Real(v) => self.place_of(*v),
            Value::Integer(v) => self.place_of(*v as f64),
            Value::Choice(_) => 0.5,
        }
    }

    /// The stretch of the unit interval that [`at`](Self::at) turns into an integer.
    pub(super) fn cell(&self, value: &Value) -> Option<(f64, f64)> {
        match value {
            Value::Integer(v) => {
                Some((self.place_of(*v as f64 - 0.5), self.place_of(*v as f64 + 0.5)))
            }
            _ => None,
        }
    }

    fn place_of(&self, value: f64) -> f64 {
        let (from, to) = self.ends();
        let inner = if self.scale() == Scale::Log { value.ln() } else { value };
        ((inner - from) / (to - from)).clamp(0.0, 1.0)
    }

    fn scale(&self) -> Scale {
        match self {
            Self::Real { scale, .. } | Self::Integer { scale, .. } => *scale,
            Self::Choice { .. } => Scale::Linear,
        }
    }

    /// What the unit interval is stretched over; integers reach half a step past their bounds.
    fn ends(&self) -> (f64, f64) {
        let (low, high) = match self {
            Self::Real { low, high, .. } => (*low, *high),
            Self::Integer { low, high, .. } => (*low as f64 - 0.5, *high as f64 + 0.5),
            Self::Choice { .. } => (0.0, 1.0),
        };
        match self.scale() {
            Scale::Linear => (low, high),
            Scale::Log => (low.ln(), high.ln()),
        }
    }
}
