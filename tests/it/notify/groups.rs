//! A webhook's payload over several groups of one rule, and which channels a wider rule speaks for.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;

use serde_json::Value;

use super::endings::{drained, errors, pass_window, section, send, start};
use super::receiver::{Received, Receiver};
use crate::harness::store::TestService;

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// What a receiver that follows Alertmanager's payload believes: the alerts that fire, by fingerprint.
#[derive(Default)]
struct Follower {
    firing: BTreeSet<String>,
    group_key: Option<String>,
}

impl Follower {
    /// Takes a message; it must agree with itself and with what was said before.
    fn take(&mut self, payload: &Value) {
        let group_key = text(&payload["groupKey"]);
        assert_eq!(*self.group_key.get_or_insert(group_key.clone()), group_key);
        let alerts = payload["alerts"].as_array().unwrap();
        let mut fires = false;
        for alert in alerts {
            let fingerprint = text(&alert["fingerprint"]);
            match alert["status"].as_str().unwrap() {
                "firing" => {
                    fires = true;
                    assert_eq!(alert["endsAt"], "0001-01-01T00:00:00Z");
                    self.firing.insert(fingerprint);
                }
                _ => {
                    self.firing.remove(&fingerprint);
                }
            }
        }
        let expected = if fires { "firing" } else { "resolved" };
        assert_eq!(payload["status"], expected, "{payload}");
        assert_eq!(fires, !self.firing.is_empty(), "the message shows all that fires: {payload}");
        let distinct: BTreeSet<String> = alerts.iter().map(|a| text(&a["fingerprint"])).collect();
        assert_eq!(distinct.len(), alerts.len(), "each alert once: {payload}");
    }
}

fn reasons(received: &[Received]) -> Vec<String> {
    received.iter().map(|request| text(&request.json()["notification_reason"])).collect()
}

#[test]
fn status_and_group_key_agree_while_groups_of_a_rule_come_and_go() {
    let a = Receiver::willing();
    let service = start(section(&[("a", &a)], &errors("\"a\"")));
    send(&service, "one", 10);
    drained(&service);
    send(&service, "two", 10);
    drained(&service);
    send(&service, "three", 10);
    drained(&service);
    pass_window(&service);
    for space in ["one", "two", "three"] {
        // Each recovers by itself, the others say nothing meanwhile.
        send(&service, space, 0);
        drained(&service);
    }
    let received = a.wait_for(6);
    assert_eq!(received.len(), 6);
    let mut follower = Follower::default();
    let mut firing = Vec::new();
    for request in &received {
        follower.take(&request.json());
        firing.push(follower.firing.len());
    }
    assert_eq!(firing, [1, 2, 3, 2, 1, 0]);
    assert_eq!(
        reasons(&received),
        [
            "first notification",
            "new alerts added",
            "new alerts added",
            "some alerts resolved",
            "some alerts resolved",
            "all alerts resolved"
        ]
    );
    // Our own part is what happened, and nothing else.
    for request in &received {
        assert_eq!(request.json()["incidents"].as_array().unwrap().len(), 1);
        assert_eq!(request.json()["commonLabels"]["rule"], "errors");
    }
}

#[test]
fn more_groups_than_a_message_shows_are_counted() {
    let a = Receiver::willing();
    let mut service = start(section(&[("a", &a)], &errors("\"a\"")));
    service.stop();
    service.config.alerting.max_groups = 200;
    service.restart_stopped();
    for number in 0..120 {
        send_quietly(&service, &format!("s{number}"));
    }
    service.clock.advance_ms(30_000);
    service.check_alerts(service.now()).unwrap();
    drained(&service);
    // 50, 50 and 20 began together; 70 of those that were said before do not fit.
    let last = a.wait_for(3).remove(2).json();
    let alerts = last["alerts"].as_array().unwrap().len();
    assert_eq!((alerts, &last["truncatedAlerts"]), (70, &Value::from(50)), "{last}");
    assert_eq!(last["status"], "firing");
    assert_eq!(last["incidents"].as_array().unwrap().len(), 20);
}

