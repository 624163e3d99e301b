//! A full disk: records are refused with the reason, queries are answered, nothing is deleted, and the server recovers by
//! itself.

use std::io::Read as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::findings::{Findings, Wrong};
use super::layer::{Action, Kind, Op, Rule};
use super::load::{Traffic, now_ms};
use super::server::{Client, Server, clock};
use super::stage::Stage;
use super::truth::Route;

/// Bytes of the small file system.
const DISK_BYTES: u64 = 64 << 20;
/// Pause of a client after each request.
const PAUSE: Duration = Duration::from_millis(5);
/// Deadline from free space to the first accepted record, with 0.5 s of slack for a busy machine.
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
        // Lazy, because a killed server may still hold files.
        drop(Command::new("umount").arg("--lazy").arg(self.0).status());
    }
}

/// Fills the disk and frees it again.
trait Space {
    fn fill(&self);
    fn free(&self);
}

/// Fills a real file system with one file.
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

/// Makes writes fail with ENOSPC where no file system can be mounted.
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

/// Fills the disk for `length` under load; returns `false` with the findings when ENOSPC was injected instead.
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
        assert!(traffic.await_more(50, Duration::from_secs(10)), "no records are accepted");
        space.fill();
        let began = clock();
        while traffic.responses(503) == 0 && began.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(5));
        }
        observe(traffic, &server, length, &mut findings);
        space.free();
        let freed = clock();
        if !traffic.await_more(1, READY_LIMIT) {
            findings.add(Wrong::Contract, "no record is accepted 1 s after space was freed");
        }
        await_ready(&server, &mut findings);
        let took = freed.elapsed();
        if took > READY_LIMIT {
            findings.add(Wrong::Contract, format!("ready {took:?} after space was freed"));
        }
    });
    if !passed.statuses.keys().all(|status| [200, 503].contains(status)) {
        findings.add(Wrong::Contract, format!("responses were {:?}", passed.statuses));
    }
    findings.extend(passed.findings, "under load");
    server.kill();
    findings.extend(stage.verify(None), "afterwards");
    (findings, disk.is_some())
}

/// Checks while the disk is full: refusals carry the reason, queries are answered, `/readyz` is 503.
fn observe(traffic: &Traffic<'_>, server: &Server, length: Duration, findings: &mut Findings) {
    let client = Client::new();
    let began = clock();
    let (mut refused_ready, mut looks) = (0, 0);
    while began.elapsed() < length {
        for path in ["/api/metrics/current", "/api/requests?limit=10", "/api/status"] {
            match client.get(&format!("{}{path}", server.url)) {
                Ok(response) if response.status == 200 => {}
                Ok(response) => {
                    findings.add(
                        Wrong::Contract,
                        format!("{path}: {} {}", response.status, response.text()),
                    );
                }
                Err(error) => findings.add(Wrong::Contract, format!("{path}: {error}")),
            }
        }
        let ready = client.get(&format!("{}/readyz", server.url));
        refused_ready += u32::from(ready.is_ok_and(|response| response.status == 503));
        looks += 1;
        std::thread::sleep(Duration::from_millis(100));
    }
    let said = traffic.refusal();
    if traffic.responses(503) == 0 || !(said.contains("full") || said.contains("space")) {
        findings.add(Wrong::Contract, format!("records are not refused with the reason: {said}"));
    }
    // Readiness may lag behind the first refusal.
    if refused_ready * 2 < looks {
        findings.add(
            Wrong::Contract,
            format!("/readyz was 200 in {} of {looks} polls", looks - refused_ready),
        );
    }
}

fn await_ready(server: &Server, findings: &mut Findings) {
    let (client, began) = (Client::new(), clock());
    loop {
        let ready = client.get(&format!("{}/readyz", server.url));
        if ready.is_ok_and(|response| response.status == 200) {
            return;
        }
        if began.elapsed() > READY_LIMIT {
            findings.add(Wrong::Contract, "not ready although space was freed");
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

/// Longer than the interval of the background sweep (15 s).
const SILENCE: Duration = Duration::from_secs(17);

#[test]
fn one_failed_write_and_silence_delete_nothing() {
    let stage = Stage::new(6);
    stage.make_history(4, 300);
    let server = stage.start(true).expect("a server");
    super::stage::await_rolled_up(&server);
    stage.place.layer.arm(0, Rule::always(Op::Write, Kind::Wal, Action::Enospc));
    let number = stage.truth().make(Route::Single, now_ms());
    let body = stage.truth().batches[number].body.clone();
    let url = format!("{}/api/requests", server.url);
    let response = Client::new().post(&url, "application/json", &body).expect("a response");
    stage.place.layer.disarm();
    assert_eq!(response.status, 503, "{}", response.text());
    // Not a wait for a condition: nothing may happen while the background sweeps run.
    std::thread::sleep(SILENCE);
    server.kill();
    let findings = stage.verify(None);
    assert!(findings.is_empty(), "{findings}");
}
