//! A real gateway on a free port, with a database of its own.

use std::net::SocketAddr;
use std::path::PathBuf;

use chatgauge::config::InjectUsage;
use chatgauge::model::{Filter, RequestRecord, TimeRange, Timestamp};
use chatgauge::query::RequestsQuery;
use chatgauge::{Chatgauge, Config};

use super::upstream::{Message, PATIENCE, Upstream, post};

/// The listener of a gateway; it stops when it is dropped.
pub(crate) struct GatewayListener {
    pub(crate) address: SocketAddr,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl GatewayListener {
    /// A gateway that records with `service`, on a free port.
    pub(crate) fn start(serving: Chatgauge) -> Self {
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let (tell_address, address) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell_address.send(listener.local_addr().unwrap()).unwrap();
                let shutdown = async move { drop(stopped.await) };
                chatgauge::gateway::serve(listener, serving, shutdown).await.unwrap();
            });
        });
        Self { address: address.recv().unwrap(), stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for GatewayListener {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

/// A gateway with a service of its own.
pub(crate) struct TestGateway {
    _listener: GatewayListener,
    pub(crate) service: Chatgauge,
    pub(crate) address: SocketAddr,
    pub(crate) directory: tempfile::TempDir,
}

impl TestGateway {
    /// A gateway whose upstreams `openai` and `anthropic` are both `upstream`.
    pub(crate) fn before(upstream: &Upstream) -> Self {
        Self::with(upstream.address, |_| {})
    }

    /// Like [`before`](Self::before), asking streams of chat completions for their usage.
    pub(crate) fn injecting(upstream: &Upstream) -> Self {
        Self::with(upstream.address, inject)
    }

    pub(crate) fn with(upstream: SocketAddr, change: impl FnOnce(&mut Config)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.store.path = directory.path().join("test.db");
        for config in config.gateway.upstreams.values_mut() {
            config.url = format!("http://{upstream}");
        }
        change(&mut config);
        let service = Chatgauge::open(config).unwrap();
        let listener = GatewayListener::start(service.clone());
        let address = listener.address;
        Self { _listener: listener, service, address, directory }
    }

    pub(crate) fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Message {
        post(self.address, path, headers, body.as_bytes())
    }

    pub(crate) fn chat(&self, body: &str) -> Message {
        self.post("/v1/chat/completions", &[], body)
    }

    /// Every record, oldest first, once `count` requests have ended.
    pub(crate) fn records(&self, count: u64) -> Vec<RequestRecord> {
        let collector = self.service.collector();
        wait_until(|| {
            let stats = collector.stats();
            stats.in_flight == 0 && stats.started >= count
        });
        assert!(collector.flush(PATIENCE));
        let query = RequestsQuery {
            range: TimeRange::new(Timestamp::from_unix_ms(0), self.service.now().plus_ms(60_000)),
            filter: Filter::default(),
            limit: 1_000,
            cursor: None,
        };
        let page = self.service.requests(&query).unwrap();
        let mut records: Vec<_> = page.requests.into_iter().map(|row| row.record).collect();
        records.reverse();
        assert_eq!(records.len() as u64, count, "one record for each request");
        records
    }

    /// The only record.
    pub(crate) fn record(&self) -> RequestRecord {
        self.records(1).remove(0)
    }

    /// Every file of the service.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.directory.path()).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }
}

pub(crate) fn inject(config: &mut Config) {
    for upstream in config.gateway.upstreams.values_mut() {
        upstream.inject_usage = InjectUsage::Always;
    }
}

/// Looks until it is so.
pub(crate) fn wait_until(is_so: impl Fn() -> bool) {
    let mut looks = 0;
    while !is_so() {
        looks += 1;
        assert!(looks < 20_000, "it never came to be");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}
