//! The functions of the record language.

use serde_json::Value as Json;

use super::evaluate::{Names, element, equal, evaluate, member};
use super::value::LONGEST_TEXT;
use super::{Expression, ExpressionError, Value};
use crate::time_field::parse_calendar;

/// Names a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::exchange) enum Function {
    Min,
    Max,
    Floor,
    Ceil,
    Seconds,
    Micros,
    Nanos,
    Iso,
    IsoSeconds,
    Date,
    ShortDate,
    ParseTime,
    Text,
    Int,
    Number,
    Power10,
    Lower,
    Upper,
    Split,
    Replace,
    StripPrefix,
    StripSuffix,
    StartsWith,
    EndsWith,
    Contains,
    Length,
    Slice,
    OneOf,
    Currency,
    Raw,
    Find,
    Keys,
    First,
    Last,
    IndexOf,
    Map,
}

/// Name, function, fewest and most arguments.
const FUNCTIONS: [(&str, Function, usize, usize); 36] = [
    ("min", Function::Min, 1, 8),
    ("max", Function::Max, 1, 8),
    ("floor", Function::Floor, 2, 2),
    ("ceil", Function::Ceil, 2, 2),
    ("s", Function::Seconds, 1, 1),
    ("us", Function::Micros, 1, 1),
    ("ns", Function::Nanos, 1, 1),
    ("iso", Function::Iso, 1, 1),
    ("iso_s", Function::IsoSeconds, 1, 1),
    ("date", Function::Date, 2, 2),
    ("yymmdd", Function::ShortDate, 1, 1),
    ("parse_time", Function::ParseTime, 1, 1),
    ("text", Function::Text, 1, 1),
    ("int", Function::Int, 1, 1),
    ("number", Function::Number, 1, 1),
    ("pow10", Function::Power10, 1, 1),
    ("lower", Function::Lower, 1, 1),
    ("upper", Function::Upper, 1, 1),
    ("split", Function::Split, 3, 3),
    ("replace", Function::Replace, 3, 3),
    ("strip_prefix", Function::StripPrefix, 2, 2),
    ("strip_suffix", Function::StripSuffix, 2, 2),
    ("starts_with", Function::StartsWith, 2, 2),
    ("ends_with", Function::EndsWith, 2, 2),
    ("contains", Function::Contains, 2, 2),
    ("len", Function::Length, 1, 1),
    ("slice", Function::Slice, 2, 3),
    ("one_of", Function::OneOf, 2, 64),
    ("currency", Function::Currency, 1, 1),
    ("raw", Function::Raw, 1, 1),
    ("find", Function::Find, 3, 3),
    ("keys", Function::Keys, 1, 1),
    ("first", Function::First, 1, 1),
    ("last", Function::Last, 1, 1),
    ("index_of", Function::IndexOf, 2, 2),
    ("map", Function::Map, 3, 65),
];

impl Function {
    pub(super) fn find(name: &str, arguments: usize) -> Result<Self, String> {
        let Some((_, function, fewest, most)) = FUNCTIONS.iter().find(|f| f.0 == name) else {
            return Err(format!("no function is called `{name}`"));
        };
        if (*fewest..=*most).contains(&arguments) {
            Ok(*function)
        } else {
            Err(format!("`{name}` takes {fewest} to {most} arguments, got {arguments}"))
        }
    }
}

