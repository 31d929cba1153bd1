use std::fmt;

use forecastle_core::{CandleSeries, Result};
use serde::{Deserialize, Serialize};

use super::{
    CausalityBreach, CausalityParams, Experiment, ForesightKind, ForesightProfile,
    LookAheadScanParams, NoiseReading, NoiseScanParams, Tabulate, causality_scan, look_ahead_scan,
    noise_scan,
};

/// Parametrises [`leak_check`].
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `causality` | see [`CausalityParams`] | cuts and other futures | |
/// | `noise` | see [`NoiseScanParams`] | skill on random walks | |
/// | `look_ahead` | see [`LookAheadScanParams`] | the given candles' later returns | |
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LeakCheckParams {
    /// Cuts and other futures.
    pub causality: CausalityParams,
    /// Skill on random walks.
    pub noise: NoiseScanParams,
    /// The given candles' later returns.
    pub look_ahead: LookAheadScanParams,
}

/// Judges a column, or a table by its worst column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LeakVerdict {
    /// No detector found anything.
    Clean,
    /// It goes with later returns more closely than features do, though no experiment changed it:
    /// a market that can be predicted, or knowledge that came in by a fit.
    Suspect,
    /// Its past changed with the future, or it has skill on noise.
    Leaky,
}

impl fmt::Display for LeakVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Clean => "clean",
            Self::Suspect => "suspect",
            Self::Leaky => "leaky",
        })
    }
}

/// Holds what every detector found in one column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ColumnCheck {
    /// The column.
    pub column: String,
    /// The verdict.
    pub verdict: LeakVerdict,
    /// How its past changed with the future, if it did.
    pub breach: Option<CausalityBreach>,
    /// Its skill on noise; `None` when it never varied there.
    pub noise: Option<NoiseReading>,
    /// How it goes with later returns of the given candles.
    pub look_ahead: ForesightProfile,
}

impl ColumnCheck {
    /// What speaks against the column, as a phrase; `None` when it is clean.
    pub fn reason(&self) -> Option<String> {
        let mut reasons = Vec::new();
        if let Some(breach) = &self.breach {
            let CausalityBreach { row, cut, reach, experiment, .. } = breach;
            reasons.push(match experiment {
                Experiment::Repeated => format!("row {row} differs when made again"),
                Experiment::Truncated | Experiment::OtherFuture if breach.by_length_alone => {
                    format!("row {row} changes with the number of candles (cut at {cut})")
                }
                Experiment::Truncated | Experiment::OtherFuture => {
                    format!("row {row} changes with candles from {cut} on (looks {reach}+ ahead)")
                }
            });
        }
        if let Some(noise) = self.noise.as_ref().filter(|noise| noise.guilty) {
            let NoiseReading { information_coefficient, z, .. } = noise;
            reasons.push(format!("IC {information_coefficient:+.3} on noise (z {z:+.1})"));
        }
        let ForesightProfile { kind, effect, reach, .. } = &self.look_ahead;
        match kind {
            ForesightKind::Label => reasons.push(format!("the return over the next {reach} bars")),
            ForesightKind::Foresight => {
                reasons.push(format!("correlation {effect:+.2} with returns {reach} bars ahead"));
            }
            ForesightKind::Clean | ForesightKind::NotJudged => {}
        }
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }
}

/// Reports what all detectors found in a table, by column: printable and serialisable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LeakCheckReport {
    /// A check a column, in the table's order.
    pub columns: Vec<ColumnCheck>,
    /// Candles of the series that was given.
    pub n_candles: usize,
    /// Rows it was cut at.
    pub n_cuts: usize,
    /// Random walks that were run.
    pub n_walks: usize,
}

impl LeakCheckReport {
    /// The worst column's verdict.
    pub fn verdict(&self) -> LeakVerdict {
        self.columns.iter().map(|c| c.verdict).max().unwrap_or(LeakVerdict::Clean)
    }

    /// Whether every column is clean.
    pub fn is_clean(&self) -> bool {
        self.verdict() == LeakVerdict::Clean
    }

    /// The columns that are not clean, in the table's order.
    pub fn accused(&self) -> impl Iterator<Item = &ColumnCheck> {
        self.columns.iter().filter(|column| column.verdict > LeakVerdict::Clean)
    }
}

/// A line for the whole, then a line a column that is not clean.
impl fmt::Display for LeakCheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { columns, n_candles, n_cuts, n_walks } = self;
        write!(
            f,
            "{}: {} of {} columns accused ({n_candles} candles cut at {n_cuts} rows, {n_walks} \
             random walks)",
            self.verdict(),
            self.accused().count(),
            columns.len(),
        )?;
        let width = self.accused().map(|c| c.column.chars().count()).max().unwrap_or(0);
        for check in self.accused() {
            let reason = check.reason().unwrap_or_default();
            write!(f, "\n  {:<width$}  {:<7}  {reason}", check.column, check.verdict)?;
        }
        Ok(())
    }
}

/// Runs every detector on whatever makes a table of candles.
///
/// [`causality_scan`] and [`look_ahead_scan`] on the given candles, [`noise_scan`] on random walks. Any
/// [`Transform`](forecastle_core::Transform) will do. How rows were split is another question, see
/// [`check_split`](crate::check_split), and what a model makes of noise another,
/// [`leak_meter`](crate::leak_meter).
///
/// # Errors
/// Whatever the three detectors return.
pub fn leak_check(
    subject: &(impl Tabulate + ?Sized),
    candles: &CandleSeries,
    params: &LeakCheckParams,
) -> Result<LeakCheckReport> {
    let causality = causality_scan(subject, candles, &params.causality)?;
    let noise = noise_scan(subject, &params.noise)?;
    let table = subject.tabulate(candles)?;
    let look_ahead = look_ahead_scan(&table, candles.view().close(), &params.look_ahead)?;
    let columns = look_ahead.profiles.into_iter().map(|look_ahead| {
        let breach = causality.breach(&look_ahead.column).cloned();
        let noise = noise.readings.iter().find(|r| r.column == look_ahead.column).cloned();
        let verdict = if breach.is_some() || noise.as_ref().is_some_and(|noise| noise.guilty) {
            LeakVerdict::Leaky
        } else {
            match look_ahead.kind {
                ForesightKind::Label | ForesightKind::Foresight => LeakVerdict::Suspect,
                ForesightKind::Clean | ForesightKind::NotJudged => LeakVerdict::Clean,
            }
        };
        ColumnCheck { column: look_ahead.column.clone(), verdict, breach, noise, look_ahead }
    });
    Ok(LeakCheckReport {
        columns: columns.collect(),
        n_candles: candles.len(),
        n_cuts: causality.cuts.len(),
        n_walks: noise.n_walks,
    })
}
