#![allow(clippy::unwrap_used, reason = "tests")]
//! The leak meter and the look-ahead meter, with a linear model and VWAPs made here.

use forecastle_core::{Artifact, CandleView, Dataset, Fit, Lookback, Predict, PredictExt, Result};
use forecastle_evaluation::{
    LeakParams, LeakReport, LookAheadParams, LookAheadReport, leak_meter, look_ahead_meter,
};
use ndarray::{Array1, ArrayRef1, ArrayRef2};

/// Ordinary least squares with an intercept, by Gauss elimination of the normal equations.
#[derive(Debug)]
struct LeastSquares;

#[derive(Debug)]
struct Line {
    names: Vec<String>,
    intercept: f64,
    slopes: Array1<f64>,
}

impl Fit for LeastSquares {
    type Fitted = Line;

    fn fit(&self, dataset: Dataset<'_>) -> Result<Line> {
        dataset.require_complete()?;
        let (mut x, mut y) = dataset.gather();
        let (centre, level) = (x.mean_axis(ndarray::Axis(0)).unwrap(), y.mean().unwrap());
        x -= &centre;
        y -= level;
        let (mut gram, mut slopes) = (x.t().dot(&x), x.t().dot(&y));
        let p = slopes.len();
        for i in 0..p {
            for j in i + 1..p {
                let factor = gram[[j, i]] / gram[[i, i]];
                for k in i..p {
                    gram[[j, k]] -= factor * gram[[i, k]];
                }
                slopes[j] -= factor * slopes[i];
            }
        }
        for i in (0..p).rev() {
            let known: f64 = (i + 1..p).map(|k| gram[[i, k]] * slopes[k]).sum();
            slopes[i] = (slopes[i] - known) / gram[[i, i]];
        }
        let intercept = level - centre.dot(&slopes);
        Ok(Line { names: dataset.feature_names().to_vec(), intercept, slopes })
    }
}

impl Predict for Line {
    fn feature_names(&self) -> &[String] {
        &self.names
    }

    fn lookback(&self) -> Lookback {
        Lookback::Rows(1)
    }

    fn predict_into(&self, records: &ArrayRef2<f64>, out: &mut ArrayRef1<f64>) -> Result<()> {
        self.check_shapes(records, out)?;
        out.assign(&(records.dot(&self.slopes) + self.intercept));
        Ok(())
    }

    fn save(&self) -> Result<Artifact> {
        Artifact::encode("line", 1, &self.names, &(self.intercept, self.slopes.to_vec()))
    }
}

fn measure(params: LeakParams) -> LeakReport {
    leak_meter(&LeastSquares, &params).unwrap()
}

#[test]
fn shuffled_folds_see_skill_in_pure_noise_and_purged_ones_do_not() {
    let report = measure(LeakParams::default());
    assert!((report.shuffled.mean - 0.125).abs() < 0.02, "{report:?}");
    assert!(report.purged.mean.abs() < 0.03, "{report:?}");
    assert!(report.walk_forward.mean.abs() < 0.03, "{report:?}");
    // The leak is far outside of chance, and chance is resolved.
    assert!(report.shuffled.z() > 10.0 && report.purged.z().abs() < 4.0, "{report:?}");
    assert!(report.purged.standard_error < 0.01, "{report:?}");
}

#[test]
fn without_overlapping_labels_shuffling_is_harmless() {
    let report = measure(LeakParams { horizon: 1, n_runs: 100, ..LeakParams::default() });
    assert!(report.shuffled.mean.abs() < 0.02, "{report:?}");
}

#[test]
fn without_persistent_features_there_is_nothing_to_recite() {
    let report = measure(LeakParams { window: 1, n_runs: 100, ..LeakParams::default() });
    assert!(report.shuffled.mean.abs() < 0.02, "{report:?}");
}

#[test]
fn more_features_leak_more() {
    let report = measure(LeakParams { n_features: 16, n_runs: 50, ..LeakParams::default() });
    assert!(report.shuffled.mean > 0.2, "{report:?}");
    assert!(report.purged.mean.abs() < 0.05, "{report:?}");
}

