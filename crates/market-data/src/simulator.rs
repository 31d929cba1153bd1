use forecastle_core::{Candle, CandleSeries, Error, Result, Symbol, Timeframe, Timestamp};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

/// Marks simulated candles: the base currency of the symbol a [`Simulator`] gives.
pub const SIMULATED_LABEL: &str = "SIMULATED";

/// Whether a symbol is that of simulated candles.
///
/// ```
/// use forecastle_market_data::{Simulator, SimulatorParams, is_simulated};
///
/// let series = Simulator::new(SimulatorParams::default())?.series()?;
/// assert_eq!(series.symbol().to_string(), "SIMULATED/USDT");
/// assert!(is_simulated(series.symbol()));
/// # Ok::<(), forecastle_core::Error>(())
/// ```
pub fn is_simulated(symbol: &Symbol) -> bool {
    symbol.base() == SIMULATED_LABEL
}

/// Configures a [`Simulator`].
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `seed` | 7 | same seed, same candles | |
/// | `n` | 5,000 | candles | ≥ 1 |
/// | `timeframe` | 1h | how long each lasts | |
/// | `start` | 2024-01-01 | the first open time | |
/// | `start_price` | 100 | the first open | 1e-8 to 1e9 |
/// | `volatility` | 0.005 | standard deviation of a candle's return in the normal regime | > 0, ≤ 0.2 |
/// | `regime_volatility` | 0.5, 1, 2.5 | its multiples: calm, normal, turbulent | > 0, ≤ 10 |
/// | `regime_transitions` | | row: from, column: to | rows sum to 1 |
/// | `base_volume` | 1,000 | mean volume in the normal regime | > 0, ≤ 1e12 |
/// | `gap_probability` | 0 | that candles are missing after one | 0 to 1 |
/// | `max_gap` | 12 | most candles missing in one gap | 1 to 10,000 |
/// | `zero_volume_probability` | 0 | of a candle without trades | 0 to 1 |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SimulatorParams {
    /// Same seed, same candles, bit for bit.
    pub seed: u64,
    /// How many candles to make; gaps do not count.
    pub n: usize,
    /// How long each candle lasts.
    pub timeframe: Timeframe,
    /// When the first candle opens.
    pub start: Timestamp,
    /// The first candle's open.
    pub start_price: f64,
    /// Standard deviation of one candle's return in the normal regime.
    pub volatility: f64,
    /// Multiples of `volatility` in the calm, normal and turbulent regime.
    pub regime_volatility: [f64; 3],
    /// Probability, candle by candle, of going from regime (row) to regime (column).
    pub regime_transitions: [[f64; 3]; 3],
    /// Mean volume of a candle in the normal regime.
    pub base_volume: f64,
    /// Probability that a candle is followed by a gap; the price moves on inside it.
    pub gap_probability: f64,
    /// Most candles missing in one gap; the number is uniform from 1.
    pub max_gap: u32,
    /// Probability of a candle without trades: flat at the last price, volume 0.
    pub zero_volume_probability: f64,
}

impl Default for SimulatorParams {
    fn default() -> Self {
        Self {
            seed: 7,
            n: 5_000,
            timeframe: Timeframe::HOUR,
            start: Timestamp::from_millis(1_704_067_200_000),
            start_price: 100.0,
            volatility: 0.005,
            regime_volatility: [0.5, 1.0, 2.5],
            regime_transitions: [[0.99, 0.01, 0.0], [0.005, 0.985, 0.01], [0.0, 0.03, 0.97]],
            base_volume: 1_000.0,
            gap_probability: 0.0,
            max_gap: 12,
            zero_volume_probability: 0.0,
        }
    }
}

