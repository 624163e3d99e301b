//! Tests of the suite itself: each plants a fault that a server could have, and the suite must find it.
//!
//! The program contains none of these faults: they are planted by the fault layer, by triggers in the file, by the
//! configuration, by a proxy in front of the server, or by removing a file.

use std::io::{BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use serde_json::json;

use super::disk::{self, Unsynced};
use super::findings::{Findings, Wrong};
use super::layer::{Action, Kind, Op, Rule};
use super::load::{Traffic, now_ms};
use super::poison;
use super::server::{Client, Server, clock};
use super::stage::Stage;
use super::truth::{Known, Route};
use super::upstream::read_request;
use super::verify::ask;
use super::write_log::records;

/// Longest wait for traffic.
const LIMIT: Duration = Duration::from_secs(20);

/// Asserts that a finding of one of these kinds exists.
fn assert_caught(findings: &Findings, wrongs: &[Wrong]) {
    assert!(wrongs.iter().any(|wrong| findings.has(*wrong)), "{wrongs:?} not found: {findings}");
}

/// Traffic until `batches` are acknowledged.
fn load(stage: &Stage, server: &Server, batches: u64) -> Findings {
    let ((), passed) = Traffic::around(stage, server.urls(), |traffic| {
        assert!(traffic.await_more(batches, LIMIT), "no records are accepted");
    });
    passed.findings
}

/// Runs a server under a rule, from its start or, with `is_late`, from the first 20 batches on; then kills it.
fn under_rule(rule: Rule, is_late: bool, batches: u64) -> (Stage, disk::Files) {
    let stage = Stage::new(1);
    let base = stage.place.files();
    if !is_late {
        stage.place.layer.arm(0, rule);
    }
    let server = stage.start(true).expect("a server");
    load(&stage, &server, 20);
    stage.place.layer.arm(0, rule);
    load(&stage, &server, batches);
    server.kill();
    stage.place.layer.disarm();
    (stage, base)
}

/// Findings after a restart on the simulated state of the disk.
fn after_disk(stage: &Stage, base: &disk::Files, unsynced: Unsynced) -> Findings {
    let log = std::fs::read(stage.place.log()).expect("the log of writes");
    stage.place.restore(&disk::after(base, &records(&log), unsynced, 1));
    stage.verify(None)
}

/// Findings after traffic to a server whose file was changed by an SQL statement.
fn with_statement(sql: &str) -> Findings {
    let stage = Stage::new(2);
    stage.start(false).expect("a new server").stop();
    stage.place.connection().execute_batch(sql).expect("a statement");
    let server = stage.start(false).expect("a server");
    let mut findings = load(&stage, &server, 60);
    super::stage::await_rolled_up(&server);
    server.stop();
    findings.extend(stage.verify(None), "afterwards");
    findings
}

#[test]
fn a_server_that_acknowledges_before_it_commits() {
    /// Delay between the response and the forwarding of a record.
    const LATE: Duration = Duration::from_millis(300);
    let stage = Stage::new(3);
    let server = stage.start(true).expect("a server");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    let url = server.url.clone();
    std::thread::spawn(move || {
        let stream: TcpStream = listener.accept().expect("a client").0;
        let mut reader = BufReader::new(stream.try_clone().expect("a stream"));
        while let Ok(Some(body)) = read_request(&mut reader) {
            let response = r#"{"accepted":1,"duplicates":0,"rejected":[]}"#;
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", response.len());
            (&stream).write_all(format!("{head}{response}").as_bytes()).expect("a client");
            let url = format!("{url}/api/requests");
            std::thread::spawn(move || {
                std::thread::sleep(LATE);
                // The server may be dead by then: that is the planted fault.
                drop(Client::new().post(&url, "application/json", body.as_bytes()));
            });
        }
    });
    let client = Client::new();
    for _ in 0..50 {
        let (number, body) = {
            let mut truth = stage.truth();
            let number = truth.make(Route::Single, now_ms());
            (number, truth.batches[number].body.clone())
        };
        let response = client.post(&format!("http://{address}/"), "application/json", &body);
        assert_eq!(response.expect("a response").status, 200);
        stage.truth().batches[number].known = Known::Acknowledged { log_bytes: 0 };
    }
    server.kill();
    assert_caught(&stage.verify(None), &[Wrong::Lost]);
}

#[test]
fn a_server_that_does_not_sync_its_log() {
    let (stage, base) = under_rule(Rule::always(Op::Sync, Kind::Wal, Action::Pretend), true, 30);
    assert_caught(&after_disk(&stage, &base, Unsynced::Dropped), &[Wrong::Lost]);
}

#[test]
fn a_server_that_does_not_sync_its_directory() {
    let rule = Rule::always(Op::Sync, Kind::Directory, Action::Pretend);
    let (stage, base) = under_rule(rule, false, 30);
    let findings = after_disk(&stage, &base, Unsynced::Dropped);
    assert_caught(&findings, &[Wrong::Lost, Wrong::Unreadable]);
}

#[test]
fn a_server_that_ignores_the_error_of_a_checkpoint() {
    let rule = Rule::always(Op::Sync, Kind::Database, Action::HideFailure);
    let (stage, base) = under_rule(rule, false, 400);
    let findings = after_disk(&stage, &base, Unsynced::Kept);
    assert_caught(&findings, &[Wrong::Lost, Wrong::Unreadable]);
}

#[test]
fn a_server_that_goes_on_after_a_failed_sync() {
    let stage = Stage::new(4);
    let mut server = stage.start(true).expect("a server");
    load(&stage, &server, 10);
    let rule = Rule::once(Op::Sync, Kind::Wal, Action::HideFailure);
    stage.place.layer.arm(0, rule);
    load(&stage, &server, 5);
    let mut findings = Findings::default();
    poison::assert_ends(&mut server, "the log", &mut findings);
    assert_caught(&findings, &[Wrong::Contract]);
}

#[test]
fn a_server_that_ignores_the_error_of_a_write() {
    let rule = Rule { times: 40, ..Rule::once(Op::Write, Kind::Wal, Action::Pretend) };
    let (stage, _) = under_rule(rule, true, 5);
    assert_caught(&stage.verify(None), &[Wrong::Lost, Wrong::Unreadable]);
}

#[test]
fn a_server_that_deletes_a_day_too_much() {
    let mut stage = Stage::new(5);
    stage.make_history(3, 200);
    stage.options.push(format!("retention.raw_days={}", super::stage::RAW_DAYS - 1));
    let server = stage.start(false).expect("a server");
    load(&stage, &server, 20);
    let pruned = json!({"sql": "select count(*) from _days where pruned & 1"});
    let began = clock();
    while ask(&server, "/api/sql", Some(&pruned)).expect("the days")["rows"][0][0] == 0 {
        assert!(began.elapsed() < LIMIT, "retention deletes nothing");
        std::thread::sleep(Duration::from_millis(5));
    }
    server.stop();
    assert_caught(&stage.verify(None), &[Wrong::DeletedEarly]);
}

#[test]
fn a_server_that_stores_again_what_it_has() {
    let stage = Stage::new(6);
    stage.start(false).expect("a new server").stop();
    let connection = stage.place.connection();
    let columns: String = connection
        .query_row(
            "select group_concat(name, ', ') from pragma_table_info('requests') where name <> 'seq'",
            [],
            |row| row.get(0),
        )
        .expect("the columns");
    drop(connection);
    let findings = with_statement(&format!(
        "create trigger planted after insert on requests when new.seq % 20 = 0 begin
             insert into requests ({columns}) select {columns} from requests where seq = new.seq;
         end"
    ));
    assert_caught(&findings, &[Wrong::Doubled]);
}

#[test]
fn a_server_that_commits_part_of_a_batch() {
    let findings = with_statement(
        "create trigger planted after insert on requests when new.seq % 17 = 0 begin
             delete from requests where seq = new.seq;
         end",
    );
    assert_caught(&findings, &[Wrong::Lost, Wrong::HalfBatch]);
}

#[test]
fn a_server_that_moves_the_watermark_past_rows_it_has_not_rolled_up() {
    let findings = with_statement(
        "create trigger planted after update of watermark_seq on _rollup_state begin
             update _rollup_state set watermark_seq =
                 max(new.watermark_seq, min(new.watermark_seq + 2, (select max(seq) from requests)));
         end",
    );
    assert_caught(&findings, &[Wrong::Mismatch]);
}

#[test]
fn a_server_whose_figures_are_not_those_of_its_rows() {
    let findings = with_statement(
        "create trigger planted after insert on _rollup_all when new.level_minutes = 1440 begin
             update _rollup_all set requests = requests + 1
             where level_minutes = 1440 and bucket_ms = new.bucket_ms;
         end",
    );
    assert_caught(&findings, &[Wrong::Mismatch]);
}

#[test]
fn a_server_that_starts_without_its_log() {
    let stage = Stage::new(7);
    let server = stage.start(false).expect("a server");
    load(&stage, &server, 60);
    server.kill();
    std::fs::remove_file(stage.place.data().join("t.db-wal")).expect("a log");
    // The server may also refuse to start.
    assert_caught(&stage.verify(None), &[Wrong::Lost, Wrong::Unreadable]);
}
