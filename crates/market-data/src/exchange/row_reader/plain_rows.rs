//! Reads rows in the plain form in which nearly all of them come, several times as fast.
//!
//! Whatever is unusual - an escaped text, a null, a name given twice, a row too short, broken JSON -
//! is left to the general reader, and with it every error. What is read here reads the same there.

use forecastle_core::{RawCandle, Timestamp};

use super::{Layout, Row, RowReader, Shift, TIME, VOLUME, number, time};
use crate::exchange::record::TimeUnit;

/// Follows `path` into `body` and reads the rows there; `None` to leave it to the general reader.
pub(super) fn plain_rows(
    reader: &RowReader<'_>,
    path: &[String],
    body: &[u8],
) -> Option<Vec<RawCandle>> {
    let layout = reader.response.layout;
    if layout == Layout::Columns || reader.names.iter().any(|(.., rank)| *rank > 0) {
        return None;
    }
    let mut scan = Scan { text: std::str::from_utf8(body).ok()?, at: 0 };
    let mut candles = None;
    scan.follow(reader, path, &mut candles, 0)?;
    scan.blank();
    (scan.at == body.len()).then_some(candles?)
}

/// Nothing that holds candles lies deeper.
const DEEPEST: u32 = 16;

/// A place in a JSON text.
struct Scan<'t> {
    text: &'t str,
    at: usize,
}

/// A number's text and what is known of it.
#[derive(Clone, Copy)]
struct Number<'t> {
    text: &'t str,
    negative: bool,
    /// All digits as one number, if it is below 2^53.
    mantissa: Option<u64>,
    /// How many of them are decimals.
    decimals: usize,
    is_whole: bool,
}