pub(super) fn call<'a>(
    function: Function,
    arguments: &'a [Expression],
    names: &dyn Names<'a>,
) -> Result<Value<'a>, ExpressionError> {
    let values: Vec<Value<'a>> =
        arguments.iter().map(|argument| evaluate(argument, names)).collect::<Result<_, _>>()?;
    match function {
        Function::Min => return extreme(values, true),
        Function::Max => return extreme(values, false),
        Function::OneOf => {
            let (wanted, rest) = values.split_first().unwrap_or((&Value::Absent, &[]));
            return Ok(Value::Bool(rest.iter().any(|value| equal(value, wanted))));
        }
        Function::Map => return Ok(mapped(values)),
        _ => {}
    }
    let mut values = values.into_iter();
    let mut next = || values.next().unwrap_or(Value::Absent);
    let (first, second, third) = (next(), next(), next());
    // A test of something absent fails; anything else of something absent is absent.
    if first.is_absent() {
        return Ok(match function {
            Function::StartsWith | Function::EndsWith | Function::Contains => Value::Bool(false),
            _ => Value::Absent,
        });
    }
    match function {
        Function::Floor | Function::Ceil => multiple(function, &first, &second),
        Function::Seconds => integer(&first).map(|ms| Value::Int(ms.div_euclid(1000))),
        Function::Int => integer(&first).map(Value::Int),
        Function::Micros => scaled(&first, 1_000),
        Function::Nanos => scaled(&first, 1_000_000),
        Function::Iso => date(&first, "%Y-%m-%dT%H:%M:%S.%3fZ"),
        Function::IsoSeconds => date(&first, "%Y-%m-%dT%H:%M:%SZ"),
        Function::ShortDate => date(&first, "%y%m%d"),
        Function::Date => date(&first, &second.to_text().unwrap_or_default()),
        Function::ParseTime => {
            let text = first.to_text().unwrap_or_default();
            let time = parse_calendar(text.as_bytes());
            Ok(time.map_or(Value::Absent, |time| Value::Int(time.as_millis().into())))
        }
        Function::Number => Ok(first.as_number().map_or(Value::Absent, Value::Number)),
        Function::Power10 => {
            let exponent = integer(&first)?;
            let power = u32::try_from(exponent).ok().and_then(|e| 10_i128.checked_pow(e));
            power.map(Value::Int).ok_or_else(|| ExpressionError::new("pow10: 0 to 38 expected"))
        }
        Function::Length => Ok(match (&first, first.to_text()) {
            (Value::Json(Json::Array(list)), _) => count(list.len()),
            (Value::Json(Json::Object(object)), _) => count(object.len()),
            (_, Some(text)) => count(text.chars().count()),
            _ => Value::Absent,
        }),
        Function::Contains => Ok(Value::Bool(match &first {
            Value::Json(Json::Array(list)) => list.iter().any(|e| equal(&Value::of(e), &second)),
            Value::Json(Json::Object(object)) => {
                second.to_text().is_some_and(|key| object.contains_key(&key))
            }
            _ => first.to_text().zip(second.to_text()).is_some_and(|(a, b)| a.contains(&b)),
        })),
        Function::Find => Ok(find(&first, &second, &third)),
        Function::First => Ok(element(&first, &Value::Int(0))),
        Function::Last => Ok(element(&first, &Value::Int(-1))),
        Function::IndexOf => Ok(index_of(&first, &second)),
        Function::Keys => Ok(match &first {
            Value::Json(Json::Object(object)) => {
                Value::text(object.keys().map(String::as_str).collect::<Vec<_>>().join(","))
            }
            _ => Value::Absent,
        }),
        _ => text_function(function, &first, &second, &third, names),
    }
}

fn text_function<'a>(
    function: Function,
    first: &Value<'a>,
    second: &Value<'a>,
    third: &Value<'a>,
    names: &dyn Names<'a>,
) -> Result<Value<'a>, ExpressionError> {
    let Some(text) = first.to_text() else {
        return Ok(Value::Absent);
    };
    let other = second.to_text().unwrap_or_default();
    Ok(match function {
        Function::Text => Value::text(text),
        Function::Raw => Value::Raw(text),
        Function::Lower => Value::text(text.to_lowercase()),
        Function::Upper => Value::text(text.to_uppercase()),
        Function::Currency => Value::text(names.currency(&text)),
        Function::Split => return split(&text, &other, third),
        Function::Replace if other.is_empty() => Value::text(text),
        Function::Replace => {
            let by = third.to_text().unwrap_or_default();
            let replaced = text.replace(&other, &by);
            if replaced.len() > LONGEST_TEXT {
                return Err(ExpressionError::new("a text grew too long"));
            }
            Value::text(replaced)
        }
        Function::StripPrefix => Value::text(text.strip_prefix(&*other).unwrap_or(&text)),
        Function::StripSuffix => Value::text(text.strip_suffix(&*other).unwrap_or(&text)),
        Function::StartsWith => Value::Bool(text.starts_with(&*other)),
        Function::EndsWith => Value::Bool(text.ends_with(&*other)),
        Function::Slice => {
            let characters: Vec<char> = text.chars().collect();
            let position = |value: &Value<'_>, otherwise: usize| {
                let length = i128::try_from(characters.len()).unwrap_or(i128::MAX);
                value.as_int().map_or(otherwise, |at| {
                    let at = if at < 0 { at + length } else { at };
                    usize::try_from(at.clamp(0, length)).unwrap_or(otherwise)
                })
            };
            let (from, to) = (position(second, 0), position(third, characters.len()));
            Value::text(characters.get(from..to).unwrap_or_default().iter().collect::<String>())
        }
        _ => Value::Absent,
    })
}

