//! Protobuf messages by a record's table of fields, read into JSON and written from it.
//!
//! Whole numbers and texts are all that candles need; other fields are stepped over.

use serde_json::{Map, Value as Json};

use super::channel_record::{ProtobufField, ProtobufMessage};

const VARINT: u64 = 0;
const FIXED_64: u64 = 1;
const LENGTH: u64 = 2;
const FIXED_32: u64 = 5;

/// Reads a message; the error says what is wrong with it.
pub(super) fn decode(bytes: &[u8], fields: &ProtobufMessage) -> Result<Json, String> {
    let mut rest = bytes;
    let mut object = Map::new();
    while !rest.is_empty() {
        let key = varint(&mut rest)?;
        let (number, wire) = (key >> 3, key & 7);
        let known = fields.iter().find(|(_, field)| u64::from(field.number()) == number);
        let value = match wire {
            VARINT => {
                // int64 as two's complement.
                Json::from(i64::from_ne_bytes(varint(&mut rest)?.to_ne_bytes()))
            }
            FIXED_64 => skipped(&mut rest, 8)?,
            FIXED_32 => skipped(&mut rest, 4)?,
            LENGTH => {
                let length = usize::try_from(varint(&mut rest)?).unwrap_or(usize::MAX);
                let inner = take(&mut rest, length)?;
                match known {
                    None => Json::Null,
                    Some((_, ProtobufField::Message { message, .. })) => decode(inner, message)?,
                    Some((name, ProtobufField::Scalar(_))) => {
                        let text = std::str::from_utf8(inner);
                        text.map_err(|_| format!("field `{name}` is no text"))?.into()
                    }
                }
            }
            _ => return Err(format!("field {number} has the unknown wire type {wire}")),
        };
        if let Some((name, field)) = known {
            let fits = match field {
                ProtobufField::Scalar(_) => wire == VARINT || wire == LENGTH,
                ProtobufField::Message { .. } => wire == LENGTH,
            };
            if !fits {
                return Err(format!("field `{name}` has the wire type {wire}"));
            }
            object.insert(name.clone(), value);
        }
    }
    Ok(Json::Object(object))
}

impl ProtobufField {
    fn number(&self) -> u32 {
        match self {
            Self::Scalar(field) | Self::Message { field, .. } => *field,
        }
    }
}

fn varint(rest: &mut &[u8]) -> Result<u64, String> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, after) = rest.split_first().ok_or("it ends inside a number")?;
        *rest = after;
        value |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err("a number is too long".to_owned())
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], String> {
    let (taken, after) = rest.split_at_checked(length).ok_or("it ends inside a field")?;
    *rest = after;
    Ok(taken)
}

fn skipped(rest: &mut &[u8], length: usize) -> Result<Json, String> {
    take(rest, length).map(|_| Json::Null)
}

/// Writes a message: numbers as int64, everything else as texts.
#[cfg(all(feature = "replay", feature = "websocket"))]
pub(super) fn encode(json: &Json, fields: &ProtobufMessage) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, field) in fields {
        let Some(value) = json.get(name) else { continue };
        let key = u64::from(field.number()) << 3;
        let inner = match (field, value) {
            (ProtobufField::Message { message, .. }, value) => encode(value, message),
            (ProtobufField::Scalar(_), Json::Number(number)) if number.is_i64() => {
                push_varint(key | VARINT, &mut bytes);
                let number = number.as_i64().unwrap_or_default();
                push_varint(u64::from_ne_bytes(number.to_ne_bytes()), &mut bytes);
                continue;
            }
            (ProtobufField::Scalar(_), Json::String(text)) => text.clone().into_bytes(),
            (ProtobufField::Scalar(_), other) => other.to_string().into_bytes(),
        };
        push_varint(key | LENGTH, &mut bytes);
        push_varint(u64::try_from(inner.len()).unwrap_or_default(), &mut bytes);
        bytes.extend(inner);
    }
    bytes
}

#[cfg(all(feature = "replay", feature = "websocket"))]
fn push_varint(mut value: u64, bytes: &mut Vec<u8>) {
    while value >= 0x80 {
        bytes.push(u8::try_from(value & 0x7F).unwrap_or_default() | 0x80);
        value >>= 7;
    }
    bytes.push(u8::try_from(value).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fields() -> ProtobufMessage {
        let inner = ProtobufMessage::from([
            ("text".to_owned(), ProtobufField::Scalar(1)),
            ("number".to_owned(), ProtobufField::Scalar(2)),
        ]);
        ProtobufMessage::from([
            ("name".to_owned(), ProtobufField::Scalar(1)),
            ("inner".to_owned(), ProtobufField::Message { field: 308, message: inner }),
        ])
    }

    #[test]
    fn fields_are_read_by_number_and_others_stepped_over() {
        let bytes = [
            // 1: "abc"; 9: 150 as a varint; 7: four bytes; 6: eight bytes
            &[0x0A, 3, b'a', b'b', b'c', 0x48, 0x96, 1, 0x3D, 1, 2, 3, 4][..],
            &[0x31, 1, 2, 3, 4, 5, 6, 7, 8],
            // 308: { 1: "x", 2: -1 }
            &[0xA2, 0x13, 14, 0x0A, 1, b'x', 0x10],
            &[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1],
        ]
        .concat();
        let read = decode(&bytes, &fields()).unwrap();
        let expected = serde_json::json!({"name": "abc", "inner": {"text": "x", "number": -1}});
        assert_eq!(read, expected);
    }

    #[test]
    fn damaged_messages_are_refused() {
        for (bytes, reason) in [
            (&[0x0A, 9, b'a'][..], "it ends inside a field"),
            (&[0x0A], "it ends inside a number"),
            (&[0xFF; 11], "a number is too long"),
            (&[0x0A, 1, 0xFF], "field `name` is no text"),
            (&[0x0B, 1], "unknown wire type 3"),
            (&[0xA0, 0x13, 1], "field `inner` has the wire type 0"),
            (&[0x0D, 1, 2, 3, 4], "field `name` has the wire type 5"),
        ] {
            let error = decode(bytes, &fields()).unwrap_err();
            assert!(error.contains(reason), "{bytes:?}: {error}");
        }
    }

    #[cfg(all(feature = "replay", feature = "websocket"))]
    #[test]
    fn what_is_written_is_read_back() {
        let json =
            serde_json::json!({"name": "é", "inner": {"text": "1.50", "number": 1_754_737_920}});
        assert_eq!(decode(&encode(&json, &fields()), &fields()).unwrap(), json);
        let negative = serde_json::json!({"inner": {"number": i64::MIN}});
        assert_eq!(decode(&encode(&negative, &fields()), &fields()).unwrap(), negative);
    }

    proptest! {
        #[test]
        fn prop_random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes, &fields());
        }
    }
}
