//! A fake provider that sends exactly the bytes it is told to, and a client that reads exactly what comes.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Longest wait for anything in these tests; only a failure takes so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// One HTTP message as it came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Message {
    /// Request line or status line.
    pub(crate) first: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// Without its framing.
    pub(crate) body: Vec<u8>,
    /// Whether the body came to its end.
    pub(crate) is_whole: bool,
}

impl Message {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn status(&self) -> u16 {
        self.first.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// What the provider does with a connection after a request.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Sends bytes at once.
    Send(Vec<u8>),
    /// Waits until the other side has closed the connection.
    AwaitClose,
    /// Waits for a word of the test.
    AwaitWord,
    /// Closes the connection.
    Close,
}

type Answering = dyn Fn(&Message) -> Vec<Act> + Send + Sync;

/// The fake provider.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    /// Every request, in the order of arrival.
    pub(crate) seen: Arc<Mutex<Vec<Message>>>,
    /// Gets one message for each connection that the other side has closed while it was awaited.
    pub(crate) closed: Mutex<Receiver<()>>,
    /// Lets one waiting connection go on.
    pub(crate) word: std::sync::mpsc::Sender<()>,
}

impl Upstream {
    /// A provider that answers each request as `answering` says.
    pub(crate) fn start(answering: impl Fn(&Message) -> Vec<Act> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (note_close, closed) = channel();
        let (word, words) = channel();
        let words = Arc::new(Mutex::new(words));
        let answering: Arc<Answering> = Arc::new(answering);
        let seen_by_all = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, answering) = (Arc::clone(&seen_by_all), Arc::clone(&answering));
                let (note_close, words) = (note_close.clone(), Arc::clone(&words));
                std::thread::spawn(move || {
                    stream.set_nodelay(true).unwrap();
                    let mut reader = BufReader::new(stream.try_clone().unwrap());
                    while let Some(request) = read_message(&mut reader) {
                        seen.lock().unwrap().push(request.clone());
                        for act in answering(&request) {
                            let goes_on = match act {
                                Act::Send(bytes) => (&stream).write_all(&bytes).is_ok(),
                                Act::AwaitWord => words.lock().unwrap().recv().is_ok(),
                                Act::AwaitClose => {
                                    let mut byte = [0];
                                    let _closed = (&stream).read(&mut byte);
                                    let _heard = note_close.send(());
                                    false
                                }
                                Act::Close => {
                                    drop(stream.shutdown(Shutdown::Both));
                                    false
                                }
                            };
                            if !goes_on {
                                return;
                            }
                        }
                    }
                });
            }
        });
        Self { address, seen, closed: Mutex::new(closed), word }
    }

    /// A provider that always answers the same.
    pub(crate) fn always(acts: Vec<Act>) -> Self {
        Self::start(move |_| acts.clone())
    }

    pub(crate) fn last(&self) -> Message {
        self.seen.lock().unwrap().last().cloned().unwrap()
    }

    /// Waits until the other side has closed a connection.
    pub(crate) fn await_close(&self) {
        self.closed.lock().unwrap().recv_timeout(PATIENCE).unwrap();
    }
}

/// A whole answer with a length.
pub(crate) fn whole(status: u16, content_type: &str, body: &[u8]) -> Vec<Act> {
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: {content_type}\r\nx-request-id: req_1\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    vec![Act::Send([head.as_bytes(), body].concat())]
}

pub(crate) fn json(status: u16, body: &str) -> Vec<Act> {
    whole(status, "application/json", body.as_bytes())
}

/// The head of a chunked stream of events.
pub(crate) fn stream_head() -> Act {
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    Act::Send(head.as_bytes().to_vec())
}

pub(crate) fn chunk(bytes: &[u8]) -> Act {
    let head = format!("{:x}\r\n", bytes.len());
    Act::Send([head.as_bytes(), bytes, b"\r\n"].concat())
}

pub(crate) fn last_chunk() -> Act {
    Act::Send(b"0\r\n\r\n".to_vec())
}

/// A stream in the given pieces.
pub(crate) fn stream(pieces: &[&[u8]]) -> Vec<Act> {
    let pieces = pieces.iter().filter(|piece| !piece.is_empty()).map(|piece| chunk(piece));
    std::iter::once(stream_head()).chain(pieces).chain([last_chunk()]).collect()
}

/// Reads one HTTP message; `None` at the end of the connection.
pub(crate) fn read_message(reader: &mut BufReader<TcpStream>) -> Option<Message> {
    let mut message = Message { first: line(reader)?, is_whole: true, ..Message::default() };
    loop {
        let header = line(reader)?;
        let Some((name, value)) = header.split_once(':') else { break };
        message.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    if message.header("transfer-encoding") == Some("chunked") {
        message.is_whole = read_chunks(reader, &mut message.body).is_some();
    } else if let Some(length) = message.header("content-length") {
        message.body = vec![0; length.parse().unwrap()];
        message.is_whole = reader.read_exact(&mut message.body).is_ok();
    }
    Some(message)
}

fn line(reader: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
    Some(line.trim_end().to_owned())
}

fn read_chunks(reader: &mut BufReader<TcpStream>, body: &mut Vec<u8>) -> Option<()> {
    loop {
        let length = usize::from_str_radix(&line(reader)?, 16).ok()?;
        if length == 0 {
            line(reader);
            return Some(());
        }
        let start = body.len();
        body.resize(start + length, 0);
        reader.read_exact(&mut body[start..]).ok()?;
        line(reader)?;
    }
}

/// Opens a connection and sends a POST.
pub(crate) fn send(
    address: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> BufReader<TcpStream> {
    let headers: String =
        headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer sk-SECRETKEY\r\n\
         content-type: application/json\r\n{headers}content-length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
    BufReader::new(stream)
}

/// Sends a POST and reads the answer.
pub(crate) fn post(
    address: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Message {
    read_message(&mut send(address, path, headers, body)).unwrap()
}
