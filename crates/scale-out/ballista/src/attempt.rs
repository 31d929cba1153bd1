//! One attempt at a job: submit, wait, fetch; and cancelling it.

use std::time::Duration;

use ballista_core::serde::protobuf::execute_query_params::Query;
use ballista_core::serde::protobuf::execute_query_result::Result as Submitted;
use ballista_core::serde::protobuf::job_status::Status as JobState;
use ballista_core::serde::protobuf::scheduler_grpc_client::SchedulerGrpcClient;
use ballista_core::serde::protobuf::{
    CancelJobParams, CleanJobDataParams, ExecuteQueryParams, GetJobStatusParams, KeyValuePair,
    PartitionLocation, execute_query_failure_result,
};
use ballista_core::utils::{GrpcClientConfig, create_grpc_client_endpoint};
use ballista_core::version;
use tokio::time::Instant;
use tonic::transport::Channel;
use tonic::{Code, Request};

use crate::error::{AttemptError, ConnectError, JobError};
use crate::plan::MAX_MESSAGE_BYTES;

/// How a failed attempt leaves the job.
#[derive(Debug)]
pub(crate) enum GiveUp {
    /// Another attempt may succeed.
    Retry(AttemptError),
    /// It would fail the same way.
    Final(JobError),
}

impl From<AttemptError> for GiveUp {
    fn from(error: AttemptError) -> Self {
        Self::Retry(error)
    }
}

impl From<JobError> for GiveUp {
    fn from(error: JobError) -> Self {
        Self::Final(error)
    }
}

/// What is sent to the scheduler.
#[derive(Debug, Clone)]
pub(crate) struct Submission {
    pub(crate) plan: Vec<u8>,
    pub(crate) settings: Vec<KeyValuePair>,
    pub(crate) session_id: String,
}

/// A connection to a scheduler.
#[derive(Debug, Clone)]
pub(crate) struct SchedulerClient {
    grpc: SchedulerGrpcClient<Channel>,
}

const REQUEST_SECONDS: u64 = 20;
/// How long a scheduler may not know a job that it has just accepted.
const UNKNOWN_LIMIT: Duration = Duration::from_secs(5);
const CANCEL_LIMIT: Duration = Duration::from_secs(5);

impl SchedulerClient {
    pub(crate) async fn connect(address: &str, limit: Duration) -> Result<Self, ConnectError> {
        let config = GrpcClientConfig {
            connect_timeout_seconds: limit.as_secs().max(1),
            timeout_seconds: REQUEST_SECONDS,
            // A machine that vanished does not answer pings.
            http2_keepalive_interval_seconds: 5,
            max_message_size: MAX_MESSAGE_BYTES as usize,
            ..GrpcClientConfig::default()
        };
        let refused = |error: tonic::transport::Error| ConnectError::Refused {
            address: address.to_string(),
            message: innermost(&error),
        };
        let endpoint = create_grpc_client_endpoint(format!("http://{address}"), Some(&config))
            .map_err(|error| ConnectError::Refused {
                address: address.to_string(),
                message: error.to_string(),
            })?;
        let channel = tokio::time::timeout(limit, endpoint.connect())
            .await
            .map_err(|_| ConnectError::TimedOut { address: address.to_string(), limit })?
            .map_err(refused)?;
        let mut client = Self {
            grpc: SchedulerGrpcClient::new(channel)
                .max_encoding_message_size(MAX_MESSAGE_BYTES as usize)
                .max_decoding_message_size(MAX_MESSAGE_BYTES as usize),
        };
        // Whatever listens there must be a scheduler, and must answer.
        tokio::time::timeout(limit, client.state(""))
            .await
            .map_err(|_| ConnectError::TimedOut { address: address.to_string(), limit })?
            .map_err(|status| ConnectError::Refused {
                address: address.to_string(),
                message: format!("it does not speak as a scheduler: {}", text(&status)),
            })?;
        Ok(client)
    }

    async fn state(&mut self, job_id: &str) -> Result<Option<JobState>, tonic::Status> {
        let request = GetJobStatusParams { job_id: job_id.to_string() };
        let answer = self.grpc.get_job_status(request).await?.into_inner();
        Ok(answer.status.and_then(|status| status.status))
    }

    /// Submits a job and returns its id.
    pub(crate) async fn submit(&mut self, submission: Submission) -> Result<String, GiveUp> {
        let mut request = Request::new(ExecuteQueryParams {
            query: Some(Query::LogicalPlan(submission.plan)),
            settings: submission.settings,
            session_id: submission.session_id,
            operation_id: String::new(),
        });
        version::insert_version_header(request.metadata_mut());
        let answer =
            self.grpc.execute_query(request).await.map_err(|status| match status.code() {
                // The request's own fault: another version, a plan that is not one, too large.
                Code::FailedPrecondition
                | Code::InvalidArgument
                | Code::OutOfRange
                | Code::ResourceExhausted
                | Code::Unimplemented => {
                    GiveUp::Final(JobError::Rejected { message: text(&status) })
                }
                _ => GiveUp::Retry(AttemptError::Scheduler(text(&status))),
            })?;
        let compatible = version::check_compatibility(
            Some(ballista_core::BALLISTA_VERSION),
            version::version_from_metadata(answer.metadata()),
        );
        let job_id = match answer.into_inner().result {
            Some(Submitted::Success(success)) => success.job_id,
            Some(Submitted::Failure(failure)) => {
                use execute_query_failure_result::Failure;
                let message = match failure.failure {
                    Some(
                        Failure::PlanParsingFailure(message)
                        | Failure::SqlParsingFailure(message)
                        | Failure::SessionNotFound(message),
                    ) => message,
                    None => "no reason given".to_string(),
                };
                return Err(JobError::Rejected { message }.into());
            }
            None => {
                return Err(AttemptError::Scheduler("an empty answer".to_string()).into());
            }
        };
        if let Err(message) = compatible {
            self.cancel(&job_id).await;
            return Err(JobError::Rejected { message }.into());
        }
        Ok(job_id)
    }

