//! The service delivering: receivers that fail, hang, close, refuse; clocks that the test moves.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use chatgauge::Config;
use chatgauge::alert::{ChannelReport, ChannelState, NotificationKind};
use chatgauge::config::{AlertingConfig, RawConfig};
use chatgauge::model::alert::{DeliveryState, StoredMessage};

use super::outbox::{enqueue, notification, outgoing};
use super::receiver::{Receiver, Reply, until};
use crate::harness::store::{TestService, at};

const START: &str = "2026-11-23T02:00:00Z";

/// The `[alerting]` section that a file with these lines gives.
pub(crate) fn alerting(toml: &str) -> AlertingConfig {
    let raw: RawConfig = toml::from_str(toml).unwrap();
    raw.check().unwrap().alerting
}

fn webhook(name: &str, url: &str) -> String {
    format!("[alerting.channels.{name}]\ntype = \"webhook\"\nurl = \"{url}\"\n")
}

fn start(toml: &str) -> TestService {
    let section = alerting(toml);
    TestService::start_with(at(START), |config: &mut Config| config.alerting = section)
}

/// Queues a message of `kind` about an incident.
fn tell(service: &TestService, channel: &str, incident_id: &str, kind: NotificationKind) {
    let notification = notification(incident_id, kind, service.now());
    enqueue(&service.config, vec![outgoing(channel, &notification)]);
}

fn message(service: &TestService, incident_id: &str, kind: &str) -> StoredMessage {
    let rows = service.store().read(|reader| reader.messages_of(incident_id)).unwrap();
    rows.into_iter().find(|row| row.kind == kind).unwrap()
}

fn wait_for_state(service: &TestService, incident_id: &str, state: DeliveryState) -> StoredMessage {
    until(&format!("{incident_id} {}", state.as_str()), || {
        service
            .store()
            .read(|reader| reader.messages_of(incident_id))
            .unwrap()
            .into_iter()
            .find(|row| row.state == state)
    })
}

fn wait_for_attempts(service: &TestService, incident_id: &str, attempts: u32) -> StoredMessage {
    until(&format!("attempt {attempts}"), || {
        let row = service
            .store()
            .read(|reader| reader.messages_of(incident_id))
            .unwrap()
            .into_iter()
            .next();
        row.filter(|row| row.attempts >= attempts)
    })
}

fn channel(service: &TestService, name: &str) -> ChannelReport {
    service.channels().unwrap().into_iter().find(|report| report.name == name).unwrap()
}

/// Moves the clock to the next attempt, or just before it.
fn advance_to(service: &TestService, row: &StoredMessage, offset_ms: i64) {
    let wait = row.not_before.as_unix_ms() - service.now().as_unix_ms() + offset_ms;
    service.clock.advance_ms(wait);
}

#[test]
fn a_receiver_that_fails_three_times_gets_the_same_message_a_fourth_time() {
    let receiver = Receiver::scripted(|n| Reply::Status(if n < 3 { 500 } else { 204 }, None));
    let service = start(&webhook("ops", &receiver.url("/hook")));
    tell(&service, "ops", "i1", NotificationKind::Firing);
    for (attempt, wait_s) in [(1, 5.0), (2, 30.0), (3, 120.0)] {
        let row = wait_for_attempts(&service, "i1", attempt);
        assert_eq!((row.state, row.last_status), (DeliveryState::Queued, Some(500)));
        let wait_ms = row.not_before.as_unix_ms() - row.attempted_at.unwrap().as_unix_ms();
        let share = f64::from(u32::try_from(wait_ms).unwrap()) / (wait_s * 1_000.0);
        assert!((0.8..=1.2).contains(&share), "attempt {attempt}: {wait_ms} ms");
        assert_eq!(channel(&service, "ops").state, ChannelState::Failing);
        advance_to(&service, &row, 1_000);
    }
    wait_for_state(&service, "i1", DeliveryState::Sent);
    let received = receiver.wait_for(4);
    assert_eq!(received.len(), 4);
    let ids: Vec<&str> = received.iter().map(|request| request.header("webhook-id")).collect();
    assert!(ids.iter().all(|id| *id == ids[0] && id.starts_with("msg_")), "{ids:?}");
    let first_s: i64 = received[0].header("webhook-timestamp").parse().unwrap();
    let last_s: i64 = received[3].header("webhook-timestamp").parse().unwrap();
    assert!(last_s - first_s >= 4 + 24 + 96, "each attempt has its own time");
    until("it is counted", || (channel(&service, "ops").sent_total == 1).then_some(()));
    let report = channel(&service, "ops");
    assert_eq!((report.state, report.sent_total, report.failed_total), (ChannelState::Ok, 1, 3));
    assert_eq!(report.last_error, None);
}

