use std::fmt;

use forecastle_core::{Error, Result, Rows};
use serde::{Deserialize, Serialize};

/// Reports whether training labels share bars with test labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SplitCheck {
    /// Training rows.
    pub n_train: usize,
    /// Test rows.
    pub n_test: usize,
    /// Bars a label reaches ahead.
    pub horizon: usize,
    /// Rows in both.
    pub n_shared: usize,
    /// Training rows whose label shares a bar with a test row's label, those in both included.
    pub n_overlapping: usize,
    /// Training rows after the first test row: no leak by itself, but no walk forward either.
    pub n_later: usize,
    /// The first such pair of a training and a test row.
    pub first: Option<(usize, usize)>,
}

impl SplitCheck {
    /// Whether no training label shares a bar with a test label.
    pub fn is_clean(&self) -> bool {
        self.n_overlapping == 0
    }
}

impl fmt::Display for SplitCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let &Self { n_train, n_overlapping, horizon, first, .. } = self;
        match first {
            None => write!(f, "no label of {n_train} training rows reaches into the test rows'"),
            Some((train, test)) => write!(
                f,
                "{n_overlapping} of {n_train} training labels overlap test labels ({horizon} bars \
                 long), first row {train} with test row {test}"
            ),
        }
    }
}

/// Counts the training rows whose labels share bars with the test rows' labels.
///
/// The label of row t is made of the bars t + 1 to t + `horizon`, so two labels share a bar when their
/// rows lie less than a horizon apart. A model that has seen one has seen part of the other: that is
/// how shuffled folds make skill out of noise, which [`leak_meter`](crate::leak_meter) measures.
///
/// # Errors
/// - [`Error::InvalidParameter`] when the horizon is 0.
/// - [`Error::NotEnoughData`] when there is no training or no test row.
///
/// # Examples
/// ```
/// use forecastle_core::{PurgedKFold, Rows};
/// use forecastle_evaluation::check_split;
///
/// let folds = PurgedKFold { n_folds: 5, horizon: 5, embargo: 0 };
/// for split in folds.split(0..500)? {
///     assert!(check_split(&split.train, &Rows::from(split.test), 5)?.is_clean());
/// }
/// // Every fifth row held out: each of them lies among training rows.
/// let train = Rows::new((0..100).map(|k| 5 * k + 1..5 * k + 5))?;
/// let test = Rows::new((0..100).map(|k| 5 * k..5 * k + 1))?;
/// assert_eq!(check_split(&train, &test, 5)?.n_overlapping, 400);
/// # Ok::<(), forecastle_core::Error>(())
/// ```
///
/// # References
/// M. López de Prado, *Advances in Financial Machine Learning*, 2018, section 7.4.
pub fn check_split(train: &Rows, test: &Rows, horizon: usize) -> Result<SplitCheck> {
    if horizon == 0 {
        return Err(Error::invalid_parameter("horizon", ">= 1", 0));
    }
    for (what, rows) in [("training", train), ("test", test)] {
        if rows.is_empty() {
            return Err(Error::not_enough_data(format!("the check of {what} rows"), 1, 0));
        }
    }
    let (n_train, n_test) = (train.len(), test.len());
    let mut check = SplitCheck {
        n_train,
        n_test,
        horizon,
        n_shared: 0,
        n_overlapping: 0,
        n_later: 0,
        first: None,
    };
    let first_test = test.iter().next().unwrap_or(0);
    let mut ahead = test.iter().peekable();
    let mut before: Option<usize> = None;
    for row in train.iter() {
        // The nearest test rows on either side.
        while let Some(passed) = ahead.next_if(|&t| t < row) {
            before = Some(passed);
        }
        let near = before.filter(|t| row - t < horizon);
        let near = near.or(ahead.peek().copied().filter(|t| t - row < horizon));
        check.n_shared += usize::from(ahead.peek() == Some(&row));
        check.n_later += usize::from(row > first_test);
        if let Some(other) = near {
            check.n_overlapping += 1;
            check.first = check.first.or(Some((row, other)));
        }
    }
    Ok(check)
}
