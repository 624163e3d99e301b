//! The outbox alone: what is due, what travels together, what is left out.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex};

use chatgauge::Config;
use chatgauge::alert::notification::{Notification, NotificationKind, Unit, message_id};
use chatgauge::model::Timestamp;
use chatgauge::model::alert::{
    DeliveryOutcome, DeliveryState, OutgoingAlert, SetAside, StoredMessage,
};
use chatgauge::store::{AlertChanges, Joining, Store, Writer};
use proptest::prelude::*;

use crate::harness::store::at;

/// What an incident of the tests looks like.
pub(crate) fn notification(
    incident_id: &str,
    kind: NotificationKind,
    now: Timestamp,
) -> Notification {
    Notification {
        rule_id: "error-rate".into(),
        rule_name: "High error rate".into(),
        incident_id: incident_id.into(),
        kind,
        group: [("space".to_owned(), format!("space-{incident_id}"))].into(),
        metric: "error_rate".into(),
        threshold: 0.1,
        value: Some(0.231),
        unit: Unit::Ratio,
        samples: 78,
        events: 18,
        severity: "critical".into(),
        summary: "23.1 % errors (18 of 78) in 5m, limit 10 %".into(),
        fired_at: now,
        ended_at: kind.is_end().then_some(now),
        reason: kind.is_end().then(|| "recovered".into()),
        at: now,
        zone: "Europe/Warsaw".into(),
        ..Notification::default()
    }
}

/// The message about it, as the monitor writes it.
pub(crate) fn outgoing(channel: &str, notification: &Notification) -> OutgoingAlert {
    let Notification { incident_id, kind, at, .. } = notification;
    OutgoingAlert {
        id: message_id(incident_id, channel, *kind, *at),
        incident_id: incident_id.clone(),
        channel: channel.to_owned(),
        kind: kind.as_str().to_owned(),
        created_at: *at,
        not_before: *at,
        payload: serde_json::to_string(notification).unwrap(),
    }
}

/// Writes messages beside whoever has the file open.
pub(crate) fn enqueue(config: &Config, messages: Vec<OutgoingAlert>) {
    let (_store, mut writer) = Store::open_beside(&config.store).unwrap();
    writer.apply_alerts(&AlertChanges { messages, ..AlertChanges::default() }).unwrap();
}

fn open(path: &Path) -> (Store, Writer) {
    let mut config = Config::default();
    config.store.path = path.to_owned();
    Store::open(&config.store).unwrap()
}

fn put(writer: &mut Writer, incident_id: &str, kind: NotificationKind, now: Timestamp) {
    let messages = vec![outgoing("ops", &notification(incident_id, kind, now))];
    writer.apply_alerts(&AlertChanges { messages, ..AlertChanges::default() }).unwrap();
}

fn finish(writer: &mut Writer, rows: &[StoredMessage], state: DeliveryState, now: Timestamp) {
    let outcome = DeliveryOutcome {
        state,
        status: None,
        error: None,
        attempted_at: now,
        not_before: now.plus_ms(5_000),
    };
    writer.finish_messages(rows[0].batch_id.as_deref().unwrap(), &outcome).unwrap();
}

fn kinds(rows: &[StoredMessage]) -> Vec<(&str, &str)> {
    rows.iter().map(|row| (&*row.incident_id, &*row.kind)).collect()
}

const START: &str = "2026-11-23T02:00:00Z";

#[test]
fn what_fires_together_travels_together_and_stays_so() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.db");
    let now = at(START);
    let batch = {
        let (_store, mut writer) = open(&path);
        for incident in ["a", "b", "c"] {
            put(&mut writer, incident, NotificationKind::Firing, now);
        }
        let rows = writer.take_messages("ops", Joining::UpTo(2), now).unwrap();
        assert_eq!(rows.len(), 2);
        let batch = rows[0].batch_id.clone();
        assert!(rows.iter().all(|row| row.batch_id == batch));
        batch
    };
    // After a restart, with a newcomer that would sort before them.
    let (_store, mut writer) = open(&path);
    put(&mut writer, "0", NotificationKind::Firing, now.plus_ms(-1));
    let first = writer.take_messages("ops", Joining::UpTo(50), now).unwrap();
    assert_eq!(first.len(), 2, "the newcomer and the one that had no place");
    finish(&mut writer, &first, DeliveryState::Sent, now);
    let second = writer.take_messages("ops", Joining::UpTo(50), now).unwrap();
    assert_eq!((second.len(), &second[0].batch_id), (2, &batch));
    finish(&mut writer, &second, DeliveryState::Sent, now);
    assert_eq!(writer.take_messages("ops", Joining::UpTo(50), now).unwrap(), []);
}

