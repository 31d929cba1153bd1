use forecastle_core::{Error, Result};
use ndarray::ArrayView2;

/// Keeps the newest rows of a table side by side in memory.
///
/// A row is proposed first and taken in afterwards, so that a prediction that fails leaves no trace.
#[derive(Debug, Clone)]
pub(crate) struct RowWindow {
    width: usize,
    capacity: usize,
    /// Twice the capacity, so that rows move once in `capacity` of them.
    values: Vec<f64>,
    /// One past the newest row taken in.
    end: usize,
    len: usize,
}

impl RowWindow {
    pub(crate) fn new(width: usize, capacity: usize) -> Self {
        let capacity = capacity.max(1);
        Self { width, capacity, values: vec![f64::NAN; 2 * capacity * width], end: 0, len: 0 }
    }

    /// The newest rows with this one behind them, `(1..=capacity, width)`; it is not taken in yet.
    ///
    /// # Errors
    /// - [`Error::Shape`] when it is of another width.
    pub(crate) fn propose(&mut self, row: &[f64]) -> Result<ArrayView2<'_, f64>> {
        let width = self.width;
        if row.len() != width {
            let expected = format!("{width} features");
            return Err(Error::shape("row", expected, row.len().to_string()));
        }
        if self.end == 2 * self.capacity {
            let kept = self.capacity - 1;
            self.values.copy_within((self.end - kept) * width..self.end * width, 0);
            self.end = kept;
        }
        let (from, to) = (self.end * width, (self.end + 1) * width);
        self.values[from..to].copy_from_slice(row);
        let rows = (self.len + 1).min(self.capacity);
        let view = ArrayView2::from_shape((rows, width), &self.values[to - rows * width..to]);
        view.map_err(|e| Error::component("row window", e))
    }

    /// Takes the proposed row in.
    pub(crate) fn commit(&mut self) {
        self.end = (self.end + 1).min(2 * self.capacity);
        self.len = (self.len + 1).min(self.capacity);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The rows taken in, the oldest first.
    pub(crate) fn rows(&self) -> Vec<f64> {
        self.values[(self.end - self.len) * self.width..self.end * self.width].to_vec()
    }

    /// A window with these rows taken in.
    ///
    /// # Errors
    /// - [`Error::Artifact`] when they are no rows of this width, or too many.
    pub(crate) fn with_rows(width: usize, capacity: usize, rows: &[f64]) -> Result<Self> {
        let mut window = Self::new(width, capacity);
        if width == 0 || !rows.len().is_multiple_of(width) || rows.len() > capacity * width {
            return Err(Error::artifact("rows that are no window of its features"));
        }
        for row in rows.chunks(width) {
            window.propose(row)?;
            window.commit();
        }
        Ok(window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_rows_are_seen_in_order_and_a_proposal_leaves_no_trace() {
        let mut window = RowWindow::new(2, 3);
        for t in 0..20 {
            let lost = window.propose(&[-1.0, -1.0]).unwrap().nrows();
            let row = [f64::from(t), 0.5];
            let seen = window.propose(&row).unwrap();
            assert_eq!(seen.nrows(), lost);
            let first = (t - 2).max(0);
            let times: Vec<f64> = (first..=t).map(f64::from).collect();
            assert_eq!(seen.column(0).to_vec(), times);
            window.commit();
            let copy = RowWindow::with_rows(2, 3, &window.rows()).unwrap();
            assert_eq!(copy.rows(), window.rows());
        }
        assert!(window.propose(&[1.0]).is_err());
        assert!(RowWindow::with_rows(2, 3, &[0.0; 8]).is_err());
        assert!(RowWindow::with_rows(2, 3, &[0.0; 3]).is_err());
    }
}
