//! An executor: Ballista's own, with the functions registered.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ballista_core::config::TaskSchedulingPolicy;
use ballista_core::registry::BallistaFunctionRegistry;
use ballista_executor::executor_process::{ExecutorProcessConfig, start_executor_process};
use ballista_executor::health::ExecutorHealth;
use datafusion::logical_expr::AggregateUDF;
use tempfile::TempDir;

use crate::address;
use crate::error::ServeError;
use crate::plan::{MAX_MESSAGE_BYTES, all_functions, server_config};

/// Parameters of an [`Executor`].
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `scheduler` | 127.0.0.1:50050 | the scheduler to join | `HOST:PORT` |
/// | `connect_timeout` | 10 s | how long to wait for the scheduler | |
/// | `bind` | 127.0.0.1 | the address to listen on | |
/// | `flight_port`, `control_port` | 0 | the ports for results and for tasks; 0 takes free ones | |
/// | `external_host` | the bound address | the host name that others reach the executor by | required where all addresses are bound |
/// | `concurrent_tasks` | the cores | tasks that run at the same time | >= 1 |
/// | `memory_bytes` | 70 % of the machine's (or the container's) | memory for all tasks together | >= 1 MiB a task |
/// | `work_dir` | a temporary folder, removed at the end | where results lie until they are fetched | |
/// | `heartbeat` | 2 s | time between signs of life; the scheduler's time-out must be several times this | >= 1 s |
/// | `stop_grace` | 3 s | how long running tasks may go on after the stop | |
/// | `functions` | none | functions of your own beside Forecastle's | |
#[derive(Debug, Clone)]
pub struct ExecutorParams {
    /// The scheduler to join.
    pub scheduler: String,
    /// How long to wait for the scheduler.
    pub connect_timeout: Duration,
    /// The address to listen on.
    pub bind: IpAddr,
    /// The port that serves results, for clients and other executors.
    pub flight_port: u16,
    /// The port that takes tasks, for the scheduler.
    pub control_port: u16,
    /// The host name that the scheduler, the clients and other executors reach this one by.
    pub external_host: Option<String>,
    /// Tasks that run at the same time.
    pub concurrent_tasks: usize,
    /// Memory for all tasks together; each gets an equal share.
    pub memory_bytes: Option<u64>,
    /// Where results lie until they are fetched.
    pub work_dir: Option<PathBuf>,
    /// Time between two signs of life.
    pub heartbeat: Duration,
    /// How long running tasks may go on after the stop.
    pub stop_grace: Duration,
    /// Aggregate functions beside Forecastle's.
    pub functions: Vec<Arc<AggregateUDF>>,
}

impl Default for ExecutorParams {
    fn default() -> Self {
        Self {
            scheduler: "127.0.0.1:50050".to_string(),
            connect_timeout: Duration::from_secs(10),
            bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
            flight_port: 0,
            control_port: 0,
            external_host: None,
            concurrent_tasks: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: None,
            work_dir: None,
            heartbeat: Duration::from_secs(2),
            stop_grace: Duration::from_secs(3),
            functions: Vec::new(),
        }
    }
}

/// An executor that is checked but does not serve yet.
pub struct Executor {
    config: ExecutorProcessConfig,
    scheduler: String,
    connect_timeout: Duration,
    stop_grace: Duration,
    health: ExecutorHealth,
    work_dir: WorkDir,
}

/// Keeps a temporary folder until it is dropped.
enum WorkDir {
    Own(TempDir),
    Given(PathBuf),
}

impl WorkDir {
    fn path(&self) -> &std::path::Path {
        match self {
            Self::Own(folder) => folder.path(),
            Self::Given(path) => path,
        }
    }
}

impl std::fmt::Debug for Executor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Executor")
            .field("scheduler", &self.scheduler)
            .field("flight_port", &self.config.port)
            .field("control_port", &self.config.grpc_port)
            .field("work_dir", &self.work_dir.path())
            .finish_non_exhaustive()
    }
}

