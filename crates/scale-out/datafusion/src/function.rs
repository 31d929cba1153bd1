use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef, TimeUnit};
use datafusion::common::{ScalarValue, plan_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility,
};
use datafusion::physical_expr::expressions::{CastExpr, Literal};

use crate::Options;
use crate::accumulator::CandleAccumulator;
use crate::candle_rows::state_fields;
use crate::job::{Job, JobKind, with_causes};

/// The aggregate functions `forecast`, `leaderboard` and `backtest`.
///
/// Every process that plans or runs a query must know them: see [`register`](crate::register).
pub fn aggregate_functions() -> Vec<Arc<AggregateUDF>> {
    let function = |kind| Arc::new(AggregateUDF::new_from_impl(CandleAggregate::new(kind)));
    JobKind::ALL.into_iter().map(function).collect()
}

/// One of the functions.
#[derive(Debug, PartialEq, Eq, Hash)]
struct CandleAggregate {
    kind: JobKind,
    signature: Signature,
}

impl CandleAggregate {
    fn new(kind: JobKind) -> Self {
        Self { kind, signature: Signature::user_defined(Volatility::Immutable) }
    }

    /// The options from the arguments.
    fn options(&self, args: &AccumulatorArgs<'_>) -> Result<Options> {
        let Some(argument) = args.exprs.get(6) else { return Ok(Options::default()) };
        // Where nothing has folded the cast yet.
        let literal = match argument.downcast_ref::<CastExpr>() {
            Some(cast) => cast.expr(),
            None => argument,
        };
        let mut value = literal.downcast_ref::<Literal>().map(Literal::value);
        while let Some(ScalarValue::Dictionary(_, inner)) = value {
            value = Some(inner.as_ref());
        }
        let text = match value {
            Some(
                ScalarValue::Utf8(text)
                | ScalarValue::LargeUtf8(text)
                | ScalarValue::Utf8View(text),
            ) => text.as_deref().unwrap_or("{}"),
            _ => {
                return plan_err!(
                    "the options of {} must be a literal string, not {argument}",
                    self.name()
                );
            }
        };
        text.parse().map_err(refused)
    }
}

impl AggregateUDFImpl for CandleAggregate {
    fn name(&self) -> &str {
        self.kind.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let name = self.name();
        let (Some(time), Some(values)) = (types.first(), types.get(1..6)) else {
            return plan_err!(
                "{name} takes (open_time, open, high, low, close, volume[, options]), not {} arguments",
                types.len()
            );
        };
        let mut coerced = vec![match time {
            DataType::Timestamp(_, zone) => {
                DataType::Timestamp(TimeUnit::Millisecond, zone.clone())
            }
            DataType::Date32 | DataType::Date64 => DataType::Timestamp(TimeUnit::Millisecond, None),
            time if time.is_integer() => DataType::Int64,
            time => return plan_err!("open_time of {name} is {time}, not a time"),
        }];
        for value in values {
            if !value.is_numeric() && !value.is_null() {
                return plan_err!("an argument of {name} is {value}, not a number");
            }
            coerced.push(DataType::Float64);
        }
        match types.get(6..).unwrap_or_default() {
            [] => {}
            [options] if is_text(options) => {
                // The engine repeats a literal for every row: as a dictionary it does so by a byte.
                let (key, text) = (Box::new(DataType::Int8), Box::new(DataType::Utf8));
                coerced.push(DataType::Dictionary(key, text));
            }
            [other] => return plan_err!("the options of {name} are {other}, not a string"),
            _ => return plan_err!("{name} takes six columns and options, not {}", types.len()),
        }
        Ok(coerced)
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Struct(self.kind.fields()))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        Ok(state_fields(args.name))
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        if args.is_distinct {
            return plan_err!(
                "{} knows no DISTINCT: doubled candles are dropped anyway",
                self.name()
            );
        }
        let job = Job::new(self.kind, self.options(&args)?);
        Ok(Box::new(CandleAccumulator::new(Arc::new(job.map_err(refused)?))))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        // The rows are sorted when all are there.
        AggregateOrderSensitivity::Insensitive
    }
}

fn is_text(kind: &DataType) -> bool {
    match kind {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, value) => is_text(value),
        _ => false,
    }
}

/// Options that nobody can follow, with the reason.
fn refused(error: forecastle::Error) -> DataFusionError {
    DataFusionError::Plan(with_causes(&error))
}