impl SimulatorParams {
    fn validate(&self) -> Result<()> {
        let within = |name, value: f64, low: f64, high: f64, requirement: &str| {
            if (low..=high).contains(&value) {
                Ok(())
            } else {
                Err(Error::invalid_parameter(name, requirement, value))
            }
        };
        if self.n > MOST_CANDLES {
            return Err(Error::invalid_parameter("n", "<= 100000000", self.n));
        }
        within("start_price", self.start_price, 1e-8, 1e9, "between 1e-8 and 1e9")?;
        within("volatility", self.volatility, f64::MIN_POSITIVE, 0.2, "above 0 and at most 0.2")?;
        for multiple in self.regime_volatility {
            let requirement = "above 0 and at most 10";
            within("regime_volatility", multiple, f64::MIN_POSITIVE, 10.0, requirement)?;
        }
        for row in self.regime_transitions {
            for probability in row {
                within("regime_transitions", probability, 0.0, 1.0, "between 0 and 1")?;
            }
            let sum = row.iter().sum();
            within("regime_transitions", sum, 1.0 - 1e-9, 1.0 + 1e-9, "rows that sum to 1")?;
        }
        let requirement = "above 0 and at most 1e12";
        within("base_volume", self.base_volume, f64::MIN_POSITIVE, 1e12, requirement)?;
        within("gap_probability", self.gap_probability, 0.0, 1.0, "between 0 and 1")?;
        if !(1..=10_000).contains(&self.max_gap) {
            return Err(Error::invalid_parameter("max_gap", "between 1 and 10000", self.max_gap));
        }
        let zero = self.zero_volume_probability;
        within("zero_volume_probability", zero, 0.0, 1.0, "between 0 and 1")
    }
}

const MOST_CANDLES: usize = 100_000_000;
/// Price moves inside one candle.
const TICKS: usize = 16;
/// The largest relative price move of one tick, up or down.
const LARGEST_MOVE: f64 = 0.5;
/// No path leaves these, however long and wild; both are far from what `f64` cannot hold.
const PRICES: (f64, f64) = (1e-12, 1e13);

/// Makes candles from a seed: an honest random walk with regimes of volatility.
///
/// - **Price**: a martingale, so that the last price is the best forecast and a model that claims
///   to beat it is overfitted. Every candle is a path of 16 ticks `p ← p · (1 + ε)` with symmetric
///   ε; open, high, low and close are those of the path, so they are consistent by construction.
/// - **Volatility** follows a Markov chain of three regimes (calm, normal, turbulent), which gives
///   the fat tails and the clusters of real returns.
/// - **Volume** follows volatility: it scales with the regime and with the candle's own range.
/// - **Gaps and candles without trades** on request.
///
/// Candles carry the symbol `SIMULATED/USDT`, see [`SIMULATED_LABEL`]. Only basic
/// arithmetic and square roots are involved, so the bits are the same on every machine.
///
/// There is no momentum, mean reversion, session or order book in it: it is for demonstrations
/// and tests, not for judging a strategy.
///
/// # Examples
/// ```
/// use forecastle_market_data::{Simulator, SimulatorParams};
///
/// let params = SimulatorParams { seed: 1, n: 1_000, gap_probability: 0.01, ..Default::default() };
/// let series = Simulator::new(params)?.series()?;
/// assert_eq!(series.len(), 1_000);
/// assert!(series.gaps().0 > 0);
/// # Ok::<(), forecastle_core::Error>(())
/// ```
///
/// # References
/// - Hamilton, J. D. (1989), A new approach to the economic analysis of nonstationary time series
///   and the business cycle, Econometrica 57, [doi:10.2307/1912559](https://doi.org/10.2307/1912559)
/// - Karpoff, J. M. (1987), The relation between price changes and trading volume: a survey,
///   Journal of Financial and Quantitative Analysis 22,
///   [doi:10.2307/2330874](https://doi.org/10.2307/2330874)
#[derive(Debug, Clone, PartialEq)]
pub struct Simulator {
    params: SimulatorParams,
}

impl Simulator {
    /// Makes a simulator.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] when a parameter is outside its range.
    pub fn new(params: SimulatorParams) -> Result<Self> {
        params.validate()?;
        Ok(Self { params })
    }

    /// The parameters.
    pub fn params(&self) -> &SimulatorParams {
        &self.params
    }

    /// The symbol of the candles, `SIMULATED/USDT`.
    ///
    /// # Errors
    /// None in practice: the name is fixed.
    pub fn symbol(&self) -> Result<Symbol> {
        format!("{SIMULATED_LABEL}/USDT").parse()
    }

