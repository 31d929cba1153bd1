//! Steps through JSON text that is known to be plain: no escapes, no surprises.

/// A place in a JSON text. Every step is `None` where the text is something else, broken or out of
/// the ordinary.
pub(super) struct Scan<'t> {
    pub(super) text: &'t str,
    pub(super) at: usize,
}

/// A number's text and what is known of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Number<'t> {
    pub(super) text: &'t str,
    negative: bool,
    /// All digits as one number, if they are few enough and no exponent follows.
    mantissa: Option<u64>,
    /// How many of them are decimals.
    decimals: usize,
}

/// Nothing of interest lies deeper.
pub(super) const DEEPEST: u32 = 16;
/// So many digits fit into 64 bits.
const MOST_DIGITS: usize = 19;

impl<'t> Scan<'t> {
    pub(super) fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    pub(super) fn blank(&mut self) {
        while matches!(self.byte(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    /// Steps over this byte, if it is next.
    pub(super) fn is_next(&mut self, byte: u8) -> bool {
        let is_next = self.byte() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    /// Whether another element follows, the first or after a comma; `None` if it is neither.
    pub(super) fn more(&mut self, first: bool, end: u8) -> Option<bool> {
        self.blank();
        if self.is_next(end) {
            return Some(false);
        }
        if !first {
            if !self.is_next(b',') {
                return None;
            }
            self.blank();
        }
        Some(true)
    }

    /// The text between quotes, without escapes.
    pub(super) fn string(&mut self) -> Option<&'t str> {
        if !self.is_next(b'"') {
            return None;
        }
        let rest = self.text.as_bytes().get(self.at..)?;
        let length = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20))?;
        let text = self.text.get(self.at..self.at + length)?;
        self.at += length;
        self.is_next(b'"').then_some(text)
    }

    /// A name in an object and the colon after it.
    pub(super) fn key(&mut self) -> Option<&'t str> {
        let key = self.string()?;
        self.blank();
        if !self.is_next(b':') {
            return None;
        }
        self.blank();
        Some(key)
    }

    /// Adds the digits that come to `mantissa` and gives how many they are.
    fn digits(&mut self, mantissa: &mut u64) -> usize {
        let bytes = self.text.as_bytes();
        let from = self.at;
        while let Some(eight) = bytes.get(self.at..).and_then(<[u8]>::first_chunk::<8>) {
            let eight = u64::from_le_bytes(*eight);
            if leading_digits(eight) < 8 {
                break;
            }
            *mantissa = mantissa.wrapping_mul(100_000_000).wrapping_add(eight_digits(eight));
            self.at += 8;
        }
        while let Some(digit) = self.byte().map(|byte| byte.wrapping_sub(b'0'))
            && digit < 10
        {
            *mantissa = mantissa.wrapping_mul(10).wrapping_add(digit.into());
            self.at += 1;
        }
        self.at - from
    }

    /// A number by JSON's grammar.
    // Its result is large enough to go through memory otherwise, which takes longer than reading it.
    #[inline(always)]
    fn number(&mut self) -> Option<Number<'t>> {
        let from = self.at;
        let negative = self.is_next(b'-');
        let leading_zero = self.byte() == Some(b'0');
        let mut mantissa = 0;
        let whole = self.digits(&mut mantissa);
        if whole == 0 || (leading_zero && whole > 1) {
            return None;
        }
        let mut decimals = 0;
        if self.is_next(b'.') {
            decimals = self.digits(&mut mantissa);
            if decimals == 0 {
                return None;
            }
        }
        let mut is_plain = true;
        if matches!(self.byte(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.byte(), Some(b'+' | b'-')));
            is_plain = false;
            if self.digits(&mut 0) == 0 {
                return None;
            }
        }
        let is_short = is_plain && whole + decimals <= MOST_DIGITS;
        let text = self.text.get(from..self.at)?;
        Some(Number { text, negative, mantissa: is_short.then_some(mantissa), decimals })
    }

    /// A number, as it is or as a text.
    #[inline(always)]
    pub(super) fn value(&mut self) -> Option<Number<'t>> {
        if !self.is_next(b'"') {
            return self.number();
        }
        let number = self.number()?;
        self.is_next(b'"').then_some(number)
    }

    /// Steps over anything.
    pub(super) fn skip(&mut self, depth: u32) -> Option<()> {
        match self.byte()? {
            b'"' => self.string().map(drop),
            open @ (b'[' | b'{') => {
                if depth >= DEEPEST {
                    return None;
                }
                self.at += 1;
                let mut first = true;
                while self.more(first, open + 2)? {
                    first = false;
                    if open == b'{' {
                        self.key()?;
                    }
                    self.skip(depth + 1)?;
                }
                Some(())
            }
            b'-' | b'0'..=b'9' => self.number().map(drop),
            _ => {
                let word = ["true", "false", "null"].into_iter();
                let rest = self.text.get(self.at..)?;
                let length = word.filter(|word| rest.starts_with(word)).map(str::len).next()?;
                self.at += length;
                Some(())
            }
        }
    }
}

impl Number<'_> {
    /// The number nearest to the text, as `str::parse` gives it; `None` to have it do so.
    pub(super) fn float(&self) -> Option<f64> {
        let value = decimal(self.mantissa?, self.decimals)?;
        Some(if self.negative { -value } else { value })
    }

    /// A whole number from 0 on.
    pub(super) fn whole(&self) -> Option<i64> {
        let mantissa = self.mantissa.filter(|_| self.decimals == 0 && !self.negative)?;
        i64::try_from(mantissa).ok()
    }
}