#[test]
fn the_same_seed_gives_the_same_bits_and_another_seed_others() {
    let small = LeakParams { n_bars: 300, n_runs: 3, seed: 5, ..LeakParams::default() };
    assert_eq!(measure(small), measure(small));
    assert_ne!(measure(small), measure(LeakParams { seed: 6, ..small }));
    let short = LookAheadParams { n_walks: 5, ..LookAheadParams::default() };
    let fade = |params| look_ahead_meter(&params, |c| Ok(cumulative_vwap(c))).unwrap();
    assert_eq!(fade(short), fade(short));
    assert_ne!(fade(short), fade(LookAheadParams { seed: 1, ..short }));
}

#[test]
fn leak_parameters_outside_their_range_are_refused() {
    let base = LeakParams { n_bars: 200, n_runs: 2, ..LeakParams::default() };
    assert!(leak_meter(&LeastSquares, &base).is_ok());
    for bad in [
        LeakParams { n_features: 0, ..base },
        LeakParams { window: 0, ..base },
        LeakParams { horizon: 0, ..base },
        LeakParams { n_folds: 1, ..base },
        LeakParams { n_runs: 1, ..base },
        LeakParams { n_bars: 99, ..base },
    ] {
        assert!(leak_meter(&LeastSquares, &bad).unwrap_err().is_invalid_input(), "{bad:?}");
    }
}

fn weighted<'a>(candles: CandleView<'a>) -> impl Iterator<Item = (f64, f64)> + 'a {
    candles.iter().map(|c| (c.volume() * c.typical_price(), c.volume()))
}

fn cumulative_vwap(candles: CandleView<'_>) -> Vec<f64> {
    let add = |(value, volume): &mut (f64, f64), (more, traded): (f64, f64)| {
        *value += more;
        *volume += traded;
        Some(*value / *volume)
    };
    weighted(candles).scan((0.0, 0.0), add).collect()
}

fn global_vwap(candles: CandleView<'_>) -> Vec<f64> {
    let last = cumulative_vwap(candles).last().copied().unwrap();
    vec![last; candles.len()]
}

fn rolling_vwap(candles: CandleView<'_>, window: usize) -> Vec<f64> {
    let terms: Vec<(f64, f64)> = weighted(candles).collect();
    let row = |t: usize| {
        let seen = &terms[(t + 1_usize).saturating_sub(window)..=t];
        if seen.len() < window {
            return f64::NAN;
        }
        seen.iter().map(|s| s.0).sum::<f64>() / seen.iter().map(|s| s.1).sum::<f64>()
    };
    (0..terms.len()).map(row).collect()
}

fn fade(mut anchor: impl FnMut(CandleView<'_>) -> Vec<f64>) -> LookAheadReport {
    look_ahead_meter(&LookAheadParams::default(), |c| Ok(anchor(c))).unwrap()
}

#[test]
fn a_global_vwap_hits_on_random_walks_and_causal_anchors_do_not() {
    let global = fade(global_vwap);
    assert!((0.53..0.56).contains(&global.hit_rate), "{global:?}");
    for causal in
        [fade(cumulative_vwap), fade(|c| rolling_vwap(c, 96)), fade(|c| rolling_vwap(c, 20))]
    {
        assert!((causal.hit_rate - 0.5).abs() < 0.01, "{causal:?}");
        assert!(causal.standard_error < 0.005, "{causal:?}");
    }
}

#[test]
fn rows_without_an_anchor_are_left_out() {
    let all = fade(|c| rolling_vwap(c, 1));
    let ready = fade(|c| rolling_vwap(c, 96));
    assert_eq!(all.n, 300 * 495);
    assert_eq!(ready.n, 300 * (495 - 95));
}

#[test]
fn bad_anchors_and_parameters_are_refused() {
    let base = LookAheadParams { n_walks: 2, n_bars: 50, ..LookAheadParams::default() };
    let run = |params, n: usize, value: f64| look_ahead_meter(&params, |_| Ok(vec![value; n]));
    assert!(run(base, 50, 1.0).is_ok());
    assert!(run(base, 49, 1.0).unwrap_err().is_invalid_input());
    assert!(run(base, 50, f64::NAN).unwrap_err().is_not_enough_data());
    for bad in [
        LookAheadParams { n_walks: 1, ..base },
        LookAheadParams { horizon: 0, ..base },
        LookAheadParams { horizon: 50, ..base },
    ] {
        assert!(run(bad, 50, 1.0).unwrap_err().is_invalid_input(), "{bad:?}");
    }
}
