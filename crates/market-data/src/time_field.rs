//! One field of text as a time, and the unit that a file of whole numbers counts in.

use forecastle_core::Timestamp;
use serde::{Deserialize, Serialize};

/// States what a file's numeric times count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TimeResolution {
    /// Seconds since the Unix epoch.
    Seconds,
    /// Milliseconds since the Unix epoch.
    Milliseconds,
    /// Microseconds since the Unix epoch.
    Microseconds,
    /// Nanoseconds since the Unix epoch.
    Nanoseconds,
}

/// 10^11 seconds are the year 5138; 10^11 milliseconds are March 1973.
const LARGEST_SECONDS: u64 = 100_000_000_000;
const TEN_YEARS_IN_SECONDS: u64 = 315_576_000;

impl TimeResolution {
    const ALL: [Self; 4] =
        [Self::Seconds, Self::Milliseconds, Self::Microseconds, Self::Nanoseconds];

    /// The unit's name in the plural.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Seconds => "seconds",
            Self::Milliseconds => "milliseconds",
            Self::Microseconds => "microseconds",
            Self::Nanoseconds => "nanoseconds",
        }
    }

    const fn per_second(self) -> u64 {
        match self {
            Self::Seconds => 1,
            Self::Milliseconds => 1_000,
            Self::Microseconds => 1_000_000,
            Self::Nanoseconds => 1_000_000_000,
        }
    }

    /// The unit a number of this size counts, were it alone.
    pub(crate) const fn of_magnitude(time: i64) -> Self {
        let size = time.unsigned_abs();
        if size < LARGEST_SECONDS {
            Self::Seconds
        } else if size < LARGEST_SECONDS * 1_000 {
            Self::Milliseconds
        } else if size < LARGEST_SECONDS * 1_000_000 {
            Self::Microseconds
        } else {
            Self::Nanoseconds
        }
    }

    /// A time in this unit, rounded down to the millisecond; `None` when it does not fit.
    pub(crate) fn to_timestamp(self, time: i64) -> Option<Timestamp> {
        match self {
            Self::Seconds => Timestamp::from_seconds(time),
            Self::Milliseconds => Some(Timestamp::from_millis(time)),
            Self::Microseconds => Some(Timestamp::from_millis(time.div_euclid(1_000))),
            Self::Nanoseconds => Some(Timestamp::from_millis(time.div_euclid(1_000_000))),
        }
    }
}

/// The times of one size.
#[derive(Debug, Clone, Copy)]
struct Class {
    first: i64,
    first_row: u64,
    smallest: u64,
    largest: u64,
}

/// Watches the sizes of a file's times, to tell their unit from all of them together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Magnitudes([Option<Class>; 4]);

impl Magnitudes {
    #[inline]
    pub(crate) fn see(&mut self, time: i64, row: u64) {
        let size = time.unsigned_abs();
        let index = TimeResolution::of_magnitude(time) as usize;
        match self.0.get_mut(index) {
            Some(Some(class)) => {
                class.smallest = class.smallest.min(size);
                class.largest = class.largest.max(size);
            }
            Some(none) => {
                *none = Some(Class { first: time, first_row: row, smallest: size, largest: size });
            }
            None => {}
        }
    }

    /// The unit of all times: that of the largest.
    ///
    /// Milliseconds of 1970 to 1973 are as small as seconds of today, so smaller numbers beside
    /// larger ones are in order when they continue them; a hole of more than ten years between
    /// the two says that a file mixes units, and gives the row and the reason.
    pub(crate) fn resolution(&self) -> Result<TimeResolution, (u64, String)> {
        let mut present =
            TimeResolution::ALL.iter().zip(&self.0).rev().filter_map(|(r, c)| Some((*r, (*c)?)));
        let Some((unit, large)) = present.next() else {
            return Ok(TimeResolution::Milliseconds);
        };
        let allowed = TEN_YEARS_IN_SECONDS.saturating_mul(unit.per_second());
        match present.find(|(_, small)| large.smallest - small.largest > allowed) {
            None => Ok(unit),
            Some((smaller, small)) => {
                let ((late, late_unit), (early, early_unit)) = if small.first_row > large.first_row
                {
                    ((small, smaller), (large, unit))
                } else {
                    ((large, unit), (small, smaller))
                };
                let (late_unit, early_unit) = (late_unit.name(), early_unit.name());
                let (time, row) = (late.first, early.first_row);
                let reason = format!(
                    "time {time} looks like {late_unit}, that of row {row} like {early_unit}"
                );
                Err((late.first_row, reason))
            }
        }
    }
}

