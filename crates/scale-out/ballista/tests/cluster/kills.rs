//! Executors and schedulers that die, at any moment.

use std::time::{Duration, Instant};

use forecastle_ballista::{AttemptError, Job, JobError, JobParams, Progress};
use tokio::sync::Notify;

use crate::harness::{
    Program, QUICK, SCHEDULER, SLOW, Seeded, TestCluster, bounded, candles, embedded, job, query,
    table,
};

const DEADLINE: Duration = Duration::from_secs(90);

fn params() -> JobParams {
    JobParams { deadline: DEADLINE, ..JobParams::default() }
}

fn env(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}

/// Tells when a job's tasks may run: a moment that does not depend on the machine's speed.
fn when_running(running: &Notify) -> impl FnMut(&Progress) {
    |progress| {
        if matches!(progress, Progress::Running { .. }) {
            running.notify_one();
        }
    }
}

/// `FORECASTLE_KILLS` sets the rounds, `FORECASTLE_SEED` the moments.
#[test]
fn a_killed_executor_does_not_change_the_table() {
    let rounds = env("FORECASTLE_KILLS", 3);
    let mut seeded = Seeded(env("FORECASTLE_SEED", 1));
    let limit = Duration::from_secs(60) + (DEADLINE + Duration::from_secs(20)) * rounds as u32;
    bounded(limit, async {
        let candles = candles();
        let mut cluster = TestCluster::start(2);
        let client = cluster.connect(candles.path()).await;
        let expected = embedded(&client, SLOW).await;
        let started = Instant::now();
        let undisturbed = client.run(&job(SLOW), &params(), |_| {}).await.unwrap();
        let usual = started.elapsed();
        assert_eq!(table(&undisturbed.batches), expected);
        println!("undisturbed: {usual:.1?}");

        for round in 1..=rounds {
            // A little later than the end, too.
            let moment = usual.mul_f64(1.1 * seeded.unit());
            let victim = usize::from(seeded.unit() < 0.5);
            let (killed, outcome) = {
                let (job, params) = (job(SLOW), params());
                let run = client.run(&job, &params, |progress| {
                    if let Progress::GivenUp { reason, .. } = progress {
                        println!("round {round}: given up: {reason}");
                    }
                });
                let kill = async {
                    tokio::time::sleep(moment).await;
                    cluster.lose_executor(victim);
                };
                tokio::join!(kill, run)
            };
            let () = killed;
            let outcome = outcome.unwrap();
            println!(
                "round {round}: killed after {moment:.2?}, {} attempts, {:.2?}",
                outcome.attempts, outcome.elapsed
            );
            assert!(outcome.elapsed < DEADLINE);
            assert_eq!(table(&outcome.batches), expected, "round {round}");
            cluster.add_executor();
        }
    });
}

#[test]
fn an_executor_killed_between_the_end_and_the_fetch_costs_another_attempt() {
    bounded(Duration::from_secs(150), async {
        let candles = candles();
        let mut cluster = TestCluster::start(2);
        let client = cluster.connect(candles.path()).await;
        let expected = embedded(&client, SLOW / 40).await;
        let mut killed = false;
        let outcome = client
            .run(&job(SLOW / 40), &params(), |progress| {
                if let Progress::Fetching { job_id, .. } = progress
                    && !killed
                {
                    killed = true;
                    let holder = cluster.holder(job_id);
                    cluster.lose_executor(holder);
                }
            })
            .await
            .unwrap();
        assert_eq!(outcome.attempts, 2);
        assert!(
            matches!(outcome.given_up[..], [AttemptError::Fetch { .. }]),
            "{:?}",
            outcome.given_up
        );
        assert_eq!(table(&outcome.batches), expected);
        println!("killed before the fetch: {:.2?}", outcome.elapsed);
    });
}