#[test]
fn a_receiver_decides_when_it_wants_the_message_again_and_all_others() {
    let receiver = Receiver::scripted(|n| match n {
        0 => Reply::Status(429, Some(("retry-after", "77".into()))),
        _ => Reply::Status(200, None),
    });
    let service = start(&webhook("ops", &receiver.url("/")));
    tell(&service, "ops", "i1", NotificationKind::Firing);
    let row = wait_for_attempts(&service, "i1", 1);
    assert_eq!(row.not_before.as_unix_ms() - row.attempted_at.unwrap().as_unix_ms(), 77_000);
    // Another message must not go round the wait: the log's copy proves that the outbox was looked at.
    tell(&service, "ops", "i2", NotificationKind::Flapping);
    tell(&service, "log", "i3", NotificationKind::Firing);
    wait_for_state(&service, "i3", DeliveryState::Sent);
    advance_to(&service, &row, -1);
    tell(&service, "log", "i4", NotificationKind::Firing);
    wait_for_state(&service, "i4", DeliveryState::Sent);
    assert_eq!(receiver.received().len(), 1);
    service.clock.advance_ms(2_000);
    wait_for_state(&service, "i1", DeliveryState::Sent);
    wait_for_state(&service, "i2", DeliveryState::Sent);
}

#[test]
fn gone_disables_the_channel_until_a_test_succeeds() {
    let receiver = Receiver::scripted(|n| Reply::Status(if n == 0 { 410 } else { 200 }, None));
    let service = start(&webhook("ops", &receiver.url("/")));
    tell(&service, "ops", "i1", NotificationKind::Firing);
    wait_for_state(&service, "i1", DeliveryState::Dead);
    assert_eq!(channel(&service, "ops").state, ChannelState::Disabled);
    service.clock.advance_ms(10_000);
    tell(&service, "ops", "i2", NotificationKind::Firing);
    let row = wait_for_state(&service, "i2", DeliveryState::Dead);
    assert!(row.last_error.unwrap().contains("disabled"));
    assert_eq!(receiver.received().len(), 1, "nothing more was sent");

    assert!(service.test_channel("ops").unwrap().delivered);
    service.clock.advance_ms(10_000);
    tell(&service, "ops", "i3", NotificationKind::Firing);
    wait_for_state(&service, "i3", DeliveryState::Sent);
    assert_eq!(channel(&service, "ops").state, ChannelState::Ok);
}

#[test]
fn a_refusal_is_final_and_a_redirect_is_not_followed() {
    let elsewhere = Receiver::willing();
    for (status, header) in [(400, None), (302, Some(("location", elsewhere.url("/"))))] {
        let receiver = Receiver::scripted(move |_| Reply::Status(status, header.clone()));
        let service = start(&webhook("ops", &receiver.url("/")));
        tell(&service, "ops", "i1", NotificationKind::Firing);
        let row = wait_for_state(&service, "i1", DeliveryState::Dead);
        assert_eq!(row.last_status, Some(status));
        assert_eq!(channel(&service, "ops").dead, 1);
        let status = service.status().unwrap();
        assert!(
            status.problems.iter().any(|problem| problem.contains("ops")),
            "{:?}",
            status.problems
        );
    }
    assert_eq!(elsewhere.received().len(), 0);
}

#[test]
fn a_closed_connection_and_a_closed_port_are_tried_again() {
    let receiver =
        Receiver::scripted(|n| if n == 0 { Reply::Close } else { Reply::Status(200, None) });
    // Nothing listens there: the port was free a moment ago.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let toml =
        webhook("ops", &receiver.url("/")) + &webhook("nobody", &format!("http://{closed}/"));
    let service = start(&toml);
    tell(&service, "ops", "i1", NotificationKind::Firing);
    tell(&service, "nobody", "i2", NotificationKind::Firing);
    let row = wait_for_attempts(&service, "i1", 1);
    assert_eq!((row.state, row.last_status), (DeliveryState::Queued, None));
    advance_to(&service, &row, 1_000);
    wait_for_state(&service, "i1", DeliveryState::Sent);
    let row = wait_for_attempts(&service, "i2", 1);
    assert_eq!(row.state, DeliveryState::Queued);
    assert!(row.last_error.unwrap().contains("connection"));
}

