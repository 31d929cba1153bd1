use std::borrow::Cow;

use serde_json::Value as Json;

/// One value of the record language.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::exchange) enum Value<'a> {
    Absent,
    Bool(bool),
    Int(i128),
    Number(f64),
    Text(Cow<'a, str>),
    /// Text that goes into a path as it is.
    Raw(String),
    /// A list or an object.
    Json(&'a Json),
}

/// No text of a record grows longer, so that a hostile one cannot fill the memory.
pub(super) const LONGEST_TEXT: usize = 1 << 20;

impl<'a> Value<'a> {
    /// A JSON value; null is absent.
    pub(in crate::exchange) fn of(json: &'a Json) -> Self {
        match json {
            Json::Null => Self::Absent,
            Json::Bool(flag) => Self::Bool(*flag),
            Json::Number(number) => match number.as_i64() {
                Some(int) => Self::Int(int.into()),
                None => match number.as_u64() {
                    Some(int) => Self::Int(int.into()),
                    None => Self::Number(number.as_f64().unwrap_or(f64::NAN)),
                },
            },
            Json::String(text) => Self::Text(Cow::Borrowed(text)),
            Json::Array(_) | Json::Object(_) => Self::Json(json),
        }
    }

    pub(in crate::exchange) fn text(text: impl Into<String>) -> Self {
        Self::Text(Cow::Owned(text.into()))
    }

    pub(in crate::exchange) fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// Absent, false, zero and the empty text count as false.
    pub(in crate::exchange) fn is_true(&self) -> bool {
        match self {
            Self::Absent => false,
            Self::Bool(flag) => *flag,
            Self::Int(int) => *int != 0,
            Self::Number(number) => *number != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::Raw(text) => !text.is_empty(),
            Self::Json(Json::Array(list)) => !list.is_empty(),
            Self::Json(Json::Object(object)) => !object.is_empty(),
            Self::Json(_) => true,
        }
    }

    /// The value in writing; `None` when it is absent, a list or an object.
    pub(in crate::exchange) fn to_text(&self) -> Option<String> {
        match self {
            Self::Absent | Self::Json(_) => None,
            Self::Bool(flag) => Some(flag.to_string()),
            Self::Int(int) => Some(int.to_string()),
            Self::Number(number) => Some(number.to_string()),
            Self::Text(text) => Some(text.clone().into_owned()),
            Self::Raw(text) => Some(text.clone()),
        }
    }

    /// The whole number it is or spells.
    pub(in crate::exchange) fn as_int(&self) -> Option<i128> {
        match self {
            Self::Int(int) => Some(*int),
            Self::Number(number) => whole(*number),
            Self::Text(text) => spelled(text),
            Self::Raw(text) => spelled(text),
            _ => None,
        }
    }

    /// The finite number it is or spells.
    pub(in crate::exchange) fn as_number(&self) -> Option<f64> {
        let number = match self {
            Self::Int(int) => *int as f64,
            Self::Number(number) => *number,
            Self::Text(text) => text.trim().parse().ok()?,
            Self::Raw(text) => text.trim().parse().ok()?,
            _ => return None,
        };
        number.is_finite().then_some(number)
    }

    /// As JSON, for a request's body.
    pub(in crate::exchange) fn to_json(&self) -> Option<Json> {
        match self {
            Self::Absent => None,
            Self::Bool(flag) => Some(Json::Bool(*flag)),
            Self::Int(int) => i64::try_from(*int).ok().map(Json::from),
            Self::Number(number) => serde_json::Number::from_f64(*number).map(Json::Number),
            Self::Text(text) => Some(Json::String(text.clone().into_owned())),
            Self::Raw(text) => Some(Json::String(text.clone())),
            Self::Json(json) => Some((*json).clone()),
        }
    }
}

fn whole(number: f64) -> Option<i128> {
    (number.fract() == 0.0 && number.abs() < 1e30).then_some(number as i128)
}

fn spelled(text: &str) -> Option<i128> {
    let text = text.trim();
    text.parse().ok().or_else(|| text.parse().ok().and_then(whole))
}
