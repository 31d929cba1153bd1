//! The small language of the records: times, parameters and market rows.
//!
//! `docs/adding-an-exchange.md` describes it for people who write a record.

mod evaluate;
mod functions;
mod parse;
mod template;
mod value;

pub(super) use evaluate::Names;
pub(super) use template::{Encoding, Template};
pub(super) use value::Value;

use std::fmt;

/// One parsed expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expression {
    Constant(Literal),
    Name(String),
    Field(Box<Expression>, String),
    Index(Box<Expression>, Box<Expression>),
    Negate(Box<Expression>),
    Not(Box<Expression>),
    Binary(Operator, Box<Expression>, Box<Expression>),
    Choose(Box<Expression>, Box<Expression>, Box<Expression>),
    Call(functions::Function, Vec<Expression>),
}

impl Expression {
    fn collect_names<'e>(&'e self, names: &mut Vec<&'e str>) {
        match self {
            Self::Constant(_) => {}
            Self::Name(name) => names.push(name),
            Self::Field(of, _) | Self::Negate(of) | Self::Not(of) => of.collect_names(names),
            Self::Index(left, right) | Self::Binary(_, left, right) => {
                left.collect_names(names);
                right.collect_names(names);
            }
            Self::Choose(condition, yes, no) => {
                [condition, yes, no].iter().for_each(|part| part.collect_names(names));
            }
            Self::Call(_, arguments) => arguments.iter().for_each(|a| a.collect_names(names)),
        }
    }

    fn collect_outcomes<'e>(&'e self, outcomes: &mut Vec<&'e str>) {
        match self {
            Self::Constant(Literal::Text(text)) => outcomes.push(text),
            Self::Choose(_, left, right) | Self::Binary(Operator::Otherwise, left, right) => {
                left.collect_outcomes(outcomes);
                right.collect_outcomes(outcomes);
            }
            _ => {}
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Literal {
    Absent,
    Bool(bool),
    Int(i128),
    Number(f64),
    Text(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Otherwise,
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// What is wrong with an expression, when it is read or when it is evaluated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ExpressionError(pub(super) String);

impl ExpressionError {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

impl fmt::Display for ExpressionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ExpressionError {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value as Json, json};

    use super::*;

    struct Row(Json);

    impl<'a> Names<'a> for &'a Row {
        fn name(&self, name: &str) -> Result<Value<'a>, ExpressionError> {
            Ok(self.0.get(name).map_or(Value::Absent, Value::of))
        }

        fn currency(&self, code: &str) -> String {
            let aliases = BTreeMap::from([("XBT", "BTC")]);
            aliases.get(code).map_or_else(|| code.to_owned(), |&alias| alias.to_owned())
        }
    }

    fn evaluate(text: &str, row: &Json) -> String {
        let row = Row(row.clone());
        let template = Template::parse(&format!("{{{text}}}")).unwrap();
        match template.value(&&row).unwrap() {
            Value::Absent => "absent".to_owned(),
            value => value.to_text().unwrap(),
        }
    }

    #[test]
    fn operators_bind_as_in_c_with_otherwise_below_them() {
        let row = json!({"since": 1000, "tf": 60, "now": 5000});
        for (text, expected) in [
            ("1 + 2 * 3", "7"),
            ("(1 + 2) * 3", "9"),
            ("7 - 2 - 1", "4"),
            ("-7 / 2", "-4"),
            ("-7 % 4", "1"),
            ("limit ?? 100", "100"),
            ("since ?? now - limit * tf", "1000"),
            ("until ?? now - 2 * tf", "4880"),
            ("since + limit * tf", "absent"),
            ("min(now, since + (limit ?? 100) * tf)", "5000"),
            ("min(now, since + limit * tf) ?? 1", "5000"),
            ("since < now - tf ? 'old' : 'new'", "old"),
            ("limit == absent && since != absent ? 1 : 2", "1"),
            ("!limit || false", "true"),
            ("since == '1000'", "true"),
            ("1 < 2 == true", "true"),
            ("limit < 1", "false"),
        ] {
            assert_eq!(evaluate(text, &row), expected, "{text}");
        }
    }

    #[test]
    fn fields_indices_and_odd_names_reach_into_rows() {
        let row = json!({
            "a": {"b": [10, {"c": "x"}]}, "base-currency": "btc", "n": null, "k": "b",
            "list": [{"id": 1, "name": "one"}, {"id": 2, "name": "two"}],
        });
        for (text, expected) in [
            ("a.b[0]", "10"),
            ("a[k][1].c", "x"),
            ("a.b[-1].c", "x"),
            ("a.b[7]", "absent"),
            ("a.x.y.z", "absent"),
            ("n ?? 'none'", "none"),
            ("upper(`base-currency`)", "BTC"),
            ("find(list, 'id', 2).name", "two"),
            ("len(a.b)", "2"),
            ("contains('abc', 'bc') && !contains('abc', 'x')", "true"),
        ] {
            assert_eq!(evaluate(text, &row), expected, "{text}");
        }
    }

    #[test]
    fn texts_and_times_are_taken_apart_and_written() {
        let row = json!({"id": "BTC-USDT-SWAP", "t": 1_759_881_612_345_i64, "p": "1e-05"});
        for (text, expected) in [
            ("split(id, '-', 0) + '/' + split(id, '-', -2)", "BTC/USDT"),
            ("split(id, '-', 5)", "absent"),
            ("slice(id, 0, 3) + slice(id, -4)", "BTCSWAP"),
            ("strip_suffix(strip_prefix(id, 'BTC-'), '-SWAP')", "USDT"),
            ("replace(lower(id), '-', '')", "btcusdtswap"),
            ("currency('XBT')", "BTC"),
            ("s(t)", "1759881612"),
            ("us(t)", "1759881612345000"),
            ("ns(t)", "1759881612345000000"),
            ("iso(t)", "2025-10-08T00:00:12.345Z"),
            ("iso_s(t)", "2025-10-08T00:00:12Z"),
            ("date(t, '%Y-%m-%d %H:%M:%S')", "2025-10-08 00:00:12"),
            ("yymmdd(t)", "251008"),
            ("parse_time('2025-10-08 00:00:12')", "1759881612000"),
            ("parse_time('2025-10-08T00:00:12.345678Z')", "1759881612345"),
            ("floor(t, 60000)", "1759881600000"),
            ("ceil(t, 60000)", "1759881660000"),
            ("number(p) * 2", "0.00002"),
            ("int('12') + 1", "13"),
            ("pow10(3)", "1000"),
            ("one_of(id, 'A', 'BTC-USDT-SWAP')", "true"),
            ("map(id, 'A', 'first', 'BTC-USDT-SWAP', 'second')", "second"),
            ("map(t, 'A', 'first')", "1759881612345"),
        ] {
            assert_eq!(evaluate(text, &row), expected, "{text}");
        }
    }

    #[test]
    fn malformed_expressions_are_refused() {
        for text in [
            "",
            "1 +",
            "(1",
            "a.",
            "a[1",
            "'open",
            "`open",
            "nope(1)",
            "min()",
            "1 2",
            "a ? b",
            "#",
            "99999999999999999999999999999999999999999",
        ] {
            assert!(Template::parse(&format!("{{{text}}}")).is_err(), "{text}");
        }
        assert!(Template::parse(&format!("{{{}1{}}}", "(".repeat(500), ")".repeat(500))).is_err());
        assert!(Template::parse("a{").is_err());
        assert!(Template::parse("a}").is_err());
    }

    #[test]
    fn overflow_is_an_error_and_no_panic() {
        let row = Row(json!({"x": u64::MAX}));
        for text in ["{x*x*x*x}", "{1/0}", "{1%0}", "{pow10(99)}", "{floor(1, 0)}", "{iso(x*x)}"] {
            assert!(Template::parse(text).unwrap().value(&&row).is_err(), "{text}");
        }
    }

    #[test]
    fn templates_keep_a_lone_value_and_join_the_rest() {
        let row = Row(json!({"id": "A/B", "n": 5}));
        let text = |template: &str, encoding| {
            Template::parse(template).unwrap().text(&&row, encoding).unwrap()
        };
        assert_eq!(text("trade:{n}:{id}", Encoding::Path).unwrap(), "trade:5:A%2FB");
        assert_eq!(text("/{raw(id)}/x", Encoding::Path).unwrap(), "/A/B/x");
        assert_eq!(text("{{{n}}}", Encoding::None).unwrap(), "{5}");
        assert_eq!(text("x{gone}", Encoding::None), None);
        let lone = Template::parse("{n}").unwrap();
        assert_eq!(lone.value(&&row).unwrap().as_int(), Some(5));
    }
}
