//! A server that is killed under load loses no span that it acknowledged.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;

use super::encode::protobuf_of;

const TOKEN: &str = "test-admin-token";
const SPANS: u64 = 64;
const ROUNDS: u64 = 4;

/// A server of its own process.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(database: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_chatgauge"))
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(["-o", "otlp.http_listen=", "-o", "otlp.grpc_listen=", "--db"])
            .arg(database)
            .env_clear()
            .env("CHATGAUGE_ADMIN_TOKEN", TOKEN)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.split("http://").nth(1).unwrap().split_whitespace().next().unwrap();
        Self { url: format!("http://{address}"), child }
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(30)))
        .build()
        .new_agent()
}

/// The batch of this number: spans whose trace says which.
fn batch(number: u64, start_ns: u64) -> Vec<u8> {
    let span = |position: u64| {
        json!({"traceId": format!("{:032x}", number + 1), "spanId": format!("{:016x}", position + 1),
            "startTimeUnixNano": start_ns.to_string(), "endTimeUnixNano": (start_ns + 5_000_000).to_string(),
            "attributes": [{"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}},
                           {"key": "gen_ai.input.messages", "value": {"stringValue": "SECRET"}}]})
    };
    let spans: Vec<_> = (0..SPANS).map(span).collect();
    protobuf_of(&json!({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}))
}

/// Sends batches without pause until the server is gone; returns the acknowledged ones.
fn send_until_gone(url: &str, next: &AtomicU64, enough: &AtomicBool, start_ns: u64) -> Vec<u64> {
    let (agent, mut acknowledged) = (agent(), Vec::new());
    loop {
        let number = next.fetch_add(1, Ordering::SeqCst);
        let sent = agent
            .post(format!("{url}/v1/traces"))
            .header("Authorization", format!("Bearer {TOKEN}"))
            .content_type("application/x-protobuf")
            .send(batch(number, start_ns).as_slice());
        match sent {
            Ok(answer) if answer.status() == 200 => acknowledged.push(number),
            Ok(_) => {}
            Err(_) => return acknowledged,
        }
        if acknowledged.len() >= 3 {
            enough.store(true, Ordering::SeqCst);
        }
    }
}

#[test]
fn no_acknowledged_span_is_lost_when_the_server_is_killed_under_load() {
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("chat.db");
    let now_ms = chatgauge::model::Clock::now(&chatgauge::SystemClock::default()).as_unix_ms();
    let start_ns = u64::try_from(now_ms - 60_000).unwrap() * 1_000_000;
    let next = AtomicU64::new(0);
    let mut acknowledged = BTreeSet::new();
    for round in 0..ROUNDS {
        let server = Server::start(&database);
        let (url, enough) = (server.url.clone(), AtomicBool::new(false));
        let seen: Vec<u64> = std::thread::scope(|scope| {
            let send = || send_until_gone(&url, &next, &enough, start_ns);
            let senders: Vec<_> = (0..2).map(|_| scope.spawn(send)).collect();
            while !enough.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
            server.kill();
            senders.into_iter().flat_map(|sender| sender.join().unwrap()).collect()
        });
        assert!(!seen.is_empty(), "round {round}");
        acknowledged.extend(seen);
    }
    let connection = rusqlite::Connection::open(&database).unwrap();
    let mut select = connection.prepare("select request_id from requests").unwrap();
    let stored: BTreeSet<String> =
        select.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    for number in &acknowledged {
        for position in 1..=SPANS {
            let id = format!("{:032x}:{position:016x}", number + 1);
            assert!(stored.contains(&id), "{id} was acknowledged and is lost");
        }
    }
    assert_eq!(stored.len() as u64 % SPANS, 0, "a batch is stored as a whole or not at all");
}
