//! Which names the templates of a record may use, place by place, and which hosts.

use std::collections::BTreeSet;

use super::channel_record::Channel;
use super::expression::Template;
use super::hint::closest;
use super::record::{Body, Each, Endpoint, ListRequest, MarketRule, OneOrMany, Record, Response};

/// What is wrong with a record: the field and the reason.
pub(super) type Wrong = (String, String);

/// What a market gives.
const MARKET: &[&str] = &[
    "id",
    "symbol",
    "base",
    "quote",
    "settle",
    "base_id",
    "quote_id",
    "settle_id",
    "type",
    "linear",
    "inverse",
];
/// What a symbol gives where there is no list.
const SYMBOL: &[&str] = &[
    "symbol",
    "base",
    "quote",
    "settle",
    "base_id",
    "quote_id",
    "settle_id",
    "type",
    "linear",
    "inverse",
];
/// What a query gives.
const QUERY: &[&str] = &["since", "until", "now", "limit", "tf", "unified"];

/// The names of one place.
#[derive(Clone, Copy)]
struct Scope<'r> {
    names: &'r [&'r [&'r str]],
    /// Whether the fields of a row or an answer count.
    fields: bool,
    /// What market rules keep as `extra.NAME`; `None` where anything may be.
    extra: Option<&'r BTreeSet<&'r str>>,
    /// How many answers stand beside a row's, as `@response0` …
    responses: usize,
}

