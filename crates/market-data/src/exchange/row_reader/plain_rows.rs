//! Reads rows in the plain form in which nearly all of them come, several times as fast.
//!
//! Whatever is unusual - an escaped text, a null, a name given twice, a row too short, broken JSON -
//! is left to the general reader, and with it every error. What is read here reads the same there.

use forecastle_core::{RawCandle, Timestamp};

use super::json_scan::{DEEPEST, Number, Scan};
use super::{FARTHEST, Layout, Row, RowReader, Shift, TIME, VOLUME, number, time};
use crate::exchange::record::TimeUnit;

/// Follows `path` into `body` and reads the rows there; `None` to leave it to the general reader.
pub(super) fn plain_rows(
    reader: &RowReader<'_>,
    path: &[String],
    body: &[u8],
) -> Option<Vec<RawCandle>> {
    if reader.names.iter().any(|(.., rank)| *rank > 0) {
        return None;
    }
    let mut scan = Scan { text: std::str::from_utf8(body).ok()?, at: 0 };
    let mut candles = None;
    scan.follow(reader, path, &mut candles, 0)?;
    scan.blank();
    (scan.at == body.len()).then_some(candles?)
}

impl Scan<'_> {
    fn follow(
        &mut self,
        reader: &RowReader<'_>,
        path: &[String],
        candles: &mut Option<Vec<RawCandle>>,
        depth: u32,
    ) -> Option<()> {
        self.blank();
        let Some((step, rest)) = path.split_first() else {
            let rows = match reader.response.layout {
                Layout::Columns => self.columns(reader)?,
                _ => self.rows(reader)?,
            };
            // Rows that come a second time are unusual.
            let again = candles.replace(rows).is_some();
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
            candles.push(row.candle(reader)?);
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

    fn columns(&mut self, reader: &RowReader<'_>) -> Option<Vec<RawCandle>> {
        if !self.is_next(b'{') {
            return None;
        }
        let mut rows: Vec<Row> = Vec::new();
        let mut seen = 0;
        let mut first = true;
        while self.more(first, b'}')? {
            first = false;
            let key = self.key()?;
            let mut fields = reader.names.iter().filter(|(name, ..)| *name == key);
            let Some((_, field, _)) = fields.next() else {
                self.skip(0)?;
                continue;
            };
            if fields.next().is_some() || seen & (1 << field) != 0 || !self.is_next(b'[') {
                return None;
            }
            let mut length = 0;
            while self.more(length == 0, b']')? {
                if seen == 0 {
                    rows.push(Row::EMPTY);
                }
                self.field(reader, *field, rows.get_mut(length)?)?;
                length += 1;
            }
            if length != rows.len() {
                return None;
            }
            seen |= 1 << field;
        }
        // Without any column there is nothing that says that there are no rows.
        if seen & reader.wanted != reader.wanted {
            return None;
        }
        rows.into_iter().map(|row| row.candle(reader)).collect()
    }

    fn field(&mut self, reader: &RowReader<'_>, field: usize, row: &mut Row) -> Option<()> {
        let unit = reader.response.unit;
        if field == TIME && unit == TimeUnit::Iso {
            row.time = time(self.string()?, unit)?;
        } else {
            let value = self.value()?;
            if field == TIME {
                row.time = time_of(value, unit)?;
            } else {
                let shift = if field == VOLUME { reader.volume } else { reader.price };
                *row.values.get_mut(field)? = float_of(value, shift)?;
            }
        }
        row.seen |= 1 << field;
        Some(())
    }
}

impl Row {
    /// The candle, if nothing is missing.
    fn candle(&self, reader: &RowReader<'_>) -> Option<RawCandle> {
        let [_, open, high, low, close, volume] = self.values;
        let open_time = Timestamp::from_millis(self.time);
        let is_whole = self.seen & reader.wanted == reader.wanted;
        is_whole.then_some(RawCandle { open_time, open, high, low, close, volume })
    }
}

fn float_of(value: Number<'_>, shift: Shift) -> Option<f64> {
    let float = value.float().filter(|_| shift == Shift::None);
    float.or_else(|| number(value.text, shift))
}

fn time_of(value: Number<'_>, unit: TimeUnit) -> Option<i64> {
    match (value.whole(), unit) {
        (Some(whole), TimeUnit::Ms) if whole <= FARTHEST => Some(whole),
        (Some(whole), TimeUnit::S) if whole <= FARTHEST / 1_000 => Some(whole * 1_000),
        _ => time(value.text, unit),
    }
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
            "deribit" => vec!["result".to_owned()],
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

    /// The columns of an object; short rows make columns of unequal lengths.
    fn columns(rows: &[(i64, Vec<String>)], blank: &str) -> String {
        let times: Vec<String> = rows.iter().map(|(time, _)| time.to_string()).collect();
        let names = ["open", "high", "low", "close", "volume", "more", "open"];
        let others = names.iter().enumerate().map(|(at, name)| {
            let column: Vec<&str> =
                rows.iter().filter_map(|(_, fields)| fields.get(at).map(String::as_str)).collect();
            format!("\"{name}\":[{}]", column.join(","))
        });
        let others: Vec<String> = others.take(4 + rows.len().max(1)).collect();
        format!("\"ticks\":[{}]{blank},{}", times.join(","), others.join(","))
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
            which in 0_usize..4,
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
                2 => ("okx", rows.iter().map(list).collect::<Vec<_>>().join(",")),
                _ => ("deribit", columns(&rows, blank)),
            };
            body = match id {
                "deribit" => format!("{{\"x\":{other},\"result\":{{{body}}}}}"),
                _ => format!("{blank}[{body}]{blank}"),
            };
            if id == "okx" {
                body = format!("{{\"code\":{other},{blank}\"data\":{body},\"msg\":{other}}}");
            }
            if let Some(put) = put && body.is_char_boundary(cut) {
                let next = body[cut..].chars().next().map_or(0, char::len_utf8);
                body.replace_range(cut..cut + next, &put);
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
