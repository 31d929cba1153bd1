//! How a page joins what the cache holds.

use std::ops::Range;

use forecastle_core::{Candle, CandleSeries, Error, Timestamp};

use super::CacheResult;
use super::coverage::{Coverage, intersection};
use super::segment::Segment;
use super::series_folder::{Piece, SeriesFolder};

/// What became of a page's candles.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) stored: usize,
    pub(crate) revised: usize,
    pub(crate) unchanged: usize,
}

/// Refuses a page that is not in increasing time within its range.
pub(crate) fn check_page(covered: &Range<Timestamp>, candles: &[Candle]) -> CacheResult<()> {
    for (row, pair) in candles.windows(2).enumerate() {
        if let [previous, current] = pair
            && previous.open_time() >= current.open_time()
        {
            let (previous, current) = (previous.open_time(), current.open_time());
            return Err(Error::OutOfOrder { row: row + 1, previous, current }.into());
        }
    }
    for candle in [candles.first(), candles.last()].into_iter().flatten() {
        if !covered.contains(&candle.open_time()) {
            let requirement = format!("within {} to {}", covered.start, covered.end);
            return Err(Error::invalid_parameter("candles", requirement, candle.open_time()).into());
        }
    }
    Ok(())
}

/// Stores a page that is final: known candles are compared, revised ones replaced, the rest
/// added. Candles that the cache has and the page lacks stay.
pub(crate) fn append(
    folder: &mut SeriesFolder<'_>,
    covered: &Range<Timestamp>,
    candles: &[Candle],
    target_rows: usize,
) -> CacheResult<Counts> {
    let mut counts = Counts::default();
    let mut old: Vec<Segment> = Vec::new();
    let mut new: Vec<Piece> = Vec::new();
    let mut known = Coverage::default();
    for segment in folder.manifest().overlapping(covered.start, covered.end).to_vec() {
        let Some(stored) = folder.load(&segment)? else { continue };
        known.insert(segment.covered());
        let fresh = within(candles, &segment.covered());
        if fresh.is_empty() {
            continue;
        }
        let before = counts;
        let merged = merge(stored.view().iter(), fresh, &mut counts);
        if (counts.stored, counts.revised) != (before.stored, before.revised) {
            new.push(Piece { covered: segment.covered(), candles: merged });
            old.push(segment);
        }
    }
    for part in known.missing(covered) {
        let fresh = within(candles, &part);
        counts.stored += fresh.len();
        new.extend(split(part, fresh, target_rows));
    }
    if !new.is_empty() {
        folder.commit(&old, &new)?;
    }
    Ok(counts)
}

/// The candles of a range, from candles in increasing time.
pub(crate) fn within<'a>(candles: &'a [Candle], range: &Range<Timestamp>) -> &'a [Candle] {
    let first = |bound| candles.partition_point(|candle| candle.open_time() < bound);
    candles.get(first(range.start)..first(range.end)).unwrap_or_default()
}

/// Both in increasing time; of equal times the fresh one stands.
fn merge(
    stored: impl ExactSizeIterator<Item = Candle>,
    fresh: &[Candle],
    counts: &mut Counts,
) -> Vec<Candle> {
    let mut merged = Vec::with_capacity(stored.len() + fresh.len());
    let mut stored = stored.peekable();
    for candle in fresh {
        while let Some(earlier) = stored.next_if(|s| s.open_time() < candle.open_time()) {
            merged.push(earlier);
        }
        match stored.next_if(|s| s.open_time() == candle.open_time()) {
            None => counts.stored += 1,
            Some(same) if same == *candle => counts.unchanged += 1,
            Some(_) => counts.revised += 1,
        }
        merged.push(*candle);
    }
    merged.extend(stored);
    merged
}

/// A long page as several pieces, so that no file becomes unwieldy.
fn split(covered: Range<Timestamp>, candles: &[Candle], target_rows: usize) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut start = covered.start;
    let mut rest = candles;
    while rest.len() >= target_rows.saturating_mul(2)
        && let Some((head, tail)) = rest.split_at_checked(target_rows)
        && let Some(next) = tail.first()
    {
        let end = next.open_time();
        pieces.push(Piece { covered: start..end, candles: head.to_vec() });
        (start, rest) = (end, tail);
    }
    pieces.push(Piece { covered: start..covered.end, candles: rest.to_vec() });
    pieces
}

/// Merges neighbouring segments into one each; damaged ones are set aside and stay out.
pub(crate) fn merge_groups(
    folder: &mut SeriesFolder<'_>,
    groups: Vec<Range<usize>>,
) -> CacheResult<()> {
    let segments = folder.manifest().segments().to_vec();
    for group in groups {
        let group = segments.get(group).unwrap_or_default();
        let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
        let mut candles: Vec<Candle> = Vec::new();
        let mut whole = true;
        for segment in group {
            match folder.load(segment)? {
                Some(series) => candles.extend(series.view().iter()),
                None => whole = false,
            }
        }
        if whole {
            let piece = Piece { covered: first.since..last.until, candles };
            folder.commit(group, &[piece])?;
        }
    }
    Ok(())
}

/// The parts of stored candles that a range asks for, of at most so many rows.
pub(crate) fn read(
    folder: &mut SeriesFolder<'_>,
    wanted: &Range<Timestamp>,
    most: usize,
) -> CacheResult<Vec<Candle>> {
    let mut candles: Vec<Candle> = Vec::new();
    for segment in folder.manifest().overlapping(wanted.start, wanted.end).to_vec() {
        if candles.len() >= most {
            break;
        }
        let Some(part) = intersection(&segment.covered(), wanted) else { continue };
        let Some(series) = folder.load(&segment)? else { continue };
        let view = series.view();
        let first = |bound| view.open_time().partition_point(|time| *time < bound);
        candles.extend(view.slice(first(part.start)..first(part.end)).iter());
    }
    candles.truncate(most);
    Ok(candles)
}

/// The last candles before an instant, at most so many, as far back as nothing is missing.
pub(crate) fn read_back(
    folder: &mut SeriesFolder<'_>,
    until: Timestamp,
    most: usize,
) -> CacheResult<Vec<Candle>> {
    let beginning = Timestamp::from_millis(i64::MIN);
    let mut parts: Vec<CandleSeries> = Vec::new();
    let (mut rows, mut cursor) = (0, until);
    for segment in folder.manifest().overlapping(beginning, until).to_vec().iter().rev() {
        if rows >= most || segment.until < cursor {
            break;
        }
        let Some(series) = folder.load(segment)? else { break };
        let end = series.view().open_time().partition_point(|time| *time < until);
        let part = series.slice(0..end).tail(most - rows);
        rows += part.len();
        parts.push(part);
        cursor = segment.since;
    }
    Ok(parts.iter().rev().flat_map(|part| part.view().iter()).collect())
}
