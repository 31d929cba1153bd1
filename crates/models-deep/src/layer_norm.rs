use std::ops::Range;

use pulp::{Simd, WithSimd};

use crate::aligned::Aligned;
use crate::lanes::{dot, dots, sum};
use crate::layout::{Init, Layout};
use crate::real::Real;
use crate::simd::with_simd;

/// Keeps a constant row finite; `PyTorch`'s.
const EPSILON: f64 = 1e-5;

/// Brings every row to mean 0 and variance 1, then scales and shifts each column.
///
/// # References
/// J. L. Ba, J. R. Kiros, G. E. Hinton, *Layer Normalization*, 2016, arXiv:1607.06450.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LayerNorm {
    width: usize,
    weight: Range<usize>,
    bias: Range<usize>,
}

/// What a layer norm leaves for its backward pass.
#[derive(Debug)]
pub(crate) struct LayerNormWorkspace<T> {
    /// `(n, width)`
    normalised: Aligned<T>,
    /// `(n,)`
    inverse_deviations: Aligned<T>,
    /// `(n, width)`
    pub(crate) outputs: Aligned<T>,
}

impl LayerNorm {
    /// Adds `name.weight` of ones and `name.bias` of zeros.
    pub(crate) fn new(layout: &mut Layout, name: &str, width: usize) -> Self {
        let weight = layout.add(format!("{name}.weight"), &[width], Init::Constant(1.0));
        let bias = layout.add(format!("{name}.bias"), &[width], Init::Constant(0.0));
        Self { width, weight, bias }
    }

    /// Room for up to `n` rows.
    pub(crate) fn workspace<T: Real>(&self, n: usize) -> LayerNormWorkspace<T> {
        LayerNormWorkspace {
            normalised: Aligned::new(T::ZERO, n * self.width),
            inverse_deviations: Aligned::new(T::ZERO, n),
            outputs: Aligned::new(T::ZERO, n * self.width),
        }
    }

    /// Leaves its result in the workspace's `outputs`.
    ///
    /// - `inputs`: `(n, width)`
    pub(crate) fn forward<T: Real>(
        &self,
        weights: &[T],
        inputs: &[T],
        workspace: &mut LayerNormWorkspace<T>,
    ) {
        with_simd(Forward {
            norm: self,
            scale: &weights[self.weight.clone()],
            shift: &weights[self.bias.clone()],
            inputs,
            workspace,
        });
    }

    /// Adds the derivative by the inputs to `d_inputs` and those by scales and shifts to
    /// `gradients`.
    ///
    /// - `d_outputs`, `d_inputs`: `(n, width)`
    pub(crate) fn backward<T: Real>(
        &self,
        weights: &[T],
        d_outputs: &[T],
        workspace: &LayerNormWorkspace<T>,
        d_inputs: &mut [T],
        gradients: &mut [T],
    ) {
        // The two lie one behind the other: see `new`.
        let (d_scale, d_shift) =
            gradients[self.weight.start..self.bias.end].split_at_mut(self.width);
        let scale = &weights[self.weight.clone()];
        with_simd(Backward { norm: self, scale, d_outputs, workspace, d_inputs, d_scale, d_shift });
    }
}

struct Forward<'a, T> {
    norm: &'a LayerNorm,
    scale: &'a [T],
    shift: &'a [T],
    inputs: &'a [T],
    workspace: &'a mut LayerNormWorkspace<T>,
}

impl<T: Real> WithSimd for Forward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { norm: &LayerNorm { width, .. }, scale, shift, inputs, workspace } = self;
        let rows = inputs
            .chunks_exact(width)
            .zip(workspace.normalised.chunks_exact_mut(width))
            .zip(workspace.outputs.chunks_exact_mut(width))
            .zip(workspace.inverse_deviations.iter_mut());
        let n = T::from_f64(1.0 / width as f64);
        for (((input, normalised), output), inverse) in rows {
            let mean = sum(simd, input) * n;
            for (normalised, &x) in normalised.iter_mut().zip(input) {
                *normalised = x - mean;
            }
            let variance = dot(simd, normalised, normalised) * n;
            *inverse = T::ONE / (variance + T::from_f64(EPSILON)).sqrt();
            let columns = normalised.iter_mut().zip(output).zip(scale).zip(shift);
            for (((normalised, output), &scale), &shift) in columns {
                *normalised *= *inverse;
                *output = *normalised * scale + shift;
            }
        }
    }
}

