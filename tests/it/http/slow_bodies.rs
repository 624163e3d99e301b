//! A body that stops arriving, or trickles, gives up its place.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::harness::{ADMIN_TOKEN, TestServer};

/// More than are read at once: those after them would wait for a place.
const UPLOADS: usize = 40;
const PATIENCE: Duration = Duration::from_secs(20);

fn connect(server: &TestServer) -> TcpStream {
    let url = server.url("");
    let stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Begins an upload of many bytes and sends `sent` of them.
fn begin(server: &TestServer, path: &str, sent: usize) -> TcpStream {
    let mut stream = connect(server);
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

#[test]
fn a_body_that_is_no_record_must_arrive_in_time_and_whole_too() {
    let server = TestServer::with(|config| config.http.body_timeout = Duration::from_millis(100));
    let token = format!("authorization: Bearer {ADMIN_TOKEN}\r\n");
    for (path, token) in [
        // A login needs no token.
        ("/api/session", ""),
        ("/api/sql", &*token),
        ("/api/metrics/simulate", &*token),
    ] {
        for (rest, status, detail) in [
            ("content-length: 50\r\n\r\n{", 408, "timed out reading the body"),
            ("transfer-encoding: chunked\r\n\r\nzz\r\n", 400, "the body is incomplete"),
        ] {
            let mut stream = connect(&server);
            let head = format!(
                "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
                 sec-fetch-site: same-origin\r\n{token}{rest}"
            );
            stream.write_all(head.as_bytes()).unwrap();
            let mut answer = Vec::new();
            // The server may reset the connection after the response, because it has not read the whole body.
            drop(stream.read_to_end(&mut answer));
            let answer = String::from_utf8(answer).unwrap();
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{path}: {answer}");
            assert!(answer.contains(detail), "{path}: {answer}");
        }
    }
    let large = vec![b' '; 65 * 1024];
    assert_eq!(server.post("/api/sql", &[], &large).status, 413);
}
