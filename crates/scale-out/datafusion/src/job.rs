use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, LargeListArray, StringArray, StructArray, UInt64Array};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use forecastle::core::CandleSeries;
use forecastle::evaluation::LeaderboardRow;
use forecastle::market_data::{LoadedCandles, ReadOptions};
use forecastle::{
    ArrowTable, IntervalSummary, Pipeline, Record, SymbolForecast, Traded, arrow_schema,
};

use crate::Options;
use crate::candle_rows::CandleRows;
use crate::quiet_threads::on_one_thread;

/// Names what is made of a group's candles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum JobKind {
    Forecast,
    Leaderboard,
    Backtest,
}

impl JobKind {
    pub(crate) const ALL: [Self; 3] = [Self::Forecast, Self::Leaderboard, Self::Backtest];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Forecast => "forecast",
            Self::Leaderboard => "leaderboard",
            Self::Backtest => "backtest",
        }
    }

    /// The fields of a group's struct.
    pub(crate) fn fields(self) -> Fields {
        let float = |name: &str| Field::new(name, DataType::Float64, true);
        let count = |name: &str| Field::new(name, DataType::UInt64, true);
        let reason = Field::new("reason", DataType::Utf8, true);
        match self {
            Self::Forecast => arrow_schema::<SymbolForecast>().fields().clone(),
            Self::Leaderboard => Fields::from(vec![
                count("candles"),
                Field::new("models", list_of::<LeaderboardRow>(), true),
                float("interval_level"),
                float("interval_coverage"),
                count("interval_rows"),
                reason,
            ]),
            Self::Backtest => Fields::from(vec![
                count("candles"),
                Field::new("strategies", list_of::<Traded>(), true),
                reason,
            ]),
        }
    }
}

/// Holds what a query asks of every group.
#[derive(Debug)]
pub(crate) struct Job {
    kind: JobKind,
    options: Options,
    pipeline: Pipeline,
}

impl Job {
    /// Prepares a job.
    ///
    /// # Errors
    /// - [`forecastle::Error::InvalidParameter`] when a setting is outside its range.
    pub(crate) fn new(kind: JobKind, options: Options) -> forecastle::Result<Self> {
        // Threads are the engine's to give.
        let config = forecastle::PipelineConfig { threads: None, ..options.pipeline.clone() };
        Ok(Self { kind, pipeline: Pipeline::new(config)?, options })
    }

    /// Takes a group's candles and makes its struct of them.
    pub(crate) fn run(&self, rows: &mut CandleRows) -> Result<ScalarValue> {
        let n_rows = rows.len();
        let rows = rows.take_sorted();
        let done = on_one_thread(|| {
            let columns = match self.kind {
                JobKind::Forecast => self.forecast(rows),
                JobKind::Leaderboard => self.leaderboard(rows),
                JobKind::Backtest => self.backtest(rows),
            };
            columns.map_err(DataFusionError::Execution)
        });
        let columns = match done {
            Ok(columns) => columns?,
            Err(reason) => {
                tracing::error!(rows = n_rows, reason, "a group failed");
                self.failed(&reason)
            }
        };
        let array = StructArray::try_new(self.kind.fields(), columns, None)?;
        Ok(ScalarValue::Struct(Arc::new(array)))
    }

    /// A struct of nulls, but for the reason.
    fn failed(&self, reason: &str) -> Vec<ArrayRef> {
        let fields = self.kind.fields();
        let column = |field: &Arc<Field>| match field.name().as_str() {
            "reason" => Arc::new(StringArray::from_iter_values([reason])) as ArrayRef,
            _ => arrow::array::new_null_array(field.data_type(), 1),
        };
        fields.iter().map(column).collect()
    }

    /// The candles as a series, or why there is none.
    fn series(
        &self,
        rows: std::result::Result<Vec<forecastle::core::RawCandle>, String>,
    ) -> std::result::Result<LoadedCandles, String> {
        let options = ReadOptions {
            symbol: self.options.symbol.clone(),
            timeframe: self.options.timeframe,
            max_rows: usize::MAX,
            ..ReadOptions::default()
        };
        let mut loaded =
            LoadedCandles::from_rows(rows?, "group", &options).map_err(|e| with_causes(&e))?;
        if let Some(limit) = self.options.limit.filter(|limit| *limit < loaded.series.len()) {
            loaded.series = loaded.series.tail(limit);
        }
        Ok(loaded)
    }

