//! Candles in, one honest table of market structure, signals and forecasts out.
//!
//! [`Pipeline`] composes the crates: VWAP with bands and indicators, regime and direction, the
//! rule-based forecast with its signal, and models stacked into an ensemble that stands beside "the
//! price stays where it is".
//!
//! ```
//! use forecastle::Pipeline;
//! use forecastle::market_data::{Simulator, SimulatorParams};
//!
//! let candles = Simulator::new(SimulatorParams { n: 600, ..Default::default() })?.series()?;
//! let fitted = Pipeline::builder().horizon(5).build()?.fit(&candles)?;
//! let report = fitted.run(&candles)?;
//! let last = report.forecast().expect("there are candles");
//! println!("{}", last.structure.forecast_text);
//! println!("ensemble: {:?}", last.forecast.ensemble);
//! for model in &report.run_info().models {
//!     println!("{}: RMSE {:?} of naive", model.model, model.relative_rmse);
//! }
//! # Ok::<(), forecastle::Error>(())
//! ```
//!
//! Rules without models: [`MarketStructure`]. Walking forward, refitted every so many bars:
//! [`Pipeline::walk_forward`], whose rows make a [leaderboard](WalkForwardRun::leaderboard) or are
//! [traded](WalkForwardRun::trade). Searching their settings: [`Pipeline::tune`]. Candle by candle,
//! refitted in the background, saved and resumed: [`LivePipeline`]. Thousands of symbols: [`Panel`].
//! Every part is a crate of its own, re-exported here: [`core`], [`market_data`], [`features`], [`regime`], [`signals`], [`models_tree`],
//! [`models_deep`], [`kalman`], [`ensemble`], [`evaluation`], [`backtest`].
//!
//! What is not here: order execution, charts, advice. On liquid markets no model beats naive by
//! much, and the report says so.

#[cfg(feature = "arrow")]
mod arrow_table;
mod config;
mod csv_table;
mod explain;
mod fitted;
mod forecaster;
mod guards;
mod judge;
mod learned;
mod live;
mod live_counters;
mod live_params;
mod live_saved;
mod live_store;
mod models;
mod neural_engine;
mod panel;
mod panel_row;
mod panel_source;
#[cfg(feature = "parquet")]
mod parquet_table;
mod pipeline;
mod price_target;
mod quantiles;
mod refitting;
mod report;
mod row;
mod row_window;
mod screen;
mod skill;
mod structure;
mod summary_records;
mod swap;
mod symbol_forecast;
mod tabulate;
mod text_table;
mod trading;
mod trading_screen;
mod tuning;
mod walk_forward;

#[cfg(feature = "arrow")]
pub use arrow_table::{ArrowTable, arrow_schema, record_batch};
pub use config::{IntervalMethod, ModelKind, PipelineConfig, RuleConfig, StackingConfig};
pub use csv_table::{CsvTable, write_csv};
pub use fitted::FittedPipeline;
pub use forecastle_core::{Direction, Error, Regime, Result, Signal};
pub use guards::GuardConfig;
pub use live::{LivePipeline, RefitEvent, RefitReason, Step};
pub use live_counters::LiveCounters;
pub use live_params::{GapPolicy, Handover, Irregular, LiveParams, RefitParams};
pub use live_store::LiveStore;
pub use neural_engine::NeuralEngine;
pub use panel::{Panel, PanelParams};
pub use panel_row::{PanelRow, PanelSummary};
pub use panel_source::{PanelInput, PanelKey, PanelSource};
#[cfg(feature = "parquet")]
pub use parquet_table::{ParquetTable, write_parquet};
pub use pipeline::{Pipeline, PipelineBuilder};
pub use report::{IntervalSummary, Report, RowSelection, RunInfo, SkippedModel};
pub use row::{Cell, ColumnType, ForecastRow, Record, StructureRow, TableRow};
pub use skill::ModelSummary;
pub use structure::{MarketStructure, MarketStructureStream};
pub use swap::{RecentSkill, Swap};
pub use symbol_forecast::SymbolForecast;
pub use trading::{Strategy, Traded, TradingParams};
pub use trading_screen::trading_screen;
pub use tuning::{HeldOut, Tuning, TuningParams};
pub use walk_forward::{Refit, WalkForwardParams, WalkForwardRun};

pub use forecastle_backtest as backtest;
pub use forecastle_core as core;
pub use forecastle_ensemble as ensemble;
pub use forecastle_evaluation as evaluation;
pub use forecastle_features as features;
pub use forecastle_kalman as kalman;
pub use forecastle_market_data as market_data;
pub use forecastle_models_deep as models_deep;
pub use forecastle_models_tree as models_tree;
pub use forecastle_regime as regime;
pub use forecastle_signals as signals;
