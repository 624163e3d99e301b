//! Another process holds the file for longer than anybody waits for it: records wait, and only what finds no room
//! is lost and counted.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc::channel;

use super::answers::{ASK_STREAM, DONE, STREAM};
use super::harness::{TestGateway, wait_until};
use super::upstream::{PATIENCE, Upstream, stream};
use crate::harness::child;

/// Tells the child which file to hold.
const DATABASE: &str = "CHATGAUGE_TEST_HELD_DATABASE";
const ROOM: usize = 5;

/// Holds the write lock until its input ends.
#[test]
#[ignore = "the process that the tests below start"]
fn child_that_holds_the_write_lock() {
    let connection = rusqlite::Connection::open(child::given(DATABASE)).unwrap();
    connection.execute_batch("begin immediate").unwrap();
    println!("held");
    std::io::stdout().flush().unwrap();
    std::io::stdin().lines().for_each(drop);
    connection.execute_batch("rollback").unwrap();
}

/// A process that holds the write lock.
fn hold(path: &Path) -> Child {
    let mut child = child::command("gateway::busy::child_that_holds_the_write_lock")
        .env(DATABASE, path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.ends_with("held")));
    child
}

#[test]
fn the_state_is_told_while_the_writer_is_held_up() {
    let upstream = Upstream::always(stream(&[STREAM.as_bytes(), DONE.as_bytes()]));
    let gateway = TestGateway::before(&upstream);
    gateway.chat(ASK_STREAM);
    let record = gateway.record();
    let (let_go, held) = channel::<()>();
    let (tell, told) = channel();
    let on_committed = Box::new(move |_| {
        tell.send(()).unwrap();
        // Until the other end is dropped.
        held.recv().unwrap_err();
    });
    gateway.service.submit(vec![record], on_committed).unwrap();
    told.recv_timeout(PATIENCE).unwrap();
    let (answer, answered) = channel();
    let service = gateway.service.clone();
    std::thread::spawn(move || answer.send(service.status()).unwrap());
    let status = answered.recv_timeout(PATIENCE);
    drop(let_go);
    assert_eq!(status.unwrap().unwrap().dimensions.models, 1);
}

#[test]
fn records_wait_for_a_file_that_another_process_holds() {
    let upstream = Upstream::always(stream(&[STREAM.as_bytes(), DONE.as_bytes()]));
    let gateway = TestGateway::with(upstream.address, |config| {
        config.ingest.collector_queue_max_records = ROOM;
    });
    let mut child = hold(&gateway.service.config().store.path);
    let collector = gateway.service.collector();
    let ask = || assert_eq!(gateway.chat(ASK_STREAM).text(), [STREAM, DONE].concat());
    ask();
    // The writer has waited as long as it does, in vain, and tries again.
    wait_until(|| gateway.service.status().unwrap().ingest.failed_commits_total >= 1);
    let mut asked = 1;
    while collector.stats().dropped < 2 {
        ask();
        asked += 1;
        assert!(asked < 5_000, "the queue never was full");
    }
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    // The one that was tried, and those that waited behind it.
    let dropped = collector.stats().dropped;
    assert_eq!(asked - dropped, ROOM as u64 + 1);
    gateway.records(asked - dropped);
}
