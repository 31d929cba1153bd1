//! The programs as they are run by hand and by scripts.

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::harness::{
    CLIENT, EXECUTOR, Program, QUICK, SCHEDULER, SYMBOLS, TestCluster, bounded, candles, query,
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
