//! From text to [`Expression`]: precedence climbing over a scanner of bytes.

use super::functions::Function;
use super::{Expression, ExpressionError, Literal, Operator};

type Parsed = Result<Expression, ExpressionError>;

/// Deeper nesting is refused, so that hostile records cannot overflow the stack.
const MAX_DEPTH: usize = 64;

pub(super) struct Parser<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
}

impl<'t> Parser<'t> {
    pub(super) fn new(text: &'t str, at: usize) -> Self {
        Self { text, at, depth: 0 }
    }

    /// Where the next byte stands.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    pub(super) fn expression(&mut self) -> Parsed {
        self.deeper(|parser| {
            let condition = parser.binary(0)?;
            if !parser.take_choice() {
                return Ok(condition);
            }
            let yes = parser.expression()?;
            if !parser.take(":") {
                return Err(parser.error("`:` of a choice expected"));
            }
            let no = parser.expression()?;
            Ok(Expression::Choose(Box::new(condition), Box::new(yes), Box::new(no)))
        })
    }

    fn deeper(&mut self, parse: impl FnOnce(&mut Self) -> Parsed) -> Parsed {
        if self.depth >= MAX_DEPTH {
            return Err(self.error("too deeply nested"));
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    fn binary(&mut self, lowest: u8) -> Parsed {
        let mut left = self.unary()?;
        let mut operators = 0;
        while let Some((operator, strength, width)) = self.peek_operator() {
            if strength < lowest {
                break;
            }
            operators += 1;
            if operators > MAX_DEPTH {
                return Err(self.error("too many operators in one expression"));
            }
            self.at += width;
            let right = self.deeper(|parser| parser.binary(strength + 1))?;
            left = Expression::Binary(operator, Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn peek_operator(&mut self) -> Option<(Operator, u8, usize)> {
        const OPERATORS: [(&str, Operator, u8); 14] = [
            ("??", Operator::Otherwise, 0),
            ("||", Operator::Or, 1),
            ("&&", Operator::And, 2),
            ("==", Operator::Equal, 3),
            ("!=", Operator::NotEqual, 3),
            ("<=", Operator::LessOrEqual, 4),
            (">=", Operator::GreaterOrEqual, 4),
            ("<", Operator::Less, 4),
            (">", Operator::Greater, 4),
            ("+", Operator::Add, 5),
            ("-", Operator::Subtract, 5),
            ("*", Operator::Multiply, 6),
            ("/", Operator::Divide, 6),
            ("%", Operator::Remainder, 6),
        ];
        self.skip_blanks();
        let rest = self.rest();
        let found = OPERATORS.iter().find(|(sign, ..)| rest.starts_with(sign));
        found.map(|(sign, operator, strength)| (*operator, *strength, sign.len()))
    }

    fn unary(&mut self) -> Parsed {
        self.deeper(|parser| {
            parser.skip_blanks();
            if parser.take("!") {
                return Ok(Expression::Not(Box::new(parser.unary()?)));
            }
            if parser.take("-") {
                return Ok(Expression::Negate(Box::new(parser.unary()?)));
            }
            let inner = parser.primary()?;
            parser.postfix(inner)
        })
    }

    fn postfix(&mut self, mut inner: Expression) -> Parsed {
        for _ in 0..MAX_DEPTH {
            if self.take(".") {
                let field = self.name()?;
                inner = Expression::Field(Box::new(inner), field);
            } else if self.take("[") {
                let index = self.expression()?;
                if !self.take("]") {
                    return Err(self.error("`]` expected"));
                }
                inner = Expression::Index(Box::new(inner), Box::new(index));
            } else {
                return Ok(inner);
            }
        }
        Err(self.error("too many fields in a row"))
    }

    fn primary(&mut self) -> Parsed {
        self.skip_blanks();
        match self.rest().bytes().next() {
            Some(b'(') => {
                self.at += 1;
                let inner = self.expression()?;
                if self.take(")") { Ok(inner) } else { Err(self.error("`)` expected")) }
            }
            Some(b'\'') => self.quoted('\'').map(|t| Expression::Constant(Literal::Text(t))),
            Some(b'0'..=b'9') => self.number(),
            Some(_) => self.name_or_call(),
            None => Err(self.error("an expression is missing")),
        }
    }

    fn name_or_call(&mut self) -> Parsed {
        let quoted = self.rest().starts_with('`');
        let name = self.name()?;
        if quoted {
            return Ok(Expression::Name(name));
        }
        if name == "extra" && self.take(".") {
            return Ok(Expression::Name(format!("extra.{}", self.name()?)));
        }
        if !self.take("(") {
            return Ok(match name.as_str() {
                "absent" => Expression::Constant(Literal::Absent),
                "true" => Expression::Constant(Literal::Bool(true)),
                "false" => Expression::Constant(Literal::Bool(false)),
                _ => Expression::Name(name),
            });
        }
        let mut arguments = Vec::new();
        if !self.take(")") {
            loop {
                arguments.push(self.expression()?);
                if self.take(")") {
                    break;
                }
                if !self.take(",") {
                    return Err(self.error("`,` or `)` expected"));
                }
            }
        }
        let function = Function::find(&name, arguments.len()).map_err(|e| self.error(&e))?;
        Ok(Expression::Call(function, arguments))
    }

    fn name(&mut self) -> Result<String, ExpressionError> {
        self.skip_blanks();
        if self.rest().starts_with('`') {
            return self.quoted('`');
        }
        let in_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '@';
        let rest = self.rest();
        let end = rest.find(|c| !in_name(c)).unwrap_or(rest.len());
        let Some(name) = rest.get(..end).filter(|name| !name.is_empty()) else {
            return Err(self.error("a name is expected"));
        };
        self.at += end;
        Ok(name.to_owned())
    }

    fn quoted(&mut self, quote: char) -> Result<String, ExpressionError> {
        let inner = self.rest().strip_prefix(quote).unwrap_or_default();
        let Some((text, _)) = inner.split_once(quote) else {
            return Err(self.error("a quote is not closed"));
        };
        self.at += text.len() + 2;
        Ok(text.to_owned())
    }

    fn number(&mut self) -> Parsed {
        let rest = self.rest();
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let fraction = rest.get(end..).unwrap_or_default();
        let digits = fraction.strip_prefix('.').unwrap_or_default();
        let digits = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        let whole = if fraction.starts_with('.') && digits > 0 { end + 1 + digits } else { end };
        let text = rest.get(..whole).unwrap_or_default();
        let literal = if whole == end {
            text.parse().map(Literal::Int).ok()
        } else {
            text.parse().map(Literal::Number).ok()
        };
        let literal = literal.ok_or_else(|| self.error("a number is too large"))?;
        self.at += whole;
        Ok(Expression::Constant(literal))
    }

    /// `?` of a choice, not `??`.
    fn take_choice(&mut self) -> bool {
        self.skip_blanks();
        !self.rest().starts_with("??") && self.take("?")
    }

    pub(super) fn take(&mut self, sign: &str) -> bool {
        self.skip_blanks();
        let found = self.rest().starts_with(sign);
        if found {
            self.at += sign.len();
        }
        found
    }

    fn skip_blanks(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    pub(super) fn error(&self, reason: &str) -> ExpressionError {
        ExpressionError::new(format!("{reason} at byte {} of {:?}", self.at, self.text))
    }
}
