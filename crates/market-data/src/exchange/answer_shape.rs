//! The response rule turned round: what an answer must look like for its record to read it.

use std::cell::RefCell;

use forecastle_core::Timestamp;
use serde_json::{Map, Value as Json};

use super::definition::Exchange;
use super::error::ExchangeResult;
use super::expression::{ExpressionError, Names, Value};
use super::query::CandleQuery;
use super::record::{Column, Layout, Paging, Response, TimeUnit};
use super::request::RequestNames;

/// States how an answer to a query is laid out, and which of the record's endpoints gives it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AnswerShape {
    /// The endpoint's place in the record.
    pub(crate) endpoint: usize,
    pub(crate) paging: Paging,
    pub(crate) max_rows: Option<u32>,
    pub(crate) depth: Option<u32>,
    /// The way from the root to the rows.
    pub(crate) path: Vec<String>,
    pub(crate) rows: RowShape,
    /// Whether a lone row may come without its list.
    pub(crate) single: bool,
    /// The root's other fields, such that the answer counts as a success.
    pub(crate) envelope: Map<String, Json>,
}

/// States how a row is written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RowShape {
    pub(crate) layout: RowLayout,
    /// Where time, open, high, low, close and volume stand.
    pub(crate) fields: [Option<Field>; 6],
    pub(crate) unit: AnswerTime,
    /// What is added to an open time before it is written.
    pub(crate) time_offset_ms: i64,
    pub(crate) price: Option<f64>,
    pub(crate) volume: Option<f64>,
}

