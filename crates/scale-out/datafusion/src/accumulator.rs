use std::sync::Arc;

use arrow::array::ArrayRef;
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::Accumulator;

use crate::candle_rows::CandleRows;
use crate::job::Job;

/// Collects a group's candles and does the job on them.
#[derive(Debug)]
pub(crate) struct CandleAccumulator {
    job: Arc<Job>,
    rows: CandleRows,
}

impl CandleAccumulator {
    pub(crate) fn new(job: Arc<Job>) -> Self {
        Self { job, rows: CandleRows::default() }
    }
}

impl Accumulator for CandleAccumulator {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        // The options, which follow the candles, are the same in every row.
        self.rows.push(values.get(..6).unwrap_or(values))
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.rows.merge(states)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.rows.take_state()
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.job.run(&mut self.rows)
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.rows.size()
    }
}
