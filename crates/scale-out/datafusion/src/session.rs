use datafusion::prelude::{SessionConfig, SessionContext};

use crate::aggregate_functions;

/// A configuration under which no candle leaves the partition that reads it.
///
/// - `partitions`: symbols worked on at once; an embedded session takes as many cores, a cluster that many
///   tasks. More of them than cores balance symbols of different lengths.
///
/// Files are kept together by their partition columns and not split, so that `GROUP BY` those columns needs no
/// exchange between partitions, and symbols are done one after the other. No file is opened to plan.
pub fn session_config(partitions: usize) -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_target_partitions(partitions.max(1))
        .with_round_robin_repartition(false)
        .with_repartition_file_scans(false)
        .with_collect_statistics(false);
    let options = config.options_mut();
    options.optimizer.preserve_file_partitions = 1;
    options.execution.parquet.pushdown_filters = false;
    config
}

/// Registers `forecast`, `leaderboard` and `backtest` with a session.
pub fn register(ctx: &SessionContext) {
    for function in aggregate_functions() {
        ctx.register_udaf(function.as_ref().clone());
    }
}
