//! The real program, serving, and a client of it.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::place::Place;

/// Deadline of every wait; only a failure takes this long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The machine's monotonic clock.
#[expect(clippy::disallowed_methods, reason = "tests of real processes in real time")]
pub(crate) fn clock() -> Instant {
    Instant::now()
}

/// Options that run background work often and lift rate limits.
const OPTIONS: &[&str] = &[
    "compactor.interval_ms=10",
    "retention.interval_seconds=1",
    "http.ingest_per_minute=1000000000",
    "http.read_per_minute=1000000000",
    "query.sql_max_rows=1000000",
    "otlp.http_listen=off",
    "otlp.grpc_listen=off",
    "gateway.listen=127.0.0.1:0",
];

/// A server in a process of its own; killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    /// `http://127.0.0.1:<port>` of the main listener.
    pub(crate) url: String,
    /// The same of the gateway.
    pub(crate) gateway_url: String,
    is_gone: bool,
}

/// A server that ended before it served.
#[derive(Debug)]
pub(crate) struct NotStarted {
    /// How it ended.
    pub(crate) status: ExitStatus,
    /// The last lines of standard error.
    pub(crate) errors: String,
}

impl NotStarted {
    pub(crate) fn was_killed(&self) -> bool {
        self.status.signal() == Some(9)
    }
}

/// `serve` on a free port.
pub(crate) fn serve_command(mut command: Command, upstream: &str, options: &[&str]) -> Command {
    command.args(["--no-auth", "--listen", "127.0.0.1:0"]);
    for option in OPTIONS.iter().chain(options) {
        command.args(["-o", option]);
    }
    command.args(["-o", &format!("gateway.upstreams.openai.url={upstream}")]);
    command
}

/// The last lines of standard error of the last program.
pub(crate) fn last_words(place: &Place) -> String {
    let said = std::fs::read_to_string(place.errors()).unwrap_or_default();
    let lines: Vec<&str> = said.lines().collect();
    lines[lines.len().saturating_sub(6)..].join(" | ")
}

impl Server {
    /// Starts `command` and waits until it serves.
    pub(crate) fn start(place: &Place, mut command: Command) -> Result<Self, NotStarted> {
        let errors = File::create(place.errors()).expect("a file for errors");
        let mut child = command.stdout(Stdio::piped()).stderr(errors).spawn().expect("the program");
        let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let (sender, told) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                // Read to the end, so that the program never blocks on a full pipe.
                drop(sender.send(line));
            }
        });
        let mut urls = Vec::new();
        while urls.len() < 2 {
            match told.recv_timeout(PATIENCE) {
                Ok(line) => urls.extend(url_in(&line)),
                Err(RecvTimeoutError::Disconnected) => {
                    let status = child.wait().expect("its end");
                    return Err(NotStarted { status, errors: last_words(place) });
                }
                Err(RecvTimeoutError::Timeout) => {
                    child.kill().expect("a program to kill");
                    let status = child.wait().expect("its end");
                    let errors = format!("it did not serve in time: {}", last_words(place));
                    return Err(NotStarted { status, errors });
                }
            }
        }
        let gateway_url = urls.pop().unwrap_or_default();
        let url = urls.pop().unwrap_or_default();
        Ok(Self { child, url, gateway_url, is_gone: false })
    }

    /// Addresses of the main listener and of the gateway.
    pub(crate) fn urls(&self) -> (String, String) {
        (self.url.clone(), self.gateway_url.clone())
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    /// How it ended, if it does within `limit`.
    pub(crate) fn await_end(&mut self, limit: Duration) -> Option<ExitStatus> {
        let status = await_end(&mut self.child, limit);
        self.is_gone |= status.is_some();
        status
    }

    /// SIGTERM, and its end.
    pub(crate) fn stop(mut self) -> ExitStatus {
        let id = self.child.id().to_string();
        let told = Command::new("kill").args(["-TERM", &id]).status().expect("kill");
        assert!(told.success(), "the server cannot be told to stop");
        self.await_end(PATIENCE).expect("a server that stops when it is told to")
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.await_end(Duration::ZERO).is_none()
    }

    fn end(&mut self) {
        if !std::mem::replace(&mut self.is_gone, true) {
            // An error means that it has just exited by itself.
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// How a program ended, if it does within `limit`.
pub(crate) fn await_end(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let began = clock();
    loop {
        if let Some(status) = child.try_wait().expect("its state") {
            return Some(status);
        }
        if began.elapsed() >= limit {
            return None;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn url_in(line: &str) -> Option<String> {
    let rest = line.split_once("listening on ")?.1;
    Some(rest.split_whitespace().next()?.to_owned())
}

/// An HTTP client with keep-alive.
#[derive(Clone, Debug)]
pub(crate) struct Client(ureq::Agent);

/// A response that was read completely.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// The body as JSON; null when it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Client {
    pub(crate) fn new() -> Self {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE))
            .build()
            .new_agent();
        Self(agent)
    }

    /// `GET`; an error when the response is incomplete.
    pub(crate) fn get(&self, url: &str) -> Result<Response, ureq::Error> {
        read(self.0.get(url).call()?)
    }

    /// `POST`; an error when the response is incomplete.
    pub(crate) fn post(&self, url: &str, kind: &str, body: &[u8]) -> Result<Response, ureq::Error> {
        read(self.0.post(url).header("Content-Type", kind).send(body)?)
    }
}

fn read(mut response: ureq::http::Response<ureq::Body>) -> Result<Response, ureq::Error> {
    let status = response.status().as_u16();
    let body = response.body_mut().with_config().limit(256 << 20).read_to_vec()?;
    Ok(Response { status, body })
}
