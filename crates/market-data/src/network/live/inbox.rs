//! What a stream has said and the feed has not read yet.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use forecastle_core::{Candle, Timestamp};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// Keeps a stream's latest words, however long nobody reads them, in little memory.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    state: Mutex<State>,
    changed: Notify,
    given_up: Notify,
}

#[derive(Debug, Default)]
struct State {
    connected: bool,
    /// Whether any candle was told since that was last asked.
    told: bool,
    closed: BTreeMap<Timestamp, Candle>,
    /// The newest candles as they look, by open time.
    latest: BTreeMap<Timestamp, Candle>,
}

/// What is new.
#[derive(Debug, Default)]
pub(super) struct News {
    /// Whether a connection was made: what came before it may be missing.
    pub(super) connected: bool,
    /// Candles that have closed, oldest first.
    pub(super) closed: Vec<Candle>,
}

/// Most closed candles that wait; those that find no room are asked for over HTTP.
const MOST_CLOSED: usize = 256;
/// How many candles are remembered as they look.
const MOST_LATEST: usize = 4;

impl Inbox {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn connected(&self) {
        self.state().connected = true;
        self.changed.notify_one();
    }

    /// Notes that the stream told some candle.
    pub(super) fn told(&self) {
        self.state().told = true;
    }

    /// Whether the stream told any candle since the last time.
    pub(super) fn was_told(&self) -> bool {
        std::mem::take(&mut self.state().told)
    }

    /// Declares the present connection useless.
    pub(super) fn give_up(&self) {
        // Who waits now is meant, and nobody later.
        self.given_up.notify_waiters();
    }

    /// Waits until the connection is declared useless, from when this is called.
    pub(super) fn given_up(&self) -> Notified<'_> {
        self.given_up.notified()
    }

    /// Takes a candle that has closed.
    pub(super) fn closed(&self, candle: Candle) {
        let mut state = self.state();
        let open = candle.open_time();
        if state.closed.len() < MOST_CLOSED || state.closed.contains_key(&open) {
            state.closed.insert(open, candle);
            self.changed.notify_one();
        }
    }

    /// Takes a candle as it looks now, of a stream that does not say when it has closed.
    pub(super) fn seen(&self, candle: Candle) {
        let mut state = self.state();
        let open = candle.open_time();
        if state.latest.keys().next_back().is_none_or(|newest| *newest < open) {
            self.changed.notify_one();
        }
        state.latest.insert(open, candle);
        while state.latest.len() > MOST_LATEST {
            state.latest.pop_first();
        }
    }

    /// Waits until something new is said.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// What is new, once.
    pub(super) fn take(&self) -> News {
        let mut state = self.state();
        let connected = std::mem::take(&mut state.connected);
        News { connected, closed: std::mem::take(&mut state.closed).into_values().collect() }
    }

    /// The newest candle, not before `from`, after which another has begun: as it looked last.
    pub(super) fn succeeded(&self, from: Timestamp) -> Option<Candle> {
        let state = self.state();
        let before_newest = state.latest.iter().rev().nth(1);
        before_newest.map(|(_, candle)| *candle).filter(|candle| candle.open_time() >= from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candle(minute: i64, close: f64) -> Candle {
        let open = Timestamp::from_millis(minute * 60_000);
        Candle::new(open, 1.0, 9.0, 0.5, close, 1.0).unwrap()
    }

    #[test]
    fn what_was_read_is_not_said_again_and_what_nobody_reads_does_not_pile_up() {
        let inbox = Inbox::default();
        inbox.connected();
        for minute in 0..10_000 {
            inbox.closed(candle(minute, 2.0));
            inbox.seen(candle(minute, 3.0));
        }
        let news = inbox.take();
        assert_eq!((news.connected, news.closed.len()), (true, MOST_CLOSED));
        assert_eq!(inbox.state().latest.len(), MOST_LATEST);
        let news = inbox.take();
        assert!(!news.connected && news.closed.is_empty());
    }

    #[test]
    fn a_candle_has_a_successor_when_a_later_one_was_seen() {
        let inbox = Inbox::default();
        let from = Timestamp::from_millis(0);
        inbox.seen(candle(5, 2.0));
        assert_eq!(inbox.succeeded(from), None);
        inbox.seen(candle(6, 2.5));
        inbox.seen(candle(5, 3.0));
        assert_eq!(inbox.succeeded(from), Some(candle(5, 3.0)));
        assert_eq!(inbox.succeeded(candle(6, 1.0).open_time()), None);
    }

    #[tokio::test]
    async fn a_new_open_time_wakes_the_reader_and_another_look_does_not() {
        let inbox = Inbox::default();
        let woken = async || {
            let waited = tokio::time::timeout(std::time::Duration::ZERO, inbox.changed());
            waited.await.is_ok()
        };
        inbox.seen(candle(5, 2.0));
        assert!(woken().await);
        inbox.seen(candle(5, 3.0));
        assert!(!woken().await);
        inbox.closed(candle(5, 3.0));
        assert!(woken().await);
        inbox.connected();
        assert!(woken().await);
    }
}
