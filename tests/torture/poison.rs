//! The contract after a failed sync: refuse with the reason, run no checkpoint, exit with code 74, and replay the WAL at the
//! next start.

use std::io::Read as _;
use std::time::Duration;

use super::disk::{self, Unsynced};
use super::findings::{Findings, Wrong};
use super::layer::{Action, Kind, Op, Rule};
use super::load::Traffic;
use super::server::{PATIENCE, Server, clock};
use super::stage::Stage;
use super::write_log::{Record, records};

/// The exit code after a failed sync: `EX_IOERR` of sysexits.h.
const EXIT_CODE: i32 = 74;
/// Deadline of the exit.
const END_LIMIT: Duration = Duration::from_secs(1);
/// Longest delay of the exit by open gateway streams.
const STREAMS_LIMIT: Duration = Duration::from_secs(10);
/// Slack for a busy machine.
const SLACK: Duration = Duration::from_millis(1_500);

/// Asserts that the server exits by itself with [`EXIT_CODE`].
pub(crate) fn assert_ends(server: &mut Server, what: &str, findings: &mut Findings) {
    let ended = server.await_end(END_LIMIT + SLACK);
    match ended.map(|status| status.code()) {
        Some(Some(EXIT_CODE)) => {}
        None => {
            findings.add(Wrong::Contract, format!("it keeps running after a failed sync of {what}"))
        }
        Some(code) => {
            findings.add(
                Wrong::Contract,
                format!("after a failed sync of {what} it ends with {code:?}"),
            );
        }
    }
}

/// Gateway streams that are open when the sync fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Streams {
    /// Only those of the traffic, a few milliseconds each.
    Short,
    /// One more of 4 s.
    Slow,
    /// One more that outlasts the limit.
    Endless,
}

/// Findings after one failed sync.
fn after_failed_sync(kind: Kind, streams: Streams) -> Findings {
    let stage = Stage::new(u64::from(kind as u32));
    let mut findings = Findings::default();
    let base = stage.place.files();
    let mut server = stage.start(true).expect("a new server");
    let stream = match streams {
        Streams::Short => None,
        Streams::Slow => Some(open_stream(&server, "slow")),
        Streams::Endless => Some(open_stream(&server, "endless")),
    };
    let ((), passed) = Traffic::around_faults(&stage, server.urls(), Duration::ZERO, |traffic| {
        assert!(traffic.await_more(30, Duration::from_secs(10)), "no records are accepted");
        await_failed_sync(&stage, kind);
        match streams {
            Streams::Short => assert_ends(&mut server, &format!("{kind:?}"), &mut findings),
            _ => assert_ends_after_streams(&mut server, streams, &mut findings),
        }
        if kind == Kind::Wal && traffic.responses(503) == 0 {
            let said = traffic.refusal();
            findings.add(Wrong::Contract, format!("no waiting batch is refused with 503: {said}"));
        }
    });
    if !passed.statuses.keys().all(|status| [200, 503].contains(status)) {
        findings.add(Wrong::Contract, format!("responses were {:?}", passed.statuses));
    }
    findings.extend(passed.findings, "under load");
    server.kill();
    if let Some(stream) = stream {
        let is_whole = stream.join().expect("a client").contains("[DONE]");
        if streams == Streams::Slow && !is_whole {
            findings.add(Wrong::Contract, "an open stream was cut");
        }
    }
    let log = std::fs::read(stage.place.log()).expect("the log of writes");
    let log = records(&log);
    assert_no_checkpoint_after_failure(&log, &mut findings);
    stage.place.restore(&disk::after(&base, &log, Unsynced::Kept, 1));
    findings.extend(stage.verify(None), "after the restart");
    findings
}

/// Makes the next sync of such a file fail and waits until it did.
fn await_failed_sync(stage: &Stage, kind: Kind) {
    let fired = stage.place.layer.fired();
    stage.place.layer.arm(0, Rule::once(Op::Sync, kind, Action::Eio));
    let began = clock();
    while stage.place.layer.fired() == fired {
        assert!(began.elapsed() < PATIENCE, "no sync of {kind:?} came");
        std::thread::sleep(Duration::from_millis(1));
    }
    stage.place.layer.disarm();
}

/// Asserts that the server exits after the stream, or after [`STREAMS_LIMIT`].
fn assert_ends_after_streams(server: &mut Server, streams: Streams, findings: &mut Findings) {
    let began = clock();
    let ended = server.await_end(STREAMS_LIMIT + SLACK).map(|status| status.code());
    let took = began.elapsed();
    if ended != Some(Some(EXIT_CODE)) {
        findings.add(Wrong::Contract, format!("with a stream open it ends as {ended:?}"));
    } else if streams == Streams::Endless && took < STREAMS_LIMIT - SLACK {
        findings.add(Wrong::Contract, format!("an open stream had only {took:?} to pass"));
    }
}

/// Asserts that no checkpoint starts after the failure. One that ran beside the failed commit may finish, because it copies
/// only frames that were synced before.
fn assert_no_checkpoint_after_failure(log: &[Record<'_>], findings: &mut Findings) {
    let failed = log.iter().position(|record| record.op == Op::Sync && record.result != 0);
    let failed = failed.expect("a failed sync");
    let begun = usize::from(log[failed].kind == Kind::Wal);
    let syncs = log[failed + 1..].iter();
    let syncs = syncs.filter(|record| record.op == Op::Sync && record.kind == Kind::Database);
    let count = syncs.count();
    if count > begun {
        findings.add(Wrong::Contract, format!("{count} checkpoints ran after a failed sync"));
    }
}

/// Opens a stream through the gateway; the thread returns what its client received.
fn open_stream(server: &Server, length: &str) -> std::thread::JoinHandle<String> {
    let url = format!("{}/v1/chat/completions", server.gateway_url);
    let body =
        format!(r#"{{"model":"gpt-torture","stream":true,"messages":[],"user":"{length}"}}"#);
    let (sender, begun) = std::sync::mpsc::channel();
    let reading = std::thread::spawn(move || {
        let response = ureq::post(&url).header("Content-Type", "application/json").send(body);
        let mut reader = response.expect("a stream").into_body().into_reader();
        let mut text = vec![0; 16];
        // The stream is open once its first bytes arrived.
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
    let findings = after_failed_sync(Kind::Wal, Streams::Short);
    assert!(findings.is_empty(), "{findings}");
}

#[test]
fn a_failed_sync_of_the_database_ends_before_another_checkpoint_and_loses_nothing() {
    let findings = after_failed_sync(Kind::Database, Streams::Short);
    assert!(findings.is_empty(), "{findings}");
}

#[test]
fn a_failed_sync_lets_streams_through_the_gateway_pass_first() {
    let findings = after_failed_sync(Kind::Wal, Streams::Slow);
    assert!(findings.is_empty(), "{findings}");
}

#[test]
fn a_failed_sync_waits_ten_seconds_for_streams_and_no_longer() {
    let findings = after_failed_sync(Kind::Wal, Streams::Endless);
    assert!(findings.is_empty(), "{findings}");
}
