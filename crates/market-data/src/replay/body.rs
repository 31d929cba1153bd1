//! Bodies that come whole, slowly or not to their end.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use tokio::time::{Sleep, sleep};

/// Most bytes of a request's body.
const MOST_BYTES: usize = 1 << 20;

/// A body in pieces with pauses between them.
#[derive(Debug)]
pub(super) struct ReplayBody {
    pieces: VecDeque<Bytes>,
    pause: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
    /// Whether the connection breaks after the last piece.
    breaks: bool,
    /// Whether the length is told beforehand.
    sized: bool,
}

impl ReplayBody {
    pub(super) fn whole(bytes: Vec<u8>) -> Self {
        let pieces =
            if bytes.is_empty() { VecDeque::new() } else { VecDeque::from([bytes.into()]) };
        Self { pieces, pause: Duration::ZERO, waiting: None, breaks: false, sized: true }
    }

    pub(super) fn slow(bytes: Vec<u8>, pause: Duration) -> Self {
        const PIECES: usize = 8;
        let piece = bytes.len().div_ceil(PIECES).max(1);
        let pieces = bytes.chunks(piece).map(Bytes::copy_from_slice).collect();
        Self { pieces, pause, ..Self::whole(Vec::new()) }
    }

    /// Breaks the connection after these bytes; with `sized` false in a chunked body.
    pub(super) fn broken(bytes: Vec<u8>) -> Self {
        let pause = Duration::from_millis(1);
        Self { pause, breaks: true, sized: false, ..Self::whole(bytes) }
    }
}

impl Body for ReplayBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(waiting) = &mut self.waiting {
            if waiting.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            self.waiting = None;
        }
        match self.pieces.pop_front() {
            Some(piece) => {
                if !self.pause.is_zero() && (self.breaks || !self.pieces.is_empty()) {
                    self.waiting = Some(Box::pin(sleep(self.pause)));
                }
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
            None if self.breaks => Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into()))),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_empty() && !self.breaks
    }

    fn size_hint(&self) -> SizeHint {
        if !self.sized {
            return SizeHint::new();
        }
        let length: usize = self.pieces.iter().map(Bytes::len).sum();
        SizeHint::with_exact(u64::try_from(length).unwrap_or(u64::MAX))
    }
}

/// Reads the body of a request; `None` when it breaks off or is too long.
pub(super) async fn read(mut incoming: Incoming) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        let frame = std::future::poll_fn(|context| Pin::new(&mut incoming).poll_frame(context));
        let Some(frame) = frame.await else {
            return Some(bytes);
        };
        if let Ok(data) = frame.ok()?.into_data() {
            bytes.extend_from_slice(&data);
        }
        if bytes.len() > MOST_BYTES {
            return None;
        }
    }
}

/// A service that breaks the connection instead of answering.
pub(super) fn closed() -> io::Error {
    io::ErrorKind::ConnectionAborted.into()
}
