//! A scheduler: Ballista's own, with the functions registered.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ballista_core::config::TaskSchedulingPolicy;
use ballista_scheduler::cluster::BallistaCluster;
use ballista_scheduler::config::{SchedulerConfig, TaskDistributionPolicy};
use ballista_scheduler::scheduler_process::{create_scheduler, start_grpc_service_with_listener};
use datafusion::logical_expr::AggregateUDF;
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};

use crate::address;
use crate::error::ServeError;
use crate::plan::{MAX_MESSAGE_BYTES, all_functions, server_config, session_state};
use crate::slots::restore_after_losses;

/// Parameters of a [`Scheduler`].
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `bind` | 127.0.0.1:50050 | the address to listen on; port 0 takes a free one | |
/// | `external_host` | the bound address | the host name that executors reach the scheduler by | required where all addresses are bound |
/// | `executor_timeout` | 10 s | how long an executor may be silent before its tasks go to others | >= 2 s |
/// | `result_lifetime` | 1 h | how long results stay on the executors | >= 1 s |
/// | `functions` | none | functions of your own beside Forecastle's | |
#[derive(Debug, Clone)]
pub struct SchedulerParams {
    /// The address to listen on.
    pub bind: SocketAddr,
    /// The host name that executors reach the scheduler by.
    pub external_host: Option<String>,
    /// How long an executor may be silent before it counts as lost. Executors send a heartbeat
    /// every two seconds by default, so a few must be lost in a row.
    pub executor_timeout: Duration,
    /// How long the results of a job stay on the executors unless the client removes them.
    pub result_lifetime: Duration,
    /// Aggregate functions beside Forecastle's. Executors and clients need them as well.
    pub functions: Vec<Arc<AggregateUDF>>,
}

impl Default for SchedulerParams {
    fn default() -> Self {
        Self {
            bind: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 50050),
            external_host: None,
            executor_timeout: Duration::from_secs(10),
            result_lifetime: Duration::from_secs(3600),
            functions: Vec::new(),
        }
    }
}

/// A scheduler that listens but does not serve yet.
///
/// It hands tasks to executors (push), plans adaptively, and keeps its state in memory: of
/// Ballista's modes, the one in which a single-stage job was seen to survive a killed executor.
pub struct Scheduler {
    listener: tokio::net::TcpListener,
    address: SocketAddr,
    config: SchedulerConfig,
}

impl std::fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scheduler").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Scheduler {
    /// Binds the scheduler's address. Call it within a tokio runtime.
    ///
    /// # Errors
    ///
    /// - [`ServeError::Parameter`] a parameter is out of its range
    /// - [`ServeError::Bind`] the address is in use or not this machine's
    pub fn bind(params: &SchedulerParams) -> Result<Self, ServeError> {
        let timeout = params.executor_timeout.as_secs();
        if timeout < 2 {
            return Err(ServeError::Parameter {
                name: "executor-timeout",
                range: ">= 2 s",
                value: format!("{:?}", params.executor_timeout),
            });
        }
        if params.result_lifetime.as_secs() < 1 {
            return Err(ServeError::Parameter {
                name: "result-lifetime",
                range: ">= 1 s",
                value: format!("{:?}", params.result_lifetime),
            });
        }
        let host = address::external_host(params.bind.ip(), params.external_host.as_deref())?;
        let (listener, address) = address::bind(params.bind)?;
        let listener = listener
            .set_nonblocking(true)
            .and_then(|()| tokio::net::TcpListener::from_std(listener))
            .map_err(|source| ServeError::Bind { address, source })?;

        let functions = all_functions(&params.functions);
        let config = SchedulerConfig {
            external_host: host,
            bind_host: address::url_host(address.ip()),
            bind_port: address.port(),
            scheduling_policy: TaskSchedulingPolicy::PushStaged,
            // Spreads a small job over all executors instead of filling the first one.
            task_distribution: TaskDistributionPolicy::RoundRobin,
            executor_timeout_seconds: timeout,
            expire_dead_executor_interval_seconds: (timeout / 5).max(1),
            no_executors_grace_period_seconds: timeout,
            finished_job_data_clean_up_interval_seconds: params.result_lifetime.as_secs(),
            finished_job_state_clean_up_interval_seconds: params.result_lifetime.as_secs(),
            grpc_server_max_decoding_message_size: MAX_MESSAGE_BYTES,
            grpc_server_max_encoding_message_size: MAX_MESSAGE_BYTES,
            grpc_client_max_message_size: MAX_MESSAGE_BYTES,
            override_config_producer: Some(Arc::new(server_config)),
            override_session_builder: Some(Arc::new(move |config| {
                session_state(config, &functions)
            })),
            ..SchedulerConfig::default()
        };
        Ok(Self { listener, address, config })
    }

    /// Returns the address that the scheduler listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` ends.
    ///
    /// Jobs die with the scheduler; executors stay, and join the next scheduler that listens at the
    /// same address.
    ///
    /// # Errors
    ///
    /// - [`ServeError::Ballista`] Ballista's server ended by itself
    pub async fn serve(self, stop: impl Future<Output = ()>) -> Result<(), ServeError> {
        let ballista = |error: ballista_core::error::BallistaError| {
            ServeError::Ballista(format!("the scheduler failed: {error}"))
        };
        self.config.validate().map_err(ballista)?;
        let cluster = BallistaCluster::new_from_config(&self.config).await.map_err(ballista)?;
        let state = cluster.cluster_state();
        let server =
            create_scheduler::<LogicalPlanNode, PhysicalPlanNode>(cluster, Arc::new(self.config))
                .await
                .map_err(ballista)?;
        let jobs = server.clone();
        let slots = restore_after_losses(state, move || {
            jobs.running_job_number() == 0 && jobs.pending_job_number() == 0
        });
        tokio::select! {
            served = start_grpc_service_with_listener(self.listener, server) => {
                served.map_err(ballista)?;
                Err(ServeError::Ballista("the scheduler ended by itself".to_string()))
            }
            () = async {
                slots.await;
                std::future::pending::<()>().await;
            } => Ok(()),
            () = stop => Ok(()),
        }
    }
}
