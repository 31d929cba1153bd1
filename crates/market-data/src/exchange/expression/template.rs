use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::evaluate::{Names, evaluate};
use super::parse::Parser;
use super::value::LONGEST_TEXT;
use super::{Expression, ExpressionError, Value};

/// Literal text with `{expression}` in it.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::exchange) struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Literal(String),
    Expression(Expression),
}

/// How interpolated values are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::exchange) enum Encoding {
    None,
    /// As one segment of a URL's path.
    Path,
}

/// What RFC 3986 allows in a path segment stays as it is.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b':')
    .remove(b'@')
    .remove(b',')
    .remove(b'=');

impl Template {
    pub(in crate::exchange) fn parse(text: &str) -> Result<Self, ExpressionError> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut at = 0;
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            if rest.starts_with("{{") || rest.starts_with("}}") {
                literal.push_str(&rest[..1]);
                at += 2;
            } else if rest.starts_with('{') {
                if !literal.is_empty() {
                    parts.push(Part::Literal(std::mem::take(&mut literal)));
                }
                let mut parser = Parser::new(text, at + 1);
                let expression = parser.expression()?;
                if !parser.take("}") {
                    return Err(parser.error("`}` expected"));
                }
                at = parser.position();
                parts.push(Part::Expression(expression));
            } else if rest.starts_with('}') {
                return Err(ExpressionError::new(format!("a `}}` without `{{` in {text:?}")));
            } else {
                let end = rest.find(['{', '}']).unwrap_or(rest.len());
                literal.push_str(rest.get(..end).unwrap_or_default());
                at += end;
            }
        }
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Ok(Self { parts })
    }

    /// Every name that its expressions use.
    pub(in crate::exchange) fn names(&self) -> Vec<&str> {
        let mut names = Vec::new();
        for part in &self.parts {
            if let Part::Expression(expression) = part {
                expression.collect_names(&mut names);
            }
        }
        names
    }

    /// The texts that stand in it as a whole: itself without expressions, else what its lone
    /// expression chooses from.
    pub(in crate::exchange) fn outcomes(&self) -> Vec<&str> {
        let mut outcomes = Vec::new();
        match self.parts.as_slice() {
            [Part::Literal(text)] => outcomes.push(text.as_str()),
            [Part::Expression(expression)] => expression.collect_outcomes(&mut outcomes),
            _ => {}
        }
        outcomes
    }

    /// The value: of a lone expression its own, else the joined text.
    pub(in crate::exchange) fn value<'a>(
        &'a self,
        names: &dyn Names<'a>,
    ) -> Result<Value<'a>, ExpressionError> {
        if let [Part::Expression(expression)] = self.parts.as_slice() {
            return evaluate(expression, names);
        }
        Ok(self.text(names, Encoding::None)?.map_or(Value::Absent, Value::text))
    }

    /// The text; `None` when something in it is absent.
    pub(in crate::exchange) fn text<'a>(
        &'a self,
        names: &dyn Names<'a>,
        encoding: Encoding,
    ) -> Result<Option<String>, ExpressionError> {
        let mut text = String::new();
        for part in &self.parts {
            if text.len() > LONGEST_TEXT {
                return Err(ExpressionError::new("a text grew too long"));
            }
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Expression(expression) => {
                    let value = evaluate(expression, names)?;
                    let Some(piece) = value.to_text() else {
                        return Ok(None);
                    };
                    if encoding == Encoding::Path && !matches!(value, Value::Raw(_)) {
                        let _ = write!(text, "{}", utf8_percent_encode(&piece, SEGMENT));
                    } else {
                        text.push_str(&piece);
                    }
                }
            }
        }
        Ok(Some(text))
    }
}
