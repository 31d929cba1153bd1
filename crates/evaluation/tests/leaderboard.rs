#![allow(clippy::unwrap_used, reason = "tests")]
//! The leaderboard: naive first, common rows, CSV.

use forecastle_core::Error;
use forecastle_evaluation::{
    BootstrapParams, DmParams, Leaderboard, LeaderboardParams, LeaderboardRow, LongRunVariance,
    McsParams, McsStatistic, PesaranTimmermannParams, diebold_mariano, information_coefficient,
    mae, model_confidence_set, pesaran_timmermann, rank_information_coefficient, rmsse, write_csv,
};
use ndarray::{Array1, Array2, array, s};

fn actual() -> Array1<f64> {
    (0..40).map(|t| 0.01 * (f64::from(t) * 1.7).sin()).collect()
}

#[test]
fn the_naive_row_is_always_there_and_first() {
    let mut board = Leaderboard::new(2, &actual()).unwrap();
    let alone = board.rows().unwrap();
    assert_eq!(alone.len(), 1);
    board.add("half", &(0.5 * &actual())).unwrap();
    board.add("zero", &Array1::zeros(40)).unwrap();
    let rows = board.rows().unwrap();
    let names: Vec<&str> = rows.iter().map(|r| r.model.as_str()).collect();
    assert_eq!(names, ["naive", "half", "zero"]);
    assert_eq!(alone[0].mcs_p, Some(1.0));
    // Beside a better model naive's place in the confidence set is gone; its other figures stay.
    assert!(rows[0].mcs_p < Some(0.01) && rows[1].mcs_p == Some(1.0));
    let mut there = rows[0].clone();
    there.mcs_p = alone[0].mcs_p;
    assert_eq!(there, alone[0]);
    assert_eq!((rows[0].relative_rmse, rows[0].mase), (Some(1.0), Some(1.0)));
    assert_eq!(rows[0].directional_accuracy, None);
    assert_eq!((rows[0].dm_statistic, rows[0].dm_p), (Some(0.0), Some(1.0)));
    // A model that says nothing else than naive has naive's figures, all of them.
    let mut zero = rows[2].clone();
    zero.model = "naive".into();
    assert_eq!(zero, rows[0]);
}

#[test]
fn figures_are_those_of_the_metrics_on_the_judged_rows() {
    let (actual, model) = (actual(), 0.5 * &actual() + 0.001);
    let mut board = Leaderboard::new(3, &actual).unwrap();
    board.add("model", &model).unwrap();
    let row = &board.rows().unwrap()[1];
    let params = DmParams { horizon: 3, ..DmParams::default() };
    let test = diebold_mariano(&(&actual - &model), &actual, &params).unwrap();
    assert_eq!((row.horizon, row.n), (3, 40));
    assert_eq!((row.dm_statistic, row.dm_p), (Some(test.statistic), Some(test.p_value)));
    assert!(test.statistic < -3.0 && row.relative_rmse.unwrap() < 0.6);
    assert_eq!(row.mae, mae(&actual, &model).unwrap());
    assert_eq!(row.rmsse, rmsse(&actual, &model, &actual).unwrap());
    assert_eq!(row.information_coefficient, information_coefficient(&actual, &model).unwrap());
    assert_eq!(row.rank_ic, rank_information_coefficient(&actual, &model).unwrap());
    let params = PesaranTimmermannParams { horizon: 3, offset: None };
    let directions = pesaran_timmermann(&actual, &model, &params).unwrap().unwrap();
    assert_eq!(row.pt_p, Some(directions.p_value));
}

#[test]
fn the_confidence_set_is_that_of_the_squared_errors_that_the_board_hands_out() {
    let mut board = Leaderboard::new(3, &actual()).unwrap();
    let wobble: Array1<f64> = (0..40).map(|t| 0.005 * (f64::from(t) * 2.9).cos()).collect();
    board.add("a", &wobble).unwrap();
    board.add("b", &(0.1 * &actual() - &wobble)).unwrap();
    let judged = board.judged().unwrap();
    assert_eq!((judged.names().len(), judged.errors().dim()), (3, (40, 3)));
    assert_eq!(judged.actual(), &actual());
    assert_eq!(
        judged.errors(),
        Array2::from_shape_fn((40, 3), |(t, j)| judged.actual()[t] - judged.predicted()[[t, j]])
    );
    for statistic in [McsStatistic::Max, McsStatistic::Range] {
        let bootstrap = BootstrapParams { n_resamples: 400, seed: 7, ..BootstrapParams::default() };
        let params = McsParams { statistic, horizon: 3, bootstrap };
        let set = model_confidence_set(&judged.errors().mapv(|e| e * e), &params).unwrap();
        let params = LeaderboardParams { statistic, bootstrap, ..LeaderboardParams::default() };
        let rows = board.clone().with_params(params).rows().unwrap();
        let p: Vec<f64> = rows.iter().map(|row| row.mcs_p.unwrap()).collect();
        assert_eq!(p, set.p_values, "{statistic:?}");
        assert!(p.iter().any(|p| *p > 0.0 && *p < 1.0), "{p:?}");
    }
}