impl<'r> Scope<'r> {
    fn of(names: &'r [&'r [&'r str]]) -> Self {
        Self { names, fields: false, extra: Some(const { &BTreeSet::new() }), responses: 0 }
    }

    fn with_fields(names: &'r [&'r [&'r str]]) -> Self {
        Self { fields: true, ..Self::of(names) }
    }

    fn known(&self, name: &str) -> bool {
        if self.names.iter().any(|names| names.contains(&name)) {
            return true;
        }
        if let Some(number) = name.strip_prefix("@response") {
            return number.parse().is_ok_and(|number: usize| number < self.responses);
        }
        match name.strip_prefix("extra.") {
            Some(extra) if !self.fields => self.extra.is_none_or(|kept| kept.contains(extra)),
            // A field called `extra` is written in backticks.
            Some(_) => false,
            None => self.fields && !name.starts_with('@'),
        }
    }

    fn check(&self, field: &str, template: &Template) -> Result<(), Wrong> {
        let Some(name) = template.names().into_iter().find(|name| !self.known(name)) else {
            return Ok(());
        };
        let hint = closest(name, self.names.iter().copied().flatten().copied());
        let hint = hint.map(|hint| format!(", did you mean `{hint}`?")).unwrap_or_default();
        Err((field.to_owned(), format!("nothing is called `{name}` here{hint}")))
    }

    fn check_some(&self, field: &str, template: Option<&Template>) -> Result<(), Wrong> {
        template.map_or(Ok(()), |template| self.check(field, template))
    }

    fn check_all(&self, field: &str, templates: &[Template]) -> Result<(), Wrong> {
        let mut numbered = templates.iter().enumerate();
        numbered.try_for_each(|(at, template)| self.check(&format!("{field}[{at}]"), template))
    }

    fn check_body(&self, field: &str, body: &Body) -> Result<(), Wrong> {
        match body {
            Body::Constant(_) => Ok(()),
            Body::Text(template) => self.check(field, template),
            Body::List(list) => {
                let mut list = list.iter().enumerate();
                list.try_for_each(|(at, body)| self.check_body(&format!("{field}[{at}]"), body))
            }
            Body::Object(fields) => {
                let mut fields = fields.iter();
                fields
                    .try_for_each(|(name, body)| self.check_body(&format!("{field}.{name}"), body))
            }
        }
    }
}

/// Checks every template of a record.
pub(super) fn check_names(record: &Record) -> Result<(), Wrong> {
    let answer = Scope::with_fields(&[&["@root"]]);
    answer.check_some("errors.failed", record.errors.failed.as_ref())?;
    answer.check_some("errors.message", record.errors.message.as_ref())?;
    let rules = record.markets.iter().map(|rule| &rule.extra);
    let kept: BTreeSet<&str> = rules
        .chain(record.symbol_rule.iter().map(|rule| &rule.extra))
        .flat_map(|extra| extra.keys().map(String::as_str))
        .collect();
    // Without any rule markets are the caller's, with whatever they hold.
    let ruled = !record.markets.is_empty() || record.symbol_rule.is_some();
    let extra = ruled.then_some(&kept);
    for (index, endpoint) in record.candles.iter().enumerate() {
        check_endpoint(record, endpoint, extra, &|field| format!("candles[{index}].{field}"))?;
    }
    for (index, channel) in record.websocket.iter().enumerate() {
        check_channel(record, channel, extra, &|field| format!("websocket[{index}].{field}"))?;
    }
    for (index, rule) in record.markets.iter().enumerate() {
        check_rule(record, rule, &|field| format!("markets[{index}].{field}"))?;
    }
    if let Some(rule) = &record.symbol_rule {
        let scope = Scope::of(&[SYMBOL]);
        scope.check("symbol_rule.id", &rule.id)?;
        for (name, template) in &rule.extra {
            scope.check(&format!("symbol_rule.extra.{name}"), template)?;
        }
    }
    Ok(())
}

type PlaceOf<'a> = &'a dyn Fn(&str) -> String;

fn check_endpoint(
    record: &Record,
    endpoint: &Endpoint,
    extra: Option<&BTreeSet<&str>>,
    place: PlaceOf<'_>,
) -> Result<(), Wrong> {
    let choice = Scope { extra, ..Scope::of(&[MARKET, QUERY]) };
    choice.check_some(&place("when"), endpoint.when.as_ref())?;
    let unresolved = Scope { extra, ..Scope::of(&[MARKET, QUERY, &["timeframe"]]) };
    unresolved.check_some(&place("rows"), endpoint.rows.as_ref())?;
    let scope = Scope { extra, ..Scope::of(&[MARKET, QUERY, &["timeframe", "rows"]]) };
    check_host(record, &scope, &place("host"), &endpoint.host)?;
    scope.check(&place("path"), &endpoint.path)?;
    scope.check_some(&place("cut"), endpoint.cut.as_ref())?;
    scope.check_some(&place("cut_since"), endpoint.cut_since.as_ref())?;
    scope.check_some(&place("span"), endpoint.span.as_ref())?;
    for (name, template) in &endpoint.query {
        scope.check(&place(&format!("query.{name}")), template)?;
    }
    if let Some(body) = &endpoint.body {
        scope.check_body(&place("body"), body)?;
    }
    for (at, refusal) in endpoint.refuse.iter().enumerate() {
        scope.check(&place(&format!("refuse[{at}].when")), &refusal.when)?;
    }
    let Response { rows, or_rows, open_time, price_divisor, volume_divisor, .. } =
        &endpoint.response;
    scope.check_all(&place("response.rows"), rows)?;
    for (at, rows) in or_rows.iter().enumerate() {
        scope.check_all(&place(&format!("response.or_rows[{at}]")), rows)?;
    }
    scope.check_some(&place("response.price_divisor"), price_divisor.as_ref())?;
    scope.check_some(&place("response.volume_divisor"), volume_divisor.as_ref())?;
    let row = Scope { extra, ..Scope::of(&[MARKET, QUERY, &["timeframe", "rows", "time"]]) };
    row.check_some(&place("response.open_time"), open_time.as_ref())
}

fn check_channel(
    record: &Record,
    channel: &Channel,
    extra: Option<&BTreeSet<&str>>,
    place: PlaceOf<'_>,
) -> Result<(), Wrong> {
    // What comes is recognised whatever the time is.
    let still = Scope { extra, ..Scope::of(&[MARKET, &["timeframe", "unified", "tf"]]) };
    let scope = Scope { extra, ..Scope::of(&[MARKET, &["timeframe", "unified", "tf", "now"]]) };
    if let Some(host) = &channel.host {
        scope.check(&place("host"), host)?;
        let unknown = |name: &&str| !record.websocket_hosts.contains_key(*name);
        if let Some(name) = host.outcomes().into_iter().find(unknown) {
            return Err((place("host"), format!("no WebSocket host is called {name:?}")));
        }
    }
    scope.check_some(&place("path"), channel.path.as_ref())?;
    if let Some(bootstrap) = &channel.bootstrap {
        check_host(record, &still, &place("bootstrap.host"), &bootstrap.host)?;
        still.check(&place("bootstrap.path"), &bootstrap.path)?;
    }
    for (at, message) in channel.subscribe.iter().enumerate() {
        scope.check_body(&place(&format!("subscribe[{at}]")), message)?;
    }
    let patterns = [
        ("ready", channel.ready.as_ref()),
        ("subscribed", Some(&channel.subscribed)),
        ("candles", Some(&channel.candles)),
        ("ping.answer", channel.ping.as_ref().and_then(|ping| ping.answer.as_ref())),
    ];
    for (field, pattern) in patterns {
        pattern.map_or(Ok(()), |pattern| still.check_body(&place(field), pattern))?;
    }
    if let Some(send) = channel.ping.as_ref().and_then(|ping| ping.send.as_ref()) {
        scope.check_body(&place("ping.send"), send)?;
    }
    still.check_all(&place("response.rows"), &channel.response.rows)?;
    let message = Scope::with_fields(&[&["@root"]]);
    message.check(&place("refused"), &channel.refused)?;
    message.check(&place("message"), &channel.message)
}

fn check_rule(record: &Record, rule: &MarketRule, place: PlaceOf<'_>) -> Result<(), Wrong> {
    let each: &[&str] = if rule.each.is_some() { &["@each"] } else { &[] };
    let MarketRule { host, path, query, body, .. } = rule;
    check_list(record, (host, path, query, body.as_ref()), each, place)?;
    for (at, also) in rule.also.iter().enumerate() {
        let ListRequest { host, path, query, body, .. } = also;
        let place = |field: &str| place(&format!("also[{at}].{field}"));
        check_list(record, (host, path, query, body.as_ref()), &[], &place)?;
    }
    if let Some(each) = &rule.each {
        let Each { host, path, query, body, .. } = each;
        let place = |field: &str| place(&format!("each.{field}"));
        check_list(record, (host, path, query, body.as_ref()), &[], &place)?;
        let row = Scope::with_fields(&[&["@row", "@index"]]);
        row.check_some(&place("where"), each.filter.as_ref())?;
        row.check(&place("value"), &each.value)?;
    }
    if let Some(next) = &rule.next {
        let page = Scope::with_fields(&[&["@root", "@page"]]);
        page.check(&place("next.from"), &next.from)?;
        if next.query.is_some() == next.body.is_some() {
            return Err((place("next"), "either `query` or `body` expected".to_owned()));
        }
    }
    Scope::with_fields(&[&["@root"]]).check_all(&place("rows"), &rule.rows)?;
    check_row(rule, place)
}

/// The templates over one row of a list.
fn check_row(rule: &MarketRule, place: PlaceOf<'_>) -> Result<(), Wrong> {
    let each: &[&str] = if rule.each.is_some() { &["@each", "@each_index"] } else { &[] };
    let key: &[&str] = if rule.keyed { &["@key"] } else { &[] };
    let names: &[&[&str]] = &[&["@row", "@index", "@root"], key, each];
    let combinations =
        |also: &ListRequest| also.query.values().map(|q| q.0.len()).product::<usize>();
    let responses = rule.also.iter().map(combinations).sum();
    let row = Scope { responses, ..Scope::with_fields(names) };
    for (name, template) in &rule.names {
        row.check(&place(&format!("let.{name}")), template)?;
    }
    for (name, template) in &rule.extra {
        row.check(&place(&format!("extra.{name}")), template)?;
    }
    let fields = [
        ("where", rule.filter.as_ref()),
        ("id", Some(&rule.id)),
        ("base", Some(&rule.base)),
        ("quote", Some(&rule.quote)),
        ("settle", rule.settle.as_ref()),
        ("base_id", rule.base_id.as_ref()),
        ("quote_id", rule.quote_id.as_ref()),
        ("settle_id", rule.settle_id.as_ref()),
        ("type", Some(&rule.market_type)),
        ("linear", rule.linear.as_ref()),
        ("inverse", rule.inverse.as_ref()),
        ("expiry", rule.expiry.as_ref()),
        ("strike", rule.strike.as_ref()),
        ("option_type", rule.option_type.as_ref()),
        ("contract_size", rule.contract_size.as_ref()),
        ("active", rule.active.as_ref()),
        ("symbol", rule.symbol.as_ref()),
    ];
    fields.into_iter().try_for_each(|(field, template)| row.check_some(&place(field), template))
}

type ListParts<'r> = (
    &'r Template,
    &'r Template,
    &'r std::collections::BTreeMap<String, OneOrMany>,
    Option<&'r Body>,
);

/// A request for a list; the clock may be told in its query alone, where answers are matched
/// without it.
fn check_list(
    record: &Record,
    (host, path, query, body): ListParts<'_>,
    each: &[&str],
    place: PlaceOf<'_>,
) -> Result<(), Wrong> {
    let names = [each];
    let scope = Scope::of(&names);
    check_host(record, &scope, &place("host"), host)?;
    scope.check(&place("path"), path)?;
    if let Some(body) = body {
        scope.check_body(&place("body"), body)?;
    }
    let names = [each, &["now"]];
    let scope = Scope::of(&names);
    query.iter().try_for_each(|(name, OneOrMany(values))| {
        let field = place(&format!("query.{name}"));
        values.iter().try_for_each(|value| scope.check(&field, value))
    })
}

fn check_host(
    record: &Record,
    scope: &Scope<'_>,
    field: &str,
    host: &Template,
) -> Result<(), Wrong> {
    scope.check(field, host)?;
    let unknown = |name: &&str| !record.hosts.contains_key(*name);
    match host.outcomes().into_iter().find(unknown) {
        Some(name) => Err((field.to_owned(), format!("no host is called {name:?}"))),
        None => Ok(()),
    }
}
