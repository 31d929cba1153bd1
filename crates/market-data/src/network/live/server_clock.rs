use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use forecastle_core::Timestamp;

use super::LiveClock;
use super::skew::Skew;
use crate::cache::Clock;
use crate::network::HttpResponse;

/// Tells what time it is on the exchange's servers: our clock, corrected by the dates of their
/// answers. Clones share what they learn.
#[derive(Debug, Clone)]
pub(in crate::network) struct ServerClock {
    clock: LiveClock,
    skew: Arc<Mutex<Skew>>,
}

impl ServerClock {
    pub(super) fn new(clock: LiveClock) -> Self {
        Self { clock, skew: Arc::default() }
    }

    /// Our own clock, right or wrong.
    pub(in crate::network) fn own(&self) -> &LiveClock {
        &self.clock
    }

    /// The server's clock minus ours, once an answer told.
    pub(super) fn skew_ms(&self) -> Option<i64> {
        self.skew.lock().unwrap_or_else(PoisonError::into_inner).millis()
    }

    /// What time it is there, as far as known.
    pub(super) fn now(&self) -> Timestamp {
        self.at(self.clock.now())
    }

    /// What time it was there when our own clock showed `own`.
    pub(super) fn at(&self, own: Timestamp) -> Timestamp {
        Timestamp::from_millis(own.as_millis().saturating_add(self.skew_ms().unwrap_or(0)))
    }

    /// The same for what needs no waiting.
    pub(super) fn clock(&self) -> Clock {
        let own = self.clone();
        Arc::new(move || own.now())
    }

    /// Learns from an answer to a request that was sent after our clock showed `sent`.
    pub(in crate::network) fn observe(&self, sent: Timestamp, response: &HttpResponse) {
        let Some(date) = response.date else { return };
        let received = self.clock.now();
        // The last attempt alone counts, if it can be told apart.
        let latency = response.latency.as_secs_f64() * 1e3 * self.clock.speed();
        let latest = received.as_millis().saturating_sub((latency.ceil() as i64).saturating_add(1));
        let sent = sent.max(Timestamp::from_millis(latest));
        let mut skew = self.skew.lock().unwrap_or_else(PoisonError::into_inner);
        skew.observe(sent, received, date);
    }

    /// Waits until it is `time` there.
    pub(super) async fn sleep_until(&self, time: Timestamp) {
        self.clock.wait(|| time.as_millis().saturating_sub(self.now().as_millis())).await;
    }

    /// Waits for so long.
    pub(super) async fn sleep(&self, duration: Duration) {
        self.clock.sleep(duration).await;
    }
}
