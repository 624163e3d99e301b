//! Killed at any moment, state, history and messages still tell the same story.

#![expect(clippy::unwrap_used, reason = "a test helper fails by panicking")]

use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::Duration;

use chatgauge::model::{
    ErrorType, ManualClock, Name, Outcome, RequestId, RequestRecord, Source, Timestamp,
};
use chatgauge::{Chatgauge, Config};

use crate::harness::child;

/// Names the database to the process that is going to be killed.
const DATABASE: &str = "CHATGAUGE_TEST_ALERTS_DATABASE";
const KILLS: u64 = 12;

fn config(path: &Path) -> Config {
    let mut config = Config::default();
    config.store.path = path.to_owned();
    config.alerting.enabled = false;
    for rule in &mut config.alerting.rules {
        // Many transitions: two spaces that fail and recover.
        rule.condition.consecutive = 1;
        rule.condition.clear_consecutive = 1;
    }
    config
}

/// Evaluates for ever.
#[test]
#[ignore = "the process that the test below starts and kills"]
fn alerts_that_are_going_to_be_killed() {
    let path = child::given(DATABASE);
    let start = std::fs::read_to_string(format!("{path}.clock")).unwrap();
    let clock = Arc::new(ManualClock::new(Timestamp::from_unix_ms(start.parse().unwrap())));
    let gauge = Chatgauge::open_with_clock(config(Path::new(&path)), clock.clone()).unwrap();
    for round in 0_u64.. {
        let now = gauge.now();
        let records = (0..40).map(|number| {
            let id = RequestId::Text(Name::from(format!("{}-{number}", now.as_unix_ms())));
            let mut record = RequestRecord::new(id, now.plus_ms(-20_000), Source::Rest);
            record.model = Some(Name::from(format!("m{}", number % 3)));
            if round % 2 == 0 {
                record.outcome = Outcome::Error(ErrorType::Server);
            }
            record
        });
        gauge.record(records.collect()).unwrap();
        gauge.check_alerts(now).unwrap();
        clock.advance_ms(400_000);
        // Renamed into place, so that a kill leaves the old or the new one.
        std::fs::write(format!("{path}.next"), gauge.now().as_unix_ms().to_string()).unwrap();
        std::fs::rename(format!("{path}.next"), format!("{path}.clock")).unwrap();
    }
}

fn start(path: &Path) -> Child {
    child::command("alerts::crashes::alerts_that_are_going_to_be_killed")
        .env(DATABASE, path)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn count(connection: &rusqlite::Connection, sql: &str) -> i64 {
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn state_history_and_messages_agree_after_any_kill() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("test.db");
    std::fs::write(directory.path().join("test.db.clock"), "1773144000000").unwrap();
    drop(Chatgauge::open(config(&path)).unwrap());
    let lines =
        |connection: &rusqlite::Connection| count(connection, "select count(*) from alert_events");
    for kill in 0..KILLS {
        let connection = rusqlite::Connection::open(&path).unwrap();
        let before = lines(&connection);
        let mut child = start(&path);
        let mut waited = 0;
        // Killed after another number of lines each time, wherever it is then.
        let wanted = before + 1 + i64::try_from(kill * 7 % 23).unwrap();
        while lines(&connection) < wanted {
            waited += 1;
            assert!(waited < 60_000, "the evaluating process got nowhere");
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let wrong = |sql: &str| assert_eq!(count(&connection, sql), 0, "kill {kill}: {sql}");
        // Every open incident has its state, and the other way round.
        wrong(
            "select count(*) from alert_incidents i where ended_at_ms is null and not exists
                 (select 1 from _alert_instances s where s.incident_id = i.incident_id)",
        );
        wrong("select count(*) from _alert_instances s where incident_id is not null and not exists
                 (select 1 from alert_incidents i where i.incident_id = s.incident_id and ended_at_ms is null)");
        // Every incident has the line that it began, once, and a message or a reason not to have one.
        wrong(
            "select count(*) from alert_incidents i where 1 > (select count(*) from alert_events e
                 where e.incident_id = i.incident_id and e.to_state = 'firing')",
        );
        wrong(
            "select count(*) from _alert_instances s where is_announced and not exists
                 (select 1 from _alert_outbox o where o.incident_id = s.incident_id)",
        );
        wrong(
            "select count(*) from _alert_outbox o where not exists
                 (select 1 from alert_incidents i where i.incident_id = o.incident_id)",
        );
        // Who was told of an incident that is over was told of its end, and nobody else was.
        wrong(
            "select count(*) from _alert_outbox f join alert_incidents i using (incident_id)
             where i.ended_at_ms is not null and f.kind in ('firing', 'flapping') and not exists
                 (select 1 from _alert_outbox r where r.incident_id = f.incident_id
                    and r.channel = f.channel and r.kind in ('resolved', 'fired_and_resolved'))",
        );
        wrong(
            "select count(*) from _alert_outbox r where r.kind in ('resolved', 'fired_and_resolved')
               and not exists (select 1 from _alert_outbox f where f.incident_id = r.incident_id
                                 and f.channel = r.channel and f.kind in ('firing', 'flapping'))",
        );
        wrong(
            "select count(*) from (select 1 from _alert_outbox where kind in ('firing', 'resolved')
                 group by incident_id, channel, kind having count(*) > 1)",
        );
    }
    let connection = rusqlite::Connection::open(&path).unwrap();
    assert!(count(&connection, "select count(*) from alert_incidents") > 5);
}
