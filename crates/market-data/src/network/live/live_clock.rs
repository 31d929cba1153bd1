use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use forecastle_core::{Error, Result, Timestamp};
use tokio::time::{Instant, sleep};

use crate::cache::Clock;
use crate::network::system_clock;

/// Tells a live source the time and lets it wait.
///
/// [`system`](Self::system) is the computer's own. For a replay there are two in quick motion,
/// which drive the same code: [`accelerated`](Self::accelerated) runs at so many times real time,
/// and [`leaping`](Self::leaping) stands still until somebody waits and then leaps to the end of
/// the wait, so that a replay goes as fast as the machine can. Whoever waits for an event *or* a
/// time needs a clock that runs.
///
/// Clones tell the same time. It needs a tokio runtime with time to wait in.
///
/// # Examples
/// ```
/// use forecastle_market_data::LiveClock;
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let clock = LiveClock::leaping("2024-01-01T00:00:00Z".parse()?);
/// let new_year = "2025-01-01T00:00:00Z".parse()?;
/// clock.sleep_until(new_year).await;
/// assert_eq!(clock.now(), new_year);
/// # Ok::<(), forecastle_core::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct LiveClock {
    time: Time,
    shift_ms: i64,
}

#[derive(Clone)]
enum Time {
    Running { clock: Clock, speed: f64 },
    Leaping(Arc<AtomicI64>),
}

impl LiveClock {
    /// The computer's own clock.
    pub fn system() -> Self {
        Self::new(system_clock())
    }

    /// A clock that runs as fast as real time, whatever time it shows.
    pub fn new(clock: Clock) -> Self {
        Self { time: Time::Running { clock, speed: 1.0 }, shift_ms: 0 }
    }

    /// A clock that runs `speed` times as fast as real time, whatever time it shows.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] unless `speed` is from 1 to 1,000,000.
    pub fn with_speed(clock: Clock, speed: f64) -> Result<Self> {
        if !(1.0..=1e6).contains(&speed) {
            return Err(Error::invalid_parameter("speed", "between 1 and 1000000", speed));
        }
        Ok(Self { time: Time::Running { clock, speed }, shift_ms: 0 })
    }

    /// A clock that shows `start` now and runs `speed` times as fast as real time.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] unless `speed` is from 1 to 1,000,000.
    pub fn accelerated(start: Timestamp, speed: f64) -> Result<Self> {
        let begun = std::time::Instant::now();
        let clock = move || {
            // A cast keeps within the range.
            let passed = (begun.elapsed().as_secs_f64() * 1e3 * speed) as i64;
            Timestamp::from_millis(start.as_millis().saturating_add(passed))
        };
        Self::with_speed(Arc::new(clock), speed)
    }

    /// A clock that stands at `start` and moves only when somebody waits: at once to the end of
    /// the wait.
    pub fn leaping(start: Timestamp) -> Self {
        Self { time: Time::Leaping(Arc::new(AtomicI64::new(start.as_millis()))), shift_ms: 0 }
    }

    /// This clock gone wrong: `millis` fast, or slow when negative.
    #[must_use]
    pub fn shifted(self, millis: i64) -> Self {
        Self { shift_ms: self.shift_ms.saturating_add(millis), ..self }
    }

    /// What time it shows.
    pub fn now(&self) -> Timestamp {
        let time = match &self.time {
            Time::Running { clock, .. } => clock().as_millis(),
            Time::Leaping(now) => now.load(Ordering::SeqCst),
        };
        Timestamp::from_millis(time.saturating_add(self.shift_ms))
    }

    /// The same time for what needs no waiting: an exchange's client, a replay server.
    pub fn clock(&self) -> Clock {
        let own = self.clone();
        Arc::new(move || own.now())
    }

    /// How many times faster than real time it runs; infinitely, when it leaps.
    pub fn speed(&self) -> f64 {
        match self.time {
            Time::Running { speed, .. } => speed,
            Time::Leaping(_) => f64::INFINITY,
        }
    }

