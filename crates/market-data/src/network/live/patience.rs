//! Which failures are waited out, how long, and which end a live source.

use std::time::Duration;

use forecastle_core::Timestamp;

use super::LiveParams;
use crate::exchange::ExchangeError;

/// Counts failures in a row and decides about each.
///
/// What cannot be otherwise next time ends the source: the exchange has no such timeframe, the
/// request cannot be sent. So does an answer that refuses it (unknown symbol, key required, region
/// blocked) at the start; once candles have come it must come several times in a row, for it may be
/// a proxy's or a maintenance's. Everything else is waited out, for ever.
#[derive(Debug, Default)]
pub(super) struct Patience {
    /// Failures in a row.
    failures: u32,
    /// Those of them in a row that refused the request.
    refusals: u32,
    /// When the first of them came.
    since: Option<Timestamp>,
    /// Whether anything ever succeeded.
    proven: bool,
}

/// What to do after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Wait(Duration),
    End,
}

/// How often in a row an exchange must refuse.
const MOST_REFUSALS: u32 = 4;

impl Patience {
    /// Decides about a failure that came at `now`.
    pub(super) fn judge(
        &mut self,
        error: &ExchangeError,
        params: &LiveParams,
        now: Timestamp,
    ) -> Verdict {
        self.failures = self.failures.saturating_add(1);
        self.since.get_or_insert(now);
        let refused = match error {
            ExchangeError::UnknownExchange { .. }
            | ExchangeError::UnsupportedTimeframe { .. }
            | ExchangeError::Refused { .. }
            | ExchangeError::InvalidRequest { .. }
            | ExchangeError::Record { .. } => return Verdict::End,
            ExchangeError::UnknownSymbol { .. }
            | ExchangeError::KeyRequired { .. }
            | ExchangeError::BlockedByRegion { .. } => Some(!self.proven),
            // Words that no record knows, perhaps for want of the market, perhaps a maintenance's.
            ExchangeError::Exchange { status, .. } if *status < 500 && !self.proven => Some(false),
            _ => None,
        };
        self.refusals = if refused.is_some() { self.refusals.saturating_add(1) } else { 0 };
        if refused == Some(true) || self.refusals >= MOST_REFUSALS {
            return Verdict::End;
        }
        let asked = match error {
            ExchangeError::RateLimited { retry_after, .. } => *retry_after,
            _ => None,
        };
        Verdict::Wait(params.backoff(self.failures).max(asked.unwrap_or_default()))
    }

    /// How many failures there were since the last success.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// Notes a success; gives when the failures before it began, if there were any.
    pub(super) fn succeed(&mut self) -> Option<Timestamp> {
        let since = self.since.take();
        *self = Self { proven: true, ..Self::default() };
        since
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(5);

    fn unknown() -> ExchangeError {
        let (exchange, symbol) = ("okx".to_owned(), "A/B".to_owned());
        ExchangeError::UnknownSymbol { exchange, symbol, hint: None }
    }

    fn exchange(status: u16) -> ExchangeError {
        ExchangeError::Exchange { exchange: "okx".to_owned(), status, message: String::new() }
    }

    fn limited(seconds: u64) -> ExchangeError {
        let retry_after = Some(Duration::from_secs(seconds));
        ExchangeError::RateLimited {
            exchange: "okx".to_owned(),
            retry_after,
            message: String::new(),
        }
    }

    fn verdicts(patience: &mut Patience, errors: &[ExchangeError]) -> Vec<Option<u64>> {
        let judged = errors.iter().map(|e| patience.judge(e, &LiveParams::default(), NOW));
        let seconds = |verdict| match verdict {
            Verdict::Wait(wait) => Some(Duration::as_secs(&wait)),
            Verdict::End => None,
        };
        judged.map(seconds).collect()
    }

    #[test]
    fn what_passes_is_waited_out_for_ever_with_growing_waits() {
        let mut patience = Patience::default();
        let errors: Vec<ExchangeError> = (0..40).map(|_| exchange(503)).collect();
        let waits = verdicts(&mut patience, &errors);
        assert_eq!(waits[..7], [1, 2, 4, 8, 16, 32, 60].map(Some));
        assert!(waits[7..].iter().all(|wait| *wait == Some(60)));
        assert_eq!(patience.succeed(), Some(NOW));
        assert_eq!((patience.failures(), patience.succeed()), (0, None));
        assert_eq!(verdicts(&mut patience, &[exchange(503)]), [Some(1)]);
    }

    #[test]
    fn a_pause_that_the_exchange_asks_for_is_kept() {
        let waits = verdicts(&mut Patience::default(), &[limited(300), limited(0)]);
        assert_eq!(waits, [Some(300), Some(2)]);
    }

    #[test]
    fn a_refusal_ends_at_once_at_the_start_and_later_only_when_it_stays() {
        assert_eq!(verdicts(&mut Patience::default(), &[unknown()]), [None]);
        let mut patience = Patience::default();
        patience.succeed();
        let waits = verdicts(
            &mut patience,
            &[unknown(), unknown(), exchange(502), unknown(), unknown(), unknown(), unknown()],
        );
        assert_eq!(waits.iter().position(Option::is_none), Some(6));
    }

    #[test]
    fn words_that_nobody_knows_end_only_a_source_that_never_began() {
        let errors: Vec<ExchangeError> = (0..5).map(|_| exchange(400)).collect();
        let waits = verdicts(&mut Patience::default(), &errors[..4]);
        assert_eq!(waits, [Some(1), Some(2), Some(4), None]);
        let mut patience = Patience::default();
        patience.succeed();
        assert!(verdicts(&mut patience, &errors).iter().all(Option::is_some));
    }

    #[test]
    fn what_cannot_be_otherwise_ends_at_once_whenever_it_comes() {
        let mut patience = Patience::default();
        patience.succeed();
        let (exchange, offered) = ("okx".to_owned(), String::new());
        let error =
            ExchangeError::UnsupportedTimeframe { exchange, timeframe: "9m".to_owned(), offered };
        assert_eq!(verdicts(&mut patience, &[error]), [None]);
    }
}
