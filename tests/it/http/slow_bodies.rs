//! A body that stops arriving, or trickles, gives up its place.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::harness::{ADMIN_TOKEN, TestServer};

/// More than are read at once: those after them would wait for a place.
const UPLOADS: usize = 40;
const PATIENCE: Duration = Duration::from_secs(20);

/// Begins an upload of many bytes and sends `sent` of them.
fn begin(server: &TestServer, path: &str, sent: usize) -> TcpStream {
    let url = server.url("");
    let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ADMIN_TOKEN}\r\n\
         content-type: application/json\r\ncontent-length: 9000000\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&vec![b' '; sent]).unwrap();
    stream
}

fn status(stream: &TcpStream) -> String {
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line
}

#[test]
fn half_an_upload_is_answered_with_408_and_frees_its_place() {
    let server = TestServer::with(|config| config.http.body_timeout = Duration::from_millis(100));
    for path in ["/api/requests", "/v1/traces", "/v1/metrics", "/ingest/litellm"] {
        let halves: Vec<TcpStream> = (0..UPLOADS).map(|_| begin(&server, path, 10)).collect();
        for half in &halves {
            let status = status(half);
            assert!(status.starts_with("HTTP/1.1 408"), "{path}: {status}");
        }
        // One that is read on a thread of its own.
        let status = status(&begin(&server, path, 700_000));
        assert!(status.starts_with("HTTP/1.1 408"), "{path}: {status}");
    }
    server.ingest(&serde_json::json!([{"model": "m"}]));
}

#[test]
fn a_trickle_is_no_body() {
    let server = TestServer::with(|config| config.http.body_timeout = Duration::from_millis(500));
    let stream = begin(&server, "/api/requests", 1);
    let answer = std::thread::scope(|scope| {
        let mut trickle = stream.try_clone().unwrap();
        scope.spawn(move || {
            // Each byte comes well in time, until the server has hung up.
            while trickle.write_all(b" ").is_ok() {
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let mut answer = vec![0; 12];
        (&stream).read_exact(&mut answer).unwrap();
        stream.shutdown(std::net::Shutdown::Both).unwrap();
        String::from_utf8(answer).unwrap()
    });
    assert_eq!(answer, "HTTP/1.1 408");
}
