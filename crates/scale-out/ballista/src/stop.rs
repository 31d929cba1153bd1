//! The signals that ask a process to stop.

/// Waits for SIGTERM or SIGINT (elsewhere than on Unix, for Ctrl-C).
///
/// Registers for the signals when first polled; where that fails the future never ends, and the
/// signals keep their default effect of ending the process.
pub async fn stop_signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let (Ok(mut terminate), Ok(mut interrupt)) =
            (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
        {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            return;
        }
    }
    #[cfg(not(unix))]
    if tokio::signal::ctrl_c().await.is_ok() {
        return;
    }
    std::future::pending::<()>().await;
}
