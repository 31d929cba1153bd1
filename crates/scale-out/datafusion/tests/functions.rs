//! The functions against the facade, to the bit, whatever way the rows come.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, RecordBatch, StructArray};
use datafusion::arrow::datatypes::Float64Type;
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::physical_plan::displayable;
use datafusion::prelude::SessionContext;
use forecastle::core::{Candle, CandleSeries, Symbol, Timestamp};
use forecastle::market_data::{
    CacheFormat, CacheKey, CandleCache, ReadOptions, Simulator, SimulatorParams,
};
use forecastle::{
    ModelKind, Panel, PanelParams, PanelSource, Pipeline, PipelineConfig, record_batch,
};
use forecastle_datafusion::{
    candle_batch, check_plan, flatten, register, register_candles, session_config, sort_rows,
};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_xoshiro::Xoshiro256PlusPlus;

const OPTIONS: &str = r#"{"pipeline": {"horizon": 3, "models": ["ridge", "boosting", "kalman"],
                          "boosting": {"n_rounds": 20}}}"#;
const KEYS: [&str; 3] = ["exchange", "timeframe", "symbol"];

fn pipeline() -> Pipeline {
    let config: serde_json::Value = serde_json::from_str(OPTIONS).unwrap();
    let config: PipelineConfig = serde_json::from_value(config["pipeline"].clone()).unwrap();
    Pipeline::new(config).unwrap()
}

/// Symbols of different lengths, one of them too short for models, some with gaps and zero volumes.
fn symbols(n: u64) -> Vec<CandleSeries> {
    let series = |seed: u64| {
        let params = SimulatorParams {
            seed,
            n: if seed == 3 { 90 } else { 400 + 50 * usize::try_from(seed % 4).unwrap() },
            gap_probability: 0.01,
            zero_volume_probability: 0.02,
            ..Default::default()
        };
        let made = Simulator::new(params).unwrap().series().unwrap();
        let symbol: Symbol = format!("SIMULATED/S{seed}").parse().unwrap();
        CandleSeries::from_candles(symbol, made.timeframe(), made.view().iter()).unwrap()
    };
    (1..=n).map(series).collect()
}

/// A download cache as a folder of Parquet files, in several files a symbol.
fn write_cache(root: &Path, symbols: &[CandleSeries]) {
    for series in symbols {
        let key = CacheKey::new("paper", series.symbol().clone(), series.timeframe()).unwrap();
        let folder = root.join(key.folder());
        std::fs::create_dir_all(&folder).unwrap();
        for (i, start) in (0..series.len()).step_by(250).enumerate() {
            let part = series.slice(start..(start + 250).min(series.len()));
            let batch = candle_batch(part.view()).unwrap();
            let file = std::fs::File::create(folder.join(format!("{i:010}.parquet"))).unwrap();
            let mut writer =
                datafusion::parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None)
                    .unwrap();
            writer.write(&batch).unwrap();
            writer.close().unwrap();
        }
    }
}

fn panel_table(symbols: &[CandleSeries], threads: usize) -> RecordBatch {
    let sources = symbols.iter().cloned().map(PanelSource::series);
    let mut params = PanelParams::default();
    params.threads = Some(threads);
    let panel = Panel::new(sources).with_params(params).unwrap();
    let mut rows = Vec::new();
    let each = |mut row: forecastle::PanelRow| {
        row.key.exchange = Some("paper".to_owned());
        rows.push(row);
        Ok(())
    };
    let summary = panel.forecast(&pipeline(), &(), each).unwrap();
    assert_eq!((summary.symbols, summary.failed), (symbols.len(), 0));
    sort_rows(&[record_batch(rows).unwrap()], &KEYS).unwrap()
}

async fn session(partitions: usize, root: &Path) -> SessionContext {
    let ctx = SessionContext::new_with_config(session_config(partitions));
    register(&ctx);
    register_candles(&ctx, "candles", root).await.unwrap();
    ctx
}

