//! Equality with the `ta-lib` crate (0.8.3) on random series, to 1e-10 of the price.

use forecastle_core::{CandleSeries, Transform, TransformExt};
use forecastle_features::{
    Atr, Indicators, LinearRegression, Momentum, PriceIndicators, RollingStd, Sma, VwapAnchor,
};
use proptest::prelude::*;
use ta_lib::{Core, OutRange, RetCode};

use crate::series::Walk;

/// Calls a function of TA-Lib with the column to write.
type Call<'a> = &'a dyn Fn(&mut [f64]) -> Result<OutRange, RetCode>;

fn compare(
    transform: &dyn Transform,
    column: &str,
    series: &CandleSeries,
    call: impl FnOnce(&mut [f64]) -> Result<OutRange, RetCode>,
) -> Result<(), TestCaseError> {
    let mut theirs = vec![0.0; series.len()];
    let range = call(&mut theirs).unwrap();
    let table = transform.transform(series.view()).unwrap();
    let ours = table.column(column).unwrap();
    prop_assert_eq!(range.beg_idx + range.count, series.len());
    prop_assert!(ours.iter().take(range.beg_idx).all(|v| v.is_nan()), "{} is early", column);
    for (i, theirs) in (range.beg_idx..).zip(&theirs[..range.count]) {
        let (ours, close) = (ours[i], series.view().close()[i]);
        let near = (ours - theirs).abs() <= 1e-10 * close;
        prop_assert!(near, "{}, row {}: {:e} for {:e}", column, i, ours, theirs);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn prop_single_transforms_equal_ta_lib(
        rows in 60_usize..1_500, seed: u64, window in 2_usize..50,
    ) {
        let series = Walk::new(rows).series(seed);
        let (view, core) = (series.view(), Core::new());
        let (high, low, close) = (view.high(), view.low(), view.close());
        let (last, n) = (rows - 1, window as i32);
        compare(&Sma::new(window).unwrap(), &format!("sma_{window}"), &series,
            |out| core.sma(0, last, close, n, out))?;
        let std = RollingStd::with_ddof(window, 0).unwrap();
        compare(&std, &format!("std_{window}_ddof0"), &series,
            |out| core.stddev(0, last, close, n, 1.0, out))?;
        compare(&Atr::new(window).unwrap(), &format!("atr_{window}"), &series,
            |out| core.atr(0, last, high, low, close, n, out))?;
        compare(&Momentum::new(window).unwrap(), &format!("momentum_{window}"), &series,
            |out| core.mom(0, last, close, n, out))?;
        let line = LinearRegression::new(window).unwrap();
        compare(&line, &format!("linreg_{window}"), &series,
            |out| core.linearreg(0, last, close, n, out))?;
        compare(&line, &format!("linreg_slope_{window}"), &series,
            |out| core.linearreg_slope(0, last, close, n, out))?;
    }

    #[test]
    fn prop_the_fused_tables_equal_ta_lib(rows in 60_usize..2_500, seed: u64) {
        let series = Walk::new(rows).series(seed);
        let (view, core) = (series.view(), Core::new());
        let (high, low, close) = (view.high(), view.low(), view.close());
        let (prices, last) = (PriceIndicators::new(), rows - 1);
        let all = Indicators::new(VwapAnchor::Cumulative).unwrap();
        // TA-Lib divides by n: n / (n - 1) more is the sample's deviation.
        let bessel = |n: i32| (f64::from(n) / f64::from(n - 1)).sqrt();
        let calls: [(&str, Call<'_>); 10] = [
            ("typical_price", &|out| core.typprice(0, last, high, low, close, out)),
            ("sma_5", &|out| core.sma(0, last, close, 5, out)),
            ("sma_20", &|out| core.sma(0, last, close, 20, out)),
            ("std_5", &|out| core.stddev(0, last, close, 5, bessel(5), out)),
            ("std_20", &|out| core.stddev(0, last, close, 20, bessel(20), out)),
            ("atr_14", &|out| core.atr(0, last, high, low, close, 14, out)),
            ("momentum_5", &|out| core.mom(0, last, close, 5, out)),
            ("momentum_10", &|out| core.mom(0, last, close, 10, out)),
            ("linreg_20", &|out| core.linearreg(0, last, close, 20, out)),
            ("linreg_slope_20", &|out| core.linearreg_slope(0, last, close, 20, out)),
        ];
        prop_assert_eq!(prices.names(), calls.map(|(name, _)| name));
        for (name, call) in calls {
            compare(&prices, name, &series, call)?;
            compare(&all, name, &series, call)?;
        }
    }
}
