use serde::{Deserialize, Serialize};

/// Sums over a bin's rows, from which every figure follows and which add up across tables.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BinSums {
    pub(crate) n: usize,
    /// Sum of the probabilities.
    pub(crate) forecasts: f64,
    /// Number of events.
    pub(crate) events: f64,
    /// Sum of squared differences of probability and outcome.
    pub(crate) squares: f64,
    /// Weighted pairs of rows near each other, each row with itself included: Σ w, Σ w (yₛ + yₜ)
    /// and Σ w yₛ yₜ.
    pairs: [f64; 3],
}

impl BinSums {
    /// Sums rows (row, probability, outcome) of one bin, in time order.
    pub(crate) fn new(rows: &[(usize, f64, bool)], horizon: usize) -> Self {
        let mut sums = Self { n: rows.len(), ..Self::default() };
        let reach = 2.0 * horizon as f64 - 1.0;
        let number = |event: bool| f64::from(u8::from(event));
        for (i, &(row, p, event)) in rows.iter().enumerate() {
            let y = number(event);
            sums.forecasts += p;
            sums.events += y;
            sums.squares += (p - y) * (p - y);
            sums.pair(1.0, y, y);
            let earlier = rows.get(..i).unwrap_or_default().iter().rev();
            for &(before, _, other) in earlier {
                let lag = (row - before) as f64;
                if lag >= reach {
                    break;
                }
                // Twice: each pair stands in both orders.
                sums.pair(2.0 * (1.0 - lag / reach), y, number(other));
            }
        }
        sums
    }

    fn pair(&mut self, weight: f64, a: f64, b: f64) {
        for (sum, term) in self.pairs.iter_mut().zip([1.0, a + b, a * b]) {
            *sum += weight * term;
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.n += other.n;
        self.forecasts += other.forecasts;
        self.events += other.events;
        self.squares += other.squares;
        for (sum, more) in self.pairs.iter_mut().zip(other.pairs) {
            *sum += more;
        }
    }

    pub(crate) fn mean_forecast(&self) -> Option<f64> {
        (self.n > 0).then(|| self.forecasts / self.n as f64)
    }

    pub(crate) fn observed(&self) -> Option<f64> {
        (self.n > 0).then(|| self.events / self.n as f64)
    }

    /// The standard error of the observed share; `None` where all outcomes are alike.
    pub(crate) fn standard_error(&self) -> Option<f64> {
        let share = self.observed().filter(|share| *share > 0.0 && *share < 1.0)?;
        let n = self.n as f64;
        // Σ w (yₛ − o)(yₜ − o), multiplied out because o is known only now.
        let [weights, sums, products] = self.pairs;
        let together = products - share * sums + share * share * weights;
        Some((together / (n * n)).max(share * (1.0 - share) / n).sqrt())
    }
}
