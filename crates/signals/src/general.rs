use std::fmt::{self, Write};

/// Writes a number with six significant digits, as C's and Python's `%.6g` do.
///
/// Trailing zeros are left out; outside 1e-4 … 1e6 the exponent form is used, with a sign and at
/// least two digits. Rounding is of the exact binary value, ties to even.
#[derive(Debug, Clone, Copy)]
pub(crate) struct General(pub(crate) f64);

const SIGNIFICANT: i32 = 6;

/// The longest text is that of a negative mantissa: `-1.23457e-308`.
#[derive(Debug, Default)]
struct Buffer {
    bytes: [u8; 24],
    length: usize,
}

impl Buffer {
    fn as_str(&self) -> &str {
        let written = self.bytes.get(..self.length).unwrap_or_default();
        std::str::from_utf8(written).unwrap_or_default()
    }
}

impl Write for Buffer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        let space = self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?;
        space.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

impl fmt::Display for General {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(value) = *self;
        if value.is_nan() {
            return f.write_str("nan");
        }
        if value.is_infinite() {
            return f.write_str(if value > 0.0 { "inf" } else { "-inf" });
        }
        let mut scientific = Buffer::default();
        write!(scientific, "{value:.5e}")?;
        let (mantissa, exponent) = scientific.as_str().split_once('e').ok_or(fmt::Error)?;
        let exponent: i32 = exponent.parse().map_err(|_| fmt::Error)?;
        if (-4..SIGNIFICANT).contains(&exponent) {
            let decimals = usize::try_from(SIGNIFICANT - 1 - exponent).unwrap_or_default();
            let mut fixed = Buffer::default();
            write!(fixed, "{value:.decimals$}")?;
            f.write_str(without_trailing_zeros(fixed.as_str()))
        } else {
            let sign = if exponent < 0 { '-' } else { '+' };
            let mantissa = without_trailing_zeros(mantissa);
            write!(f, "{mantissa}e{sign}{:02}", exponent.abs())
        }
    }
}

fn without_trailing_zeros(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by `CPython` 3.11 with `'{:.6g}'.format(value)`.
    const PYTHON: &[(f64, &str)] = &[
        (0.0, "0"),
        (-0.0, "-0"),
        (1.0, "1"),
        (100.0, "100"),
        (106.625, "106.625"),
        (102.43, "102.43"),
        (999999.4, "999999"),
        (999999.5, "1e+06"),
        (1000000.0, "1e+06"),
        (1234565.0, "1.23456e+06"),
        (1234575.0, "1.23458e+06"),
        (123456789.0, "1.23457e+08"),
        (0.0001, "0.0001"),
        (0.0001234565, "0.000123457"),
        (9.99999e-05, "9.99999e-05"),
        (9.999995e-05, "0.0001"),
        (9.9999949e-05, "9.99999e-05"),
        (9.9999951e-05, "0.0001"),
        (1.2526176384690334e-06, "1.25262e-06"),
        (0.5, "0.5"),
        (2.5e-10, "2.5e-10"),
        (1e-300, "1e-300"),
        (5e-324, "4.94066e-324"),
        (1.7976931348623157e+308, "1.79769e+308"),
        (-41934.691, "-41934.7"),
        (-1.234567e-05, "-1.23457e-05"),
        (1000000125.2617638, "1e+09"),
        (100000.5, "100000"),
        (100001.5, "100002"),
        (0.30000000000000004, "0.3"),
        (123456.5, "123456"),
        (12345.65, "12345.6"),
        (1e+100, "1e+100"),
        (1e+99, "1e+99"),
    ];

    #[test]
    fn six_significant_digits_read_as_in_python() {
        for &(value, text) in PYTHON {
            assert_eq!(General(value).to_string(), text, "{value:e}");
        }
        for (value, text) in
            [(f64::NAN, "nan"), (f64::INFINITY, "inf"), (f64::NEG_INFINITY, "-inf")]
        {
            assert_eq!(General(value).to_string(), text);
        }
    }

    proptest::proptest! {
        #[test]
        fn prop_every_number_is_written_and_within_six_digits(value: f64) {
            let text = General(value).to_string();
            let back: f64 = text.parse().unwrap();
            // Half a unit of the sixth digit, and the largest number rounds up to infinity.
            let near = (back - value).abs() <= 5.000001e-6 * value.abs() || back.is_infinite();
            proptest::prop_assert!(near || value.is_subnormal() || value.is_nan(), "{text}");
        }
    }
}
