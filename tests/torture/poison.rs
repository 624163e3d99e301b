//! After a failed sync nobody knows what the disk has: the server refuses, ends, and the next start replays the log.

use std::io::Read as _;
use std::time::Duration;

use super::disk::{self, Unsynced};
use super::findings::{Findings, Wrong};
use super::layer::{Action, Kind, Op, Rule};
use super::load::Traffic;
use super::server::{Server, clock};
use super::stage::Stage;
use super::write_log::records;

/// The exit code of a server that can no longer trust its disk: `EX_IOERR`.
const EXIT_CODE: i32 = 74;
/// Time until it ends, and what a busy machine adds.
const END_LIMIT: Duration = Duration::from_millis(1_000 + 1_500);
/// The same while streams pass through the gateway.
const STREAMS_LIMIT: Duration = Duration::from_millis(10_000 + 1_500);

/// A server whose sync failed ends by itself, with its code.
pub(crate) fn assert_ends(server: &mut Server, what: &str, findings: &mut Findings) {
    // The traffic has streams of a few milliseconds.
    let ended = server.await_end(END_LIMIT);
    match ended.map(|status| status.code()) {
        Some(Some(EXIT_CODE)) => {}
        None => findings.add(Wrong::Contract, format!("it goes on after a failed sync of {what}")),
        Some(code) => {
            findings.add(
                Wrong::Contract,
                format!("after a failed sync of {what} it ends with {code:?}"),
            );
        }
    }
}

/// What happened after one failed sync.
fn after_failed_sync(kind: Kind, with_stream: bool) -> Findings {
    let stage = Stage::new(u64::from(kind as u32));
    let mut findings = Findings::default();
    let base = stage.place.files();
    let mut server = stage.start(true).expect("a new server");
    let stream = with_stream.then(|| open_stream(&server));
    let (took, passed) = Traffic::around(&stage, server.urls(), true, |traffic| {
        assert!(traffic.await_more(30, Duration::from_secs(10)), "records are not taken");
        let fired = stage.place.layer.fired();
        stage.place.layer.arm(0, Rule::once(Op::Sync, kind, Action::Eio));
        let began = clock();
        while stage.place.layer.fired() == fired {
            assert!(began.elapsed() < Duration::from_secs(20), "no sync of {kind:?} came");
            std::thread::sleep(Duration::from_millis(1));
        }
        stage.place.layer.disarm();
        let began = clock();
        if with_stream {
            let ended = server.await_end(STREAMS_LIMIT).map(|status| status.code());
            if ended != Some(Some(EXIT_CODE)) {
                findings.add(Wrong::Contract, format!("with a stream open it ends as {ended:?}"));
            }
        } else {
            assert_ends(&mut server, &format!("{kind:?}"), &mut findings);
        }
        let took = began.elapsed();
        if kind == Kind::Wal && traffic.answers(503) == 0 {
            let said = traffic.refusal();
            findings.add(Wrong::Contract, format!("no waiting batch is refused with 503: {said}"));
        }
        took
    });
    if kind == Kind::Wal && !passed.statuses.keys().all(|status| [200, 503].contains(status)) {
        findings.add(Wrong::Contract, format!("answers were {:?}", passed.statuses));
    }
    server.kill();
    if let Some(stream) = stream {
        let read = stream.join().expect("a client");
        if took < STREAMS_LIMIT && !read.contains("[DONE]") {
            findings.add(Wrong::Contract, format!("an open stream was cut after {took:?}"));
        }
    }
    let log = std::fs::read(stage.place.log()).expect("the log of writes");
    let log = records(&log);
    assert_no_sync_after_failure(&log, &mut findings);
    stage.place.restore(&disk::after(&base, &log, Unsynced::Kept, 1));
    findings.extend(stage.verify(None), "after the restart");
    findings
}

/// No checkpoint runs again: the database file is left as it is.
fn assert_no_sync_after_failure(log: &[super::write_log::Record<'_>], findings: &mut Findings) {
    let failed = log.iter().position(|record| record.op == Op::Sync && record.result != 0);
    let later = &log[failed.expect("a failed sync") + 1..];
    let moved =
        later.iter().filter(|record| record.op == Op::Sync && record.kind == Kind::Database);
    let count = moved.count();
    if count > 0 {
        findings.add(Wrong::Contract, format!("{count} checkpoints ran after a failed sync"));
    }
}

/// A stream of four seconds that passes through the gateway; what its client reads.
fn open_stream(server: &Server) -> std::thread::JoinHandle<String> {
    let url = format!("{}/v1/chat/completions", server.gateway_url);
    let body = r#"{"model":"gpt-torture","stream":true,"messages":[],"user":"slow"}"#;
    let (sender, begun) = std::sync::mpsc::channel();
    let reading = std::thread::spawn(move || {
        let response = ureq::post(&url).header("Content-Type", "application/json").send(body);
        let mut reader = response.expect("a stream").into_body().into_reader();
        let mut text = vec![0; 16];
        // The first bytes are there: it is open.
        reader.read_exact(&mut text).expect("the beginning of a stream");
        sender.send(()).expect("somebody who waits");
        drop(reader.read_to_end(&mut text));
        String::from_utf8_lossy(&text).into_owned()
    });
    begun.recv().expect("a stream that is open");
    reading
}

#[test]
fn a_failed_sync_of_the_write_ahead_log_refuses_ends_and_loses_nothing() {
    let findings = after_failed_sync(Kind::Wal, false);
    assert!(findings.is_empty(), "{findings}");
}

#[test]
fn a_failed_sync_of_the_database_ends_before_another_checkpoint_and_loses_nothing() {
    let findings = after_failed_sync(Kind::Database, false);
    assert!(findings.is_empty(), "{findings}");
}

#[test]
fn a_failed_sync_lets_streams_through_the_gateway_pass_first() {
    let findings = after_failed_sync(Kind::Wal, true);
    assert!(findings.is_empty(), "{findings}");
}
