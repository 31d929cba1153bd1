//! A stream's update never allocates: counted by a global allocator of this test's own.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use forecastle_core::{Candle, Timestamp, Transform};
use forecastle_features::{
    Atr, Indicators, Lag, LinearRegression, LogClose, ModelFeatures, ModelFeaturesParams, Momentum,
    RollingStd, Sma, TrueRange, Vwap, VwapAnchor,
};

/// Counts allocations and passes them on to the system.
struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

#[allow(unsafe_code, reason = "a global allocator cannot be written without")]
// SAFETY: every call is passed on unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps `dealloc`'s contract, and `pointer` came from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
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

// The only test of this binary: nothing else may allocate while it counts.
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
        let before = ALLOCATIONS.load(Ordering::SeqCst);
        for candle in &candles {
            stream.update(candle, &mut row);
        }
        let allocations = ALLOCATIONS.load(Ordering::SeqCst) - before;
        assert_eq!(allocations, 0, "{transform:?}");
        assert!(row.iter().all(|v| v.is_finite()), "{transform:?}");
    }
    let before = ALLOCATIONS.load(Ordering::SeqCst);
    std::hint::black_box(vec![0_u8; 64]);
    assert!(ALLOCATIONS.load(Ordering::SeqCst) > before, "the allocator does not count");
}
