//! `group_wait`: the first message about a rule waits for others of the rule.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use chatgauge::Config;
use chatgauge::model::{ErrorType, Name, Outcome, RequestId, RequestRecord, Source};

use super::delivery::alerting;
use super::receiver::{Received, Receiver};
use crate::harness::store::{TestService, at};

fn service(receiver: &Receiver, wait: &str) -> TestService {
    let section = alerting(&format!(
        "[alerting]\nenabled = false\ndefault_rules = false\ngroup_wait = \"{wait}\"\n\
         [alerting.channels.ops]\ntype = \"webhook\"\nurl = \"{}\"\n\
         [[alerting.rule]]\nid = \"outage\"\nmetric = \"consecutive_failures\"\nthreshold = 1\nby = [\"space\"]\nchannels = [\"ops\"]\n",
        receiver.url("/")
    ));
    TestService::start_with(at("2026-11-23T02:00:00Z"), |config: &mut Config| {
        config.alerting = section;
    })
}

/// A space fails, and the rule is evaluated half a minute later.
fn fail(service: &TestService, space: &str) {
    let mut record = RequestRecord::new(RequestId::parse(space), service.now(), Source::Rest);
    record.space = Some(Name::from(space.to_owned()));
    record.outcome = Outcome::Error(ErrorType::Server);
    service.record(vec![record]).unwrap();
    service.clock.advance_ms(30_000);
    assert_eq!(service.check_alerts(service.now()).unwrap().len(), 1, "{space}");
}

fn spaces(message: &Received) -> Vec<String> {
    let incidents = message.json()["incidents"].as_array().unwrap().clone();
    let space = |incident: &serde_json::Value| incident["group"]["space"].as_str().unwrap().into();
    incidents.iter().map(space).collect()
}

#[test]
fn what_begins_while_the_first_message_waits_goes_out_with_it() {
    let receiver = Receiver::willing();
    let service = service(&receiver, "90s");
    fail(&service, "a");
    fail(&service, "b");
    fail(&service, "c");
    // Sixty seconds after the first one: the log was told, the channel was not.
    assert_eq!(service.now(), at("2026-11-23T02:01:30Z"));
    super::receiver::until("the log", || {
        let log = service.channels().unwrap().into_iter().find(|channel| channel.name == "log");
        (log.unwrap().sent_total == 3).then_some(())
    });
    assert_eq!(receiver.received().len(), 0);
    service.clock.advance_ms(30_000);
    let received = receiver.wait_for(1);
    assert_eq!(spaces(&received[0]), ["a", "b", "c"]);
    // Who knows of the rule is told at once.
    super::receiver::until("it is noted", || {
        let ops = service.channels().unwrap().into_iter().find(|channel| channel.name == "ops");
        (ops.unwrap().sent_total > 0).then_some(())
    });
    fail(&service, "d");
    assert_eq!(spaces(&receiver.wait_for(2)[1]), ["d"]);
}

#[test]
fn without_it_nobody_waits() {
    let receiver = Receiver::willing();
    let service = service(&receiver, "0s");
    fail(&service, "a");
    assert_eq!(spaces(&receiver.wait_for(1)[0]), ["a"]);
}
