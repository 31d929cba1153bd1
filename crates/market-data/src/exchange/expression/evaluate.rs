use serde_json::Value as Json;

use super::functions::call;
use super::value::LONGEST_TEXT;
use super::{Expression, ExpressionError, Literal, Operator, Value};

type Evaluated<'a> = Result<Value<'a>, ExpressionError>;

/// Gives the names of an expression their values.
pub(in crate::exchange) trait Names<'a> {
    /// The value of a name; absent when it has none.
    fn name(&self, name: &str) -> Evaluated<'a>;

    /// A currency code after the exchange's aliases.
    fn currency(&self, code: &str) -> String;
}

pub(super) fn evaluate<'a>(expression: &'a Expression, names: &dyn Names<'a>) -> Evaluated<'a> {
    match expression {
        Expression::Constant(literal) => Ok(constant(literal)),
        Expression::Name(name) => names.name(name),
        Expression::Field(of, field) => Ok(member(&evaluate(of, names)?, field)),
        Expression::Index(of, index) => {
            let of = evaluate(of, names)?;
            Ok(element(&of, &evaluate(index, names)?))
        }
        Expression::Negate(of) => {
            arithmetic(Operator::Subtract, &Value::Int(0), &evaluate(of, names)?)
        }
        Expression::Not(of) => Ok(Value::Bool(!evaluate(of, names)?.is_true())),
        Expression::Choose(condition, yes, no) => {
            let chosen = if evaluate(condition, names)?.is_true() { yes } else { no };
            evaluate(chosen, names)
        }
        Expression::Binary(operator, left, right) => binary(*operator, left, right, names),
        Expression::Call(function, arguments) => call(*function, arguments, names),
    }
}

fn constant(literal: &Literal) -> Value<'_> {
    match literal {
        Literal::Absent => Value::Absent,
        Literal::Bool(flag) => Value::Bool(*flag),
        Literal::Int(int) => Value::Int(*int),
        Literal::Number(number) => Value::Number(*number),
        Literal::Text(text) => Value::Text(text.as_str().into()),
    }
}

pub(super) fn member<'a>(of: &Value<'a>, field: &str) -> Value<'a> {
    match of {
        Value::Json(json) => json.get(field).map_or(Value::Absent, Value::of),
        _ => Value::Absent,
    }
}

pub(super) fn element<'a>(of: &Value<'a>, index: &Value<'_>) -> Value<'a> {
    match of {
        Value::Json(Json::Array(list)) => {
            let position = index.as_int().and_then(|index| {
                let length = i128::try_from(list.len()).ok()?;
                usize::try_from(if index < 0 { index + length } else { index }).ok()
            });
            position.and_then(|at| list.get(at)).map_or(Value::Absent, Value::of)
        }
        Value::Json(Json::Object(_)) => {
            index.to_text().map_or(Value::Absent, |key| member(of, &key))
        }
        _ => Value::Absent,
    }
}

fn binary<'a>(
    operator: Operator,
    left: &'a Expression,
    right: &'a Expression,
    names: &dyn Names<'a>,
) -> Evaluated<'a> {
    let left = evaluate(left, names)?;
    match operator {
        Operator::Otherwise if !left.is_absent() => return Ok(left),
        Operator::Or if left.is_true() => return Ok(Value::Bool(true)),
        Operator::And if !left.is_true() => return Ok(Value::Bool(false)),
        _ => {}
    }
    let right = evaluate(right, names)?;
    match operator {
        Operator::Otherwise => Ok(right),
        Operator::Or | Operator::And => Ok(Value::Bool(right.is_true())),
        Operator::Equal => Ok(Value::Bool(equal(&left, &right))),
        Operator::NotEqual => Ok(Value::Bool(!equal(&left, &right))),
        Operator::Less => Ok(Value::Bool(before(&left, &right, false))),
        Operator::LessOrEqual => Ok(Value::Bool(before(&left, &right, true))),
        Operator::Greater => Ok(Value::Bool(before(&right, &left, false))),
        Operator::GreaterOrEqual => Ok(Value::Bool(before(&right, &left, true))),
        _ => arithmetic(operator, &left, &right),
    }
}

/// Numbers by value, everything else by its text, so that "1" equals 1.
pub(super) fn equal(left: &Value<'_>, right: &Value<'_>) -> bool {
    match (left, right) {
        (Value::Absent, Value::Absent) => true,
        (Value::Absent, _) | (_, Value::Absent) => false,
        (Value::Json(left), Value::Json(right)) => left == right,
        (Value::Int(left), Value::Int(right)) => left == right,
        (Value::Int(_) | Value::Number(_), Value::Int(_) | Value::Number(_)) => {
            left.as_number() == right.as_number()
        }
        _ => left.to_text() == right.to_text() && left.to_text().is_some(),
    }
}

fn before(left: &Value<'_>, right: &Value<'_>, or_equal: bool) -> bool {
    let order = match (left.as_int(), right.as_int()) {
        (Some(left), Some(right)) => Some(left.cmp(&right)),
        _ => match (left.as_number(), right.as_number()) {
            (Some(left), Some(right)) => left.partial_cmp(&right),
            _ => match (left.to_text(), right.to_text()) {
                (Some(left), Some(right)) => Some(left.cmp(&right)),
                _ => None,
            },
        },
    };
    order.is_some_and(|order| if or_equal { order.is_le() } else { order.is_lt() })
}

fn arithmetic<'a>(operator: Operator, left: &Value<'a>, right: &Value<'a>) -> Evaluated<'a> {
    if left.is_absent() || right.is_absent() {
        return Ok(Value::Absent);
    }
    let is_text = |value: &Value<'_>| matches!(value, Value::Text(_) | Value::Raw(_));
    if operator == Operator::Add && (is_text(left) || is_text(right)) {
        return match (left.to_text(), right.to_text()) {
            (Some(left), Some(right)) if left.len() + right.len() > LONGEST_TEXT => {
                Err(ExpressionError::new("a text grew too long"))
            }
            (Some(left), Some(right)) => Ok(Value::text(left + &right)),
            _ => Ok(Value::Absent),
        };
    }
    if let (Some(left), Some(right)) = (left.as_int(), right.as_int()) {
        let result = match operator {
            Operator::Add => left.checked_add(right),
            Operator::Subtract => left.checked_sub(right),
            Operator::Multiply => left.checked_mul(right),
            Operator::Divide => left.checked_div_euclid(right),
            _ => left.checked_rem_euclid(right),
        };
        let result = result.ok_or_else(|| ExpressionError::new("an overflow or division by 0"))?;
        return Ok(Value::Int(result));
    }
    let (Some(left), Some(right)) = (left.as_number(), right.as_number()) else {
        return Err(ExpressionError::new(format!("{left:?} and {right:?} are no two numbers")));
    };
    let result = match operator {
        Operator::Add => left + right,
        Operator::Subtract => left - right,
        Operator::Multiply => left * right,
        Operator::Divide => left / right,
        _ => left.rem_euclid(right),
    };
    if result.is_finite() {
        Ok(Value::Number(result))
    } else {
        Err(ExpressionError::new("a number out of range"))
    }
}
