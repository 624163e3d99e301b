//! A damaged page of the tables that the server keeps for itself: status and metrics answer what can be read, and say what
//! cannot.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;

use chatgauge::Chatgauge;
use chatgauge::generate::Workload;
use chatgauge::model::TimeRange;

use crate::harness::TestServer;
use crate::harness::store::{NEVER, at, quiet_config};

const PAGE: usize = 4_096;

/// A closed file with requests that are rolled up.
fn make(path: &Path) {
    let service = Chatgauge::open(quiet_config(path)).unwrap();
    let start = at("2026-03-01T00:00:00Z");
    let range = TimeRange::new(start, start.plus_ms(86_400_000));
    service.record(Workload::new(1, range, 500).records().collect()).unwrap();
    service.compact().unwrap();
    service.shutdown().unwrap();
}

/// Fills the first page of a table or an index with noise.
fn spoil(path: &Path, name: &str) {
    let connection = rusqlite::Connection::open(path).unwrap();
    let sql = "select rootpage from sqlite_schema where name = ?1";
    let page: i64 = connection.query_row(sql, [name], |row| row.get(0)).unwrap();
    drop(connection);
    let page = usize::try_from(page).unwrap();
    let mut bytes = std::fs::read(path).unwrap();
    bytes[(page - 1) * PAGE..page * PAGE].fill(0xA5);
    std::fs::write(path, bytes).unwrap();
}

/// What a server says of a file with a damaged table or index: the status and the scrape.
fn said(name: &str) -> (serde_json::Value, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("chat.db");
    make(&path);
    spoil(&path, name);
    let server = TestServer::with(|config| {
        let quiet = quiet_config(&path);
        config.store = quiet.store;
        config.compactor.interval = NEVER;
        config.retention.interval = NEVER;
    });
    let (status, scrape) = (server.get("/api/status"), server.get("/metrics"));
    assert_eq!((status.status, scrape.status), (200, 200), "{name}");
    let health = server.get("/api/telemetry/health").json();
    assert_eq!(health["status"], "degraded", "{name}: {health}");
    (status.json(), String::from_utf8(scrape.body).unwrap())
}

#[test]
fn a_damaged_page_of_bookkeeping_leaves_status_and_metrics_readable() {
    for (name, missing) in [
        ("_alert_instances", &["alert_rules"][..]),
        ("_alert_monitor", &["alert_rules"]),
        ("_alert_outbox__due", &["alert_outbox"]),
        ("_rollup_state", &["requests", "storage"]),
        ("_days", &["requests", "storage"]),
        ("requests", &["requests", "storage"]),
    ] {
        let (status, scrape) = said(name);
        let parts = ["requests", "storage", "alert_rules", "alert_outbox"];
        for part in parts {
            let value = u8::from(missing.contains(&part));
            let sample = format!("chatgauge_scrape_errors{{part=\"{part}\"}} {value}\n");
            assert!(scrape.contains(&sample), "{name}: not {sample} in {scrape}");
        }
        assert!(scrape.contains("\nchatgauge_records_accepted_total "), "{name}: {scrape}");
        assert!(scrape.contains("\nchatgauge_alert_evaluations_total "), "{name}: {scrape}");
        let is_null = |section: &str, field: &str| {
            assert!(status[section].get(field).is_some(), "{section}.{field}: {status}");
            status[section][field].is_null()
        };
        let nulls = [
            ("alert_rules", is_null("alerts", "firing_rules")),
            ("alert_outbox", is_null("alerts", "outbox_pending")),
            ("storage", is_null("storage", "requests")),
        ];
        for (part, is_null) in nulls {
            assert_eq!(is_null, missing.contains(&part), "{name}, {part}: {status}");
        }
        let problems = status["problems"].to_string();
        assert!(problems.contains("cannot be read"), "{name}: {problems}");
    }
}
