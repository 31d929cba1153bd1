//! Finding in one request where years of nothing end.

use forecastle_core::{Timeframe, Timestamp};

use super::candle_pages::{CandlePages, DEFAULT_ROWS, after};
use crate::exchange::{CandleQuery, ExchangeResult};

/// Where coarser candles say that there is anything.
#[derive(Debug, Default)]
pub(super) enum Coarse {
    #[default]
    Unknown,
    /// Open times of coarse candles and how far they were asked for.
    Known {
        timeframe: Timeframe,
        opens: Vec<Timestamp>,
        until: Timestamp,
    },
    Useless,
}

impl CandlePages {
    /// Where to go on after an empty window that ended at `window_end`.
    ///
    /// Coarser candles tell in one request where there is anything for years, and without them
    /// the walk goes on window by window.
    pub(super) async fn skip(
        &mut self,
        cursor: Timestamp,
        window_end: Timestamp,
    ) -> ExchangeResult<Timestamp> {
        loop {
            match &self.coarse {
                Coarse::Useless => return Ok(window_end),
                Coarse::Known { timeframe, opens, until } if window_end < *until => {
                    let ends_after = |open: &Timestamp| {
                        timeframe.next_open(*open).is_none_or(|end| end > window_end)
                    };
                    let at = opens.partition_point(|open| !ends_after(open));
                    return Ok(opens.get(at).map_or(*until, |open| window_end.max(*open)));
                }
                _ => {}
            }
            self.coarse = self.ask_coarse(cursor).await;
        }
    }

    pub(super) async fn ask_coarse(&mut self, cursor: Timestamp) -> Coarse {
        const LONGEST: i64 = 7 * 86_400_000;
        const WORTH: i64 = 24;
        let fine = self.request.timeframe.nominal_millis();
        let useful = |timeframe: &Timeframe| {
            let length = timeframe.fixed_millis().unwrap_or_default();
            length <= LONGEST && length >= fine.saturating_mul(WORTH)
        };
        let Some(kind) = self.market.kind() else { return Coarse::Useless };
        let offered = self.client.exchange().timeframes(kind);
        let Some(timeframe) = offered.into_iter().rfind(useful) else { return Coarse::Useless };
        let Some(since) = timeframe.floor(cursor) else { return Coarse::Useless };
        let query = CandleQuery::new(&self.market, timeframe, self.now()).since(since);
        let Ok(terms) = self.client.exchange().candle_terms(&query) else {
            return Coarse::Useless;
        };
        let ask = terms.max_rows.unwrap_or(DEFAULT_ROWS);
        let Ok(terms) = self.client.exchange().candle_terms(&query.limit(ask)) else {
            return Coarse::Useless;
        };
        let rows = terms.rows.map_or(ask, |rows| rows.min(ask));
        let Some(until) = timeframe.step(since, rows.into()) else { return Coarse::Useless };
        let before = Timestamp::from_millis(until.as_millis() - 1);
        let query = query.limit(ask).until(before);
        match self.client.candles(&query).await {
            Ok((candles, response)) => {
                self.count(&response, self.now());
                let opens: Vec<Timestamp> = candles.iter().map(|c| c.open_time).collect();
                // A server that stops short of what was asked has said nothing about the rest.
                let full = u32::try_from(opens.len()).is_ok_and(|length| length >= rows);
                let told = match opens.last() {
                    Some(last) if full => timeframe.next_open(*last).unwrap_or(until),
                    _ => until,
                };
                Coarse::Known { timeframe, opens, until: told.max(after(cursor)) }
            }
            Err(_) => Coarse::Useless,
        }
    }
}
