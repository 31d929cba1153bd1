use forecastle_core::{
    Candle, CandleView, Error, Result, Transform, TransformExt, TransformStream,
};
use ndarray::{ArrayRef2, ArrayViewMut1, Axis, Slice};
use serde::{Deserialize, Serialize};

use crate::indicators::{IndicatorColumns, IndicatorsStream, WIDTH, warm_up};
use crate::moments::Moments;
use crate::output::{CHUNK, buffer_cells, write_row};
use crate::window::RollingWindow;
use crate::{Indicator, VwapAnchor};

/// Candles whose mean volume the volume is held against.
const VOLUME_WINDOW: usize = 20;

/// Prices held against the close besides open, high and low.
const PRICES: [Indicator; 10] = [
    Indicator::TypicalPrice,
    Indicator::Vwap,
    Indicator::Sma5,
    Indicator::Sma20,
    Indicator::CloseLag1,
    Indicator::CloseLag2,
    Indicator::CloseLag3,
    Indicator::CloseLag5,
    Indicator::CloseLag10,
    Indicator::CloseLag20,
];

/// Price differences divided by the close.
const SPREADS: [Indicator; 6] = [
    Indicator::VwapSigma,
    Indicator::Std5,
    Indicator::Std20,
    Indicator::Atr14,
    Indicator::Momentum5,
    Indicator::Momentum10,
];

/// Columns that are always there: open, high, low, prices, spreads, z and volume.
const FIXED: usize = 3 + PRICES.len() + SPREADS.len() + 2;

/// Columns at most.
const MOST: usize = FIXED + 2;

/// Chooses the VWAP anchor and the optional columns of [`ModelFeatures`].
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `vwap` | `rolling:96` | the anchor of VWAP, sigma and z | a rolling window >= 1 |
/// | `direction_code` | `false` | adds +1 above the VWAP, −1 below, 0 on it | |
/// | `position_code` | `false` | adds +1 where z > 1, −1 where z < −1, 0 between | |
///
/// Both codes are functions of columns that are there anyway.
///
/// # Examples
/// ```
/// use forecastle_core::Transform;
/// use forecastle_features::{ModelFeatures, ModelFeaturesParams};
///
/// let params = ModelFeaturesParams { direction_code: true, ..Default::default() };
/// let features = ModelFeatures::with_params(params)?;
/// assert_eq!(features.names().last().map(String::as_str), Some("direction_code"));
/// # Ok::<(), forecastle_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelFeaturesParams {
    /// The anchor of VWAP, sigma and z.
    pub vwap: VwapAnchor,
    /// Whether there is a column `direction_code`.
    pub direction_code: bool,
    /// Whether there is a column `position_code`.
    pub position_code: bool,
}

/// Computes the scale-free features that models learn from.
///
/// Multiplying all prices by a constant changes nothing.
///
/// | columns | value |
/// |---|---|
/// | `{open, high, low, typical_price, vwap, sma_5, sma_20, close_lag_1, _2, _3, _5, _10, _20}_log_ratio` | `ln(x / close)` |
/// | `{vwap_sigma, std_5, std_20, atr_14, momentum_5, momentum_10}_ratio` | `x / close` |
/// | `vwap_z` | as in [`Indicators`](crate::Indicators) |
/// | `volume_log_ratio` | `ln(1 + volume) − ln(1 + mean volume of 20)` |
/// | `direction_code`, `position_code` | see [`ModelFeaturesParams`]; off by default |
///
/// # Examples
/// ```
/// use forecastle_core::Transform;
/// use forecastle_features::{ModelFeatures, VwapAnchor};
///
/// let features = ModelFeatures::new(VwapAnchor::Rolling(96))?;
/// assert_eq!((features.names().len(), features.warm_up()), (21, 95));
/// # Ok::<(), forecastle_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct ModelFeatures {
    params: ModelFeaturesParams,
    names: Vec<String>,
}

impl ModelFeatures {
    /// Makes the transform without the optional columns.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`](forecastle_core::Error::InvalidParameter) when a rolling
    ///   window is empty or longer than [`MAX_WINDOW`](crate::MAX_WINDOW).
    pub fn new(vwap: VwapAnchor) -> Result<Self> {
        Self::with_params(ModelFeaturesParams { vwap, ..Default::default() })
    }

