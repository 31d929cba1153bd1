use std::ops::Range;

use forecastle_core::{Error, Result};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// Says how a weight is drawn before training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    /// Every number is this one.
    Constant(f32),
    /// Uniform between minus and plus this bound.
    Uniform(f64),
    /// Normal with mean 0 and this standard deviation.
    Normal(f64),
}

/// Names one weight tensor and where it lies.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// PyTorch's name, e.g. `gru.weight_ih_l0`.
    pub name: String,
    /// Its shape; row-major.
    pub shape: Vec<usize>,
    /// Where it lies in the flat vector of weights.
    pub range: Range<usize>,
    pub init: Init,
}

/// Lists the weights of a network, which lie one after the other in one flat vector.
///
/// The optimiser, the norm of gradients, saving and the exchange between backends see that vector
/// alone; a layer keeps the ranges of its own weights.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Layout {
    parameters: Vec<Parameter>,
    len: usize,
}

impl Layout {
    /// Adds a weight tensor; returns where it lies.
    pub fn add(&mut self, name: impl Into<String>, shape: &[usize], init: Init) -> Range<usize> {
        let range = self.len..self.len + shape.iter().product::<usize>();
        self.len = range.end;
        let shape = shape.to_vec();
        self.parameters.push(Parameter { name: name.into(), shape, range: range.clone(), init });
        range
    }

    /// The weight tensors, in the order of the vector.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// Numbers in all.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Draws all weights; the same seed gives the same bits.
    pub fn draw(&self, seed: u64) -> Vec<f32> {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut uniform = || (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        let mut weights = Vec::with_capacity(self.len);
        for parameter in &self.parameters {
            for _ in parameter.range.clone() {
                weights.push(match parameter.init {
                    Init::Constant(value) => value,
                    Init::Uniform(bound) => (bound * (2.0 * uniform() - 1.0)) as f32,
                    Init::Normal(deviation) => {
                        // Box and Muller; 1 − u is never 0.
                        let radius = (-2.0 * (1.0 - uniform()).ln()).sqrt();
                        (deviation * radius * (std::f64::consts::TAU * uniform()).cos()) as f32
                    }
                });
            }
        }
        weights
    }

    /// Refuses weights of another number or that are not finite.
    ///
    /// # Errors
    /// - [`Error::Artifact`].
    pub fn check(&self, weights: &[f32]) -> Result<()> {
        if weights.len() != self.len {
            let (found, wanted) = (weights.len(), self.len);
            return Err(Error::artifact(format!("it holds {found} weights instead of {wanted}")));
        }
        let bad = |p: &&Parameter| weights[p.range.clone()].iter().any(|w| !w.is_finite());
        match self.parameters.iter().find(bad) {
            None => Ok(()),
            Some(p) => Err(Error::artifact(format!("{:?} holds a non-finite number", p.name))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_drawn_as_asked_and_the_same_for_a_seed() {
        let mut layout = Layout::default();
        let a = layout.add("a", &[100, 100], Init::Uniform(0.5));
        let b = layout.add("b", &[10_000], Init::Normal(2.0));
        let c = layout.add("c", &[3], Init::Constant(1.0));
        let weights = layout.draw(7);
        assert_eq!(weights, layout.draw(7));
        assert_ne!(weights, layout.draw(8));
        let moments = |range: Range<usize>| {
            let n = range.len() as f64;
            let mean = weights[range.clone()].iter().map(|&w| f64::from(w)).sum::<f64>() / n;
            let square = weights[range].iter().map(|&w| f64::from(w).powi(2)).sum::<f64>() / n;
            (mean, square)
        };
        assert!(weights[a.clone()].iter().all(|w| w.abs() <= 0.5));
        let (mean, square) = moments(a);
        assert!(mean.abs() < 0.01 && (square - 0.25 / 3.0).abs() < 0.003);
        let (mean, square) = moments(b);
        assert!(mean.abs() < 0.1 && (square - 4.0).abs() < 0.2);
        assert_eq!(weights[c], [1.0; 3]);
        assert!(layout.check(&weights).is_ok());
        assert!(layout.check(&weights[1..]).is_err());
    }
}