impl Executor {
    /// Checks the parameters, the ports and the folder.
    ///
    /// # Errors
    ///
    /// - [`ServeError::Parameter`] a parameter is out of its range
    /// - [`ServeError::Bind`] an address is in use or not this machine's
    /// - [`ServeError::WorkDir`] the folder cannot be made
    /// - [`ServeError::Connect`] the scheduler's address is malformed
    pub fn new(params: &ExecutorParams) -> Result<Self, ServeError> {
        let (scheduler_host, scheduler_port) = address::split(&params.scheduler)?;
        let host = address::external_host(params.bind, params.external_host.as_deref())?;
        if params.concurrent_tasks == 0 {
            return Err(ServeError::Parameter {
                name: "concurrent-tasks",
                range: ">= 1",
                value: "0".to_string(),
            });
        }
        let least = (params.concurrent_tasks as u64) << 20;
        if let Some(bytes) = params.memory_bytes.filter(|bytes| *bytes < least) {
            return Err(ServeError::Parameter {
                name: "memory",
                range: ">= 1 MiB a concurrent task",
                value: format!("{bytes} bytes"),
            });
        }
        if params.heartbeat.as_secs() == 0 {
            return Err(ServeError::Parameter {
                name: "heartbeat",
                range: ">= 1 s",
                value: format!("{:?}", params.heartbeat),
            });
        }
        // Ballista binds the ports late and takes a port in use for a reason to stop without an
        // error, so they are tried here; both are held at once so that two free ones differ.
        let flight = address::bind(SocketAddr::new(params.bind, params.flight_port))?;
        let control = address::bind(SocketAddr::new(params.bind, params.control_port))?;
        let work_dir = work_dir(params)?;
        let path = work_dir.path().to_path_buf();
        let Some(work_dir_text) = path.to_str() else {
            return Err(ServeError::Parameter {
                name: "work-dir",
                range: "UTF-8",
                value: path.display().to_string(),
            });
        };

        let mut registry = BallistaFunctionRegistry::default();
        for function in all_functions(&params.functions) {
            registry.aggregate_functions.insert(function.name().to_string(), function);
        }
        let health = ExecutorHealth::new();
        let config = ExecutorProcessConfig {
            bind_host: address::url_host(params.bind),
            external_host: Some(host),
            port: flight.1.port(),
            grpc_port: control.1.port(),
            scheduler_host,
            scheduler_port,
            vcores: params.concurrent_tasks,
            task_scheduling_policy: TaskSchedulingPolicy::PushStaged,
            work_dir: Some(work_dir_text.to_string()),
            grpc_max_decoding_message_size: MAX_MESSAGE_BYTES,
            grpc_max_encoding_message_size: MAX_MESSAGE_BYTES,
            executor_heartbeat_interval_seconds: params.heartbeat.as_secs(),
            memory_pool_size: params.memory_bytes,
            override_function_registry: Some(Arc::new(registry)),
            override_config_producer: Some(Arc::new(server_config)),
            health: health.clone(),
            ..ExecutorProcessConfig::default()
        };
        Ok(Self {
            config,
            scheduler: params.scheduler.clone(),
            connect_timeout: params.connect_timeout,
            stop_grace: params.stop_grace,
            health,
            work_dir,
        })
    }

    /// Joins the scheduler and runs its tasks until the process is asked to stop.
    ///
    /// `ready` is called with a description once the scheduler has the executor and its results can
    /// be fetched. On SIGTERM and SIGINT (which Ballista's executor listens to itself) the executor
    /// takes no more tasks, tells the scheduler, gives its running tasks
    /// [`stop_grace`](ExecutorParams::stop_grace) and removes its temporary folder.
    ///
    /// # Errors
    ///
    /// - [`ServeError::Connect`] no scheduler within the time-out
    /// - [`ServeError::Ballista`] Ballista's executor failed or ended by itself
    pub async fn serve(
        self,
        ready: impl FnOnce(&str),
        stop: impl Future<Output = ()>,
    ) -> Result<(), ServeError> {
        address::wait_for(&self.scheduler, self.connect_timeout).await?;
        let flight = format!("{}:{}", self.config.bind_host, self.config.port);
        let description = format!(
            "{} tasks, results at {}:{}, tasks at port {}, work directory {}",
            self.config.vcores,
            self.config.external_host.as_deref().unwrap_or_default(),
            self.config.port,
            self.config.grpc_port,
            self.work_dir.path().display(),
        );
        let wildcard_free = flight.replace("0.0.0.0", "127.0.0.1").replace("[::]", "[::1]");
        let mut process = std::pin::pin!(start_executor_process(Arc::new(self.config)));
        let mut ready = Some(ready);
        let health = self.health.clone();
        let mut is_ready = std::pin::pin!(async {
            while !health.is_ready() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            address::wait_for(&wildcard_free, Duration::from_secs(10)).await
        });
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                ended = &mut process => {
                    return match ended {
                        Ok(()) => Err(ServeError::Ballista(
                            "the executor stopped: one of its services ended, or the scheduler \
                             asked it to".to_string(),
                        )),
                        Err(error) => {
                            Err(ServeError::Ballista(format!("the executor failed: {error}")))
                        }
                    };
                }
                reached = &mut is_ready, if ready.is_some() => {
                    reached?;
                    if let Some(ready) = ready.take() {
                        ready(&description);
                    }
                }
                () = &mut stop => break,
            }
        }
        // Ballista tells the scheduler first and then waits for its tasks, without a limit.
        let _ = tokio::time::timeout(self.stop_grace, process).await;
        drop(self.work_dir);
        Ok(())
    }
}

fn work_dir(params: &ExecutorParams) -> Result<WorkDir, ServeError> {
    match &params.work_dir {
        Some(path) => std::fs::create_dir_all(path)
            .and_then(|()| path.canonicalize())
            .map(WorkDir::Given)
            .map_err(|source| ServeError::WorkDir { path: path.clone(), source }),
        None => tempfile::Builder::new()
            .prefix("forecastle-executor-")
            .tempdir()
            .map(WorkDir::Own)
            .map_err(|source| ServeError::WorkDir { path: std::env::temp_dir(), source }),
    }
}
