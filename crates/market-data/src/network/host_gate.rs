use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};

/// Lets requests to one host start one after the other, no faster than its pace, no more at once
/// than it has connections, and none while the host has asked for a pause.
///
/// First come, first served. Whoever stops waiting gives up the place and has used up nothing.
/// All times are tokio's, so a test may stop the clock.
#[derive(Debug)]
pub(super) struct HostGate {
    slots: Arc<Semaphore>,
    turn: Mutex<Option<Start>>,
    paused_until: std::sync::Mutex<Option<Instant>>,
}

/// When the latest request started and how far from it the next may.
#[derive(Debug, Clone, Copy)]
struct Start {
    at: Instant,
    interval: Duration,
}

/// Holds one of the host's connections until it is dropped.
#[derive(Debug)]
pub(super) struct Pass {
    _slot: Option<OwnedSemaphorePermit>,
}

/// The host's pause is longer than the caller waits; `remaining` says how long it still is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StillPaused {
    pub(super) remaining: Duration,
}

impl HostGate {
    pub(super) fn new(connections: usize) -> Self {
        Self {
            slots: Arc::new(Semaphore::new(connections.min(Semaphore::MAX_PERMITS))),
            turn: Mutex::new(None),
            paused_until: std::sync::Mutex::new(None),
        }
    }

    /// Lets no request start before `duration` has passed; a longer pause stays.
    pub(super) fn pause(&self, duration: Duration) {
        let until = Instant::now() + duration;
        let mut paused = self.paused_until.lock().unwrap_or_else(PoisonError::into_inner);
        if paused.is_none_or(|known| known < until) {
            *paused = Some(until);
        }
    }

    /// Waits for one's turn, at most `patience` for a pause of the host.
    ///
    /// # Errors
    /// [`StillPaused`], at once, when a pause lasts longer than that.
    pub(super) async fn enter(
        &self,
        min_interval: Duration,
        patience: Duration,
    ) -> Result<Pass, StillPaused> {
        self.pause_left(patience)?;
        let slot = Arc::clone(&self.slots).acquire_owned().await.ok();
        let mut turn = self.turn.lock().await;
        loop {
            let now = Instant::now();
            let paced = turn.map(|start| start.at + start.interval.max(min_interval));
            let ready = paced.max(self.pause_left(patience)?);
            match ready {
                Some(ready) if ready > now => sleep_until(ready).await,
                _ => {
                    *turn = Some(Start { at: now, interval: min_interval });
                    return Ok(Pass { _slot: slot });
                }
            }
        }
    }

    /// The end of the pause, if there is one and it is near enough.
    fn pause_left(&self, patience: Duration) -> Result<Option<Instant>, StillPaused> {
        let paused = *self.paused_until.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(until) = paused else { return Ok(None) };
        let remaining = until.saturating_duration_since(Instant::now());
        if remaining > patience { Err(StillPaused { remaining }) } else { Ok(Some(until)) }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, timeout};

    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const LONG: Duration = Duration::from_secs(60);

    fn gate(connections: usize) -> Arc<HostGate> {
        Arc::new(HostGate::new(connections))
    }

    /// Starts of `n` requests that queue in order, each with `interval`.
    async fn starts(gate: &Arc<HostGate>, n: usize, interval: Duration) -> Vec<(usize, Duration)> {
        let zero = Instant::now();
        let log = Arc::new(std::sync::Mutex::new(Vec::new()));
        let mut tasks = Vec::new();
        for index in 0..n {
            let (gate, log) = (Arc::clone(gate), Arc::clone(&log));
            tasks.push(tokio::spawn(async move {
                let _pass = gate.enter(interval, LONG).await.unwrap();
                log.lock().unwrap().push((index, zero.elapsed()));
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
        Arc::try_unwrap(log).unwrap().into_inner().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn requests_start_an_interval_apart_in_the_order_they_came() {
        let expected: Vec<_> = (0..5).map(|index| (index, 50 * MS * index as u32)).collect();
        assert_eq!(starts(&gate(2), 5, 50 * MS).await, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn the_wider_of_two_intervals_counts() {
        let gate = gate(8);
        let zero = Instant::now();
        gate.enter(100 * MS, LONG).await.unwrap();
        gate.enter(10 * MS, LONG).await.unwrap();
        assert_eq!(zero.elapsed(), 100 * MS);
        gate.enter(10 * MS, LONG).await.unwrap();
        assert_eq!(zero.elapsed(), 110 * MS);
        gate.enter(300 * MS, LONG).await.unwrap();
        assert_eq!(zero.elapsed(), 410 * MS);
    }

    #[tokio::test(start_paused = true)]
    async fn no_interval_means_no_wait() {
        let starts = starts(&gate(1), 100, Duration::ZERO).await;
        assert!(starts.iter().all(|(_, start)| start.is_zero()));
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_are_under_way_than_there_are_connections() {
        let gate = gate(2);
        let first = gate.enter(Duration::ZERO, LONG).await.unwrap();
        let _second = gate.enter(Duration::ZERO, LONG).await.unwrap();
        assert!(timeout(LONG, gate.enter(Duration::ZERO, LONG)).await.is_err());
        drop(first);
        assert!(timeout(MS, gate.enter(Duration::ZERO, LONG)).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn who_stops_waiting_uses_up_nothing() {
        let gate = gate(1);
        let zero = Instant::now();
        drop(gate.enter(100 * MS, LONG).await.unwrap());
        for _ in 0..5 {
            assert!(timeout(10 * MS, gate.enter(100 * MS, LONG)).await.is_err());
        }
        assert_eq!(zero.elapsed(), 50 * MS);
        gate.enter(100 * MS, LONG).await.unwrap();
        assert_eq!(zero.elapsed(), 100 * MS);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_holds_everyone_and_only_grows() {
        let gate = gate(4);
        let zero = Instant::now();
        gate.pause(500 * MS);
        gate.pause(100 * MS);
        let waiting = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { gate.enter(MS, LONG).await.map(|_| ()) }
        });
        advance(200 * MS).await;
        gate.pause(600 * MS);
        waiting.await.unwrap().unwrap();
        assert_eq!(zero.elapsed(), 800 * MS);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_beyond_ones_patience_is_an_answer_at_once() {
        let gate = gate(4);
        gate.pause(500 * MS);
        advance(100 * MS).await;
        let refused = gate.enter(MS, 399 * MS).await.unwrap_err();
        assert_eq!(refused, StillPaused { remaining: 400 * MS });
        gate.enter(MS, 400 * MS).await.unwrap();
        gate.enter(MS, Duration::ZERO).await.unwrap();
    }
}