fn forecasts() -> String {
    let columns = "open_time, open, high, low, close, volume";
    format!(
        "SELECT exchange, timeframe, symbol, forecast({columns}, '{OPTIONS}') AS f FROM candles \
         GROUP BY exchange, timeframe, symbol"
    )
}

async fn table(ctx: &SessionContext) -> RecordBatch {
    let batches = ctx.sql(&forecasts()).await.unwrap().collect().await.unwrap();
    let flat: Vec<RecordBatch> = batches.iter().map(|b| flatten(b, "f").unwrap()).collect();
    sort_rows(&flat, &KEYS).unwrap()
}

/// The same columns and the same bits; names of types may differ in nullability of the keys.
#[track_caller]
fn same(a: &RecordBatch, b: &RecordBatch) {
    assert_eq!(a.num_rows(), b.num_rows());
    for (field, column) in a.schema().fields().iter().zip(a.columns()) {
        let other = b.column_by_name(field.name()).unwrap_or_else(|| panic!("no {field}"));
        if let (Some(x), Some(y)) =
            (column.as_primitive_opt::<Float64Type>(), other.as_primitive_opt::<Float64Type>())
        {
            let bits = |values: &datafusion::arrow::array::Float64Array| -> Vec<Option<u64>> {
                values.iter().map(|v| v.map(f64::to_bits)).collect()
            };
            assert_eq!(bits(x), bits(y), "{}", field.name());
        } else {
            assert_eq!(column, other, "{}", field.name());
        }
    }
    assert_eq!(a.num_columns(), b.num_columns());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn panel_and_sql_give_the_same_bits_on_any_number_of_threads_and_partitions() {
    let symbols = symbols(9);
    let folder = tempfile::tempdir().unwrap();
    write_cache(folder.path(), &symbols);
    let expected = panel_table(&symbols, 1);
    same(&expected, &panel_table(&symbols, 2));
    for partitions in [1, 2, 4, 7] {
        let ctx = session(partitions, folder.path()).await;
        same(&expected, &table(&ctx).await);
    }
    // Too short for models: rules, and why there is no more.
    let reason = expected.column_by_name("reason").unwrap().as_string::<i32>();
    let short: Vec<&str> = reason.iter().flatten().collect();
    assert_eq!(short.len(), 1, "{short:?}");
    assert!(short[0].contains("the models"), "{}", short[0]);
    let ensemble = expected.column_by_name("ensemble").unwrap();
    assert_eq!(ensemble.null_count(), 1);
}

#[tokio::test]
async fn a_cache_is_read_in_one_stage_symbol_after_symbol() {
    let folder = tempfile::tempdir().unwrap();
    write_cache(folder.path(), &symbols(5));
    for partitions in [1, 2] {
        let ctx = session(partitions, folder.path()).await;
        let plan = ctx.sql(&forecasts()).await.unwrap().create_physical_plan().await.unwrap();
        check_plan(&plan).unwrap();
        let shown = displayable(plan.as_ref()).indent(true).to_string();
        assert!(shown.contains("ordering_mode=Sorted"), "{shown}");
        // The folder of one timeframe leaves the symbol alone to group by.
        let inner = folder.path().join("exchange=paper/timeframe=1h");
        let ctx = session(partitions, &inner).await;
        let sql = "SELECT symbol, forecast(open_time, open, high, low, close, volume, \
                   '{\"pipeline\": {\"models\": []}}') FROM candles GROUP BY symbol";
        let plan = ctx.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
        check_plan(&plan).unwrap();
        let shown = displayable(plan.as_ref()).indent(true).to_string();
        assert!(shown.contains("ordering_mode=Sorted"), "{shown}");
    }
}

#[tokio::test]
async fn plans_that_move_candles_are_refused_with_advice() {
    let folder = tempfile::tempdir().unwrap();
    write_cache(folder.path(), &symbols(4));
    let ctx = session(2, folder.path()).await;
    let columns = "open_time, open, high, low, close, volume";
    for (sql, advice) in [
        (
            format!("SELECT timeframe, forecast({columns}) FROM candles GROUP BY timeframe"),
            "group by all",
        ),
        (format!("{} ORDER BY symbol", forecasts()), "sort the result"),
        ("SELECT close FROM candles".to_owned(), "no aggregate"),
        (
            format!(
                "SELECT exchange, timeframe, symbol, forecast({columns}, '{{\"horizn\": 1}}') FROM candles GROUP BY exchange, timeframe, symbol"
            ),
            "horizn",
        ),
        (
            format!(
                "SELECT exchange, timeframe, symbol, forecast({columns}, '{{\"pipeline\": {{\"horizon\": 0}}}}') FROM candles GROUP BY exchange, timeframe, symbol"
            ),
            "horizon",
        ),
    ] {
        let plan = ctx.sql(&sql).await.unwrap().create_physical_plan().await.unwrap();
        let error = check_plan(&plan).unwrap_err().to_string();
        assert!(error.contains(advice), "{sql}: {error}");
    }
}

/// Rows of all symbols in one table, shuffled, in small batches over several partitions.
fn shuffled(symbols: &[CandleSeries], seed: u64, partitions: usize) -> Vec<Vec<RecordBatch>> {
    use datafusion::arrow::array::{Int64Array, StringArray};
    use datafusion::arrow::datatypes::{DataType, Field, Schema};

    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut rows: Vec<(String, Candle)> = symbols
        .iter()
        .flat_map(|s| s.view().iter().map(|c| (s.symbol().to_string(), c)).collect::<Vec<_>>())
        .collect();
    // A candle that comes twice counts once.
    let doubled = rows[17].clone();
    rows.push(doubled);
    rows.shuffle(&mut rng);
    let mut fields = vec![Field::new("symbol", DataType::Utf8, false)];
    fields.push(Field::new("open_time", DataType::Int64, true));
    fields.extend(
        ["open", "high", "low", "close", "volume"].map(|n| Field::new(n, DataType::Float64, true)),
    );
    let schema = Arc::new(Schema::new(fields));
    let batch = |rows: &[(String, Candle)]| {
        let floats = |value: fn(&Candle) -> f64| {
            let values = rows.iter().map(|(_, c)| value(c));
            Arc::new(datafusion::arrow::array::Float64Array::from_iter_values(values)) as _
        };
        let times = rows.iter().map(|(_, c)| Timestamp::as_millis(c.open_time()));
        RecordBatch::try_new(
            Arc::clone(&schema),
            vec![
                Arc::new(StringArray::from_iter_values(rows.iter().map(|(s, _)| s))) as _,
                Arc::new(Int64Array::from_iter_values(times)),
                floats(Candle::open),
                floats(Candle::high),
                floats(Candle::low),
                floats(Candle::close),
                floats(Candle::volume),
            ],
        )
        .unwrap()
    };
    let mut parts = vec![Vec::new(); partitions];
    for (i, chunk) in rows.chunks(97).enumerate() {
        parts[i % partitions].push(batch(chunk));
    }
    parts
}

#[tokio::test]
async fn partial_states_merge_in_any_order_with_the_same_bits() {
    let symbols = symbols(4);
    let expected = panel_table(&symbols, 1);
    for (seed, partitions) in [(1, 1), (2, 2), (3, 3), (4, 5)] {
        let parts = shuffled(&symbols, seed, partitions);
        let schema = parts[0][0].schema();
        let memory = datafusion::datasource::MemTable::try_new(schema, parts).unwrap();
        // As DataFusion plans by itself: partial states, an exchange, a final step.
        let config = datafusion::prelude::SessionConfig::new().with_target_partitions(partitions);
        let ctx = SessionContext::new_with_config(config);
        register(&ctx);
        ctx.register_table("candles", Arc::new(memory)).unwrap();
        let sql = forecasts()
            .replace(
                "exchange, timeframe, symbol, forecast",
                "'paper' AS exchange, '1h' AS timeframe, symbol, forecast",
            )
            .replace("BY exchange, timeframe, symbol", "BY symbol");
        let frame = ctx.sql(&sql).await.unwrap();
        let plan = frame.clone().create_physical_plan().await.unwrap();
        let shown = displayable(plan.as_ref()).indent(true).to_string();
        assert_eq!(shown.contains("Partial"), partitions > 1, "{shown}");
        let batches = frame.collect().await.unwrap();
        let flat: Vec<RecordBatch> = batches.iter().map(|b| flatten(b, "f").unwrap()).collect();
        let found = sort_rows(&flat, &KEYS).unwrap();
        // Beside the one that came twice.
        let dropped = found.column_by_name("dropped").unwrap();
        let total: u64 = dropped
            .as_primitive::<datafusion::arrow::datatypes::UInt64Type>()
            .values()
            .iter()
            .sum();
        assert_eq!(total, 1);
        let without = |batch: &RecordBatch| {
            let mut batch = batch.clone();
            let at = batch.schema().index_of("dropped").unwrap();
            batch.remove_column(at);
            batch
        };
        same(&without(&expected), &without(&found));
    }
}

#[tokio::test]
async fn a_group_that_fails_gives_nulls_and_its_reason() {
    let ctx = SessionContext::new_with_config(session_config(1));
    register(&ctx);
    let sql = "SELECT s, forecast(t, p, p, p, p, 1) AS f, leaderboard(t, p, p, p, p, 1) AS l, \
                      backtest(t, p, p, p, p, 1) AS b \
               FROM (VALUES ('null time', NULL, 1.0), ('no price', 1000, 'NaN'::DOUBLE), \
                            ('one', 3600000, 2.0)) AS candles(s, t, p) GROUP BY s";
    let batches = ctx.sql(sql).await.unwrap().collect().await.unwrap();
    let rows = sort_rows(&batches, &["s"]).unwrap();
    let structs =
        |name: &str| -> StructArray { rows.column_by_name(name).unwrap().as_struct().clone() };
    let reasons = |name: &str| -> Vec<Option<String>> {
        let structs = structs(name);
        let reasons = structs.column_by_name("reason").unwrap().as_string::<i32>().clone();
        reasons.iter().map(|r| r.map(str::to_owned)).collect()
    };
    let [no_price, null_time, one] = reasons("f").try_into().unwrap();
    assert!(null_time.unwrap().contains("1 rows have no open_time"));
    assert!(no_price.unwrap().contains("the forecast"), "no candle is left");
    assert!(one.unwrap().contains("the models"), "one candle has rules, no models");
    let forecast = structs("f");
    let close = forecast.column_by_name("close").unwrap().as_primitive::<Float64Type>().clone();
    assert_eq!(close.iter().collect::<Vec<_>>(), [None, None, Some(2.0)]);
    for name in ["l", "b"] {
        assert!(reasons(name).iter().all(Option::is_some), "{:?}", reasons(name));
    }
    assert!(structs("l").column_by_name("models").unwrap().null_count() == 3);
}

#[tokio::test]
async fn wrong_arguments_are_errors_of_the_query() {
    let ctx = SessionContext::new_with_config(session_config(1));
    register(&ctx);
    for (call, message) in [
        ("forecast(1, 2, 3)", "not 3 arguments"),
        ("forecast('x', 1, 1, 1, 1, 1)", "not a time"),
        ("forecast(1, 'x', 1, 1, 1, 1)", "not a number"),
        ("forecast(1, 1, 1, 1, 1, 1, 2)", "not a string"),
        ("backtest(1, 1, 1, 1, 1, 1, '{\"x\": 1}')", "unknown field"),
        ("forecast(DISTINCT 1, 1, 1, 1, 1, 1)", "DISTINCT"),
    ] {
        let sql = format!("SELECT {call}");
        let error = match ctx.sql(&sql).await {
            Err(error) => error.to_string(),
            Ok(frame) => frame.collect().await.unwrap_err().to_string(),
        };
        assert!(error.contains(message), "{call}: {error}");
    }
}

#[tokio::test]
async fn summaries_equal_the_facade() {
    let made = SimulatorParams { n: 800, ..Default::default() };
    let series = &Simulator::new(made).unwrap().series().unwrap();
    let ctx = SessionContext::new_with_config(session_config(1));
    register(&ctx);
    ctx.register_batch("candles", candle_batch(series.view()).unwrap()).unwrap();
    let options = r#"{"pipeline": {"models": ["ridge"]}, "walk_forward": {"refit": {"times": 3}},
                      "random_entries": {"n_runs": 20}}"#;
    let sql = |function: &str| {
        format!(
            "SELECT {function}(open_time, open, high, low, close, volume, '{options}') AS s FROM candles"
        )
    };
    let pipeline = Pipeline::builder().models([ModelKind::Ridge]).build().unwrap();
    let walk =
        forecastle::WalkForwardParams { refit: forecastle::Refit::Times(3), ..Default::default() };
    let run = pipeline.walk_forward(series, &walk, &()).unwrap();
    let random = forecastle::backtest::RandomEntryParams { n_runs: 20, ..Default::default() };
    let traded =
        run.trade(&run.strategies(), &Default::default(), &Default::default(), &random).unwrap();
    for (function, list, expected) in [
        (
            "leaderboard",
            "models",
            record_batch(run.leaderboard().unwrap().rows().unwrap()).unwrap(),
        ),
        ("backtest", "strategies", record_batch(traded).unwrap()),
    ] {
        let batches = ctx.sql(&sql(function)).await.unwrap().collect().await.unwrap();
        let structs = batches[0].column(0).as_struct();
        assert_eq!(structs.column_by_name("reason").unwrap().null_count(), 1);
        let rows = structs.column_by_name(list).unwrap().as_list::<i64>().value(0);
        same(&expected, &RecordBatch::from(rows.as_struct()));
    }
}

