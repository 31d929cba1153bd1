//! One field of text as a number.

/// Exact powers: a whole number below 2^53 divided by one of these is rounded once, correctly.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

/// Reads a number the way `str::parse` does, NaN for a field that says "no value"; `None` for
/// anything else.
#[inline]
pub(crate) fn parse_number(field: &[u8]) -> Option<f64> {
    parse_plain(field).or_else(|| parse_other(field))
}

/// `-123.456` with a mantissa below 2^53: nearly every field there is.
#[inline]
fn parse_plain(field: &[u8]) -> Option<f64> {
    let (negative, digits) = match field.split_first() {
        Some((b'-', rest)) => (true, rest),
        _ => (false, field),
    };
    // 17 characters cannot overflow a u64, and longer ones need care anyway.
    if digits.is_empty() || digits.len() > 17 {
        return None;
    }
    let mut mantissa = 0_u64;
    let mut point = None;
    for (i, &byte) in digits.iter().enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit < 10 {
            mantissa = mantissa * 10 + u64::from(digit);
        } else if byte == b'.' && point.is_none() {
            point = Some(i);
        } else {
            return None;
        }
    }
    let decimals = match point {
        Some(_) if digits.len() == 1 => return None,
        Some(at) => digits.len() - 1 - at,
        None => 0,
    };
    if mantissa >= 1 << 53 {
        return None;
    }
    let value = mantissa as f64 / POWERS.get(decimals)?;
    Some(if negative { -value } else { value })
}

#[cold]
fn parse_other(field: &[u8]) -> Option<f64> {
    const MISSING: [&str; 6] = ["", "nan", "null", "none", "na", "n/a"];
    let text = std::str::from_utf8(field).ok()?;
    if MISSING.iter().any(|word| text.eq_ignore_ascii_case(word)) {
        return Some(f64::NAN);
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_for_a_missing_value_are_nan_and_garbage_is_nothing() {
        for text in ["", "nan", "NaN", "NULL", "None", "NA", "n/a", "-nan"] {
            assert!(parse_number(text.as_bytes()).is_some_and(f64::is_nan), "{text:?}");
        }
        for text in [
            "abc", ".", "-", "1.2.3", "1,5", "1 000", "0x10", "--1", "1e", "$5", "1_000", "\u{661}",
        ] {
            assert_eq!(parse_number(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(parse_number(&[0xff]), None);
        assert_eq!(parse_number(b"1e999"), Some(f64::INFINITY));
        assert_eq!(parse_number(b"-0").map(f64::to_bits), Some((-0.0_f64).to_bits()));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn prop_decimal_text_reads_as_the_standard_library_reads_it(
            text in r"[-+]?[0-9]{0,20}(\.[0-9]{0,20})?([eE][-+]?[0-9]{1,3})?"
        ) {
            let expected = text.parse::<f64>().ok().map(f64::to_bits);
            let expected = if text.is_empty() { Some(f64::NAN.to_bits()) } else { expected };
            prop_assert_eq!(parse_number(text.as_bytes()).map(f64::to_bits), expected);
        }

        #[test]
        fn prop_shortest_text_of_any_number_reads_back_bit_for_bit(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            let back = parse_number(value.to_string().as_bytes());
            prop_assert!(back.is_some_and(|b| b.to_bits() == bits || (b.is_nan() && value.is_nan())));
        }
    }
}
