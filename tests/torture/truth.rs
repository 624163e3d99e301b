//! The truth: what was sent and what was acknowledged, kept outside the process under test.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};

/// Milliseconds of a day.
pub(crate) const DAY_MS: i64 = 86_400_000;

/// How a batch travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Route {
    /// One JSON object.
    Single,
    /// A JSON array.
    Array,
    /// One object a line.
    Lines,
    /// Spans.
    Otlp,
}

impl Route {
    pub(crate) const ALL: [Self; 4] = [Self::Single, Self::Array, Self::Lines, Self::Otlp];

    /// Path and content type.
    pub(crate) const fn address(self) -> (&'static str, &'static str) {
        match self {
            Self::Single | Self::Array => ("/api/requests", "application/json"),
            Self::Lines => ("/api/requests", "application/x-ndjson"),
            Self::Otlp => ("/v1/traces", "application/json"),
        }
    }

    fn most_records(self) -> usize {
        match self {
            Self::Single => 1,
            Self::Array => 30,
            Self::Lines => 200,
            Self::Otlp => 20,
        }
    }
}

/// What the sender knows about a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// No response, or a refusal: the batch is stored as a whole or not at all.
    InDoubt,
    /// Acknowledged when the write log had this length.
    Acknowledged { log_bytes: u64 },
}

/// Records that were sent together.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) route: Route,
    pub(crate) ids: Vec<String>,
    pub(crate) body: Vec<u8>,
    pub(crate) known: Known,
    /// Whether somebody sends it at this moment.
    pub(crate) is_travelling: bool,
    /// How often it was sent.
    pub(crate) sent: u32,
    /// The UTC day of its records when they are history that retention may delete once the day is due.
    pub(crate) history_day: Option<i64>,
}

/// A UTC day of history.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct HistoryDay {
    /// Its records.
    pub(crate) requests: u64,
    /// Whether its raw rows have outlived their time.
    pub(crate) is_due: bool,
}

/// Everything that was sent to one database.
#[derive(Debug)]
pub(crate) struct Truth {
    pub(crate) batches: Vec<Batch>,
    /// By days since 1970.
    pub(crate) history: BTreeMap<i64, HistoryDay>,
    made: u64,
    rng: StdRng,
}

impl Truth {
    pub(crate) fn new(seed: u64) -> Self {
        let rng = StdRng::seed_from_u64(seed);
        Self { batches: Vec::new(), history: BTreeMap::new(), made: 0, rng }
    }

    /// A new batch of today and the days before; its number.
    pub(crate) fn make(&mut self, route: Route, now_ms: i64) -> usize {
        let count = self.rng.random_range(1..=route.most_records());
        let (ids, records) = (0..count).map(|_| self.record(route, now_ms)).unzip();
        self.add(route, ids, &records, None)
    }

    /// A batch of one UTC day of history; its number.
    pub(crate) fn make_history(&mut self, day: i64, count: usize) -> usize {
        let mut ids = Vec::new();
        let mut records = Vec::new();
        for _ in 0..count {
            let started_at = day * DAY_MS + self.rng.random_range(0..DAY_MS);
            let id = self.next_id();
            let mut record = self.fields();
            record["request_id"] = json!(id);
            record["started_at"] = json!(started_at);
            ids.push(id);
            records.push(record);
        }
        self.history.entry(day).or_default().requests += count as u64;
        self.add(Route::Lines, ids, &records, Some(day))
    }

    /// Adds records that the file holds already; they count as acknowledged.
    pub(crate) fn adopt(&mut self, ids: Vec<String>) {
        let number = self.add(Route::Lines, ids, &Vec::new(), None);
        let batch = &mut self.batches[number];
        (batch.known, batch.is_travelling) = (Known::Acknowledged { log_bytes: 0 }, true);
    }

    fn add(
        &mut self,
        route: Route,
        ids: Vec<String>,
        records: &Vec<Value>,
        history_day: Option<i64>,
    ) -> usize {
        let body = match route {
            Route::Single => records.first().map(Value::to_string).unwrap_or_default(),
            Route::Array => json!(records).to_string(),
            Route::Lines => records.iter().map(|record| format!("{record}\n")).collect(),
            Route::Otlp => {
                json!({"resourceSpans": [{"scopeSpans": [{"spans": records}]}]}).to_string()
            }
        };
        self.batches.push(Batch {
            route,
            ids,
            body: body.into_bytes(),
            known: Known::InDoubt,
            is_travelling: false,
            sent: 0,
            history_day,
        });
        self.batches.len() - 1
    }

