//! On a random walk there is nothing to earn: what is left are the costs.

use forecastle_backtest::{BacktestParams, Decision, Sizing};
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::series::hourly;

const SEEDS: u64 = 200;

#[test]
fn a_random_walk_earns_minus_the_costs() {
    let params = BacktestParams { sizing: Sizing::Units(10.0), ..BacktestParams::default() };
    let (mut gross, mut net, mut costs) = (Vec::new(), Vec::new(), Vec::new());
    for seed in 0..SEEDS {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut normal = || -> f64 { StandardNormal.sample(&mut random) };
        // The mean of every step is 0: prices are a martingale, gaps included.
        let mut close = 100.0;
        let rows: Vec<_> = (0..2_000)
            .map(|_| {
                let open = close * (1.0 + 0.001 * normal());
                close = open * (1.0 + 0.003 * normal());
                (open, open.max(close), open.min(close), close)
            })
            .collect();
        let series = hourly(&rows);
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed + SEEDS);
        let mut momentum = 100.0;
        let decisions: Vec<Decision> = rows
            .iter()
            .map(|&(_, _, _, close)| {
                let risen = close > momentum;
                momentum = close;
                match random.random_range(0..10) {
                    0 | 1 if risen => Decision::long(),
                    0 | 1 => Decision::short().with_max_bars(9),
                    2 => Decision::EXIT,
                    _ => Decision::KEEP,
                }
            })
            .collect();
        let backtest = params.run(series.view(), &decisions).unwrap();
        assert!(backtest.trades.len() > 200 && backtest.bankrupt.is_none());
        gross.push(backtest.trades.iter().map(|t| t.gross).sum::<f64>());
        costs.push(backtest.trades.iter().map(|t| t.costs).sum::<f64>());
        net.push(backtest.equity.last().unwrap() - params.initial_capital);
    }
    let n = SEEDS as f64;
    let mean = |values: &[f64]| values.iter().sum::<f64>() / n;
    let spread = gross.iter().map(|g| (g - mean(&gross)).powi(2)).sum::<f64>() / (n - 1.0);
    let error = (spread / n).sqrt();
    let (lost, paid) = (-mean(&net), mean(&costs));
    assert!((lost - paid).abs() < 3.0 * error, "lost {lost}, paid {paid} ± {error}");
    // The test sees a tenth of the costs.
    assert!(0.1 * paid > 3.0 * error, "paid {paid} ± {error}");
}
