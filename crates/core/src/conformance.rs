//! Suites that every implementation of the core traits runs in its own tests.
//!
//! A suite returns the first [`Violation`] it finds; a test unwraps it. [`heard`] keeps what a computation
//! tells through `tracing`.
//!
//! ```no_run
//! # fn check(model: &dyn forecastle_core::DynFit) -> Result<(), forecastle_core::conformance::Violation> {
//! use forecastle_core::conformance::{ModelSuite, noise};
//!
//! ModelSuite::new(noise(7, 400, 3)?).check(model, |artifact| {
//!     // load the artifact with the model's own `Load`
//! #   Err(forecastle_core::Error::artifact(artifact.kind()))
//! })
//! # }
//! ```

mod heard;

pub use heard::heard;

use std::fmt;

use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2, ShapeBuilder, s};

use crate::{
    Artifact, CandleSeries, Dataset, DynFit, Error, FeatureTable, Lookback, Predict, PredictExt,
    Result, Rows, Timestamp, Transform, TransformExt,
};

/// Says which rule of a trait's contract an implementation breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation(String);

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Violation {}

impl From<Error> for Violation {
    fn from(error: Error) -> Self {
        Self(format!("unexpected error: {error}"))
    }
}

fn ensure(holds: bool, rule: impl FnOnce() -> String) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(Violation(rule())) }
}

/// A small deterministic generator (`SplitMix64`), so that the suites need no dependency.
#[derive(Debug, Clone)]
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    /// About standard normal: twelve uniforms, centred.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| (self.next() >> 11) as f64 / (1_u64 << 53) as f64).sum::<f64>() - 6.0
    }
}

/// Makes a table of noise columns and a target that is a noisy function of them.
///
/// # Errors
/// None in practice: shapes agree and names are numbered.
pub fn noise(seed: u64, n_bars: usize, n_features: usize) -> Result<(FeatureTable, Array1<f64>)> {
    let mut random = SplitMix(seed);
    let values = Array2::from_shape_simple_fn((n_bars, n_features).f(), || random.normal());
    let signal = |i: usize| {
        let first = values.get([i, 0]).copied().unwrap_or(0.0);
        let last = values.get([i, n_features.saturating_sub(1)]).copied().unwrap_or(0.0);
        0.5 * first + last.max(0.0)
    };
    let targets: Array1<f64> = (0..n_bars).map(|i| signal(i) + 0.3 * random.normal()).collect();
    let names: Vec<String> = (0..n_features).map(|j| format!("x{j}")).collect();
    let times: Vec<_> = (0..n_bars as i64).map(|t| Timestamp::from_millis(t * 60_000)).collect();
    Ok((FeatureTable::new(&names, &times, values)?, targets))
}

/// Checks a [`Transform`]: shapes, distinct names, warm-up, batch == stream bit for bit, causality
/// at `cuts` random rows.
///
/// # Errors
/// The first [`Violation`].
pub fn transform(
    transform: &dyn Transform,
    candles: &CandleSeries,
    cuts: usize,
    seed: u64,
) -> Result<(), Violation> {
    let view = candles.view();
    let table = transform.transform(view)?;
    let (n, width) = table.values().dim();

    let mut wrong = Array2::zeros((n, width + 1));
    let refused = transform.transform_into(view, &mut wrong);
    ensure(matches!(refused, Err(Error::Shape { .. })), || {
        "an output with one column too many is not refused".into()
    })?;
    transform.transform(view.slice(0..0))?;

    let mut row_major = Array2::zeros((n, width));
    transform.transform_into(view, &mut row_major)?;
    same(&row_major, table.values(), "row-major output", "column-major output", &table)?;

    let warm_up = transform.warm_up();
    let complete = |i: usize| table.values().row(i).iter().all(|v| v.is_finite());
    if let Some(i) = (warm_up..n).find(|&i| !complete(i)) {
        return Err(Violation(format!("row {i} is not ready though warm_up() is {warm_up}")));
    }
    ensure(warm_up == 0 || n < warm_up || !complete(warm_up - 1), || {
        format!("row {} is ready though warm_up() is {warm_up}", warm_up - 1)
    })?;

    let mut stream = transform.stream();
    let mut streamed = Array2::from_elem((n, width), f64::NAN);
    for (candle, mut row) in view.iter().zip(streamed.rows_mut()) {
        if let Some(row) = row.as_slice_mut() {
            stream.update(&candle, row);
        }
    }
    same(&streamed, table.values(), "the stream", "the batch", &table)?;

    let mut random = SplitMix(seed);
    for _ in 0..cuts {
        let k = random.below(n + 1);
        let cut = transform.transform(view.slice(0..k))?;
        let whole = table.slice(0..k);
        same(cut.values(), whole.values(), &format!("T(x[..{k}])"), "T(x)[..k]", &table)?;
    }

    let mut stream = transform.stream();
    let mut short = vec![0.5; width.saturating_sub(1)];
    view.iter().for_each(|candle| stream.update(&candle, &mut short));
    ensure(short.iter().all(|&v| v == 0.5), || "a row that is too short is written to".into())
}

