use forecastle_core::{Error, Result};
use serde_json::{Map, Number, Value};

/// Arrays and objects within each other; XGBoost's models have nine.
const DEEPEST: usize = 32;

/// Reads a UBJSON document (draft 12, as XGBoost writes it) whole. Numbers that are not finite
/// become null.
pub(super) fn parse(bytes: &[u8]) -> Result<Value> {
    let mut reader = Reader { rest: bytes };
    let marker = reader.byte()?;
    let value = reader.value(marker, 0)?;
    if reader.rest.is_empty() {
        return Ok(value);
    }
    Err(malformed("bytes after its end"))
}

fn malformed(what: &str) -> Error {
    Error::artifact(format!("the XGBoost model is malformed: {what}"))
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        let (taken, rest) =
            self.rest.split_at_checked(n).ok_or_else(|| malformed("it ends too soon"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| malformed("it ends too soon"))
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(self.fixed::<1>()?[0])
    }

    fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// A number of the marker's type.
    fn number(&mut self, marker: u8) -> Result<Value> {
        let float = |v: f64| Number::from_f64(v).map_or(Value::Null, Value::Number);
        Ok(match marker {
            b'i' => i8::from_be_bytes(self.fixed()?).into(),
            b'U' => u8::from_be_bytes(self.fixed()?).into(),
            b'I' => i16::from_be_bytes(self.fixed()?).into(),
            b'l' => i32::from_be_bytes(self.fixed()?).into(),
            b'L' => i64::from_be_bytes(self.fixed()?).into(),
            b'd' => float(f64::from(f32::from_be_bytes(self.fixed()?))),
            b'D' => float(f64::from_be_bytes(self.fixed()?)),
            _ => return Err(malformed("a value of unknown type")),
        })
    }

    /// A length, which cannot be more than the bytes left.
    fn length(&mut self) -> Result<usize> {
        let marker = self.byte()?;
        let length = self.number(marker)?.as_u64().and_then(|n| usize::try_from(n).ok());
        let fits = length.filter(|&n| n <= self.rest.len());
        fits.ok_or_else(|| malformed("a length past its end"))
    }

    fn text(&mut self) -> Result<String> {
        let length = self.length()?;
        let text = str::from_utf8(self.take(length)?);
        text.map(str::to_owned).map_err(|_| malformed("a text that is not UTF-8"))
    }

    fn value(&mut self, marker: u8, depth: usize) -> Result<Value> {
        if depth > DEEPEST {
            return Err(malformed("it is nested too deep"));
        }
        match marker {
            b'Z' => Ok(Value::Null),
            b'T' => Ok(true.into()),
            b'F' => Ok(false.into()),
            b'S' => Ok(self.text()?.into()),
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            marker => self.number(marker),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value> {
        let mut object = Map::new();
        while self.peek() != Some(b'}') {
            let key = self.text()?;
            let marker = self.byte()?;
            let value = self.value(marker, depth + 1)?;
            // XGBoost keeps the first of two, this would keep the last.
            if object.insert(key, value).is_some() {
                return Err(malformed("a key that comes twice"));
            }
        }
        self.byte()?;
        Ok(Value::Object(object))
    }

    fn array(&mut self, depth: usize) -> Result<Value> {
        let mut array = Vec::new();
        let mut marker = None;
        if self.peek() == Some(b'$') {
            self.byte()?;
            marker = Some(self.byte()?);
            if self.peek() != Some(b'#') {
                return Err(malformed("an array with a type and no length"));
            }
        }
        if self.peek() == Some(b'#') {
            self.byte()?;
            let length = self.length()?;
            for _ in 0..length {
                array.push(match marker {
                    Some(marker) => self.number(marker)?,
                    None => {
                        let marker = self.byte()?;
                        self.value(marker, depth + 1)?
                    }
                });
            }
            return Ok(Value::Array(array));
        }
        while self.peek() != Some(b']') {
            let marker = self.byte()?;
            array.push(self.value(marker, depth + 1)?);
        }
        self.byte()?;
        Ok(Value::Array(array))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_type_is_read() {
        let mut bytes = b"{U\x01a[$d#U\x02".to_vec();
        bytes.extend(1.5_f32.to_be_bytes());
        bytes.extend(f32::INFINITY.to_be_bytes());
        bytes.extend(b"U\x01b[#i\x03i\xffl\x00\x00\x01\x00TU\x01c[SU\x02hiFZ]U\x01d{}}");
        let expected =
            json!({"a": [1.5, null], "b": [-1, 256, true], "c": ["hi", false, null], "d": {}});
        assert_eq!(parse(&bytes).unwrap(), expected);
        for cut in 0..bytes.len() {
            assert!(parse(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        bytes.push(b'Z');
        assert!(parse(&bytes).is_err());
    }

    #[test]
    fn hostile_lengths_and_depths_are_refused() {
        assert!(parse(b"[#L\x7f\xff\xff\xff\xff\xff\xff\xff").is_err());
        assert!(parse(b"[#i\xff").is_err());
        assert!(parse(b"[$Z#L\x00\x00\x00\x00\x00\x00\x00\x01").is_err());
        assert!(parse(&[b'['; 100_000]).is_err());
        assert!(parse(b"{U\x01aZU\x01aZ}").is_err());
        assert!(parse(b"SU\x01\xff").is_err());
        assert!(parse(b"").is_err());
    }
}
