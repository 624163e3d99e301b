//! A fake provider behind the gateway; each response has a unique id.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Pause between two events of a slow stream.
const SLOW: Duration = Duration::from_millis(200);
/// Events of a slow stream, and of one that outlasts every test.
const SLOW_EVENTS: u32 = 20;
const ENDLESS_EVENTS: u32 = 300;

/// The fake provider.
#[derive(Debug)]
pub(crate) struct Upstream {
    address: SocketAddr,
    responses: Arc<AtomicU64>,
}

impl Upstream {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let responses = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&responses);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let responses = Arc::clone(&counted);
                // Clients that disconnect are part of the test.
                std::thread::spawn(move || drop(serve(&stream, &responses)));
            }
        });
        Self { address, responses }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Responses that were started.
    pub(crate) fn responses(&self) -> u64 {
        self.responses.load(Ordering::SeqCst)
    }
}

/// The id of a response.
pub(crate) fn response_id(number: u64) -> String {
    format!("chatcmpl-torture-{number}")
}

fn serve(stream: &TcpStream, responses: &AtomicU64) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    while let Some(body) = read_request(&mut reader)? {
        let id = response_id(responses.fetch_add(1, Ordering::SeqCst));
        if body.contains("\"stream\":true") {
            stream_response(stream, &id, events_of(&body))?;
        } else {
            let response = format!(
                r#"{{"id":"{id}","model":"gpt-torture","choices":[{{"finish_reason":"stop"}}],"usage":{{"prompt_tokens":12,"completion_tokens":5}}}}"#
            );
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length:";
            write_all(stream, &format!("{head} {}\r\n\r\n{response}", response.len()))?;
        }
    }
    Ok(())
}

fn write_all(mut stream: &TcpStream, text: &str) -> std::io::Result<()> {
    stream.write_all(text.as_bytes())
}

/// Number of events of the response, and the pause between two.
fn events_of(body: &str) -> (u32, Duration) {
    match body {
        body if body.contains("slow") => (SLOW_EVENTS, SLOW),
        body if body.contains("endless") => (ENDLESS_EVENTS, SLOW),
        _ => (2, Duration::ZERO),
    }
}

fn stream_response(
    stream: &TcpStream,
    id: &str,
    (events, pause): (u32, Duration),
) -> std::io::Result<()> {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked";
    write_all(stream, &format!("{head}\r\n\r\n"))?;
    let chunk = |text: &str| write_all(stream, &format!("{:x}\r\n{text}\r\n", text.len()));
    let delta = r#"[{"index":0,"delta":{"content":"x"}}]"#;
    for _ in 0..events {
        chunk(&format!(
            "data: {{\"id\":\"{id}\",\"model\":\"gpt-torture\",\"choices\":{delta}}}\n\n"
        ))?;
        std::thread::sleep(pause);
    }
    chunk("data: [DONE]\n\n")?;
    write_all(stream, "0\r\n\r\n")
}

/// The body of the next request; `None` at the end of the connection.
pub(crate) fn read_request(reader: &mut BufReader<TcpStream>) -> std::io::Result<Option<String>> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let line = line.trim_end().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some(String::from_utf8_lossy(&body).into_owned()))
}
