//! A job, its limits and its outcome.

use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;

use crate::error::{AttemptError, JobError};

/// A query and how its result is wanted.
///
/// # Examples
///
/// ```
/// use forecastle_ballista::Job;
///
/// let job = Job::sql(
///     "SELECT symbol, forecast(open_time, open, high, low, close, volume, '{}') AS f
///      FROM candles GROUP BY exchange, timeframe, symbol",
/// )
/// .order_by(["symbol"]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    pub(crate) sql: String,
    pub(crate) order_by: Vec<String>,
    pub(crate) allow_shuffle: bool,
}

impl Job {
    /// Makes a job of a query.
    #[must_use]
    pub fn sql(sql: impl Into<String>) -> Self {
        Self { sql: sql.into(), order_by: Vec::new(), allow_shuffle: false }
    }

    /// Sorts the result by these columns, ascending, in the client.
    ///
    /// `ORDER BY` in the query would sort on the cluster, for which all rows go through a shuffle.
    /// Without an order, rows come by partition: the same each time for the same files and number
    /// of partitions.
    #[must_use]
    pub fn order_by<C: Into<String>>(mut self, columns: impl IntoIterator<Item = C>) -> Self {
        self.order_by = columns.into_iter().map(Into::into).collect();
        self
    }

    /// Runs the job though its plan has a shuffle.
    ///
    /// In such a plan an executor that dies can stop the job until its attempt's limit.
    #[must_use]
    pub fn allow_shuffle(mut self) -> Self {
        self.allow_shuffle = true;
        self
    }
}

/// Limits of a job.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `deadline` | 600 s | from the call to the result | > 0 |
/// | `attempts` | 3 | how often the job may be submitted | >= 1 |
/// | `attempt_time_limit` | half of the time that is left | when an attempt is given up; the last may take all the time that is left | > 0 and, with several attempts, < `deadline` |
/// | `fetch_stall` | 30 s | how long an executor may take over the next piece of a result | > 0 |
/// | `max_result_bytes` | 4 GiB | memory for the result | |
///
/// Attempts that failed because there was nothing to run them on (no scheduler, no executor) do not
/// count: the job is submitted again until the deadline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobParams {
    /// How long the job may take in all.
    pub deadline: Duration,
    /// How often the job may be submitted.
    pub attempts: u32,
    /// When an attempt is given up for another.
    pub attempt_time_limit: Option<Duration>,
    /// How long an executor may take over the next piece of a result.
    pub fetch_stall: Duration,
    /// Memory for the result.
    pub max_result_bytes: usize,
}

impl Default for JobParams {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(600),
            attempts: 3,
            attempt_time_limit: None,
            fetch_stall: Duration::from_secs(30),
            max_result_bytes: 4 << 30,
        }
    }
}

impl JobParams {
    pub(crate) fn check(&self) -> Result<(), JobError> {
        let wrong = |name, range, value: String| Err(JobError::Parameter { name, range, value });
        if self.deadline.is_zero() || self.deadline > MAX_DEADLINE {
            return wrong("deadline", "> 0 and <= 30 days", format!("{:?}", self.deadline));
        }
        if self.attempts == 0 {
            return wrong("attempts", ">= 1", "0".to_string());
        }
        if self.fetch_stall.is_zero() {
            return wrong("fetch_stall", "> 0", "0".to_string());
        }
        match self.attempt_time_limit {
            Some(limit) if limit.is_zero() => wrong("attempt_time_limit", "> 0", "0".to_string()),
            Some(limit) if self.attempts > 1 && limit >= self.deadline => wrong(
                "attempt_time_limit",
                "less than the deadline, or there is no time for another attempt",
                format!("{limit:?}"),
            ),
            _ => Ok(()),
        }
    }

    /// Returns how long the next attempt may take.
    pub(crate) fn attempt_limit(&self, time_left: Duration, attempts_left: u32) -> Duration {
        if attempts_left <= 1 {
            return time_left;
        }
        self.attempt_time_limit.unwrap_or(time_left / 2).min(time_left)
    }
}

/// Keeps sums with instants from overflowing.
const MAX_DEADLINE: Duration = Duration::from_secs(30 * 24 * 3600);

/// What a job is at.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Progress {
    /// The job was submitted.
    Submitted {
        /// Counts from 1.
        attempt: u32,
        /// The scheduler's id for this attempt.
        job_id: String,
        /// How long this attempt may take.
        limit: Duration,
    },
    /// The first tasks may run.
    Running {
        /// The scheduler's id for this attempt.
        job_id: String,
    },
    /// All tasks have ended and the result is about to be fetched.
    Fetching {
        /// The scheduler's id for this attempt.
        job_id: String,
        /// The parts of the result.
        partitions: usize,
        /// The rows that the executors reported.
        rows: u64,
    },
    /// The attempt was given up.
    GivenUp {
        /// Counts from 1.
        attempt: u32,
        /// Why.
        reason: AttemptError,
    },
}

/// The result of a job.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct JobOutcome {
    /// The columns of the result.
    pub schema: SchemaRef,
    /// The rows of the result, complete.
    pub batches: Vec<RecordBatch>,
    /// The parts that the result was fetched in.
    pub partitions: usize,
    /// How often the job was submitted.
    pub attempts: u32,
    /// Why earlier attempts were given up.
    pub given_up: Vec<AttemptError>,
    /// The scheduler's id of the attempt that succeeded.
    pub job_id: String,
    /// From the call to the result.
    pub elapsed: Duration,
}

impl JobOutcome {
    /// Returns the number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_attempt_but_the_last_leaves_time_for_another() {
        let params = JobParams::default();
        let mut left = params.deadline;
        for attempts_left in (1..=params.attempts).rev() {
            let limit = params.attempt_limit(left, attempts_left);
            assert!(attempts_left == 1 || limit < left);
            left -= limit;
        }
        assert!(left.is_zero());
    }

    #[test]
    fn an_attempt_limit_is_kept_within_the_time_that_is_left() {
        let params =
            JobParams { attempt_time_limit: Some(Duration::from_secs(50)), ..JobParams::default() };
        let limit =
            |left, attempts| params.attempt_limit(Duration::from_secs(left), attempts).as_secs();
        assert_eq!(limit(600, 3), 50);
        assert_eq!(limit(20, 2), 20);
        assert_eq!(limit(500, 1), 500);
    }

    #[test]
    fn parameters_out_of_range_are_named() {
        let second = Duration::from_secs(1);
        let default = JobParams::default();
        for (name, params) in [
            ("deadline", JobParams { deadline: Duration::ZERO, ..default.clone() }),
            ("deadline", JobParams { deadline: Duration::MAX, ..default.clone() }),
            ("attempts", JobParams { attempts: 0, ..default.clone() }),
            ("fetch_stall", JobParams { fetch_stall: Duration::ZERO, ..default.clone() }),
            (
                "attempt_time_limit",
                JobParams { attempt_time_limit: Some(Duration::ZERO), ..default.clone() },
            ),
            (
                "attempt_time_limit",
                JobParams { attempt_time_limit: Some(second), deadline: second, ..default.clone() },
            ),
        ] {
            match params.check() {
                Err(JobError::Parameter { name: named, .. }) => assert_eq!(named, name),
                other => panic!("{name}: {other:?}"),
            }
        }
        assert!(default.check().is_ok());
    }
}
