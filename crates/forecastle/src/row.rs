use forecastle_core::{Candle, Direction, Regime, Signal, Timestamp};
use forecastle_features::{INDICATOR_NAMES, Indicator};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};

/// Holds one value of the final table.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Cell<'a> {
    /// Not ready, not asked for or undefined: null in JSON, empty in CSV.
    Null,
    /// An instant.
    Time(Timestamp),
    /// A finite number.
    Float(f64),
    /// A count.
    Count(u64),
    /// A flag.
    Bool(bool),
    /// A name or a sentence.
    Text(&'a str),
}

impl From<f64> for Cell<'_> {
    fn from(value: f64) -> Self {
        if value.is_finite() { Self::Float(value) } else { Self::Null }
    }
}

impl From<Option<f64>> for Cell<'_> {
    fn from(value: Option<f64>) -> Self {
        value.map_or(Self::Null, Self::from)
    }
}

impl Serialize for Cell<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::Null => serializer.serialize_none(),
            Self::Time(time) => serializer.serialize_i64(time.as_millis()),
            Self::Float(value) => serializer.serialize_f64(value),
            Self::Count(count) => serializer.serialize_u64(count),
            Self::Bool(flag) => serializer.serialize_bool(flag),
            Self::Text(text) => serializer.serialize_str(text),
        }
    }
}

/// Names what a column holds, beside nulls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ColumnType {
    /// Instants.
    Time,
    /// Finite numbers.
    Float,
    /// Counts.
    Count,
    /// Flags.
    Bool,
    /// Names or sentences.
    Text,
}

/// Gives a row's columns by name; CSV, JSON, Parquet and the screen read rows through it.
///
/// # Contract
/// `visit` calls its visitor once for each of the columns, in that order, with a cell of the
/// column's type or [`Cell::Null`].
pub trait Record {
    /// The column names.
    const COLUMNS: &'static [&'static str];

    /// What the columns hold; as many as there are names.
    const TYPES: &'static [ColumnType];

    /// Calls `visitor` for every column.
    fn visit(&self, visitor: &mut dyn FnMut(&'static str, Cell<'_>));
}

const CANDLE: [&str; 6] = ["open_time", "open", "high", "low", "close", "volume"];

/// The regression's columns are inputs of `linreg_target`, not part of the table; they come last.
const SHOWN_INDICATORS: usize = Indicator::Linreg20.index();

const RULES: [&str; 15] = [
    "regime",
    "regime_strength",
    "direction",
    "forecast_text",
    "rule_confidence",
    "signal",
    "stop_loss",
    "take_profit",
    "atr_target",
    "vwap_target",
    "linreg_target",
    "blended_target",
    "take_profit_valid",
    "stop_valid",
    "reward_risk",
];

const FORECAST: [&str; 10] = [
    "boosting",
    "kalman",
    "ridge",
    "gru",
    "transformer",
    "autoencoder_boosting",
    "ensemble",
    "ensemble_lower",
    "ensemble_upper",
    "ensemble_confidence",
];

/// Why the signal is HOLD whatever the rules say; it comes from what was learnt.
const GUARD: [&str; 1] = ["guard"];

/// Joins lists of names or types, of which `N` in all are taken; `fill` holds their place until then.
pub(crate) const fn joined<T: Copy, const N: usize>(fill: T, lists: &[&[T]]) -> [T; N] {
    let mut all = [fill; N];
    let (mut list, mut from, mut to) = (0, 0, 0);
    while to < N {
        if from == lists[list].len() {
            list += 1;
            from = 0;
        } else {
            all[to] = lists[list][from];
            from += 1;
            to += 1;
        }
    }
    all
}

const N_STRUCTURE: usize = CANDLE.len() + SHOWN_INDICATORS + RULES.len();
const N_TABLE: usize = N_STRUCTURE + FORECAST.len() + GUARD.len();
const INDICATORS: [&str; SHOWN_INDICATORS] = joined("", &[&INDICATOR_NAMES]);
const STRUCTURE: [&str; N_STRUCTURE] = joined("", &[&CANDLE, &INDICATORS, &RULES]);
const TABLE: [&str; N_TABLE] = joined("", &[&CANDLE, &INDICATORS, &RULES, &FORECAST, &GUARD]);

/// What a column of the table holds; numbers, where it is none of these.
const fn type_of(name: &str) -> ColumnType {
    const TEXTS: [&str; 5] = ["regime", "direction", "forecast_text", "signal", "guard"];
    const FLAGS: [&str; 2] = ["take_profit_valid", "stop_valid"];
    if is_among(name, &["open_time"]) {
        ColumnType::Time
    } else if is_among(name, &TEXTS) {
        ColumnType::Text
    } else if is_among(name, &FLAGS) {
        ColumnType::Bool
    } else {
        ColumnType::Float
    }
}

const fn is_among(name: &str, names: &[&str]) -> bool {
    let mut i = 0;
    while i < names.len() {
        if is_same(name.as_bytes(), names[i].as_bytes()) {
            return true;
        }
        i += 1;
    }
    false
}

const fn is_same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}

const fn types_of<const N: usize>(names: &[&str; N]) -> [ColumnType; N] {
    let mut types = [ColumnType::Float; N];
    let mut i = 0;
    while i < N {
        types[i] = type_of(names[i]);
        i += 1;
    }
    types
}

