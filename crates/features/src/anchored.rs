//! The moments of typical price over a [`VwapAnchor`], row by row and in columns.
//!
//! Both give the same bits: the columns are made by the same updates in the same order, only
//! without the questions that a stretch of rows answers once.

use forecastle_core::Timestamp;
use serde::{Deserialize, Serialize};

use crate::moments::{Moments, row_weight};
use crate::window::{GROWING_BLOCK, GrowingWindow, RollingWindow};
use crate::{SessionOffset, VwapAnchor};

/// Follows the days of a session clock.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Session {
    offset: SessionOffset,
    first: i64,
    last: i64,
}

impl Session {
    /// Before any row: no instant lies inside.
    const fn new(offset: SessionOffset) -> Self {
        Self { offset, first: i64::MAX, last: i64::MIN }
    }

    /// Whether `time` begins a new session.
    #[inline(always)]
    fn begins(&mut self, time: Timestamp) -> bool {
        let millis = time.as_millis();
        let begins = millis > self.last || millis < self.first;
        if begins {
            (self.first, self.last) = self.offset.session_of(millis);
        }
        begins
    }
}

/// The moments over an anchor, row by row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum AnchoredStream {
    Rolling(RollingWindow<Moments>),
    Session(SessionStream),
    Cumulative(GrowingWindow),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SessionStream {
    session: Session,
    rows: GrowingWindow,
}

impl AnchoredStream {
    pub(crate) fn new(anchor: VwapAnchor) -> Self {
        match anchor {
            VwapAnchor::Rolling(window) => Self::Rolling(RollingWindow::new(window)),
            VwapAnchor::Session { offset } => Self::Session(SessionStream {
                session: Session::new(offset),
                rows: GrowingWindow::EMPTY,
            }),
            VwapAnchor::Cumulative => Self::Cumulative(GrowingWindow::EMPTY),
        }
    }

    /// Over which rows it is taken.
    pub(crate) fn anchor(&self) -> VwapAnchor {
        match self {
            Self::Rolling(rows) => VwapAnchor::Rolling(rows.length()),
            Self::Session(SessionStream { session, .. }) => {
                VwapAnchor::Session { offset: session.offset }
            }
            Self::Cumulative(_) => VwapAnchor::Cumulative,
        }
    }

    /// Takes a row; mean and variance, NaN before the anchor is ready.
    #[inline]
    pub(crate) fn push(&mut self, time: Timestamp, typical: f64, volume: f64) -> (f64, f64) {
        let weight = row_weight(volume);
        let moments = match self {
            Self::Rolling(rows) => match rows.push(Moments::row(weight, typical)) {
                Some(moments) => moments,
                None => return (f64::NAN, f64::NAN),
            },
            Self::Session(SessionStream { session, rows }) => {
                if session.begins(time) {
                    *rows = GrowingWindow::EMPTY;
                }
                rows.push(weight, typical)
            }
            Self::Cumulative(rows) => rows.push(weight, typical),
        };
        (moments.mean, moments.variance)
    }
}

/// Moments in columns of equal length.
#[derive(Debug, Clone)]
struct Columns {
    weight: Vec<f64>,
    mean: Vec<f64>,
    variance: Vec<f64>,
}

impl Columns {
    fn new(rows: usize) -> Self {
        Self { weight: vec![0.0; rows], mean: vec![0.0; rows], variance: vec![0.0; rows] }
    }

    #[inline(always)]
    fn get(&self, row: usize) -> Moments {
        Moments { weight: self.weight[row], mean: self.mean[row], variance: self.variance[row] }
    }

    #[inline(always)]
    fn set(&mut self, row: usize, moments: Moments) {
        self.weight[row] = moments.weight;
        self.mean[row] = moments.mean;
        self.variance[row] = moments.variance;
    }
}

/// Whether a weight is that of rows without volume.
fn idle(weight: f64) -> bool {
    weight < 0.0
}

