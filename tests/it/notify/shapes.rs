//! What receivers see: signatures, credentials, Slack's shape, Alertmanager's refreshes.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use chatgauge::Config;
use chatgauge::alert::NotificationKind;
use chatgauge::alert::notify::signature::sign;
use chatgauge::config::SigningKey;
use chatgauge::model::alert::{AlertGroup, AlertInstance, AlertPhase, DeliveryState};
use chatgauge::store::{AlertChanges, InstanceChange, Store};

use super::delivery::alerting;
use super::outbox::{enqueue, notification, outgoing};
use super::receiver::{Receiver, Reply, until};
use crate::harness::store::{TestService, at};

const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OLD_KEY: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

fn start(toml: &str) -> TestService {
    let section = alerting(toml);
    TestService::start_with(at("2026-11-23T02:00:00Z"), |config: &mut Config| {
        config.alerting = section;
    })
}

fn tell(service: &TestService, channel: &str, incident_id: &str, kind: NotificationKind) {
    let notification = notification(incident_id, kind, service.now());
    enqueue(&service.config, vec![outgoing(channel, &notification)]);
}

#[test]
fn a_webhook_is_signed_over_the_bytes_that_arrive() {
    let receiver = Receiver::willing();
    let service = start(&format!(
        "[alerting.channels.ops]\ntype = \"webhook\"\nurl = \"{}\"\nsecret = \"{KEY}\"\n\
         secret_previous = \"{OLD_KEY}\"\nbearer_token = \"t0ken\"\n",
        receiver.url("/hook?room=7")
    ));
    tell(&service, "ops", "i1", NotificationKind::Firing);
    let request = receiver.wait_for(1).remove(0);
    assert_eq!(request.path, "/hook?room=7");
    assert_eq!(request.header("authorization"), "Bearer t0ken");
    assert_eq!(request.header("content-type"), "application/json");
    let timestamp_s: i64 = request.header("webhook-timestamp").parse().unwrap();
    let keys = [KEY, OLD_KEY].map(|key| SigningKey::parse(key).unwrap());
    let expected = sign(&keys, request.header("webhook-id"), timestamp_s, &request.body);
    assert_eq!(request.header("webhook-signature"), expected);
    assert_eq!(expected.split(' ').count(), 2);
    assert_eq!(request.json()["incident"]["incident_id"], "i1");
}

#[test]
fn slack_gets_attachments_one_message_a_second() {
    let receiver = Receiver::willing();
    let service = start(&format!(
        "[alerting]\nexternal_url = \"https://cg.example/\"\n\
         [alerting.channels.chat]\ntype = \"slack\"\nurl = \"{}\"\n",
        receiver.url("/services/T/B/x")
    ));
    tell(&service, "chat", "i1", NotificationKind::Firing);
    let request = receiver.wait_for(1).remove(0);
    let body = request.json();
    assert_eq!(body["text"], "Firing: High error rate (space space-i1)");
    assert_eq!(body["attachments"][0]["title_link"], "https://cg.example/alerts?incident=i1");
    // The clock stands still: the second message waits, though the outbox is looked at.
    until("the first is noted", || {
        (service.store().read(|reader| reader.messages_of("i1")).unwrap()[0].state
            == DeliveryState::Sent)
            .then_some(())
    });
    tell(&service, "chat", "i2", NotificationKind::Firing);
    tell(&service, "log", "i3", NotificationKind::Firing);
    until("the log is written", || {
        (service.store().read(|reader| reader.messages_of("i3")).unwrap()[0].state
            == DeliveryState::Sent)
            .then_some(())
    });
    assert_eq!(receiver.received().len(), 1);
    service.clock.advance_ms(1_000);
    receiver.wait_for(2);
}

