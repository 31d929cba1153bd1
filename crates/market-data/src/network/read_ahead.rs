//! The request for the next page while this one is read.

use forecastle_core::Timestamp;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::forward_walk::Plan;
use super::{ExchangeClient, HttpResponse};
use crate::exchange::{ExchangeResult, HttpRequest};

/// Asks for what will come next, at most one request ahead.
///
/// Where a page ends is known before it is read as long as pages come full. Whenever one does not,
/// the request was in vain; so the next is made only after some pages have come full again, after
/// twice as many each time.
#[derive(Debug)]
pub(super) struct ReadAhead {
    waiting: Option<Waiting>,
    /// Pages that came full, one after the other.
    full: u32,
    /// How many of them it takes.
    needed: u32,
}

#[derive(Debug)]
struct Waiting {
    plan: Plan,
    task: JoinHandle<ExchangeResult<HttpResponse>>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Most full pages that are waited for.
const MOST_NEEDED: u32 = 64;

impl ReadAhead {
    pub(super) fn new() -> Self {
        Self { waiting: None, full: 0, needed: 0 }
    }

    /// Whether another request is worth making.
    pub(super) fn is_worth_it(&self) -> bool {
        self.full >= self.needed
    }

    pub(super) fn is_asking(&self) -> bool {
        self.waiting.is_some()
    }

    /// Sends a request, once, while the caller goes on.
    pub(super) fn ask(&mut self, client: &ExchangeClient, plan: Plan, request: HttpRequest) {
        // Without a runtime nothing could be sent anyway.
        let Ok(runtime) = Handle::try_current() else { return };
        let client = client.clone();
        let task = runtime.spawn(async move { client.send_once(&request).await });
        self.waiting = Some(Waiting { plan, task });
    }

    /// The page that is asked for, if it begins at `cursor`.
    pub(super) fn plan_at(&self, cursor: Timestamp) -> Option<Plan> {
        self.waiting.as_ref().map(|waiting| waiting.plan).filter(|plan| plan.cursor == cursor)
    }

    /// The answer to what was asked for, if one came.
    ///
    /// Nothing is lost when the future is dropped.
    pub(super) async fn answer(&mut self) -> Option<HttpResponse> {
        let answer = (&mut self.waiting.as_mut()?.task).await;
        self.waiting = None;
        answer.ok()?.ok()
    }

    /// Learns whether a page came full and where the walk goes on; whether a request was in vain.
    pub(super) fn learn(&mut self, is_full: bool, next: Timestamp) -> bool {
        if is_full {
            self.full = self.full.saturating_add(1);
        } else {
            self.full = 0;
        }
        let in_vain = self.waiting.take_if(|waiting| waiting.plan.cursor != next).is_some();
        if in_vain {
            self.needed = (self.needed * 2).clamp(1, MOST_NEEDED);
        } else if self.is_asking() {
            self.needed = self.needed.saturating_sub(1);
        }
        in_vain
    }

    /// Gives up what is under way; whether there was anything.
    pub(super) fn stop(&mut self) -> bool {
        self.waiting.take().is_some()
    }
}