/// Writes the moments of `state` and the rows up to each one.
fn scan_forward(state: &mut Moments, weights: &[f64], values: &[f64], heads: &mut Columns) {
    let n = weights.len();
    let (values, mut row) = (&values[..n], 0);
    let wanted = weights.first().is_some_and(|&w| idle(w));
    if state.weight == 0.0 && n > 0 {
        *state = Moments::row(weights[0], values[0]);
        heads.set(0, *state);
        row = 1;
    }
    if idle(state.weight) == wanted && weights.iter().all(|&w| idle(w) == wanted) {
        let (weight, mean, variance) =
            (&mut heads.weight[..n], &mut heads.mean[..n], &mut heads.variance[..n]);
        let mut moments = *state;
        for i in row..n {
            moments = moments.with_like_row(weights[i], values[i]);
            weight[i] = moments.weight;
            mean[i] = moments.mean;
            variance[i] = moments.variance;
        }
        *state = moments;
    } else {
        for i in row..n {
            *state = state.with_row(weights[i], values[i]);
            heads.set(i, *state);
        }
    }
}

/// Writes the moments of each row and those after it.
fn scan_backward(weights: &[f64], values: &[f64], tails: &mut Columns) {
    let n = weights.len();
    let values = &values[..n];
    let (Some(&last), Some(&value)) = (weights.last(), values.last()) else {
        return;
    };
    let mut moments = Moments::row(last, value);
    tails.set(n - 1, moments);
    if weights.iter().all(|&w| idle(w) == idle(last)) {
        let (weight, mean, variance) =
            (&mut tails.weight[..n], &mut tails.mean[..n], &mut tails.variance[..n]);
        for i in (0..n - 1).rev() {
            moments = moments.with_like_row(weights[i], values[i]);
            weight[i] = moments.weight;
            mean[i] = moments.mean;
            variance[i] = moments.variance;
        }
    } else {
        for i in (0..n - 1).rev() {
            moments = moments.with_row(weights[i], values[i]);
            tails.set(i, moments);
        }
    }
}

/// The moments over an anchor, in columns.
#[derive(Debug, Clone)]
pub(crate) struct AnchoredColumns {
    anchor: AnchorColumns,
    weights: Vec<f64>,
    heads: Columns,
}

#[derive(Debug, Clone)]
enum AnchorColumns {
    Rolling(RollingColumns),
    Session(Session, GrowingWindow),
    Cumulative(GrowingWindow),
}

impl AnchoredColumns {
    /// - `rows`: how many rows there will be
    /// - `chunk`: how many come at once, at most
    pub(crate) fn new(anchor: VwapAnchor, rows: usize, chunk: usize) -> Self {
        let anchor = match anchor {
            VwapAnchor::Rolling(window) => {
                AnchorColumns::Rolling(RollingColumns::new(window, rows))
            }
            VwapAnchor::Session { offset } => {
                AnchorColumns::Session(Session::new(offset), GrowingWindow::EMPTY)
            }
            VwapAnchor::Cumulative => AnchorColumns::Cumulative(GrowingWindow::EMPTY),
        };
        Self { anchor, weights: vec![0.0; chunk], heads: Columns::new(chunk) }
    }

    /// Takes the next rows, columns of equal length, and writes their means and variances.
    pub(crate) fn push(
        &mut self,
        time: &[Timestamp],
        typical: &[f64],
        volume: &[f64],
        mean: &mut [f64],
        variance: &mut [f64],
    ) {
        let n = time.len();
        let weights = &mut self.weights[..n];
        for (weight, &volume) in weights.iter_mut().zip(volume) {
            *weight = row_weight(volume);
        }
        match &mut self.anchor {
            AnchorColumns::Rolling(rolling) => {
                let mut from = 0;
                while from < n {
                    let to = n.min(from + rolling.window - rolling.position);
                    rolling.push(
                        &weights[from..to],
                        &typical[from..to],
                        &mut self.heads,
                        &mut mean[from..to],
                        &mut variance[from..to],
                    );
                    from = to;
                }
            }
            AnchorColumns::Cumulative(rows) => {
                grow(rows, weights, typical, &mut self.heads, mean, variance);
            }
            AnchorColumns::Session(session, rows) => {
                let mut from = 0;
                while from < n {
                    if session.begins(time[from]) {
                        *rows = GrowingWindow::EMPTY;
                    }
                    let inside = |t: &Timestamp| t.as_millis() <= session.last;
                    let to = from + time[from..].partition_point(inside).max(1);
                    grow(
                        rows,
                        &weights[from..to],
                        &typical[from..to],
                        &mut self.heads,
                        &mut mean[from..to],
                        &mut variance[from..to],
                    );
                    from = to;
                }
            }
        }
    }
}

