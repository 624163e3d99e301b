//! The latency that the gateway adds to a call, with recording on: direct calls and calls through it to the
//! same fake provider alternate, 500 of each a second. Then memory over 100,000 calls.
//!
//! One thread calls over two kept-alive connections; caller, gateway and provider share the machine. The added
//! latency is the difference of the medians and of the 99th percentiles. First-byte times end at the first byte
//! of the body.

#![expect(clippy::unwrap_used, reason = "a benchmark may panic")]

#[expect(dead_code, reason = "this benchmark generates no history")]
mod common;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use chatgauge::Chatgauge;
use chatgauge::config::InjectUsage;
use common::{config, figure, now, print};

/// Number of timed calls of each kind, after a tenth as many to warm up.
const CALLS: usize = 5_000;
/// Time between two calls: 500 of each kind a second.
const TICK: Duration = Duration::from_millis(1);
/// Number of calls over which memory must not grow.
const MANY: usize = 100_000;

const RESPONSE: &str = r#"{"id":"chatcmpl-1","object":"chat.completion","model":"gpt-4o-2024-07-18","choices":[{"index":0,"message":{"role":"assistant","content":"Hello from the fake model, which says as much as models say."},"finish_reason":"stop"}],"usage":{"prompt_tokens":120,"completion_tokens":45,"prompt_tokens_details":{"cached_tokens":64}}}"#;
const DELTA: &str = "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"model\":\"gpt-4o-2024-07-18\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello \"},\"finish_reason\":null}]}\n\n";
const USAGE: &str = "data: {\"id\":\"chatcmpl-1\",\"choices\":[],\"usage\":{\"prompt_tokens\":120,\"completion_tokens\":45}}\n\n";

fn request_of(streams: bool) -> String {
    let body = format!(
        r#"{{"model":"gpt-4o","stream":{streams},"user":"user-42","messages":[{{"role":"user","content":"{}"}}]}}"#,
        "What people ask. ".repeat(120)
    );
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer sk-1\r\n\
         content-type: application/json\r\nx-chatgauge-space: bench\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A provider that responds immediately, with a thread for each connection.
fn provider() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve(stream));
        }
    });
    address
}

fn serve(mut stream: TcpStream) {
    stream.set_nodelay(true).unwrap();
    let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
    let whole = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{RESPONSE}",
        RESPONSE.len()
    );
    let begin = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n{}",
        chunk(DELTA)
    );
    let rest: String = std::iter::repeat_n(chunk(DELTA), 20).collect();
    let end = format!("{rest}{}{}0\r\n\r\n", chunk(USAGE), chunk("data: [DONE]\n\n"));
    let mut buffer = vec![0; 64 << 10];
    let mut filled = 0;
    loop {
        // Each request is one head and one body with `content-length`.
        let Ok(length @ 1..) = stream.read(&mut buffer[filled..]) else { return };
        filled += length;
        let Some(head) = memchr::memmem::find(&buffer[..filled], b"\r\n\r\n") else { continue };
        let text = String::from_utf8_lossy(&buffer[..head]).to_lowercase();
        let length = text.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
        let length: usize = length.unwrap().trim().parse().unwrap();
        if filled < head + 4 + length {
            continue;
        }
        let streams = memchr::memmem::find(&buffer[..filled], b"\"stream\":true").is_some();
        filled = 0;
        let sent = if streams {
            stream.write_all(begin.as_bytes()).and_then(|()| stream.write_all(end.as_bytes()))
        } else {
            stream.write_all(whole.as_bytes())
        };
        if sent.is_err() {
            return;
        }
    }
}

/// One kept-alive connection.
struct Caller {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Caller {
    fn new(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: vec![0; 64 << 10] }
    }

    /// Sends a request; returns the time to the first byte of the body and to the end.
    fn call(&mut self, request: &str, streams: bool) -> [Duration; 2] {
        let started = now();
        self.stream.write_all(request.as_bytes()).unwrap();
        let (mut filled, mut first) = (0, None);
        loop {
            filled += self.stream.read(&mut self.buffer[filled..]).unwrap();
            let received = &self.buffer[..filled];
            let Some(head) = memchr::memmem::find(received, b"\r\n\r\n") else { continue };
            if filled > head + 4 {
                first = first.or_else(|| Some(started.elapsed()));
            }
            let ends = if streams {
                received.ends_with(b"\r\n0\r\n\r\n")
            } else {
                filled == head + 4 + RESPONSE.len()
            };
            if ends {
                return [first.unwrap(), started.elapsed()];
            }
        }
    }
}