    /// An id of letters only, so that it does not look like a personal identifier.
    fn next_id(&mut self) -> String {
        self.made += 1;
        let letter =
            |shift: u32| char::from(b'a' + u8::try_from(self.made >> shift & 15).unwrap_or(0));
        (0..8).rev().map(|digit| letter(4 * digit)).fold("rec-".to_owned(), |mut id, letter| {
            id.push(letter);
            id
        })
    }

    fn record(&mut self, route: Route, now_ms: i64) -> (String, Value) {
        if route == Route::Otlp {
            return self.span(now_ms);
        }
        let id = self.next_id();
        let mut record = self.fields();
        match self.made % 3 {
            // A UUIDv7 carries the time.
            0 => {
                let ms = now_ms - self.rng.random_range(0..3_600_000);
                let n = self.made;
                let id = format!(
                    "{:08x}-{:04x}-7{:03x}-8{:03x}-{n:012x}",
                    ms >> 16,
                    ms & 0xffff,
                    n & 0xfff,
                    n >> 3 & 0xfff
                );
                record["request_id"] = json!(id);
                (id, record)
            }
            // Neither an id with a time nor a start.
            1 => {
                record["request_id"] = json!(id);
                (id, record)
            }
            _ => {
                record["started_at"] = json!(now_ms - self.rng.random_range(0..3 * DAY_MS));
                record["request_id"] = json!(id);
                (id, record)
            }
        }
    }

    fn fields(&mut self) -> Value {
        let rng = &mut self.rng;
        let total: u32 = rng.random_range(5..20_000);
        let model = ["gpt-torture", "claude-torture", "small"][rng.random_range(0..3)];
        let mut record = json!({
            "user": format!("user {}", rng.random_range(0..40)),
            "space": format!("space {}", rng.random_range(0..5)),
            "model": model,
            "total_latency_ms": total,
            "context_latency_ms": total / 7,
            "prompt_tokens": rng.random_range(1..4_000),
        });
        if rng.random_bool(0.1) {
            record["error_type"] = json!("timeout");
        } else {
            record["completion_tokens"] = json!(rng.random_range(1..900));
        }
        record
    }

    fn span(&mut self, now_ms: i64) -> (String, Value) {
        self.made += 1;
        let (trace, span) = (format!("{:032x}", self.made), format!("{:016x}", self.made));
        let start_ns = (now_ms - self.rng.random_range(1_000..600_000)) * 1_000_000;
        let end_ns = start_ns + self.rng.random_range(1_000_000..900_000_000);
        let value = json!({
            "traceId": trace, "spanId": span,
            "startTimeUnixNano": start_ns.to_string(), "endTimeUnixNano": end_ns.to_string(),
            "attributes": [
                {"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}},
                {"key": "gen_ai.request.model", "value": {"stringValue": "gpt-torture"}},
                {"key": "gen_ai.usage.input_tokens", "value": {"intValue": "17"}},
            ],
        });
        (format!("{trace}:{span}"), value)
    }

    /// Sometimes a batch to send again: one in doubt, or one that is acknowledged.
    pub(crate) fn again(&mut self) -> Option<usize> {
        let wants = match self.rng.random_range(0..8) {
            0 | 1 => Some(false),
            2 => Some(true),
            _ => None,
        }?;
        // Only the newest batches, so that the search stays short.
        let newest = self.batches.len().saturating_sub(400)..self.batches.len();
        let fits = |number: &usize| {
            let batch = &self.batches[*number];
            let is_known = batch.known != Known::InDoubt;
            batch.sent > 0
                && !batch.is_travelling
                && batch.history_day.is_none()
                && is_known == wants
        };
        let candidates: Vec<usize> = newest.filter(fits).collect();
        (!candidates.is_empty()).then(|| candidates[self.rng.random_range(0..candidates.len())])
    }

    /// A new write log begins: everything acknowledged so far was acknowledged before it.
    pub(crate) fn begin_log(&mut self) {
        for batch in &mut self.batches {
            if batch.known != Known::InDoubt {
                batch.known = Known::Acknowledged { log_bytes: 0 };
            }
        }
    }

    /// Records that are acknowledged.
    pub(crate) fn acknowledged_records(&self) -> u64 {
        let acknowledged = self.batches.iter().filter(|batch| batch.known != Known::InDoubt);
        acknowledged.map(|batch| batch.ids.len() as u64).sum()
    }
}
