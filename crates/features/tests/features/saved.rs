//! Streams that are saved and loaded on the way go on with the same bits; damaged ones are refused.

use forecastle_core::{CandleSeries, TransformStream};
use forecastle_features::{
    Indicators, IndicatorsStream, ModelFeatures, ModelFeaturesParams, ModelFeaturesStream,
    VwapAnchor,
};

use crate::conformance::{all_series, anchors};

fn bits(row: &[f64]) -> Vec<u64> {
    row.iter().map(|v| v.to_bits()).collect()
}

/// Streams the series twice, once through bytes after every `step`-th candle.
fn check(series: &CandleSeries, anchor: VwapAnchor, step: usize) {
    let params = ModelFeaturesParams { vwap: anchor, direction_code: true, position_code: true };
    let features = ModelFeatures::with_params(params).unwrap();
    let (mut whole, mut saved) = (features.start(), features.start());
    let indicators = Indicators::new(anchor).unwrap();
    let (mut whole_prices, mut saved_prices) = (indicators.start(), indicators.start());
    let (mut a, mut b) = (vec![0.0; 23], vec![0.0; 23]);
    for (t, candle) in series.view().iter().enumerate() {
        if t % step == 0 {
            saved = postcard::from_bytes(&postcard::to_stdvec(&saved).unwrap()).unwrap();
            let bytes = postcard::to_stdvec(&saved_prices).unwrap();
            saved_prices = postcard::from_bytes(&bytes).unwrap();
            assert_eq!((saved.params(), saved_prices.anchor()), (params, anchor));
        }
        whole.update(&candle, &mut a);
        saved.update(&candle, &mut b);
        assert_eq!(bits(&a), bits(&b), "{anchor}, row {t}");
        let (a, b) = (whole_prices.push(&candle), saved_prices.push(&candle));
        assert_eq!(bits(&a), bits(&b), "{anchor}, row {t}");
    }
}

#[test]
fn a_stream_that_was_saved_goes_on_with_the_same_bits() {
    for series in all_series(400) {
        for anchor in anchors() {
            check(&series, anchor, 37);
        }
    }
}

#[test]
fn damaged_states_are_refused_or_harmless() {
    let series = all_series(130).remove(0);
    let short = |anchor: &VwapAnchor| !matches!(anchor, VwapAnchor::Rolling(n) if *n > 22);
    for anchor in anchors().into_iter().filter(short) {
        let mut stream = ModelFeatures::new(anchor).unwrap().start();
        let mut row = [0.0; 23];
        series.view().iter().for_each(|candle| stream.update(&candle, &mut row));
        let bytes = postcard::to_stdvec(&stream).unwrap();
        for n in 0..bytes.len() {
            assert!(
                postcard::from_bytes::<ModelFeaturesStream>(&bytes[..n]).is_err(),
                "cut at {n}"
            );
        }
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x5a;
            if let Ok(mut stream) = postcard::from_bytes::<ModelFeaturesStream>(&damaged) {
                series.view().iter().for_each(|candle| stream.update(&candle, &mut row));
            }
            let _ = postcard::from_bytes::<IndicatorsStream>(&damaged);
        }
    }
}
