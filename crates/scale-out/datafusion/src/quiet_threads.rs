use std::cell::OnceCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use rayon::{ThreadPool, ThreadPoolBuilder};

thread_local! {
    static POOL: OnceCell<Option<ThreadPool>> = const { OnceCell::new() };
}

/// Runs work on one thread, its parallel parts included, so that a partition takes the one core that the
/// engine counts for it. A panic is told, not passed on.
pub(crate) fn on_one_thread<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, String> {
    let run = || {
        POOL.with(|pool| {
            let pool = pool.get_or_init(|| ThreadPoolBuilder::new().num_threads(1).build().ok());
            match pool {
                Some(pool) => pool.install(work),
                None => work(),
            }
        })
    };
    // The work holds nothing that outlives it.
    catch_unwind(AssertUnwindSafe(run)).map_err(|_| "the work on this group panicked".to_owned())
}