    /// The candles one by one, oldest first; fewer than `n` where the calendar ends.
    pub fn candles(&self) -> SimulatedCandles<'_> {
        SimulatedCandles {
            params: &self.params,
            random: Xoshiro256PlusPlus::seed_from_u64(self.params.seed),
            left: self.params.n,
            next_open: Some(self.params.start),
            price: self.params.start_price,
            regime: NORMAL,
        }
    }

    /// The candles as a series.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] when the calendar ends before the last candle.
    pub fn series(&self) -> Result<CandleSeries> {
        let (symbol, timeframe) = (self.symbol()?, self.params.timeframe);
        let series = CandleSeries::from_candles(symbol, timeframe, self.candles())?;
        if series.len() < self.params.n {
            let requirement = format!("early enough for {} candles", self.params.n);
            return Err(Error::invalid_parameter("start", requirement, self.params.start));
        }
        Ok(series)
    }
}

const NORMAL: usize = 1;

/// Iterates over simulated candles, see [`Simulator::candles`].
#[derive(Debug, Clone)]
pub struct SimulatedCandles<'a> {
    params: &'a SimulatorParams,
    random: Xoshiro256PlusPlus,
    left: usize,
    next_open: Option<Timestamp>,
    price: f64,
    regime: usize,
}

/// What the path of one candle went through.
struct Path {
    open: f64,
    high: f64,
    low: f64,
    close: f64,
    volume: f64,
}

impl SimulatedCandles<'_> {
    /// Uniform in [0, 1).
    fn uniform(&mut self) -> f64 {
        (self.random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn change_regime(&mut self) {
        let transitions = self.params.regime_transitions.get(self.regime).copied();
        let mut left = self.uniform();
        for (regime, probability) in transitions.unwrap_or_default().iter().enumerate() {
            left -= probability;
            if left < 0.0 {
                self.regime = regime;
                return;
            }
        }
    }

    fn trade(&mut self) -> Path {
        self.change_regime();
        let multiple = self.params.regime_volatility.get(self.regime).copied().unwrap_or(1.0);
        let deviation = self.params.volatility * multiple;
        // The sum of two uniforms has variance 1/6, a candle has 16 ticks.
        let scale = deviation * (6.0 / TICKS as f64).sqrt();
        let open = self.price;
        let (mut high, mut low) = (open, open);
        for _ in 0..TICKS {
            let bits = self.random.next_u64();
            let two = (bits >> 32) as f64 + (bits & 0xFFFF_FFFF) as f64;
            // Symmetric about 0: from −(2^32 − 1) to 2^32 − 1, scaled to ±1.
            let shock = (two - 4_294_967_295.0) / 4_294_967_296.0;
            let change = (scale * shock).clamp(-LARGEST_MOVE, LARGEST_MOVE);
            self.price = (self.price * (1.0 + change)).clamp(PRICES.0, PRICES.1);
            high = high.max(self.price);
            low = low.min(self.price);
        }
        // The range of a random walk is about 1.6 of its standard deviation.
        let activity = 0.3 + 0.7 * (high - low) / (1.6 * deviation * open);
        let luck = (self.uniform() + self.uniform() + self.uniform()) / 1.5;
        let volume = self.params.base_volume * multiple * activity * (0.2 + 0.8 * luck);
        Path { open, high, low, close: self.price, volume }
    }

    /// The open time after this one, with the price moved through a gap where there is one.
    fn advance(&mut self, open_time: Timestamp) -> Option<Timestamp> {
        let mut steps = 1;
        if self.uniform() < self.params.gap_probability {
            let missing = 1 + (self.uniform() * f64::from(self.params.max_gap)) as i64;
            for _ in 0..missing {
                self.trade();
            }
            steps += missing;
        }
        self.params.timeframe.step(open_time, steps)
    }
}

impl Iterator for SimulatedCandles<'_> {
    type Item = Candle;

    fn next(&mut self) -> Option<Candle> {
        let open_time = self.next_open?;
        self.left = self.left.checked_sub(1)?;
        let silent = self.uniform() < self.params.zero_volume_probability;
        let path = if silent {
            let price = self.price;
            Path { open: price, high: price, low: price, close: price, volume: 0.0 }
        } else {
            self.trade()
        };
        self.next_open = self.advance(open_time);
        Candle::new(open_time, path.open, path.high, path.low, path.close, path.volume).ok()
    }
}
