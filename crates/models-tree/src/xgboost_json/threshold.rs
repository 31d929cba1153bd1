//! XGBoost asks `x < t` of single precision, our trees `x <= t` of double.

/// The limit that sends every double where XGBoost sends it after rounding it to single precision.
///
/// With `p` the last single below `t`, `single(x) < t` means `single(x) <= p`, which holds for every
/// double up to the middle between the two; a tie is rounded to the even one.
pub(crate) fn from_xgboost(t: f32) -> f64 {
    let p = t.next_down();
    let middle = 0.5 * (wide(p) + wide(t));
    if p.to_bits() & 1 == 0 { middle } else { middle.next_down() }
}

/// The `t` that sends every number of single precision where `x <= limit` sends it; `None` when
/// all of them are at most `limit`.
pub(crate) fn to_xgboost(limit: f64) -> Option<f32> {
    let near = limit as f32;
    let floor = if f64::from(near) > limit { near.next_down() } else { near };
    // Adding 0 turns −0 into 0.
    (floor < f32::MAX).then(|| floor.next_up() + 0.0)
}

/// The number, with infinity where the next single would be, had its exponent more room.
fn wide(x: f32) -> f64 {
    if x.is_infinite() { 2_f64.powi(128).copysign(f64::from(x)) } else { f64::from(x) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn neighbours(x: f64) -> [f64; 3] {
        [x.next_down(), x, x.next_up()]
    }

    #[test]
    fn the_ends_of_the_range_are_kept() {
        assert_eq!(to_xgboost(f64::MAX), None);
        assert_eq!(to_xgboost(f64::from(f32::MAX)), None);
        assert_eq!(to_xgboost(f64::from(f32::MAX).next_down()), Some(f32::MAX));
        assert_eq!(to_xgboost(f64::MIN), Some(f32::MIN));
        assert_eq!(to_xgboost(-1e-60), Some(0.0));
        assert!(from_xgboost(0.0) < 0.0 && (from_xgboost(0.0) as f32).is_sign_negative());
        assert!(from_xgboost(f32::MIN) < f64::from(f32::MIN));
        assert!(from_xgboost(f32::MAX) < f64::from(f32::MAX));
    }

    proptest! {
        #[test]
        fn prop_a_limit_rounds_doubles_as_xgboost_does(bits: u32, x: u32) {
            let t = f32::from_bits(bits);
            prop_assume!(t.is_finite());
            let limit = from_xgboost(t);
            let near = [t, t.next_up(), t.next_down(), f32::from_bits(x)];
            let singles = near.iter().filter(|x| x.is_finite()).flat_map(|&x| neighbours(f64::from(x)));
            for x in singles.chain(neighbours(limit)).chain([1e300, -1e300]) {
                prop_assert_eq!(x <= limit, (x as f32) < t, "{:e} against {:e}", x, t);
            }
            prop_assert_eq!(to_xgboost(limit), Some(t + 0.0));
        }

        #[test]
        fn prop_a_limit_of_ours_parts_singles_as_before(bits: u64, x: u32) {
            let limit = f64::from_bits(bits);
            prop_assume!(limit.is_finite());
            for limit in [limit, f64::from(f32::from_bits(x)), 1e-3 * limit % 1e30] {
                let near = limit as f32;
                for x in [near, near.next_up(), near.next_down(), f32::from_bits(x), 0.0, -0.0] {
                    if x.is_finite() && limit.is_finite() {
                        let left = to_xgboost(limit).is_none_or(|t| x < t);
                        prop_assert_eq!(left, f64::from(x) <= limit, "{:e} at {:e}", x, limit);
                    }
                }
            }
        }
    }
}
