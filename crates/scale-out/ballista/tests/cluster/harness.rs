//! What the tests start, and the candles they run on.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::concat_batches;
use datafusion::parquet::arrow::ArrowWriter;
use forecastle::core::Symbol;
use forecastle::market_data::{CacheKey, Simulator, SimulatorParams};
use forecastle_ballista::{Cluster, ClusterParams, Job};
use forecastle_datafusion::candle_batch;
use tempfile::TempDir;

const START_LIMIT: Duration = Duration::from_secs(30);
pub(crate) const SYMBOLS: usize = 24;
const CANDLES: usize = 400;

/// Runs a test's future with a time limit of its own.
pub(crate) fn bounded<T>(limit: Duration, test: impl Future<Output = T>) -> T {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let ended = runtime.block_on(async { tokio::time::timeout(limit, test).await });
    runtime.shutdown_background();
    ended.unwrap_or_else(|_| panic!("the test took longer than {limit:?}"))
}

/// Splitmix64: seeded moments.
pub(crate) struct Seeded(pub(crate) u64);

impl Seeded {
    pub(crate) fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Writes candles of `SYMBOLS` markets in the layout of a download cache.
pub(crate) fn candles() -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for market in 0..SYMBOLS {
        let params =
            SimulatorParams { seed: market as u64, n: CANDLES, ..SimulatorParams::default() };
        let series = Simulator::new(params).unwrap().series().unwrap();
        let exchange = ["binance", "kraken"][market % 2];
        let symbol: Symbol = format!("COIN{market}/USDT").parse().unwrap();
        let key = CacheKey::new(exchange, symbol, series.timeframe()).unwrap();
        let folder = root.path().join(key.folder());
        std::fs::create_dir_all(&folder).unwrap();
        let batch = candle_batch(series.view()).unwrap();
        let file = std::fs::File::create(folder.join("part.parquet")).unwrap();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
    }
    root
}

/// The query of most tests: forecasts by boosting, of as many rounds as the time should take.
pub(crate) fn query(rounds: usize) -> String {
    format!(
        "SELECT exchange, timeframe, symbol, \
         forecast(open_time, open, high, low, close, volume, '{{\"pipeline\": {{\
         \"models\": [\"boosting\"], \
         \"boosting\": {{\"n_rounds\": {rounds}, \"early_stopping\": null}}}}}}') AS f \
         FROM candles GROUP BY exchange, timeframe, symbol"
    )
}

/// Rounds for a job that takes seconds on one slot.
pub(crate) const SLOW: usize = 600;

/// Rounds for a job that is done at once.
pub(crate) const QUICK: usize = 2;

pub(crate) fn job(rounds: usize) -> Job {
    Job::sql(query(rounds)).order_by(["exchange", "timeframe", "symbol"])
}

/// A program that is killed when it goes out of scope.
pub(crate) struct Program {
    child: Child,
    pub(crate) first_line: String,
    _lines: mpsc::Receiver<String>,
}

impl Program {
    pub(crate) fn start(path: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new(path)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log_file())
            .spawn()
            .unwrap();
        let (send, lines) = mpsc::channel();
        let stdout = child.stdout.take().unwrap();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = send.send(line);
            }
        });
        let first_line = lines.recv_timeout(START_LIMIT).unwrap_or_else(|_| {
            let _ = child.kill();
            panic!("{path} did not get ready")
        });
        Self { child, first_line, _lines: lines }
    }

    /// SIGSTOP: alive for its peers' connections, and silent.
    pub(crate) fn freeze(&self) {
        signal(self.child.id(), "STOP");
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM; returns the exit code.
    pub(crate) fn stop(mut self) -> Option<i32> {
        signal(self.child.id(), "TERM");
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("did not stop on SIGTERM")
    }
}

