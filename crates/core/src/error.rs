use std::error::Error as StdError;

/// A result whose error is Forecastle's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Says what went wrong, in the categories a caller can act on.
///
/// One enum serves every crate of the workspace. A foreign error (I/O, a solver, a file format)
/// travels as the `source` of [`Error::Component`], so no foreign type appears in a signature.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A hyper-parameter or argument is outside its range.
    #[error("parameter `{name}` must be {requirement}, got {value}")]
    InvalidParameter {
        /// The parameter's name, as in the public API.
        name: &'static str,
        /// What it must be, e.g. `>= 1`.
        requirement: String,
        /// What it was.
        value: String,
    },
    /// A candle breaks the OHLCV invariant.
    #[error("invalid candle at {open_time}: {reason}")]
    InvalidCandle {
        /// The candle's open time.
        open_time: crate::Timestamp,
        /// The rule it breaks.
        reason: &'static str,
    },
    /// A text does not spell a value of the wanted type.
    #[error("{text:?} is not a {expected}")]
    Parse {
        /// What was wanted.
        expected: &'static str,
        /// The text, shortened to 64 characters.
        text: String,
    },
    /// An input record (a file's row, a response's row) cannot be read.
    #[error("{origin}, row {row}: {reason}")]
    Record {
        /// The file or endpoint.
        origin: String,
        /// The row, counted from 1 as an editor does.
        row: u64,
        /// What is wrong with it, with the field's name.
        reason: String,
    },
    /// An array has the wrong shape.
    #[error("{what} must have {expected}, got {actual}")]
    Shape {
        /// The argument.
        what: &'static str,
        /// The wanted shape.
        expected: String,
        /// The given shape.
        actual: String,
    },
    /// There are too few rows.
    #[error("{what} needs at least {needed} rows, got {available}")]
    NotEnoughData {
        /// Who needs them.
        what: String,
        /// How many are needed.
        needed: usize,
        /// How many there are.
        available: usize,
    },
    /// A number that must be finite is NaN or infinite.
    #[error("{what} holds a non-finite number in row {row}, column {column:?}")]
    NonFinite {
        /// The argument.
        what: &'static str,
        /// The row, from 0.
        row: usize,
        /// The column's name, or empty for a vector.
        column: String,
    },
    /// Times do not increase strictly.
    #[error("row {row} at {current} does not come after {previous}")]
    OutOfOrder {
        /// The row, from 0.
        row: usize,
        /// The time before it.
        previous: crate::Timestamp,
        /// Its own time.
        current: crate::Timestamp,
    },
    /// Features differ, in name or in order, from those a model was fitted on.
    #[error("feature {index} is {actual:?}, the model was fitted with {expected:?} there")]
    FeatureMismatch {
        /// The first position that differs.
        index: usize,
        /// The name at fit, `None` past the end.
        expected: Option<String>,
        /// The name given, `None` past the end.
        actual: Option<String>,
    },
    /// A saved model cannot be loaded.
    #[error("artifact refused: {reason}")]
    Artifact {
        /// Why.
        reason: String,
    },
    /// A computation left the range of numbers (an overflow, a singular matrix, a diverging fit).
    #[error("{what}: {reason}")]
    Numerical {
        /// The computation.
        what: &'static str,
        /// What happened.
        reason: String,
    },
    /// The caller asked to stop.
    #[error("cancelled")]
    Cancelled,
    /// A component failed; its own error is the source.
    #[error("{component} failed")]
    Component {
        /// The component.
        component: &'static str,
        /// Whether trying again may help.
        transient: bool,
        /// Its error.
        #[source]
        source: Box<dyn StdError + Send + Sync + 'static>,
    },
}

impl Error {
    /// Makes an [`Error::InvalidParameter`]: ``parameter `window` must be >= 1, got 0``.
    pub fn invalid_parameter(
        name: &'static str,
        requirement: impl Into<String>,
        value: impl ToString,
    ) -> Self {
        Self::InvalidParameter { name, requirement: requirement.into(), value: value.to_string() }
    }

    /// Makes an [`Error::Shape`].
    pub fn shape(
        what: &'static str,
        expected: impl Into<String>,
        actual: impl Into<String>,
    ) -> Self {
        Self::Shape { what, expected: expected.into(), actual: actual.into() }
    }

    /// Makes an [`Error::NotEnoughData`].
    pub fn not_enough_data(what: impl Into<String>, needed: usize, available: usize) -> Self {
        Self::NotEnoughData { what: what.into(), needed, available }
    }

    /// Makes an [`Error::Numerical`].
    pub fn numerical(what: &'static str, reason: impl Into<String>) -> Self {
        Self::Numerical { what, reason: reason.into() }
    }

    /// Makes an [`Error::Artifact`].
    pub fn artifact(reason: impl Into<String>) -> Self {
        Self::Artifact { reason: reason.into() }
    }

    /// Makes an [`Error::Parse`], keeping the first 64 characters of the text.
    pub fn parse(expected: &'static str, text: &str) -> Self {
        Self::Parse { expected, text: text.chars().take(64).collect() }
    }

    /// Wraps a component's own error.
    pub fn component(
        component: &'static str,
        source: impl Into<Box<dyn StdError + Send + Sync + 'static>>,
    ) -> Self {
        Self::Component { component, transient: false, source: source.into() }
    }

    /// Whether the same call may succeed later (a time-out, a busy server).
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Component { transient: true, .. })
    }

    /// Whether more rows would help.
    pub fn is_not_enough_data(&self) -> bool {
        matches!(self, Self::NotEnoughData { .. })
    }

    /// Whether an argument is at fault, so that the same call can never succeed.
    pub fn is_invalid_input(&self) -> bool {
        matches!(
            self,
            Self::InvalidParameter { .. }
                | Self::InvalidCandle { .. }
                | Self::Parse { .. }
                | Self::Record { .. }
                | Self::Shape { .. }
                | Self::NonFinite { .. }
                | Self::OutOfOrder { .. }
                | Self::FeatureMismatch { .. }
        )
    }

    /// Whether the caller asked to stop.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Cancelled)
    }
}
