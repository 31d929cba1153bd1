//! Planning a query here as the scheduler will, and the sessions that both plan in.

use std::sync::Arc;

use ballista_core::config::BALLISTA_SCHEDULER_MAX_PARTITIONS_PER_TASK;
use ballista_core::extension::SessionConfigExt;
use ballista_core::serde::protobuf::KeyValuePair;
use ballista_core::utils::default_session_builder;
use datafusion::common::Result;
use datafusion::execution::SessionState;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::{AggregateUDF, LogicalPlan};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion_proto::logical_plan::{AsLogicalPlan, DefaultLogicalExtensionCodec};
use datafusion_proto::protobuf::LogicalPlanNode;

/// The largest message between client, scheduler and executors, in bytes. A batch of results or a
/// plan over many files can exceed Ballista's own 16 MiB.
pub(crate) const MAX_MESSAGE_BYTES: u32 = 512 * 1024 * 1024;

/// Returns Forecastle's functions and the caller's own.
pub(crate) fn all_functions(own: &[Arc<AggregateUDF>]) -> Vec<Arc<AggregateUDF>> {
    let mut all = forecastle_datafusion::aggregate_functions();
    all.extend(own.iter().cloned());
    all
}

/// Returns the settings that a job is planned and run with.
pub(crate) fn job_config(partitions: usize) -> SessionConfig {
    forecastle_datafusion::session_config(partitions)
        .upgrade_for_ballista()
        .with_ballista_grpc_client_max_message_size(MAX_MESSAGE_BYTES as usize)
        // One task a partition: a slot is free again as soon as its partition is done, and what a
        // lost executor was at is as little as possible.
        .set_usize(BALLISTA_SCHEDULER_MAX_PARTITIONS_PER_TASK, 1)
}

/// Returns the settings that a scheduler and its executors start from.
pub(crate) fn server_config() -> SessionConfig {
    SessionConfig::new_with_ballista()
        .with_ballista_grpc_client_max_message_size(MAX_MESSAGE_BYTES as usize)
}

/// Builds the session that plans queries: the same here and in the scheduler.
pub(crate) fn session_state(
    config: SessionConfig,
    functions: &[Arc<AggregateUDF>],
) -> Result<SessionState> {
    let state = default_session_builder(config)?;
    let mut aggregates: Vec<_> = state.aggregate_functions().values().cloned().collect();
    aggregates.extend(functions.iter().cloned());
    Ok(SessionStateBuilder::new_from_existing(state).with_aggregate_functions(aggregates).build())
}

/// A query, planned.
pub(crate) struct Planned {
    pub(crate) logical: LogicalPlan,
    pub(crate) physical: Arc<dyn ExecutionPlan>,
}

pub(crate) async fn plan(ctx: &SessionContext, sql: &str) -> Result<Planned> {
    let state = ctx.state();
    let logical = state.optimize(&state.create_logical_plan(sql).await?)?;
    let physical = state.create_physical_plan(&logical).await?;
    Ok(Planned { logical, physical })
}

/// Encodes a plan as Ballista's scheduler reads it.
pub(crate) fn encode(plan: &LogicalPlan) -> Result<Vec<u8>> {
    let node = LogicalPlanNode::try_from_logical_plan(plan, &DefaultLogicalExtensionCodec {})?;
    let mut bytes = Vec::new();
    node.try_encode(&mut bytes)?;
    Ok(bytes)
}

/// Lists a session's settings as Ballista's scheduler reads them.
pub(crate) fn settings(ctx: &SessionContext) -> Vec<KeyValuePair> {
    ctx.copied_config()
        .options()
        .entries()
        .into_iter()
        .map(|entry| KeyValuePair { key: entry.key, value: entry.value })
        .collect()
}