fn equal(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
}

fn same(
    a: &ArrayRef2<f64>,
    b: &ArrayRef2<f64>,
    a_name: &str,
    b_name: &str,
    table: &FeatureTable,
) -> Result<(), Violation> {
    for ((i, j), &x) in a.indexed_iter() {
        let y = b[[i, j]];
        ensure(equal(x, y), || {
            let column = table.names().get(j).map_or("?", String::as_str);
            format!("column {column:?}, row {i}: {a_name} gives {x:e}, {b_name} gives {y:e}")
        })?;
    }
    Ok(())
}

/// Checks a model and its fit.
///
/// - the same seed gives the same bits with 1, 2 and 4 threads
/// - save → bytes → load → the same bits
/// - `predict(x[..k])` equals `predict(x)[..k]`; `predict_last` of `lookback` rows, or the stream,
///   saved and restored on the way, give the same bits
/// - no row after the last training row changes the fit
/// - a warm start gives the same bits with 1, 2 and 4 threads, from the saved model and from the
///   loaded one, whatever comes after the last training row; a start of another type is refused
/// - NaN is an error (unless the model takes missing values), infinity always; never a panic
/// - wrong shapes and too few rows are errors
#[derive(Debug, Clone)]
pub struct ModelSuite {
    table: FeatureTable,
    targets: Array1<f64>,
    accepts_missing: bool,
    horizon: usize,
}

impl ModelSuite {
    /// Makes a suite over a table and its targets; the first three quarters of rows are learnt from.
    pub fn new((table, targets): (FeatureTable, Array1<f64>)) -> Self {
        Self { table, targets, accepts_missing: false, horizon: 1 }
    }

    /// Says that NaN in the records means "missing" to this model.
    pub fn accepts_missing(self) -> Self {
        Self { accepts_missing: true, ..self }
    }

    /// Runs the suite.
    ///
    /// # Errors
    /// The first [`Violation`].
    pub fn check(
        &self,
        model: &dyn DynFit,
        load: impl Fn(&Artifact) -> Result<Box<dyn Predict>>,
    ) -> Result<(), Violation> {
        let n = self.table.n_rows();
        let trained = n * 3 / 4;
        let rows = Rows::from(0..trained);
        let values = self.table.values();
        let fit = |table: &ArrayRef2<f64>, rows: &Rows| -> Result<Box<dyn Predict>> {
            let names = self.table.names();
            model.fit_dyn(Dataset::new(names, table, &self.targets, rows, self.horizon)?)
        };
        let fitted = fit(values, &rows)?;
        let predicted = fitted.predict_table(&self.table)?;
        ensure(predicted.iter().all(|v| v.is_finite()), || "a prediction is not finite".into())?;
        let first = predicted.first().copied().unwrap_or(0.0);
        ensure(predicted.iter().any(|&v| !equal(v, first)), || {
            "every prediction is the same: the suite cannot tell right from wrong".into()
        })?;

        for threads in [1, 2, 4] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            let pool = pool.map_err(|e| Violation(format!("no thread pool: {e}")))?;
            let again = pool.install(|| fit(values, &rows)?.predict_table(&self.table))?;
            same_vector(&again, &predicted, &format!("{threads} threads"), "the first fit")?;
        }

