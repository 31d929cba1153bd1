//! Finds out what an exchange's requests look like by making some and watching what moves.

use std::collections::{BTreeMap, BTreeSet};

use forecastle_core::{Timeframe, Timestamp};

use super::pattern::{Pattern, Role};
use super::slot::{Slots, TimeText};
use crate::exchange::{AnswerShape, CandleQuery, Exchange, ExchangeError, ExchangeResult, Market};

/// Two instants that probes start at; in different years.
const STARTS: [i64; 2] = [1_559_347_200_000, 1_598_918_400_000];
/// Candles from a probe's start to its end.
const UNTIL: i64 = 12;
/// Row counts that probes ask for.
const COUNTS: [u32; 3] = [2, 3, 7];
/// Candles from a probe's start to its clock: a young one and an old one.
const AGES: [i64; 2] = [20, 5_000];
/// No clock is farther than that from a probe's start: 40 years.
const OLDEST: i64 = 40 * 365 * 86_400_000;

/// One request made on trial.
struct Probe {
    start: i64,
    since: bool,
    until: bool,
    limit: Option<u32>,
    /// From the start to the clock, in ms.
    age: i64,
    slots: Slots,
}

/// The patterns of all requests for one market and timeframe, one for each endpoint of the record.
pub(super) fn patterns(
    exchange: &Exchange,
    market: &Market,
    timeframe: Timeframe,
) -> ExchangeResult<Vec<Pattern>> {
    let length = timeframe.nominal_millis();
    let mut of_endpoint: BTreeMap<usize, (AnswerShape, Vec<Probe>)> = BTreeMap::new();
    let mut refusal = None;
    for start in STARTS.map(|start| start - start.rem_euclid(length)) {
        for age in AGES.map(|candles| (candles * length).min(OLDEST.max(20 * length))) {
            for (since, until) in [(true, false), (true, true), (false, true), (false, false)] {
                for limit in std::iter::once(None).chain(COUNTS.map(Some)) {
                    let instant = |candles: i64| Timestamp::from_millis(start + candles * length);
                    let clock = Timestamp::from_millis(start + age);
                    let query = CandleQuery::new(market, timeframe, clock)
                        .since(since.then(|| instant(0)))
                        .until(until.then(|| instant(UNTIL)))
                        .limit(limit);
                    let request = match exchange.candle_request(&query) {
                        Ok(request) => request,
                        Err(error @ ExchangeError::Refused { .. }) => {
                            refusal = Some(error);
                            continue;
                        }
                        Err(error) => return Err(error),
                    };
                    let body = request.body.as_deref().map(str::as_bytes);
                    let target = Slots::target(&request.url);
                    let Some(slots) = Slots::of(request.method, target, body) else { continue };
                    let shape = exchange.answer_shape(&query)?;
                    let (_, probes) =
                        of_endpoint.entry(shape.endpoint).or_insert_with(|| (shape, Vec::new()));
                    probes.push(Probe { start, since, until, limit, age, slots });
                }
            }
        }
    }
    let patterns: Vec<Pattern> = of_endpoint
        .into_values()
        .filter_map(|(shape, probes)| pattern(shape, timeframe, &probes))
        .collect();
    match (patterns.is_empty(), refusal) {
        (true, Some(error)) => Err(error),
        _ => Ok(patterns),
    }
}

fn pattern(shape: AnswerShape, timeframe: Timeframe, probes: &[Probe]) -> Option<Pattern> {
    let first = probes.first()?;
    let places: BTreeSet<&String> =
        probes.iter().flat_map(|probe| probe.slots.texts.keys()).collect();
    let length = timeframe.nominal_millis();
    let roles: BTreeMap<String, Role> =
        places.into_iter().map(|place| (place.clone(), role(place, probes, length))).collect();
    let mut pattern = Pattern {
        method: first.slots.method,
        segments: first.slots.segments,
        end_is_exclusive: false,
        roles,
        shape,
    };
    // Where nothing but an end bounds the rows, the record's own arithmetic tells whether the end
    // counts: `n` rows from a start on are those before `start + n * tf`.
    if !pattern.has_start() {
        pattern.end_is_exclusive = pattern.roles.iter().any(|(place, role)| {
            let Role::End { spelling, offset } = role else { return false };
            let with_start = |probe: &&Probe| probe.since && !probe.until && probe.limit.is_some();
            let mut ends = probes.iter().filter(with_start).filter_map(|probe| {
                let end = spelling.parse(probe.slots.texts.get(place)?)? - offset;
                Some(end - probe.start - i64::from(probe.limit?) * length)
            });
            ends.any(|beyond| (-1_000..=0).contains(&beyond))
        });
    }
    Some(pattern)
}