    /// Waits for a job's end and returns where its result lies.
    pub(crate) async fn wait(
        &mut self,
        job_id: &str,
        mut on_running: impl FnMut(),
    ) -> Result<Vec<PartitionLocation>, GiveUp> {
        let mut pause = Duration::from_millis(10);
        let mut known_at = Instant::now();
        let mut running = false;
        let mut failures = 0_u32;
        loop {
            match self.state(job_id).await {
                Err(status) => {
                    failures += 1;
                    if failures >= 3 {
                        return Err(AttemptError::Scheduler(text(&status)).into());
                    }
                }
                Ok(None) => {
                    if known_at.elapsed() > UNKNOWN_LIMIT {
                        return Err(AttemptError::JobLost { job_id: job_id.to_string() }.into());
                    }
                }
                Ok(Some(state)) => {
                    failures = 0;
                    known_at = Instant::now();
                    match state {
                        JobState::Queued(_) => {}
                        JobState::Running(_) => {
                            if !running {
                                running = true;
                                on_running();
                            }
                        }
                        JobState::Failed(failed) => return Err(failure(job_id, failed.error)),
                        JobState::Successful(successful) => {
                            return Ok(successful.partition_location);
                        }
                    }
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(200));
        }
    }

    /// Cancels a job and waits, for a while, until the scheduler has let go of it.
    ///
    /// A job that is given up must not keep its slots on the executors: the next attempt would
    /// wait for them.
    pub(crate) async fn cancel(&mut self, job_id: &str) {
        let cancelled = tokio::time::timeout(CANCEL_LIMIT, async {
            loop {
                let request = CancelJobParams { job_id: job_id.to_string() };
                // While a job is being planned the scheduler accepts this and does nothing.
                if let Err(status) = self.grpc.cancel_job(request).await {
                    tracing::warn!("job {job_id} could not be cancelled: {}", text(&status));
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
                match self.state(job_id).await {
                    Ok(Some(JobState::Queued(_) | JobState::Running(_))) => {}
                    _ => return,
                }
            }
        });
        if cancelled.await.is_err() {
            tracing::warn!("job {job_id} still runs {CANCEL_LIMIT:?} after it was cancelled");
        }
    }

    /// Lets the executors delete a job's result.
    pub(crate) async fn clean(&mut self, job_id: &str) {
        let request =
            CleanJobDataParams { job_id: job_id.to_string(), remove_stage_ids: Vec::new() };
        let limit = Duration::from_secs(2);
        // What stays is deleted at the end of its lifetime.
        let _ = tokio::time::timeout(limit, self.grpc.clean_job_data(request)).await;
    }
}

/// Tells a failure that another attempt may avoid from one that it would meet again.
///
/// The scheduler reports nothing but a text. These are the texts that it and the executors make of
/// lost executors and of their disks' and connections' faults; whatever is not known to be such a
/// fault is the query's own.
fn failure(job_id: &str, message: String) -> GiveUp {
    if message == "Cancelled" {
        return GiveUp::Final(JobError::Cancelled { job_id: job_id.to_string() });
    }
    if message.contains("all executors were lost") {
        return GiveUp::Retry(AttemptError::NoExecutors(message));
    }
    // A task that failed by an error of its own carries this text, whatever else is in the error.
    let own = message.contains("Task failed due to runtime execution error");
    let lost = message.contains("lost")
        && (message.contains("Task failure due to Executor") || message.contains("Executor lost"));
    let faults = [
        "Task failed due to IO error",
        "Task cancelled",
        "most recent failure reason",
        "FetchPartitionError",
    ];
    if !own && (lost || faults.iter().any(|fault| message.contains(fault))) {
        return GiveUp::Retry(AttemptError::Executors(message));
    }
    let message = if message.contains("rejected by executor") {
        format!(
            "{message}; an executor that was built without one of the query's functions does \
             this, and its log names the function"
        )
    } else {
        message
    };
    GiveUp::Final(JobError::Query { job_id: job_id.to_string(), message })
}

/// Returns what a status says, and what lies under it.
fn text(status: &tonic::Status) -> String {
    let message = status.message();
    let source = std::error::Error::source(status).map(innermost);
    match source {
        Some(source) if !message.contains(&source) => format!("{message}: {source}"),
        _ if message.is_empty() => status.code().to_string(),
        _ => message.to_string(),
    }
}

fn innermost<E: std::error::Error + ?Sized>(error: &E) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = inner.to_string();
        source = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_faults_of_executors_are_tried_again() {
        let retried = |message: &str| matches!(failure("job", message.into()), GiveUp::Retry(_));
        assert!(retried(
            "all executors were lost and no executor re-registered within 10s; no executors \
             remain to run the tasks for this job"
        ));
        assert!(retried(
            "Job failed due to stage 0 failed: Task 1 in Stage 0 failed 4 times, fail the stage, \
             most recent failure reason: \"Task failed due to IO error: IoError(...)\""
        ));
        assert!(!retried("task could not be prepared or was rejected by executor"));
        assert!(!retried("Cancelled"));
        assert!(!retried(
            "Job failed due to stage 0 failed: Task failed due to runtime execution error: \
             DataFusionError(Execution(\"the series was lost, FetchPartitionError\"))"
        ));
        assert!(!retried("Error planning job abc: Plan(\"no such table\")"));
    }
}
