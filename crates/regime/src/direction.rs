use std::cmp::Ordering;

use forecastle_core::Direction;

/// Says on which side of its VWAP the price closed; `None` when either number is NaN.
///
/// # Examples
/// ```
/// use forecastle_core::Direction;
/// use forecastle_regime::direction;
///
/// assert_eq!(direction(101.0, 100.0), Some(Direction::Bullish));
/// assert_eq!(direction(99.0, 100.0), Some(Direction::Bearish));
/// assert_eq!(direction(100.0, 100.0), Some(Direction::Neutral));
/// assert_eq!(direction(100.0, f64::NAN), None);
/// ```
pub fn direction(close: f64, vwap: f64) -> Option<Direction> {
    close.partial_cmp(&vwap).map(|side| match side {
        Ordering::Greater => Direction::Bullish,
        Ordering::Less => Direction::Bearish,
        Ordering::Equal => Direction::Neutral,
    })
}
