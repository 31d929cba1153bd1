use forecastle_core::{Error, Result};
use serde::{Deserialize, Serialize};

/// The most that one kind of cost may be, in basis points: a tenth of the price.
const MOST: f64 = 1_000.0;

/// Sets what trading costs, a side, in basis points (hundredths of a percent) of the price.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `fee_bps` | 10 | what the venue takes, on the notional at the fill's price | 0 to 1,000 |
/// | `half_spread_bps` | 1 | from the middle price to the bid or ask | 0 to 1,000 |
/// | `slippage_bps` | 5 | what the order itself moves the price | 0 to 1,000 |
///
/// Candles are taken as middle prices. Market orders and stops fill worse by half-spread and slippage,
/// take-profits by the half-spread alone: a resting limit order moves no price, but that the candle
/// touched its level does not say that the other side did. The fee is paid on both sides of a trade.
///
/// The defaults are those of a small account on a large exchange. Zero has to be asked for
/// ([`Costs::FREE`]), and a result without costs comes with a
/// [`Warning::CostsNearZero`](crate::Warning::CostsNearZero).
///
/// # Examples
/// ```
/// use forecastle_backtest::Costs;
///
/// assert_eq!(Costs::default().side_bps(), 16.0);
/// let costs = Costs { fee_bps: -1.0, ..Costs::default() };
/// let error = costs.check().unwrap_err().to_string();
/// assert_eq!(error, "parameter `fee_bps` must be between 0 and 1000, got -1");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Costs {
    /// What the venue takes, on the notional at the fill's price.
    #[doc(alias = "commission")]
    pub fee_bps: f64,
    /// From the middle price to the bid or ask.
    pub half_spread_bps: f64,
    /// What the order itself moves the price.
    pub slippage_bps: f64,
}

impl Default for Costs {
    fn default() -> Self {
        Self { fee_bps: 10.0, half_spread_bps: 1.0, slippage_bps: 5.0 }
    }
}

impl Costs {
    /// No costs at all: for tests of a rule, never for its judgement.
    pub const FREE: Self = Self { fee_bps: 0.0, half_spread_bps: 0.0, slippage_bps: 0.0 };

    /// Fee, half-spread and slippage together: what a market order costs, a side.
    pub const fn side_bps(&self) -> f64 {
        self.fee_bps + self.half_spread_bps + self.slippage_bps
    }

    /// Checks every cost's range; a backtest does so first.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] with the first cost outside its range.
    pub fn check(&self) -> Result<()> {
        for (name, value) in [
            ("fee_bps", self.fee_bps),
            ("half_spread_bps", self.half_spread_bps),
            ("slippage_bps", self.slippage_bps),
        ] {
            if !(0.0..=MOST).contains(&value) {
                return Err(Error::invalid_parameter(name, "between 0 and 1000", value));
            }
        }
        Ok(())
    }

    pub(crate) fn rates(&self) -> Rates {
        Rates {
            fee: self.fee_bps / 1e4,
            market: (self.half_spread_bps + self.slippage_bps) / 1e4,
            limit: self.half_spread_bps / 1e4,
        }
    }
}

/// Costs as shares of the price.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rates {
    pub(crate) fee: f64,
    /// How much worse a market order or a stop fills.
    pub(crate) market: f64,
    /// How much worse a limit order fills.
    pub(crate) limit: f64,
}

/// What one unit of the base currency trades at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Fill {
    /// The candle's price.
    pub(crate) price: f64,
    /// The price after spread and slippage.
    pub(crate) fill: f64,
    /// Spread, slippage and fee.
    pub(crate) cost: f64,
}

impl Rates {
    /// A unit bought or sold at `price`, filled worse by the share `worse`.
    pub(crate) fn fill(&self, price: f64, buy: bool, worse: f64) -> Fill {
        let moved = price * worse;
        let fill = if buy { price + moved } else { price - moved };
        Fill { price, fill, cost: moved + self.fee * fill }
    }
}