impl<'t> Scan<'t> {
    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blank(&mut self) {
        while matches!(self.byte(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    /// Steps over this byte, if it is next.
    fn is_next(&mut self, byte: u8) -> bool {
        let is_next = self.byte() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    /// Whether another element follows, the first or after a comma; `None` if it is neither.
    fn more(&mut self, first: bool, end: u8) -> Option<bool> {
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
    fn string(&mut self) -> Option<&'t str> {
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
    fn key(&mut self) -> Option<&'t str> {
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
            if !are_digits(eight) {
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
        let mut is_whole = true;
        if self.is_next(b'.') {
            decimals = self.digits(&mut mantissa);
            is_whole = false;
            if decimals == 0 {
                return None;
            }
        }
        let mut is_plain = true;
        if matches!(self.byte(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.byte(), Some(b'+' | b'-')));
            (is_plain, is_whole) = (false, false);
            if self.digits(&mut 0) == 0 {
                return None;
            }
        }
        // 19 digits fit into 64 bits.
        let exact = is_plain && whole + decimals <= 19 && mantissa < 1 << 53;
        let text = self.text.get(from..self.at)?;
        Some(Number { text, negative, mantissa: exact.then_some(mantissa), decimals, is_whole })
    }

    /// A number, as it is or as a text.
    fn value(&mut self) -> Option<Number<'t>> {
        if !self.is_next(b'"') {
            return self.number();
        }
        let number = self.number()?;
        self.is_next(b'"').then_some(number)
    }

    /// Steps over anything.
    fn skip(&mut self, depth: u32) -> Option<()> {
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

    fn follow(
        &mut self,
        reader: &RowReader<'_>,
        path: &[String],
        candles: &mut Option<Vec<RawCandle>>,
        depth: u32,
    ) -> Option<()> {
        self.blank();
        let Some((step, rest)) = path.split_first() else {
            // Rows that come a second time are unusual.
            let again = candles.replace(self.rows(reader)?).is_some();
            return (!again).then_some(());
        };
        let open = self.byte().filter(|open| matches!(open, b'[' | b'{') && depth < DEEPEST)?;
        self.at += 1;
        let wanted: Option<usize> = step.parse().ok();
        let mut index = 0;
        while self.more(index == 0, open + 2)? {
            let is_wanted = match open {
                b'{' => self.key()? == step,
                _ => wanted == Some(index),
            };
            if is_wanted {
                self.follow(reader, rest, candles, depth + 1)?;
            } else {
                self.skip(depth + 1)?;
            }
            index += 1;
        }
        Some(())
    }

    fn rows(&mut self, reader: &RowReader<'_>) -> Option<Vec<RawCandle>> {
        /// Most rows are longer, and there are not more of them.
        const SHORT_ROW: usize = 64;
        const MOST_ROWS: usize = 10_000;
        if !self.is_next(b'[') {
            return None;
        }
        let mut candles = Vec::with_capacity((self.text.len() / SHORT_ROW).min(MOST_ROWS));
        let mut first = true;
        while self.more(first, b']')? {
            first = false;
            let row = match reader.response.layout {
                Layout::Array => self.list_row(reader)?,
                _ => self.object_row(reader)?,
            };
            if row.seen & reader.wanted != reader.wanted {
                return None;
            }
            let [_, open, high, low, close, volume] = row.values;
            let open_time = Timestamp::from_millis(row.time);
            candles.push(RawCandle { open_time, open, high, low, close, volume });
        }
        Some(candles)
    }

    fn list_row(&mut self, reader: &RowReader<'_>) -> Option<Row> {
        if !self.is_next(b'[') {
            return None;
        }
        let mut row = Row::EMPTY;
        let mut position = 0;
        while self.more(position == 0, b']')? {
            let fields = reader.positions.get(position).copied().unwrap_or_default();
            position += 1;
            if fields == 0 {
                self.skip(0)?;
                continue;
            }
            let from = self.at;
            for field in 0..row.values.len() {
                if fields & (1 << field) != 0 {
                    self.at = from;
                    self.field(reader, field, &mut row)?;
                }
            }
        }
        Some(row)
    }

    fn object_row(&mut self, reader: &RowReader<'_>) -> Option<Row> {
        if !self.is_next(b'{') {
            return None;
        }
        let mut row = Row::EMPTY;
        let mut first = true;
        while self.more(first, b'}')? {
            first = false;
            let key = self.key()?;
            let from = self.at;
            let mut is_read = false;
            for (_, field, _) in reader.names.iter().filter(|(name, ..)| *name == key) {
                if row.seen & (1 << field) != 0 {
                    return None;
                }
                self.at = from;
                self.field(reader, *field, &mut row)?;
                is_read = true;
            }
            if !is_read {
                self.skip(0)?;
            }
        }
        Some(row)
    }

    fn field(&mut self, reader: &RowReader<'_>, field: usize, row: &mut Row) -> Option<()> {
        let unit = reader.response.unit;
        if field == TIME && unit == TimeUnit::Iso {
            row.time = time(self.string()?, unit)?;
        } else {
            let value = self.value()?;
            if field == TIME {
                row.time = value.time(unit)?;
            } else {
                let shift = if field == VOLUME { reader.volume } else { reader.price };
                *row.values.get_mut(field)? = value.float(shift)?;
            }
        }
        row.seen |= 1 << field;
        Some(())
    }
}

/// Powers of ten that are exact: a whole number below 2^53 divided by one is rounded once, and so
/// correctly.
const POWERS: [f64; 20] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19,
];

impl Number<'_> {
    fn float(&self, shift: Shift) -> Option<f64> {
        match (self.mantissa, POWERS.get(self.decimals)) {
            (Some(mantissa), Some(power)) if shift == Shift::None => {
                let value = mantissa as f64 / power;
                Some(if self.negative { -value } else { value })
            }
            _ => number(self.text, shift),
        }
    }

    fn time(&self, unit: TimeUnit) -> Option<i64> {
        // Ten thousand years, see `time`.
        const FARTHEST: i64 = 315_360_000_000_000;
        let whole = self.mantissa.filter(|_| self.is_whole && !self.negative);
        match (whole.and_then(|whole| i64::try_from(whole).ok()), unit) {
            (Some(whole), TimeUnit::Ms) if whole <= FARTHEST => Some(whole),
            (Some(whole), TimeUnit::S) if whole <= FARTHEST / 1_000 => Some(whole * 1_000),
            _ => time(self.text, unit),
        }
    }
}

/// Whether eight bytes are digits.
fn are_digits(eight: u64) -> bool {
    let above = eight.wrapping_add(0x4646_4646_4646_4646);
    let below = eight.wrapping_sub(0x3030_3030_3030_3030);
    (above | below) & 0x8080_8080_8080_8080 == 0
}

/// The number that eight digits are, the first in the lowest byte: pairs, then fours, then all.
fn eight_digits(eight: u64) -> u64 {
    const MASK: u64 = 0x0000_00ff_0000_00ff;
    let digits = eight.wrapping_sub(0x3030_3030_3030_3030);
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    let first = (pairs & MASK).wrapping_mul(0x000f_4240_0000_0064);
    let second = ((pairs >> 16) & MASK).wrapping_mul(0x0000_2710_0000_0001);
    first.wrapping_add(second) >> 32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::exchange::Exchange;

    /// What both readers make of a body; the plain one may pass.
    fn both(id: &str, endpoint: usize, body: &[u8]) -> (Option<Vec<u64>>, Option<Vec<u64>>) {
        let exchange = Exchange::find(id).unwrap();
        let response = &exchange.record.candles[endpoint].response;
        let path: Vec<String> = match id {
            "okx" => vec!["data".to_owned()],
            _ => Vec::new(),
        };
        let bits = |candles: Vec<RawCandle>| {
            let row = |c: RawCandle| {
                let values = [c.open, c.high, c.low, c.close, c.volume].map(f64::to_bits);
                [c.open_time.as_millis().cast_unsigned()].into_iter().chain(values)
            };
            candles.into_iter().flat_map(row).collect()
        };
        let mut reader = RowReader::new(response);
        let plain = plain_rows(&reader, &path, body).map(bits);
        let outcome = reader.read_any(&path, body);
        let any = outcome.is_ok().then(|| bits(std::mem::take(&mut reader.candles)));
        (plain, any.filter(|_| reader.found))
    }

    fn field() -> impl Strategy<Value = String> {
        let number = prop_oneof![
            8 => r"-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,18})?",
            2 => any::<f64>().prop_map(|value| value.to_string()),
            1 => r"-?[0-9]{0,3}\.?[0-9]{0,3}([eE][+-]?[0-9]{0,3})?",
            1 => r#"null|true|\{\}|\[\]|nan|inf|\+1| 1|1 |\\u0031|"#,
        ];
        (number, any::<bool>()).prop_map(
            |(number, quoted)| {
                if quoted { format!("\"{number}\"") } else { number }
            },
        )
    }

    fn blank() -> impl Strategy<Value = &'static str> {
        prop_oneof![9 => Just(""), 1 => Just(" \n"), 1 => Just("\t\r ")]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn prop_what_is_read_plainly_reads_the_same_in_general(
            rows in proptest::collection::vec(
                (0_i64..4_000_000_000_000, proptest::collection::vec(field(), 5..9)), 0..4),
            other in r#"(true|"a[^\\"]{0,2}"|\[1, \{"b":null\}\]|"\\n"|\{\}|-0\.5)"#,
            blank in blank(),
            which in 0_usize..3,
            (cut, put) in (0_usize..4_000, proptest::option::of(r#"[-0-9.,:"\[\]{}e\\a ]"#)),
        ) {
            let list = |(time, fields): &(i64, Vec<String>)| {
                format!("[{time},{blank}{}]", fields.join(","))
            };
            let object = |(time, fields): &(i64, Vec<String>)| {
                let names = ["o", "h", "l", "c", "v", "x", "t", "y"];
                let pairs = names.iter().zip(fields).map(|(n, f)| format!("\"{n}\":{f}"));
                format!("{{\"t\":{time},{}}}", pairs.collect::<Vec<_>>().join(","))
            };
            let (id, mut body) = match which {
                0 => ("binance", rows.iter().map(list).collect::<Vec<_>>().join(",")),
                1 => ("hyperliquid", rows.iter().map(object).collect::<Vec<_>>().join(",")),
                _ => ("okx", rows.iter().map(list).collect::<Vec<_>>().join(",")),
            };
            body = format!("{blank}[{body}]{blank}");
            if id == "okx" {
                body = format!("{{\"code\":{other},{blank}\"data\":{body},\"msg\":{other}}}");
            }
            if let Some(put) = put && body.is_char_boundary(cut) {
                body.replace_range(cut..(cut + 1).min(body.len()), &put);
            }
            let (plain, any) = both(id, 0, body.as_bytes());
            if let Some(plain) = plain {
                prop_assert_eq!(Some(plain), any, "{}", body);
            }
        }

        #[test]
        fn prop_usual_numbers_are_read_plainly_and_exactly(
            text in r"-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,12})?",
            quoted in any::<bool>(),
        ) {
            let value = if quoted { format!("\"{text}\"") } else { text.clone() };
            let body = format!("[[1700000000000,{value},{value},{value},{value},{value},0]]");
            let (plain, _) = both("binance", 0, body.as_bytes());
            let bits = text.parse::<f64>().unwrap().to_bits();
            let expected = [1_700_000_000_000, bits, bits, bits, bits, bits];
            prop_assert_eq!(plain.unwrap(), expected);
        }
    }
}
