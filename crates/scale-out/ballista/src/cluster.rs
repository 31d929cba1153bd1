//! The client: a session whose queries run on a cluster, each under a deadline.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::AggregateUDF;
use datafusion::physical_plan::ExecutionPlanProperties;
use datafusion::prelude::SessionContext;
use forecastle_datafusion::{check_plan, sort_rows};
use tokio::time::Instant;

use crate::address;
use crate::attempt::{GiveUp, SchedulerClient, Submission};
use crate::error::{AttemptError, ConnectError, JobError};
use crate::fetch::{FetchLimits, fetch_all, reported_rows};
use crate::job::{Job, JobOutcome, JobParams, Progress};
use crate::plan::{self, all_functions, job_config, session_state};

/// Parameters of a [`Cluster`].
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `partitions` | 64 | the tasks that a job is split into, at most one a file | >= 1 |
/// | `connect_timeout` | 5 s | how long to wait for the scheduler | > 0 |
/// | `functions` | none | functions of your own beside Forecastle's | |
#[derive(Debug, Clone)]
pub struct ClusterParams {
    /// The tasks that a job is split into. Several times the cluster's slots, so that none idles
    /// at the end; but a task should take longer than the 10 ms or so that it costs to hand out.
    pub partitions: usize,
    /// How long to wait for the scheduler.
    pub connect_timeout: Duration,
    /// Aggregate functions beside Forecastle's. Scheduler and executors need them as well.
    pub functions: Vec<Arc<AggregateUDF>>,
}

impl Default for ClusterParams {
    fn default() -> Self {
        Self { partitions: 64, connect_timeout: Duration::from_secs(5), functions: Vec::new() }
    }
}

