/// Follows the share lost since the highest equity so far.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Drawdown {
    peak: f64,
    deepest: f64,
    under: usize,
    longest: usize,
}

impl Drawdown {
    pub(crate) const fn new(initial_capital: f64) -> Self {
        Self { peak: initial_capital, deepest: 0.0, under: 0, longest: 0 }
    }

    /// The drawdown at this equity, from 0; above 1 where equity is below 0.
    #[inline]
    pub(crate) fn update(&mut self, equity: f64) -> f64 {
        if equity >= self.peak {
            self.peak = equity;
            self.under = 0;
            return 0.0;
        }
        self.under += 1;
        self.longest = self.longest.max(self.under);
        let drawdown = 1.0 - equity / self.peak;
        self.deepest = self.deepest.max(drawdown);
        drawdown
    }

    /// The largest so far.
    pub(crate) const fn deepest(&self) -> f64 {
        self.deepest
    }

    /// The most bars in a row below an earlier equity.
    pub(crate) const fn longest(&self) -> usize {
        self.longest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_initial_capital_is_the_first_peak_and_the_deepest_fall_stays() {
        let mut drawdown = Drawdown::new(100.0);
        let falls: Vec<f64> =
            [90.0, 100.0, 200.0, 150.0, 100.0, 199.0, 250.0].map(|e| drawdown.update(e)).to_vec();
        assert_eq!(falls, [1.0 - 0.9, 0.0, 0.0, 0.25, 0.5, 1.0 - 199.0 / 200.0, 0.0]);
        assert_eq!((drawdown.deepest(), drawdown.longest()), (0.5, 3));
    }
}
