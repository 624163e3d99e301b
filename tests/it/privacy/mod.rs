//! P12: nothing that people wrote, nothing that tells who they are and no secret is kept or shown, wherever it stands in what
//! comes in, and by whichever route it comes.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod canary;
mod planted;
mod traffic;
mod watched;

use std::cell::Cell;

use chatgauge::config::Synchronous;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use crate::gateway::harness::GatewayListener;
use crate::gateway::upstream::PATIENCE;
use crate::harness::TestServer;
use crate::notify::delivery::alerting;
use crate::notify::receiver::Receiver;
use crate::otlp::encode::protobuf_of;
use planted::{Planted, Values, planted};
use traffic::Provider;

const CASES: u32 = 256;
/// Cases between two looks at what was stored: the collector's requests are stored a moment later.
const CASES_A_LOOK: u64 = 8;
const JSON: &str = "application/json";

/// A server with a gateway, an alert that fires at every error, and somebody who is notified; all cases share it.
struct Stage {
    server: TestServer,
    gateway: GatewayListener,
    provider: Provider,
    receiver: Receiver,
    files: tempfile::TempDir,
    /// Cases so far.
    case: Cell<u64>,
}

impl Stage {
    fn start() -> Self {
        watched::start_log();
        let (provider, receiver) = (Provider::start(), Receiver::willing());
        let rule = |id: &str, by: &str| {
            format!(
                "[[alerting.rule]]\nid = \"{id}\"\nmetric = \"consecutive_failures\"\nthreshold = 1\nby = [\"{by}\"]\n\
                 channels = [\"ops\", \"log\"]\n"
            )
        };
        let section = alerting(&format!(
            "[alerting]\nenabled = false\ndefault_rules = false\ngroup_wait = \"0s\"\n[alerting.channels.ops]\ntype = \"webhook\"\nurl = \"{}\"\n\
             {}{}{}",
            receiver.url("/"),
            rule("failing", "space"),
            rule("model", "model"),
            rule("provider", "provider"),
        ));
        let server = TestServer::with(|config| {
            config.store.synchronous = Synchronous::Normal;
            config.http.read_per_minute = 1_000_000;
            config.alerting = section;
            for upstream in config.gateway.upstreams.values_mut() {
                upstream.url = format!("http://{}", provider.upstream.address);
            }
        });
        let gateway = GatewayListener::start(server.service.clone());
        let files = tempfile::tempdir().unwrap();
        Self { server, gateway, provider, receiver, files, case: Cell::new(0) }
    }

    /// Sends a body and checks what is said about it.
    fn post(&self, path: &str, content_type: &str, body: &[u8]) -> Result<(), TestCaseError> {
        let answer = self.server.post(path, &[("Content-Type", content_type)], body);
        let shown = format!("{:?} {}", answer.headers, String::from_utf8_lossy(&answer.body));
        prop_assert!(answer.status < 500, "{}: {}", path, shown);
        prop_assert_eq!(canary::find(shown.as_bytes()), None, "the answer of {}", path);
        Ok(())
    }

    fn import(&self, name: &str, content: &[u8], args: &[&str]) -> Result<(), TestCaseError> {
        let file = self.files.path().join(name);
        std::fs::write(&file, content).unwrap();
        let printed = traffic::import(&self.server.service, &file, args);
        prop_assert_eq!(canary::find(&printed), None, "printed of {}", name);
        Ok(())
    }