/// A cluster, seen from a client: tables, and jobs that end.
///
/// # Examples
///
/// ```no_run
/// use forecastle_ballista::{Cluster, ClusterParams, Job, JobParams};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let cluster = Cluster::connect("127.0.0.1:50050", &ClusterParams::default()).await?;
/// cluster.register_candles("candles", "/data/candles").await?;
/// let job = Job::sql(
///     "SELECT exchange, timeframe, symbol,
///             forecast(open_time, open, high, low, close, volume, '{}') AS f
///      FROM candles GROUP BY exchange, timeframe, symbol",
/// )
/// .order_by(["exchange", "timeframe", "symbol"]);
/// let outcome = cluster.run(&job, &JobParams::default(), |_| {}).await?;
/// println!("{} rows after {:?}", outcome.rows(), outcome.elapsed);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Cluster {
    address: String,
    connect_timeout: Duration,
    ctx: SessionContext,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Cluster {
    /// Connects to the scheduler at `HOST:PORT`.
    ///
    /// # Errors
    ///
    /// - [`JobError::Parameter`] a parameter is out of its range
    /// - [`JobError::Connect`] the address is malformed, or no scheduler answers there in time
    /// - [`JobError::Sql`] the session could not be built
    pub async fn connect(address: &str, params: &ClusterParams) -> Result<Self, JobError> {
        address::split(address)?;
        if params.partitions == 0 {
            return Err(JobError::Parameter {
                name: "partitions",
                range: ">= 1",
                value: "0".to_string(),
            });
        }
        if params.connect_timeout.is_zero() {
            return Err(JobError::Parameter {
                name: "connect_timeout",
                range: "> 0",
                value: "0".to_string(),
            });
        }
        let state = session_state(job_config(params.partitions), &all_functions(&params.functions))
            .map_err(sql_error)?;
        SchedulerClient::connect(address, params.connect_timeout).await?;
        Ok(Self {
            address: address.to_string(),
            connect_timeout: params.connect_timeout,
            ctx: SessionContext::new_with_state(state),
        })
    }

    /// Returns the session that jobs are planned in.
    ///
    /// Tables registered with it are known to jobs. What is run through it, rather than through
    /// [`run`](Self::run), runs in this process.
    #[must_use]
    pub fn context(&self) -> &SessionContext {
        &self.ctx
    }

    /// Registers the candles under `root`, a folder that all executors see under the same path.
    ///
    /// # Errors
    ///
    /// - [`JobError::Candles`] there are no candles, or not in the layout
    pub async fn register_candles(
        &self,
        table: &str,
        root: impl AsRef<Path>,
    ) -> Result<(), JobError> {
        forecastle_datafusion::register_candles(&self.ctx, table, root)
            .await
            .map_err(JobError::Candles)
    }

    /// Runs a job to its end: its whole result, or an error, by the deadline.
    ///
    /// The deadline covers planning, all attempts and the fetch; cancelling the last attempt may
    /// take a few seconds more. `on_progress` is called in between and should return soon. A future
    /// that is dropped cancels its job in the background.
    ///
    /// # Errors
    ///
    /// - [`JobError::Parameter`] a parameter is out of its range
    /// - [`JobError::Sql`] the query cannot be planned
    /// - [`JobError::PlanRefused`] the plan has a shuffle
    /// - [`JobError::Connect`] the scheduler could not be reached for the first attempt
    /// - [`JobError::Rejected`] the scheduler does not take the job
    /// - [`JobError::Query`] the query fails by its own doing
    /// - [`JobError::Cancelled`] somebody cancelled the job
    /// - [`JobError::ResultTooLarge`], [`JobError::Sort`] the result cannot be held or sorted
    /// - [`JobError::DeadlineExceeded`] the deadline passed
    /// - [`JobError::AttemptsExhausted`] all attempts failed
    pub async fn run(
        &self,
        job: &Job,
        params: &JobParams,
        mut on_progress: impl FnMut(&Progress),
    ) -> Result<JobOutcome, JobError> {
        params.check()?;
        let started = Instant::now();
        let deadline = started + params.deadline;
        let exceeded = |attempts, last| JobError::DeadlineExceeded {
            deadline: params.deadline,
            attempts,
            last,
        };
        let prepared = tokio::time::timeout_at(deadline, self.prepare(job))
            .await
            .map_err(|_| exceeded(0, None))??;

        let mut given_up: Vec<AttemptError> = Vec::new();
        let mut counted = 0;
        for attempt in 1_u32.. {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(exceeded(attempt - 1, given_up.pop()));
            }
            let limit = params.attempt_limit(left, params.attempts.saturating_sub(counted));
            let ended = self.attempt(&prepared, params, attempt, limit, &mut on_progress).await;
            let reason = match ended {
                Ok((job_id, batches, partitions)) => {
                    return Ok(JobOutcome {
                        schema: Arc::clone(&prepared.schema),
                        batches: sort(batches, &job.order_by)?,
                        partitions,
                        attempts: attempt,
                        given_up,
                        job_id,
                        elapsed: started.elapsed(),
                    });
                }
                Err(GiveUp::Final(error)) if attempt == 1 || !is_connect(&error) => {
                    return Err(error);
                }
                Err(GiveUp::Final(error)) => AttemptError::Scheduler(error.to_string()),
                Err(GiveUp::Retry(reason)) => reason,
            };
            tracing::warn!("attempt {attempt} was given up: {reason}");
            on_progress(&Progress::GivenUp { attempt, reason: reason.clone() });
            if !reason.is_outage() {
                counted += 1;
            }
            if reason.is_outage() || matches!(reason, AttemptError::TimedOut(_)) {
                tokio::time::sleep_until((Instant::now() + PAUSE).min(deadline)).await;
            }
            given_up.push(reason);
            if Instant::now() >= deadline {
                return Err(exceeded(attempt, given_up.pop()));
            }
            if counted >= params.attempts
                && let Some(last) = given_up.pop()
            {
                return Err(JobError::AttemptsExhausted { attempts: attempt, last });
            }
        }
        Err(exceeded(u32::MAX, given_up.pop()))
    }

    async fn prepare(&self, job: &Job) -> Result<Prepared, JobError> {
        let planned = plan::plan(&self.ctx, &job.sql).await.map_err(sql_error)?;
        let schema = planned.logical.schema().as_arrow();
        // At the end of a long job is too late to hear of it.
        if let Some(column) = job.order_by.iter().find(|column| schema.index_of(column).is_err()) {
            return Err(JobError::Parameter {
                name: "order_by",
                range: "columns of the result",
                value: column.clone(),
            });
        }
        let single_stage = match check_plan(&planned.physical) {
            Ok(()) => true,
            Err(error) if job.allow_shuffle => {
                tracing::warn!(
                    "{error}; an executor that dies may stop this job until its deadline"
                );
                false
            }
            Err(error) => return Err(JobError::PlanRefused(error)),
        };
        let partitions =
            single_stage.then(|| planned.physical.output_partitioning().partition_count());
        Ok(Prepared {
            schema: Arc::new(schema.clone()),
            partitions,
            submission: Submission {
                plan: plan::encode(&planned.logical).map_err(sql_error)?,
                settings: plan::settings(&self.ctx),
                session_id: self.ctx.session_id(),
            },
        })
    }

    async fn attempt(
        &self,
        prepared: &Prepared,
        params: &JobParams,
        attempt: u32,
        limit: Duration,
        on_progress: &mut impl FnMut(&Progress),
    ) -> Result<(String, Vec<RecordBatch>, usize), GiveUp> {
        let until = Instant::now() + limit;
        let out_of_time = || GiveUp::Retry(AttemptError::TimedOut(limit));
        let connect_limit = self.connect_timeout.min(limit);
        let mut scheduler = SchedulerClient::connect(&self.address, connect_limit)
            .await
            .map_err(|error| GiveUp::Final(error.into()))?;
        let job_id = tokio::time::timeout_at(until, scheduler.submit(prepared.submission.clone()))
            .await
            .map_err(|_| out_of_time())??;
        let mut guard = CancelGuard { job: Some((scheduler.clone(), job_id.clone())) };
        on_progress(&Progress::Submitted { attempt, job_id: job_id.clone(), limit });
        let waited = tokio::time::timeout_at(
            until,
            scheduler.wait(&job_id, || {
                on_progress(&Progress::Running { job_id: job_id.clone() });
            }),
        )
        .await
        .unwrap_or_else(|_| Err(out_of_time()));
        let locations = match waited {
            Ok(locations) => locations,
            Err(reason) => {
                scheduler.cancel(&job_id).await;
                guard.job = None;
                return Err(reason);
            }
        };
        // From here on the job has ended and holds no slots.
        guard.job = None;
        let partitions = locations.len();
        on_progress(&Progress::Fetching {
            job_id: job_id.clone(),
            partitions,
            rows: locations.iter().filter_map(reported_rows).sum(),
        });
        let limits = FetchLimits { stall: params.fetch_stall, max_bytes: params.max_result_bytes };
        let fetched = tokio::time::timeout_at(
            until,
            fetch_all(locations, prepared.partitions, &prepared.schema, limits),
        )
        .await
        .unwrap_or_else(|_| Err(out_of_time()));
        scheduler.clean(&job_id).await;
        Ok((job_id, fetched?, partitions))
    }
}