pub(crate) fn signal(pid: u32, name: &str) {
    let status =
        Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().unwrap();
    assert!(status.success());
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Logs go to `FORECASTLE_TEST_LOG`, when it is set.
fn log_file() -> Stdio {
    std::env::var_os("FORECASTLE_TEST_LOG").map_or_else(Stdio::null, |path| {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        Stdio::from(file)
    })
}

pub(crate) const SCHEDULER: &str = env!("CARGO_BIN_EXE_forecastle-scheduler");
pub(crate) const EXECUTOR: &str = env!("CARGO_BIN_EXE_forecastle-executor");
pub(crate) const CLIENT: &str = env!("CARGO_BIN_EXE_forecastle-client");

/// Executors count as lost after this many seconds of silence.
const EXECUTOR_TIMEOUT: &str = "4";

/// A scheduler with executors of one slot each.
pub(crate) struct TestCluster {
    pub(crate) scheduler: Program,
    pub(crate) address: String,
    pub(crate) executors: Vec<(Program, PathBuf)>,
    folder: TempDir,
    started: usize,
}

impl TestCluster {
    pub(crate) fn start(executors: usize) -> Self {
        let scheduler = Program::start(
            SCHEDULER,
            &["--port", "0", "--executor-timeout", EXECUTOR_TIMEOUT, "--log", "info"],
        );
        let address =
            scheduler.first_line.strip_prefix("scheduler listening on ").unwrap().to_string();
        let mut cluster = Self {
            scheduler,
            address,
            executors: Vec::new(),
            folder: tempfile::tempdir().unwrap(),
            started: 0,
        };
        for _ in 0..executors {
            cluster.add_executor();
        }
        cluster
    }

    pub(crate) fn add_executor(&mut self) {
        let work_dir = self.folder.path().join(format!("executor-{}", self.started));
        self.started += 1;
        let executor = start_executor(&self.address, &work_dir);
        self.executors.push((executor, work_dir));
    }

    /// Kills an executor and deletes its files, as when its machine is gone.
    pub(crate) fn lose_executor(&mut self, index: usize) {
        let (mut executor, work_dir) = self.executors.remove(index);
        executor.kill();
        std::fs::remove_dir_all(work_dir).unwrap();
    }

    /// Returns an executor that holds a part of a job's result.
    pub(crate) fn holder(&self, job_id: &str) -> usize {
        self.executors
            .iter()
            .position(|(_, work_dir)| work_dir.join(job_id).is_dir())
            .expect("some executor ran the job")
    }

    pub(crate) async fn connect(&self, candles: &Path) -> Cluster {
        connect(&self.address, candles, ClusterParams::default()).await
    }
}

pub(crate) fn start_executor(scheduler: &str, work_dir: &Path) -> Program {
    let executor = Program::start(
        EXECUTOR,
        &[
            "--scheduler",
            scheduler,
            "--concurrent-tasks",
            "1",
            "--heartbeat",
            "1",
            "--work-dir",
            work_dir.to_str().unwrap(),
            "--log",
            "info",
        ],
    );
    assert!(executor.first_line.starts_with("executor ready: "));
    executor
}

pub(crate) async fn connect(address: &str, candles: &Path, params: ClusterParams) -> Cluster {
    let cluster = Cluster::connect(address, &params).await.unwrap();
    cluster.register_candles("candles", candles.to_str().unwrap()).await.unwrap();
    cluster
}

/// Puts batches together, so that equal means bit for bit.
pub(crate) fn table(batches: &[RecordBatch]) -> RecordBatch {
    let schema = batches.first().expect("the result has rows").schema();
    concat_batches(&schema, batches).unwrap()
}

/// Runs a job's query in this process, without a cluster.
pub(crate) async fn embedded(cluster: &Cluster, rounds: usize) -> RecordBatch {
    use datafusion::prelude::col;
    let batches = cluster
        .context()
        .sql(&query(rounds))
        .await
        .unwrap()
        .sort(
            ["exchange", "timeframe", "symbol"]
                .map(|column| col(column).sort(true, false))
                .to_vec(),
        )
        .unwrap()
        .collect()
        .await
        .unwrap();
    table(&batches)
}