#[test]
fn settings_of_the_tests_reach_them_and_bad_ones_are_refused() {
    let (actual, model) = (actual(), 0.5 * &actual() + 0.001);
    let mut board = Leaderboard::new(3, &actual).unwrap();
    board.add("model", &model).unwrap();
    let variance = LongRunVariance::NeweyWest { lags: Some(6) };
    let board = board.with_params(LeaderboardParams { variance, ..LeaderboardParams::default() });
    let params = DmParams { horizon: 3, variance, ..DmParams::default() };
    let test = diebold_mariano(&(&actual - &model), &actual, &params).unwrap();
    assert_eq!(board.rows().unwrap()[1].dm_p, Some(test.p_value));
    let bootstrap = BootstrapParams { n_resamples: 0, ..BootstrapParams::default() };
    let board = board.with_params(LeaderboardParams { bootstrap, ..LeaderboardParams::default() });
    assert!(board.rows().unwrap_err().is_invalid_input());
    let text = r#"{"variance":{"newey_west":{"lags":6}}}"#;
    assert_eq!(serde_json::from_str::<LeaderboardParams>(text).unwrap().variance, variance);
}

#[test]
fn an_ensemble_that_is_naive_almost_everywhere_is_not_lost() {
    let actual: Array1<f64> = (0..300).map(|t| 0.01 * (f64::from(t) * 1.7).sin()).collect();
    let mut ensemble = Array1::zeros(300);
    let mut board = Leaderboard::new(5, &actual).unwrap();
    board.add("same", &ensemble).unwrap();
    ensemble[17] = 1e-9;
    board.add("ensemble", &ensemble).unwrap();
    board.add("bad", &-&actual).unwrap();
    let rows = board.rows().unwrap();
    assert_eq!(rows[0].mcs_p, rows[1].mcs_p);
    assert!(rows[..3].iter().all(|row| row.mcs_p > Some(0.1)), "{rows:?}");
    assert_eq!(rows[3].mcs_p, Some(0.0));
}

#[test]
fn returns_near_the_ends_of_the_range_have_a_confidence_set() {
    for unit in [1e-200, 1e140] {
        let mut board = Leaderboard::new(1, &(&actual() * unit)).unwrap();
        board.add("half", &(&actual() * (0.5 * unit))).unwrap();
        let rows = board.rows().unwrap();
        assert!(rows[0].mcs_p < Some(0.01) && rows[1].mcs_p == Some(1.0), "{rows:?}");
    }
}

#[test]
fn all_models_are_judged_on_the_rows_they_have_in_common() {
    let (mut known, mut early, mut late) = (actual(), 0.5 * &actual(), 0.9 * &actual());
    known.slice_mut(s![38..]).fill(f64::NAN);
    early.slice_mut(s![30..]).fill(f64::NAN);
    late.slice_mut(s![..10]).fill(f64::NAN);
    let mut board = Leaderboard::new(1, &known).unwrap();
    board.add("early", &early).unwrap();
    assert_eq!(board.rows().unwrap()[0].n, 30);
    board.add("late", &late).unwrap();
    let rows = board.rows().unwrap();
    assert!(rows.iter().all(|row| row.n == 20));
    let common = actual().slice(s![10..30]).to_owned();
    assert_eq!(rows[0].mae, mae(&common, &Array1::zeros(20)).unwrap());
    board.add("never", &Array1::from_elem(40, f64::NAN)).unwrap();
    assert!(board.rows().unwrap_err().is_not_enough_data());
}

#[test]
fn the_training_window_scales_the_mase() {
    let board = Leaderboard::new(1, &array![0.01, -0.01]).unwrap();
    let board = board.with_training(&array![0.02, f64::NAN, -0.02]).unwrap();
    assert_eq!(board.rows().unwrap()[0].mase, Some(0.5));
    let board = Leaderboard::new(1, &array![0.01, -0.01]).unwrap();
    assert!(board.with_training(&array![f64::NAN]).is_err());
}

