//! A server at a fixed moment, with the same requests, incident, silence and keys every time.

#![expect(clippy::unwrap_used, reason = "a test helper fails by panicking")]

use std::sync::Arc;

use chatgauge::model::{ManualClock, Timestamp};
use serde_json::{Value, json};

use super::schema::Document;
use crate::harness::store::NEVER;
use crate::harness::{Answer, TestServer};

/// Noon, at which every request of the tests is sent.
const NOON: &str = "2026-03-01T12:00:00Z";
/// The time between two evaluations of the rules.
const INTERVAL_MS: i64 = 30_000;

/// A server whose answers are the same in every run.
#[derive(Debug)]
pub(super) struct Seeded {
    pub(super) server: TestServer,
    /// What the server says of itself.
    pub(super) document: Document,
    clock: Arc<ManualClock>,
    /// The incident that the failing requests made.
    pub(super) incident: String,
    /// A silence over another rule.
    pub(super) silence: String,
    /// A key that may do no more than send.
    pub(super) sender: Key,
    /// A key that reads one space.
    pub(super) reader: Key,
}

/// An API key.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) id: String,
    pub(super) token: String,
}

impl Seeded {
    /// A server with two hours of requests, of which those of the last minute fail.
    pub(super) fn start() -> Self {
        let noon = Timestamp::parse_rfc3339(NOON).unwrap();
        let clock = Arc::new(ManualClock::new(noon));
        let server = TestServer::with_clock(clock.clone(), |config| {
            config.compactor.interval = NEVER;
            config.retention.interval = NEVER;
            // The test evaluates the rules.
            config.alerting.enabled = false;
            config.http.body_max_bytes = 100_000;
        });
        server.ingest(&steady());
        server.ingest(&failing());
        let mut incidents = Vec::new();
        for _ in 0..3 {
            incidents.extend(server.service.check_alerts(server.service.now()).unwrap());
            clock.advance_ms(INTERVAL_MS);
        }
        assert_eq!(incidents.len(), 1, "{incidents:?}");
        let incident = incidents[0].incident_id.clone();
        let silence = server.post_json("/api/alerts/silences", &silence());
        let silence = silence.json()["id"].as_str().unwrap().to_owned();
        let sender = Key::new(&server, &json!({"name": "sender", "scopes": ["ingest"]}));
        // Lists have the newest key first.
        clock.advance_ms(1_000);
        let reader = json!({"name": "reader", "scopes": ["read"], "spaces": ["docs"],
                            "expires_at": "2027-01-01T00:00:00Z"});
        let reader = Key::new(&server, &reader);
        let document = Document(server.get("/api/openapi.json").json());
        Self { server, document, clock, incident, silence, sender, reader }
    }

    /// Lets a second pass.
    pub(super) fn pass(&self) {
        self.clock.advance_ms(1_000);
    }

    /// Ids and tokens of this run, with what stands for them in snapshots.
    pub(super) fn names(&self) -> Vec<(&str, &'static str)> {
        vec![
            (&self.sender.token, "[token of the sender]"),
            (&self.reader.token, "[token of the reader]"),
            (&self.incident, "[incident]"),
            (&self.silence, "[silence]"),
            (&self.sender.id, "[sender]"),
            (&self.reader.id, "[reader]"),
        ]
    }

    /// `GET`, as the administrator.
    pub(super) fn get(&self, path: &str) -> Answer {
        self.server.get(path)
    }
}

impl Key {
    fn new(server: &TestServer, body: &Value) -> Self {
        let made = server.post_json("/api/keys", body).json();
        let text = |pointer: &str| made.pointer(pointer).unwrap().as_str().unwrap().to_owned();
        Self { id: text("/key/id"), token: text("/token") }
    }
}

fn silence() -> Value {
    json!({"rule": "latency-avg", "duration_s": 3_600, "comment": "planned work"})
}

/// Twelve requests in two hours, with everything that a record may say.
fn steady() -> Value {
    let record = |n: u32| {
        json!({
            "request_id": format!("steady-{n}"),
            "started_at": format!("2026-03-01T{:02}:{:02}:00Z", 10 + n / 6, n % 6 * 10),
            "operation": "chat",
            "user": if n < 7 { "alice" } else { "bob" },
            "space": if n < 8 { "docs" } else { "sales" },
            "session": "morning",
            "provider": if n.is_multiple_of(4) { "anthropic" } else { "openai" },
            "model": if n.is_multiple_of(4) { "small" } else { "large" },
            "total_latency_ms": 1_000 + 100 * n, "context_latency_ms": 250,
            "llm_latency_ms": 700 + 100 * n, "time_to_first_token_ms": 90,
            "prompt_tokens": 100, "completion_tokens": 10 + n,
            "cached_prompt_tokens": 40, "reasoning_tokens": 5,
            "cost_usd": 0.01, "cache_hit": n == 3,
            "error_type": if n == 5 { json!("timeout") } else { Value::Null },
            "error_code": if n == 5 { json!("read_timeout") } else { Value::Null },
            "http_status": if n == 5 { 504 } else { 200 },
            "finish_reason": "stop", "attempt": n % 2, "streamed": n.is_multiple_of(2),
            "provider_response_id": format!("chatcmpl-{n}"),
            "tags": {"env": "prod"},
        })
    };
    (0..12).map(record).collect()
}

/// Forty requests of the last minute, three in four of which fail.
fn failing() -> Value {
    let record = |n: u32| {
        json!({
            "request_id": format!("failing-{n}"), "started_at": format!("2026-03-01T11:59:{:02}Z", 10 + n),
            "space": "sales", "user": "carol", "provider": "openai", "model": "large",
            "total_latency_ms": 50, "error_type": if n.is_multiple_of(4) { Value::Null } else { json!("server") },
        })
    };
    (0..40).map(record).collect()
}
