//! Errors come soon, say what is wrong, and are not tried again where that cannot help.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::arrow::datatypes::DataType;
use datafusion::logical_expr::{AggregateUDF, Volatility, create_udaf};
use forecastle_ballista::{
    Cluster, ClusterParams, ConnectError, Job, JobError, JobParams, Progress, Scheduler,
    SchedulerParams,
};

use crate::harness::{QUICK, TestCluster, bounded, candles, connect, job, query, start_executor};

const LIMIT: Duration = Duration::from_secs(120);

/// An aggregate function that no executor has.
fn unknown_function() -> Arc<AggregateUDF> {
    let count = datafusion::functions_aggregate::count::count_udaf();
    let accumulator = move |arguments: datafusion::logical_expr::function::AccumulatorArgs<'_>| {
        count.accumulator(arguments)
    };
    Arc::new(create_udaf(
        "nowhere",
        vec![DataType::Float64],
        Arc::new(DataType::Int64),
        Volatility::Immutable,
        Arc::new(accumulator),
        Arc::new(vec![DataType::Int64]),
    ))
}

fn unknown_query() -> Job {
    Job::sql("SELECT symbol, nowhere(close) FROM candles GROUP BY exchange, timeframe, symbol")
}

/// Runs a job that must fail, and counts how often it was submitted.
async fn failure(client: &Cluster, job: &Job) -> (JobError, usize) {
    let mut submitted = 0;
    let error = client
        .run(job, &JobParams::default(), |progress| {
            submitted += usize::from(matches!(progress, Progress::Submitted { .. }));
        })
        .await
        .unwrap_err();
    (error, submitted)
}

#[test]
fn no_scheduler_is_an_error_within_seconds() {
    bounded(LIMIT, async {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap().to_string();
        let params =
            ClusterParams { connect_timeout: Duration::from_secs(2), ..ClusterParams::default() };
        // Something listens and never answers.
        let started = Instant::now();
        let silent = Cluster::connect(&address, &params).await.unwrap_err();
        assert!(matches!(silent, JobError::Connect(_)), "{silent:?}");
        drop(free);
        let refused = Cluster::connect(&address, &params).await.unwrap_err();
        assert!(matches!(refused, JobError::Connect(ConnectError::Refused { .. })), "{refused:?}");
        assert!(started.elapsed() < Duration::from_secs(6));
        for malformed in ["", "localhost", "localhost:0", "http://localhost:1", "a b:1"] {
            let error = Cluster::connect(malformed, &params).await.unwrap_err();
            assert!(
                matches!(error, JobError::Connect(ConnectError::Address { .. })),
                "{malformed}: {error:?}"
            );
        }
    });
}

#[test]
fn plans_with_a_shuffle_are_refused() {
    bounded(LIMIT, async {
        let candles = candles();
        let cluster = TestCluster::start(1);
        let client = cluster.connect(candles.path()).await;
        for sql in [
            format!("{} ORDER BY symbol", query(QUICK)),
            "SELECT sum(close) FROM candles".to_string(),
            "SELECT open_time, avg(close) FROM candles GROUP BY open_time".to_string(),
        ] {
            let (error, submitted) = failure(&client, &Job::sql(&sql)).await;
            assert!(matches!(error, JobError::PlanRefused(_)), "{sql}: {error:?}");
            assert_eq!(submitted, 0);
            let allowed = client
                .run(&Job::sql(&sql).allow_shuffle(), &JobParams::default(), |_| {})
                .await
                .unwrap();
            assert!(allowed.rows() > 0, "{sql}");
        }
    });
}

#[test]
fn a_query_that_cannot_be_planned_is_not_submitted() {
    bounded(LIMIT, async {
        let candles = candles();
        let cluster = TestCluster::start(1);
        let client = cluster.connect(candles.path()).await;
        for sql in ["SELEC 1", "SELECT x FROM candles", "SELECT nowhere(close) FROM candles"] {
            let (error, submitted) = failure(&client, &Job::sql(sql)).await;
            assert!(matches!(error, JobError::Sql(_)), "{sql}: {error:?}");
            assert_eq!(submitted, 0);
        }
    });
}