    /// Makes the transform.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`](forecastle_core::Error::InvalidParameter) when a rolling
    ///   window is empty or longer than [`MAX_WINDOW`](crate::MAX_WINDOW).
    pub fn with_params(params: ModelFeaturesParams) -> Result<Self> {
        params.vwap.validate()?;
        let prices = ["open", "high", "low"].into_iter().chain(PRICES.map(Indicator::name));
        let mut names: Vec<String> = prices.map(|name| format!("{name}_log_ratio")).collect();
        names.extend(SPREADS.map(|spread| format!("{}_ratio", spread.name())));
        names.extend(["vwap_z".to_owned(), "volume_log_ratio".to_owned()]);
        let codes =
            [(params.direction_code, "direction_code"), (params.position_code, "position_code")];
        names.extend(codes.iter().filter(|(on, _)| *on).map(|(_, name)| (*name).to_owned()));
        Ok(Self { params, names })
    }

    /// What was chosen.
    pub const fn params(&self) -> ModelFeaturesParams {
        self.params
    }

    /// Starts a stream that has seen no candle and can be saved.
    pub fn start(&self) -> ModelFeaturesStream {
        ModelFeaturesStream {
            params: self.params,
            indicators: IndicatorsStream::new(self.params.vwap),
            mean_volume: MeanVolume::new(),
        }
    }
}

#[inline(always)]
fn log_ratio(price: f64, close: f64) -> f64 {
    (price / close).ln()
}

#[inline(always)]
fn volume_log_ratio(volume: f64, mean_volume: f64) -> f64 {
    volume.ln_1p() - mean_volume.ln_1p()
}

/// +1 above the VWAP, −1 below, 0 on it; NaN before there is one.
#[inline(always)]
fn direction_code(close: f64, vwap: f64) -> f64 {
    code(close - vwap, 0.0)
}

/// +1 above the first upper band, −1 below the first lower one, 0 between; NaN before there is one.
#[inline(always)]
fn position_code(z: f64) -> f64 {
    code(z, 1.0)
}

#[inline(always)]
fn code(value: f64, bound: f64) -> f64 {
    if value > bound {
        1.0
    } else if value < -bound {
        -1.0
    } else if value.is_nan() {
        f64::NAN
    } else {
        0.0
    }
}

/// Mean volume of the last 20 candles.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct MeanVolume(RollingWindow<Moments>);

impl MeanVolume {
    fn new() -> Self {
        Self(RollingWindow::new(VOLUME_WINDOW))
    }

    #[inline(always)]
    fn push(&mut self, volume: f64) -> f64 {
        self.0.push(Moments::row(1.0, volume)).map_or(f64::NAN, |rows| rows.mean)
    }
}

impl Transform for ModelFeatures {
    fn names(&self) -> &[String] {
        &self.names
    }

    fn warm_up(&self) -> usize {
        warm_up(self.params.vwap)
    }

    fn stream(&self) -> Box<dyn TransformStream> {
        Box::new(self.start())
    }

    fn transform_into(&self, candles: CandleView<'_>, out: &mut ArrayRef2<f64>) -> Result<()> {
        self.check_output(candles, out)?;
        let mut indicators = IndicatorColumns::new(self.params.vwap, candles);
        let mut mean_volume = MeanVolume::new();
        let mut buffer = vec![0.0; WIDTH * CHUNK];
        for from in (0..candles.len()).step_by(CHUNK) {
            let chunk = candles.slice(from..candles.len().min(from + CHUNK));
            let mut cells = buffer_cells(&mut buffer, chunk.len());
            indicators.fill(&mut cells);
            let mut rows = out.slice_axis_mut(Axis(0), Slice::from(from..from + chunk.len()));
            let rest = rows.columns_mut().into_iter();
            self.fill(chunk, &cells, &mut mean_volume, rest);
        }
        Ok(())
    }
}