struct Backward<'a, T> {
    norm: &'a LayerNorm,
    scale: &'a [T],
    d_outputs: &'a [T],
    workspace: &'a LayerNormWorkspace<T>,
    d_inputs: &'a mut [T],
    d_scale: &'a mut [T],
    d_shift: &'a mut [T],
}

impl<T: Real> WithSimd for Backward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { norm: &LayerNorm { width, .. }, scale, d_scale, d_shift, .. } = self;
        let rows = self
            .d_outputs
            .chunks_exact(width)
            .zip(self.d_inputs.chunks_exact_mut(width))
            .zip(self.workspace.normalised.chunks_exact(width))
            .zip(&*self.workspace.inverse_deviations);
        let n = T::from_f64(1.0 / width as f64);
        for (((d_output, d_input), normalised), &inverse) in rows {
            let columns = d_output.iter().zip(normalised);
            let sums = columns.zip(d_scale.iter_mut().zip(d_shift.iter_mut()));
            for ((&d, &x), (d_scale, d_shift)) in sums {
                *d_scale += d * x;
                *d_shift += d;
            }
            // The means of d · scale, plain and times the normalised numbers.
            let means = dots(simd, d_output, scale, normalised);
            let [mean, product] = means.map(
                #[inline(always)]
                |sum| sum * n,
            );
            let columns = d_input.iter_mut().zip(d_output).zip(scale).zip(normalised);
            for (((d_input, &d), &scale), &x) in columns {
                *d_input += inverse * (d * scale - mean - x * product);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradient_check::{noise, worst_error};

    #[test]
    fn rows_come_out_with_mean_0_and_variance_1() {
        for width in [2, 16, 21] {
            let mut layout = Layout::default();
            let norm = LayerNorm::new(&mut layout, "norm", width);
            let weights: Vec<f64> = layout.draw(0).into_iter().map(f64::from).collect();
            let inputs: Vec<f64> = noise(1, 3 * width).iter().map(|x| 500.0 * x + 1e4).collect();
            let mut workspace = norm.workspace(3);
            norm.forward(&weights, &inputs, &mut workspace);
            for row in workspace.outputs.chunks_exact(width) {
                let n = width as f64;
                let mean = row.iter().sum::<f64>() / n;
                let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
                assert!(mean.abs() < 1e-12 && (variance - 1.0).abs() < 1e-4, "{mean} {variance}");
            }
        }
    }

    #[test]
    fn a_constant_row_becomes_the_shift() {
        let mut layout = Layout::default();
        let norm = LayerNorm::new(&mut layout, "norm", 3);
        let mut workspace = norm.workspace(1);
        norm.forward(&[1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0], &[7e8; 3], &mut workspace);
        assert_eq!(*workspace.outputs, [4.0, 5.0, 6.0]);
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        for width in [1, 5, 16, 19] {
            let n = 3;
            let mut layout = Layout::default();
            let norm = LayerNorm::new(&mut layout, "norm", width);
            let weights = noise(1, layout.len());
            let inputs = noise(2, n * width);
            let pull = noise(3, n * width);
            let loss = |weights: &[f64], inputs: &[f64]| {
                let mut workspace = norm.workspace(n);
                norm.forward(weights, inputs, &mut workspace);
                workspace.outputs.iter().zip(&pull).map(|(y, p)| y * p).sum::<f64>()
            };
            let mut workspace = norm.workspace(n + 1);
            norm.forward(&weights, &inputs, &mut workspace);
            let mut d_inputs = vec![1.0; n * width];
            let mut gradients = vec![1.0; layout.len()];
            norm.backward(&weights, &pull, &workspace, &mut d_inputs, &mut gradients);
            d_inputs.iter_mut().chain(&mut gradients).for_each(|d| *d -= 1.0);
            let worst = worst_error(&weights, &gradients, |weights| loss(weights, &inputs));
            assert!(worst < 1e-6, "{width}: {worst:e}");
            if width > 1 {
                let worst = worst_error(&inputs, &d_inputs, |inputs| loss(&weights, inputs));
                assert!(worst < 1e-6, "{width}: {worst:e}");
            }
        }
    }
}