/// Adds rows to a growing window.
fn grow(
    rows: &mut GrowingWindow,
    weights: &[f64],
    values: &[f64],
    heads: &mut Columns,
    mean: &mut [f64],
    variance: &mut [f64],
) {
    let n = weights.len();
    let mut from = 0;
    while from < n {
        let to = n.min(from + GROWING_BLOCK - rows.position);
        scan_forward(&mut rows.head, &weights[from..to], &values[from..to], heads);
        let total = rows.total;
        let (mean, variance) = (&mut mean[from..to], &mut variance[from..to]);
        let len = to - from;
        let alike = (total.weight > 0.0 && !idle(heads.weight[0]))
            || (total.weight < 0.0 && idle(heads.weight[len - 1]));
        let heads_of = (&heads.weight[..len], &heads.mean[..len], &heads.variance[..len]);
        if alike {
            for i in 0..len {
                let head =
                    Moments { weight: heads_of.0[i], mean: heads_of.1[i], variance: heads_of.2[i] };
                let all = total.merge_like(head);
                mean[i] = all.mean;
                variance[i] = all.variance;
            }
        } else {
            for i in 0..len {
                let all = total.merge(heads.get(i));
                mean[i] = all.mean;
                variance[i] = all.variance;
            }
        }
        rows.advance(len);
        from = to;
    }
}

/// A rolling window in columns; see [`RollingWindow`].
#[derive(Debug, Clone)]
struct RollingColumns {
    window: usize,
    /// The current block's rows.
    weights: Vec<f64>,
    values: Vec<f64>,
    head: Moments,
    position: usize,
    /// The block before, from each of its rows on.
    tails: Columns,
    has_tails: bool,
}

impl RollingColumns {
    fn new(window: usize, rows: usize) -> Self {
        // A window that never fills needs no more room than there are rows.
        let room = window.max(1).min(rows + 1);
        Self {
            window: window.max(1),
            weights: vec![0.0; room],
            values: vec![0.0; room],
            head: Moments::EMPTY,
            position: 0,
            tails: Columns::new(room),
            has_tails: false,
        }
    }

    /// Takes rows that do not reach past the block's end.
    fn push(
        &mut self,
        weights: &[f64],
        values: &[f64],
        heads: &mut Columns,
        mean: &mut [f64],
        variance: &mut [f64],
    ) {
        let n = weights.len();
        let (from, to) = (self.position, self.position + n);
        self.weights[from..to].copy_from_slice(weights);
        self.values[from..to].copy_from_slice(values);
        scan_forward(&mut self.head, weights, values, heads);
        let ends = to == self.window;
        let inside = if ends { n - 1 } else { n };
        if self.has_tails {
            self.join(from + 1, inside, heads, mean, variance);
        } else {
            mean[..inside].fill(f64::NAN);
            variance[..inside].fill(f64::NAN);
        }
        self.position = to;
        if ends {
            mean[inside] = self.head.mean;
            variance[inside] = self.head.variance;
            scan_backward(&self.weights[..to], &self.values[..to], &mut self.tails);
            self.head = Moments::EMPTY;
            self.position = 0;
            self.has_tails = true;
        }
    }

    /// Joins `n` tails, starting with the one at `from`, to as many heads.
    fn join(&self, from: usize, n: usize, heads: &Columns, mean: &mut [f64], variance: &mut [f64]) {
        if n == 0 {
            return;
        }
        let to = from + n;
        let tails = (
            &self.tails.weight[from..to],
            &self.tails.mean[from..to],
            &self.tails.variance[from..to],
        );
        let heads_of = (&heads.weight[..n], &heads.mean[..n], &heads.variance[..n]);
        let (mean, variance) = (&mut mean[..n], &mut variance[..n]);
        // A tail trades if a later one does, a head if an earlier one does.
        let alike = (!idle(tails.0[n - 1]) && !idle(heads_of.0[0]))
            || (idle(tails.0[0]) && idle(heads_of.0[n - 1]));
        if alike {
            for i in 0..n {
                let tail = Moments { weight: tails.0[i], mean: tails.1[i], variance: tails.2[i] };
                let head =
                    Moments { weight: heads_of.0[i], mean: heads_of.1[i], variance: heads_of.2[i] };
                let window = tail.merge_like(head);
                mean[i] = window.mean;
                variance[i] = window.variance;
            }
        } else {
            for i in 0..n {
                let window = self.tails.get(from + i).merge(heads.get(i));
                mean[i] = window.mean;
                variance[i] = window.variance;
            }
        }
    }
}
