//! When two requests ask the same.

use percent_encoding::percent_decode_str;
use serde_json::Value as Json;

use super::http_request::{HttpRequest, Method};

/// What a request asks, however its parameters are ordered and escaped.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RequestKey {
    method: Method,
    address: String,
    parameters: Vec<(String, String)>,
    body: Option<Json>,
}

impl HttpRequest {
    /// Whether two requests ask the same: parameters in any order and escaped in any way, bodies
    /// equal as JSON, headers left aside.
    pub fn asks_the_same_as(&self, other: &Self) -> bool {
        RequestKey::of(self) == RequestKey::of(other)
    }
}

impl RequestKey {
    pub(super) fn of(request: &HttpRequest) -> Self {
        let decode = |text: &str| {
            percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
        };
        let (address, query) = request.url.split_once('?').unwrap_or((&request.url, ""));
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let mut parameters: Vec<(String, String)> = pairs
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(name, value)| (decode(name), decode(value)))
            .collect();
        parameters.sort();
        let body = request.body.as_deref().filter(|body| !body.is_empty());
        let json = |body: &str| serde_json::from_str(body).unwrap_or_else(|_| body.into());
        Self {
            method: request.method,
            address: percent_decode_str(address).decode_utf8_lossy().into_owned(),
            parameters,
            body: body.map(json),
        }
    }

    /// What a parameter of the query or else a field of the body says.
    pub(super) fn given(&self, name: &str) -> Option<Json> {
        let parameter = self.parameters.iter().find(|(parameter, _)| parameter == name);
        let field = || self.body.as_ref().and_then(|body| body.get(name)).cloned();
        parameter.map(|(_, value)| Json::String(value.clone())).or_else(field)
    }

    /// This key without some parameters of the query and fields of the body.
    pub(super) fn without_all(mut self, names: &[&str]) -> Self {
        self.parameters.retain(|(parameter, _)| !names.contains(&&**parameter));
        if let Some(Json::Object(fields)) = &mut self.body {
            fields.retain(|field, _| !names.contains(&&**field));
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_escapes_do_not_matter_and_values_do() {
        let request = |url: &str| HttpRequest::get(url);
        let one = request("https://x.io/a%2Fb?p=1&q=a%20b");
        assert!(one.asks_the_same_as(&request("https://x.io/a/b?q=a+b&p=1")));
        assert!(!one.asks_the_same_as(&request("https://x.io/a/b?q=a+b&p=2")));
        assert!(!one.asks_the_same_as(&request("https://x.io/a/b?q=a+b&p=1&p=1")));
        let post = |body: &str| HttpRequest::post_json("https://x.io", body);
        assert!(post("{\"a\":1,\"b\":2}").asks_the_same_as(&post("{\"b\": 2, \"a\": 1}")));
        assert!(!post("{\"a\":1}").asks_the_same_as(&post("{\"a\":\"1\"}")));
    }
}
