use std::collections::BTreeMap;

use forecastle_core::{TimeUnit, Timeframe, Timestamp};

/// The shortest month.
const SHORTEST_MONTH: i64 = 28 * 86_400_000;

/// A step between neighbours, months told apart from days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Millis(i64),
    Months(i64),
}

impl Step {
    fn timeframe(self) -> Option<Timeframe> {
        match self {
            Self::Millis(millis) => Timeframe::from_millis(millis).ok(),
            Self::Months(months) if months % 12 == 0 => {
                Timeframe::new(u32::try_from(months / 12).ok()?, TimeUnit::Year).ok()
            }
            Self::Months(months) => {
                Timeframe::new(u32::try_from(months).ok()?, TimeUnit::Month).ok()
            }
        }
    }
}

/// Says what the times of a file step by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Inferred {
    /// The most frequent step is a timeframe.
    Timeframe(Timeframe),
    /// Fewer than two different times.
    TooFew,
    /// The most frequent step, in milliseconds or months, is no timeframe.
    NoTimeframe(i64),
}

/// The most frequent step of the times, the shortest of equally frequent ones.
///
/// A step from one first of a month to another counts as months: 28 to 31 days are then `1M`.
pub(crate) fn infer_timeframe(times: impl Iterator<Item = Timestamp> + Clone) -> Inferred {
    if times.clone().is_sorted() {
        return most_frequent_step(times);
    }
    let mut sorted: Vec<Timestamp> = times.collect();
    sorted.sort_unstable();
    most_frequent_step(sorted.into_iter())
}

fn most_frequent_step(times: impl Iterator<Item = Timestamp>) -> Inferred {
    let month = Timeframe::new(1, TimeUnit::Month).ok();
    let mut counts: BTreeMap<Step, usize> = BTreeMap::new();
    let mut previous: Option<Timestamp> = None;
    // Neighbouring steps are mostly equal: count a run before looking it up.
    let mut run: (Option<i64>, usize) = (None, 0);
    let mut flush = |span: Option<i64>, count: usize| {
        if let Some(span) = span {
            *counts.entry(Step::Millis(span)).or_default() += count;
        }
    };
    let mut months: BTreeMap<Step, usize> = BTreeMap::new();
    for time in times {
        let from = previous.replace(time);
        let Some(from) = from else { continue };
        let Some(span) = time.millis_since(from).filter(|&span| span > 0) else { continue };
        if span >= SHORTEST_MONTH
            && let Some(month) = month
            && month.floor(from) == Some(from)
            && month.floor(time) == Some(time)
            && let Some(steps) = month.steps_between(from, time)
        {
            *months.entry(Step::Months(steps)).or_default() += 1;
        } else if run.0 == Some(span) {
            run.1 += 1;
        } else {
            flush(run.0, run.1);
            run = (Some(span), 1);
        }
    }
    flush(run.0, run.1);
    counts.append(&mut months);
    let mut best: Option<(Step, usize)> = None;
    for (step, count) in counts {
        if best.is_none_or(|(_, most)| count > most) {
            best = Some((step, count));
        }
    }
    match best {
        None => Inferred::TooFew,
        Some((step @ (Step::Millis(length) | Step::Months(length)), _)) => {
            step.timeframe().map_or(Inferred::NoTimeframe(length), Inferred::Timeframe)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn infer(times: &[&str]) -> Inferred {
        infer_timeframe(times.iter().map(|t| t.parse().unwrap()))
    }

    fn is(text: &str) -> Inferred {
        Inferred::Timeframe(text.parse().unwrap())
    }

    #[test]
    fn the_most_frequent_step_wins() {
        let gap = ["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-06", "2024-01-09"];
        assert_eq!(infer(&gap), is("1d"));
        let shuffled = ["2024-01-09", "2024-01-02", "2024-01-02", "2024-01-01", "2024-01-03"];
        assert_eq!(infer(&shuffled), is("1d"));
        assert_eq!(infer(&["2024-01-01", "2024-01-08"]), is("1w"));
    }

    #[test]
    fn months_quarters_and_years_are_calendar_ones() {
        assert_eq!(infer(&["2024-01-01", "2024-02-01", "2024-03-01", "2024-04-01"]), is("1M"));
        assert_eq!(infer(&["2023-02-01", "2023-03-01"]), is("1M"));
        assert_eq!(infer(&["2024-01-01", "2024-04-01", "2024-07-01"]), is("3M"));
        assert_eq!(infer(&["2023-01-01", "2024-01-01", "2025-01-01"]), is("1y"));
        // Thirty days between days that do not begin a month are days.
        assert_eq!(infer(&["2024-01-02", "2024-02-01", "2024-03-02"]), is("30d"));
        // Days whose holes happen to begin months stay days.
        assert_eq!(infer(&["2024-01-01", "2024-02-01", "2024-02-02", "2024-02-03"]), is("1d"));
    }

    #[test]
    fn no_step_and_no_timeframe_are_told_apart() {
        assert_eq!(infer(&[]), Inferred::TooFew);
        assert_eq!(infer(&["2024-01-01", "2024-01-01"]), Inferred::TooFew);
        let half = ["2024-01-01T00:00:00Z", "2024-01-01T00:00:00.5Z"];
        assert_eq!(infer(&half), Inferred::NoTimeframe(500));
        let extremes = [Timestamp::from_millis(i64::MIN), Timestamp::from_millis(i64::MAX)];
        assert_eq!(infer_timeframe(extremes.into_iter()), Inferred::TooFew);
    }
}
