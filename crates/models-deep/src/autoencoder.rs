use forecastle_core::{Error, PredictExt, Result};
use ndarray::{Array2, ArrayRef2};
use rayon::prelude::*;

use crate::autoencoder_params::AutoencoderParams;
use crate::network::Network;
use crate::neural_model::NeuralModel;
use crate::prepared::standardise_into;

/// Rows that one task works on.
const CHUNK: usize = 128;

/// Squeezes rows into latents and rebuilds them; made by [`AutoencoderParams`].
///
/// As a [`Predict`](forecastle_core::Predict) it gives the mean squared error of each row's
/// reconstruction in scaled units: how unlike the training rows a row is.
pub type Autoencoder = NeuralModel<AutoencoderParams>;

impl Autoencoder {
    /// Number of latents.
    pub fn n_latents(&self) -> usize {
        self.params().latents
    }

    /// Names for the latents as columns of a table: `latent_1`, `latent_2`, …
    pub fn latent_names(&self) -> Vec<String> {
        (1..=self.n_latents()).map(|i| format!("latent_{i}")).collect()
    }

    /// Computes the latents of every row; the same bits for a row whatever rows are beside it.
    ///
    /// - `records`: `(n_bars, n_features)`
    /// - `latents`: `(n_bars, n_latents)`
    ///
    /// # Errors
    /// - [`Error::Shape`] when the shapes do not fit.
    /// - [`Error::NonFinite`] when a row is incomplete.
    /// - [`Error::Numerical`] when a latent leaves the range of numbers.
    pub fn encode_into(
        &self,
        records: &ArrayRef2<f64>,
        latents: &mut ArrayRef2<f64>,
    ) -> Result<()> {
        let wanted = (records.nrows(), self.n_latents());
        if latents.dim() != wanted {
            let (rows, columns) = wanted;
            let expected = format!("{rows} rows of {columns} columns");
            return Err(Error::shape("latents", expected, format!("{:?}", latents.dim())));
        }
        let computed = self.rows_through(records, wanted.1, |record, workspace, out| {
            self.network().encode(self.weights(), record, workspace, out);
        })?;
        let mut numbers = computed.into_iter();
        for mut row in latents.rows_mut() {
            row.iter_mut().zip(numbers.by_ref()).for_each(|(out, z)| *out = f64::from(z));
        }
        Ok(())
    }

    /// Computes the latents of every row into a fresh array, `(n_bars, n_latents)`.
    ///
    /// # Errors
    /// As [`encode_into`](Self::encode_into).
    pub fn encode(&self, records: &ArrayRef2<f64>) -> Result<Array2<f64>> {
        let mut latents = Array2::zeros((records.nrows(), self.n_latents()));
        self.encode_into(records, &mut latents)?;
        Ok(latents)
    }

    /// Squeezes and rebuilds every row, in the features' own units: `(n_bars, n_features)`.
    ///
    /// # Errors
    /// - [`Error::Shape`] when the number of columns differs.
    /// - [`Error::NonFinite`] when a row is incomplete.
    /// - [`Error::Numerical`] when a result leaves the range of numbers.
    pub fn reconstruct(&self, records: &ArrayRef2<f64>) -> Result<Array2<f64>> {
        let width = records.ncols();
        let computed = self.rows_through(records, width, |record, workspace, out| {
            self.network().predict_one(self.weights(), record, workspace, out);
        })?;
        let (mean, scale) = (self.standardizer().mean(), self.standardizer().scale());
        Ok(Array2::from_shape_fn(records.dim(), |(i, j)| {
            mean[j] + scale[j] * f64::from(computed[i * width + j])
        }))
    }

    /// Puts every row through a part of the network: `(n_bars, n_outputs)`.
    fn rows_through(
        &self,
        records: &ArrayRef2<f64>,
        n_outputs: usize,
        work: impl Fn(&[f32], &mut Workspace, &mut [f32]) + Sync,
    ) -> Result<Vec<f32>> {
        let width = self.standardizer().mean().len();
        if records.ncols() != width {
            let expected = format!("{width} columns");
            return Err(Error::shape("records", expected, records.ncols().to_string()));
        }
        self.check_complete(records)?;
        let mut scaled = Vec::new();
        standardise_into(self.standardizer(), records, records.nrows(), &mut scaled);
        let mut outputs = vec![0.0; records.nrows() * n_outputs];
        let chunk = |(outputs, records): (&mut [f32], &[f32])| {
            self.with_scratch(|scratch| {
                let rows = outputs.chunks_exact_mut(n_outputs).zip(records.chunks_exact(width));
                rows.for_each(|(out, record)| work(record, &mut scratch.workspace, out));
            });
        };
        let parts = outputs.par_chunks_mut(CHUNK * n_outputs);
        parts.zip(scaled.par_chunks(CHUNK * width)).for_each(chunk);
        match outputs.iter().position(|v| !v.is_finite()) {
            None => Ok(outputs),
            Some(i) => {
                let reason = format!("row {} leaves the range of numbers", i / n_outputs);
                Err(Error::numerical("autoencoder", reason))
            }
        }
    }
}

type Workspace = <crate::autoencoder_network::AutoencoderNetwork as Network>::Workspace<f32>;