    /// Waits until it shows `time`.
    ///
    /// A clock set forward, or a computer that slept, ends the wait in ten seconds; a clock set
    /// back prolongs it by a second at most.
    pub async fn sleep_until(&self, time: Timestamp) {
        self.wait(|| time.as_millis().saturating_sub(self.now().as_millis())).await;
    }

    /// Waits for so long by this clock.
    pub async fn sleep(&self, duration: Duration) {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        let end = self.now().as_millis().saturating_add(millis);
        self.sleep_until(Timestamp::from_millis(end)).await;
    }

    /// Waits until no milliseconds are left, which is asked again and again.
    pub(super) async fn wait(&self, left: impl Fn() -> i64) {
        const GLANCE: Duration = Duration::from_secs(10);
        const LEAST: Duration = Duration::from_millis(1);
        const SLACK: Duration = Duration::from_secs(1);
        let first = left();
        if first <= 0 {
            return;
        }
        match &self.time {
            Time::Leaping(now) => {
                let end = now.load(Ordering::SeqCst).saturating_add(first);
                now.fetch_max(end, Ordering::SeqCst);
                tokio::task::yield_now().await;
            }
            Time::Running { speed, .. } => {
                let real = |millis: i64| {
                    Duration::from_millis(u64::try_from(millis).unwrap_or(0)).div_f64(*speed)
                };
                let begun = Instant::now();
                let longest = real(first).saturating_add(SLACK);
                let mut millis = first;
                while millis > 0 && begun.elapsed() < longest {
                    sleep(real(millis).clamp(LEAST, GLANCE)).await;
                    millis = left();
                }
            }
        }
    }
}

impl fmt::Debug for LiveClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveClock").field("now", &self.now()).field("speed", &self.speed()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_leaps_moves_only_when_somebody_waits() {
        let clock = LiveClock::leaping(START);
        let (other, fast) = (clock.clone(), clock.clone().shifted(90_000));
        clock.sleep(Duration::from_secs(60)).await;
        assert_eq!(other.now().millis_since(START), Some(60_000));
        assert_eq!(fast.now().millis_since(START), Some(150_000));
        fast.sleep_until(fast.now()).await;
        other.sleep_until(START).await;
        assert_eq!(clock.now().millis_since(START), Some(60_000));
        fast.sleep(Duration::from_secs(1)).await;
        assert_eq!(clock.now().millis_since(START), Some(61_000));
    }

    #[tokio::test]
    async fn an_accelerated_clock_waits_in_its_own_time() {
        let clock = LiveClock::accelerated(START, 10_000.0).unwrap();
        let begun = std::time::Instant::now();
        clock.sleep(Duration::from_secs(600)).await;
        assert!(clock.now().millis_since(START).unwrap() >= 600_000);
        assert!(begun.elapsed() >= Duration::from_millis(60));
        for speed in [0.5, 2e6, f64::NAN, f64::INFINITY] {
            assert!(LiveClock::accelerated(START, speed).is_err(), "{speed}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_set_ends_the_wait_soon() {
        let shown = Arc::new(AtomicI64::new(0));
        let own = shown.clone();
        let clock =
            LiveClock::new(Arc::new(move || Timestamp::from_millis(own.load(Ordering::SeqCst))));
        let begun = Instant::now();
        let waiting = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep(Duration::from_secs(3_600)).await }
        });
        sleep(Duration::from_secs(25)).await;
        shown.store(4_000_000, Ordering::SeqCst);
        waiting.await.unwrap();
        assert_eq!(begun.elapsed(), Duration::from_secs(30));
        // Set back by an hour: a minute's wait is no hour's.
        let begun = Instant::now();
        let waiting = tokio::spawn(async move { clock.sleep(Duration::from_secs(60)).await });
        sleep(Duration::from_secs(5)).await;
        shown.store(400_000, Ordering::SeqCst);
        waiting.await.unwrap();
        assert!(begun.elapsed() <= Duration::from_secs(71), "{:?}", begun.elapsed());
    }
}
