//! Mixed traffic: single records, arrays, NDJSON, spans, calls through the gateway and queries, one client each.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chatgauge::SystemClock;
use chatgauge::model::Clock as _;

use super::findings::{Findings, Wrong};
use super::place::length;
use super::server::{Client, PATIENCE, Response, Server, clock};
use super::stage::Stage;
use super::truth::{Batch, Known, Route};

/// Pause of a client whose request failed.
const PAUSE: Duration = Duration::from_millis(2);

/// Now, in Unix milliseconds.
pub(crate) fn now_ms() -> i64 {
    SystemClock::new().now().as_unix_ms()
}

/// Traffic to a running server.
#[derive(Debug)]
pub(crate) struct Traffic<'a> {
    stage: &'a Stage,
    url: String,
    gateway_url: String,
    log: PathBuf,
    is_over: AtomicBool,
    /// Whether responses of 500 and above are expected.
    expects_refusals: bool,
    /// Pause of a client after each request.
    pause: Duration,
    acknowledged: AtomicU64,
    statuses: Mutex<BTreeMap<u16, u64>>,
    /// The body of the last refusal.
    refusal: Mutex<String>,
    findings: Mutex<Findings>,
}

/// Result of the traffic.
#[derive(Debug)]
pub(crate) struct Passed {
    pub(crate) findings: Findings,
    /// Number of responses by status.
    pub(crate) statuses: BTreeMap<u16, u64>,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'a> Traffic<'a> {
    /// Runs `meanwhile` under traffic at full speed; the clients stop when it returns.
    pub(crate) fn around<T>(
        stage: &'a Stage,
        urls: (String, String),
        meanwhile: impl FnOnce(&Self) -> T,
    ) -> (T, Passed) {
        Self::paced(stage, urls, None, meanwhile)
    }

    /// Like [`around`](Self::around), but 5xx responses are expected, and each client pauses after a request: comparing many
    /// records is slow.
    pub(crate) fn around_faults<T>(
        stage: &'a Stage,
        urls: (String, String),
        pause: Duration,
        meanwhile: impl FnOnce(&Self) -> T,
    ) -> (T, Passed) {
        Self::paced(stage, urls, Some(pause), meanwhile)
    }

    fn paced<T>(
        stage: &'a Stage,
        (url, gateway_url): (String, String),
        faults_pause: Option<Duration>,
        meanwhile: impl FnOnce(&Self) -> T,
    ) -> (T, Passed) {
        let traffic = Self {
            stage,
            url,
            gateway_url,
            log: stage.place.log(),
            is_over: AtomicBool::new(false),
            expects_refusals: faults_pause.is_some(),
            pause: faults_pause.unwrap_or_default(),
            acknowledged: AtomicU64::new(0),
            statuses: Mutex::default(),
            refusal: Mutex::default(),
            findings: Mutex::default(),
        };
        let result = std::thread::scope(|scope| {
            for route in Route::ALL {
                let traffic = &traffic;
                scope.spawn(move || traffic.send_until_over(route));
            }
            let (gateway, dashboard) = (&traffic, &traffic);
            scope.spawn(move || gateway.chat_until_over());
            scope.spawn(move || dashboard.read_until_over());
            // Dropped on a panic too, so that the clients stop.
            let _over = Over(&traffic.is_over);
            meanwhile(&traffic)
        });
        let findings = traffic.findings.into_inner().unwrap_or_else(PoisonError::into_inner);
        let statuses = traffic.statuses.into_inner().unwrap_or_else(PoisonError::into_inner);
        (result, Passed { findings, statuses })
    }

    /// Batches acknowledged so far.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::SeqCst)
    }

    /// Responses with this status so far.
    pub(crate) fn responses(&self, status: u16) -> u64 {
        locked(&self.statuses).get(&status).copied().unwrap_or(0)
    }

    /// The body of the last refusal.
    pub(crate) fn refusal(&self) -> String {
        locked(&self.refusal).clone()
    }

