use std::fmt;
use std::str::FromStr;

use forecastle_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::window::check_window;

/// Milliseconds in a day.
const DAY: i64 = 86_400_000;

/// Says over which candles a VWAP is taken.
///
/// Every anchor is causal. A window without volume weighs its rows equally; `Session` and
/// `Cumulative` do so until the first traded volume of the anchor, and by volume alone after it.
///
/// | text | anchor |
/// |---|---|
/// | `rolling:96` | the last 96 candles; the default |
/// | `session`, `session:+02:00` | since midnight UTC, or midnight of a clock two hours ahead |
/// | `cumulative` | since the first candle |
///
/// The text is also the serialised form.
///
/// # Examples
/// ```
/// use forecastle_features::VwapAnchor;
///
/// assert_eq!("rolling:20".parse::<VwapAnchor>()?, VwapAnchor::Rolling(20));
/// assert_eq!(VwapAnchor::default().to_string(), "rolling:96");
/// assert!("rolling:0".parse::<VwapAnchor>().is_err());
/// # Ok::<(), forecastle_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum VwapAnchor {
    /// The last so many candles; ready from the row in which there are so many.
    Rolling(usize),
    /// Since the last midnight.
    Session {
        /// The clock whose midnight it is.
        offset: SessionOffset,
    },
    /// Since the first candle.
    Cumulative,
}

impl VwapAnchor {
    /// The session that begins at 00:00 UTC.
    pub const SESSION_UTC: Self = Self::Session { offset: SessionOffset::UTC };

    /// Checks the window's length.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] when a rolling window is empty or longer than
    ///   [`MAX_WINDOW`](crate::MAX_WINDOW).
    pub fn validate(self) -> Result<()> {
        match self {
            Self::Rolling(window) => check_window("vwap window", window, 1),
            Self::Session { .. } | Self::Cumulative => Ok(()),
        }
    }

    /// Number of leading rows without a VWAP.
    pub const fn warm_up(self) -> usize {
        match self {
            Self::Rolling(window) => window.saturating_sub(1),
            Self::Session { .. } | Self::Cumulative => 0,
        }
    }
}

/// `Rolling(96)`.
impl Default for VwapAnchor {
    fn default() -> Self {
        Self::Rolling(96)
    }
}

impl fmt::Display for VwapAnchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rolling(window) => write!(f, "rolling:{window}"),
            Self::Session { offset } if *offset == SessionOffset::UTC => f.write_str("session"),
            Self::Session { offset } => write!(f, "session:{offset}"),
            Self::Cumulative => f.write_str("cumulative"),
        }
    }
}

impl FromStr for VwapAnchor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refuse =
            || Error::parse("VWAP anchor (rolling:96, session, session:+02:00, cumulative)", text);
        let anchor = match text.split_once(':') {
            None if text == "session" => Self::SESSION_UTC,
            None if text == "cumulative" => Self::Cumulative,
            Some(("rolling", digits)) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                Self::Rolling(digits.parse().map_err(|_| refuse())?)
            }
            Some(("session", offset)) => {
                Self::Session { offset: offset.parse().map_err(|_| refuse())? }
            }
            _ => return Err(refuse()),
        };
        anchor.validate()?;
        Ok(anchor)
    }
}

impl TryFrom<String> for VwapAnchor {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<VwapAnchor> for String {
    fn from(anchor: VwapAnchor) -> Self {
        anchor.to_string()
    }
}

/// Says how far the clock that begins a session runs ahead of UTC, to the minute.
///
/// Written as in RFC 3339: `+02:00` means that a session begins at 22:00 UTC.
///
/// # Examples
/// ```
/// use forecastle_features::SessionOffset;
///
/// // The foreign exchange day ends at 17:00 in New York, 22:00 UTC in winter.
/// let new_york_close: SessionOffset = "+02:00".parse()?;
/// assert_eq!(new_york_close.minutes(), 120);
/// assert!("+24:00".parse::<SessionOffset>().is_err());
/// # Ok::<(), forecastle_core::Error>(())
/// ```
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(try_from = "String", into = "String")]
pub struct SessionOffset {
    minutes: i16,
}

impl SessionOffset {
    /// Sessions begin at 00:00 UTC.
    pub const UTC: Self = Self { minutes: 0 };

