//! Leak detectors: whatever makes a table of candles, a table from elsewhere, and splits of rows.

mod causality;
mod future;
mod leak_check;
mod look_ahead_scan;
mod noise_scan;
mod split_check;
mod surprise;
mod tabulate;

pub use causality::{
    CausalityBreach, CausalityParams, CausalityReport, Experiment, NotCausal, assert_causal,
    causality_scan,
};
pub use leak_check::{ColumnCheck, LeakCheckParams, LeakCheckReport, LeakVerdict, leak_check};
pub use look_ahead_scan::{
    ForesightKind, ForesightProfile, LookAheadScan, LookAheadScanParams, look_ahead_scan,
};
pub use noise_scan::{NoiseReading, NoiseScan, NoiseScanParams, NoiseView, noise_scan};
pub use split_check::{SplitCheck, check_split};
pub use tabulate::{Tabulate, TabulateFn};
