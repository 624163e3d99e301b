//! A real server on a free port, with a database of its own.

#![expect(clippy::unwrap_used, reason = "a test helper fails by panicking")]

pub(crate) mod child;
pub(crate) mod store;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chatgauge::http::{Access, serve};
use chatgauge::model::Clock;
use chatgauge::{Chatgauge, Config, SystemClock};
use serde_json::Value;

/// The admin token of every test server.
pub(crate) const ADMIN_TOKEN: &str = "test-admin-token";

/// A server that stops when it is dropped.
#[derive(Debug)]
pub(crate) struct TestServer {
    /// The service behind it.
    pub(crate) service: Chatgauge,
    address: SocketAddr,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
    agent: ureq::Agent,
    _directory: tempfile::TempDir,
}

/// An answer as a client sees it.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: u16,
    /// The headers.
    pub(crate) headers: ureq::http::HeaderMap,
    /// The body.
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// One header as text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

impl TestServer {
    /// A server with the default configuration.
    pub(crate) fn start() -> Self {
        Self::with(|_| {})
    }

    /// A server whose configuration was changed by `change`.
    pub(crate) fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::with_clock(Arc::new(SystemClock::new()), change)
    }

    /// A server that reads the time from `clock`.
    pub(crate) fn with_clock(clock: Arc<dyn Clock>, change: impl FnOnce(&mut Config)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.store.path = directory.path().join("test.db");
        config.http.listen = SocketAddr::from(([127, 0, 0, 1], 0));
        change(&mut config);
        let access =
            if config.http.no_auth { Access::open() } else { Access::admin_token(ADMIN_TOKEN) };
        let service = Chatgauge::open_with_clock(config, clock).unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let (tell_address, address) = std::sync::mpsc::channel();
        let serving = service.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async move {
                let listen = serving.config().http.listen;
                let listener = tokio::net::TcpListener::bind(listen).await.unwrap();
                tell_address.send(listener.local_addr().unwrap()).unwrap();
                let shutdown = async move {
                    // Dropping the sender stops the server too.
                    drop(stopped.await);
                };
                serve(listener, serving, access, shutdown).await.unwrap();
            });
        });
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(30)))
            .build()
            .new_agent();
        Self {
            service,
            address: address.recv().unwrap(),
            stop: Some(stop),
            thread: Some(thread),
            agent,
            _directory: directory,
        }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// `GET`, as the administrator.
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.get_as(path, Some(ADMIN_TOKEN))
    }

    /// `GET` with any token, or none.
    pub(crate) fn get_as(&self, path: &str, token: Option<&str>) -> Answer {
        let mut request = self.agent.get(self.url(path));
        if let Some(token) = token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        read(request.call().unwrap())
    }

    /// `GET` with these headers and no others.
    pub(crate) fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.agent.get(self.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        read(request.call().unwrap())
    }

    /// `DELETE` with these headers and no others.
    pub(crate) fn delete_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.agent.delete(self.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        read(request.call().unwrap())
    }

    /// `POST` with any headers, as the administrator unless they say otherwise.
    pub(crate) fn post(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        // A server that refuses a body closes the connection with the rest unread: the reset may overtake the response.
        for _ in 0..20 {
            match self.try_post(path, headers, body) {
                Err(ureq::Error::Io(_)) => {}
                response => return read(response.unwrap()),
            }
        }
        panic!("POST {path}: the connection breaks off again and again");
    }

    fn try_post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<ureq::http::Response<ureq::Body>, ureq::Error> {
        let mut request = self.agent.post(self.url(path));
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization")) {
            request = request.header("Authorization", format!("Bearer {ADMIN_TOKEN}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send(body)
    }

    /// `DELETE`, as the administrator.
    pub(crate) fn delete(&self, path: &str) -> Answer {
        let request = self.agent.delete(self.url(path));
        read(request.header("Authorization", format!("Bearer {ADMIN_TOKEN}")).call().unwrap())
    }

    /// `POST` of JSON, as the administrator.
    pub(crate) fn post_json(&self, path: &str, body: &Value) -> Answer {
        let body = serde_json::to_vec(body).unwrap();
        self.post(path, &[("Content-Type", "application/json")], &body)
    }

    /// Sends records and asserts that all were accepted.
    pub(crate) fn ingest(&self, records: &Value) {
        let answer = self.post_json("/api/requests", records);
        let report = answer.json();
        assert_eq!(answer.status, 200, "{report}");
        assert_eq!(report["rejected"], serde_json::json!([]), "{report}");
    }
}

fn read(mut response: ureq::http::Response<ureq::Body>) -> Answer {
    Answer {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        body: response.body_mut().with_config().limit(256 << 20).read_to_vec().unwrap(),
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
        self.service.shutdown().unwrap();
    }
}