/// Holds what candles and rules alone say of one bar: candle, market structure, signal system.
///
/// `None` means that there is not enough history yet, or (stop and take-profit of a HOLD) that the
/// value does not exist.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StructureRow {
    /// The candle.
    pub candle: Candle,
    /// The indicator columns, in the order of [`INDICATOR_NAMES`];
    /// NaN where not ready.
    pub indicators: [f64; INDICATOR_NAMES.len()],
    /// Regime, strength and direction; `None` while VWAP is not ready.
    pub state: Option<forecastle_regime::MarketState>,
    /// What the rules say of it.
    pub rules: forecastle_signals::RuleOutput,
    /// The forecast in words, put together when it is shown.
    pub forecast_text: forecastle_signals::ForecastText,
}

impl StructureRow {
    /// Whether the rules would buy, sell or do nothing.
    pub fn signal(&self) -> Signal {
        self.rules.signal
    }
}

impl Record for StructureRow {
    const COLUMNS: &'static [&'static str] = &STRUCTURE;
    const TYPES: &'static [ColumnType] = &types_of(&STRUCTURE);

    fn visit(&self, visitor: &mut dyn FnMut(&'static str, Cell<'_>)) {
        let candle = &self.candle;
        visitor("open_time", Cell::Time(candle.open_time()));
        visitor("open", candle.open().into());
        visitor("high", candle.high().into());
        visitor("low", candle.low().into());
        visitor("close", candle.close().into());
        visitor("volume", candle.volume().into());
        for (name, value) in INDICATORS.into_iter().zip(self.indicators) {
            visitor(name, value.into());
        }
        let regime = self.state.map(|s| s.regime);
        let direction = self.state.map(|s| s.direction);
        visitor("regime", regime.map_or(Cell::Null, |r: Regime| Cell::Text(r.as_str())));
        visitor("regime_strength", self.state.map(|s| s.strength).into());
        visitor("direction", direction.map_or(Cell::Null, |d: Direction| Cell::Text(d.as_str())));
        visitor("forecast_text", Cell::Text(&self.forecast_text.to_string()));
        let rules = &self.rules;
        visitor("rule_confidence", rules.rule_confidence.into());
        visitor("signal", Cell::Text(rules.signal.as_str()));
        visitor("stop_loss", rules.stop_loss.into());
        visitor("take_profit", rules.take_profit.into());
        visitor("atr_target", rules.atr_target.into());
        visitor("vwap_target", rules.vwap_target.into());
        visitor("linreg_target", rules.linreg_target.into());
        visitor("blended_target", rules.blended_target.into());
        visitor("take_profit_valid", Cell::Bool(rules.take_profit_valid));
        visitor("stop_valid", Cell::Bool(rules.stop_valid));
        visitor("reward_risk", rules.reward_risk.into());
    }
}

/// Holds the learnt forecasts of one bar, as prices at `t + horizon`.
///
/// `None` where a model was not asked for, was skipped (the run says why), or had not been fitted
/// on anything but later bars.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ForecastRow {
    /// Gradient boosting.
    pub boosting: Option<f64>,
    /// Kalman local linear trend.
    pub kalman: Option<f64>,
    /// Ridge regression.
    pub ridge: Option<f64>,
    /// Gated recurrent unit.
    pub gru: Option<f64>,
    /// Transformer encoder.
    pub transformer: Option<f64>,
    /// Gradient boosting on features and autoencoder latents.
    pub autoencoder_boosting: Option<f64>,
    /// The stacked forecast.
    pub ensemble: Option<f64>,
    /// Lower end of its interval.
    pub ensemble_lower: Option<f64>,
    /// Upper end of its interval.
    pub ensemble_upper: Option<f64>,
    /// Calibrated probability that the move has the ensemble's sign; `None` where that repeats the
    /// last price, which has no sign.
    pub ensemble_confidence: Option<f64>,
}

impl Record for ForecastRow {
    const COLUMNS: &'static [&'static str] = &FORECAST;
    const TYPES: &'static [ColumnType] = &types_of(&FORECAST);

    fn visit(&self, visitor: &mut dyn FnMut(&'static str, Cell<'_>)) {
        visitor("boosting", self.boosting.into());
        visitor("kalman", self.kalman.into());
        visitor("ridge", self.ridge.into());
        visitor("gru", self.gru.into());
        visitor("transformer", self.transformer.into());
        visitor("autoencoder_boosting", self.autoencoder_boosting.into());
        visitor("ensemble", self.ensemble.into());
        visitor("ensemble_lower", self.ensemble_lower.into());
        visitor("ensemble_upper", self.ensemble_upper.into());
        visitor("ensemble_confidence", self.ensemble_confidence.into());
    }
}

/// Holds one row of the final table.
#[derive(Debug, Clone, PartialEq)]
pub struct TableRow {
    /// Candle, market structure and signal system.
    pub structure: StructureRow,
    /// The learnt forecasts.
    pub forecast: ForecastRow,
    /// Why a guard holds the signal; `None` where nothing does.
    pub guard: Option<String>,
}

impl Record for TableRow {
    const COLUMNS: &'static [&'static str] = &TABLE;
    const TYPES: &'static [ColumnType] = &types_of(&TABLE);

    fn visit(&self, visitor: &mut dyn FnMut(&'static str, Cell<'_>)) {
        self.structure.visit(visitor);
        self.forecast.visit(visitor);
        visitor("guard", self.guard.as_deref().map_or(Cell::Null, Cell::Text));
    }
}

/// Serialises a record as an object of its columns.
pub(crate) fn serialize_record<S: Serializer>(
    record: &impl Record,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(None)?;
    let mut result = Ok(());
    record.visit(&mut |name, cell| {
        if result.is_ok() {
            result = map.serialize_entry(name, &cell);
        }
    });
    result?;
    map.end()
}

impl Serialize for TableRow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_record(self, serializer)
    }
}

impl Serialize for StructureRow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_record(self, serializer)
    }
}
