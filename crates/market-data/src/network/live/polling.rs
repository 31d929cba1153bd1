//! Asking for each candle when it has closed.

use std::convert::Infallible;

use forecastle_core::Timestamp;
use tracing::trace;

use super::feed::{Feed, Source, Stop};

/// Asks once after each close plus the margin; when the candle is not there yet, again after waits
/// that double, until the next one is due.
///
/// So a candle that comes late is given no later than at twice its lateness, and a market without
/// trades costs a few requests a candle, however long a candle lasts.
pub(super) async fn poll(source: Source) -> Result<Infallible, Stop> {
    let mut feed = Feed::open(source).await?;
    feed.catch_up().await?;
    let mut early = 0;
    loop {
        let wake = next_poll(&feed, &mut early);
        trace!(%wake, early, "waiting");
        feed.clock().sleep_until(wake).await;
        if !feed.catch_up().await? {
            // Our clock was set back: without an answer it would stay wrong.
            feed.ask_time().await?;
            feed.catch_up().await?;
        }
    }
}

/// When to ask again after asking for what has closed; `early` counts the times in a row that it
/// was not there yet.
pub(super) fn next_poll(feed: &Feed, early: &mut u32) -> Timestamp {
    let settled = feed.settled();
    let (_, due) = feed.in_progress(settled);
    let margin = feed.params().margin_millis();
    let mut wake = due.as_millis().saturating_add(margin);
    if feed.is_up_to_date(settled) {
        *early = 0;
    } else {
        feed.report().lock().early_polls += 1;
        let wait = i64::try_from(feed.params().retry(*early).as_millis()).unwrap_or(i64::MAX);
        let again = feed.clock().now().as_millis().saturating_add(wait);
        *early = if again < wake { *early + 1 } else { 0 };
        wake = wake.min(again);
    }
    Timestamp::from_millis(wake)
}
