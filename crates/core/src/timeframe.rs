use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result, Timestamp};

/// Names the unit of a [`Timeframe`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum TimeUnit {
    /// `s`
    Second,
    /// `m`
    Minute,
    /// `h`
    Hour,
    /// `d`
    Day,
    /// `w`; weeks open on Monday, UTC.
    Week,
    /// `M`, calendar months.
    Month,
    /// `y`, calendar years.
    Year,
}

impl TimeUnit {
    const fn suffix(self) -> char {
        match self {
            Self::Second => 's',
            Self::Minute => 'm',
            Self::Hour => 'h',
            Self::Day => 'd',
            Self::Week => 'w',
            Self::Month => 'M',
            Self::Year => 'y',
        }
    }

    /// Milliseconds; months count 30 days and years 365, as CCXT does.
    const fn nominal_millis(self) -> i64 {
        match self {
            Self::Second => 1_000,
            Self::Minute => 60_000,
            Self::Hour => 3_600_000,
            Self::Day => DAY,
            Self::Week => 7 * DAY,
            Self::Month => 30 * DAY,
            Self::Year => 365 * DAY,
        }
    }
}

const DAY: i64 = 86_400_000;
/// 1970-01-05, the first Monday of the epoch.
const FIRST_MONDAY: i64 = 4 * DAY;

/// States how long a candle lasts, in CCXT's spelling: `1m`, `4h`, `1d`, `1w`, `1M`, `1y`.
///
/// Months and years are calendar ones: [`next_open`](Self::next_open) of a `1M` candle that opens
/// on 1 February is 1 March.
///
/// ```
/// use forecastle_core::{Timeframe, Timestamp};
///
/// let month: Timeframe = "1M".parse()?;
/// let february: Timestamp = "2024-02-01".parse()?;
/// assert_eq!(month.next_open(february), Some("2024-03-01".parse()?));
/// assert_eq!(month.floor("2024-02-17T10:00:00Z".parse()?), Some(february));
/// # Ok::<(), forecastle_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timeframe {
    count: u32,
    unit: TimeUnit,
}

impl Timeframe {
    /// One minute, `1m`.
    pub const MINUTE: Self = Self { count: 1, unit: TimeUnit::Minute };
    /// One hour, `1h`.
    pub const HOUR: Self = Self { count: 1, unit: TimeUnit::Hour };
    /// One day, `1d`.
    pub const DAY: Self = Self { count: 1, unit: TimeUnit::Day };

    /// Makes a timeframe of `count` units.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] when `count` is 0 or above 100,000.
    pub fn new(count: u32, unit: TimeUnit) -> Result<Self> {
        if count == 0 || count > 100_000 {
            return Err(Error::invalid_parameter("count", "between 1 and 100000", count));
        }
        Ok(Self { count, unit })
    }

    /// How many units.
    pub const fn count(self) -> u32 {
        self.count
    }

    /// Which unit.
    pub const fn unit(self) -> TimeUnit {
        self.unit
    }

    /// The length in milliseconds, `None` for calendar months and years, whose length varies.
    pub const fn fixed_millis(self) -> Option<i64> {
        match self.unit {
            TimeUnit::Month | TimeUnit::Year => None,
            _ => Some(self.nominal_millis()),
        }
    }

    /// The length in milliseconds, a month counted as 30 days and a year as 365 (CCXT's rule).
    pub const fn nominal_millis(self) -> i64 {
        self.count as i64 * self.unit.nominal_millis()
    }

    /// The open time of the candle after the one that opens at `open`; `None` past the calendar.
    pub fn next_open(self, open: Timestamp) -> Option<Timestamp> {
        self.step(open, 1)
    }

    /// The open time `steps` candles from `open`, backwards when negative; `None` past the
    /// calendar.
    pub fn step(self, open: Timestamp, steps: i64) -> Option<Timestamp> {
        if let Some(length) = self.fixed_millis() {
            return open.checked_add_millis(length.checked_mul(steps)?);
        }
        let months = self.months().checked_mul(steps)?;
        let span = jiff::Span::new().try_months(months).ok()?;
        let civil = open.to_jiff()?.to_zoned(jiff::tz::TimeZone::UTC).datetime();
        let moved = civil.checked_add(span).ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
        Some(Timestamp::from_millis(moved.timestamp().as_millisecond()))
    }

    /// The open time of the candle that holds `instant`, on the grid anchored at
    /// 1970-01-01T00:00:00Z (weeks: Monday; months and years: the first day).
    pub fn floor(self, instant: Timestamp) -> Option<Timestamp> {
        if let Some(length) = self.fixed_millis() {
            let anchor = if self.unit == TimeUnit::Week { FIRST_MONDAY } else { 0 };
            let shifted = instant.as_millis().checked_sub(anchor)?;
            let floored = shifted.checked_sub(shifted.rem_euclid(length))?;
            return floored.checked_add(anchor).map(Timestamp::from_millis);
        }
        let civil = instant.to_jiff()?.to_zoned(jiff::tz::TimeZone::UTC).datetime();
        let index = i64::from(civil.year()) * 12 + i64::from(civil.month()) - 1;
        let since_1970 = index - 1970 * 12;
        let floored = since_1970 - since_1970.rem_euclid(self.months()) + 1970 * 12;
        let year = i16::try_from(floored.div_euclid(12)).ok()?;
        let month = i8::try_from(floored.rem_euclid(12) + 1).ok()?;
        let first = jiff::civil::Date::new(year, month, 1).ok()?;
        let zoned = first.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
        Some(Timestamp::from_millis(zoned.timestamp().as_millisecond()))
    }

