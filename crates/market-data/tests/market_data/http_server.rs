//! A server that answers exactly the bytes a test wants, good or bad.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;

/// What the server does with one request.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    bytes: Vec<u8>,
    /// How long it waits before the bytes.
    before: Duration,
    /// How long it holds the connection open after them; the connection then ends.
    after: Option<Duration>,
}

impl Answer {
    /// Sends a whole answer with its length and keeps the connection.
    pub(crate) fn new(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let mut bytes =
            format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n", body.len())
                .into_bytes();
        bytes.extend_from_slice(body);
        Self { bytes, before: Duration::ZERO, after: None }
    }

    pub(crate) fn ok(body: impl AsRef<[u8]>) -> Self {
        Self::new("200 OK", "Content-Type: application/json\r\n", body)
    }

    /// Sends these bytes and ends the connection.
    pub(crate) fn raw(bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref().to_vec();
        Self { bytes, before: Duration::ZERO, after: Some(Duration::ZERO) }
    }

    /// Leaves away the last `n` bytes and ends the connection.
    pub(crate) fn cut_off(mut self, n: usize) -> Self {
        self.bytes.truncate(self.bytes.len() - n);
        Self { after: Some(Duration::ZERO), ..self }
    }

    /// Waits before it answers.
    pub(crate) fn late(self, before: Duration) -> Self {
        Self { before, ..self }
    }

    /// Leaves away the last `n` bytes and keeps the other side waiting for them.
    pub(crate) fn stalled(self, n: usize) -> Self {
        Self { after: Some(Duration::from_secs(30)), ..self.cut_off(n) }
    }
}

/// One request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) at: Instant,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// Listens on the loopback until it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) url: String,
    state: Arc<State>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Debug)]
struct State {
    answers: Vec<Answer>,
    seen: Mutex<Vec<Seen>>,
    connections: AtomicUsize,
    under_way: AtomicUsize,
    most_under_way: AtomicUsize,
}

impl Server {
    /// Answers in this order; the last answer repeats.
    pub(crate) async fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self::listen(answers, None).await
    }

    /// The same over TLS.
    pub(crate) async fn start_tls(
        answers: impl IntoIterator<Item = Answer>,
        tls: TlsAcceptor,
    ) -> Self {
        Self::listen(answers, Some(tls)).await
    }

    async fn listen(answers: impl IntoIterator<Item = Answer>, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", listener.local_addr().unwrap());
        let state = Arc::new(State {
            answers: answers.into_iter().collect(),
            seen: Mutex::default(),
            connections: AtomicUsize::new(0),
            under_way: AtomicUsize::new(0),
            most_under_way: AtomicUsize::new(0),
        });
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (state, tls) = (Arc::clone(&shared), tls.clone());
                state.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    match tls {
                        None => state.serve(stream).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                state.serve(stream).await;
                            }
                        }
                    }
                });
            }
        });
        Self { url, state, task }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn most_under_way(&self) -> usize {
        self.state.most_under_way.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl State {
    async fn serve(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
        while let Some(seen) = read_request(&mut stream).await {
            let under_way = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
            self.most_under_way.fetch_max(under_way, Ordering::SeqCst);
            let answer = {
                let mut all = self.seen.lock().unwrap();
                all.push(seen);
                self.answers[(all.len() - 1).min(self.answers.len() - 1)].clone()
            };
            sleep(answer.before).await;
            self.under_way.fetch_sub(1, Ordering::SeqCst);
            if stream.write_all(&answer.bytes).await.is_err() || stream.flush().await.is_err() {
                return;
            }
            if let Some(after) = answer.after {
                sleep(after).await;
                let _ = stream.shutdown().await;
                return;
            }
        }
    }
}

async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<Seen> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head
        .lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(0, |(_, value)| value.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Seen { at: Instant::now(), head, body: String::from_utf8(body).unwrap() })
}
