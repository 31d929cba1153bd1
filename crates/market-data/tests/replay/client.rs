//! A client that hides nothing: what came over the socket, and how it ended.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use forecastle_market_data::HttpRequest;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    /// 0 when nothing came.
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    /// What came of the body, chunks put together.
    pub(crate) body: Vec<u8>,
    /// Whether all of it came.
    pub(crate) complete: bool,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Sends a request over a connection of its own.
pub(crate) fn send(request: &HttpRequest, accept_encoding: &str) -> Answer {
    let rest = request.url.strip_prefix("http://").unwrap();
    let (host, target) = rest.split_at(rest.find('/').unwrap());
    let body = request.body.clone().unwrap_or_default();
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let head = format!(
        "{} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {}\r\n\
         Accept-Encoding: {accept_encoding}\r\n\r\n{body}",
        request.method,
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    // A reset is how a broken answer may end.
    let _ = stream.read_to_end(&mut bytes);
    parse(&bytes)
}

pub(crate) fn get(url: &str) -> Answer {
    send(&HttpRequest::get(url), "")
}

fn parse(bytes: &[u8]) -> Answer {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
    let Some(end) = end else {
        return Answer { status: 0, headers: Vec::new(), body: Vec::new(), complete: false };
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let split = |line: &str| {
        let (name, value) = line.split_once(": ").unwrap();
        (name.to_lowercase(), value.to_owned())
    };
    let headers: Vec<(String, String)> = lines.map(split).collect();
    let mut answer = Answer { status, headers, body: Vec::new(), complete: false };
    let rest = &bytes[end + 4..];
    if answer.header("transfer-encoding") == Some("chunked") {
        (answer.body, answer.complete) = dechunk(rest);
    } else {
        let length: usize = answer.header("content-length").unwrap().parse().unwrap();
        answer.body = rest.to_vec();
        answer.complete = rest.len() == length;
    }
    answer
}

fn dechunk(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        let Some(end) = rest.windows(2).position(|window| window == b"\r\n") else {
            return (body, false);
        };
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        if size == 0 {
            return (body, true);
        }
        let chunk = &rest[end + 2..];
        body.extend_from_slice(&chunk[..size.min(chunk.len())]);
        let Some(next) = chunk.get(size + 2..) else {
            return (body, false);
        };
        rest = next;
    }
}