#[test]
fn files_that_vanish_before_the_fetch_cost_another_attempt() {
    bounded(Duration::from_secs(150), async {
        let candles = candles();
        let cluster = TestCluster::start(2);
        let client = cluster.connect(candles.path()).await;
        let expected = embedded(&client, QUICK).await;
        let mut deleted = false;
        let outcome = client
            .run(&job(QUICK), &params(), |progress| {
                if let Progress::Fetching { job_id, .. } = progress
                    && !deleted
                {
                    deleted = true;
                    for (_, work_dir) in &cluster.executors {
                        let _ = std::fs::remove_dir_all(work_dir.join(job_id));
                    }
                }
            })
            .await
            .unwrap();
        assert_eq!(outcome.attempts, 2);
        assert_eq!(table(&outcome.batches), expected);
    });
}

/// Such a plan is where Ballista was seen to hang; the attempt's limit and the cancelling end it.
#[test]
fn a_shuffled_job_is_saved_by_another_attempt() {
    bounded(Duration::from_secs(600), async {
        let candles = candles();
        let mut cluster = TestCluster::start(2);
        let client = cluster.connect(candles.path()).await;
        let sql = query(SLOW / 4).replace("SELECT exchange, timeframe, symbol", "SELECT symbol");
        let shuffled =
            Job::sql(sql.replace("GROUP BY exchange, timeframe, symbol", "GROUP BY symbol"))
                .order_by(["symbol"])
                .allow_shuffle();
        let undisturbed = client.run(&shuffled, &params(), |_| {}).await.unwrap();
        for share in [0.3, 0.8] {
            // Time enough for the executor that is left to do it all, however slow the machine.
            let limit = 3 * undisturbed.elapsed + Duration::from_secs(10);
            let params = JobParams {
                attempt_time_limit: Some(limit),
                deadline: 3 * limit + DEADLINE,
                ..params()
            };
            let run = client.run(&shuffled, &params, |progress| {
                if let Progress::GivenUp { reason, .. } = progress {
                    println!("shuffled: given up: {reason}");
                }
            });
            let outcome = tokio::join!(run, async {
                tokio::time::sleep(undisturbed.elapsed.mul_f64(share)).await;
                cluster.lose_executor(0);
            })
            .0
            .unwrap();
            println!(
                "shuffled: killed at {share}, {} attempts, {:.1?} instead of {:.1?}",
                outcome.attempts, outcome.elapsed, undisturbed.elapsed
            );
            assert_eq!(table(&outcome.batches), table(&undisturbed.batches));
            cluster.add_executor();
        }
    });
}

#[test]
fn a_job_without_executors_ends_at_its_deadline() {
    bounded(Duration::from_secs(120), async {
        let candles = candles();
        let mut cluster = TestCluster::start(2);
        let client = cluster.connect(candles.path()).await;
        let deadline = Duration::from_secs(14);
        let params = JobParams { deadline, ..JobParams::default() };
        let started = Instant::now();
        let error = client
            .run(&job(SLOW), &params, |progress| {
                if matches!(progress, Progress::Running { .. }) && !cluster.executors.is_empty() {
                    cluster.lose_executor(1);
                    cluster.lose_executor(0);
                }
            })
            .await
            .unwrap_err();
        let elapsed = started.elapsed();
        assert!(matches!(error, JobError::DeadlineExceeded { .. }), "{error:?}");
        assert!(elapsed >= deadline, "{elapsed:?}");
        assert!(elapsed < deadline + Duration::from_secs(8), "{elapsed:?}");
    });
}

#[test]
fn a_job_waits_for_executors_that_come_back() {
    bounded(Duration::from_secs(150), async {
        let candles = candles();
        let mut cluster = TestCluster::start(1);
        let client = cluster.connect(candles.path()).await;
        let expected = embedded(&client, SLOW / 40).await;
        let (run_job, params) = (job(SLOW / 40), params());
        cluster.lose_executor(0);
        let run = client.run(&run_job, &params, |_| {});
        let outcome = tokio::join!(run, async {
            tokio::time::sleep(Duration::from_secs(8)).await;
            cluster.add_executor();
        })
        .0
        .unwrap();
        assert_eq!(table(&outcome.batches), expected);
    });
}

