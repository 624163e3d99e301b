//! Durable ingest of spans over OTLP/HTTP in protobuf, and the memory that bodies of 64 MiB take.

mod common;

use std::error::Error;
use std::io::{Read, repeat};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chatgauge::http::{Access, serve};
use chatgauge::{Chatgauge, Config};
use common::{DAY_MS, SEED, config, figure, now, print};

const SPANS: usize = 204_800;
const BATCH: usize = 512;
const CLIENTS: usize = 2;
const TOKEN: &str = "bench-admin-token-0123456789abcdef";
/// Bytes of prompt and response in each span, which the server skips.
const CONTENT_BYTES: usize = 600;
const LARGE_BODIES: usize = 8;
const LARGE_BYTES: u64 = 64 << 20;

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(config(directory.path()))?;
    large_bodies(&server)?;
    throughput(&server)?;
    server.stop()
}

struct Server {
    runtime: tokio::runtime::Runtime,
    service: Chatgauge,
    url: String,
}

impl Server {
    fn start(config: Config) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let service = Chatgauge::open(config)?;
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = runtime.block_on(tokio::net::TcpListener::bind(address))?;
        let url = format!("http://{}/v1/traces", listener.local_addr()?);
        let access = Access::admin_token(TOKEN);
        runtime.spawn(serve(listener, service.clone(), access, std::future::pending()));
        Ok(Self { runtime, service, url })
    }

    fn stop(self) -> Result<(), Failure> {
        self.runtime.shutdown_timeout(Duration::from_secs(1));
        self.service.shutdown()?;
        Ok(())
    }

    fn post(&self, agent: &ureq::Agent, body: impl ureq::AsSendBody) -> Result<(), Failure> {
        let mut response = agent
            .post(&self.url)
            .header("authorization", format!("Bearer {TOKEN}"))
            .content_type("application/x-protobuf")
            .send(body)?;
        let message = response.body_mut().read_to_vec()?;
        if message.is_empty() { Ok(()) } else { Err("not every span was accepted".into()) }
    }
}

fn throughput(server: &Server) -> Result<(), Failure> {
    let start_ms = server.service.now().as_unix_ms() - DAY_MS;
    let bodies: Vec<Vec<u8>> =
        (0..SPANS / BATCH).map(|number| batch(number, start_ms)).collect::<Result<_, _>>()?;
    print(format!(
        "otlp: {SPANS} spans in batches of {BATCH}, {} bytes a span, synchronous=FULL, {CLIENTS} clients",
        bodies[0].len() / BATCH
    ));
    let before = server.service.status()?.ingest.accepted_total;
    let next = AtomicUsize::new(0);
    let start = now();
    std::thread::scope(|scope| -> Result<(), Failure> {
        let send = || -> Result<(), Failure> {
            let agent = ureq::Agent::new_with_defaults();
            while let Some(body) = bodies.get(next.fetch_add(1, Ordering::Relaxed)) {
                server.post(&agent, body.as_slice())?;
            }
            Ok(())
        };
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(send)).collect();
        clients.into_iter().try_for_each(|client| client.join().map_err(|_| "a client died")?)
    })?;
    let elapsed = start.elapsed();
    let stored = server.service.status()?.ingest.accepted_total - before;
    assert_eq!(stored, u64::try_from(SPANS)?, "every span is stored once");
    figure("otlp_http_protobuf", SPANS as f64 / elapsed.as_secs_f64(), "spans/s", Some(">= 20000"));
    Ok(())
}

/// Sends several bodies at once, each with one span whose prompt has 64 MiB.
fn large_bodies(server: &Server) -> Result<(), Failure> {
    let before = peak_kib();
    std::thread::scope(|scope| -> Result<(), Failure> {
        let send = || -> Result<(), Failure> {
            let agent = ureq::Agent::new_with_defaults();
            let mut body = large_body(server.service.now().as_unix_ms() - 60_000);
            server.post(&agent, ureq::SendBody::from_reader(&mut body))
        };
        let clients: Vec<_> = (0..LARGE_BODIES).map(|_| scope.spawn(send)).collect();
        clients.into_iter().try_for_each(|client| client.join().map_err(|_| "a client died")?)
    })?;
    if let (Some(before), Some(after)) = (before, peak_kib()) {
        let mib = (after - before) / 1_024.0;
        figure(&format!("otlp_{LARGE_BODIES}_bodies_of_64_mib_memory"), mib, "MiB", Some("< 64"));
    }
    Ok(())
}

