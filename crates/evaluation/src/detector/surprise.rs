use forecastle_core::{Error, Result};
use nalgebra::{Cholesky, DMatrix, DVector};

/// Bars whose returns every column is first explained by.
const RETURN_LAGS: usize = 10;

/// Windows over which the close is held against its mean, for markets that return to one.
const MEAN_WINDOWS: [usize; 3] = [5, 20, 100];

/// Returns and surprises are cut to plus and minus this many standard deviations.
const CLIP: f64 = 5.0;

/// Complete rows below which a column is not judged.
pub(super) const LEAST_ROWS: usize = 100;

/// What the closes say by themselves.
#[derive(Debug)]
pub(super) struct Market {
    pub(super) log_close: Vec<f64>,
    /// The return into each row, clipped; 0 in the first.
    pub(super) returns: Vec<f64>,
    /// What was known at each row, standardised; `None` where history is too short.
    known: Vec<Option<Vec<f64>>>,
    pub(super) max_lead: usize,
}

impl Market {
    pub(super) fn new(closes: &[f64], max_lead: usize) -> Self {
        let log_close: Vec<f64> = closes.iter().map(|c| c.ln()).collect();
        let mut returns = vec![0.0];
        returns.extend(log_close.windows(2).map(|pair| pair[1] - pair[0]));
        returns.truncate(log_close.len());
        clip(&mut returns);
        let mut sums = vec![0.0];
        let origin = log_close.first().copied().unwrap_or(0.0);
        sums.extend(log_close.iter().scan(0.0, |sum, c| {
            *sum += c - origin;
            Some(*sum)
        }));
        let known = |t: usize| -> Option<Vec<f64>> {
            let longest = MEAN_WINDOWS.iter().fold(RETURN_LAGS, |m, w| m.max(*w));
            (t + 1).checked_sub(longest)?;
            let mut row = vec![1.0];
            row.extend((0..RETURN_LAGS).map(|lag| returns[t - lag]));
            let deviation =
                |w: usize| log_close[t] - origin - (sums[t + 1] - sums[t + 1 - w]) / w as f64;
            row.extend(MEAN_WINDOWS.map(deviation));
            Some(row)
        };
        let mut known: Vec<_> = (0..log_close.len()).map(known).collect();
        standardise(&mut known);
        Self { log_close, returns, known, max_lead }
    }

    /// What of the column was not known; a cell is `None` where something is missing, all is `None`
    /// when the column does not vary, and 0 everywhere when closes say all there is.
    pub(super) fn surprise(&self, values: &[f64]) -> Result<Option<Vec<Option<f64>>>> {
        let centre = mean(values.iter().copied().filter(|v| v.is_finite()));
        let spread =
            mean(values.iter().filter(|v| v.is_finite()).map(|v| (v - centre) * (v - centre)))
                .sqrt();
        if spread.is_nan() || spread <= 1e-12 * centre.abs() {
            return Ok(None);
        }
        let scaled = |t: usize| {
            let value = (values.get(t)? - centre) / spread;
            value.is_finite().then_some(value)
        };
        let row = |t: usize| {
            let known = self.known.get(t)?.as_ref()?;
            Some((known, scaled(t.checked_sub(1)?)?, scaled(t)?))
        };
        let width = self.known.iter().flatten().next().map_or(0, Vec::len) + 1;
        let mut gram = DMatrix::<f64>::zeros(width, width);
        let mut products = DVector::<f64>::zeros(width);
        let mut regressors = vec![0.0; width];
        let fill = |regressors: &mut [f64], known: &[f64], before: f64| {
            let all = known.iter().chain(std::iter::once(&before));
            regressors.iter_mut().zip(all).for_each(|(slot, v)| *slot = *v);
        };
        let mut n = 0.0;
        for (known, before, now) in (0..values.len()).filter_map(row) {
            fill(&mut regressors, known, before);
            for (i, a) in regressors.iter().enumerate() {
                products[i] += a * now;
                for (j, b) in regressors.iter().enumerate().take(i + 1) {
                    gram[(i, j)] += a * b;
                }
            }
            n += 1.0;
        }
        if n < LEAST_ROWS as f64 {
            return Ok(None);
        }
        gram.fill_upper_triangle_with_lower_triangle();
        for i in 0..width {
            // Columns that are functions of each other share the weight.
            gram[(i, i)] += 1e-9 * n;
        }
        let Some(solver) = Cholesky::new(gram) else {
            return Err(Error::numerical("look-ahead scan", "a singular fit"));
        };
        let weights = solver.solve(&products);
        let mut surprise: Vec<Option<f64>> = (0..values.len())
            .map(|t| {
                let (known, before, now) = row(t)?;
                fill(&mut regressors, known, before);
                let explained: f64 = regressors.iter().zip(&weights).map(|(a, w)| a * w).sum();
                Some(now - explained)
            })
            .collect();
        let power = mean(surprise.iter().flatten().map(|u| u * u));
        let all_known = power < 1e-6;
        let bound = CLIP * power.sqrt();
        for cell in surprise.iter_mut().flatten() {
            *cell = if all_known { 0.0 } else { cell.clamp(-bound, bound) };
        }
        Ok(Some(surprise))
    }
}

pub(super) fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, n) = values.fold((0.0, 0.0), |(sum, n), v| (sum + v, n + 1.0));
    sum / n
}

/// Cuts numbers to so many standard deviations about 0.
fn clip(values: &mut [f64]) {
    let bound = CLIP * mean(values.iter().map(|v| v * v)).sqrt();
    if bound > 0.0 {
        values.iter_mut().for_each(|v| *v = v.clamp(-bound, bound));
    }
}

/// Divides every column but the first by its root mean square.
fn standardise(rows: &mut [Option<Vec<f64>>]) {
    let width = rows.iter().flatten().next().map_or(0, Vec::len);
    for j in 1..width {
        let cells = || rows.iter().flatten().filter_map(|row| row.get(j));
        let scale = mean(cells().map(|v| v * v)).sqrt();
        if scale > 0.0 {
            let cells = rows.iter_mut().flatten().filter_map(|row| row.get_mut(j));
            cells.for_each(|v| *v /= scale);
        }
    }
}