const POWERS: [u64; MOST_DIGITS + 1] = [
    1,
    10,
    100,
    1_000,
    10_000,
    100_000,
    1_000_000,
    10_000_000,
    100_000_000,
    1_000_000_000,
    10_000_000_000,
    100_000_000_000,
    1_000_000_000_000,
    10_000_000_000_000,
    100_000_000_000_000,
    1_000_000_000_000_000,
    10_000_000_000_000_000,
    100_000_000_000_000_000,
    1_000_000_000_000_000_000,
    10_000_000_000_000_000_000,
];

/// `mantissa / 10^decimals`, rounded once.
fn decimal(mantissa: u64, decimals: usize) -> Option<f64> {
    let power = *POWERS.get(decimals)?;
    if mantissa < 1 << 53 {
        // Both are exact, these powers of ten as well.
        return Some(mantissa as f64 / power as f64);
    }
    // A quotient of at least 62 bits, the last of them set when something is left over: rounding it
    // to 53 is rounding the exact quotient.
    let left = mantissa.leading_zeros();
    let shift = 63 - power.leading_zeros();
    let dividend = u128::from(mantissa << left) << shift;
    let divisor = u128::from(power);
    let quotient = u64::try_from(dividend / divisor).ok()?;
    let rest = dividend - u128::from(quotient) * divisor;
    let sticky = quotient | u64::from(rest != 0);
    // Two to the power of what was shifted, which is exact.
    let scale = f64::from_bits(u64::from(1_023 - left - shift) << 52);
    Some(sticky as f64 * scale)
}

/// Eight times the digit 0.
const ZEROS: u64 = 0x3030_3030_3030_3030;

/// How many of eight bytes are digits before the first that is none; the first byte is the lowest.
fn leading_digits(eight: u64) -> usize {
    let above = eight.wrapping_add(0x4646_4646_4646_4646);
    let others = (above | eight.wrapping_sub(ZEROS)) & 0x8080_8080_8080_8080;
    others.trailing_zeros() as usize / 8
}

/// The number that eight digits are, the first in the lowest byte: pairs, then fours, then all.
fn eight_digits(eight: u64) -> u64 {
    const MASK: u64 = 0x0000_00ff_0000_00ff;
    let digits = eight.wrapping_sub(ZEROS);
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    let first = (pairs & MASK).wrapping_mul(0x000f_4240_0000_0064);
    let second = ((pairs >> 16) & MASK).wrapping_mul(0x0000_2710_0000_0001);
    first.wrapping_add(second) >> 32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn float(text: &str) -> Option<f64> {
        let mut scan = Scan { text, at: 0 };
        let number = scan.value()?;
        assert_eq!(scan.at, text.len(), "{text}");
        number.float()
    }

    #[test]
    fn what_json_does_not_call_a_number_is_none() {
        for text in ["", "-", "+1", "01", "-01", ".5", "5.", "1e", "1.e1", "\"1", "\"\"", "nan"] {
            assert!(Scan { text, at: 0 }.value().is_none(), "{text}");
        }
        for text in ["[1,]", "[,1]", "[1 2]", "{\"a\"}", "{\"a\":}", "{1:2}", "tru", "\"\\n\"", "]"]
        {
            assert!(Scan { text, at: 0 }.skip(0).is_none(), "{text}");
        }
        for text in ["[]", "{ }", "[ 1 , [null]]", "{\"a\" : {\"b\":true}}", "\"é\"", "-0.5e+7"] {
            let mut scan = Scan { text, at: 0 };
            assert!(scan.skip(0).is_some() && scan.at == text.len(), "{text}");
        }
        let deep = "[".repeat(100) + &"]".repeat(100);
        assert!(Scan { text: &deep, at: 0 }.skip(0).is_none());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(50_000))]

        #[test]
        fn prop_up_to_nineteen_digits_are_the_number_that_the_standard_library_reads(
            mantissa in prop_oneof![any::<u64>(), (1_u64 << 53)..(1 << 56)],
            decimals in 0_usize..19,
            negative in any::<bool>(),
        ) {
            let digits = format!("{:0>20}", mantissa % 10_000_000_000_000_000_000);
            let (whole, fraction) = digits.split_at(20 - decimals);
            let whole = match whole.trim_start_matches('0') {
                "" => "0",
                whole => whole,
            };
            let sign = if negative { "-" } else { "" };
            let point = if fraction.is_empty() { "" } else { "." };
            let text = format!("{sign}{whole}{point}{fraction}");
            let expected = text.parse::<f64>().unwrap();
            if let Some(value) = float(&text) {
                prop_assert_eq!(value.to_bits(), expected.to_bits(), "{}", text);
            } else {
                prop_assert!(text.len() > 19, "{}", text);
            }
        }

        #[test]
        fn prop_halfway_cases_are_rounded_as_the_standard_library_rounds_them(
            bits in (1_u64 << 52)..(1 << 53),
            decimals in 0_usize..=18,
            off in -1_i64..=1,
        ) {
            // Between two neighbours that are whole numbers apart from their decimals.
            let halfway = (u128::from(bits) * 2 + 1) * u128::from(POWERS[decimals]);
            let shift = (128 - halfway.leading_zeros()).saturating_sub(63);
            let mantissa = u64::try_from(halfway >> shift).unwrap().saturating_add_signed(off);
            let mantissa = mantissa % POWERS[19];
            let value = decimal(mantissa, decimals).unwrap();
            let expected: f64 = format!("{mantissa}e-{decimals}").parse().unwrap();
            prop_assert_eq!(value.to_bits(), expected.to_bits(), "{}e-{}", mantissa, decimals);
        }
    }
}