impl ModelFeatures {
    /// Fills a chunk's columns from its candles and indicators.
    fn fill<'a>(
        &self,
        chunk: CandleView<'_>,
        indicators: &[&mut [f64]; WIDTH],
        mean_volume: &mut MeanVolume,
        mut out: impl Iterator<Item = ArrayViewMut1<'a, f64>>,
    ) {
        let close = chunk.close();
        let column = |indicator: Indicator| &*indicators[indicator.index()];
        let raw = [chunk.open(), chunk.high(), chunk.low()];
        for price in raw.into_iter().chain(PRICES.map(column)) {
            let ratios = price.iter().zip(close).map(|(&price, &close)| log_ratio(price, close));
            assign(out.next(), ratios);
        }
        for spread in SPREADS.map(column) {
            assign(out.next(), spread.iter().zip(close).map(|(spread, close)| spread / close));
        }
        let (vwap, z) = (column(Indicator::Vwap), column(Indicator::VwapZ));
        assign(out.next(), z.iter().copied());
        let volumes = chunk.volume().iter();
        assign(out.next(), volumes.map(|&v| volume_log_ratio(v, mean_volume.push(v))));
        if self.params.direction_code {
            let codes = close.iter().zip(vwap).map(|(&close, &vwap)| direction_code(close, vwap));
            assign(out.next(), codes);
        }
        if self.params.position_code {
            assign(out.next(), z.iter().map(|&z| position_code(z)));
        }
    }
}

fn assign(column: Option<ArrayViewMut1<'_, f64>>, values: impl Iterator<Item = f64>) {
    if let Some(mut column) = column {
        column.iter_mut().zip(values).for_each(|(cell, value)| *cell = value);
    }
}

/// Computes [`ModelFeatures`] candle by candle.
///
/// Its saved form goes on with the same bits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "SavedStream")]
pub struct ModelFeaturesStream {
    params: ModelFeaturesParams,
    indicators: IndicatorsStream,
    mean_volume: MeanVolume,
}

/// What is written of a [`ModelFeaturesStream`].
#[derive(Deserialize)]
struct SavedStream {
    params: ModelFeaturesParams,
    indicators: IndicatorsStream,
    mean_volume: MeanVolume,
}

impl TryFrom<SavedStream> for ModelFeaturesStream {
    type Error = Error;

    fn try_from(SavedStream { params, indicators, mean_volume }: SavedStream) -> Result<Self> {
        let fits = indicators.anchor() == params.vwap && mean_volume.0.length() == VOLUME_WINDOW;
        if fits {
            return Ok(Self { params, indicators, mean_volume });
        }
        Err(Error::artifact("a stream of features whose windows are not its parameters'"))
    }
}

impl ModelFeaturesStream {
    /// What was chosen.
    pub const fn params(&self) -> ModelFeaturesParams {
        self.params
    }
}

impl TransformStream for ModelFeaturesStream {
    fn update(&mut self, candle: &Candle, row: &mut [f64]) {
        let indicators = self.indicators.push(candle);
        let value = |indicator: Indicator| indicators[indicator.index()];
        let (close, volume) = (candle.close(), candle.volume());
        let mean_volume = self.mean_volume.push(volume);
        let mut values = [f64::NAN; MOST];
        let mut cells = values.iter_mut();
        let mut width = 0;
        let mut put = |value: f64| {
            if let Some(cell) = cells.next() {
                *cell = value;
                width += 1;
            }
        };
        let raw = [candle.open(), candle.high(), candle.low()];
        for price in raw.into_iter().chain(PRICES.map(value)) {
            put(log_ratio(price, close));
        }
        SPREADS.map(value).into_iter().for_each(|spread| put(spread / close));
        put(value(Indicator::VwapZ));
        put(volume_log_ratio(volume, mean_volume));
        if self.params.direction_code {
            put(direction_code(close, value(Indicator::Vwap)));
        }
        if self.params.position_code {
            put(position_code(value(Indicator::VwapZ)));
        }
        write_row(row, &values[..width]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::INDICATOR_NAMES;

    #[test]
    fn codes_change_at_their_bounds() {
        assert_eq!([2.0, 1.0, 0.0].map(|close| direction_code(close, 1.0)), [1.0, 0.0, -1.0]);
        assert_eq!([1.1, 1.0, 0.0, -1.0, -1.1].map(position_code), [1.0, 0.0, 0.0, 0.0, -1.0]);
        assert!(position_code(f64::NAN).is_nan() && direction_code(1.0, f64::NAN).is_nan());
    }

    #[test]
    fn every_price_indicator_has_its_scale_free_twin() {
        let bands = ["vwap_upper_1", "vwap_lower_1", "vwap_upper_2", "vwap_lower_2"];
        let features = ModelFeatures::new(VwapAnchor::default()).unwrap();
        for name in INDICATOR_NAMES {
            let twin = features.names().iter().any(|feature| feature.starts_with(name));
            let wanted = !bands.contains(&name) && !name.starts_with("linreg");
            assert_eq!(twin, wanted, "{name}");
        }
        assert_eq!(features.names().len(), FIXED);
    }
}
