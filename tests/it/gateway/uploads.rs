//! Questions that take their time to arrive, and ones that turn out too large on their way.

use std::io::{BufReader, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use chatgauge::model::{ErrorType, Outcome};

use super::harness::{TestGateway, wait_until};
use super::upstream::{Act, Message, PATIENCE, Upstream, json, read_message};

/// More than is held before it is passed on.
const LONG_BYTES: usize = 9 << 20;
const CHAT: &str = "/v1/chat/completions";
/// Longer than any of these tests.
const LONG: Duration = Duration::from_secs(600);
const SHORT: Duration = Duration::from_millis(20);

/// A question of which the test sends every piece.
struct Slow(BufReader<TcpStream>);

impl Slow {
    fn begin(gateway: &TestGateway, path: &str) -> Self {
        let mut stream = TcpStream::connect(gateway.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        Self(BufReader::new(stream))
    }

    fn send(&mut self, bytes: &[u8]) {
        let head = format!("{:x}\r\n", bytes.len());
        self.0.get_mut().write_all(&[head.as_bytes(), bytes, b"\r\n"].concat()).unwrap();
    }

    fn answer(&mut self) -> Message {
        read_message(&mut self.0).unwrap()
    }
}

fn with_timeouts(upstream: &Upstream, first_byte: Duration, idle: Duration) -> TestGateway {
    TestGateway::with(upstream.address, |config| {
        config.gateway.first_byte_timeout = first_byte;
        config.gateway.idle_timeout = idle;
    })
}

/// How long the upstream may take is counted from the last byte that it got.
#[test]
fn a_question_that_arrives_slowly_is_not_the_upstreams_fault() {
    for (path, first) in [(CHAT, LONG_BYTES), ("/v1/files", 10)] {
        let upstream = Upstream::always(json(200, "{}"));
        // The upstream answers at once; what it may take leaves room for a busy machine.
        let first_byte = 50 * SHORT;
        let gateway = with_timeouts(&upstream, first_byte, LONG);
        let mut slow = Slow::begin(&gateway, path);
        slow.send(&vec![b'x'; first]);
        // Longer than the upstream may take; only too short a wait could hide a failure.
        std::thread::sleep(2 * first_byte);
        slow.send(b"y");
        slow.send(b"");
        assert_eq!(slow.answer().status(), 200, "{path}");
        assert_eq!(upstream.last().body.len(), first + 1);
    }
}

#[test]
fn a_long_question_of_which_no_more_comes_is_given_up() {
    let upstream = Upstream::always(json(200, "{}"));
    let gateway = with_timeouts(&upstream, LONG, 25 * SHORT);
    for (path, first) in [(CHAT, LONG_BYTES), ("/v1/files", 10)] {
        let mut slow = Slow::begin(&gateway, path);
        slow.send(&vec![b'x'; first]);
        assert_eq!(slow.answer().status(), 408, "{path}");
    }
    let record = gateway.record();
    assert_eq!((record.outcome, record.http_status), (Outcome::Cancelled, Some(499)));
}

/// It read everything and does not answer.
#[test]
fn an_upstream_that_is_silent_after_a_long_question_is_too_slow() {
    let upstream = Upstream::always(vec![Act::AwaitClose]);
    let gateway = with_timeouts(&upstream, 10 * SHORT, LONG);
    let mut slow = Slow::begin(&gateway, CHAT);
    slow.send(&vec![b'x'; LONG_BYTES]);
    slow.send(b"");
    assert_eq!(slow.answer().status(), 504);
    assert_eq!(gateway.record().error_code.as_deref(), Some("first_byte_timeout"));
}

fn with_body_limit(upstream: &Upstream, max_bytes: usize) -> TestGateway {
    TestGateway::with(upstream.address, |config| config.gateway.body_max_bytes = max_bytes as u64)
}

/// Sends a chunked request of one byte more than `max_bytes`.
fn send_too_much(gateway: &TestGateway, path: &str, max_bytes: usize) {
    let mut slow = Slow::begin(gateway, path);
    slow.send(&vec![b'x'; max_bytes]);
    slow.send(b"y");
    let answer = slow.answer();
    assert_eq!(answer.status(), 413, "{path}: {}", answer.text());
}

fn assert_recorded_as_too_large(gateway: &TestGateway) {
    wait_until(|| gateway.service.collector().stats().in_flight == 0);
    let record = gateway.record();
    assert_eq!(record.outcome, Outcome::Error(ErrorType::Validation));
    assert_eq!(record.error_code.as_deref(), Some("request_too_large"));
}

/// A chunked request has no `Content-Length`, so its size is known only once it has arrived.
#[test]
fn a_streamed_request_that_exceeds_the_limit_is_the_clients_fault() {
    let upstream = Upstream::always(json(200, "{}"));
    let gateway = with_body_limit(&upstream, LONG_BYTES);
    for path in [CHAT, "/v1/files"] {
        send_too_much(&gateway, path, LONG_BYTES);
    }
    assert_recorded_as_too_large(&gateway);
}

#[test]
fn a_buffered_request_that_exceeds_the_limit_is_the_clients_fault() {
    const MAX_BYTES: usize = 2_048;
    let upstream = Upstream::always(json(200, "{}"));
    let gateway = with_body_limit(&upstream, MAX_BYTES);
    send_too_much(&gateway, CHAT, MAX_BYTES);
    assert_recorded_as_too_large(&gateway);
    assert!(upstream.seen.lock().unwrap().is_empty());
    let mut fitting = Slow::begin(&gateway, CHAT);
    fitting.send(&vec![b'x'; MAX_BYTES]);
    fitting.send(b"");
    assert_eq!(fitting.answer().status(), 200);
}

/// The chunk that ends buffering counts too.
#[test]
fn a_request_that_exceeds_the_limit_as_streaming_begins_is_the_clients_fault() {
    const MAX_BYTES: usize = 8 << 20;
    let upstream = Upstream::always(json(200, "{}"));
    let gateway = with_body_limit(&upstream, MAX_BYTES);
    send_too_much(&gateway, CHAT, MAX_BYTES);
    assert_recorded_as_too_large(&gateway);
}
