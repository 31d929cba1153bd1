//! Finding the market, and where a live source begins.

use forecastle_core::{RawCandle, Timestamp};

use super::feed::{Feed, Source, Stop, next_instant};
use super::newest_row::NewestRow;
use super::patience::Patience;
use super::sequencer::Sequencer;
use crate::network::DownloadRequest;

impl Feed {
    /// Finds the market and where to begin, however long that takes.
    pub(super) async fn open(source: Source) -> Result<Self, Stop> {
        let mut patience = Patience::default();
        let market = loop {
            match source.client.market(&source.request.symbol).await {
                Ok(market) => break market,
                Err(error) => source.endure(error, &mut patience).await?,
            }
        };
        let timeframe = source.request.timeframe;
        let nowhere = Timestamp::from_millis(i64::MIN);
        let sequencer = Sequencer::new(timeframe, nowhere, nowhere);
        let mut feed = Self {
            source,
            market,
            patience,
            sequencer,
            anchor: None,
            asked: nowhere,
            newest_row: NewestRow::default(),
        };
        let (after, history) = (feed.source.request.after, feed.source.request.history);
        let known = feed.source.clock.skew_ms().is_some();
        if !known || after.is_none() && history.is_none() {
            feed.ask_time().await?;
        }
        match (after, history) {
            (Some(after), _) => {
                let expected = timeframe.next_open(after).unwrap_or(after);
                feed.sequencer = Sequencer::new(timeframe, next_instant(after), expected);
            }
            (None, Some(n)) if n > 0 => feed.begin_with_history(n).await?,
            _ => feed.begin_now(),
        }
        Ok(feed)
    }

    /// Asks for the newest rows: their answer tells what time it is there, they on which grid
    /// candles lie.
    pub(super) async fn ask_time(&mut self) -> Result<(), Stop> {
        self.newest(2).await.map(drop)
    }

    /// Begins with the candle in progress.
    fn begin_now(&mut self) {
        let now = self.source.clock.now();
        let before = self.timeframe().step(now, -1).unwrap_or(now);
        let from = next_instant(before);
        self.sequencer = Sequencer::new(self.timeframe(), from, from);
    }

    /// Begins with the last `n` candles that are certain. The newest row is none: it comes by the
    /// first poll.
    async fn begin_with_history(&mut self, n: usize) -> Result<(), Stop> {
        let settled = self.settled();
        let mut rows = self.newest(n.saturating_add(2)).await?;
        rows.pop();
        rows.retain(|row| self.is_closed(row.open_time, settled));
        let rows = rows.split_off(rows.len().saturating_sub(n));
        let Some(first) = rows.first().map(|row| row.open_time) else {
            self.begin_now();
            return Ok(());
        };
        self.sequencer = Sequencer::new(self.timeframe(), first, first);
        let last = rows.last().map_or(first, |row| row.open_time);
        self.sequencer.settle(next_instant(last));
        self.note_backfill(rows.len());
        for row in rows {
            self.take(row);
            self.give().await?;
        }
        Ok(())
    }

    /// The newest rows, oldest first, the one in progress among them.
    async fn newest(&mut self, n: usize) -> Result<Vec<RawCandle>, Stop> {
        let request = DownloadRequest { unfinished: true, ..self.request().limit(n) };
        let mut pages = self.pages(request)?;
        let mut rows: Vec<RawCandle> = Vec::new();
        while let Some(page) = self.next_page(&mut pages).await? {
            rows.extend(page.candles);
        }
        rows.sort_by_key(|row| row.open_time);
        rows.dedup_by_key(|row| row.open_time);
        if let Some(last) = rows.last() {
            self.see(last.open_time, self.source.clock.now());
        }
        Ok(rows)
    }
}
