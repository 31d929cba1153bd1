use serde::{Deserialize, Serialize};

use crate::real::Real;
use crate::simd::vectorised;

/// The function between the linear layers of a feed-forward network.
///
/// # Examples
/// ```
/// use forecastle_models_deep::Activation;
///
/// assert_eq!(Activation::default(), Activation::Relu);
/// ```
///
/// # References
/// D. Hendrycks, K. Gimpel, *Gaussian Error Linear Units (GELUs)*, 2016, arXiv:1606.08415.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Activation {
    /// `x`: the layers stay linear.
    #[doc(alias = "linear")]
    Identity,
    /// `max(x, 0)`.
    #[default]
    Relu,
    /// `x · Φ(x)` with the normal distribution's Φ, exact: `PyTorch`'s default, not its `tanh` form.
    Gelu,
    /// The hyperbolic tangent.
    Tanh,
}

impl Activation {
    /// `outputs = f(inputs)`; NaN stays NaN.
    pub(crate) fn forward<T: Real>(self, inputs: &[T], outputs: &mut [T]) {
        match self {
            Self::Identity => outputs.copy_from_slice(inputs),
            Self::Relu => map(inputs, outputs, relu),
            Self::Gelu => map(inputs, outputs, gelu),
            Self::Tanh => map(inputs, outputs, Real::tanh),
        }
    }

    /// Multiplies `d` by the derivative: the loss's derivative by the outputs becomes that by the
    /// inputs.
    ///
    /// - `inputs`, `outputs`: as they were in [`forward`](Self::forward)
    pub(crate) fn backward<T: Real>(self, inputs: &[T], outputs: &[T], d: &mut [T]) {
        match self {
            Self::Identity => {}
            Self::Relu => scale(
                d,
                outputs,
                #[inline(always)]
                |y, d| if y > T::ZERO { d } else { T::ZERO },
            ),
            Self::Gelu => scale(
                d,
                inputs,
                #[inline(always)]
                |x, d| d * gelu_derivative(x),
            ),
            Self::Tanh => scale(
                d,
                outputs,
                #[inline(always)]
                |y, d| d * (T::ONE - y * y),
            ),
        }
    }
}

/// Keeps NaN, as `PyTorch` does: a hidden NaN would look like learning.
#[inline(always)]
fn relu<T: Real>(x: T) -> T {
    if x < T::ZERO { T::ZERO } else { x }
}

/// `Φ(x)` of the standard normal distribution.
#[inline(always)]
fn normal<T: Real>(x: T) -> T {
    let half = T::from_f64(0.5);
    half + half * (x * T::from_f64(std::f64::consts::FRAC_1_SQRT_2)).erf()
}

#[inline(always)]
fn gelu<T: Real>(x: T) -> T {
    x * normal(x)
}

#[inline(always)]
fn gelu_derivative<T: Real>(x: T) -> T {
    const DENSITY_AT_0: f64 = 0.398_942_280_401_432_7;
    let density = T::from_f64(DENSITY_AT_0) * (x * x * T::from_f64(-0.5)).exp();
    normal(x) + x * density
}

fn map<T: Real>(inputs: &[T], outputs: &mut [T], f: impl Fn(T) -> T) {
    vectorised(
        #[inline(always)]
        || {
            for (y, &x) in outputs.iter_mut().zip(inputs) {
                *y = f(x);
            }
        },
    );
}

fn scale<T: Real>(d: &mut [T], at: &[T], f: impl Fn(T, T) -> T) {
    vectorised(
        #[inline(always)]
        || {
            for (d, &at) in d.iter_mut().zip(at) {
                *d = f(at, *d);
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradient_check::{noise, worst_error};

    const ALL: [Activation; 4] =
        [Activation::Identity, Activation::Relu, Activation::Gelu, Activation::Tanh];

    #[test]
    fn values_are_those_of_pytorch() {
        // torch 2.13.0: torch.nn.functional.gelu, relu, tanh of these inputs in float64.
        let inputs = [-3.0, -0.5, 0.0, 0.7, 2.0];
        let gelu = [
            -0.004_049_694_094_890_31,
            -0.154_268_769_362_993_44,
            0.0,
            0.530_625_443_443_848_9,
            1.954_499_736_103_641_6,
        ];
        let tanh = inputs.map(f64::tanh);
        let wanted = [inputs, [0.0, 0.0, 0.0, 0.7, 2.0], gelu, tanh];
        for (activation, wanted) in ALL.into_iter().zip(wanted) {
            let mut outputs = [9.0; 5];
            activation.forward(&inputs, &mut outputs);
            let mut single = [9.0_f32; 5];
            activation.forward(&inputs.map(|x| x as f32), &mut single);
            for ((y, z), wanted) in outputs.into_iter().zip(single).zip(wanted) {
                assert!((y - wanted).abs() < 1e-15, "{activation:?}: {y} {wanted}");
                assert!((f64::from(z) - wanted).abs() < 3e-7, "{activation:?}: {z} {wanted}");
            }
        }
    }

    #[test]
    fn derivatives_agree_with_finite_differences() {
        let inputs = noise(1, 40);
        let pull = noise(2, 40);
        for activation in ALL {
            let mut outputs = vec![0.0; 40];
            let mut loss = |inputs: &[f64]| {
                activation.forward(inputs, &mut outputs);
                outputs.iter().zip(&pull).map(|(y, p)| y * p).sum::<f64>()
            };
            loss(&inputs);
            let mut d = pull.clone();
            let mut outputs = vec![0.0; 40];
            activation.forward(&inputs, &mut outputs);
            activation.backward(&inputs, &outputs, &mut d);
            let worst = worst_error(&inputs, &d, loss);
            assert!(worst < 1e-8, "{activation:?}: {worst:e}");
        }
    }

    #[test]
    fn nan_is_not_hidden() {
        for activation in ALL {
            let mut outputs = [0.0_f32];
            activation.forward(&[f32::NAN], &mut outputs);
            assert!(outputs[0].is_nan(), "{activation:?}");
        }
    }

    #[test]
    fn names_are_written_in_snake_case() {
        assert_eq!(serde_json::to_string(&Activation::Gelu).unwrap(), "\"gelu\"");
        assert!(serde_json::from_str::<Activation>("\"swish\"").is_err());
    }
}
