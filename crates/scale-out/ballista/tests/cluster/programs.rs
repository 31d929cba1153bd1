//! The programs as they are run by hand and by scripts.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use forecastle_ballista::{ClusterParams, JobParams};

use crate::harness::{
    CLIENT, EXECUTOR, Program, QUICK, SCHEDULER, SLOW, SYMBOLS, TestCluster, bounded, candles,
    connect, job, query, signal,
};

/// Runs a program that ends by itself.
fn output(path: &str, arguments: &[&str]) -> Output {
    Command::new(path).args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// Asserts that a program failed with one line that says why.
fn assert_fails(path: &str, arguments: &[&str], why: &str) {
    let started = Instant::now();
    let output = output(path, arguments);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {stderr}");
    assert_eq!(stderr.trim_end().lines().count(), 1, "{stderr}");
    assert!(stderr.contains(why), "{stderr}");
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[test]
fn ports_in_use_and_bad_addresses_are_one_line() {
    bounded(Duration::from_secs(60), async {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port().to_string();
        assert_fails(SCHEDULER, &["--port", &port], "in use");
        assert_fails(EXECUTOR, &["--flight-port", &port], "in use");
        assert_fails(EXECUTOR, &["--control-port", &port], "in use");
        assert_fails(SCHEDULER, &["--bind", "0.0.0.0", "--port", "0"], "external-host");
        assert_fails(SCHEDULER, &["--bind", "192.0.2.1", "--port", "0"], "192.0.2.1");
        assert_fails(EXECUTOR, &["--scheduler", "nohost"], "HOST:PORT");
        drop(taken);
        let gone = format!("127.0.0.1:{port}");
        assert_fails(
            EXECUTOR,
            &["--scheduler", &gone, "--connect-timeout", "1"],
            "no scheduler at",
        );
        let arguments = ["--scheduler", &gone, "--candles", "/", "--sql", "SELECT 1"];
        assert_fails(
            CLIENT,
            &[&arguments[..], &["--output", "/tmp/never.csv"]].concat(),
            "no scheduler at",
        );
        assert_fails(
            CLIENT,
            &[&arguments[..], &["--output", "never.txt"]].concat(),
            ".csv or .parquet",
        );
    });
}

#[test]
fn programs_stop_on_sigterm_and_leave_nothing() {
    bounded(Duration::from_secs(60), async {
        let temporary = tempfile::tempdir().unwrap();
        let scheduler = Program::start(SCHEDULER, &["--port", "0"]);
        let address = scheduler.first_line.rsplit(' ').next().unwrap().to_string();
        let executor = Program::start(
            "env",
            &[
                &format!("TMPDIR={}", temporary.path().display()),
                EXECUTOR,
                "--scheduler",
                &address,
                "--concurrent-tasks",
                "1",
            ],
        );
        assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 1);
        assert_eq!(executor.stop(), Some(0));
        assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0);
        assert_eq!(scheduler.stop(), Some(0));
    });
}

#[test]
fn the_client_writes_csv_and_parquet() {
    bounded(Duration::from_secs(120), async {
        let candles = candles();
        let cluster = TestCluster::start(1);
        let folder = tempfile::tempdir().unwrap();
        for name in ["out.csv", "out.parquet"] {
            let path = folder.path().join(name);
            let output = output(
                CLIENT,
                &[
                    "--scheduler",
                    &cluster.address,
                    "--candles",
                    candles.path().to_str().unwrap(),
                    "--sql",
                    &query(QUICK),
                    "--order-by",
                    "exchange,symbol",
                    "--output",
                    path.to_str().unwrap(),
                ],
            );
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{stderr}");
            assert!(stderr.contains("attempt 1: job"), "{stderr}");
            let stdout = String::from_utf8_lossy(&output.stdout);
            assert!(stdout.starts_with("24 rows in "), "{stdout}");
        }
        let csv = std::fs::read_to_string(folder.path().join("out.csv")).unwrap();
        let lines: Vec<_> = csv.lines().collect();
        assert_eq!(lines.len(), SYMBOLS + 1);
        assert!(lines[0].starts_with("exchange,timeframe,symbol,f."), "{}", lines[0]);
        assert!(lines[1].starts_with("binance,"), "{}", lines[1]);
        let size = folder.path().join("out.parquet").metadata().unwrap().len();
        assert!(size > 0);
    });
}

#[test]
fn a_client_that_is_stopped_cancels_its_job() {
    bounded(Duration::from_secs(120), async {
        let candles = candles();
        let cluster = TestCluster::start(1);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.csv");
        let mut client = Command::new(CLIENT)
            .args(["--scheduler", &cluster.address, "--sql", &query(SLOW * 10)])
            .args(["--candles", candles.path().to_str().unwrap()])
            .args(["--output", path.to_str().unwrap()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(client.stderr.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().ends_with(" runs")));
        signal(client.id(), "TERM");
        assert!(lines.any(|line| line.unwrap().contains("stopped by a signal")));
        assert_eq!(client.wait().unwrap().code(), Some(1));
        assert!(!path.exists());
        // What is left of the job is the one task that holds the slot.
        let started = Instant::now();
        let library = cluster.connect(candles.path()).await;
        let outcome = library.run(&job(QUICK), &JobParams::default(), |_| {}).await;
        assert_eq!(outcome.unwrap().attempts, 1);
        assert!(started.elapsed() < Duration::from_secs(20));
    });
}

#[test]
fn the_script_starts_and_stops_a_cluster() {
    bounded(Duration::from_secs(120), async {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("run");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/cluster.sh");
        let run = |arguments: &[&str]| {
            let output = Command::new("bash")
                .arg(script)
                .args(arguments)
                .args(["--dir", folder.to_str().unwrap()])
                .env("FORECASTLE_BIN_DIR", Path::new(SCHEDULER).parent().unwrap())
                .stdin(Stdio::null())
                .output()
                .unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            (output.status.code(), text)
        };
        assert_eq!(run(&["status"]).0, Some(1));
        let (code, text) = run(&["start", "2", "--port", "0", "--tasks", "1", "--memory", "200"]);
        let candles = candles();
        let address =
            text.split_whitespace().find(|word| word.starts_with("127.0.0.1:")).map(str::to_string);
        let outcome = match &address {
            Some(address) => {
                let client = connect(address, candles.path(), ClusterParams::default()).await;
                client.run(&job(QUICK), &JobParams::default(), |_| {}).await
            }
            None => panic!("{text}"),
        };
        let again = run(&["start", "2"]);
        let status = run(&["status"]);
        let stopped = run(&["stop"]);
        // Judged when nothing of it runs any more.
        assert_eq!(code, Some(0), "{text}");
        assert_eq!(outcome.unwrap().rows(), SYMBOLS);
        assert_eq!(again, (Some(0), text.clone()));
        assert_eq!(status, (Some(0), text));
        assert_eq!(stopped.0, Some(0));
        assert_eq!(run(&["status"]).0, Some(1));
        assert_eq!(run(&["stop"]).0, Some(0));
    });
}
