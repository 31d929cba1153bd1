//! The errors of this crate, by what a caller can do about them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use datafusion::arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use forecastle_datafusion::{CandleTableError, PlanError};

/// Tells why a scheduler could not be reached.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The address is not of the form `HOST:PORT`.
    #[error("scheduler address must be HOST:PORT, got `{address}`")]
    Address {
        /// What was given.
        address: String,
    },
    /// Nothing answered in time.
    #[error("no scheduler answered at {address} within {limit:?}")]
    TimedOut {
        /// The scheduler's address.
        address: String,
        /// How long it was tried for.
        limit: Duration,
    },
    /// The connection was refused or broke.
    #[error("no scheduler at {address}: {message}")]
    Refused {
        /// The scheduler's address.
        address: String,
        /// What the transport said.
        message: String,
    },
}

/// Tells why one attempt at a job was given up, so that the job was submitted again.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum AttemptError {
    /// The scheduler stopped answering.
    #[error("the scheduler did not answer: {0}")]
    Scheduler(String),
    /// The scheduler no longer knows the job, as after a restart.
    #[error("the scheduler no longer knows job {job_id}")]
    JobLost {
        /// The job's id.
        job_id: String,
    },
    /// No executor was left to run the job on.
    #[error("no executor is left: {0}")]
    NoExecutors(String),
    /// Executors failed in ways that are not the query's doing.
    #[error("executors failed: {0}")]
    Executors(String),
    /// The attempt did not end in its share of the deadline.
    #[error("the attempt did not end within {0:?}")]
    TimedOut(Duration),
    /// A part of the finished job's result could not be fetched from the executor that holds it.
    #[error("partition {partition} could not be fetched from {executor}: {message}")]
    Fetch {
        /// The partition's number.
        partition: u32,
        /// The executor's address.
        executor: String,
        /// What went wrong.
        message: String,
    },
    /// What was fetched is not all of the result.
    #[error("the result is incomplete: {0}")]
    Incomplete(String),
}

impl AttemptError {
    /// Tells whether there was nothing to run the job on, so that waiting is what helps.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        matches!(self, Self::Scheduler(_) | Self::NoExecutors(_))
    }
}

/// Tells why a job gave no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// A parameter is out of its range.
    #[error("parameter `{name}` must be {range}, got {value}")]
    Parameter {
        /// The parameter's name.
        name: &'static str,
        /// What it may be.
        range: &'static str,
        /// What it is.
        value: String,
    },
    /// The query could not be planned here.
    #[error("the query could not be planned")]
    Sql(#[source] Box<DataFusionError>),
    /// The folder is no table of candles.
    #[error("no candles to run on")]
    Candles(#[source] CandleTableError),
    /// The query's plan would not survive the loss of an executor.
    #[error("the plan was refused; Job::allow_shuffle (--allow-shuffle) runs it anyway")]
    PlanRefused(#[source] PlanError),
    /// The scheduler could not be reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The scheduler would not take the job, as when it lacks a function or is of another version.
    #[error("the scheduler rejected the job: {message}")]
    Rejected {
        /// What the scheduler said.
        message: String,
    },
    /// The query failed on the cluster by its own doing.
    #[error("job {job_id} failed: {message}")]
    Query {
        /// The job's id.
        job_id: String,
        /// What the scheduler said.
        message: String,
    },
    /// Somebody else cancelled the job.
    #[error("job {job_id} was cancelled")]
    Cancelled {
        /// The job's id.
        job_id: String,
    },
    /// The result is larger than the client was told to hold.
    #[error("the result is larger than {limit} bytes")]
    ResultTooLarge {
        /// The limit.
        limit: usize,
    },
    /// The fetched result could not be put in order.
    #[error("the result could not be sorted")]
    Sort(#[source] ArrowError),
    /// The deadline passed.
    #[error("no result within {deadline:?} ({attempts} attempts)")]
    DeadlineExceeded {
        /// The deadline.
        deadline: Duration,
        /// How often the job was submitted.
        attempts: u32,
        /// Why the last attempt was given up.
        #[source]
        last: Option<AttemptError>,
    },
    /// Every attempt failed.
    #[error("no result after {attempts} attempts")]
    AttemptsExhausted {
        /// How often the job was submitted.
        attempts: u32,
        /// Why the last attempt was given up.
        #[source]
        last: AttemptError,
    },
}

/// Tells why a scheduler or an executor could not serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// A parameter is out of its range.
    #[error("parameter `{name}` must be {range}, got {value}")]
    Parameter {
        /// The parameter's name.
        name: &'static str,
        /// What it may be.
        range: &'static str,
        /// What it is.
        value: String,
    },
    /// An address could not be bound, as when its port is in use.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The folder for results could not be made.
    #[error("cannot use work directory {path}: {source}", path = path.display())]
    WorkDir {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The scheduler could not be reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// Ballista's process ended.
    #[error("{0}")]
    Ballista(String),
}

/// Tells why a result could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
    /// The file's name ends neither in `.csv` nor in `.parquet`.
    #[error("output must end in .csv or .parquet, got {path}", path = path.display())]
    Format {
        /// The file.
        path: PathBuf,
    },
    /// The file could not be written.
    #[error("cannot write {path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The rows could not be turned into the format.
    #[error("cannot encode {path}: {source}", path = path.display())]
    Encode {
        /// The file.
        path: PathBuf,
        /// What Arrow or Parquet said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