fn role(place: &str, probes: &[Probe], length: i64) -> Role {
    let texts: BTreeSet<&String> =
        probes.iter().filter_map(|probe| probe.slots.texts.get(place)).collect();
    let everywhere = probes.iter().all(|probe| probe.slots.texts.contains_key(place));
    let constant = || Role::Constant {
        texts: texts.iter().map(|text| (*text).clone()).collect(),
        required: everywhere,
    };
    if texts.len() == 1 {
        return constant();
    }
    let all_read = |spelling: TimeText| texts.iter().all(|text| spelling.parse(text).is_some());
    for spelling in TimeText::ALL {
        if !all_read(spelling) {
            continue;
        }
        let seen =
            |probe: &Probe| Some(spelling.parse(probe.slots.texts.get(place)?)? - probe.start);
        if let Some(offset) = start_offset(probes, &seen, spelling, length) {
            return Role::Start { spelling, offset };
        }
    }
    for spelling in TimeText::ALL {
        if !all_read(spelling) {
            continue;
        }
        let seen =
            |probe: &Probe| Some(spelling.parse(probe.slots.texts.get(place)?)? - probe.start);
        if let Some(offset) = end_offset(probes, &seen, length) {
            return Role::End { spelling, offset };
        }
        let from_clock: BTreeSet<i64> =
            probes.iter().filter_map(|probe| Some(seen(probe)? - probe.age)).collect();
        if from_clock.len() == 1 && from_clock.iter().all(|ahead| ahead.abs() < 1_000) {
            return Role::Free;
        }
        if follows_at_a_distance(probes, &seen, length) {
            return Role::End { spelling, offset: 0 };
        }
    }
    if counts(place, probes) {
        return Role::Count;
    }
    constant()
}

/// How far a place is from `since` in every probe that has one, if it always follows it closely.
fn start_offset(
    probes: &[Probe],
    seen: &dyn Fn(&Probe) -> Option<i64>,
    spelling: TimeText,
    length: i64,
) -> Option<i64> {
    let mut offsets = BTreeSet::new();
    let mut starts = BTreeSet::new();
    for probe in probes.iter().filter(|probe| probe.since) {
        let Some(offset) = seen(probe) else { continue };
        let close = if spelling.is_file() { -spelling.grain()..=0 } else { -length..=length };
        if !close.contains(&offset) {
            return None;
        }
        offsets.insert(offset);
        starts.insert(probe.start);
    }
    if starts.len() < STARTS.len() {
        return None;
    }
    // One millisecond or second less only turns "after" into "from"; rows stand on a grid.
    match (offsets.len(), offsets.first()) {
        (1, Some(&offset)) if offset.abs() > 1_000 && !spelling.is_file() => Some(offset),
        _ => Some(0),
    }
}

/// How far a place is from `until`, if it follows it or lies a number of rows after `since`.
fn end_offset(probes: &[Probe], seen: &dyn Fn(&Probe) -> Option<i64>, length: i64) -> Option<i64> {
    const FARTHEST: i64 = 86_400_000;
    let groups: [&dyn Fn(&Probe) -> bool; 3] = [
        &|probe| probe.until && !probe.since,
        &|probe| probe.until && probe.limit.is_none(),
        &|probe| probe.until,
    ];
    for belongs in groups {
        let offsets: BTreeSet<i64> = probes
            .iter()
            .filter(|probe| belongs(probe))
            .filter_map(|probe| Some(seen(probe)? - UNTIL * length))
            .collect();
        if let (1, Some(&offset)) = (offsets.len(), offsets.first())
            && offset.abs() <= FARTHEST
        {
            return Some(offset);
        }
    }
    None
}

/// Whether a place always lies some rows after `since`.
fn follows_at_a_distance(
    probes: &[Probe],
    seen: &dyn Fn(&Probe) -> Option<i64>,
    length: i64,
) -> bool {
    const FARTHEST: i64 = 200_000;
    let mut ahead = probes.iter().filter(|probe| probe.since && !probe.until).filter_map(seen);
    let far = |ahead: i64| ahead > length && ahead / length <= FARTHEST;
    ahead.next().is_some_and(far) && ahead.all(far)
}

/// Whether a place grows with the number of rows asked for.
fn counts(place: &str, probes: &[Probe]) -> bool {
    let value = |probe: &Probe| probe.slots.texts.get(place)?.parse::<i64>().ok();
    probes.iter().filter(|probe| probe.limit == Some(COUNTS[0])).any(|small| {
        let large = probes.iter().find(|large| {
            large.limit == Some(COUNTS[1])
                && (large.start, large.since, large.until, large.age)
                    == (small.start, small.since, small.until, small.age)
        });
        let grown = large.and_then(value).zip(value(small)).map(|(large, small)| large - small);
        grown == Some(i64::from(COUNTS[1] - COUNTS[0]))
    })
}
