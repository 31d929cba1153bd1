use std::sync::Arc;

use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;

/// Says why a plan would move candles between partitions, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// A step that moves rows between partitions.
    #[error("the plan moves rows between partitions ({step}): {advice}")]
    Exchange {
        /// The step.
        step: String,
        /// What to do.
        advice: &'static str,
    },
    /// An aggregate that is done in two steps.
    #[error(
        "the plan aggregates in parts ({mode}), which ships every candle: read a table laid out as \
         exchange=…/timeframe=…/symbol=… (`register_candles`) under `session_config`, and group by all \
         its partition columns"
    )]
    PartialAggregate {
        /// The aggregate's mode.
        mode: String,
    },
    /// No aggregate at all.
    #[error(
        "the plan has no aggregate: group candles by symbol and call forecast, leaderboard or backtest"
    )]
    NoAggregate,
    /// An aggregate whose accumulator cannot be made.
    #[error("{0}")]
    Function(String),
}

/// Checks that a plan is a single stage: each symbol's candles are read and aggregated in one partition.
///
/// The options of the functions are checked, too.
///
/// # Errors
/// - [`PlanError`], with advice.
pub fn check_plan(plan: &Arc<dyn ExecutionPlan>) -> Result<(), PlanError> {
    let mut aggregates = 0;
    check(plan, &mut aggregates)?;
    if aggregates == 0 { Err(PlanError::NoAggregate) } else { Ok(()) }
}

fn check(plan: &Arc<dyn ExecutionPlan>, aggregates: &mut usize) -> Result<(), PlanError> {
    const SORT: &str = "leave ORDER BY and LIMIT out and sort the result, which is small";
    const GROUP: &str = "read a table laid out as exchange=…/timeframe=…/symbol=… (`register_candles`) under \
                         `session_config`, and group by all its partition columns";
    let exchange = |advice| PlanError::Exchange { step: plan.name().to_owned(), advice };
    if plan.is::<RepartitionExec>() {
        return Err(exchange(GROUP));
    }
    if plan.is::<SortPreservingMergeExec>() || plan.is::<CoalescePartitionsExec>() {
        // Under an aggregate the candles themselves would be merged.
        return Err(exchange(if *aggregates > 0 { GROUP } else { SORT }));
    }
    if let Some(aggregate) = plan.downcast_ref::<AggregateExec>() {
        *aggregates += 1;
        let mode = *aggregate.mode();
        if !matches!(mode, AggregateMode::SinglePartitioned | AggregateMode::Single) {
            return Err(PlanError::PartialAggregate { mode: format!("{mode:?}") });
        }
        for function in aggregate.aggr_expr() {
            let made = function.create_accumulator();
            made.map_err(|e| PlanError::Function(e.strip_backtrace()))?;
        }
    }
    plan.children().into_iter().try_for_each(|child| check(child, aggregates))
}
