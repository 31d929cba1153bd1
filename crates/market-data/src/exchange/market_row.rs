//! From one row of an exchange's list to a market.

use std::cell::RefCell;
use std::collections::BTreeMap;

use forecastle_core::Timestamp;
use serde_json::Value as Json;

use super::definition::Exchange;
use super::expression::{ExpressionError, Names, Template, Value};
use super::market::{Market, MarketType};
use super::market_calls::EachRow;
use super::record::MarketRule;

pub(super) enum Taken {
    Market(Box<Market>),
    Filtered,
    Incomplete,
}

/// The names of one row of a list.
pub(super) struct MarketRowNames<'a> {
    pub(super) exchange: &'a Exchange,
    pub(super) rule: &'a MarketRule,
    pub(super) row: &'a Json,
    pub(super) key: Option<&'a str>,
    pub(super) index: usize,
    pub(super) root: &'a Json,
    pub(super) also: &'a [&'a Json],
    /// The row of another list that the answer is about.
    pub(super) about: Option<&'a EachRow>,
    /// The rule's own names, once they were asked for; `None` while being found.
    pub(super) known: RefCell<BTreeMap<&'a str, Option<Value<'a>>>>,
}

pub(super) type Failed = (&'static str, ExpressionError);

impl<'a> MarketRowNames<'a> {
    pub(super) fn market(&'a self) -> Result<Taken, Failed> {
        let rule = self.rule;
        if let Some(filter) = &rule.filter
            && !self.value("where", filter)?.is_true()
        {
            return Ok(Taken::Filtered);
        }
        let id = self.text("id", &rule.id)?;
        let base = self.currency_of("base", Some(&rule.base))?;
        let quote = self.currency_of("quote", Some(&rule.quote))?;
        let (Some(id), Some((base_id, base)), Some((quote_id, quote))) = (id, base, quote) else {
            return Ok(Taken::Incomplete);
        };
        let (settle_id, settle) = self.currency_of("settle", rule.settle.as_ref())?.unzip();
        let market_type = self.text("type", &rule.market_type)?;
        // An exchange may begin to list what this record does not know.
        let Some(market_type) = market_type.as_deref().and_then(MarketType::parse) else {
            return Ok(Taken::Incomplete);
        };
        let expiry = self.whole("expiry", rule.expiry.as_ref())?.filter(|ms| *ms > 0);
        let strike = self.number("strike", rule.strike.as_ref())?;
        let option_type = self.optional("option_type", rule.option_type.as_ref())?;
        let symbol = match self.optional("symbol", rule.symbol.as_ref())? {
            Some(symbol) => symbol,
            None => {
                let mut symbol = format!("{base}/{quote}");
                if let Some(settle) = &settle {
                    symbol = format!("{symbol}:{settle}");
                }
                if let Some(expiry) = expiry.filter(|_| market_type != MarketType::Swap) {
                    symbol = format!("{symbol}-{}", date_of(expiry));
                }
                if let (MarketType::Option, Some(strike), Some(option_type)) =
                    (market_type, strike, &option_type)
                {
                    let letter = if option_type == "put" { "P" } else { "C" };
                    symbol = format!("{symbol}-{strike}-{letter}");
                }
                symbol
            }
        };
        // Spot is neither, though a few spot markets name a settlement currency.
        let contract_settle = settle.as_ref().filter(|_| market_type != MarketType::Spot);
        let settles_in = |currency: &String| contract_settle.map(|settle| settle == currency);
        let linear = match &rule.linear {
            Some(linear) => self.flag("linear", Some(linear))?,
            None => settles_in(&quote),
        };
        let inverse = match &rule.inverse {
            Some(inverse) => self.flag("inverse", Some(inverse))?,
            None => settles_in(&base),
        };
        let mut extra = BTreeMap::new();
        for (name, template) in &rule.extra {
            if let Some(value) = self.text("extra", template)? {
                extra.insert(name.clone(), value);
            }
        }
        Ok(Taken::Market(Box::new(Market {
            id,
            symbol,
            linear,
            inverse,
            base_id: self.optional("base_id", rule.base_id.as_ref())?.unwrap_or(base_id),
            quote_id: self.optional("quote_id", rule.quote_id.as_ref())?.unwrap_or(quote_id),
            settle_id: self.optional("settle_id", rule.settle_id.as_ref())?.or(settle_id),
            base,
            quote,
            settle,
            market_type,
            active: self.flag("active", rule.active.as_ref())?,
            contract_size: self.number("contract_size", rule.contract_size.as_ref())?,
            expiry: expiry.map(Timestamp::from_millis),
            strike,
            option_type,
            extra,
        })))
    }

    fn value(&'a self, field: &'static str, template: &'a Template) -> Result<Value<'a>, Failed> {
        template.value(self).map_err(|e| (field, e))
    }

    fn text(
        &'a self,
        field: &'static str,
        template: &'a Template,
    ) -> Result<Option<String>, Failed> {
        Ok(self.value(field, template)?.to_text().filter(|text| !text.is_empty()))
    }

    /// A currency's own name and its unified code; `raw(…)` is a unified code already.
    fn currency_of(
        &'a self,
        field: &'static str,
        template: Option<&'a Template>,
    ) -> Result<Option<(String, String)>, Failed> {
        let Some(template) = template else { return Ok(None) };
        let value = self.value(field, template)?;
        let Some(id) = value.to_text().filter(|id| !id.is_empty()) else {
            return Ok(None);
        };
        let code = match value {
            Value::Raw(code) => code,
            _ => self.exchange.currency(&id),
        };
        Ok(Some((id, code)))
    }

    fn optional(
        &'a self,
        field: &'static str,
        template: Option<&'a Template>,
    ) -> Result<Option<String>, Failed> {
        template.map_or(Ok(None), |template| self.text(field, template))
    }

    fn flag(
        &'a self,
        field: &'static str,
        template: Option<&'a Template>,
    ) -> Result<Option<bool>, Failed> {
        let Some(template) = template else { return Ok(None) };
        let value = self.value(field, template)?;
        Ok((!value.is_absent()).then(|| value.is_true()))
    }

    fn number(
        &'a self,
        field: &'static str,
        template: Option<&'a Template>,
    ) -> Result<Option<f64>, Failed> {
        let Some(template) = template else { return Ok(None) };
        Ok(self.value(field, template)?.as_number())
    }

    fn whole(
        &'a self,
        field: &'static str,
        template: Option<&'a Template>,
    ) -> Result<Option<i64>, Failed> {
        let Some(template) = template else { return Ok(None) };
        let whole = self.value(field, template)?.as_int();
        Ok(whole.and_then(|whole| i64::try_from(whole).ok()))
    }

    fn own(&self, name: &str) -> Result<Option<Value<'a>>, ExpressionError> {
        let Some((name, template)) = self.rule.names.get_key_value(name) else {
            return Ok(None);
        };
        if let Some(known) = self.known.borrow().get(name.as_str()) {
            let circle = || ExpressionError::new(format!("`{name}` needs itself"));
            return known.clone().ok_or_else(circle).map(Some);
        }
        self.known.borrow_mut().insert(name, None);
        let value = template.value(self)?;
        self.known.borrow_mut().insert(name, Some(value.clone()));
        Ok(Some(value))
    }
}

impl<'a> Names<'a> for MarketRowNames<'a> {
    fn name(&self, name: &str) -> Result<Value<'a>, ExpressionError> {
        if let Some(value) = self.own(name)? {
            return Ok(value);
        }
        Ok(match name {
            "@key" => self.key.map_or(Value::Absent, Value::text),
            "@index" => count(self.index),
            "@row" => Value::of(self.row),
            "@root" => Value::of(self.root),
            "@each" => self.about.map_or(Value::Absent, |row| Value::text(&row.value)),
            "@each_index" => self.about.map_or(Value::Absent, |row| count(row.index)),
            _ => match name.strip_prefix("@response") {
                Some(number) => {
                    let at: Option<usize> = number.parse().ok();
                    let answer = at.and_then(|at| self.also.get(at));
                    answer.map_or(Value::Absent, |json| Value::of(json))
                }
                None => self.row.get(name).map_or(Value::Absent, Value::of),
            },
        })
    }

    fn currency(&self, code: &str) -> String {
        self.exchange.currency(code)
    }
}

/// `260327` for a time.
fn date_of(millis: i64) -> String {
    let instant = jiff::Timestamp::from_millisecond(millis);
    instant.map(|instant| instant.strftime("%y%m%d").to_string()).unwrap_or_default()
}

fn count<'a>(number: usize) -> Value<'a> {
    i128::try_from(number).map_or(Value::Absent, Value::Int)
}