        let bytes = fitted.save()?.to_bytes()?;
        let artifact = Artifact::from_bytes(&bytes)?;
        artifact.require_features(self.table.names())?;
        let loaded = load(&artifact)?;
        ensure(loaded.feature_names() == fitted.feature_names(), || {
            "feature names change on the way through a file".into()
        })?;
        ensure(loaded.lookback() == fitted.lookback(), || "lookback changes in a file".into())?;
        let again = loaded.predict_table(&self.table)?;
        same_vector(&again, &predicted, "the loaded model", "the saved one")?;
        self.check_warm_start(model, fitted.as_ref(), loaded.as_ref())?;
        let foreign = Artifact::encode("conformance-foreign", 1, self.table.names(), &1_u8)?;
        ensure(load(&foreign).is_err(), || "a foreign artifact is loaded".into())?;
        let emptied = Artifact::encode(artifact.kind(), artifact.version(), &[], &())?;
        ensure(load(&emptied).is_err(), || "an artifact without content is loaded".into())?;

        for k in [0, 1, n / 3, trained, n - 1] {
            let cut = fitted.predict(self.table.slice(0..k).values())?;
            let whole = predicted.slice(s![..k]).to_owned();
            same_vector(&cut, &whole, &format!("predict(x[..{k}])"), "predict(x)[..k]")?;
        }
        if let Lookback::Rows(lookback) = fitted.lookback() {
            for i in [lookback.saturating_sub(1), n / 2, n - 1] {
                let from = i + 1 - lookback.min(i + 1);
                let window = self.table.slice(from..i + 1);
                let alone = fitted.predict(window.values())?;
                for last in [alone.last().copied(), Some(fitted.predict_last(window.values())?)] {
                    let last = last.unwrap_or(f64::NAN);
                    ensure(equal(last, predicted[i]), || {
                        format!(
                            "row {i}: a window of {lookback} rows gives {last:e}, all rows {:e}",
                            predicted[i]
                        )
                    })?;
                }
            }
        }
        let empty = Array2::<f64>::zeros((0, self.table.n_features()));
        ensure(fitted.predict_last(&empty).is_err(), || "an empty window has a last row".into())?;
        check_stream(fitted.as_ref(), &self.table, &predicted)?;

        let mut future = values.to_owned();
        future.slice_mut(s![trained.., ..]).fill(1e3);
        let blind = fit(&future, &rows)?.predict_table(&self.table)?;
        same_vector(&blind, &predicted, "a fit beside another future", "the first fit")?;

        self.check_refusals(fitted.as_ref(), fit)
    }

    /// Fits on a window that has moved on, from the model of the first fit.
    fn check_warm_start(
        &self,
        model: &dyn DynFit,
        fitted: &dyn Predict,
        loaded: &dyn Predict,
    ) -> Result<(), Violation> {
        let n = self.table.n_rows();
        let (first, last) = (n / 8, n * 7 / 8);
        let rows = Rows::from(first..last);
        let values = self.table.values();
        let refit = |values: &ArrayRef2<f64>, start: &dyn Predict| -> Result<Array1<f64>> {
            let names = self.table.names();
            let dataset = Dataset::new(names, values, &self.targets, &rows, self.horizon)?;
            model.fit_from_dyn(dataset, start)?.predict_table(&self.table)
        };
        let predicted = refit(values, fitted)?;
        ensure(predicted.iter().all(|v| v.is_finite()), || {
            "a prediction is not finite after a warm start".into()
        })?;
        for threads in [1, 2, 4] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            let pool = pool.map_err(|e| Violation(format!("no thread pool: {e}")))?;
            let again = pool.install(|| refit(values, fitted))?;
            let name = format!("a warm start on {threads} threads");
            same_vector(&again, &predicted, &name, "the first one")?;
        }
        let again = refit(values, loaded)?;
        same_vector(&again, &predicted, "a warm start from the loaded model", "the saved one's")?;
        let mut future = values.to_owned();
        future.slice_mut(s![last.., ..]).fill(1e3);
        let blind = refit(&future, fitted)?;
        same_vector(&blind, &predicted, "a warm start beside another future", "the first one")?;
        let foreign = refit(values, &Foreign(self.table.names().to_vec()));
        ensure(matches!(foreign, Err(Error::InvalidParameter { name: "start", .. })), || {
            "a start of another type is not refused".into()
        })
    }

    fn check_refusals(
        &self,
        fitted: &dyn Predict,
        fit: impl Fn(&ArrayRef2<f64>, &Rows) -> Result<Box<dyn Predict>>,
    ) -> Result<(), Violation> {
        let n = self.table.n_rows();
        let rows = Rows::from(0..n * 3 / 4);
        for (bad, missing) in [(f64::NAN, true), (f64::INFINITY, false), (f64::NEG_INFINITY, false)]
        {
            let mut values = self.table.values().to_owned();
            values[[n / 2, 0]] = bad;
            let (learnt, told) = (fit(&values, &rows), fitted.predict(&values));
            if missing && self.accepts_missing {
                let finite = told.is_ok_and(|p| p.iter().all(|v| v.is_finite()));
                ensure(learnt.is_ok() && finite, || "a missing value is refused".into())?;
            } else {
                ensure(matches!(learnt, Err(Error::NonFinite { .. })), || {
                    format!("fit takes a record of {bad}")
                })?;
                ensure(matches!(told, Err(Error::NonFinite { .. })), || {
                    format!("predict takes a record of {bad}")
                })?;
            }
        }
        let wide = Array2::<f64>::zeros((3, self.table.n_features() + 1));
        ensure(matches!(fitted.predict(&wide), Err(Error::Shape { .. })), || {
            "predict takes a column too many".into()
        })?;
        let mut short = Array1::zeros(n + 1);
        let told = fitted.predict_into(self.table.values(), &mut short);
        ensure(matches!(told, Err(Error::Shape { .. })), || {
            "predict takes an output of another length".into()
        })?;
        ensure(
            fit(self.table.values(), &Rows::default()).is_err_and(|e| e.is_not_enough_data()),
            || "a fit without rows does not say how many are needed".into(),
        )?;
        let mut names = self.table.names().to_vec();
        names.reverse();
        let swapped =
            FeatureTable::new(&names, self.table.open_time(), self.table.values().to_owned())?;
        let told = fitted.predict_table(&swapped);
        ensure(
            self.table.n_features() < 2 || matches!(told, Err(Error::FeatureMismatch { .. })),
            || "features in another order are taken".into(),
        )
    }
}

