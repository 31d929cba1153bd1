//! A client of a cluster: one query, one file.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program prints")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use forecastle_ballista::{
    Cluster, ClusterParams, Job, JobParams, LogLevel, OutputFormat, Progress, init_logging,
    stop_signal, write_output,
};

/// Runs a query over candles on a cluster and writes its result to a file.
///
/// The query sees one table, `candles`: the Parquet files under
/// ROOT/exchange=.../timeframe=.../symbol=.../, which every executor must see under the same path.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Scheduler, as HOST:PORT.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:50050")]
    scheduler: String,

    /// Folder of the candles.
    #[arg(long, value_name = "ROOT")]
    candles: PathBuf,

    /// Query.
    #[arg(long, value_name = "QUERY", required_unless_present = "sql_file")]
    sql: Option<String>,

    /// File with the query.
    #[arg(long, value_name = "FILE", conflicts_with = "sql")]
    sql_file: Option<PathBuf>,

    /// File for the result, .parquet or .csv; replaced when the result is complete.
    #[arg(long, value_name = "FILE")]
    output: PathBuf,

    /// Columns of the result to sort it by, in this client (ORDER BY would need a shuffle).
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    order_by: Vec<String>,

    /// Seconds from the start to the result, all attempts included.
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    deadline: u64,

    /// Times that the job may be submitted.
    #[arg(long, value_name = "TIMES", default_value_t = 3)]
    attempts: u32,

    /// Seconds after which an attempt is cancelled for another [default: half of the time left].
    #[arg(long, value_name = "SECONDS")]
    attempt_limit: Option<u64>,

    /// Tasks to split the job into, at most one a file; several times the cluster's task slots.
    #[arg(long, value_name = "TASKS", default_value_t = 64)]
    partitions: usize,

    /// Seconds to wait for the scheduler.
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    connect_timeout: u64,

    /// Run plans with a shuffle too: an executor that dies may stop such a job until its deadline.
    #[arg(long)]
    allow_shuffle: bool,

    /// Do not report the job's course on stderr.
    #[arg(long)]
    quiet: bool,

    /// Least severe messages in the log (stderr).
    #[arg(long, value_enum, default_value_t = LogLevel::Error)]
    log: LogLevel,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    init_logging(args.log);
    let stopped = tokio::select! {
        ended = run(args) => match ended {
            Ok(()) => return ExitCode::SUCCESS,
            Err(error) => chain(error.as_ref()),
        },
        () = stop_signal() => {
            // The job is being cancelled in the background.
            tokio::time::sleep(Duration::from_millis(500)).await;
            "stopped by a signal".to_string()
        }
    };
    eprintln!("forecastle-client: {stopped}");
    ExitCode::FAILURE
}

async fn run(args: Args) -> Result<(), Box<dyn std::error::Error>> {
    OutputFormat::of(&args.output)?;
    let sql = match (args.sql, &args.sql_file) {
        (Some(sql), _) => sql,
        (None, Some(file)) => std::fs::read_to_string(file)
            .map_err(|error| format!("cannot read {}: {error}", file.display()))?,
        (None, None) => return Err("--sql or --sql-file is needed".into()),
    };
    // Executors have working directories of their own.
    let root = args
        .candles
        .canonicalize()
        .map_err(|error| format!("cannot read {}: {error}", args.candles.display()))?;
    let root = root.to_str().ok_or("the path of the candles must be UTF-8")?;

    let cluster = Cluster::connect(
        &args.scheduler,
        &ClusterParams {
            partitions: args.partitions,
            connect_timeout: Duration::from_secs(args.connect_timeout),
            ..ClusterParams::default()
        },
    )
    .await?;
    cluster.register_candles("candles", root).await?;
    let mut job = Job::sql(sql).order_by(args.order_by);
    if args.allow_shuffle {
        job = job.allow_shuffle();
    }
    let params = JobParams {
        deadline: Duration::from_secs(args.deadline),
        attempts: args.attempts,
        attempt_time_limit: args.attempt_limit.map(Duration::from_secs),
        ..JobParams::default()
    };
    let quiet = args.quiet;
    let outcome = cluster
        .run(&job, &params, |progress| {
            if !quiet {
                report(progress);
            }
        })
        .await?;
    write_output(&args.output, &outcome.schema, &outcome.batches)?;
    println!(
        "{} rows in {:.1} s ({} attempts): {}",
        outcome.rows(),
        outcome.elapsed.as_secs_f64(),
        outcome.attempts,
        args.output.display()
    );
    Ok(())
}

fn report(progress: &Progress) {
    match progress {
        Progress::Submitted { attempt, job_id, limit } => eprintln!(
            "attempt {attempt}: job {job_id} submitted, may take {:.0} s",
            limit.as_secs_f64()
        ),
        Progress::Running { job_id } => eprintln!("job {job_id} runs"),
        Progress::Fetching { job_id, partitions, rows } => {
            eprintln!("job {job_id} done, fetching {rows} rows in {partitions} partitions");
        }
        Progress::GivenUp { attempt, reason } => {
            eprintln!("attempt {attempt} given up: {reason}");
        }
        _ => {}
    }
}

/// Puts an error and what lies under it on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let text = inner.to_string();
        if !line.contains(&text) {
            line = format!("{line}: {text}");
        }
        source = inner.source();
    }
    line.replace('\n', " ")
}
