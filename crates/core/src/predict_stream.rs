use std::fmt::Debug;

use crate::Result;

/// Predicts bar by bar with a state that every bar since the first has left its mark on.
///
/// Started by [`Predict::stream`](crate::Predict::stream) of a model whose lookback is
/// [`Unbounded`](crate::Lookback::Unbounded).
///
/// # Contract
/// - The `t`-th update of a fresh stream gives the bits of row `t` of
///   [`predict_into`](crate::Predict::predict_into).
/// - After an error the stream is as it was before.
/// - A restored stream goes on with the same bits.
pub trait PredictStream: Debug + Send + Sync {
    /// Takes the next bar's features, `(n_features,)`, and predicts.
    ///
    /// # Errors
    /// - [`Error::Shape`](crate::Error::Shape) when the number of features differs.
    /// - [`Error::NonFinite`](crate::Error::NonFinite) when one is a number that the model cannot
    ///   use.
    /// - [`Error::Numerical`](crate::Error::Numerical) when the state overflows.
    fn update(&mut self, record: &[f64]) -> Result<f64>;

    /// The state as bytes.
    ///
    /// # Errors
    /// - [`Error::Artifact`](crate::Error::Artifact) when it cannot be written.
    fn save(&self) -> Result<Vec<u8>>;

    /// Takes on a state that [`save`](Self::save) of the same model's stream wrote.
    ///
    /// # Errors
    /// - [`Error::Artifact`](crate::Error::Artifact) when the bytes are malformed; the stream is as
    ///   it was before.
    fn restore(&mut self, state: &[u8]) -> Result<()>;

    /// A copy that goes on by itself.
    fn boxed_clone(&self) -> Box<dyn PredictStream>;
}