/// Reads a whole number, also when it is written `1617566400.0` or `1.6e12`.
#[inline]
pub(crate) fn parse_whole(field: &[u8]) -> Option<i64> {
    let (negative, digits) = match field.split_first() {
        Some((b'-', rest)) => (true, rest),
        _ => (false, field),
    };
    if digits.is_empty() || digits.len() > 18 || !digits.iter().all(u8::is_ascii_digit) {
        return parse_whole_slowly(field);
    }
    let number = digits.iter().fold(0_i64, |n, &b| n * 10 + i64::from(b - b'0'));
    Some(if negative { -number } else { number })
}

#[cold]
fn parse_whole_slowly(field: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(field).ok()?;
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    let number: f64 = text.parse().ok()?;
    let fits = number.fract() == 0.0 && number.abs() < 9.2e18;
    fits.then_some(number as i64)
}

/// Reads `YYYYMMDD` of the years 1900 to 2100.
pub(crate) fn parse_compact_date(field: &[u8]) -> Option<Timestamp> {
    let number = match field.len() {
        8 => parse_digits(field)?,
        _ => return None,
    };
    let (year, month, day) = (number / 10_000, number / 100 % 100, number % 100);
    if !(1900..=2100).contains(&year) {
        return None;
    }
    Some(Timestamp::from_millis(days_from_civil(year, month, day)? * MILLIS_PER_DAY))
}

/// Reads a date, alone or with a time: `2024-01-31`, `2024/01/31 23:59`, `2024.01.31T23:59:59.5Z`,
/// RFC 3339 with any offset; without an offset it is UTC.
pub(crate) fn parse_calendar(field: &[u8]) -> Option<Timestamp> {
    let utc = [&b" UTC"[..], b"+00:00", b"Z"];
    let naive = utc.iter().find_map(|suffix| field.strip_suffix(*suffix)).unwrap_or(field);
    parse_naive(naive).or_else(|| {
        // A zone in brackets would be read and ignored.
        let text = std::str::from_utf8(field).ok().filter(|text| !text.contains('['))?;
        text.parse().ok()
    })
}

const MILLIS_PER_DAY: i64 = 86_400_000;

fn parse_naive(text: &[u8]) -> Option<Timestamp> {
    let digits = |range: std::ops::Range<usize>| parse_digits(text.get(range)?);
    let byte = |at: usize| text.get(at).copied();
    let separator = byte(4)?;
    if !matches!(separator, b'-' | b'/' | b'.') || byte(7) != Some(separator) {
        return None;
    }
    let days = days_from_civil(digits(0..4)?, digits(5..7)?, digits(8..10)?)?;
    let midnight = days * MILLIS_PER_DAY;
    if text.len() == 10 {
        return Some(Timestamp::from_millis(midnight));
    }
    if !matches!(byte(10), Some(b' ' | b'T')) || byte(13) != Some(b':') {
        return None;
    }
    let (hours, minutes) = (digits(11..13)?, digits(14..16)?);
    let (seconds, millis) = match text.len() {
        16 => (0, 0),
        19 if byte(16) == Some(b':') => (digits(17..19)?, 0),
        21.. if byte(16) == Some(b':') && byte(19) == Some(b'.') => {
            let fraction = text.get(20..)?;
            if fraction.len() > 9 || !fraction.iter().all(u8::is_ascii_digit) {
                return None;
            }
            let digit = |i| fraction.get(i).map_or(0, |b: &u8| i64::from(b - b'0'));
            (digits(17..19)?, digit(0) * 100 + digit(1) * 10 + digit(2))
        }
        _ => return None,
    };
    if hours > 23 || minutes > 59 || seconds > 59 {
        return None;
    }
    let within_day = ((hours * 60 + minutes) * 60 + seconds) * 1_000 + millis;
    Some(Timestamp::from_millis(midnight + within_day))
}

/// Unsigned digits only, at most eight of them.
fn parse_digits(text: &[u8]) -> Option<i64> {
    let all = text.iter().all(u8::is_ascii_digit) && text.len() <= 8;
    all.then(|| text.iter().fold(0, |n, &b| n * 10 + i64::from(b - b'0')))
}