#[test]
fn options_and_columns_that_are_wrong_are_refused_before_the_job() {
    bounded(LIMIT, async {
        let candles = candles();
        let cluster = TestCluster::start(1);
        let client = cluster.connect(candles.path()).await;
        let sql = query(QUICK).replace("pipeline", "pipelines");
        let (error, submitted) = failure(&client, &Job::sql(sql)).await;
        assert!(matches!(error, JobError::PlanRefused(_)), "{error:?}");
        assert_eq!(submitted, 0);
        let (error, submitted) = failure(&client, &job(QUICK).order_by(["sybmol"])).await;
        assert!(
            matches!(&error, JobError::Parameter { name: "order_by", value, .. } if value == "sybmol"),
            "{error:?}"
        );
        assert_eq!(submitted, 0);
        let nowhere = client.register_candles("none", "/nowhere").await.unwrap_err();
        assert!(matches!(nowhere, JobError::Candles(_)), "{nowhere:?}");
    });
}

#[test]
fn a_query_that_fails_is_not_tried_again() {
    bounded(LIMIT, async {
        let candles = candles();
        let cluster = TestCluster::start(1);
        let client = cluster.connect(candles.path()).await;
        let fails = Job::sql(
            "SELECT symbol, sum(1 / (CAST(close AS BIGINT) - CAST(close AS BIGINT))) \
             FROM candles GROUP BY exchange, timeframe, symbol",
        );
        let (error, submitted) = failure(&client, &fails).await;
        assert!(matches!(error, JobError::Query { .. }), "{error:?}");
        assert!(error.to_string().contains("DivideByZero"), "{error}");
        assert_eq!(submitted, 1);
        // The cluster is none the worse.
        let outcome = client.run(&job(QUICK), &JobParams::default(), |_| {}).await;
        assert_eq!(outcome.unwrap().attempts, 1);
    });
}

#[test]
fn a_function_that_the_scheduler_lacks_is_not_tried_again() {
    bounded(LIMIT, async {
        let candles = candles();
        let cluster = TestCluster::start(1);
        let params =
            ClusterParams { functions: vec![unknown_function()], ..ClusterParams::default() };
        let client = connect(&cluster.address, candles.path(), params).await;
        let (error, submitted) = failure(&client, &unknown_query()).await;
        assert!(matches!(error, JobError::Rejected { .. }), "{error:?}");
        assert!(error.to_string().contains("nowhere"), "{error}");
        assert_eq!(submitted, 0);
    });
}

#[test]
fn a_function_that_the_executors_lack_is_not_tried_again() {
    bounded(LIMIT, async {
        let candles = candles();
        let scheduler = Scheduler::bind(&SchedulerParams {
            bind: "127.0.0.1:0".parse().unwrap(),
            functions: vec![unknown_function()],
            ..SchedulerParams::default()
        })
        .unwrap();
        let address = scheduler.address().to_string();
        let serving = tokio::spawn(scheduler.serve(std::future::pending()));
        let folder = tempfile::tempdir().unwrap();
        let executor = {
            let (address, folder) = (address.clone(), folder.path().to_path_buf());
            tokio::task::spawn_blocking(move || start_executor(&address, &folder)).await.unwrap()
        };
        let params =
            ClusterParams { functions: vec![unknown_function()], ..ClusterParams::default() };
        let client = connect(&address, candles.path(), params).await;
        let (error, submitted) = failure(&client, &unknown_query()).await;
        assert!(matches!(error, JobError::Query { .. }), "{error:?}");
        assert!(error.to_string().contains("without one of the query's functions"), "{error}");
        assert_eq!(submitted, 1);
        drop(executor);
        serving.abort();
    });
}

#[test]
fn a_result_larger_than_its_bound_is_refused() {
    bounded(LIMIT, async {
        let candles = candles();
        let cluster = TestCluster::start(1);
        let client = cluster.connect(candles.path()).await;
        let params = JobParams { max_result_bytes: 100, ..JobParams::default() };
        let error = client.run(&job(QUICK), &params, |_| {}).await.unwrap_err();
        assert!(matches!(error, JobError::ResultTooLarge { limit: 100 }), "{error:?}");
    });
}

#[test]
fn attempts_that_run_out_of_time_are_cancelled_and_free_their_slots() {
    bounded(LIMIT, async {
        let candles = candles();
        let cluster = TestCluster::start(1);
        let client = cluster.connect(candles.path()).await;
        let params = JobParams {
            deadline: Duration::from_secs(3),
            attempts: 2,
            attempt_time_limit: Some(Duration::from_secs(1)),
            ..JobParams::default()
        };
        let slow = job(crate::harness::SLOW * 10);
        let error = client.run(&slow, &params, |_| {}).await.unwrap_err();
        assert!(matches!(error, JobError::DeadlineExceeded { attempts: 2, .. }), "{error:?}");
        // The one slot is free as soon as the task that holds it has ended.
        let outcome = client.run(&job(QUICK), &JobParams::default(), |_| {}).await.unwrap();
        assert_eq!(outcome.attempts, 1);
    });
}
