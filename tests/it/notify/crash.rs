//! A server that is killed at any moment delivers every message, under one id each.
//!
//! The program itself is started, and killed, while this test writes messages to its outbox.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use chatgauge::alert::NotificationKind;
use chatgauge::model::Clock as _;
use chatgauge::model::alert::{DeliveryState, OutgoingAlert};
use chatgauge::store::Store;
use chatgauge::{Config, SystemClock};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::outbox::{enqueue, notification, outgoing};
use super::receiver::{Received, Receiver, Reply, until};

const ROUNDS: u64 = 12;
const CHANNELS: [&str; 2] = ["one", "two"];

/// Starts the program and waits until it serves.
fn serve(config: &Path) -> Child {
    let mut child = Command::new(env!("CARGO_BIN_EXE_chatgauge"))
        .args(["serve", "--no-auth", "--listen", "127.0.0.1:0", "--config"])
        .arg(config)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    assert!(line.contains("listening"), "{line}");
    std::thread::spawn(move || {
        // Read to its end, so that the program never waits for its reader.
        drop(reader.read_to_end(&mut Vec::new()));
    });
    child
}

/// `(incident, channel, kind)` to the ids that it was delivered under.
fn delivered(receivers: &[Receiver]) -> BTreeMap<(String, String, String), BTreeSet<String>> {
    let mut seen: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
    let all = receivers.iter().flat_map(Receiver::received);
    for request in all.collect::<Vec<Received>>() {
        let body = request.json();
        for incident in body["incidents"].as_array().unwrap() {
            let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
            let key =
                (text(&incident["incident_id"]), text(&body["receiver"]), text(&incident["kind"]));
            seen.entry(key).or_default().insert(request.header("webhook-id").to_owned());
        }
    }
    seen
}

#[test]
fn every_message_arrives_under_one_id_however_often_the_server_is_killed() {
    let directory = tempfile::tempdir().unwrap();
    // The second receiver fails now and then, so that some messages are killed between attempts.
    let receivers = [
        Receiver::willing(),
        Receiver::scripted(|n| match n {
            3 | 17 => Reply::Close,
            n if n % 4 == 2 => Reply::Status(429, Some(("retry-after", "1".into()))),
            _ => Reply::Status(200, None),
        }),
    ];
    let mut toml = format!("[store]\npath = \"{}\"\n", directory.path().join("a.db").display());
    for (name, receiver) in CHANNELS.iter().zip(&receivers) {
        toml += &format!(
            "[alerting.channels.{name}]\ntype = \"webhook\"\nurl = \"{}\"\n",
            receiver.url("/")
        );
    }
    let path = directory.path().join("chatgauge.toml");
    std::fs::write(&path, toml).unwrap();
    let mut config = Config::default();
    config.store.path = directory.path().join("a.db");

    let clock = SystemClock::new();
    let mut rng = StdRng::seed_from_u64(11);
    let mut queued: Vec<OutgoingAlert> = Vec::new();
    for round in 0..ROUNDS {
        let mut child = serve(&path);
        for step in 0..4 {
            let incident = format!("i{round}-{step}");
            for kind in [NotificationKind::Firing, NotificationKind::Resolved] {
                let notification = notification(&incident, kind, clock.now());
                let messages: Vec<_> =
                    CHANNELS.iter().map(|name| outgoing(name, &notification)).collect();
                queued.extend(messages.clone());
                enqueue(&config, messages);
                // Not a wait for anything: moments are to be arbitrary.
                std::thread::sleep(Duration::from_micros(rng.random_range(0..120_000)));
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }

    let mut child = serve(&path);
    let store = Store::open_read_only(&config.store).unwrap();
    until("everything is delivered", || {
        let tally = store.read(|reader| reader.outbox_tally()).unwrap();
        tally.iter().all(|tally| tally.queued == 0).then_some(())
    });
    child.kill().unwrap();
    child.wait().unwrap();

    let delivered = delivered(&receivers);
    for (what, ids) in &delivered {
        assert_eq!(ids.len(), 1, "{what:?}: {ids:?}");
    }
    let all_ids: Vec<&String> = delivered.values().flatten().collect();
    assert!(!all_ids.is_empty());
    for message in queued {
        let rows = store.read(|reader| reader.messages_of(&message.incident_id)).unwrap();
        let row = rows.iter().find(|row| row.id == message.id).unwrap();
        let key =
            |kind: &str| (message.incident_id.clone(), message.channel.clone(), kind.to_owned());
        let told_with_its_end = delivered.contains_key(&key("fired_and_resolved"));
        match row.state {
            DeliveryState::Sent => assert!(delivered.contains_key(&key(&row.kind)), "{row:?}"),
            DeliveryState::Superseded => assert!(told_with_its_end, "{row:?}"),
            other => panic!("{other:?}: {row:?}"),
        }
    }
}
