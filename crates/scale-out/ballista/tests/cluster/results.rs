//! Results are those of one process.

use std::time::Duration;

use forecastle_ballista::{Job, JobParams, Progress};

use crate::harness::{QUICK, SLOW, SYMBOLS, TestCluster, bounded, candles, embedded, job, table};

#[test]
fn one_and_two_executors_give_what_one_process_gives() {
    bounded(Duration::from_secs(120), async {
        let candles = candles();
        let mut cluster = TestCluster::start(1);
        let client = cluster.connect(candles.path()).await;
        let expected = embedded(&client, QUICK).await;
        assert_eq!(expected.num_rows(), SYMBOLS);
        for executors in 1..=2 {
            let outcome = client.run(&job(QUICK), &JobParams::default(), |_| {}).await.unwrap();
            assert_eq!(outcome.attempts, 1);
            assert_eq!(table(&outcome.batches), expected, "{executors} executors");
            cluster.add_executor();
        }
    });
}

#[test]
fn rows_come_in_the_same_order_each_time() {
    bounded(Duration::from_secs(120), async {
        let candles = candles();
        let cluster = TestCluster::start(2);
        let client = cluster.connect(candles.path()).await;
        let unordered = Job::sql(crate::harness::query(QUICK));
        let mut tables = Vec::new();
        for _ in 0..3 {
            let outcome = client.run(&unordered, &JobParams::default(), |_| {}).await.unwrap();
            tables.push(table(&outcome.batches));
        }
        assert_eq!(tables[0], tables[1]);
        assert_eq!(tables[0], tables[2]);
    });
}

#[test]
fn a_job_reports_its_course() {
    bounded(Duration::from_secs(120), async {
        let candles = candles();
        let cluster = TestCluster::start(2);
        let client = cluster.connect(candles.path()).await;
        let mut course = Vec::new();
        let outcome = client
            .run(&job(SLOW / 12), &JobParams::default(), |progress| {
                course.push(match progress {
                    Progress::Submitted { attempt, .. } => format!("submitted {attempt}"),
                    Progress::Running { .. } => "running".to_string(),
                    Progress::Fetching { rows, .. } => format!("fetching {rows}"),
                    other => format!("{other:?}"),
                });
            })
            .await
            .unwrap();
        assert_eq!(course, ["submitted 1", "running", "fetching 24"]);
        assert_eq!(outcome.rows(), SYMBOLS);
        assert!(outcome.given_up.is_empty());
    });
}

#[test]
fn empty_results_are_results() {
    bounded(Duration::from_secs(120), async {
        let candles = candles();
        let cluster = TestCluster::start(1);
        let client = cluster.connect(candles.path()).await;
        for condition in ["symbol = 'NONE'", "close < 0"] {
            let sql =
                crate::harness::query(QUICK).replace("GROUP", &format!("WHERE {condition} GROUP"));
            let outcome = client
                .run(&Job::sql(sql).order_by(["symbol"]), &JobParams::default(), |_| {})
                .await
                .unwrap();
            assert_eq!(outcome.rows(), 0, "{condition}");
            assert_eq!(outcome.schema.fields().len(), 4);
        }
    });
}
