//! The candle streams that a server offers: which addresses, which subscriptions.

use std::net::SocketAddr;

use serde_json::Value as Json;

use super::params::ReplayParams;
use super::slot::Slots;
use crate::exchange::{ChannelShape, ExchangeResult, Method};

/// All streams, by series.
#[derive(Debug)]
pub(super) struct Streams {
    channels: Vec<Served>,
    address: SocketAddr,
}

#[derive(Debug)]
struct Served {
    exchange: String,
    /// The series' place among the served ones.
    series: usize,
    shape: ChannelShape,
}

impl Streams {
    /// The streams of all series whose exchange has a channel for them.
    pub(super) fn new(params: &ReplayParams, address: SocketAddr) -> ExchangeResult<Self> {
        let mut channels = Vec::new();
        for (series, served) in params.series.iter().enumerate() {
            let (exchange, timeframe) = (&served.exchange, served.candles.timeframe());
            let Ok(channel) = exchange.candle_channel(&served.market, timeframe) else { continue };
            let shape = channel.shape()?;
            channels.push(Served { exchange: exchange.id().to_owned(), series, shape });
        }
        Ok(Self { channels, address })
    }

    /// The streams at a path: below an exchange's id there alone, else wherever it fits.
    pub(super) fn at(&self, target: &str) -> Vec<usize> {
        let path = target.split('?').next().unwrap_or_default();
        let fits = |served: &Served| {
            let own = path.strip_prefix('/').and_then(|path| path.strip_prefix(&*served.exchange));
            let target = served.shape.target.trim_end_matches('/');
            let same = |path: &str| path.trim_end_matches('/') == target;
            same(path) || own.is_some_and(same)
        };
        let all = self.channels.iter().enumerate();
        all.filter_map(|(at, served)| fits(served).then_some(at)).collect()
    }

    /// Which of these streams a message subscribes to.
    pub(super) fn subscribed(&self, among: &[usize], message: &Json) -> Option<usize> {
        let mut among = among.iter().copied();
        among.find(|at| self.shape(*at).is_some_and(|shape| shape.is_subscription(message)))
    }

    pub(super) fn shape(&self, at: usize) -> Option<&ChannelShape> {
        self.channels.get(at).map(|served| &served.shape)
    }

    pub(super) fn series(&self, at: usize) -> Option<usize> {
        self.channels.get(at).map(|served| served.series)
    }

    /// The answer to a request that must come before a connection.
    pub(super) fn bootstrap(&self, method: Method, target: &str) -> Option<String> {
        self.channels.iter().find_map(|served| {
            let (request, places) = served.shape.bootstrap.as_ref()?;
            let path = Slots::target(&request.url);
            let own =
                target.strip_prefix('/').and_then(|path| path.strip_prefix(&*served.exchange));
            let asked = request.method == method && (path == target || own == Some(path));
            let at = format!("ws://{}/{}{}", self.address, served.exchange, served.shape.target);
            asked.then(|| ChannelShape::bootstrap_answer(places, &[&at, "replay"]))
        })
    }
}