/// Twenty failed requests of a space.
fn send_quietly(service: &TestService, space: &str) {
    use chatgauge::model::{ErrorType, Name, Outcome, RequestId, RequestRecord, Source};
    let records = (0..20).map(|number| {
        let id = RequestId::parse(&format!("{space}-{number}"));
        let mut record = RequestRecord::new(id, service.now(), Source::Rest);
        record.space = Some(Name::from(space.to_owned()));
        record.outcome = Outcome::Error(ErrorType::Server);
        record
    });
    service.record(records.collect()).unwrap();
}

/// A rule over everything, for these channels, beside the one by space.
fn wide(channels: &str, by_space: &str) -> String {
    format!(
        "[[alerting.rule]]\nid = \"all\"\nmetric = \"error_rate\"\nthreshold = 0.1\nconsecutive = 1\n\
         clear_consecutive = 1\nchannels = [{channels}]\n{}",
        errors(by_space)
    )
}

/// Rule and group of everything that a channel was told, by kind, oldest first.
fn said(service: &TestService, channel: &str) -> Vec<String> {
    let path = &service.config.store.path;
    let connection = rusqlite::Connection::open(path).unwrap();
    let mut statement = connection
        .prepare(
            "select kind || ' ' || json_extract(payload, '$.rule_id') || ' '
                    || coalesce(json_extract(payload, '$.group.space'), '-')
             from _alert_outbox where channel = ?1 order by created_at_ms, 1",
        )
        .unwrap();
    statement.query_map([channel], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

#[test]
fn a_rule_speaks_for_others_only_where_it_is_heard() {
    // As the default rule: to the log alone.
    let a = Receiver::willing();
    let service = start(section(&[("a", &a)], &wide("", "\"a\"")));
    send(&service, "acme", 20);
    assert_eq!(said(&service, "a"), ["firing errors acme"]);
    assert_eq!(said(&service, "log"), ["firing all -"], "the log heard of it from the wider rule");
    // The wider one ends, because others are well; the space still fires, and the log hears of it now.
    service.clock.advance_ms(30_000);
    for _ in 0..20 {
        send_fine(&service, "fine");
    }
    service.check_alerts(service.now()).unwrap();
    assert_eq!(said(&service, "log"), ["firing all -", "firing errors acme", "resolved all -"]);
    assert_eq!(said(&service, "a"), ["firing errors acme"], "once");
    // Its end goes to both.
    drained(&service);
    pass_window(&service);
    send(&service, "acme", 0);
    assert_eq!(said(&service, "a"), ["firing errors acme", "resolved errors acme"]);
    assert_eq!(said(&service, "log").last().unwrap(), "resolved errors acme");
}

fn send_fine(service: &TestService, space: &str) {
    use chatgauge::model::{Name, RequestId, RequestRecord, Source};
    static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let records = (0..20).map(|_| {
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let id = RequestId::parse(&format!("{space}-{number}"));
        let mut record = RequestRecord::new(id, service.now().plus_ms(-1_000), Source::Rest);
        record.space = Some(Name::from(space.to_owned()));
        record
    });
    service.record(records.collect()).unwrap();
}

#[test]
fn a_rule_that_is_withheld_and_ends_meanwhile_says_nothing_there() {
    let a = Receiver::willing();
    let service = start(section(&[("a", &a)], &wide("", "\"a\"")));
    send(&service, "acme", 20);
    drained(&service);
    pass_window(&service);
    send(&service, "acme", 0);
    assert_eq!(said(&service, "a"), ["firing errors acme", "resolved errors acme"]);
    assert_eq!(said(&service, "log"), ["firing all -", "resolved all -"]);
}

#[test]
fn what_is_withheld_is_remembered_over_a_restart() {
    let a = Receiver::willing();
    let mut service = start(section(&[("a", &a)], &wide("", "\"a\"")));
    send(&service, "acme", 20);
    service.restart();
    service.clock.advance_ms(30_000);
    for _ in 0..20 {
        send_fine(&service, "fine");
    }
    service.check_alerts(service.now()).unwrap();
    assert_eq!(said(&service, "log"), ["firing all -", "firing errors acme", "resolved all -"]);
}

#[test]
fn a_rule_that_notifies_the_same_channels_speaks_for_them_all() {
    let a = Receiver::willing();
    let service = start(section(&[("a", &a)], &wide("\"a\"", "\"a\"")));
    send(&service, "acme", 20);
    assert_eq!(said(&service, "a"), ["firing all -"]);
    assert_eq!(said(&service, "log"), ["firing all -"]);
}
