//! Taking each candle from a stream, and over HTTP what the stream does not give.

use std::convert::Infallible;
use std::pin::pin;

use forecastle_core::{Candle, Timestamp};
use futures_util::future::{Either, select};
use tracing::{debug, trace};

use super::feed::{Feed, Source, Stop};
use super::inbox::{Inbox, News};
use super::link::{LATE_CLOCK_MS, Link};
use super::polling::next_poll;
use super::sequencer::Offer;

/// Follows a stream and polls beside it.
///
/// The stream only ever makes candles come sooner: whatever it says or does not say, each candle is
/// asked for over HTTP when its margin has passed and it was not given. So a stream that breaks,
/// lies or falls silent delays candles by the margin, and none is lost.
pub(super) async fn stream(source: Source) -> Result<Infallible, Stop> {
    let mut feed = Feed::open(source).await?;
    let channel = feed.channel()?;
    let inbox = Inbox::default();
    let mut link = Link::new(channel, &feed)?;
    match select(pin!(link.run(&inbox)), pin!(follow(&mut feed, &inbox))).await {
        Either::Left((error, _)) => Err(Stop::Failed(error)),
        Either::Right((outcome, _)) => outcome,
    }
}

/// So many candles in a row that HTTP has and the stream said nothing of, and it is connected anew.
const MOST_DEAF: u32 = 3;

async fn follow(feed: &mut Feed, inbox: &Inbox) -> Result<Infallible, Stop> {
    let mut early = 0;
    // The open time of the candle that was last compared with an answer over HTTP.
    let mut compared = None;
    feed.catch_up().await?;
    let mut poll = next_poll(feed, &mut early);
    let mut given = feed.from();
    let mut deaf = 0;
    loop {
        let ended = inbox.succeeded(feed.from()).filter(|c| compared != Some(c.open_time()));
        let ended = ended.and_then(|candle| Some((candle, feed.close_of(candle.open_time())?)));
        let wake = ended.map_or(poll, |(_, close)| close.min(poll));
        trace!(%wake, "listening");
        let slept = matches!(
            select(pin!(inbox.changed()), pin!(feed.clock().sleep_until(wake))).await,
            Either::Right(_)
        );
        // A wait that is over is over, though our clock was set back.
        let woken = slept.then_some(wake);
        let news = inbox.take();
        let connected = news.connected;
        take(feed, news).await?;
        let now = feed.clock().now();
        let is_due = |time: Timestamp| now >= time || woken == Some(time);
        if let Some((candle, close)) = ended
            && is_due(close)
            && candle.open_time() >= feed.from()
        {
            compared = Some(candle.open_time());
            compare(feed, inbox, candle).await?;
        }
        let complete = feed.is_up_to_date(feed.settled());
        if is_due(poll) {
            if complete && feed.from() == given {
                // Nothing has closed by our clock, and the stream gave nothing: has it been set?
                feed.ask_time().await?;
            }
            let (told, before) = (inbox.was_told(), feed.from());
            if !feed.is_up_to_date(feed.settled()) {
                feed.catch_up().await?;
            }
            // Candles that only HTTP knows of: a stream that is deaf, though it may answer pings.
            deaf = if told { 0 } else { deaf + u32::from(feed.from() > before) };
            if deaf >= MOST_DEAF {
                deaf = 0;
                inbox.give_up();
            }
            given = feed.from();
            poll = next_poll(feed, &mut early);
        } else if connected && !complete {
            feed.catch_up().await?;
        }
    }
}

/// Takes what the stream says has closed.
async fn take(feed: &mut Feed, news: News) -> Result<(), Stop> {
    for candle in news.closed {
        if !is_plausible(feed, candle) {
            debug!(open = %candle.open_time(), "a closed candle that cannot be one");
            feed.report().lock().invalid += 1;
        } else if feed.offer(candle) == Offer::Taken {
            feed.report().lock().streamed += 1;
        }
    }
    feed.release().await
}

/// Whether a candle that is said to have closed can have: it lies on the grid, and its close is
/// not in the future by more than the clocks may be apart.
fn is_plausible(feed: &Feed, candle: Candle) -> bool {
    let latest = feed.clock().now().as_millis().saturating_add(LATE_CLOCK_MS);
    let close = feed.close_of(candle.open_time());
    feed.is_on_grid(candle.open_time())
        && close.is_some_and(|close| close <= Timestamp::from_millis(latest))
}

/// Gives a candle at once if an answer over HTTP has it just as the stream had it last; otherwise
/// it comes when its margin has passed.
async fn compare(feed: &mut Feed, inbox: &Inbox, candle: Candle) -> Result<(), Stop> {
    let Some(answered) = feed.glance(candle.open_time()).await? else { return Ok(()) };
    // It may have changed since.
    if inbox.succeeded(feed.from()) == Some(answered) && feed.offer(answered) == Offer::Taken {
        feed.report().lock().streamed += 1;
        feed.release().await?;
    }
    Ok(())
}
