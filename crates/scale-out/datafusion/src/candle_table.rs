use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{
    ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl,
};
use datafusion::error::DataFusionError;
use datafusion::prelude::{SessionContext, col};
use forecastle::market_data::candle_schema;

/// The columns that the folders of a download cache stand for.
const PARTITIONS: [&str; 3] = ["exchange", "timeframe", "symbol"];

/// Says why a folder is no table of candles.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CandleTableError {
    /// The folder cannot be read.
    #[error("cannot read {}", path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The folder is not laid out as a table.
    #[error("{} holds no `{expected}=…` folders", path.display())]
    Layout {
        /// The folder.
        path: PathBuf,
        /// The partition column that was expected.
        expected: &'static str,
    },
    /// A series is kept in a format that would be passed over.
    #[error(
        "{} is not Parquet and would be passed over: compact the series of a cache opened with \
         `CacheFormat::Parquet`", path.display()
    )]
    NotParquet {
        /// The file.
        path: PathBuf,
    },
    /// DataFusion refuses the table.
    #[error("cannot register the table")]
    Engine(#[from] DataFusionError),
}

/// Registers a download cache, laid out as `exchange=…/timeframe=…/symbol=…/*.parquet`, as a table.
///
/// Columns: those of [`candle_schema`], then `exchange`, `timeframe` and `symbol`, as
/// [`CacheKey`](forecastle::market_data::CacheKey) decodes them. Group by all three: then each symbol is read and
/// aggregated in one partition, one symbol after the other. Give the folder of one
/// timeframe of one exchange, and `symbol` alone is left to group by.
///
/// - `root`: a local folder that every executor of a cluster sees under the same path; give it as an
///   absolute path then
///
/// Files are listed when a query is planned. A cache that is being written to may show a candle
/// twice, which is dropped.
///
/// # Errors
/// - [`CandleTableError`] for a folder that cannot be read, that is laid out otherwise, or holds candles that are
///   not in Parquet.
pub async fn register_candles(
    ctx: &SessionContext,
    table: &str,
    root: impl AsRef<Path>,
) -> Result<(), CandleTableError> {
    let root = root.as_ref();
    let io = |source| CandleTableError::Io { path: root.to_owned(), source };
    let root = fs::canonicalize(root).map_err(io)?;
    let columns = partition_columns(&root)?;
    check_files(&root)?;

    let url = ListingTableUrl::parse(format!("{}/", root.display()))?;
    let partitions = columns.iter().map(|name| ((*name).to_owned(), DataType::Utf8)).collect();
    // A partition holds symbol after symbol, so that one is done before the next is read.
    let order = columns.iter().map(|name| col(*name).sort(true, false)).collect();
    let options = ListingOptions::new(Arc::new(ParquetFormat::default()))
        .with_file_extension(".parquet")
        .with_table_partition_cols(partitions)
        .with_file_sort_order(vec![order]);
    // Files by other writers may hold nulls, which are counted or refused row by row.
    let fields = candle_schema()
        .fields()
        .iter()
        .map(|f| f.as_ref().clone().with_nullable(true))
        .collect::<Vec<Field>>();
    let config = ListingTableConfig::new(url)
        .with_listing_options(options)
        .with_schema(Arc::new(Schema::new(fields)));
    let provider = ListingTable::try_new(config)?;
    ctx.register_table(table, Arc::new(provider))?;
    Ok(())
}

/// The partition columns below a folder.
fn partition_columns(root: &Path) -> Result<&'static [&'static str], CandleTableError> {
    let names = folder_names(root)?;
    let found = PARTITIONS.iter().position(|column| {
        names.iter().any(|name| name.strip_prefix(column).is_some_and(|rest| rest.starts_with('=')))
    });
    let layout = CandleTableError::Layout { path: root.to_owned(), expected: "exchange" };
    found.and_then(|first| PARTITIONS.get(first..)).ok_or(layout)
}

fn folder_names(folder: &Path) -> Result<Vec<String>, CandleTableError> {
    let failed = |source| CandleTableError::Io { path: folder.to_owned(), source };
    let entries = fs::read_dir(folder).map_err(failed)?;
    entries
        .map(|entry| Ok(entry.map_err(failed)?.file_name().to_string_lossy().into_owned()))
        .collect()
}

/// Refuses candles in other formats, which the table would not show.
fn check_files(root: &Path) -> Result<(), CandleTableError> {
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for name in folder_names(&folder)? {
            let path = folder.join(&name);
            if name.contains('=') && path.is_dir() {
                // A link may lead back up.
                if !path.is_symlink() {
                    folders.push(path);
                }
            } else if name.ends_with(".csv") || name.ends_with(".csv.gz") {
                return Err(CandleTableError::NotParquet { path });
            }
        }
    }
    Ok(())
}
