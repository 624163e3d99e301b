//! The statements of `docs/sql.md`: each runs as it stands on a generated database, and finds something.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use chatgauge::generate::Workload;
use chatgauge::model::time::{DAY_MS, MINUTE_MS};
use chatgauge::model::{
    Clock as _, ErrorType, Name, Outcome, RequestId, RequestRecord, TimeRange, Timestamp,
};
use chatgauge::{Chatgauge, Config, SystemClock};

const DOCUMENT: &str = include_str!("../../../docs/sql.md");

/// Requests of the generated month: enough for every statement to find something.
const REQUESTS: u64 = 10_000;

/// The statements between ```` ```sql ```` and the end of the fence.
fn statements(document: &str) -> Vec<String> {
    let blocks = document.split("\n```sql\n").skip(1);
    blocks.map(|block| block.split("\n```").next().unwrap().to_owned()).collect()
}

/// A failed request of one model. The last of six starts 50 s ahead, so that "today" and "the last minute" have
/// requests however long the test takes.
fn failed(template: &RequestRecord, now: Timestamp, position: i64) -> RequestRecord {
    let mut record = template.clone();
    record.request_id = RequestId::parse(&format!("failed-{position}"));
    record.started_at = now.plus_ms(position * 10_000);
    record.model = Some(Name::new("gpt-5"));
    record.outcome = Outcome::Error(ErrorType::Server);
    record
}

/// A month of lifelike requests up to now, and an outage of one model that raised an alert.
fn fill(service: &Chatgauge, now: Timestamp) {
    let month = TimeRange::new(now.plus_ms(-30 * DAY_MS), now);
    let records: Vec<RequestRecord> = Workload::new(7, month, REQUESTS).records().collect();
    let template = records.last().unwrap().clone();
    service.record(records).unwrap();
    service.check_alerts(now).unwrap();
    let outage = (0..6).map(|position| failed(&template, now, position)).collect();
    service.record(outage).unwrap();
    let opened = service.check_alerts(now.plus_ms(MINUTE_MS)).unwrap();
    assert!(!opened.is_empty(), "the outage raised no alert");
    service.compact().unwrap();
}

#[test]
fn every_statement_of_the_document_runs_and_finds_something() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    config.store.path = directory.path().join("chatgauge.db");
    config.alerting.enabled = false;
    let service = Chatgauge::open(config).unwrap();
    fill(&service, SystemClock::new().now());
    let statements = statements(DOCUMENT);
    assert!(statements.len() >= 9, "only {} statements were found", statements.len());
    for statement in statements {
        let found = service.sql(&statement).unwrap_or_else(|error| panic!("{error}:\n{statement}"));
        assert!(!found.rows.is_empty(), "no rows:\n{statement}");
    }
    service.shutdown().unwrap();
}

/// The names of the views in the first column of the table under `## Views`.
fn documented_views() -> Vec<String> {
    let section = DOCUMENT.split("\n## Views\n").nth(1).unwrap().split("\n### ").next().unwrap();
    let cells = section.lines().filter_map(|line| line.strip_prefix("| `")?.split(" |").next());
    let names = cells.flat_map(|cell| cell.split(", "));
    names.map(|name| name.trim_matches('`').to_owned()).collect()
}

#[test]
fn every_view_is_in_the_document_and_the_other_way_round() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    config.store.path = directory.path().join("chatgauge.db");
    let service = Chatgauge::open(config.clone()).unwrap();
    service.shutdown().unwrap();
    let connection = rusqlite::Connection::open(&config.store.path).unwrap();
    let sql = "select name from sqlite_schema where type = 'view' order by name";
    let mut select = connection.prepare(sql).unwrap();
    let views: Vec<String> =
        select.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
    let mut documented = documented_views();
    documented.sort();
    assert_eq!(documented, views);
}