#[test]
fn a_constant_price_gives_empty_cells_and_no_nan() {
    let mut board = Leaderboard::new(1, &Array1::zeros(5)).unwrap();
    board.add("wrong", &Array1::from_elem(5, 0.1)).unwrap();
    let rows = board.rows().unwrap();
    assert_eq!((rows[1].mase, rows[1].relative_rmse), (None, None));
    assert_eq!(rows[1].dm_statistic, None, "infinite: worse by the same amount in every row");
    assert_eq!((rows[0].mcs_p, rows[1].mcs_p), (Some(1.0), Some(0.0)), "for the same reason");
    assert_eq!((rows[1].rmsse, rows[1].pt_p), (None, None));
    assert_eq!((rows[1].information_coefficient, rows[1].rank_ic), (None, None));
    let json = serde_json::to_string(&rows).unwrap();
    assert_eq!(serde_json::from_str::<Vec<LeaderboardRow>>(&json).unwrap(), rows);
}

#[test]
fn too_few_rows_for_the_horizon_leave_the_test_empty() {
    let board = Leaderboard::new(12, &array![0.1, 0.2, -0.1]).unwrap();
    let row = &board.rows().unwrap()[0];
    assert_eq!((row.n, row.dm_statistic, row.dm_p), (3, None, None));
    let mut board = board;
    board.add("model", &array![0.1, 0.1, 0.1]).unwrap();
    let rows = board.rows().unwrap();
    assert!(rows.iter().all(|row| row.mcs_p.is_none() && row.pt_p.is_none()), "{rows:?}");
}

#[test]
fn taken_names_other_lengths_and_infinities_are_refused() {
    let mut board = Leaderboard::new(1, &array![0.1, 0.2]).unwrap();
    let good = array![0.0, 0.1];
    board.add("a", &good).unwrap();
    assert_eq!(
        board.add("a", &good).unwrap_err().to_string(),
        "parameter `model` must be a new name, got a"
    );
    assert!(board.add("naive", &good).is_err());
    assert!(matches!(board.add("b", &array![0.0]), Err(Error::Shape { .. })));
    assert!(matches!(board.add("b", &array![0.0, f64::INFINITY]), Err(Error::NonFinite { .. })));
    assert!(Leaderboard::new(0, &good).is_err());
    assert!(Leaderboard::new(1, &array![f64::NEG_INFINITY]).is_err());
    let mut far = Leaderboard::new(1, &array![f64::MAX, 0.0]).unwrap();
    far.add("opposite", &array![-f64::MAX, 0.0]).unwrap();
    assert!(matches!(far.rows(), Err(Error::Numerical { .. })));
    assert_eq!(board.rows().unwrap().len(), 2);
}

#[test]
fn csv_has_the_fixed_columns_and_reads_back_to_the_same_bits() {
    let mut board = Leaderboard::new(1, &array![0.1, -0.2, 0.3]).unwrap();
    board.add("odd, \"name\"", &array![0.1 / 3.0, -0.1, 0.1]).unwrap();
    let rows = board.rows().unwrap();
    let mut bytes = Vec::new();
    write_csv(&rows, &mut bytes).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[0],
        "model,horizon,n,mae,rmse,mase,rmsse,relative_rmse,directional_accuracy,pt_p,\
         information_coefficient,rank_ic,dm_statistic,dm_p,mcs_p"
    );
    assert!(
        lines[1].starts_with("naive,1,3,") && lines[1].contains(",1,1,1,,,,,0,1,"),
        "{}",
        lines[1]
    );
    let cells = lines[2].strip_prefix("\"odd, \"\"name\"\"\",").unwrap();
    let numbers: Vec<f64> = cells.split(',').map(|c| c.parse().unwrap()).collect();
    let row = &rows[1];
    let expected = [
        1.0,
        3.0,
        row.mae,
        row.rmse,
        row.mase.unwrap(),
        row.rmsse.unwrap(),
        row.relative_rmse.unwrap(),
        1.0,
        row.pt_p.unwrap(),
        row.information_coefficient.unwrap(),
        row.rank_ic.unwrap(),
        row.dm_statistic.unwrap(),
        row.dm_p.unwrap(),
        row.mcs_p.unwrap(),
    ];
    assert_eq!(numbers, expected);
    // The columns are the fields, so JSON and CSV cannot drift apart.
    let json = serde_json::to_value(row).unwrap();
    let fields = json.as_object().unwrap();
    assert_eq!(fields.len(), LeaderboardRow::COLUMNS.len());
    assert!(LeaderboardRow::COLUMNS.iter().all(|c| fields.contains_key(*c)));
    // Rows written before a column was there are read with it empty.
    let mut older = fields.clone();
    assert!(older.remove("mcs_p").is_some());
    let read: LeaderboardRow = serde_json::from_value(older.into()).unwrap();
    let mut expected = row.clone();
    expected.mcs_p = None;
    assert_eq!(read, expected);
}
