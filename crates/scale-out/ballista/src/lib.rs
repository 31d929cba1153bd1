//! Forecasts on many machines: Ballista's scheduler and executors with Forecastle's functions.
//!
//! [DataFusion] runs `SELECT symbol, forecast(...) FROM candles GROUP BY symbol` on the cores of one
//! machine; [Ballista] spreads the same query over many. This crate adds nothing to the query. It
//! starts Ballista's own scheduler ([`Scheduler`]) and executors ([`Executor`]) with the functions
//! registered, and brings a client ([`Cluster`]) that Ballista lacks: one whose jobs end.
//!
//! # Jobs end
//!
//! Results of a job lie on the executors that computed them until the client fetches them, and
//! Ballista's client waits without a limit. An executor that dies can therefore lose a finished
//! job's result or, in plans with a shuffle, stop a running job for good. [`Cluster::run`]
//!
//! - refuses plans that have a shuffle, unless [`Job::allow_shuffle`] says otherwise,
//! - runs every job under a deadline, and every attempt at it under a limit that leaves time for
//!   another,
//! - cancels an attempt that failed or ran out of time before it submits the job again (a dead job
//!   keeps its slots on the executors that live),
//! - takes a result only when all of it has arrived: every partition, with the rows that the
//!   executors reported.
//!
//! Errors of the query itself are never tried again.
//!
//! # Files
//!
//! Executors read the candles from the paths that the client names: every machine must see the same
//! files under the same paths (a shared mount, in practice).
//!
//! # What is not there
//!
//! Encryption and authentication: Ballista has neither by itself, so keep a cluster within a
//! network that you trust; by default everything binds to 127.0.0.1. A second scheduler: the state
//! of the jobs is in the scheduler's memory, and a client whose scheduler died submits its job again
//! to the next one at the same address. Progress in tasks: the scheduler's interface does not tell.
//!
//! [DataFusion]: https://datafusion.apache.org
//! [Ballista]: https://datafusion.apache.org/ballista/

mod address;
mod attempt;
mod cluster;
mod error;
mod executor;
mod fetch;
mod job;
mod logging;
mod output;
mod plan;
mod scheduler;
mod slots;
mod stop;

pub use cluster::{Cluster, ClusterParams};
pub use error::{AttemptError, ConnectError, JobError, OutputError, ServeError};
pub use executor::{Executor, ExecutorParams};
pub use job::{Job, JobOutcome, JobParams, Progress};
pub use logging::{LogLevel, init_logging};
pub use output::{OutputFormat, write_output};
pub use scheduler::{Scheduler, SchedulerParams};
pub use stop::stop_signal;