#[test]
fn after_a_day_a_message_is_given_up() {
    let receiver = Receiver::scripted(|_| Reply::Status(503, None));
    let service = start(&webhook("ops", &receiver.url("/")));
    tell(&service, "ops", "i1", NotificationKind::Firing);
    let row = wait_for_attempts(&service, "i1", 1);
    assert_eq!(row.state, DeliveryState::Queued);
    service.clock.advance_ms(24 * 3_600 * 1_000);
    let row = wait_for_state(&service, "i1", DeliveryState::Dead);
    assert_eq!(row.attempts, 2);
}

#[test]
fn a_receiver_that_hangs_delays_no_other_and_no_shutdown() {
    let hanging = Receiver::scripted(|_| Reply::Hang);
    let willing = Receiver::willing();
    let toml = webhook("a-hanging", &hanging.url("/")) + &webhook("b-willing", &willing.url("/"));
    let mut service = start(&toml);
    tell(&service, "a-hanging", "i1", NotificationKind::Firing);
    hanging.wait_for(1);
    for incident in ["i2", "i3", "i4"] {
        tell(&service, "b-willing", incident, NotificationKind::Firing);
        wait_for_state(&service, incident, DeliveryState::Sent);
    }
    assert_eq!(message(&service, "i1", "firing").state, DeliveryState::Queued);
    #[expect(clippy::disallowed_methods, reason = "the promise is about time")]
    let began = Instant::now();
    service.stop();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    // The file is free at once, though the thread of the channel still waits for its receiver.
    service.restart_stopped();
    assert_eq!(message(&service, "i1", "firing").state, DeliveryState::Queued);
    let again = hanging.wait_for(2);
    assert_eq!(again[0].header("webhook-id"), again[1].header("webhook-id"));
}

#[test]
fn an_incident_that_ends_before_it_was_told_is_told_once() {
    let receiver = Receiver::scripted(|n| Reply::Status(if n == 0 { 500 } else { 200 }, None));
    let service = start(&webhook("ops", &receiver.url("/")));
    tell(&service, "ops", "i1", NotificationKind::Firing);
    wait_for_attempts(&service, "i1", 1);
    service.clock.advance_ms(2_000);
    tell(&service, "ops", "i1", NotificationKind::Resolved);
    wait_for_state(&service, "i1", DeliveryState::Sent);
    let last = &receiver.wait_for(2)[1];
    assert_eq!(last.json()["incident"]["kind"], "fired_and_resolved");
    assert_eq!(last.json()["status"], "resolved");
    assert_eq!(message(&service, "i1", "firing").state, DeliveryState::Superseded);
}

#[test]
fn ends_are_kept_back_when_asked_for() {
    let receiver = Receiver::willing();
    let toml = webhook("ops", &receiver.url("/")) + "send_resolved = false\n";
    let service = start(&toml);
    tell(&service, "ops", "i1", NotificationKind::Firing);
    wait_for_state(&service, "i1", DeliveryState::Sent);
    service.clock.advance_ms(1_000);
    tell(&service, "ops", "i1", NotificationKind::Resolved);
    wait_for_state(&service, "i1", DeliveryState::Superseded);
    assert_eq!(receiver.received().len(), 1);
}

#[test]
fn many_groups_of_a_rule_are_few_messages() {
    let receiver = Receiver::willing();
    let service = start(&webhook("ops", &receiver.url("/")));
    let messages = (0..120).map(|n| {
        let incident = format!("i{n}");
        outgoing("ops", &notification(&incident, NotificationKind::Firing, service.now()))
    });
    enqueue(&service.config, messages.collect());
    until("all are sent", || (channel(&service, "ops").queued == 0).then_some(()));
    let mut ids: BTreeMap<String, usize> = BTreeMap::new();
    for request in receiver.received() {
        let incidents = request.json()["incidents"].as_array().unwrap().len();
        assert!(incidents <= 50);
        ids.insert(request.header("webhook-id").to_owned(), incidents);
    }
    assert_eq!(ids.values().sum::<usize>(), 120);
    assert_eq!(ids.len(), 3);
}