fn extreme(values: Vec<Value<'_>>, least: bool) -> Result<Value<'_>, ExpressionError> {
    let mut best: Option<Value<'_>> = None;
    for value in values {
        if value.is_absent() {
            continue;
        }
        let Some(number) = value.as_number() else {
            return Err(ExpressionError::new(format!("{value:?} is no number")));
        };
        let wins = match best.as_ref().and_then(Value::as_number) {
            None => true,
            Some(current) if least => number < current,
            Some(current) => number > current,
        };
        if wins {
            best = Some(value);
        }
    }
    Ok(best.unwrap_or(Value::Absent))
}

/// The first value, or what stands after its equal among the others.
fn mapped(values: Vec<Value<'_>>) -> Value<'_> {
    let mut values = values.into_iter();
    let wanted = values.next().unwrap_or(Value::Absent);
    while let (Some(from), Some(to)) = (values.next(), values.next()) {
        if equal(&from, &wanted) {
            return to;
        }
    }
    wanted
}

fn integer(value: &Value<'_>) -> Result<i128, ExpressionError> {
    let truncated = || value.as_number().filter(|n| n.abs() < 1e30).map(|n| n.trunc() as i128);
    value
        .as_int()
        .or_else(truncated)
        .ok_or_else(|| ExpressionError::new(format!("{value:?} is no whole number")))
}

fn scaled<'a>(value: &Value<'_>, by: i128) -> Result<Value<'a>, ExpressionError> {
    let scaled = integer(value)?.checked_mul(by);
    scaled.map(Value::Int).ok_or_else(|| ExpressionError::new("a time out of range"))
}

fn multiple<'a>(
    function: Function,
    value: &Value<'_>,
    step: &Value<'_>,
) -> Result<Value<'a>, ExpressionError> {
    if step.is_absent() {
        return Ok(Value::Absent);
    }
    let (value, step) = (integer(value)?, integer(step)?);
    let below = value.checked_rem_euclid(step).and_then(|rest| value.checked_sub(rest));
    let result = match below {
        Some(below) if function == Function::Ceil && below != value => below.checked_add(step),
        other => other,
    };
    result.map(Value::Int).ok_or_else(|| ExpressionError::new("a step of 0 or an overflow"))
}

fn date<'a>(millis: &Value<'_>, format: &str) -> Result<Value<'a>, ExpressionError> {
    let millis = integer(millis)?;
    let instant = i64::try_from(millis).ok();
    let instant = instant.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    let instant = instant.ok_or_else(|| ExpressionError::new(format!("{millis} is no date")))?;
    let zoned = instant.to_zoned(jiff::tz::TimeZone::UTC);
    let text = jiff::fmt::strtime::format(format, &zoned);
    text.map(Value::text).map_err(|e| ExpressionError::new(e.to_string()))
}

fn split<'a>(text: &str, by: &str, index: &Value<'_>) -> Result<Value<'a>, ExpressionError> {
    if by.is_empty() {
        return Err(ExpressionError::new("split wants a separator"));
    }
    let pieces: Vec<&str> = text.split(by).collect();
    let index = integer(index)?;
    let length = i128::try_from(pieces.len()).unwrap_or(i128::MAX);
    let at = usize::try_from(if index < 0 { index + length } else { index }).ok();
    Ok(at.and_then(|at| pieces.get(at)).map_or(Value::Absent, |piece| Value::text(*piece)))
}

fn count<'a>(length: usize) -> Value<'a> {
    i128::try_from(length).map_or(Value::Absent, Value::Int)
}

fn find<'a>(list: &Value<'a>, key: &Value<'_>, wanted: &Value<'_>) -> Value<'a> {
    let (Value::Json(Json::Array(list)), Some(key)) = (list, key.to_text()) else {
        return Value::Absent;
    };
    let found = list.iter().map(Value::of).find(|row| equal(&member(row, &key), wanted));
    found.unwrap_or(Value::Absent)
}

fn index_of<'a>(list: &Value<'a>, wanted: &Value<'_>) -> Value<'a> {
    let Value::Json(Json::Array(list)) = list else {
        return Value::Absent;
    };
    list.iter().position(|e| equal(&Value::of(e), wanted)).map_or(Value::Absent, count)
}