    /// Makes an offset of less than a day.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] when it is a day or more, either way.
    pub fn from_minutes(minutes: i32) -> Result<Self> {
        match i16::try_from(minutes) {
            Ok(minutes) if minutes.unsigned_abs() < 24 * 60 => Ok(Self { minutes }),
            _ => Err(Error::invalid_parameter(
                "session offset",
                "within -1439..=1439 minutes",
                minutes,
            )),
        }
    }

    /// Minutes ahead of UTC.
    pub const fn minutes(self) -> i16 {
        self.minutes
    }

    /// The session of an instant as `(first, last)` millisecond, both inside.
    pub(crate) fn session_of(self, millis: i64) -> (i64, i64) {
        let offset = i64::from(self.minutes) * 60_000;
        let since_midnight = (millis.rem_euclid(DAY) + offset).rem_euclid(DAY);
        let first = millis.saturating_sub(since_midnight);
        (first, millis.saturating_add(DAY - 1 - since_midnight))
    }
}

impl fmt::Display for SessionOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.minutes < 0 { '-' } else { '+' };
        let minutes = self.minutes.unsigned_abs();
        write!(f, "{sign}{:02}:{:02}", minutes / 60, minutes % 60)
    }
}

impl TryFrom<String> for SessionOffset {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<SessionOffset> for String {
    fn from(offset: SessionOffset) -> Self {
        offset.to_string()
    }
}

impl FromStr for SessionOffset {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refuse = || Error::parse("session offset (+02:00)", text);
        let two = |digits: &[u8]| match digits {
            [a @ b'0'..=b'9', b @ b'0'..=b'9'] => {
                Some(i32::from(a - b'0') * 10 + i32::from(b - b'0'))
            }
            _ => None,
        };
        let [sign @ (b'+' | b'-'), hours @ .., b':', m1, m2] = text.as_bytes() else {
            return Err(refuse());
        };
        let hours = two(hours).ok_or_else(refuse)?;
        let minutes = two(&[*m1, *m2]).filter(|&m| m < 60).ok_or_else(refuse)?;
        let total = hours * 60 + minutes;
        Self::from_minutes(if *sign == b'-' { -total } else { total })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_round_trip() {
        for text in
            ["rolling:1", "rolling:96", "session", "session:+02:00", "session:-09:30", "cumulative"]
        {
            assert_eq!(text.parse::<VwapAnchor>().unwrap().to_string(), text);
        }
        let plain: VwapAnchor = "session:+00:00".parse().unwrap();
        assert_eq!(plain, VwapAnchor::SESSION_UTC);
    }

    #[test]
    fn nonsense_is_refused_as_invalid_input() {
        for text in [
            "",
            "rolling",
            "rolling:",
            "rolling:0",
            "rolling:-5",
            "rolling:+5",
            "rolling:1e3",
            "rolling:99999999999999999999",
            "rolling:1048577",
            "Session",
            "session:",
            "session:2",
            "session:02:00",
            "session:+2:00",
            "session:+24:00",
            "session:+01:60",
            "session:+é1:00",
            "cumulative:1",
            "global",
            " cumulative",
        ] {
            let error = text.parse::<VwapAnchor>().expect_err(text);
            assert!(error.is_invalid_input(), "{text}: {error}");
        }
    }

    #[test]
    fn a_session_begins_at_midnight_of_its_clock() {
        let hour = 3_600_000;
        assert_eq!(SessionOffset::UTC.session_of(5 * hour), (0, DAY - 1));
        assert_eq!(SessionOffset::UTC.session_of(-1), (-DAY, -1));
        let ahead = SessionOffset::from_minutes(120).unwrap();
        assert_eq!(ahead.session_of(22 * hour), (22 * hour, 46 * hour - 1));
        assert_eq!(ahead.session_of(22 * hour - 1), (-2 * hour, 22 * hour - 1));
        let behind = SessionOffset::from_minutes(-60).unwrap();
        assert_eq!(behind.session_of(0), (-23 * hour, hour - 1));
        for extreme in [i64::MIN, i64::MAX] {
            let (first, last) = ahead.session_of(extreme);
            assert!(first <= extreme && extreme <= last);
        }
    }
}
