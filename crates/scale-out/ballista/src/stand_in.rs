//! Stands in for `forecastle-datafusion` until that crate is merged.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Float64Array, Int64Array, LargeListArray, StructArray,
};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields, Float64Type, Int64Type};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err, plan_err};
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{
    ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl,
};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility,
};
use datafusion::physical_expr::expressions::Literal;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::prelude::{SessionConfig, SessionContext};

pub(crate) fn aggregate_functions() -> Vec<Arc<AggregateUDF>> {
    vec![Arc::new(AggregateUDF::from(Forecast {
        signature: Signature::user_defined(Volatility::Immutable),
    }))]
}

pub(crate) fn session_config(partitions: usize) -> SessionConfig {
    SessionConfig::new()
        .with_target_partitions(partitions)
        .set_usize("datafusion.optimizer.preserve_file_partitions", 1)
}

pub(crate) async fn register_candles(ctx: &SessionContext, table: &str, root: &str) -> Result<()> {
    let options = ListingOptions::new(Arc::new(ParquetFormat::default()))
        .with_file_extension(".parquet")
        .with_table_partition_cols(vec![
            ("exchange".to_string(), DataType::Utf8),
            ("timeframe".to_string(), DataType::Utf8),
            ("symbol".to_string(), DataType::Utf8),
        ]);
    let config = ListingTableConfig::new(ListingTableUrl::parse(root)?)
        .with_listing_options(options)
        .infer_schema(&ctx.state())
        .await?;
    ctx.register_table(table, Arc::new(ListingTable::try_new(config)?))?;
    Ok(())
}

#[derive(Debug, thiserror::Error)]
#[error("the plan has a shuffle: {node}; group by the table's partition columns")]
pub(crate) struct PlanError {
    node: String,
}

pub(crate) fn check_plan(plan: &Arc<dyn ExecutionPlan>) -> std::result::Result<(), PlanError> {
    if let Some(aggregate) = plan.downcast_ref::<AggregateExec>()
        && *aggregate.mode() != AggregateMode::SinglePartitioned
    {
        return Err(PlanError { node: format!("AggregateExec mode={:?}", aggregate.mode()) });
    }
    if matches!(
        plan.name(),
        "RepartitionExec" | "CoalescePartitionsExec" | "SortPreservingMergeExec"
    ) {
        return Err(PlanError { node: plan.name().to_string() });
    }
    plan.children().into_iter().try_for_each(check_plan)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Forecast {
    signature: Signature,
}

fn result_fields() -> Fields {
    Fields::from(vec![
        Field::new("candles", DataType::Int64, true),
        Field::new("level", DataType::Float64, true),
        Field::new("trend", DataType::Float64, true),
    ])
}

impl AggregateUDFImpl for Forecast {
    fn name(&self) -> &str {
        "forecast"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        if types.len() != 7 {
            return plan_err!("forecast takes seven arguments, got {}", types.len());
        }
        let mut coerced = vec![DataType::Int64];
        coerced.extend(vec![DataType::Float64; 5]);
        coerced.push(DataType::Utf8);
        Ok(coerced)
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Struct(result_fields()))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        Ok((0..6)
            .map(|column| {
                let item = if column == 0 { DataType::Int64 } else { DataType::Float64 };
                Arc::new(Field::new(
                    format!("{}[{column}]", args.name),
                    DataType::LargeList(Arc::new(Field::new_list_field(item, true))),
                    true,
                ))
            })
            .collect())
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let options = args.exprs[6]
            .downcast_ref::<Literal>()
            .and_then(|literal| match literal.value() {
                ScalarValue::Utf8(text) => text.clone(),
                _ => None,
            })
            .ok_or_else(|| exec_datafusion_err!("forecast needs its options as a literal"))?;
        let rounds: String = options
            .split("\"rounds\":")
            .nth(1)
            .unwrap_or_default()
            .chars()
            .take_while(char::is_ascii_digit)
            .collect();
        if options.contains("fail") {
            return Err(exec_datafusion_err!("forecast was told to fail"));
        }
        Ok(Box::new(Rows { rounds: rounds.parse().unwrap_or(1), ..Rows::default() }))
    }
}

#[derive(Debug, Default)]
struct Rows {
    rounds: u64,
    times: Vec<i64>,
    values: [Vec<f64>; 5],
}

impl Rows {
    fn push(&mut self, times: &ArrayRef, values: &[ArrayRef]) -> Result<()> {
        self.times.extend(times.as_primitive::<Int64Type>().values().iter());
        for (column, array) in self.values.iter_mut().zip(values) {
            column.extend(array.as_primitive::<Float64Type>().values().iter());
        }
        Ok(())
    }
}

impl Accumulator for Rows {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.push(&values[0], &values[1..6])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let lists: Vec<_> = states.iter().map(|s| s.as_list::<i64>()).collect();
        for row in 0..lists[0].len() {
            let values: Vec<_> = lists[1..].iter().map(|l| l.value(row)).collect();
            self.push(&lists[0].value(row), &values)?;
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let list = |array: ArrayRef| {
            let field = Arc::new(Field::new_list_field(array.data_type().clone(), true));
            let offsets = OffsetBuffer::from_lengths([array.len()]);
            ScalarValue::LargeList(Arc::new(LargeListArray::new(field, offsets, array, None)))
        };
        let mut state = vec![list(Arc::new(Int64Array::from(self.times.clone())))];
        for column in &self.values {
            state.push(list(Arc::new(Float64Array::from(column.clone()))));
        }
        Ok(state)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let mut rows: Vec<(i64, f64)> =
            self.times.iter().copied().zip(self.values[3].iter().copied()).collect();
        rows.sort_by_key(|(time, _)| *time);
        let (mut level, mut trend) = (rows.first().map_or(0.0, |(_, close)| *close), 0.0_f64);
        for _ in 0..self.rounds.max(1) {
            for (_, close) in &rows {
                let next = 0.3 * close + 0.7 * (level + trend);
                trend = 0.1 * (next - level) + 0.9 * trend;
                level = next;
            }
        }
        Ok(ScalarValue::Struct(Arc::new(StructArray::new(
            result_fields(),
            vec![
                Arc::new(Int64Array::from(vec![rows.len() as i64])),
                Arc::new(Float64Array::from(vec![level])),
                Arc::new(Float64Array::from(vec![trend])),
            ],
            None,
        ))))
    }

    fn size(&self) -> usize {
        size_of_val(self)
            + self.times.capacity() * 8
            + self.values.iter().map(|c| c.capacity() * 8).sum::<usize>()
    }
}
