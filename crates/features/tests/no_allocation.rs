//! A stream's update never allocates: counted by a global allocator of this test's own.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use forecastle_core::{Candle, Timestamp, Transform};
use forecastle_features::{
    Atr, Indicators, Lag, LinearRegression, LogClose, ModelFeatures, ModelFeaturesParams, Momentum,
    PriceIndicators, RollingStd, Sma, TrueRange, Vwap, VwapAnchor,
};

/// Counts allocations and passes them on to the system.
struct Counting;

thread_local! {
    /// Allocations of this thread; the test harness allocates in its own whenever it likes.
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

fn count() {
    let _ = ALLOCATIONS.try_with(|allocations| allocations.set(allocations.get() + 1));
}

fn allocations() -> usize {
    ALLOCATIONS.with(Cell::get)
}

#[allow(unsafe_code, reason = "a global allocator cannot be written without")]
// SAFETY: every call is passed on unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps `dealloc`'s contract, and `pointer` came from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller keeps `realloc`'s contract, and `pointer` came from `System`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn candles(n: usize) -> Vec<Candle> {
    let candle = |i: usize| {
        let close = 100.0 + ((i * 37) % 23) as f64;
        let volume = ((i * 7) % 5) as f64;
        let time = Timestamp::from_millis(i as i64 * 3_600_000);
        Candle::new(time, 110.0, close.max(110.0) + 1.0, close.min(110.0) - 1.0, close, volume)
    };
    (0..n).map(|i| candle(i).unwrap()).collect()
}

#[test]
fn stream_updates_never_allocate() {
    let mut transforms: Vec<Box<dyn Transform>> = vec![
        Box::new(Sma::new(20).unwrap()),
        Box::new(RollingStd::new(20).unwrap()),
        Box::new(TrueRange::new()),
        Box::new(Atr::new(14).unwrap()),
        Box::new(Momentum::new(10).unwrap()),
        Box::new(Lag::new(20).unwrap()),
        Box::new(LinearRegression::new(20).unwrap()),
        Box::new(LogClose::new()),
        Box::new(PriceIndicators::new()),
    ];
    let windows = [1, 20, 96, 1_000].map(VwapAnchor::Rolling);
    for vwap in windows.into_iter().chain([VwapAnchor::SESSION_UTC, VwapAnchor::Cumulative]) {
        let coded = ModelFeaturesParams { vwap, direction_code: true, position_code: true };
        transforms.push(Box::new(Vwap::new(vwap).unwrap()));
        transforms.push(Box::new(Indicators::new(vwap).unwrap()));
        transforms.push(Box::new(ModelFeatures::with_params(coded).unwrap()));
    }
    let candles = candles(5_000);
    for transform in &transforms {
        let mut stream = transform.stream();
        let mut row = vec![0.0; transform.names().len()];
        let before = allocations();
        for candle in &candles {
            stream.update(candle, &mut row);
        }
        assert_eq!(allocations() - before, 0, "{transform:?}");
        assert!(row.iter().all(|v| v.is_finite()), "{transform:?}");
    }
    let before = allocations();
    std::hint::black_box(vec![0_u8; 64]);
    assert!(allocations() > before, "the allocator does not count");
}
