//! The scheduler of a cluster.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program prints")]

use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use forecastle_ballista::{
    LogLevel, Scheduler, SchedulerParams, ServeError, init_logging, stop_signal,
};

/// Hands the tasks of jobs to executors.
///
/// Prints "scheduler listening on HOST:PORT" once clients and executors can connect.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Address to listen on. Anyone who can connect can run queries.
    #[arg(long, default_value = "127.0.0.1")]
    bind: IpAddr,

    /// Port to listen on; 0 takes a free one.
    #[arg(long, default_value_t = 50050)]
    port: u16,

    /// Host name that executors reach this scheduler by [default: the bound address].
    #[arg(long, value_name = "HOST")]
    external_host: Option<String>,

    /// Seconds that an executor may be silent before its tasks go to others; at least three times
    /// the executors' --heartbeat.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    executor_timeout: u64,

    /// Seconds that results stay on the executors when no client removes them.
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    result_lifetime: u64,

    /// Least severe messages in the log (stderr).
    #[arg(long, value_enum, default_value_t)]
    log: LogLevel,
}

fn main() -> ExitCode {
    let args = Args::parse();
    init_logging(args.log);
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        // Plans over many files are deep.
        .thread_stack_size(32 << 20)
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("forecastle-scheduler: {error}");
            return ExitCode::FAILURE;
        }
    };
    let served = runtime.block_on(serve(args));
    runtime.shutdown_background();
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("forecastle-scheduler: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(args: Args) -> Result<(), ServeError> {
    let params = SchedulerParams {
        bind: SocketAddr::new(args.bind, args.port),
        external_host: args.external_host,
        executor_timeout: Duration::from_secs(args.executor_timeout),
        result_lifetime: Duration::from_secs(args.result_lifetime),
        ..SchedulerParams::default()
    };
    let scheduler = Scheduler::bind(&params)?;
    println!("scheduler listening on {}", scheduler.address());
    scheduler.serve(stop_signal()).await
}
