//! An executor of a cluster.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program prints")]

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use forecastle_ballista::{
    Executor, ExecutorParams, LogLevel, ServeError, init_logging, stop_signal,
};

/// Runs the tasks that a scheduler hands out.
///
/// Prints "executor ready: ..." once the scheduler has it. SIGTERM and SIGINT stop it: it takes no
/// more tasks, gives those that run --stop-grace, and deletes its temporary folder; jobs whose
/// results lay there are run again by their clients.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Scheduler to join, as HOST:PORT.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:50050")]
    scheduler: String,

    /// Seconds to wait for the scheduler.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    connect_timeout: u64,

    /// Address to listen on. Anyone who can connect can run tasks and read results.
    #[arg(long, default_value = "127.0.0.1")]
    bind: IpAddr,

    /// Port that serves results to clients; 0 takes a free one.
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    flight_port: u16,

    /// Port that takes tasks from the scheduler; 0 takes a free one.
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    control_port: u16,

    /// Host name that scheduler and clients reach this executor by [default: the bound address].
    #[arg(long, value_name = "HOST")]
    external_host: Option<String>,

    /// Tasks that run at the same time [default: the cores].
    #[arg(long, value_name = "TASKS")]
    concurrent_tasks: Option<usize>,

    /// MiB of memory for all tasks together, in equal shares [default: 70 % of the machine's, or
    /// of the container's limit].
    #[arg(long, value_name = "MIB")]
    memory: Option<u64>,

    /// Folder for results until they are fetched; it stays at the end [default: a temporary one].
    #[arg(long, value_name = "DIR")]
    work_dir: Option<PathBuf>,

    /// Seconds between signs of life to the scheduler.
    #[arg(long, value_name = "SECONDS", default_value_t = 2)]
    heartbeat: u64,

    /// Seconds that running tasks may go on after the stop.
    #[arg(long, value_name = "SECONDS", default_value_t = 3)]
    stop_grace: u64,

    /// Least severe messages in the log (stderr).
    #[arg(long, value_enum, default_value_t)]
    log: LogLevel,
}

fn main() -> ExitCode {
    let args = Args::parse();
    init_logging(args.log);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("forecastle-executor: {error}");
            return ExitCode::FAILURE;
        }
    };
    let served = runtime.block_on(serve(args));
    let code = match served {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("forecastle-executor: {error}");
            1
        }
    };
    // Tasks that outlive the grace would be waited for otherwise.
    std::process::exit(code)
}

async fn serve(args: Args) -> Result<(), ServeError> {
    let defaults = ExecutorParams::default();
    let params = ExecutorParams {
        scheduler: args.scheduler,
        connect_timeout: Duration::from_secs(args.connect_timeout),
        bind: args.bind,
        flight_port: args.flight_port,
        control_port: args.control_port,
        external_host: args.external_host,
        concurrent_tasks: args.concurrent_tasks.unwrap_or(defaults.concurrent_tasks),
        memory_bytes: args.memory.map(|mib| mib.saturating_mul(1 << 20)),
        work_dir: args.work_dir,
        heartbeat: Duration::from_secs(args.heartbeat),
        stop_grace: Duration::from_secs(args.stop_grace),
        ..defaults
    };
    let executor = Executor::new(&params)?;
    executor.serve(|description| println!("executor ready: {description}"), stop_signal()).await
}