/// Days since 1970-01-01 of a date of the Gregorian calendar (Howard Hinnant's algorithm).
fn days_from_civil(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(leap),
        _ => return None,
    };
    if !(1..=length).contains(&day) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn calendar(text: &str) -> Option<i64> {
        parse_calendar(text.as_bytes()).map(Timestamp::as_millis)
    }

    #[test]
    fn calendar_times_are_read_in_utc() {
        let expected = Some(1_706_745_599_000);
        for text in [
            "2024-01-31T23:59:59Z",
            "2024-01-31 23:59:59",
            "2024/01/31 23:59:59",
            "2024.01.31T23:59:59",
            "2024-01-31 23:59:59+00:00",
            "2024-01-31 23:59:59 UTC",
            "2024-02-01T01:59:59+02:00",
            "2024-01-31 23:59:59.000",
        ] {
            assert_eq!(calendar(text), expected, "{text}");
        }
        assert_eq!(calendar("2024-01-31 23:59"), Some(1_706_745_540_000));
        assert_eq!(calendar("1969-12-31T23:59:59.999Z"), Some(-1));
        for text in [
            "2023-02-29",
            "2024-13-01",
            "2024-01-01 24:00",
            "01/02/2024",
            "2024-1-1",
            "x",
            "",
            "2024-01-01T00:00[America/New_York]",
            "2024-01-01 00:00:00.",
            "2024-01/01",
        ] {
            assert_eq!(calendar(text), None, "{text}");
        }
    }

    #[test]
    fn whole_numbers_may_be_written_as_floats_but_not_with_a_fraction() {
        assert_eq!(parse_whole(b"1617566400.0"), Some(1_617_566_400));
        assert_eq!(parse_whole(b"1.6175664e12"), Some(1_617_566_400_000));
        assert_eq!(parse_whole(b"-1"), Some(-1));
        assert_eq!(parse_whole(b"9223372036854775807"), Some(i64::MAX));
        for text in ["", "-", "1.5", "nan", "inf", "1e30", "99999999999999999999", "12a"] {
            assert_eq!(parse_whole(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn eight_digits_that_spell_a_date_are_one() {
        let expected = "2024-02-29".parse().ok();
        assert_eq!(parse_compact_date(b"20240229"), expected);
        assert_eq!(parse_compact_date(b"20230229"), None);
        assert_eq!(parse_compact_date(b"86400000"), None);
    }

    fn resolution(times: &[i64]) -> Result<TimeResolution, (u64, String)> {
        let mut magnitudes = Magnitudes::default();
        for (time, row) in times.iter().zip(1..) {
            magnitudes.see(*time, row);
        }
        magnitudes.resolution()
    }

    #[test]
    fn the_unit_follows_from_all_times_together() {
        use TimeResolution::{Microseconds, Milliseconds, Nanoseconds, Seconds};
        assert_eq!(resolution(&[0, 3_600]), Ok(Seconds));
        assert_eq!(resolution(&[1_700_000_000, 1_700_003_600]), Ok(Seconds));
        assert_eq!(resolution(&[1_700_000_000_000]), Ok(Milliseconds));
        assert_eq!(resolution(&[1_700_000_000_000_000]), Ok(Microseconds));
        assert_eq!(resolution(&[1_700_000_000_000_000_000]), Ok(Nanoseconds));
        // Milliseconds through the epoch, where the numbers are small.
        let day = 86_400_000;
        let through: Vec<i64> = (-2_000..2_000).map(|d| d * day).collect();
        assert_eq!(resolution(&through), Ok(Milliseconds));
    }

    #[test]
    fn mixed_units_are_refused_with_the_row() {
        let mixed = resolution(&[1_700_000_000_000, 1_700_000_060_000, 1_700_000_120]);
        let reason = "time 1700000120 looks like seconds, that of row 1 like milliseconds";
        assert_eq!(mixed, Err((3, reason.to_owned())));
        assert_eq!(resolution(&[0, 1_700_000_000_000]).map_err(|e| e.0), Err(2));
    }

    proptest! {
        #[test]
        fn prop_dates_agree_with_the_calendar_of_core(millis in -62_135_596_800_000_i64..253_402_300_799_999) {
            let time = Timestamp::from_millis(millis);
            let text = time.to_string();
            prop_assert_eq!(parse_calendar(text.as_bytes()), Some(time), "{}", text);
        }
    }
}
