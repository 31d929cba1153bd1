use forecastle_core::{Candle, CandleView, Error, FeatureTable, Result, TransformExt};
use forecastle_features::{INDICATOR_NAMES, Indicator, Indicators, IndicatorsStream, VwapAnchor};
use forecastle_regime::MarketState;
use forecastle_signals::{ForecastText, RuleInputs, RuleParams, Rules};

use crate::StructureRow;

const N: usize = INDICATOR_NAMES.len();

/// Computes market structure and signals: indicators, regime, rules.
///
/// In batch ([`rows`](Self::rows)) or candle by candle ([`stream`](Self::stream)), with the same
/// bits. Row t depends on candles 0..=t alone.
///
/// ```
/// use forecastle::{MarketStructure, Signal};
/// use forecastle::core::{Candle, Timestamp};
/// use forecastle::{signals::RuleParams, features::VwapAnchor};
///
/// let structure = MarketStructure::new(VwapAnchor::Cumulative, RuleParams::default())?;
/// let mut stream = structure.stream();
/// let row = stream.update(&Candle::new(Timestamp::from_millis(0), 9.0, 11.0, 8.0, 10.0, 5.0)?);
/// assert_eq!(row.signal(), Signal::Hold);
/// assert_eq!(row.forecast_text.to_string(), "insufficient history");
/// # Ok::<(), forecastle::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct MarketStructure {
    indicators: Indicators,
    rules: Rules,
}

impl MarketStructure {
    /// Makes it.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`](crate::Error::InvalidParameter) when a parameter is outside its
    ///   range.
    pub fn new(vwap: VwapAnchor, rules: RuleParams) -> Result<Self> {
        Ok(Self { indicators: Indicators::new(vwap)?, rules: Rules::new(rules)? })
    }

    /// The indicators of every candle.
    ///
    /// # Errors
    /// None in practice; a broken transform's shape error.
    pub fn indicators(&self, candles: CandleView<'_>) -> Result<FeatureTable> {
        self.indicators.transform(candles)
    }

    /// Every row, computed when it is asked for: memory does not grow with the candles.
    pub fn rows<'a>(
        &self,
        candles: CandleView<'a>,
    ) -> impl Iterator<Item = StructureRow> + use<'a> {
        let mut stream = self.stream();
        candles.iter().map(move |candle| stream.update(&candle))
    }

    /// Starts a stream that has seen no candle.
    pub fn stream(&self) -> MarketStructureStream {
        MarketStructureStream { indicators: self.indicators.start(), rules: self.rules }
    }

    /// Goes on with the stream of another run, from its [`indicators`](MarketStructureStream::indicators).
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] when their VWAP is anchored otherwise.
    pub fn resume(&self, indicators: IndicatorsStream) -> Result<MarketStructureStream> {
        let (wanted, given) = (self.indicators.anchor(), indicators.anchor());
        if wanted != given {
            return Err(Error::invalid_parameter("vwap", wanted.to_string(), given));
        }
        Ok(MarketStructureStream { indicators, rules: self.rules })
    }

    /// One row from its candle and indicators; `held`: HOLD whatever the rules say.
    pub(crate) fn row(&self, candle: Candle, indicators: [f64; N], held: bool) -> StructureRow {
        evaluate(&self.rules, candle, indicators, held)
    }
}

/// Computes [`StructureRow`]s candle by candle.
#[derive(Debug, Clone)]
pub struct MarketStructureStream {
    indicators: IndicatorsStream,
    rules: Rules,
}

impl MarketStructureStream {
    /// Takes the next candle and gives its row.
    pub fn update(&mut self, candle: &Candle) -> StructureRow {
        self.update_held(candle, false)
    }

    /// The same; `held`: HOLD whatever the rules say.
    pub(crate) fn update_held(&mut self, candle: &Candle, held: bool) -> StructureRow {
        let indicators = self.indicators.push(candle);
        evaluate(&self.rules, *candle, indicators, held)
    }

    /// All that it remembers of the candles; can be saved.
    pub fn indicators(&self) -> &IndicatorsStream {
        &self.indicators
    }
}

fn evaluate(rules: &Rules, candle: Candle, indicators: [f64; N], held: bool) -> StructureRow {
    let value = |indicator: Indicator| indicators[indicator.index()];
    let (vwap, z) = (value(Indicator::Vwap), value(Indicator::VwapZ));
    let state = MarketState::new(candle.close(), vwap, z);
    let inputs = RuleInputs {
        close: candle.close(),
        high: candle.high(),
        low: candle.low(),
        vwap,
        vwap_sigma: value(Indicator::VwapSigma),
        vwap_z: z,
        atr: value(Indicator::Atr14),
        linreg: value(Indicator::Linreg20),
        linreg_slope: value(Indicator::LinregSlope20),
        regime: state.map(|s| s.regime),
        strength: state.map_or(f64::NAN, |s| s.strength),
        direction: state.map(|s| s.direction),
    };
    let output = if held { rules.hold(&inputs) } else { rules.evaluate(&inputs) };
    let forecast_text = ForecastText::new(&inputs, &output, rules.params().horizon);
    StructureRow { candle, indicators, state, rules: output, forecast_text }
}