    fn forecast(&self, rows: Rows) -> std::result::Result<Vec<ArrayRef>, String> {
        let forecast = match self.series(rows) {
            Ok(LoadedCandles { series, report, .. }) => {
                SymbolForecast::new(&self.pipeline, &series, report)
            }
            Err(reason) => SymbolForecast::failed(reason),
        };
        let mut table = ArrowTable::<SymbolForecast>::new();
        table.push(&forecast);
        Ok(table.take_columns())
    }

    fn leaderboard(&self, rows: Rows) -> std::result::Result<Vec<ArrayRef>, String> {
        let judge = |series: &CandleSeries| -> forecastle::Result<_> {
            let run = self.pipeline.walk_forward(series, &self.options.walk_forward, &())?;
            Ok((run.leaderboard()?.rows()?, run.interval()))
        };
        let judged = self.series(rows).and_then(|loaded| {
            let series = loaded.series;
            Ok((series.len(), judge(&series).map_err(|e| with_causes(&e))?))
        });
        Ok(match judged {
            Ok((candles, (models, interval))) => vec![
                count(Some(candles)),
                list(&models)?,
                float(interval.map(|i: IntervalSummary| i.level)),
                float(interval.map(|i| i.realised_coverage)),
                count(interval.map(|i| i.n)),
                Arc::new(StringArray::from(vec![None::<&str>])),
            ],
            Err(reason) => self.failed(&reason),
        })
    }

    fn backtest(&self, rows: Rows) -> std::result::Result<Vec<ArrayRef>, String> {
        let options = &self.options;
        let trade = |series: &CandleSeries| -> forecastle::Result<_> {
            let run = self.pipeline.walk_forward(series, &options.walk_forward, &())?;
            let strategies = run.strategies();
            run.trade(&strategies, &options.trading, &options.backtest, &options.random_entries)
        };
        let traded = self.series(rows).and_then(|loaded| {
            let series = loaded.series;
            Ok((series.len(), trade(&series).map_err(|e| with_causes(&e))?))
        });
        Ok(match traded {
            Ok((candles, strategies)) => vec![
                count(Some(candles)),
                list(&strategies)?,
                Arc::new(StringArray::from(vec![None::<&str>])),
            ],
            Err(reason) => self.failed(&reason),
        })
    }
}

type Rows = std::result::Result<Vec<forecastle::core::RawCandle>, String>;

/// An error with its causes, in one line.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn count(value: Option<usize>) -> ArrayRef {
    Arc::new(UInt64Array::from(vec![value.map(|value| value as u64)]))
}

fn float(value: Option<f64>) -> ArrayRef {
    Arc::new(Float64Array::from(vec![value]))
}

fn item_of<R: Record>() -> Arc<Field> {
    Arc::new(Field::new_list_field(DataType::Struct(arrow_schema::<R>().fields().clone()), true))
}

fn list_of<R: Record>() -> DataType {
    DataType::LargeList(item_of::<R>())
}

/// Records as one list.
fn list<R: Record>(records: &[R]) -> std::result::Result<ArrayRef, String> {
    let mut table = ArrowTable::<R>::new();
    records.iter().for_each(|record| table.push(record));
    let length = i64::try_from(table.len()).unwrap_or(i64::MAX);
    let fields = arrow_schema::<R>().fields().clone();
    let values = StructArray::try_new(fields, table.take_columns(), None);
    let offsets = OffsetBuffer::new(ScalarBuffer::from(vec![0, length]));
    let list = values.and_then(|values| {
        LargeListArray::try_new(item_of::<R>(), offsets, Arc::new(values), None)
    });
    list.map(|list| Arc::new(list) as ArrayRef).map_err(|e| e.to_string())
}
