use std::fmt;
use std::ops::RangeInclusive;

use forecastle_core::{Error, Result};
use serde::{Deserialize, Serialize};

use super::{Dimension, Scale, Value};

/// Names the settings to search and the values that each can take.
///
/// ```
/// use forecastle_evaluation::SearchSpace;
///
/// let space = SearchSpace::new()
///     .log_real("learning_rate", 0.001..=0.3)?
///     .integer("max_depth", 1..=8)?
///     .choice("growth", ["depth_wise", "leaf_wise"])?;
/// assert_eq!(space.dimensions().len(), 3);
/// assert!(space.log_real("l2", 0.0..=1.0).is_err());
/// # Ok::<(), forecastle_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(try_from = "Vec<(String, Dimension)>", into = "Vec<(String, Dimension)>")]
pub struct SearchSpace {
    dimensions: Vec<(String, Dimension)>,
}

impl SearchSpace {
    /// Makes a space without dimensions.
    pub fn new() -> Self {
        Self::default()
    }

    /// This space with one more dimension.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] when the name is taken, the range is empty or not finite, a
    ///   log scale starts at 0 or below, or options repeat.
    pub fn with(mut self, name: impl Into<String>, dimension: Dimension) -> Result<Self> {
        let name = name.into();
        if self.dimensions.iter().any(|(taken, _)| *taken == name) {
            return Err(Error::invalid_parameter("name", "new in the space", name));
        }
        dimension.check()?;
        self.dimensions.push((name, dimension));
        Ok(self)
    }

    /// This space with a number, uniform over the range.
    ///
    /// # Errors
    /// As [`with`](Self::with).
    pub fn real(self, name: impl Into<String>, range: RangeInclusive<f64>) -> Result<Self> {
        let (low, high) = range.into_inner();
        self.with(name, Dimension::Real { low, high, scale: Scale::Linear })
    }

    /// This space with a number whose logarithm is uniform over the range's.
    ///
    /// # Errors
    /// As [`with`](Self::with).
    pub fn log_real(self, name: impl Into<String>, range: RangeInclusive<f64>) -> Result<Self> {
        let (low, high) = range.into_inner();
        self.with(name, Dimension::Real { low, high, scale: Scale::Log })
    }

    /// This space with an integer, uniform over the range.
    ///
    /// # Errors
    /// As [`with`](Self::with).
    pub fn integer(self, name: impl Into<String>, range: RangeInclusive<i64>) -> Result<Self> {
        let (low, high) = range.into_inner();
        self.with(name, Dimension::Integer { low, high, scale: Scale::Linear })
    }

    /// This space with a positive integer `k` drawn with probability proportional to
    /// `log((k + ½) / (k − ½))`.
    ///
    /// # Errors
    /// As [`with`](Self::with).
    pub fn log_integer(self, name: impl Into<String>, range: RangeInclusive<i64>) -> Result<Self> {
        let (low, high) = range.into_inner();
        self.with(name, Dimension::Integer { low, high, scale: Scale::Log })
    }

    /// This space with a choice, all options equally likely.
    ///
    /// # Errors
    /// As [`with`](Self::with).
    pub fn choice<T: Into<String>>(
        self,
        name: impl Into<String>,
        options: impl IntoIterator<Item = T>,
    ) -> Result<Self> {
        let options = options.into_iter().map(Into::into).collect();
        self.with(name, Dimension::Choice { options })
    }

    /// The dimensions with their names, in order.
    pub fn dimensions(&self) -> &[(String, Dimension)] {
        &self.dimensions
    }

    /// Whether the point has exactly this space's settings, each with a value of its dimension.
    pub fn contains(&self, point: &Point) -> bool {
        self.dimensions.len() == point.settings.len()
            && self
                .dimensions
                .iter()
                .zip(&point.settings)
                .all(|((name, dimension), (n, value))| name == n && dimension.contains(value))
    }

    /// A point with the value that `value` gives for each dimension, by its index.
    pub(super) fn point(&self, mut value: impl FnMut(usize, &Dimension) -> Value) -> Point {
        let settings = self.dimensions.iter().enumerate();
        let settings = settings.map(|(i, (name, dimension))| (name.clone(), value(i, dimension)));
        Point { settings: settings.collect() }
    }
}

impl From<SearchSpace> for Vec<(String, Dimension)> {
    fn from(space: SearchSpace) -> Self {
        space.dimensions
    }
}

impl TryFrom<Vec<(String, Dimension)>> for SearchSpace {
    type Error = Error;

    fn try_from(dimensions: Vec<(String, Dimension)>) -> Result<Self> {
        let mut space = Self::new();
        for (name, dimension) in dimensions {
            space = space.with(name, dimension)?;
        }
        Ok(space)
    }
}

/// Holds a value for every setting of a [`SearchSpace`], in its order.
///
/// On screen: `learning_rate=0.03 max_depth=3`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Point {
    settings: Vec<(String, Value)>,
}

impl Point {
    /// The settings with their names, in order.
    pub fn settings(&self) -> &[(String, Value)] {
        &self.settings
    }

    /// A setting's value, `None` when there is none of that name.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.settings.iter().find(|(n, _)| n == name).map(|(_, value)| value)
    }

    /// A number.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] when there is no number of that name.
    pub fn real(&self, name: &str) -> Result<f64> {
        match self.value(name) {
            Some(Value::Real(value)) => Ok(*value),
            _ => Err(Error::invalid_parameter("name", "a real dimension's", name)),
        }
    }

    /// An integer.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] when there is no integer of that name.
    pub fn integer(&self, name: &str) -> Result<i64> {
        match self.value(name) {
            Some(Value::Integer(value)) => Ok(*value),
            _ => Err(Error::invalid_parameter("name", "an integer dimension's", name)),
        }
    }

    /// A choice.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] when there is no choice of that name.
    pub fn choice(&self, name: &str) -> Result<&str> {
        match self.value(name) {
            Some(Value::Choice(text)) => Ok(text),
            _ => Err(Error::invalid_parameter("name", "a choice's", name)),
        }
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (name, value)) in self.settings.iter().enumerate() {
            let gap = if i == 0 { "" } else { " " };
            match value {
                Value::Real(value) => write!(f, "{gap}{name}={}", short(*value))?,
                value => write!(f, "{gap}{name}={value}")?,
            }
        }
        Ok(())
    }
}

/// Three significant digits, for a reader.
fn short(value: f64) -> String {
    let magnitude = value.abs().log10();
    if value == 0.0 || !(-5.0..6.0).contains(&magnitude) {
        return format!("{value:.2e}");
    }
    let decimals = (2.0 - magnitude.floor()).max(0.0) as usize;
    format!("{value:.decimals$}")
}