fn percentile_ms(times: &mut [Duration], percent: usize) -> f64 {
    times.sort_unstable();
    let rank = (times.len() * percent).div_ceil(100);
    times[rank.clamp(1, times.len()) - 1].as_secs_f64() * 1e3
}

/// Alternates direct calls and calls through the gateway.
fn compare(direct: SocketAddr, gateway: SocketAddr, streams: bool) {
    let request = request_of(streams);
    let mut callers = [Caller::new(direct), Caller::new(gateway)];
    // By caller (direct, gateway) and timed event (first byte, end).
    let mut times = [[Vec::new(), Vec::new()], [Vec::new(), Vec::new()]];
    let started = now();
    for turn in 0..2 * (CALLS + CALLS / 10) {
        let due = TICK * u32::try_from(turn).unwrap();
        std::thread::sleep(due.saturating_sub(started.elapsed()));
        let who = turn % 2;
        let elapsed = callers[who].call(&request, streams);
        if turn >= CALLS / 5 {
            times[who][0].push(elapsed[0]);
            times[who][1].push(elapsed[1]);
        }
    }
    let kind = if streams { "stream" } else { "whole" };
    let [[direct_first, direct_end], [first, end]] = &mut times;
    for (what, direct, gateway) in [("first_byte", direct_first, first), ("end", direct_end, end)] {
        for (name, percent, bar) in [("median", 50, "< 0.3"), ("p99", 99, "< 1.5")] {
            let (direct, through) =
                (percentile_ms(direct, percent), percentile_ms(gateway, percent));
            let label = format!("gateway_{kind}_{what}_{name}");
            figure(&format!("{label}_direct"), direct, "ms", None);
            figure(&format!("{label}_through"), through, "ms", None);
            // No target for the end of a stream: a real provider determines it.
            let bar = (what == "first_byte" || !streams).then_some(bar);
            figure(&format!("{label}_added"), through - direct, "ms", bar);
        }
    }
}

fn resident_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let kb: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kb * 1_024.0 / 1e6
}

/// Makes `calls` calls over several connections, half of them streams.
fn many(gateway: SocketAddr, calls: usize) {
    const CALLERS: usize = 8;
    std::thread::scope(|scope| {
        for caller in 0..CALLERS {
            scope.spawn(move || {
                let streams = caller % 2 == 0;
                let (request, mut caller) = (request_of(streams), Caller::new(gateway));
                for _ in 0..calls / CALLERS {
                    caller.call(&request, streams);
                }
            });
        }
    });
}

fn main() {
    let directory = tempfile::tempdir().unwrap();
    let provider = provider();
    let mut config = config(directory.path());
    for upstream in config.gateway.upstreams.values_mut() {
        upstream.url = format!("http://{provider}");
        upstream.inject_usage = InjectUsage::Always;
    }
    let service = Chatgauge::open(config).unwrap();
    let (address_sender, address) = std::sync::mpsc::channel();
    let serving = service.clone();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            address_sender.send(listener.local_addr().unwrap()).unwrap();
            chatgauge::gateway::serve(listener, serving, std::future::pending()).await.unwrap();
        });
    });
    let gateway = address.recv().unwrap();

    compare(provider, gateway, false);
    compare(provider, gateway, true);

    // These calls fill the page caches and the rollups of these minutes.
    many(gateway, MANY);
    let before = resident_mb();
    let started = now();
    many(gateway, MANY);
    let seconds = started.elapsed().as_secs_f64();
    figure("gateway_calls_per_second", MANY as f64 / seconds, "1/s", None);
    figure("gateway_memory_after_100000_calls", before, "MB", None);
    let grown = resident_mb() - before;
    figure("gateway_memory_growth_over_100000_more", grown, "MB", Some("< 2"));
    assert!(service.collector().flush(Duration::from_secs(30)));
    let status = service.status().unwrap();
    print(format!(
        "stored {} of {} recorded, {} dropped",
        status.ingest.accepted_total, status.gateway.recorded_total, status.collector.dropped_total
    ));
    service.shutdown().unwrap();
}