#[tokio::test]
async fn a_cache_that_is_kept_as_text_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let cache = CandleCache::open(folder.path(), CacheFormat::Csv).unwrap();
    let series = &symbols(1)[0];
    let key = CacheKey::new("paper", series.symbol().clone(), series.timeframe()).unwrap();
    let page: Vec<_> = series.view().iter().collect();
    let end = Timestamp::from_millis(page[page.len() - 1].open_time().as_millis() + 3_600_000);
    let later = Timestamp::from_millis(end.as_millis() + 90 * 86_400_000);
    cache.append(&key, page[0].open_time()..end, &page, later).unwrap();
    let ctx = SessionContext::new_with_config(session_config(1));
    let error = register_candles(&ctx, "candles", folder.path()).await.unwrap_err();
    assert!(error.to_string().contains("not Parquet"), "{error}");
    let error = register_candles(&ctx, "candles", folder.path().join("nowhere")).await.unwrap_err();
    assert!(error.to_string().contains("nowhere"), "{error}");
    let empty = tempfile::tempdir().unwrap();
    let error = register_candles(&ctx, "candles", empty.path()).await.unwrap_err();
    assert!(error.to_string().contains("exchange="), "{error}");
    // The facade reads it all the same, as it does a folder of files.
    let panel = Panel::directory(folder.path(), &ReadOptions::default()).unwrap();
    assert_eq!(panel.len(), 1);
    let pretty = pretty_format_batches(&[panel_table(&symbols(1), 1)]).unwrap().to_string();
    assert!(pretty.contains("SIMULATED/S1"));
}