    /// Waits until `more` further batches are acknowledged; `false` after `limit`.
    pub(crate) fn await_more(&self, more: u64, limit: Duration) -> bool {
        let (goal, began) = (self.acknowledged() + more, clock());
        while self.acknowledged() < goal {
            if began.elapsed() >= limit {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        true
    }

    fn send_until_over(&self, route: Route) {
        let client = Client::new();
        while !self.is_over.load(Ordering::SeqCst) {
            let (number, path, kind, body) = {
                let mut truth = self.stage.truth();
                let again = truth.again();
                let number = again.unwrap_or_else(|| truth.make(route, now_ms()));
                let batch = &mut truth.batches[number];
                (batch.is_travelling, batch.sent) = (true, batch.sent + 1);
                let (path, kind) = batch.route.address();
                (number, path, kind, batch.body.clone())
            };
            let response = client.post(&format!("{}{path}", self.url), kind, &body);
            let log_bytes = length(&self.log);
            let is_stored = {
                let mut truth = self.stage.truth();
                let batch = &mut truth.batches[number];
                batch.is_travelling = false;
                response.is_ok_and(|response| self.settle(batch, &response, log_bytes))
            };
            if is_stored {
                self.acknowledged.fetch_add(1, Ordering::SeqCst);
                std::thread::sleep(self.pause);
            } else {
                std::thread::sleep(PAUSE);
            }
        }
    }

    /// Records the response to a batch; returns whether the batch is acknowledged.
    fn settle(&self, batch: &mut Batch, response: &Response, log_bytes: u64) -> bool {
        *locked(&self.statuses).entry(response.status).or_default() += 1;
        let mut findings = locked(&self.findings);
        if response.status != 200 {
            *locked(&self.refusal) = response.text();
            if response.status < 500 || !self.expects_refusals {
                findings.add(Wrong::Contract, format!("{}: {}", response.status, response.text()));
            }
            return false;
        }
        let was_known = batch.known != Known::InDoubt;
        let json = response.json();
        if batch.route != Route::Otlp {
            let count = |name: &str| json[name].as_u64().unwrap_or(u64::MAX);
            let (accepted, duplicates) = (count("accepted"), count("duplicates"));
            let all = batch.ids.len() as u64;
            if accepted.checked_add(duplicates) != Some(all) {
                findings.add(Wrong::Contract, format!("{all} records were sent: {json}"));
            }
            if was_known && accepted > 0 {
                findings.add(Wrong::Doubled, format!("accepted again: {json}, {:?}", batch.ids));
            }
            if batch.sent == 1 && duplicates > 0 {
                findings.add(Wrong::Contract, format!("new records are duplicates: {json}"));
            }
        } else if json["partialSuccess"]["rejectedSpans"].as_i64().unwrap_or(0) != 0 {
            findings.add(Wrong::Contract, format!("spans were rejected: {json}"));
        }
        if !was_known {
            batch.known = Known::Acknowledged { log_bytes };
        }
        true
    }

    /// Queries figures and rows like a dashboard, so that pages are read from the file.
    fn read_until_over(&self) {
        let client = Client::new();
        let paths = ["/api/metrics/current", "/api/requests?limit=500", "/api/status"];
        for path in paths.iter().cycle() {
            if self.is_over.load(Ordering::SeqCst) {
                return;
            }
            if let Ok(response) = client.get(&format!("{}{path}", self.url))
                && response.status != 200
                && !self.expects_refusals
            {
                let what = format!("{path}: {} {}", response.status, response.text());
                locked(&self.findings).add(Wrong::Contract, what);
            }
            std::thread::sleep(2 * PAUSE);
        }
    }

    fn chat_until_over(&self) {
        let client = Client::new();
        let url = format!("{}/v1/chat/completions", self.gateway_url);
        let mut is_stream = false;
        while !self.is_over.load(Ordering::SeqCst) {
            is_stream = !is_stream;
            let body = format!(r#"{{"model":"gpt-torture","stream":{is_stream},"messages":[]}}"#);
            if client.post(&url, "application/json", body.as_bytes()).is_err() {
                std::thread::sleep(PAUSE);
            }
            std::thread::sleep(PAUSE);
        }
    }
}

struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Sends one batch until it is acknowledged.
pub(crate) fn deliver(stage: &Stage, server: &Server, number: usize) {
    let client = Client::new();
    let began = clock();
    loop {
        let (path, kind, body) = {
            let mut truth = stage.truth();
            let batch = &mut truth.batches[number];
            batch.sent += 1;
            let (path, kind) = batch.route.address();
            (path, kind, batch.body.clone())
        };
        let response = client.post(&format!("{}{path}", server.url), kind, &body);
        if response.is_ok_and(|response| response.status == 200) {
            let log_bytes = length(&stage.place.log());
            stage.truth().batches[number].known = Known::Acknowledged { log_bytes };
            return;
        }
        assert!(began.elapsed() < PATIENCE, "a batch is not taken");
        std::thread::sleep(PAUSE);
    }
}
