//! A stream's update allocates nothing.
#![allow(clippy::unwrap_used, reason = "tests")]
#![allow(unsafe_code, reason = "a global allocator that counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use forecastle_core::{Dataset, Fit, Rows};
use forecastle_kalman::{
    KalmanParams, LOG_CLOSE, LocalLinearTrend, MaximumLikelihood, TrendState, TrendVariances,
};
use ndarray::{Array1, Array2};

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call is handed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(work: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

#[test]
fn streams_and_likelihoods_do_not_allocate() {
    let series: Vec<f64> = (0..500).map(|t| f64::from(t % 11) + 0.1 * f64::from(t)).collect();
    let prior = TrendState::new(0.0, 0.0, 1.0);
    let model = LocalLinearTrend::new(TrendVariances::default()).unwrap();
    let mut stream = model.stream(prior).unwrap();
    let streamed = allocations(|| {
        for &y in &series {
            std::hint::black_box(stream.update(y));
        }
        stream.update(f64::NAN);
    });
    let valued = allocations(|| {
        std::hint::black_box(model.log_likelihood(prior, &series, 2).unwrap());
    });
    assert_eq!((streamed, valued), (0, 0));

    let (names, targets) = ([LOG_CLOSE.to_owned()], Array1::zeros(500));
    let records = Array2::from_shape_vec((500, 1), series.clone()).unwrap();
    let rows = Rows::from(0..500);
    let dataset = Dataset::new(&names, &records, &targets, &rows, 1).unwrap();
    let mut live = KalmanParams::default().fit(dataset).unwrap().stream();
    let lived = allocations(|| {
        for &y in &series {
            std::hint::black_box(live.update(y));
        }
    });
    assert_eq!(lived, 0);

    let fitted = allocations(|| {
        MaximumLikelihood::default().fit_trend(prior, &series).unwrap();
    });
    assert!(fitted > 0, "the counter counts");
}