#[test]
fn a_job_survives_its_scheduler() {
    bounded(Duration::from_secs(150), async {
        let candles = candles();
        let mut cluster = TestCluster::start(1);
        let client = cluster.connect(candles.path()).await;
        let expected = embedded(&client, SLOW).await;
        let (run_job, params) = (job(SLOW), params());
        let running = Notify::new();
        let run = client.run(&run_job, &params, when_running(&running));
        let outcome = tokio::join!(run, async {
            running.notified().await;
            cluster.scheduler.kill();
            tokio::time::sleep(Duration::from_secs(2)).await;
            let port = cluster.address.rsplit(':').next().unwrap();
            cluster.scheduler = Program::start(SCHEDULER, &["--port", port, "--log", "info"]);
        })
        .0
        .unwrap();
        assert!(outcome.attempts >= 2);
        assert_eq!(table(&outcome.batches), expected);
    });
}

#[test]
fn a_frozen_executor_does_not_change_the_table() {
    bounded(Duration::from_secs(150), async {
        let candles = candles();
        let cluster = TestCluster::start(2);
        let client = cluster.connect(candles.path()).await;
        let expected = embedded(&client, SLOW).await;
        let (run_job, params) = (job(SLOW), params());
        let running = Notify::new();
        let run = client.run(&run_job, &params, when_running(&running));
        let outcome = tokio::join!(run, async {
            running.notified().await;
            // Both executors have tasks by now; how long the job takes depends on the machine.
            tokio::time::sleep(Duration::from_millis(200)).await;
            cluster.executors[0].0.freeze();
        })
        .0
        .unwrap();
        println!("frozen executor: {} attempts, {:.1?}", outcome.attempts, outcome.elapsed);
        // Its tasks were missed: it counts as lost four seconds after a heartbeat of every second.
        assert!(outcome.elapsed > Duration::from_secs(2), "{:?}", outcome.elapsed);
        assert_eq!(table(&outcome.batches), expected);
    });
}

#[test]
fn an_executor_frozen_before_the_fetch_costs_another_attempt() {
    bounded(Duration::from_secs(150), async {
        let candles = candles();
        let cluster = TestCluster::start(2);
        let client = cluster.connect(candles.path()).await;
        let expected = embedded(&client, SLOW / 40).await;
        let mut frozen = false;
        let outcome = client
            .run(&job(SLOW / 40), &params(), |progress| {
                if let Progress::Fetching { job_id, .. } = progress
                    && !frozen
                {
                    frozen = true;
                    cluster.executors[cluster.holder(job_id)].0.freeze();
                }
            })
            .await
            .unwrap();
        println!("frozen before the fetch: {} attempts, {:.1?}", outcome.attempts, outcome.elapsed);
        assert!(outcome.attempts >= 2);
        assert_eq!(table(&outcome.batches), expected);
    });
}

#[test]
fn a_job_under_a_frozen_scheduler_ends_at_its_deadline() {
    bounded(Duration::from_secs(120), async {
        let candles = candles();
        let cluster = TestCluster::start(1);
        let client = cluster.connect(candles.path()).await;
        let deadline = Duration::from_secs(8);
        let params = JobParams { deadline, ..JobParams::default() };
        let started = Instant::now();
        let error = client
            .run(&job(SLOW), &params, |progress| {
                if matches!(progress, Progress::Running { .. }) {
                    cluster.scheduler.freeze();
                }
            })
            .await
            .unwrap_err();
        let elapsed = started.elapsed();
        assert!(matches!(error, JobError::DeadlineExceeded { .. }), "{error:?}");
        assert!(elapsed < deadline + Duration::from_secs(8), "{elapsed:?}");
    });
}