    /// Sends the texts of a case by every route.
    fn send(&self, planted: &Planted) -> Result<(), TestCaseError> {
        let case = self.case.get();
        self.case.set(case + 1);
        // Before the window of the rules would end, and each at a millisecond of its own.
        let at = self.server.service.now().plus_ms(-20_000).as_unix_ms();
        let mut route = 10 * case;
        let mut next = || {
            route += 1;
            planted.values(route)
        };

        let mut values = next();
        let records = serde_json::json!([values.record(at), values.unacceptable()]);
        self.post("/api/requests", JSON, records.to_string().as_bytes())?;
        let mut values = next();
        let broken = format!("{{\"model\":\"{}", values.text());
        let lines = format!("{}\n{}\n{broken}\n", values.record(at + 1), values.unacceptable());
        self.post("/api/requests", "application/x-ndjson", lines.as_bytes())?;

        let spans = next().spans(at + 2);
        self.post("/v1/traces", JSON, spans.to_string().as_bytes())?;
        self.post("/v1/traces", "application/x-protobuf", &protobuf_of(&next().spans(at + 3)))?;
        self.post("/ingest/litellm", JSON, next().litellm(at + 4).to_string().as_bytes())?;

        self.provider.ask(&self.gateway, &mut next());
        traffic::collect(&self.server.service, &mut next());

        let mut values = next();
        let lines = format!("{}\n{}\n", values.record(at + 5), values.unacceptable());
        let name = format!("requests of {}.ndjson", canary::MARK);
        self.import(&name, lines.as_bytes(), &["--json"])?;
        self.import("columns.csv", &columns(&mut next(), at + 6), &[])?;
        let payload = next().litellm(at + 7).to_string();
        let args = ["--format", "litellm-spendlogs", "--json"];
        self.import("spend.ndjson", payload.as_bytes(), &args)
    }

    /// Looks where the records of the last cases would be seen first.
    fn check(&self) {
        if self.case.get().is_multiple_of(CASES_A_LOOK) {
            assert!(self.server.service.collector().flush(PATIENCE));
            watched::check_newest(&self.server);
        }
    }

    /// Looks everywhere.
    fn check_all(&self) {
        let service = &self.server.service;
        assert!(service.collector().flush(PATIENCE));
        // After the delay with which rules are evaluated.
        let opened = service.check_alerts(service.now().plus_ms(30_000)).unwrap();
        assert!(opened.len() > 3, "alerts of hashed names: {opened:?}");
        assert_eq!(canary::find(format!("{opened:?}").as_bytes()), None);
        for notification in self.receiver.wait_for(1) {
            assert_eq!(canary::find(&notification.body), None, "a notification");
        }
        watched::check_files(&self.server);
        for _ in 0..2 {
            watched::check_tables(&self.server);
            watched::check_routes(&self.server);
            service.compact().unwrap();
        }
        watched::check_files(&self.server);
        assert!(watched::check_log() > 0, "nothing was logged");
    }

    /// Requests that were stored by a route.
    fn stored(&self, source: &str) -> u64 {
        let sql = format!("select count(*) from request_log where source = '{source}'");
        let answer = self.server.post_json("/api/sql", &serde_json::json!({ "sql": sql }));
        answer.json()["rows"][0][0].as_u64().unwrap()
    }
}

/// Rows of a file with columns that no field is called like.
fn columns(values: &mut Values<'_>, at: i64) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let own = values.name("colour");
    let header = ["started_at", "space", "model", "user", "error_code", "prompt", own.as_str()];
    writer.write_record(header).unwrap();
    let row = [
        at.to_string(),
        values.name("sales"),
        values.name("gpt-5"),
        values.anything(),
        values.name("overloaded"),
        values.anything(),
        values.anything(),
    ];
    writer.write_record(row).unwrap();
    writer.into_inner().unwrap()
}

#[test]
fn p12_nothing_written_nobody_and_no_secret_is_kept_or_shown() {
    let stage = Stage::start();
    // All cases share a database: a smaller case would find what the one that failed has left.
    let max_shrink_iters = 0;
    let config =
        Config { cases: CASES, failure_persistence: None, max_shrink_iters, ..Config::default() };
    let case = |planted: Planted| stage.send(&planted).map(|()| stage.check());
    TestRunner::new(config).run(&planted(), case).unwrap();
    stage.check_all();
    for source in ["rest", "otlp", "litellm", "gateway", "collector", "import"] {
        assert!(stage.stored(source) > u64::from(CASES) / 2, "{source}");
    }
}
