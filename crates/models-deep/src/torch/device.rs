use std::fmt;
use std::str::FromStr;

use forecastle_core::{Error, Result};
use serde::{Deserialize, Serialize};

/// Says where libtorch computes.
///
/// # Examples
/// ```
/// use forecastle_models_deep::Device;
///
/// assert_eq!("cuda:1".parse::<Device>()?, Device::Cuda(1));
/// assert_eq!(Device::default().to_string(), "cpu");
/// # Ok::<(), forecastle_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Device {
    /// The processor.
    #[default]
    Cpu,
    /// One of NVIDIA's GPUs, by its number from 0.
    Cuda(usize),
}

impl Device {
    /// The first GPU where libtorch sees one, the processor elsewhere.
    pub fn best() -> Self {
        if n_gpus() > 0 { Self::Cuda(0) } else { Self::Cpu }
    }

    /// As libtorch calls it.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] when there is no such GPU, or libtorch was built without CUDA.
    pub(crate) fn open(self) -> Result<tch::Device> {
        match self {
            Self::Cpu => Ok(tch::Device::Cpu),
            Self::Cuda(index) if index < n_gpus() => Ok(tch::Device::Cuda(index)),
            Self::Cuda(_) => {
                let requirement = match n_gpus() {
                    0 => "`cpu`, as libtorch sees no CUDA device".to_owned(),
                    n => format!("`cpu` or `cuda:0` to `cuda:{}`", n - 1),
                };
                Err(Error::invalid_parameter("device", requirement, self))
            }
        }
    }
}

fn n_gpus() -> usize {
    usize::try_from(tch::Cuda::device_count()).unwrap_or(0)
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

/// Reads `cpu`, `cuda` (the first GPU) and `cuda:1`.
impl FromStr for Device {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let index = text.strip_prefix("cuda:").map(str::parse);
        match (text, index) {
            ("cpu", _) => Ok(Self::Cpu),
            ("cuda", _) => Ok(Self::Cuda(0)),
            (_, Some(Ok(index))) => Ok(Self::Cuda(index)),
            _ => Err(Error::parse("device (cpu, cuda or cuda:0)", text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_read_as_they_are_written() {
        for device in [Device::Cpu, Device::Cuda(0), Device::Cuda(13)] {
            assert_eq!(device.to_string().parse::<Device>().unwrap(), device);
        }
        assert_eq!("cuda".parse::<Device>().unwrap(), Device::Cuda(0));
        for wrong in ["", "gpu", "cuda:", "cuda:-1", "CPU"] {
            assert!(wrong.parse::<Device>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_gpu_that_is_not_there_is_refused_by_name() {
        assert_eq!(Device::Cpu.open().unwrap(), tch::Device::Cpu);
        let error = Device::Cuda(4_000).open().unwrap_err();
        assert!(error.is_invalid_input());
        assert!(error.to_string().contains("got cuda:4000"), "{error}");
        assert!(Device::best().open().is_ok());
    }
}
