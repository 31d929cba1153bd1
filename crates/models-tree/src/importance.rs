use forecastle_core::{Dataset, Error, Predict, PredictExt, Result, check_feature_names};
use ndarray::{Array1, Array2};
use rayon::prelude::*;

use crate::Boosting;
use crate::sampling::{Purpose, generator, shuffle};

impl Boosting {
    /// The share of the splits' total gain that each feature brought, `(n_features,)`, summing to 1;
    /// all 0 when no tree was split.
    ///
    /// Cheap, but drawn from the training rows alone: it favours features with many distinct
    /// values. [`permutation_importance`](Self::permutation_importance) on rows that were not
    /// learnt from is the better judge.
    #[doc(alias = "total_gain")]
    #[doc(alias = "feature_importances_")]
    pub fn gain_importance(&self) -> Array1<f64> {
        let mut importance = Array1::zeros(self.n_features());
        for (feature, gain) in self.forest().splits() {
            importance[feature] += gain;
        }
        let total = importance.sum();
        if total > 0.0 {
            importance /= total;
        }
        importance
    }

    /// How much the mean loss over the dataset's selected rows rises when one feature's values are
    /// shuffled among them, `(n_features,)`, the mean of `repeats` shuffles.
    ///
    /// About 0, of either sign, means that the forecast does as well without the feature. Features
    /// that stand in for each other share their importance, or hide it.
    ///
    /// # Errors
    /// - [`Error::FeatureMismatch`] when the dataset has other features.
    /// - [`Error::InvalidParameter`] when `repeats` is 0.
    /// - [`Error::NotEnoughData`] when fewer than two rows are selected, or none has a weight.
    ///
    /// # References
    /// L. Breiman, *Random forests*, 2001, doi:10.1023/A:1010933404324.
    pub fn permutation_importance(
        &self,
        dataset: Dataset<'_>,
        repeats: usize,
        seed: u64,
    ) -> Result<Array1<f64>> {
        check_feature_names(self.feature_names(), dataset.feature_names())?;
        if repeats == 0 {
            return Err(Error::invalid_parameter("repeats", ">= 1", repeats));
        }
        dataset.require_rows("permutation importance", 2)?;
        let (records, targets) = dataset.gather();
        let weights = dataset.gather_weights().unwrap_or_else(|| Array1::ones(targets.len()));
        let weight = weights.sum();
        if weight <= 0.0 {
            return Err(Error::not_enough_data("permutation importance over weighted rows", 1, 0));
        }
        let loss = |records: &Array2<f64>| -> Result<f64> {
            let predicted = self.predict(records)?;
            let rows = targets.iter().zip(&predicted).zip(&weights);
            let sum: f64 = rows.map(|((&y, &p), &w)| w * self.params().loss.value(y, p)).sum();
            Ok(sum / weight)
        };
        let intact = loss(&records)?;
        let mut used = vec![false; self.n_features()];
        self.forest().splits().for_each(|(feature, _)| used[feature] = true);
        let rise = |feature: usize| -> Result<f64> {
            if !used[feature] {
                return Ok(0.0);
            }
            let mut shuffled = records.clone();
            let mut column = records.column(feature).to_vec();
            let mut total = 0.0;
            for repeat in 0..repeats {
                let mut random = generator(seed, Purpose::Permutation { feature }, repeat);
                shuffle(&mut random, &mut column);
                shuffled.column_mut(feature).assign(&ndarray::aview1(&column));
                total += loss(&shuffled)? - intact;
            }
            Ok(total / repeats as f64)
        };
        let rises: Result<Vec<f64>> = (0..self.n_features()).into_par_iter().map(rise).collect();
        Ok(Array1::from(rises?))
    }
}