#[test]
fn an_end_before_the_beginning_was_delivered_says_both() {
    let directory = tempfile::tempdir().unwrap();
    let (store, mut writer) = open(&directory.path().join("a.db"));
    let now = at(START);
    put(&mut writer, "a", NotificationKind::Firing, now);
    let rows = writer.take_messages("ops", Joining::UpTo(50), now).unwrap();
    finish(&mut writer, &rows, DeliveryState::Queued, now);
    put(&mut writer, "a", NotificationKind::Reminder, now.plus_ms(10));
    put(&mut writer, "a", NotificationKind::Resolved, now.plus_ms(20));
    let rows = writer.take_messages("ops", Joining::UpTo(50), now.plus_ms(30)).unwrap();
    assert_eq!(kinds(&rows), [("a", "fired_and_resolved")]);
    finish(&mut writer, &rows, DeliveryState::Sent, now);
    let later = now.plus_ms(86_400_000);
    assert_eq!(writer.take_messages("ops", Joining::UpTo(50), later).unwrap(), []);
    let states: Vec<DeliveryState> =
        store.read(|reader| reader.messages_of("a")).unwrap().iter().map(|row| row.state).collect();
    use DeliveryState::{Sent, Superseded};
    assert_eq!(states, [Superseded, Superseded, Sent]);
}

#[test]
fn an_end_after_the_beginning_was_delivered_is_an_end() {
    let directory = tempfile::tempdir().unwrap();
    let (_store, mut writer) = open(&directory.path().join("a.db"));
    let now = at(START);
    put(&mut writer, "a", NotificationKind::Firing, now);
    let rows = writer.take_messages("ops", Joining::UpTo(50), now).unwrap();
    finish(&mut writer, &rows, DeliveryState::Sent, now);
    put(&mut writer, "a", NotificationKind::Resolved, now.plus_ms(20));
    let rows = writer.take_messages("ops", Joining::UpTo(50), now.plus_ms(30)).unwrap();
    assert_eq!(kinds(&rows), [("a", "resolved")]);
}

#[test]
fn the_log_gets_every_line() {
    let directory = tempfile::tempdir().unwrap();
    let (_store, mut writer) = open(&directory.path().join("a.db"));
    let now = at(START);
    put(&mut writer, "a", NotificationKind::Firing, now);
    put(&mut writer, "a", NotificationKind::Resolved, now.plus_ms(1));
    let mut seen = Vec::new();
    loop {
        let rows = writer.take_messages("ops", Joining::Alone, now.plus_ms(1)).unwrap();
        if rows.is_empty() {
            break;
        }
        assert_eq!(rows.len(), 1);
        seen.push(rows[0].kind.clone());
        finish(&mut writer, &rows, DeliveryState::Sent, now);
    }
    assert_eq!(seen, ["firing", "resolved"]);
}

#[test]
fn messages_of_channels_that_are_gone_are_set_aside_and_come_back() {
    let directory = tempfile::tempdir().unwrap();
    let (store, mut writer) = open(&directory.path().join("a.db"));
    let now = at(START);
    put(&mut writer, "a", NotificationKind::Firing, now);
    put(&mut writer, "b", NotificationKind::Firing, now);
    put(&mut writer, "b", NotificationKind::Resolved, now.plus_ms(1));
    let (known, both) = (["log".to_owned()], ["log".to_owned(), "ops".to_owned()]);
    assert_eq!(writer.set_aside_messages(&both).unwrap(), []);
    let set_aside = writer.set_aside_messages(&known).unwrap();
    assert_eq!(set_aside, [SetAside { channel: "ops".to_owned(), messages: 2 }]);
    assert_eq!(writer.set_aside_messages(&known).unwrap(), []);
    let tally = store.read(|reader| reader.outbox_tally()).unwrap();
    assert_eq!((tally[0].queued, tally[0].dead, tally[0].undeliverable), (0, 0, 2));
    assert_eq!(writer.take_messages("ops", Joining::UpTo(50), now.plus_ms(1)).unwrap(), []);

    assert_eq!(writer.revive_messages(&known, now).unwrap(), 0);
    let later = now.plus_ms(86_400_000);
    assert_eq!(writer.revive_messages(&both, later).unwrap(), 2);
    let mut seen = Vec::new();
    loop {
        let rows = writer.take_messages("ops", Joining::UpTo(50), later).unwrap();
        if rows.is_empty() {
            break;
        }
        assert!(rows.iter().all(|row| row.revived_at == Some(later)), "{rows:?}");
        seen.extend(kinds(&rows).into_iter().map(|(id, kind)| format!("{id} {kind}")));
        finish(&mut writer, &rows, DeliveryState::Sent, later);
    }
    seen.sort_unstable();
    assert_eq!(seen, ["a firing", "b fired_and_resolved"]);
}