/// A request of the maximum size with one span, nearly all of which is its prompt.
fn large_body(start_ms: i64) -> impl Read {
    let content_bytes = LARGE_BYTES - 256;
    let mut head = Message::default();
    identify(&mut head, 3_000_000_000, start_ms);
    // An attribute with its key, and a text that fills the rest of the body.
    let value_bytes = content_bytes + 1 + length_of(content_bytes);
    let key = b"gen_ai.input.messages";
    let attribute_bytes = 2 + key.len() as u64 + 1 + length_of(value_bytes) + value_bytes;
    head.open(9, attribute_bytes);
    head.bytes(1, key);
    head.open(2, value_bytes);
    head.open(1, content_bytes);
    let span_bytes = head.0.len() as u64 + content_bytes;
    let scope_bytes = span_bytes + 1 + length_of(span_bytes);
    let resource_bytes = scope_bytes + 1 + length_of(scope_bytes);
    let mut start = Message::default();
    start.open(1, resource_bytes);
    start.open(2, scope_bytes);
    start.open(2, span_bytes);
    start.0.extend_from_slice(&head.0);
    std::io::Cursor::new(start.0).chain(repeat(b'x').take(content_bytes))
}

const fn length_of(mut value: u64) -> u64 {
    let mut bytes = 1;
    while value > 0x7f {
        value >>= 7;
        bytes += 1;
    }
    bytes
}

/// Peak resident memory of this process, in KiB; `None` without `/proc`.
fn peak_kib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// A message of protobuf.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value > 0x7f {
            self.0.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.0.push(value.to_le_bytes()[0]);
    }

    fn open(&mut self, field: u64, length: u64) {
        self.varint(field << 3 | 2);
        self.varint(length);
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.open(field, bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn fixed(&mut self, field: u64, value: u64) {
        self.varint(field << 3 | 1);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn text(&mut self, key: &str, text: &str) {
        let (mut value, mut attribute) = (Self::default(), Self::default());
        value.bytes(1, text.as_bytes());
        attribute.bytes(1, key.as_bytes());
        attribute.bytes(2, &value.0);
        self.bytes(9, &attribute.0);
    }

    fn number(&mut self, key: &str, number: u64) {
        let (mut value, mut attribute) = (Self::default(), Self::default());
        value.varint(3 << 3);
        value.varint(number);
        attribute.bytes(1, key.as_bytes());
        attribute.bytes(2, &value.0);
        self.bytes(9, &attribute.0);
    }
}

fn identify(span: &mut Message, number: u64, start_ms: i64) {
    let mut trace = [SEED.to_le_bytes()[0]; 16];
    trace[..8].copy_from_slice(&number.to_be_bytes());
    span.bytes(1, &trace);
    span.bytes(2, &(number + 1).to_be_bytes());
    let start_ns = (start_ms.unsigned_abs() + number % 3_000_000) * 1_000_000;
    span.fixed(7, start_ns);
    span.fixed(8, start_ns + 250_000_000);
    span.text("gen_ai.operation.name", "chat");
}

/// Spans as an instrumentation of OpenAI sends them, content included.
fn batch(number: usize, start_ms: i64) -> Result<Vec<u8>, Failure> {
    let content = "x".repeat(CONTENT_BYTES / 2);
    let (mut scope_spans, mut scope) = (Message::default(), Message::default());
    scope.bytes(1, b"opentelemetry.instrumentation.genai.openai");
    scope_spans.bytes(1, &scope.0);
    for position in 0..BATCH {
        let id = u64::try_from(number * BATCH + position)?;
        let mut span = Message::default();
        identify(&mut span, id, start_ms);
        span.bytes(5, b"chat gpt-4o-mini");
        span.text("gen_ai.provider.name", "openai");
        span.text("gen_ai.request.model", ["gpt-4o-mini", "gpt-4o"][position % 2]);
        span.text("gen_ai.response.model", "gpt-4o-mini-2024-07-18");
        span.text("gen_ai.response.id", &format!("chatcmpl-{id:024x}"));
        span.text("user.id", &format!("user-{}", id % 5_000));
        span.text("session.id", &format!("session-{}", id % 20_000));
        span.text("app.space", &format!("space-{}", id % 50));
        span.text("server.address", "api.openai.com");
        span.number("server.port", 443);
        span.number("gen_ai.usage.input_tokens", 100 + id % 1_000);
        span.number("gen_ai.usage.output_tokens", 10 + id % 300);
        span.number("gen_ai.usage.cache_read.input_tokens", 64);
        span.number("gen_ai.request.max_tokens", 1_024);
        span.text("gen_ai.input.messages", &content);
        span.text("gen_ai.output.messages", &content);
        scope_spans.bytes(2, &span.0);
    }
    let (mut resource_spans, mut request) = (Message::default(), Message::default());
    resource_spans.bytes(2, &scope_spans.0);
    request.bytes(1, &resource_spans.0);
    Ok(request.0)
}