/// Checks a model's stream against its predictions of all rows.
fn check_stream(
    fitted: &dyn Predict,
    table: &FeatureTable,
    predicted: &Array1<f64>,
) -> Result<(), Violation> {
    let Some(mut stream) = fitted.stream() else {
        return ensure(fitted.lookback() != Lookback::Unbounded, || {
            "predictions read every bar, and there is no stream".into()
        });
    };
    let mut streamed = Array1::from_elem(predicted.len(), f64::NAN);
    for (i, row) in table.values().rows().into_iter().enumerate() {
        if i % 97 == 41 {
            let state = stream.save()?;
            let mut other = fitted.stream().unwrap_or_else(|| stream.boxed_clone());
            for cut in [0, state.len() / 2, state.len().saturating_sub(1)] {
                ensure(other.restore(&state[..cut]).is_err(), || {
                    format!("{cut} of {} bytes of a state are taken", state.len())
                })?;
            }
            other.restore(&state)?;
            stream = other;
        }
        let row = row.to_vec();
        let wide = [row.as_slice(), &[0.0]].concat();
        ensure(stream.update(&wide).is_err(), || "the stream takes a column too many".into())?;
        let mut endless = row.clone();
        endless[0] = f64::INFINITY;
        ensure(stream.update(&endless).is_err(), || "the stream takes infinity".into())?;
        streamed[i] = stream.update(&row)?;
    }
    same_vector(&streamed, predicted, "the stream", "the batch")
}

/// A model that nothing but this suite makes.
#[derive(Debug)]
struct Foreign(Vec<String>);

impl Predict for Foreign {
    fn feature_names(&self) -> &[String] {
        &self.0
    }

    fn lookback(&self) -> Lookback {
        Lookback::Rows(1)
    }

    fn predict_into(&self, records: &ArrayRef2<f64>, out: &mut ArrayRef1<f64>) -> Result<()> {
        self.check_shapes(records, out)?;
        out.fill(0.0);
        Ok(())
    }

    fn save(&self) -> Result<Artifact> {
        Artifact::encode("conformance-foreign", 1, &self.0, &())
    }
}

fn same_vector(
    a: &Array1<f64>,
    b: &Array1<f64>,
    a_name: &str,
    b_name: &str,
) -> Result<(), Violation> {
    ensure(a.len() == b.len(), || format!("{a_name} and {b_name} differ in length"))?;
    match a.iter().zip(b).position(|(x, y)| !equal(*x, *y)) {
        None => Ok(()),
        Some(i) => {
            let (x, y) = (a[i], b[i]);
            Err(Violation(format!("row {i}: {a_name} gives {x:e}, {b_name} gives {y:e}")))
        }
    }
}
