//! From a request to the series or market list that it asks for.

use forecastle_core::Timeframe;

use super::market_samples::sample_market_answers;
use super::params::ReplayParams;
use super::pattern::{Asked, Mismatch, Pattern};
use super::probe::patterns;
use super::slot::Slots;
use crate::exchange::{Exchange, ExchangeResult, HttpRequest, Method};

/// What is served, by exchange.
#[derive(Debug)]
pub(super) struct Routes {
    exchanges: Vec<ExchangeRoutes>,
}

#[derive(Debug)]
struct ExchangeRoutes {
    exchange: Exchange,
    lists: Vec<List>,
    series: Vec<(usize, Pattern)>,
}

/// One request for a list of markets and its answer.
#[derive(Debug)]
struct List {
    request: HttpRequest,
    slots: Option<Slots>,
    answer: Vec<u8>,
}

impl List {
    fn new(mut request: HttpRequest, answer: Vec<u8>) -> Self {
        let target = Slots::target(&request.url).to_owned();
        let body = request.body.as_deref().map(str::as_bytes);
        let slots = Slots::of(request.method, &target, body);
        request.url = address(&target);
        Self { request, slots, answer }
    }

    /// Whether a request is the same but for times of the client's clock.
    fn differs_by_clock(&self, slots: &Slots) -> bool {
        let is_time = |text: &str| text.len() == 13 && text.parse::<u64>().is_ok();
        self.slots.as_ref().is_some_and(|own| {
            own.method == slots.method
                && own.texts.keys().eq(slots.texts.keys())
                && own
                    .texts
                    .values()
                    .zip(slots.texts.values())
                    .all(|(own, text)| own == text || is_time(own) && is_time(text))
        })
    }
}

/// What a request leads to.
#[derive(Debug)]
pub(super) enum Found<'r> {
    List(&'r [u8]),
    Candles { series: usize, pattern: &'r Pattern, asked: Asked },
    Nothing(Nothing),
}

/// Why a request leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Nothing {
    pub(super) status: u16,
    pub(super) message: String,
}

impl Routes {
    pub(super) fn new(params: &ReplayParams) -> ExchangeResult<Self> {
        let mut routes: Vec<ExchangeRoutes> = Vec::new();
        let of_series = params.series.iter().map(|series| &series.exchange);
        for exchange in of_series.chain(&params.exchanges) {
            if routes.iter().any(|known| known.exchange.id() == exchange.id()) {
                continue;
            }
            let own = params.markets.iter().filter(|(of, ..)| of.id() == exchange.id());
            let own = own.map(|(_, request, body)| (request.clone(), body.clone()));
            let answers = own.chain(sample_market_answers(exchange)?);
            let lists = answers.map(|(request, answer)| List::new(request, answer)).collect();
            routes.push(ExchangeRoutes { exchange: exchange.clone(), lists, series: Vec::new() });
        }
        for (index, series) in params.series.iter().enumerate() {
            let timeframe: Timeframe = series.candles.timeframe();
            let own = routes.iter_mut().find(|own| own.exchange.id() == series.exchange.id());
            if let Some(own) = own {
                let patterns = patterns(&series.exchange, &series.market, timeframe)?;
                own.series.extend(patterns.into_iter().map(|pattern| (index, pattern)));
            }
        }
        Ok(Self { exchanges: routes })
    }

    /// Finds what is asked for: below an exchange's id as the first segment of the path there
    /// alone, else wherever it fits first.
    pub(super) fn find(&self, method: Method, target: &str, body: &[u8]) -> Found<'_> {
        let mut nothing = Nothing { status: 404, message: "Not Found".to_owned() };
        let scoped = self.exchanges.iter().filter_map(|routes| {
            let rest = target.strip_prefix('/')?.strip_prefix(routes.exchange.id())?;
            rest.starts_with('/').then_some((routes, rest))
        });
        let anywhere = self.exchanges.iter().map(|routes| (routes, target));
        for (routes, target) in scoped.chain(anywhere) {
            match routes.find(method, target, body) {
                Found::Nothing(why) if why.status < nothing.status => nothing = why,
                Found::Nothing(_) => {}
                found => return found,
            }
        }
        Found::Nothing(nothing)
    }
}

impl ExchangeRoutes {
    fn find(&self, method: Method, target: &str, body: &[u8]) -> Found<'_> {
        let mut nothing = Nothing { status: 404, message: "Not Found".to_owned() };
        let request = HttpRequest {
            method,
            url: address(target),
            headers: Vec::new(),
            body: Some(String::from_utf8_lossy(body).into_owned()).filter(|body| !body.is_empty()),
        };
        let list = self.lists.iter().find(|list| list.request.asks_the_same_as(&request));
        if let Some(list) = list {
            return Found::List(&list.answer);
        }
        let Some(slots) = Slots::of(method, target, Some(body)) else {
            let message = "the body is no JSON".to_owned();
            return Found::Nothing(Nothing { status: 400, message });
        };
        if let Some(list) = self.lists.iter().find(|list| list.differs_by_clock(&slots)) {
            return Found::List(&list.answer);
        }
        for (series, pattern) in &self.series {
            match pattern.read(&slots) {
                Ok(asked) => return Found::Candles { series: *series, pattern, asked },
                Err(Mismatch::Elsewhere) => {}
                Err(Mismatch::OtherSeries) => {
                    let words = self.exchange.unknown_symbol_words().unwrap_or("unknown symbol");
                    let message = format!("{words}: no such market or timeframe is served here");
                    nothing = Nothing { status: 400, message };
                }
                Err(Mismatch::Unreadable(place)) => {
                    let name = place.rsplit(['?', '/']).next().unwrap_or_default();
                    let message = format!("Illegal parameter '{name}'");
                    return Found::Nothing(Nothing { status: 400, message });
                }
            }
        }
        Found::Nothing(nothing)
    }
}

/// Any host will do: requests are told apart by what follows it.
fn address(target: &str) -> String {
    format!("http://replay{target}")
}
