//! The log of the three programs.

use std::io::Write;

/// Names the least severe messages to be logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LogLevel {
    /// Errors only.
    Error,
    /// Warnings also.
    #[default]
    Warn,
    /// What a job went through also.
    Info,
    /// Everything but traces.
    Debug,
}

/// Sends the log, Ballista's included, to stderr.
///
/// For programs: a process has one log, and a second call changes nothing.
pub fn init_logging(level: LogLevel) {
    let (spans, records) = match level {
        LogLevel::Error => (tracing::Level::ERROR, log::LevelFilter::Error),
        LogLevel::Warn => (tracing::Level::WARN, log::LevelFilter::Warn),
        LogLevel::Info => (tracing::Level::INFO, log::LevelFilter::Info),
        LogLevel::Debug => (tracing::Level::DEBUG, log::LevelFilter::Debug),
    };
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(spans)
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .finish();
    // A log that is there already is the caller's choice.
    if tracing::subscriber::set_global_default(subscriber).is_ok()
        && log::set_logger(&BallistaLog).is_ok()
    {
        log::set_max_level(records);
    }
}

/// Writes the records of Ballista, which logs through `log`.
struct BallistaLog;

impl log::Log for BallistaLog {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        // Connections' own trouble comes back as errors, and their debug records are a flood.
        metadata.level() <= log::Level::Info || metadata.target().starts_with("ballista")
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            // A log that cannot be written must not stop the program.
            let _ = writeln!(
                std::io::stderr().lock(),
                "{:>5} {}: {}",
                record.level(),
                record.target(),
                record.args()
            );
        }
    }

    fn flush(&self) {}
}
