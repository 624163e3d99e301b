//! `serve` and `demo`: the start, the company of other commands, the end.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Place, has, mode};

pub(super) const TOKEN: &str = "test-admin-token";
/// How long things take is measured with the machine's own clock.
#[expect(clippy::disallowed_methods, reason = "a test of a real process in real time")]
fn clock() -> Instant {
    Instant::now()
}

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running server; killed when a test fails.
pub(super) struct Running {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
    /// `127.0.0.1:<port>`.
    address: String,
    /// What it had printed when it told the address, and the line after.
    told: String,
    token: String,
}

impl Running {
    /// Starts a command that serves on a free port and waits for it to say where.
    fn start(place: &Place, args: &[&str], token: Option<&str>) -> Self {
        let mut command = place.command(args);
        command.args(["--listen", "127.0.0.1:0"]).stdout(Stdio::piped());
        if let Some(token) = token {
            command.env("CHATGAUGE_ADMIN_TOKEN", token);
        }
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut told = String::new();
        while !told.contains("http://") {
            assert_ne!(lines.read_line(&mut told).unwrap(), 0, "it ended: {told}");
        }
        let address = told.split("http://").nth(1).unwrap();
        let address = address.split_whitespace().next().unwrap().to_owned();
        let token = token.unwrap_or_default().to_owned();
        Self { child, lines, address, told, token }
    }

    pub(super) fn serve(place: &Place) -> Self {
        Self::serve_with(place, &[])
    }

    /// A server with options, each `key=value`.
    pub(super) fn serve_with(place: &Place, options: &[&str]) -> Self {
        let options = options.iter().flat_map(|option| ["-o", option]);
        let args: Vec<&str> = std::iter::once("serve").chain(options).collect();
        Self::start(place, &args, Some(TOKEN))
    }

    fn next_line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(super) fn get(&self, path: &str) -> Value {
        let answer = agent().get(self.url(path)).call_with(&self.token);
        assert_eq!(answer.0, 200, "{}", answer.1);
        serde_json::from_str(&answer.1).unwrap()
    }

    /// Sends a signal and waits for the end.
    fn stop(mut self, signal: &str) -> (ExitStatus, Duration) {
        send(&self.child, signal);
        let (started, status) = (clock(), wait(&mut self.child));
        (status, started.elapsed())
    }

