//! Fetching a finished job's result from the executors that hold it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ballista_core::client::BallistaClient;
use ballista_core::extension::BallistaConfigGrpcEndpoint;
use ballista_core::serde::protobuf::PartitionLocation;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::Schema;
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::attempt::GiveUp;
use crate::error::{AttemptError, JobError};
use crate::plan::MAX_MESSAGE_BYTES;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const CONCURRENT_FETCHES: usize = 8;

/// Limits of a fetch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FetchLimits {
    pub(crate) stall: Duration,
    pub(crate) max_bytes: usize,
}

/// Fetches all partitions, in their order.
///
/// `partitions` is the number that the plan has, where it is known: each must be there exactly once.
pub(crate) async fn fetch_all(
    mut locations: Vec<PartitionLocation>,
    partitions: Option<usize>,
    schema: &Schema,
    limits: FetchLimits,
) -> Result<Vec<RecordBatch>, GiveUp> {
    check_locations(&locations, partitions)?;
    locations.sort_by_key(|location| (partition_number(location), location.map_partition_id));
    let budget = std::sync::atomic::AtomicUsize::new(limits.max_bytes);
    let fetches: Vec<_> =
        locations.into_iter().map(|location| fetch(location, schema, limits, &budget)).collect();
    let fetched: Vec<Vec<RecordBatch>> =
        stream::iter(fetches).buffered(CONCURRENT_FETCHES).try_collect().await?;
    Ok(fetched.into_iter().flatten().collect())
}

fn partition_number(location: &PartitionLocation) -> u32 {
    location.partition_id.as_ref().map_or(0, |partition| partition.partition_id)
}

/// Returns the rows that the executors reported, where they did.
pub(crate) fn reported_rows(location: &PartitionLocation) -> Option<u64> {
    location.partition_stats.as_ref().and_then(|stats| u64::try_from(stats.num_rows).ok())
}

fn check_locations(
    locations: &[PartitionLocation],
    partitions: Option<usize>,
) -> Result<(), AttemptError> {
    let mut seen = BTreeSet::new();
    for location in locations {
        let number = partition_number(location);
        // Of a plan without a shuffle each partition is one task's; with one, several tasks write
        // to the same partition.
        let writer = match partitions {
            Some(_) => 0,
            None => location.map_partition_id,
        };
        if !seen.insert((number, writer)) {
            return Err(AttemptError::Incomplete(format!("partition {number} is there twice")));
        }
    }
    match partitions {
        Some(partitions) => match (0..partitions)
            .find(|number| u32::try_from(*number).map_or(true, |n| !seen.contains(&(n, 0))))
        {
            Some(missing) => Err(AttemptError::Incomplete(format!(
                "partition {missing} of {partitions} is missing"
            ))),
            None if seen.len() > partitions => Err(AttemptError::Incomplete(format!(
                "{} partitions instead of {partitions}",
                seen.len()
            ))),
            None => Ok(()),
        },
        None => Ok(()),
    }
}

async fn fetch(
    location: PartitionLocation,
    schema: &Schema,
    limits: FetchLimits,
    budget: &std::sync::atomic::AtomicUsize,
) -> Result<Vec<RecordBatch>, GiveUp> {
    let number = partition_number(&location);
    let expected_rows = reported_rows(&location);
    let layout = location.layout();
    let (Some(executor), Some(partition)) = (location.executor_meta, location.partition_id) else {
        return Err(AttemptError::Incomplete(format!("partition {number} has no executor")).into());
    };
    let address = format!("{}:{}", executor.host, executor.port);
    let failed = |message: String| {
        GiveUp::Retry(AttemptError::Fetch { partition: number, executor: address.clone(), message })
    };
    let timed_out = |_| failed("timed out".to_string());
    let port = u16::try_from(executor.port).map_err(|_| failed("no such port".to_string()))?;

    let connect = BallistaClient::try_new(
        &executor.host,
        port,
        MAX_MESSAGE_BYTES as usize,
        false,
        Some(Arc::new(BallistaConfigGrpcEndpoint::new(Arc::new(|endpoint| {
            Ok(endpoint
                .connect_timeout(CONNECT_TIMEOUT)
                .tcp_nodelay(true)
                .http2_keep_alive_interval(CONNECT_TIMEOUT)
                .keep_alive_timeout(CONNECT_TIMEOUT))
        })))),
        // Ballista tries so many times in all, and panics at none.
        1,
        0,
        0,
        0,
    );
    let mut client = tokio::time::timeout(CONNECT_TIMEOUT, connect)
        .await
        .map_err(timed_out)?
        .map_err(|error| failed(error.to_string()))?;
    let partition = partition.into();
    let open = client.fetch_partition(&executor.id, &partition, location.file_id, layout, true);
    let mut batches = tokio::time::timeout(limits.stall, open)
        .await
        .map_err(timed_out)?
        .map_err(|error| failed(error.to_string()))?;

    let mut fetched = Vec::new();
    let mut rows = 0_u64;
    while let Some(batch) =
        tokio::time::timeout(limits.stall, batches.next()).await.map_err(timed_out)?
    {
        let batch = batch.map_err(|error| failed(error.to_string()))?;
        if !same_columns(&batch.schema(), schema) {
            return Err(failed("its columns are not the query's".to_string()));
        }
        let bytes = batch.get_array_memory_size();
        let order = std::sync::atomic::Ordering::Relaxed;
        if budget.fetch_update(order, order, |left| left.checked_sub(bytes)).is_err() {
            return Err(GiveUp::Final(JobError::ResultTooLarge { limit: limits.max_bytes }));
        }
        rows += batch.num_rows() as u64;
        fetched.push(batch);
    }
    match expected_rows {
        Some(expected) if expected != rows => Err(AttemptError::Incomplete(format!(
            "partition {number} has {rows} rows instead of {expected}"
        ))
        .into()),
        _ => Ok(fetched),
    }
}

fn same_columns(batch: &Schema, planned: &Schema) -> bool {
    batch.fields().len() == planned.fields().len()
        && batch
            .fields()
            .iter()
            .zip(planned.fields())
            .all(|(one, other)| one.name() == other.name() && one.data_type() == other.data_type())
}

#[cfg(test)]
mod tests {
    use ballista_core::serde::protobuf::PartitionId;

    use super::*;

    fn location(partition: u32, writer: u32) -> PartitionLocation {
        PartitionLocation {
            map_partition_id: writer,
            partition_id: Some(PartitionId {
                job_id: "job".to_string(),
                stage_id: 0,
                partition_id: partition,
            }),
            executor_meta: None,
            partition_stats: None,
            file_id: None,
            is_sort_shuffle: false,
        }
    }

    #[test]
    fn every_partition_must_be_there_exactly_once() {
        let complete = [location(1, 0), location(0, 1)];
        assert!(check_locations(&complete, Some(2)).is_ok());
        assert!(check_locations(&complete, Some(1)).is_err());
        assert!(check_locations(&complete, Some(3)).is_err());
        let twice = [location(0, 0), location(1, 1), location(1, 2)];
        assert!(check_locations(&twice, Some(2)).is_err());
        assert!(check_locations(&twice, None).is_ok());
        assert!(check_locations(&[location(1, 1), location(1, 1)], None).is_err());
        assert!(check_locations(&[], Some(1)).is_err());
        assert!(check_locations(&[], None).is_ok());
    }
}