impl RowShape {
    /// The shape of rows whose times and numbers are written as they are.
    pub(super) fn of(response: &Response) -> Self {
        let place = |column: &Column| match column {
            Column::Position(position) => Some(Field::Position(*position)),
            Column::Name(name) => Some(Field::Name(name.clone())),
            Column::Names(names) => names.first().map(|name| Field::Name(name.clone())),
        };
        Self {
            layout: match response.layout {
                Layout::Array => RowLayout::Arrays,
                Layout::Object => RowLayout::Objects,
                Layout::Columns => RowLayout::Columns,
            },
            fields: [
                place(&response.time),
                place(&response.open),
                place(&response.high),
                place(&response.low),
                place(&response.close),
                response.volume.as_ref().and_then(place),
            ],
            unit: match response.unit {
                TimeUnit::Ms => AnswerTime::Millis,
                TimeUnit::S => AnswerTime::Seconds,
                TimeUnit::Us => AnswerTime::Micros,
                TimeUnit::Ns => AnswerTime::Nanos,
                TimeUnit::Iso => AnswerTime::Calendar,
            },
            time_offset_ms: 0,
            price: None,
            volume: None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowLayout {
    Arrays,
    Objects,
    Columns,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Field {
    Position(usize),
    Name(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AnswerTime {
    Millis,
    Seconds,
    Micros,
    Nanos,
    Calendar,
}

impl Exchange {
    /// The shape of the answer to a query.
    ///
    /// # Errors
    /// - [`ExchangeError::Record`](super::ExchangeError::Record) when the record's rule cannot be
    ///   turned round.
    pub(crate) fn answer_shape(&self, query: &CandleQuery<'_>) -> ExchangeResult<AnswerShape> {
        let names = self.names(query)?;
        let response = &names.endpoint.response;
        let mut path = Vec::with_capacity(response.rows.len());
        for step in &response.rows {
            let step = self.text("response.rows", step, &names)?;
            path.push(step.ok_or_else(|| self.wrong_record("response.rows", "a step is absent"))?);
        }
        let rows = RowShape::of(response);
        let layout = rows.layout;
        let divisor = |field: &str, template: &Option<_>| -> ExchangeResult<Option<f64>> {
            let Some(template) = template else { return Ok(None) };
            let divisor = self.evaluate(field, template, &names)?.as_number();
            let lacking =
                || self.wrong_record(field, format!("{} has no scale", query.market.symbol));
            divisor.filter(|divisor| *divisor > 0.0).ok_or_else(lacking).map(Some)
        };
        let at = |endpoint: &_| std::ptr::eq(endpoint, names.endpoint);
        let envelope = self.envelope(&path, layout)?;
        Ok(AnswerShape {
            endpoint: self.record.candles.iter().position(at).unwrap_or_default(),
            paging: names.endpoint.paging,
            max_rows: names.endpoint.max_rows,
            depth: names.endpoint.depth,
            rows: RowShape {
                time_offset_ms: self.time_offset(&names)?,
                price: divisor("response.price_divisor", &response.price_divisor)?,
                volume: divisor("response.volume_divisor", &response.volume_divisor)?,
                ..rows
            },
            single: response.single,
            envelope,
            path,
        })
    }

    /// Words by which this exchange's clients recognise an unknown symbol.
    pub(crate) fn unknown_symbol_words(&self) -> Option<&str> {
        self.record.errors.unknown_symbol.first().map(String::as_str)
    }

    /// What must be added to an open time so that the record's rule leads back to it.
    fn time_offset(&self, names: &RequestNames<'_>) -> ExchangeResult<i64> {
        let Some(rule) = &names.endpoint.response.open_time else {
            return Ok(0);
        };
        let length = names.query.timeframe.nominal_millis();
        let opens = [20_000, 20_001, 20_017].map(|index| index * length);
        for offset in [0, length, length - 1, -1, 1] {
            let mut leads_back = true;
            for open in opens {
                let written = WrittenTime { time: open + offset, request: *names };
                let read = self.evaluate("response.open_time", rule, &written)?.as_int();
                leads_back &= read == Some(open.into());
            }
            if leads_back {
                return Ok(offset);
            }
        }
        Err(self.wrong_record("response.open_time", "no time of a row leads to its open time"))
    }

    /// Fields beside the rows such that `errors.failed` does not hold: those that the rule reads,
    /// with the first usual value of a success that it takes for one.
    fn envelope(&self, path: &[String], layout: RowLayout) -> ExchangeResult<Map<String, Json>> {
        let mut fields = Map::new();
        let Some(failed) = &self.record.errors.failed else {
            return Ok(fields);
        };
        if path.is_empty() && layout != RowLayout::Columns {
            return Ok(fields);
        }
        let mut decided: Vec<String> = path.first().cloned().into_iter().collect();
        let judge = |fields: &Map<String, Json>| -> ExchangeResult<(bool, Vec<String>)> {
            let mut root = fields.clone();
            if let Some(step) = path.first() {
                root.insert(step.clone(), Json::Array(Vec::new()));
            }
            let root = Json::Object(root);
            let names = Recorder { exchange: self, root: &root, read: RefCell::default() };
            let fails = self.evaluate("errors.failed", failed, &names)?.is_true();
            Ok((fails, names.read.into_inner()))
        };
        loop {
            let (_, read) = judge(&fields)?;
            let Some(name) = read.into_iter().find(|name| !decided.contains(name)) else {
                return Ok(fields);
            };
            for value in successes(&name) {
                fields.insert(name.clone(), value);
                if !judge(&fields)?.0 {
                    break;
                }
                fields.remove(&name);
            }
            decided.push(name);
        }
    }
}

/// Usual values of a field in an answer that went well, likeliest first.
fn successes(name: &str) -> Vec<Json> {
    let lower = name.to_lowercase();
    let mut values: Vec<Json> = Vec::new();
    if lower.contains("success") || lower == "ok" {
        values.extend([true.into(), 1.into()]);
    } else if lower.contains("err") {
        values.push(Json::Array(Vec::new()));
        values.push("".into());
    } else if !lower.contains("code") {
        values.extend(["ok".into(), "success".into()]);
    }
    let codes: [Json; 8] = [
        0.into(),
        "0".into(),
        "00000".into(),
        "0000".into(),
        200.into(),
        "200".into(),
        "200000".into(),
        "SUCCESS".into(),
    ];
    values.extend(codes);
    values
}

/// The names of an answer, remembering which were read.
struct Recorder<'a> {
    exchange: &'a Exchange,
    root: &'a Json,
    read: RefCell<Vec<String>>,
}

impl<'a> Names<'a> for Recorder<'a> {
    fn name(&self, name: &str) -> Result<Value<'a>, ExpressionError> {
        if name == "@root" {
            return Ok(Value::of(self.root));
        }
        self.read.borrow_mut().push(name.to_owned());
        Ok(self.root.get(name).map_or(Value::Absent, Value::of))
    }

    fn currency(&self, code: &str) -> String {
        self.exchange.currency(code)
    }
}

/// The names of a row about to be written.
struct WrittenTime<'q> {
    time: i64,
    request: RequestNames<'q>,
}

impl<'a> Names<'a> for WrittenTime<'_> {
    fn name(&self, name: &str) -> Result<Value<'a>, ExpressionError> {
        match name {
            "time" => Ok(Value::Int(Timestamp::from_millis(self.time).as_millis().into())),
            _ => self.request.name(name),
        }
    }

    fn currency(&self, code: &str) -> String {
        self.request.exchange.currency(code)
    }
}
