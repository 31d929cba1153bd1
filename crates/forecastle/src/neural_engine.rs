use std::fmt;
use std::str::FromStr;

use forecastle_core::{Error, Result};
use serde::{Deserialize, Serialize};

/// Names what GRU and Transformer compute with.
///
/// Models fitted with one load with another. The autoencoder in front of the boosted trees is small
/// and always pure Rust.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum NeuralEngine {
    /// `pure_rust`: ours; the same bits on any number of threads.
    #[default]
    PureRust,
    /// `libtorch`: libtorch on the processor; wants the feature `tch`.
    LibtorchCpu,
    /// `libtorch:cuda:N`: libtorch on a GPU; wants the feature `tch`.
    LibtorchCuda(usize),
}

impl NeuralEngine {
    /// Refuses what this build does not have.
    pub(crate) fn validate(self) -> Result<()> {
        if self != Self::PureRust && !cfg!(feature = "tch") {
            let requirement = "pure_rust in a build without the feature `tch`";
            return Err(Error::invalid_parameter("neural_engine", requirement, self));
        }
        Ok(())
    }
}

impl fmt::Display for NeuralEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PureRust => f.pad("pure_rust"),
            Self::LibtorchCpu => f.pad("libtorch"),
            Self::LibtorchCuda(index) => f.pad(&format!("libtorch:cuda:{index}")),
        }
    }
}

impl FromStr for NeuralEngine {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refuse = || {
            let requirement = "pure_rust, libtorch or libtorch:cuda:N";
            Error::invalid_parameter("neural_engine", requirement, text)
        };
        match text {
            "pure_rust" => Ok(Self::PureRust),
            "libtorch" => Ok(Self::LibtorchCpu),
            _ => {
                let index = text.strip_prefix("libtorch:cuda:").ok_or_else(refuse)?;
                Ok(Self::LibtorchCuda(index.parse().map_err(|_| refuse())?))
            }
        }
    }
}

impl TryFrom<String> for NeuralEngine {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<NeuralEngine> for String {
    fn from(engine: NeuralEngine) -> Self {
        engine.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_others_refused() {
        for engine in
            [NeuralEngine::PureRust, NeuralEngine::LibtorchCpu, NeuralEngine::LibtorchCuda(3)]
        {
            assert_eq!(engine.to_string().parse::<NeuralEngine>().unwrap(), engine);
            assert_eq!(
                engine.validate().is_ok(),
                engine == NeuralEngine::PureRust || cfg!(feature = "tch")
            );
        }
        for text in ["", "torch", "libtorch:cuda:", "libtorch:cuda:-1", "libtorch:cpu"] {
            assert!(text.parse::<NeuralEngine>().is_err(), "{text}");
        }
    }
}