/// Writes that an incident is open, or that nothing is wrong any more.
fn set_open(service: &TestService, incident_id: &str, is_open: bool) {
    let instance = is_open.then(|| AlertInstance {
        phase: AlertPhase::Firing,
        incident_id: Some(incident_id.to_owned()),
        fired_at: Some(service.now()),
        evaluated_at: Some(service.now().plus_ms(30_000)),
        value: Some(0.4),
        is_announced: true,
        ..AlertInstance::default()
    });
    let change = InstanceChange {
        rule_id: "error-rate".into(),
        group_key: AlertGroup::default().key(),
        identity_hash: vec![1].into(),
        instance,
    };
    let (_store, mut writer) = Store::open_beside(&service.config.store).unwrap();
    let changes = AlertChanges { instances: vec![change], ..AlertChanges::default() };
    writer.apply_alerts(&changes).unwrap();
}

#[test]
fn alertmanager_is_reminded_every_minute_and_told_the_end_for_a_quarter_of_an_hour() {
    let receiver = Receiver::willing();
    let down = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let service = start(&format!(
        "[alerting.channels.am]\ntype = \"alertmanager\"\nurls = [\"http://{down}\", \"{}\"]\n",
        receiver.url("/prefix/")
    ));
    tell(&service, "am", "i1", NotificationKind::Firing);
    set_open(&service, "i1", true);
    let first = receiver.wait_for(1).remove(0);
    assert_eq!(first.path, "/prefix/api/v2/alerts");
    let alert = &first.json()[0];
    assert_eq!(alert["labels"]["alertname"], "High error rate");
    assert_eq!(alert["labels"]["space"], "space-i1");
    assert_eq!(alert["startsAt"], "2026-11-23T02:00:00Z");
    assert_eq!(alert["endsAt"], "2026-11-23T02:04:00Z");
    until("one server is enough", || {
        (service.store().read(|reader| reader.messages_of("i1")).unwrap()[0].state
            == DeliveryState::Sent)
            .then_some(())
    });

    service.clock.advance_ms(61_000);
    let second = receiver.wait_for(2).remove(1);
    assert_eq!(second.json()[0]["endsAt"], "2026-11-23T02:05:01Z");
    assert_eq!(second.json()[0]["labels"], alert["labels"]);
    assert_eq!(second.json()[0]["annotations"]["current_value"], "0.4");

    set_open(&service, "i1", false);
    tell(&service, "am", "i1", NotificationKind::Resolved);
    service.clock.advance_ms(2_000);
    let third = receiver.wait_for(3).remove(2);
    assert_eq!(third.json()[0]["endsAt"], "2026-11-23T02:01:01Z");
    until("the end is noted", || {
        let rows = service.store().read(|reader| reader.messages_of("i1")).unwrap();
        rows.iter().all(|row| row.state == DeliveryState::Sent).then_some(())
    });
    service.clock.advance_ms(61_000);
    assert_eq!(receiver.wait_for(4)[3].json()[0]["endsAt"], "2026-11-23T02:01:01Z");
    // After a quarter of an hour there is nothing left to say.
    service.clock.advance_ms(16 * 60_000);
    tell(&service, "log", "i2", NotificationKind::Firing);
    until("the outbox was looked at", || {
        (service.store().read(|reader| reader.messages_of("i2")).unwrap()[0].state
            == DeliveryState::Sent)
            .then_some(())
    });
    assert_eq!(receiver.received().len(), 4);
}

#[test]
fn a_test_says_what_the_receiver_said() {
    let receiver = Receiver::scripted(|n| Reply::Status(if n == 0 { 401 } else { 200 }, None));
    let service = start(&format!(
        "[alerting.channels.ops]\ntype = \"webhook\"\nurl = \"{}\"\n",
        receiver.url("/")
    ));
    let test = service.test_channel("ops").unwrap();
    assert_eq!((test.delivered, test.status), (false, Some(401)));
    let error = test.error.unwrap();
    assert!(error.contains("401") && error.contains("credentials"), "{error}");
    assert!(service.test_channel("ops").unwrap().delivered);
    let received = receiver.wait_for(2);
    assert_eq!(received[1].json()["incident"]["kind"], "test");
    let error = service.test_channel("opps").unwrap_err().to_string();
    assert_eq!(error, "name: unknown channel \"opps\"; the channels are ops");
}
