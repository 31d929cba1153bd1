//! Forecast metrics, tests of one forecast and of many, leaderboard, leak detectors, guards and a
//! search for settings.
//!
//! - **Metrics**: [`mae`], [`rmse`], [`mase`], [`rmsse`], [`relative_mae`], [`relative_rmse`] of any
//!   forecast; [`smape`], [`theil_u2`] of levels; [`pinball_loss`] of quantiles;
//!   [`directional_accuracy`], [`information_coefficient`], [`rank_information_coefficient`] and
//!   [`ic_stability`] of moves; [`ReliabilityTable`] of probabilities.
//! - **Tests of one**: [`diebold_mariano`] asks whether a forecast is better than another, or only
//!   lucky; [`pesaran_timmermann`] and [`binomial_direction_test`] whether directions were more than
//!   luck.
//! - **Tests of many**: [`model_confidence_set`] finds the models that cannot be told from the best;
//!   [`reality_check`] asks whether the best of many beats a benchmark. Both resample rows in blocks,
//!   by [`BlockBootstrap`].
//! - **[`Leaderboard`]**: every model beside the naive forecast, on the same rows, with all of that.
//! - **Meters**: [`leak_meter`] and [`look_ahead_meter`] run a model, or an anchor of prices, on pure
//!   noise, where every skill is a defect of the procedure.
//! - **Leak detectors** for any [`Transform`](forecastle_core::Transform) or other [`Tabulate`]:
//!   [`assert_causal`] cuts candles off and replaces them, [`noise_scan`] finds skill in noise,
//!   [`look_ahead_scan`] judges a table alone, [`check_split`] folds; [`leak_check`] reports by column.
//! - **Guards** of live operation: [`Novelty`] of a row, [`PopulationStability`] of features,
//!   [`ErrorDrift`], [`PageHinkley`] and [`Adwin`] of errors; each says why in a [`GuardVerdict`].
//! - **[`SearchParams`]**: a search for good settings, random or by Parzen estimators, that counts its
//!   trials and says how much of the best one's advantage is [`Luck`].
//!
//! ```
//! use forecastle_evaluation::{Leaderboard, write_csv};
//! use ndarray::array;
//!
//! // Log returns over the horizon: what came, and what a model said.
//! let actual = array![0.010, -0.020, 0.015, -0.005, 0.020, f64::NAN];
//! let model = array![0.004, -0.010, 0.010, 0.002, 0.012, 0.001];
//! let mut board = Leaderboard::new(1, &actual)?;
//! board.add("ridge", &model)?;
//! let rows = board.rows()?;
//! assert_eq!((rows[0].model.as_str(), rows[0].relative_rmse), ("naive", Some(1.0)));
//! assert_eq!((rows[1].n, rows[1].directional_accuracy), (5, Some(0.8)));
//! assert!(rows[1].relative_rmse < Some(0.6));
//! write_csv(&rows, &mut std::io::sink())?;
//! # Ok::<(), forecastle_core::Error>(())
//! ```
//!
//! # Units
//! Nothing here has a unit of its own: the metrics take any actual values and forecasts of them. The
//! leaderboard takes **log returns over the horizon**, which compare across markets and price levels;
//! the naive forecast "the price stays" is the return 0.
//!
//! # What is not here
//! R² on price levels: repeating the last price scores above 0.99 there, so it tells nothing. Money:
//! what a forecast would have earned after costs is a backtest's question.

mod accuracy;
mod binomial_direction;
mod block_bootstrap;
mod block_length;
mod checks;
mod correlation;
mod detector;
mod diebold_mariano;
mod direction;
mod elimination;
mod guard;
mod ic_stability;
mod judged_rows;
mod leaderboard;
mod leaderboard_row;
mod leak;
mod long_run_variance;
mod look_ahead;
mod model_confidence_set;
mod percentage;
mod pesaran_timmermann;
mod pinball;
mod reality_check;
mod reliability;
mod reliability_bin;
mod resampled_means;
mod search;
mod subsamples;

pub use accuracy::{mae, mase, relative_mae, relative_rmse, rmse, rmsse};
pub use binomial_direction::{
    BinomialDirection, BinomialDirectionParams, DirectionChance, binomial_direction_test,
};
pub use block_bootstrap::{BlockBootstrap, BlockScheme, BootstrapParams};
pub use block_length::{BlockLength, optimal_block_length};
pub use correlation::{information_coefficient, rank_information_coefficient};
pub use detector::{
    CausalityBreach, CausalityParams, CausalityReport, ColumnCheck, Experiment, ForesightKind,
    ForesightProfile, LeakCheckParams, LeakCheckReport, LeakVerdict, LookAheadScan,
    LookAheadScanParams, NoiseReading, NoiseScan, NoiseScanParams, NoiseView, NotCausal,
    SplitCheck, Tabulate, TabulateFn, assert_causal, causality_scan, check_split, leak_check,
    look_ahead_scan, noise_scan,
};
pub use diebold_mariano::{Alternative, DieboldMariano, DmParams, Loss, diebold_mariano};
pub use direction::directional_accuracy;
pub use guard::{
    Adwin, AdwinParams, ColumnStability, DriftDirection, ErrorDrift, ErrorDriftParams,
    GuardVerdict, Novelty, NoveltyParams, NoveltyReading, PageHinkley, PageHinkleyParams,
    PopulationStability, PopulationStabilityParams, ShrunkCovariance, StabilityReading,
    StabilityStream, ledoit_wolf,
};
pub use ic_stability::{IcStability, IcStabilityParams, ic_stability};
pub use judged_rows::JudgedRows;
pub use leaderboard::{Leaderboard, LeaderboardParams, NAIVE};
pub use leaderboard_row::{LeaderboardRow, write_csv};
pub use leak::{LeakParams, LeakReading, LeakReport, leak_meter};
pub use long_run_variance::LongRunVariance;
pub use look_ahead::{LookAheadParams, LookAheadReport, look_ahead_meter};
pub use model_confidence_set::{
    McsParams, McsStatistic, ModelConfidenceSet, model_confidence_set, model_confidence_set_from,
};
pub use percentage::{smape, theil_u2};
pub use pesaran_timmermann::{PesaranTimmermann, PesaranTimmermannParams, pesaran_timmermann};
pub use pinball::{mean_pinball_loss, pinball_loss};
pub use reality_check::{
    RealityCheck, RealityCheckParams, SuperiorAbility, reality_check, reality_check_from,
};
pub use reliability::{BrierScore, ReliabilityParams, ReliabilityRow, ReliabilityTable};
pub use search::{
    Dimension, Luck, Point, Sampler, Scale, SearchParams, SearchReport, SearchSpace, TpeParams,
    Trial, TrialLoss, Value, expected_maximum,
};
