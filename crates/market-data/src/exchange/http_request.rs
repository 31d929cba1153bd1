use std::fmt;

use serde::{Deserialize, Serialize};

/// Names what a request does: the two methods that public candles and market lists need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Asks with everything in the address.
    #[default]
    Get,
    /// Asks with a body.
    Post,
}

impl Method {
    /// Spells it as HTTP does.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Holds one request as an exchange wants it: made without any network, sent by whoever has one.
///
/// # Examples
/// ```
/// use forecastle_market_data::HttpRequest;
///
/// let request = HttpRequest::get("https://api.example.com/time");
/// assert_eq!(request.to_string(), "GET https://api.example.com/time");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HttpRequest {
    /// What it does.
    pub method: Method,
    /// The whole address: scheme, host, path and the query, percent-encoded.
    pub url: String,
    /// Names and values, in the order they are sent.
    pub headers: Vec<(String, String)>,
    /// The body, for a [`Method::Post`].
    pub body: Option<String>,
}

impl HttpRequest {
    /// Makes a GET without headers.
    pub fn get(url: impl Into<String>) -> Self {
        Self { url: url.into(), ..Self::default() }
    }

    /// Makes a POST of a JSON text, with the header that says so.
    pub fn post_json(url: impl Into<String>, body: impl Into<String>) -> Self {
        Self {
            method: Method::Post,
            url: url.into(),
            headers: vec![("Content-Type".to_owned(), "application/json".to_owned())],
            body: Some(body.into()),
        }
    }
}

impl fmt::Display for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.url)
    }
}
