//! A full disk refuses records and says so, answers queries, deletes nothing, and is over as soon as there is room.

use std::io::Read as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::findings::{Findings, Wrong};
use super::layer::{Action, Kind, Op, Rule};
use super::load::Traffic;
use super::server::{Client, Server, clock};
use super::stage::Stage;

/// Bytes of the small file system.
const DISK_BYTES: u64 = 64 << 20;
/// Pause of a client after each request.
const PAUSE: Duration = Duration::from_millis(5);
/// Time from free space to the first record that is taken, and what a busy machine adds.
const READY_LIMIT: Duration = Duration::from_millis(1_000 + 500);

/// A file system of its own; unmounted at the end.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    /// `None` where this user may not mount one.
    fn mount(directory: &'a Path) -> Option<Self> {
        let size = format!("size={DISK_BYTES}");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "torture"])
            .arg(directory)
            .output()
            .is_ok_and(|output| output.status.success());
        mounted.then_some(Self(directory))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        // Lazily: a server that was killed may not be gone yet.
        drop(Command::new("umount").arg("--lazy").arg(self.0).status());
    }
}

/// How the disk becomes full, and how it has room again.
trait Space {
    fn fill(&self);
    fn free(&self);
}

/// A file that takes what is left, and goes on taking it.
struct Filler(std::path::PathBuf);

impl Space for Filler {
    fn fill(&self) {
        let mut file = std::fs::File::create(&self.0).expect("a file");
        // Ends with ENOSPC, which is the point.
        drop(std::io::copy(&mut std::io::repeat(0).take(DISK_BYTES), &mut file));
    }

    fn free(&self) {
        std::fs::remove_file(&self.0).expect("the filler");
    }
}

/// The layer instead of a full disk, where none can be mounted.
struct Pretended<'a>(&'a Stage);

impl Space for Pretended<'_> {
    fn fill(&self) {
        for (slot, kind) in [Kind::Wal, Kind::Database, Kind::Shm].into_iter().enumerate() {
            self.0.place.layer.arm(slot as u64, Rule::always(Op::Write, kind, Action::Enospc));
        }
    }

    fn free(&self) {
        self.0.place.layer.disarm();
    }
}

/// A disk that is full for `length` under load; `false` where it had to be pretended.
pub(crate) fn trial(length: Duration) -> (Findings, bool) {
    let stage = Stage::new(5);
    let data = stage.place.data();
    let disk = SmallDisk::mount(&data);
    let filler = Filler(data.join("filler"));
    let pretended = Pretended(&stage);
    let space: &dyn Space = if disk.is_some() { &filler } else { &pretended };
    stage.make_history(4, 300);
    let mut findings = Findings::default();
    let server = stage.start(true).expect("a server");
    let ((), passed) = Traffic::around_faults(&stage, server.urls(), PAUSE, |traffic| {
        assert!(traffic.await_more(50, Duration::from_secs(10)), "records are not taken");
        space.fill();
        let began = clock();
        while traffic.answers(503) == 0 && began.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(5));
        }
        observe(traffic, &server, length, &mut findings);
        space.free();
        let freed = clock();
        if !traffic.await_more(1, READY_LIMIT) {
            findings.add(Wrong::Contract, "no record is taken a second after there is room");
        }
        await_ready(&server, &mut findings);
        let took = freed.elapsed();
        if took > READY_LIMIT {
            findings.add(Wrong::Contract, format!("ready {took:?} after there was room"));
        }
    });
    if !passed.statuses.keys().all(|status| [200, 503].contains(status)) {
        findings.add(Wrong::Contract, format!("answers were {:?}", passed.statuses));
    }
    findings.extend(passed.findings, "under load");
    server.kill();
    findings.extend(stage.verify(None), "afterwards");
    (findings, disk.is_some())
}

/// While the disk is full: refusals say why, queries are answered, `/readyz` says no.
fn observe(traffic: &Traffic<'_>, server: &Server, length: Duration, findings: &mut Findings) {
    let client = Client::new();
    let began = clock();
    let (mut refused_ready, mut looks) = (0, 0);
    while began.elapsed() < length {
        for path in ["/api/metrics/current", "/api/requests?limit=10", "/api/status"] {
            match client.get(&format!("{}{path}", server.url)) {
                Ok(answer) if answer.status == 200 => {}
                Ok(answer) => {
                    findings.add(
                        Wrong::Contract,
                        format!("{path}: {} {}", answer.status, answer.text()),
                    );
                }
                Err(error) => findings.add(Wrong::Contract, format!("{path}: {error}")),
            }
        }
        let ready = client.get(&format!("{}/readyz", server.url));
        refused_ready += u32::from(ready.is_ok_and(|answer| answer.status == 503));
        looks += 1;
        std::thread::sleep(Duration::from_millis(100));
    }
    let said = traffic.refusal();
    if traffic.answers(503) == 0 || !(said.contains("full") || said.contains("space")) {
        findings.add(Wrong::Contract, format!("records are not refused with the reason: {said}"));
    }
    // The first looks may come before the first refusal.
    if refused_ready * 2 < looks {
        findings.add(Wrong::Contract, format!("ready {} of {looks} times", looks - refused_ready));
    }
}

fn await_ready(server: &Server, findings: &mut Findings) {
    let (client, began) = (Client::new(), clock());
    loop {
        let ready = client.get(&format!("{}/readyz", server.url));
        if ready.is_ok_and(|answer| answer.status == 200) {
            return;
        }
        if began.elapsed() > READY_LIMIT {
            findings.add(Wrong::Contract, "not ready although there is room");
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_full_disk_refuses_with_the_reason_and_is_over_when_there_is_room() {
    let (findings, is_real) = trial(Duration::from_secs(10));
    if !is_real {
        println!("no file system can be mounted here: the disk was not full, its calls failed");
    }
    assert!(findings.is_empty(), "{findings}");
}

/// What is deleted for want of room comes with the sweep of every 15 seconds.
const SILENCE: Duration = Duration::from_secs(17);

#[test]
fn one_failed_write_and_silence_delete_nothing() {
    let stage = Stage::new(6);
    stage.make_history(4, 300);
    let server = stage.start(true).expect("a server");
    super::stage::await_rolled_up(&server);
    stage.place.layer.arm(0, Rule::once(Op::Write, Kind::Wal, Action::Enospc));
    let number = {
        let mut truth = stage.truth();
        truth.make(super::truth::Route::Single, super::load::now_ms())
    };
    let body = stage.truth().batches[number].body.clone();
    let url = format!("{}/api/requests", server.url);
    let answer = Client::new().post(&url, "application/json", &body).expect("an answer");
    assert_eq!(stage.place.layer.fired(), 1, "the write did not fail: {}", answer.text());
    assert_eq!(answer.status, 503, "{}", answer.text());
    // Nothing happens, and nothing must: the server is left alone until what it does by itself has come.
    std::thread::sleep(SILENCE);
    server.kill();
    let findings = stage.verify(None);
    assert!(findings.is_empty(), "{findings}");
}