/// How long to wait before a job is submitted again where there was nothing to run it on, or where
/// nothing ran: the scheduler restores the executors' slots only while it has no job.
const PAUSE: Duration = Duration::from_secs(1);

/// A job, planned and encoded.
struct Prepared {
    schema: SchemaRef,
    /// The partitions of a plan without a shuffle.
    partitions: Option<usize>,
    submission: Submission,
}

/// Cancels a job whose caller went away.
struct CancelGuard {
    job: Option<(SchedulerClient, String)>,
}

impl Drop for CancelGuard {
    fn drop(&mut self) {
        if let Some((mut scheduler, job_id)) = self.job.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(async move { scheduler.cancel(&job_id).await });
        }
    }
}

fn is_connect(error: &JobError) -> bool {
    matches!(error, JobError::Connect(ConnectError::Refused { .. } | ConnectError::TimedOut { .. }))
}

fn sql_error(error: DataFusionError) -> JobError {
    JobError::Sql(Box::new(error))
}

fn sort(batches: Vec<RecordBatch>, order_by: &[String]) -> Result<Vec<RecordBatch>, JobError> {
    if order_by.is_empty() || batches.is_empty() {
        return Ok(batches);
    }
    let by: Vec<&str> = order_by.iter().map(String::as_str).collect();
    Ok(vec![sort_rows(&batches, &by).map_err(JobError::Sort)?])
}