    pub(super) fn stop_well(self) {
        let (status, took) = self.stop("-TERM");
        assert_eq!(status.code(), Some(0));
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Only for a test that failed; at all other times it has ended.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

trait CallWith {
    fn call_with(self, token: &str) -> (u16, String);
}

impl CallWith for ureq::RequestBuilder<ureq::typestate::WithoutBody> {
    fn call_with(self, token: &str) -> (u16, String) {
        let mut answer = self.header("Authorization", format!("Bearer {token}")).call().unwrap();
        (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
    }
}

pub(super) fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder().http_status_as_error(false);
    config.timeout_global(Some(Duration::from_secs(20))).build().new_agent()
}

fn send(child: &Child, signal: &str) {
    let sent = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

pub(super) fn wait(child: &mut Child) -> ExitStatus {
    let started = clock();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        assert!(started.elapsed() < PATIENCE, "it does not end");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(super) fn await_that(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = clock();
    while !is_so() {
        assert!(started.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Posts records; the number that was acknowledged, `None` when the server is gone or going.
pub(super) fn post(agent: &ureq::Agent, url: &str, token: &str, records: &Value) -> Option<u64> {
    let request = agent.post(url).header("Authorization", format!("Bearer {token}"));
    let mut answer = request.send_json(records).ok()?;
    let report: Value = answer.body_mut().read_json().ok()?;
    report["accepted"].as_u64()
}

#[test]
fn what_was_acknowledged_is_there_after_sigterm_in_the_middle_of_the_traffic() {
    let place = Place::new();
    let server = Running::serve(&place);
    let (url, acknowledged, go_on) =
        (server.url("/api/requests"), AtomicU64::new(0), AtomicBool::new(true));
    std::thread::scope(|scope| {
        for sender in 0..3 {
            let (url, acknowledged, go_on) = (&url, &acknowledged, &go_on);
            scope.spawn(move || {
                let agent = agent();
                for batch in 0.. {
                    if !go_on.load(Ordering::SeqCst) {
                        return;
                    }
                    let records: Vec<Value> = (0..50)
                        .map(|record| json!({"request_id": format!("{sender}-{batch}-{record}")}))
                        .collect();
                    match post(&agent, url, TOKEN, &json!(records)) {
                        Some(accepted) => acknowledged.fetch_add(accepted, Ordering::SeqCst),
                        None => return,
                    };
                }
            });
        }
        await_that("2,000 records", || acknowledged.load(Ordering::SeqCst) > 2_000);
        server.stop_well();
        go_on.store(false, Ordering::SeqCst);
    });
    let (stored, acknowledged) =
        (place.number("select count(*) from requests"), acknowledged.into_inner());
    // A batch may be on disk whose answer did not reach its sender any more: at most one a sender.
    let stored = u64::try_from(stored).unwrap();
    assert!((acknowledged..=acknowledged + 150).contains(&stored), "{stored} {acknowledged}");
}

#[test]
fn a_client_that_never_finishes_does_not_keep_the_server_and_a_second_signal_ends_it_at_once() {
    let place = Place::new();
    let hang = |server: &Running| {
        let mut stream = TcpStream::connect(&server.address).unwrap();
        let head = format!(
            "POST /api/requests HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\
             Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n[{{}},"
        );
        stream.write_all(head.as_bytes()).unwrap();
        // The answer to another request on the way shows that this one has been taken up.
        server.get("/api/status");
        stream
    };
    let server = Running::serve(&place);
    let _stream = hang(&server);
    server.stop_well();
    let mut server = Running::serve(&place);
    let _stream = hang(&server);
    send(&server.child, "-INT");
    await_that("the listener is closed", || TcpStream::connect(&server.address).is_err());
    send(&server.child, "-INT");
    let started = clock();
    assert_eq!(wait(&mut server.child).code(), Some(130));
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
}

#[test]
fn a_token_is_made_once_shown_once_and_kept_for_its_owner_only() {
    let place = Place::new();
    let mut first = Running::start(&place, &["serve"], None);
    let made = first.next_line();
    let token = made.strip_prefix("generated an admin token: ").unwrap().trim().to_owned();
    assert_eq!(mode(&place.path("chatgauge.db.token")), 0o600);
    assert_eq!(mode(&place.path("chatgauge.db.key")), 0o600);
    first.token = token.clone();
    first.get("/api/status");
    assert_eq!(agent().get(first.url("/api/status")).call_with("another").0, 401);
    first.stop_well();
    let mut second = Running::start(&place, &["serve"], None);
    let kept = second.next_line();
    has(&kept, "chatgauge.db.token");
    assert!(!second.told.contains(&token) && !kept.contains(&token));
    second.token = token;
    second.get("/api/status");
    second.stop_well();
    Command::new("chmod").arg("644").arg(place.path("chatgauge.db.token")).status().unwrap();
    let refused = place.run(&["serve", "--listen", "127.0.0.1:0"]).fails(1);
    has(&refused, "other users can read this token");
}

#[test]
fn what_stands_in_the_way_of_a_start_is_told() {
    let place = Place::new();
    let server = Running::serve(&place);
    let used = place.run(&["serve", "--db", "other.db", "--listen", &server.address]).fails(1);
    has(&used, "cannot listen: the address is in use");
    let otlp = format!("otlp.http_listen={}", server.address);
    let listen = ["serve", "--db", "other.db", "--listen", "127.0.0.1:0", "-o", &otlp];
    has(&place.run(&listen).fails(1), "set another otlp.http_listen");
    assert!(!place.path("other.db").exists(), "the address comes first");
    for command in [&["serve", "--listen", "127.0.0.1:0"][..], &["rebuild"]] {
        has(&place.run(command).fails(1), "locked by another server");
    }
    place.write("a.ndjson", "{}\n");
    has(&place.run(&["import", "a.ndjson"]).fails(1), "send records to it over HTTP");
    let public = place.run(&["serve", "--listen", "0.0.0.0:0", "--no-auth"]).fails(2);
    has(&public, "http.no_auth: must be false");
    server.stop_well();
}

#[test]
fn other_commands_work_beside_a_server() {
    let place = Place::new();
    let server = Running::serve(&place);
    let records: Vec<Value> = (0..200)
        .map(|number| json!({"request_id": number.to_string(), "user": "alice", "space": "s"}))
        .collect();
    let sent = post(&agent(), &server.url("/api/requests"), TOKEN, &json!(records));
    assert_eq!(sent, Some(200));
    assert_eq!(place.run(&["report", "--json"]).json()["requests"], 200);
    assert_eq!(place.run(&["export", "hour", "--user", "alice"]).ok().lines().count(), 200);
    assert_eq!(
        place.run(&["sql", "--csv", "select count(*) from requests"]).ok(),
        "count(*)\n200\n"
    );
    has(&place.run(&["check"]).ok(), "no problems found\n");
    let key = place.run(&["key", "create", "reader", "--scope", "read"]).ok();
    let status = || agent().get(server.url("/api/status")).call_with(key.trim()).0;
    assert_eq!(status(), 200);
    place.run(&["key", "revoke", "reader"]).ok();
    await_that("the key is refused", || status() == 401);
    server.stop_well();
}

#[test]
fn no_token_is_asked_for_when_none_is_wanted() {
    let place = Place::new();
    let server = Running::start(&place, &["serve", "--no-auth"], None);
    let answer = agent().get(server.url("/api/status")).call().unwrap();
    assert_eq!(answer.status(), 200);
    assert!(!place.path("chatgauge.db.token").exists());
    server.stop_well();
}

#[test]
fn a_demo_shows_its_history_goes_on_and_is_taken_up_again() {
    let place = Place::new();
    let args = ["demo", "--requests", "3000", "--per-second", "200"];
    let mut demo = Running::start(&place, &args, None);
    has(&demo.told, "storing 3000 requests of generated history\n");
    demo.token = demo.told.split("Admin token: ").nth(1).unwrap().trim().to_owned();
    let count = |demo: &Running| {
        let totals = demo
            .get("/api/metrics/breakdown?by=space&metric=request_rate&start=now-30d&end=now%2B1d");
        totals["total"]["requests"].as_i64().unwrap()
    };
    assert!(count(&demo) >= 2_990);
    await_that("the traffic flows", || count(&demo) > 3_050);
    assert!(demo.get("/api/metrics/current")["request_rate"]["per_day"].as_i64().unwrap() > 0);
    assert!(place.path("chatgauge-demo.db").exists() && !place.database().exists());
    // The curl lines are made for copying.
    let mut curls = 0;
    while curls < 3 {
        let line = demo.next_line();
        let Some(url) = line.split('\'').rev().nth(1).filter(|_| line.contains("curl")) else {
            continue;
        };
        assert_eq!(agent().get(url).call_with(&demo.token).0, 200, "{url}");
        curls += 1;
    }
    let before = count(&demo);
    demo.stop_well();
    let mut again =
        Running::start(&place, &["demo", "--requests", "3000", "--per-second", "0"], None);
    assert!(!again.told.contains("storing 3000"), "{}", again.told);
    again.token = again.told.split("Admin token: ").nth(1).unwrap().trim().to_owned();
    assert!((before..before + 1_000).contains(&count(&again)));
    again.stop_well();
}

#[test]
fn a_demo_leaves_the_database_of_the_environment_alone() {
    let place = Place::new();
    let mut command = place.command(&["demo", "--requests", "10", "--listen", "127.0.0.1:0"]);
    let mut child = command.env("CHATGAUGE_DB", "real.db").stdout(Stdio::piped()).spawn().unwrap();
    let mut first = [0];
    child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    await_that("the demo's own file", || place.path("chatgauge-demo.db").exists());
    assert!(!place.path("real.db").exists());
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn rules_of_alerts_are_read_again_at_a_hangup_and_bad_ones_are_left() {
    let place = Place::new();
    let write = |rule: &str| place.write("c.toml", format!("[[alerting.rule]]\n{rule}\n"));
    write("id = \"error-rate\"\nthreshold = 0.2");
    let server = Running::start(&place, &["serve", "--config", "c.toml"], Some(TOKEN));
    let threshold = || {
        let answer = server.get("/api/alerts/rules");
        let rules = answer["rules"].as_array().unwrap();
        rules.iter().find(|rule| rule["id"] == "error-rate").unwrap()["threshold"].clone()
    };
    let reloads = || {
        let trail = server.get("/api/audit");
        let lines = trail["entries"].as_array().unwrap();
        lines.iter().filter(|line| line["action"] == "config_changed").count()
    };
    assert_eq!(threshold(), 0.2);
    write("id = \"error-rate\"\nthreshold = 0.3");
    send(&server.child, "-HUP");
    await_that("the first reload", || reloads() == 1);
    assert_eq!(threshold(), 0.3);
    for bad in ["id = \"error-rate\"\nthreshold = \"x\"", "id = \"new\"\nchannels = [\"nobody\"]"] {
        write(bad);
        send(&server.child, "-HUP");
    }
    write("id = \"error-rate\"\nthreshold = 0.4");
    await_that("a reload after bad ones", || {
        send(&server.child, "-HUP");
        threshold() == 0.4
    });
    server.stop_well();
}

/// An upstream that answers one request with the beginning of a stream, and holds it until the caller goes.
fn holding_upstream() -> (u16, std::thread::JoinHandle<()>) {
    let upstream = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = upstream.local_addr().unwrap().port();
    let holding = std::thread::spawn(move || {
        let (mut stream, _) = upstream.accept().unwrap();
        let mut asked = Vec::new();
        while !asked.ends_with(b"}") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            asked.push(byte[0]);
        }
        let head =
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked";
        write!(stream, "{head}\r\n\r\n9\r\ndata: 1\n\n\r\n").unwrap();
        drop(stream.read_to_end(&mut Vec::new()));
    });
    (port, holding)
}

#[test]
fn a_stream_under_way_at_the_end_is_recorded_as_cancelled() {
    let place = Place::new();
    let (upstream, holding) = holding_upstream();
    let upstreams = format!("[gateway.upstreams.openai]\nurl = \"http://127.0.0.1:{upstream}\"");
    place.write("c.toml", format!("[gateway]\nlisten = \"127.0.0.1:0\"\n{upstreams}\n"));
    let mut server = Running::start(&place, &["serve", "--config", "c.toml"], Some(TOKEN));
    let line = server.next_line();
    let mut client = TcpStream::connect(line.split("http://").nth(1).unwrap().trim()).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let body = r#"{"model":"held","stream":true}"#;
    let head = "POST /openai/v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length:";
    write!(client, "{head} {}\r\n\r\n{body}", body.len()).unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"data: 1\n\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).unwrap();
        answer.push(byte[0]);
    }
    server.stop_well();
    holding.join().unwrap();
    let cancelled =
        "select count(*) from request_log where model = 'held' and outcome = 'cancelled'";
    assert_eq!(place.number(cancelled), 1);
}
