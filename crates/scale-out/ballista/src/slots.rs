//! Giving executors their slots back after one of them was lost.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use ballista_scheduler::cluster::{ClusterState, ClusterStateEvent};
use futures_util::StreamExt;

/// How often to look whether the scheduler is idle.
const CHECK: Duration = Duration::from_millis(250);

/// Makes the executors register again, with all their slots, once the scheduler is idle after the
/// loss of one.
///
/// Where a job has a shuffle, Ballista rolls its running stages back on such a loss, and forgets
/// the slots that their tasks held on the executors that live: with one slot each, nothing runs any
/// more until they are started anew. An executor that the scheduler does not know registers with
/// its next heartbeat, which also hands out what is waiting. Nothing runs when this is done, so no
/// task's report can be turned away.
pub(crate) async fn restore_after_losses(
    cluster: Arc<dyn ClusterState>,
    is_idle: impl Fn() -> bool,
) {
    let Ok(mut events) = cluster.cluster_state_events().await else {
        return;
    };
    let mut removed_here: HashSet<String> = HashSet::new();
    let mut lost = false;
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(ClusterStateEvent::RemovedExecutor { executor_id }) => {
                    lost |= !removed_here.remove(&executor_id);
                }
                Some(_) => {}
                None => return,
            },
            () = tokio::time::sleep(CHECK), if lost => {}
        }
        if !lost || !is_idle() {
            continue;
        }
        lost = false;
        for executor_id in cluster.executor_heartbeats().into_keys() {
            removed_here.insert(executor_id.clone());
            if cluster.remove_executor(&executor_id).await.is_err() {
                removed_here.remove(&executor_id);
            }
        }
    }
}
