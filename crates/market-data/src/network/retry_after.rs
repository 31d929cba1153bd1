use std::time::{Duration, SystemTime};

use forecastle_core::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

/// No server is believed that asks for more.
const LONGEST: Duration = Duration::from_secs(24 * 3_600);

/// Reads an HTTP date such as `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(super) fn http_date(text: &str) -> Option<Timestamp> {
    let time = DateTimeParser::new().parse_timestamp(text.trim()).ok()?;
    Some(Timestamp::from_millis(time.as_millisecond()))
}

/// Reads `Retry-After`, which is a number of seconds or an HTTP date.
///
/// A date is measured against the server's own `Date`, so that the skew of the local clock does
/// not matter; the local clock counts only for a server that gives none.
pub(super) fn retry_after(value: &str, server_date: Option<Timestamp>) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<f64>() {
        let seconds = seconds.clamp(0.0, LONGEST.as_secs_f64());
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let until = http_date(value)?;
    let now = server_date.or_else(local_clock)?;
    let wait = until.as_millis().saturating_sub(now.as_millis());
    Some(Duration::from_millis(u64::try_from(wait).unwrap_or(0)).min(LONGEST))
}

fn local_clock() -> Option<Timestamp> {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    #[test]
    fn an_http_date_is_read_to_the_second() {
        assert_eq!(http_date(DATE), Some(Timestamp::from_millis(784_111_777_000)));
        assert_eq!(http_date("yesterday"), None);
        assert_eq!(http_date(""), None);
    }

    #[test]
    fn retry_after_is_read_as_seconds_whole_or_not() {
        assert_eq!(retry_after("7", None), Some(Duration::from_secs(7)));
        assert_eq!(retry_after(" 0.25 ", None), Some(Duration::from_millis(250)));
        assert_eq!(retry_after("-3", None), Some(Duration::ZERO));
    }

    #[test]
    fn retry_after_is_read_as_a_date_by_the_servers_clock() {
        let server = Some(Timestamp::from_millis(784_111_777_000 - 90_000));
        assert_eq!(retry_after(DATE, server), Some(Duration::from_secs(90)));
        let later = Some(Timestamp::from_millis(784_111_777_000 + 90_000));
        assert_eq!(retry_after(DATE, later), Some(Duration::ZERO));
        assert_eq!(retry_after(DATE, None), Some(Duration::ZERO), "long past by any clock");
    }

    #[test]
    fn retry_after_is_bounded_and_nonsense_is_none() {
        assert_eq!(retry_after("99999999999999999999", None), Some(LONGEST));
        assert_eq!(retry_after("inf", None), Some(LONGEST));
        for nonsense in ["", "NaN", "soon", "1s", "12:00"] {
            assert_eq!(retry_after(nonsense, None), None, "{nonsense:?}");
        }
    }
}
