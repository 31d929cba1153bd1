use crate::network::WindowOrder;

/// Says what a network should answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answers {
    /// One number a bar, scaled: `(n_bars,)`.
    Targets(Vec<f32>),
    /// The bar's own records: an autoencoder's.
    Records,
}

/// Holds what a network learns from: every bar once, as windows of bars read it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Samples {
    /// `(n_bars, n_features)`, row-major, standardised and clipped.
    pub(crate) records: Vec<f32>,
    pub(crate) n_features: usize,
    /// The first bar there is; windows that would begin before it repeat it.
    pub(crate) first_bar: usize,
    pub(crate) answers: Answers,
    /// One weight a bar, `(n_bars,)`; `None` means 1 everywhere.
    pub(crate) weights: Option<Vec<f32>>,
}

impl Samples {
    /// Numbers in an answer.
    pub(crate) fn n_answers(&self) -> usize {
        match self.answers {
            Answers::Targets(_) => 1,
            Answers::Records => self.n_features,
        }
    }

    /// The weight of a bar.
    pub(crate) fn weight(&self, row: usize) -> f32 {
        self.weights.as_ref().map_or(1.0, |weights| weights[row])
    }

    /// The weights of several bars together.
    pub(crate) fn total_weight(&self, rows: &[usize]) -> f64 {
        rows.iter().map(|&row| f64::from(self.weight(row))).sum()
    }

    /// Writes the answers of `rows`: `(rows.len(), n_answers)`.
    pub(crate) fn answers_into(&self, rows: &[usize], out: &mut [f32]) {
        match &self.answers {
            Answers::Targets(targets) => {
                for (out, &row) in out.iter_mut().zip(rows) {
                    *out = targets[row];
                }
            }
            Answers::Records => {
                for (out, &row) in out.chunks_exact_mut(self.n_features).zip(rows) {
                    out.copy_from_slice(self.record(row));
                }
            }
        }
    }

    /// Writes the windows that end at `rows`: `lookback · rows.len()` records.
    pub(crate) fn windows_into(
        &self,
        rows: &[usize],
        lookback: usize,
        order: WindowOrder,
        out: &mut [f32],
    ) {
        let mut places = out.chunks_exact_mut(self.n_features);
        let mut put = |row: usize, back: usize| {
            if let Some(place) = places.next() {
                place.copy_from_slice(self.record(row.saturating_sub(back).max(self.first_bar)));
            }
        };
        match order {
            WindowOrder::TimeMajor => {
                for back in (0..lookback).rev() {
                    rows.iter().for_each(|&row| put(row, back));
                }
            }
            WindowOrder::SampleMajor => {
                for &row in rows {
                    (0..lookback).rev().for_each(|back| put(row, back));
                }
            }
        }
    }

    fn record(&self, row: usize) -> &[f32] {
        &self.records[row * self.n_features..(row + 1) * self.n_features]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_repeat_the_first_bar_and_lie_in_either_order() {
        let samples = Samples {
            records: vec![f32::NAN, 1.0, 2.0, 3.0],
            n_features: 1,
            first_bar: 1,
            answers: Answers::Records,
            weights: None,
        };
        let mut out = [0.0; 6];
        samples.windows_into(&[1, 3], 3, WindowOrder::SampleMajor, &mut out);
        assert_eq!(out, [1.0, 1.0, 1.0, 1.0, 2.0, 3.0]);
        samples.windows_into(&[1, 3], 3, WindowOrder::TimeMajor, &mut out);
        assert_eq!(out, [1.0, 1.0, 1.0, 2.0, 1.0, 3.0]);
        let mut answers = [0.0; 2];
        samples.answers_into(&[3, 2], &mut answers);
        assert_eq!(answers, [3.0, 2.0]);
    }
}