#[test]
fn an_end_is_no_end_for_one_who_only_missed_a_reminder_or_that_it_flaps() {
    for kind in [NotificationKind::Reminder, NotificationKind::Flapping] {
        let directory = tempfile::tempdir().unwrap();
        let (_store, mut writer) = open(&directory.path().join("a.db"));
        let now = at(START);
        put(&mut writer, "a", kind, now);
        put(&mut writer, "a", NotificationKind::Resolved, now.plus_ms(20));
        let rows = writer.take_messages("ops", Joining::UpTo(50), now.plus_ms(30)).unwrap();
        assert_eq!(kinds(&rows), [("a", "fired_and_resolved")]);
    }
}

/// One file for all cases, each with a channel of its own: opening one takes longer than a case.
static ONE: LazyLock<(tempfile::TempDir, Mutex<Writer>)> = LazyLock::new(|| {
    let directory = tempfile::tempdir().unwrap();
    let (_store, writer) = open(&directory.path().join("a.db"));
    (directory, Mutex::new(writer))
});
static CASES: AtomicUsize = AtomicUsize::new(0);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever is enqueued and however attempts end, every incident that fired is told of exactly once
    /// at its beginning or together with its end, and never after its end.
    #[test]
    fn every_incident_is_told_in_order(
        steps in proptest::collection::vec((0_usize..4, 0_u8..4, any::<bool>()), 1..40),
    ) {
        let mut guard = ONE.1.lock().unwrap();
        let writer = &mut *guard;
        let channel = format!("c{}", CASES.fetch_add(1, Ordering::SeqCst));
        let put = |writer: &mut Writer, incident_id: &str, kind, now| {
            let messages = vec![outgoing(&channel, &notification(incident_id, kind, now))];
            writer.apply_alerts(&AlertChanges { messages, ..AlertChanges::default() }).unwrap();
        };
        let mut now = at(START);
        let mut open_incidents: [Option<String>; 4] = Default::default();
        let mut fired: Vec<String> = Vec::new();
        let mut told: Vec<(String, String)> = Vec::new();
        let drain = |writer: &mut Writer, now: Timestamp, succeeds: bool, told: &mut Vec<_>| {
            loop {
                let rows = writer.take_messages(&channel, Joining::UpTo(3), now).unwrap();
                if rows.is_empty() {
                    return;
                }
                if succeeds {
                    told.extend(rows.iter().map(|row| (row.incident_id.clone(), row.kind.clone())));
                }
                let state = if succeeds { DeliveryState::Sent } else { DeliveryState::Queued };
                finish(writer, &rows, state, now);
            }
        };
        for (slot, action, succeeds) in steps {
            now = now.plus_ms(1_000);
            let open_incident = open_incidents[slot].clone();
            match (action, open_incident) {
                (0, None) => {
                    let incident = format!("i{}", fired.len());
                    put(writer, &incident, NotificationKind::Firing, now);
                    fired.push(incident.clone());
                    open_incidents[slot] = Some(incident);
                }
                (1, Some(incident)) => put(writer, &incident, NotificationKind::Reminder, now),
                (2, Some(incident)) => {
                    put(writer, &incident, NotificationKind::Resolved, now);
                    open_incidents[slot] = None;
                }
                _ => drain(writer, now, succeeds, &mut told),
            }
        }
        drain(writer, now.plus_ms(3_600_000), true, &mut told);
        for incident in &fired {
            let kinds: Vec<&str> = told
                .iter()
                .filter(|(id, _)| id == incident)
                .map(|(_, kind)| kind.as_str())
                .collect();
            let beginnings = kinds.iter().filter(|k| ["firing", "fired_and_resolved"].contains(k));
            prop_assert_eq!(beginnings.count(), 1, "{}: {:?}", incident, kinds);
            let ends = |kind: &&str| ["resolved", "fired_and_resolved"].contains(kind);
            let position = kinds.iter().position(ends);
            prop_assert!(position.is_none_or(|at| at + 1 == kinds.len()), "{:?}", kinds);
            prop_assert!(["firing", "fired_and_resolved"].contains(&kinds[0]), "{:?}", kinds);
            let is_over = !open_incidents.iter().flatten().any(|open| open == incident);
            prop_assert_eq!(position.is_some(), is_over, "{}: {:?}", incident, kinds);
        }
    }
}