    /// How many candles fit between two open times, rounded down: 1 for neighbours, 0 or less when
    /// `to` is not after `from`. `None` past the calendar.
    pub fn steps_between(self, from: Timestamp, to: Timestamp) -> Option<i64> {
        let span = to.millis_since(from)?;
        if let Some(length) = self.fixed_millis() {
            return Some(span.div_euclid(length));
        }
        let mut steps = span.div_euclid(self.nominal_millis());
        while self.step(from, steps)? > to {
            steps -= 1;
        }
        while self.step(from, steps + 1)? <= to {
            steps += 1;
        }
        Some(steps)
    }

    /// The timeframe whose length is `millis`, in the largest unit that divides it.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] unless `millis` is a positive whole number of seconds.
    pub fn from_millis(millis: i64) -> Result<Self> {
        use TimeUnit::{Day, Hour, Minute, Second, Week};
        for unit in [Week, Day, Hour, Minute, Second] {
            let length = unit.nominal_millis();
            if millis > 0
                && millis % length == 0
                && let Ok(count) = u32::try_from(millis / length)
            {
                return Self::new(count, unit);
            }
        }
        Err(Error::invalid_parameter("millis", "a positive whole number of seconds", millis))
    }

    fn months(self) -> i64 {
        i64::from(self.count) * if self.unit == TimeUnit::Year { 12 } else { 1 }
    }
}

impl fmt::Display for Timeframe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.count, self.unit.suffix())
    }
}

impl FromStr for Timeframe {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refuse = || Error::parse("timeframe such as 1m, 4h, 1d, 1w, 1M", text);
        let unit = match text.chars().next_back() {
            Some('s') => TimeUnit::Second,
            Some('m') => TimeUnit::Minute,
            Some('h') => TimeUnit::Hour,
            Some('d') => TimeUnit::Day,
            Some('w') => TimeUnit::Week,
            Some('M') => TimeUnit::Month,
            Some('y' | 'Y') => TimeUnit::Year,
            _ => return Err(refuse()),
        };
        let digits = text.get(..text.len() - 1).unwrap_or_default();
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(refuse());
        }
        let count = digits.parse().map_err(|_| refuse())?;
        Self::new(count, unit).map_err(|_| refuse())
    }
}

impl TryFrom<String> for Timeframe {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Timeframe> for String {
    fn from(timeframe: Timeframe) -> Self {
        timeframe.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn timeframe(text: &str) -> Timeframe {
        text.parse().unwrap()
    }

    #[test]
    fn spellings_round_trip_and_nonsense_is_refused() {
        for text in ["1s", "1m", "3m", "15m", "1h", "12h", "1d", "3d", "1w", "1M", "3M", "1y"] {
            assert_eq!(timeframe(text).to_string(), text);
        }
        assert_eq!(timeframe("1Y"), timeframe("1y"));
        for text in ["", "m", "0m", "-1h", "1", "1x", "+5m", "1 h", "99999999999h", "1é"] {
            assert!(text.parse::<Timeframe>().is_err(), "{text}");
        }
    }

    #[test]
    fn months_and_years_follow_the_calendar() {
        let month = timeframe("1M");
        assert_eq!(month.next_open(at("2024-01-01")), Some(at("2024-02-01")));
        assert_eq!(month.next_open(at("2023-12-01")), Some(at("2024-01-01")));
        assert_eq!(timeframe("3M").floor(at("2024-06-30")), Some(at("2024-04-01")));
        assert_eq!(timeframe("1y").floor(at("1969-06-30")), Some(at("1969-01-01")));
        assert_eq!(month.steps_between(at("2023-11-01"), at("2024-03-01")), Some(4));
        assert_eq!(month.steps_between(at("2023-11-01"), at("2023-11-01")), Some(0));
    }

    #[test]
    fn weeks_open_on_monday() {
        assert_eq!(timeframe("1w").floor(at("2024-05-15T13:00:00Z")), Some(at("2024-05-13")));
        assert_eq!(timeframe("1w").floor(at("1970-01-01")), Some(at("1969-12-29")));
    }

    #[test]
    fn extreme_instants_give_none() {
        assert_eq!(timeframe("1h").next_open(Timestamp::from_millis(i64::MAX)), None);
        assert_eq!(timeframe("1M").next_open(Timestamp::from_millis(i64::MAX)), None);
        assert_eq!(timeframe("1M").floor(Timestamp::from_millis(i64::MIN)), None);
        assert_eq!(timeframe("1w").floor(Timestamp::from_millis(i64::MIN)), None);
    }

    #[test]
    fn lengths_become_timeframes_in_the_largest_unit() {
        assert_eq!(Timeframe::from_millis(3_600_000).unwrap(), timeframe("1h"));
        assert_eq!(Timeframe::from_millis(90_000).unwrap(), timeframe("90s"));
        assert_eq!(Timeframe::from_millis(7 * DAY).unwrap(), timeframe("1w"));
        assert!(Timeframe::from_millis(500).is_err());
        assert!(Timeframe::from_millis(0).is_err());
    }
}
