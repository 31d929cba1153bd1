//! A server that gives recorded answers at once: what it was not asked before it asks another.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result, ensure};

/// A message's head and body as they went over the wire.
type Message = (String, Vec<u8>);

/// Stands before a server on this machine and remembers each answer.
#[derive(Debug)]
pub(crate) struct Recorder {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    behind: SocketAddr,
    answers: Mutex<HashMap<Vec<u8>, Arc<Vec<u8>>>>,
    /// What was asked for the first time, in order: target and body.
    log: Mutex<Vec<(String, String)>>,
}

impl Recorder {
    /// Begins to listen on a free port, before the server at `behind`.
    pub(crate) fn start(behind: &str) -> Result<Self> {
        let behind = behind.trim_start_matches("http://").parse()?;
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared { behind, answers: Mutex::default(), log: Mutex::default() });
        let own = shared.clone();
        // It ends with the process.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = own.clone();
                thread::spawn(move || shared.serve(&stream));
            }
        });
        Ok(Self { address, shared })
    }

    /// Where it listens: `http://127.0.0.1:40123`.
    pub(crate) fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Everything that was asked so far, once each, in order: target and body.
    pub(crate) fn asked(&self) -> Vec<(String, String)> {
        self.shared.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Shared {
    /// Answers one connection until it ends.
    fn serve(&self, stream: &TcpStream) -> Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream);
        let mut behind = None;
        while let Some((head, body)) = read_message(&mut reader)? {
            let line = head.lines().next().unwrap_or_default().to_owned();
            let key = [line.as_bytes(), b"\n", &body].concat();
            let known =
                self.answers.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
            let answer = match known {
                Some(answer) => answer,
                None => {
                    let answer = Arc::new(self.ask(&mut behind, &head, &body)?);
                    let target = line.split(' ').nth(1).unwrap_or_default().to_owned();
                    let asked = (target, String::from_utf8(body)?);
                    self.log.lock().unwrap_or_else(PoisonError::into_inner).push(asked);
                    let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
                    answers.insert(key, answer.clone());
                    answer
                }
            };
            let mut stream = stream;
            stream.write_all(&answer)?;
        }
        Ok(())
    }

    /// Asks the server behind; the connection to it is kept.
    fn ask(
        &self,
        behind: &mut Option<BufReader<TcpStream>>,
        head: &str,
        body: &[u8],
    ) -> Result<Vec<u8>> {
        let reader = match behind {
            Some(reader) => reader,
            None => behind.insert(BufReader::new(TcpStream::connect(self.behind)?)),
        };
        reader.get_mut().write_all(&[head.as_bytes(), body].concat())?;
        let (head, body) = read_message(reader)?.context("the server hung up")?;
        Ok([head.as_bytes(), &body].concat())
    }
}

/// Reads a request or an answer whose length is told; `None` at the end of the connection.
fn read_message(reader: &mut impl BufRead) -> Result<Option<Message>> {
    let mut head = String::new();
    let mut length = 0;
    loop {
        let from = head.len();
        if reader.read_line(&mut head)? == 0 {
            ensure!(head.is_empty(), "the connection broke off");
            return Ok(None);
        }
        let line = head.get(from..).unwrap_or_default().trim_end();
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse()?;
        }
    }
    let mut body = Vec::with_capacity(length);
    reader.by_ref().take(length as u64).read_to_end(&mut body)?;
    ensure!(body.len() == length, "the connection broke off");
    Ok(Some((head, body)))
}
