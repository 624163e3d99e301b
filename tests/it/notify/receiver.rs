//! A receiver of HTTP messages that does as it is told and remembers what it got.

#![expect(clippy::unwrap_used, reason = "a test helper fails by panicking")]

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::Value;

/// Longer than anything that is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the receiver does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// Answers with a status, and maybe a header.
    Status(u16, Option<(&'static str, String)>),
    /// Reads it and never answers.
    Hang,
    /// Reads it and closes the connection.
    Close,
}

/// One request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) path: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Received {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

type Script = dyn Fn(usize) -> Reply + Send + Sync;

struct Shared {
    received: Mutex<Vec<Received>>,
    changed: Condvar,
    script: Box<Script>,
}

/// A receiver on a free port; it lives as long as the test binary.
pub(crate) struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Receiver {
    /// A receiver that takes everything.
    pub(crate) fn willing() -> Self {
        Self::scripted(|_| Reply::Status(200, None))
    }

    /// A receiver that does with the n-th request (from 0) what `script` says.
    pub(crate) fn scripted(script: impl Fn(usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let shared = Arc::new(Shared {
            received: Mutex::default(),
            changed: Condvar::new(),
            script: Box::new(script),
        });
        let address = listener.local_addr().unwrap();
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, serving) = (stream.unwrap(), Arc::clone(&serving));
                std::thread::spawn(move || serve(stream, &serving));
            }
        });
        Self { address, shared }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Everything that came so far.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap().clone()
    }

    /// Waits until `count` requests came, and returns them all.
    pub(crate) fn wait_for(&self, count: usize) -> Vec<Received> {
        let received = self.shared.received.lock().unwrap();
        let (received, waited) = self
            .shared
            .changed
            .wait_timeout_while(received, PATIENCE, |received| received.len() < count)
            .unwrap();
        assert!(!waited.timed_out(), "{} of {count} requests came", received.len());
        received.clone()
    }
}

fn serve(mut stream: TcpStream, shared: &Shared) {
    // A sender that is killed in the middle of a request is not this receiver's trouble.
    let Some(received) = read_request(&stream) else { return };
    let reply = {
        let mut all = shared.received.lock().unwrap();
        let reply = (shared.script)(all.len());
        all.push(received);
        shared.changed.notify_all();
        reply
    };
    match reply {
        Reply::Status(status, header) => {
            let header = header.map(|(name, value)| format!("{name}: {value}\r\n"));
            let answer = format!(
                "HTTP/1.1 {status} Status\r\ncontent-length: 5\r\nconnection: close\r\n{}\r\nhello",
                header.unwrap_or_default()
            );
            // The sender may have been killed meanwhile.
            drop(stream.write_all(answer.as_bytes()));
        }
        Reply::Close => {}
        Reply::Hang => loop {
            std::thread::park();
        },
    }
}

fn read_request(stream: &TcpStream) -> Option<Received> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut headers = HashMap::new();
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length: usize = headers.get("content-length").map_or(0, |text| text.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Received { path, headers, body })
}

/// Waits until `condition` gives something.
pub(crate) fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let step = Duration::from_millis(5);
    let mut waited = Duration::ZERO;
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(waited < PATIENCE, "{what} did not happen");
        std::thread::sleep(step);
        waited += step;
    }
}
