//! Leaderboards and backtests as records.

use forecastle_evaluation::LeaderboardRow;

use crate::row::joined;
use crate::{Cell, ColumnType, Record, Traded};

const LEADERBOARD: usize = LeaderboardRow::COLUMNS.len();

/// Model, horizon and rows, then figures.
const LEADERBOARD_TYPES: [ColumnType; LEADERBOARD] = joined(
    ColumnType::Float,
    &[
        &[ColumnType::Text, ColumnType::Count, ColumnType::Count],
        &[ColumnType::Float; LEADERBOARD - 3],
    ],
);

impl Record for LeaderboardRow {
    const COLUMNS: &'static [&'static str] = &LeaderboardRow::COLUMNS;
    const TYPES: &'static [ColumnType] = &LEADERBOARD_TYPES;

    fn visit(&self, visitor: &mut dyn FnMut(&'static str, Cell<'_>)) {
        let count = |n: usize| Cell::Count(n as u64);
        visitor("model", Cell::Text(&self.model));
        visitor("horizon", count(self.horizon));
        visitor("n", count(self.n));
        visitor("mae", self.mae.into());
        visitor("rmse", self.rmse.into());
        visitor("mase", self.mase.into());
        visitor("rmsse", self.rmsse.into());
        visitor("relative_rmse", self.relative_rmse.into());
        visitor("directional_accuracy", self.directional_accuracy.into());
        visitor("pt_p", self.pt_p.into());
        visitor("information_coefficient", self.information_coefficient.into());
        visitor("rank_ic", self.rank_ic.into());
        visitor("dm_statistic", self.dm_statistic.into());
        visitor("dm_p", self.dm_p.into());
        visitor("mcs_p", self.mcs_p.into());
    }
}

const TRADED: [&str; 19] = [
    "strategy",
    "n_bars",
    "n_trades",
    "total_return",
    "cagr",
    "volatility",
    "sharpe",
    "sortino",
    "max_drawdown",
    "hit_rate",
    "profit_factor",
    "exposure",
    "gross",
    "costs",
    "probabilistic_sharpe",
    "deflated_sharpe",
    "n_trials",
    "buy_and_hold_return",
    "random_entries_beaten",
];

/// Counts are three of them.
const TRADED_TYPES: [ColumnType; TRADED.len()] = joined(
    ColumnType::Float,
    &[
        &[ColumnType::Text, ColumnType::Count, ColumnType::Count],
        &[ColumnType::Float; 13],
        &[ColumnType::Count],
        &[ColumnType::Float; 2],
    ],
);

/// A strategy's figures after costs, beside buy-and-hold and random entries.
impl Record for Traded {
    const COLUMNS: &'static [&'static str] = &TRADED;
    const TYPES: &'static [ColumnType] = &TRADED_TYPES;

    fn visit(&self, visitor: &mut dyn FnMut(&'static str, Cell<'_>)) {
        let count = |n: usize| Cell::Count(n as u64);
        let figures = &self.beside.strategy;
        visitor("strategy", Cell::Text(self.strategy.as_str()));
        visitor("n_bars", count(figures.n_bars));
        visitor("n_trades", count(figures.n_trades));
        visitor("total_return", figures.total_return.into());
        visitor("cagr", figures.cagr.into());
        visitor("volatility", figures.volatility.into());
        visitor("sharpe", figures.sharpe.into());
        visitor("sortino", figures.sortino.into());
        visitor("max_drawdown", figures.max_drawdown.into());
        visitor("hit_rate", figures.hit_rate.into());
        visitor("profit_factor", figures.profit_factor.into());
        visitor("exposure", figures.exposure.into());
        visitor("gross", figures.gross.into());
        visitor("costs", figures.costs.into());
        visitor("probabilistic_sharpe", figures.probabilistic_sharpe.into());
        visitor("deflated_sharpe", figures.deflated_sharpe.into());
        visitor("n_trials", count(figures.n_trials));
        visitor("buy_and_hold_return", self.beside.buy_and_hold.total_return.into());
        visitor("random_entries_beaten", self.beside.random_entry.map(|r| r.beaten).into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PanelRow, StructureRow, SymbolForecast, TableRow};

    /// Every cell is of its column's type.
    fn check<R: Record>(record: &R) {
        assert_eq!(R::COLUMNS.len(), R::TYPES.len());
        let mut columns = R::COLUMNS.iter().zip(R::TYPES);
        record.visit(&mut |name, cell| {
            let (column, kind) = columns.next().unwrap();
            assert_eq!(*column, name);
            let found = match cell {
                Cell::Null => return,
                Cell::Time(_) => ColumnType::Time,
                Cell::Float(_) => ColumnType::Float,
                Cell::Count(_) => ColumnType::Count,
                Cell::Bool(_) => ColumnType::Bool,
                Cell::Text(_) => ColumnType::Text,
            };
            assert_eq!(found, *kind, "{name}");
        });
        assert!(columns.next().is_none());
    }

    #[test]
    fn cells_are_of_their_columns_types_in_every_record() {
        use crate::market_data::{Simulator, SimulatorParams};
        use crate::{ModelKind, Panel, PanelSource, Pipeline, WalkForwardParams};

        let params = SimulatorParams { n: 700, ..Default::default() };
        let candles = Simulator::new(params).unwrap().series().unwrap();
        let models = [ModelKind::Ridge, ModelKind::Kalman];
        let pipeline = Pipeline::builder().models(models).build().unwrap();
        let run = pipeline.walk_forward(&candles, &WalkForwardParams::default(), &()).unwrap();
        run.leaderboard().unwrap().rows().unwrap().iter().for_each(check);
        let random = crate::backtest::RandomEntryParams { n_runs: 10, ..Default::default() };
        let traded =
            run.trade(&run.strategies(), &Default::default(), &Default::default(), &random);
        traded.unwrap().iter().for_each(check);
        let rows = run.rows();
        rows.iter().for_each(check::<TableRow>);
        rows.iter().for_each(|row| check::<StructureRow>(&row.structure));
        rows.iter().for_each(|row| check(&row.forecast));
        let panel = Panel::new([PanelSource::series(candles)]);
        let each = |row: PanelRow| {
            check(&row);
            check::<SymbolForecast>(&row.forecast);
            Ok(())
        };
        assert_eq!(panel.forecast(&pipeline, &(), each).unwrap().failed, 0);
    }
}
