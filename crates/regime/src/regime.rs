use forecastle_core::Regime;

/// |z| up to which the price counts as held by its VWAP.
const MEAN_REVERSION_LIMIT: f64 = 1.0;
/// |z| above which it has left.
const TRANSITION_LIMIT: f64 = 2.0;

/// Names the regime of a distance z; `None` when z is NaN ("not ready").
///
/// The borders belong to the calmer side: |z| = 1 is Mean-Reversion, |z| = 2 Transition.
///
/// # Examples
/// ```
/// use forecastle_core::Regime;
/// use forecastle_regime::regime;
///
/// assert_eq!(regime(-1.0), Some(Regime::MeanReversion));
/// assert_eq!(regime(1.5), Some(Regime::Transition));
/// assert_eq!(regime(-2.1), Some(Regime::Trend));
/// assert_eq!(regime(f64::NAN), None);
/// ```
pub fn regime(z: f64) -> Option<Regime> {
    let distance = z.abs();
    if distance.is_nan() {
        None
    } else if distance <= MEAN_REVERSION_LIMIT {
        Some(Regime::MeanReversion)
    } else if distance <= TRANSITION_LIMIT {
        Some(Regime::Transition)
    } else {
        Some(Regime::Trend)
    }
}

/// Measures how strong a regime is: clamp(½ + ½·|z|, ½, 2); NaN when z is NaN.
///
/// It is 1 and 1½ at the borders between regimes, on either side: whatever it scales does not jump
/// when z crosses one.
///
/// # Examples
/// ```
/// use forecastle_regime::regime_strength;
///
/// assert_eq!(regime_strength(0.0), 0.5);
/// assert_eq!(regime_strength(-1.0), 1.0);
/// assert_eq!(regime_strength(2.0), 1.5);
/// assert_eq!(regime_strength(-9.0), 2.0);
/// ```
pub fn regime_strength(z: f64) -> f64 {
    (0.5 + 0.5 * z.abs()).clamp(0.5, 2.0)
}
