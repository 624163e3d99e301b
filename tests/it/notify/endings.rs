//! The end of an incident goes to the channels that heard of its beginning, whatever ended it.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use chatgauge::config::AlertingConfig;
use chatgauge::model::alert::{DeliveryState, EvaluationWindow, NewSilence, Rule, StoredMessage};
use chatgauge::model::{ErrorType, Name, Outcome, RequestId, RequestRecord, Source, TimeRange};
use chatgauge::store::{IncidentQuery, Store};
use serde_json::{Value, json};

use super::delivery::alerting;
use super::receiver::{Receiver, Reply, until};
use crate::harness::store::{TestService, at};

const START: &str = "2026-11-23T02:00:00Z";

/// A section with these channels, each a webhook, and rules.
pub(super) fn section(channels: &[(&str, &Receiver)], rest: &str) -> AlertingConfig {
    let channels: String = channels
        .iter()
        .map(|(name, receiver)| {
            let url = receiver.url("/");
            format!("[alerting.channels.{name}]\ntype = \"webhook\"\nurl = \"{url}\"\n")
        })
        .collect();
    let head = "[alerting]\nenabled = false\neval_delay = \"0s\"\ndefault_rules = false\n";
    alerting(&format!("{head}{channels}{rest}"))
}

/// A rule by space that fires at the first check, for these channels.
pub(super) fn errors(channels: &str) -> String {
    format!(
        "[[alerting.rule]]\nid = \"errors\"\nname = \"Many errors\"\nmetric = \"error_rate\"\nthreshold = 0.1\n\
         consecutive = 1\nclear_consecutive = 1\nconfidence = 0\nby = [\"space\"]\nseverity = \"critical\"\n\
         labels = {{ team = \"platform\" }}\nchannels = [{channels}]\n"
    )
}

pub(super) fn start(section: AlertingConfig) -> TestService {
    TestService::start_with(at(START), |config| config.alerting = section)
}

/// Sends 20 requests of a space, of which so many failed, and evaluates.
pub(super) fn send(service: &TestService, space: &str, failed: usize) {
    service.clock.advance_ms(30_000);
    let now = service.now();
    let records = (0..20).map(|number| {
        let id = format!("{space}-{}-{number}", now.as_unix_ms());
        let mut record =
            RequestRecord::new(RequestId::parse(&id), now.plus_ms(-1_000), Source::Rest);
        record.space = Some(Name::from(space.to_owned()));
        if number < failed {
            record.outcome = Outcome::Error(ErrorType::Server);
        }
        record
    });
    service.record(records.collect()).unwrap();
    service.check_alerts(now).unwrap();
}

/// Lets an evaluation pass in which nothing new came.
fn check(service: &TestService) {
    service.clock.advance_ms(30_000);
    service.check_alerts(service.now()).unwrap();
}

/// The window of the rule is empty of what came before.
pub(super) fn pass_window(service: &TestService) {
    service.clock.advance_ms(600_000);
}

/// Ids of all incidents, oldest first.
fn incidents(service: &TestService) -> Vec<String> {
    let query = IncidentQuery { limit: 100, ..IncidentQuery::default() };
    let incidents =
        service.store().read(|reader| reader.alert_incidents(&query)).unwrap().into_iter().rev();
    incidents.map(|incident| incident.incident_id).collect()
}

/// Messages about an incident to a channel, without those to the log, once none waits for the dispatcher.
fn settled(service: &TestService, incident_id: &str, channel: &str) -> Vec<StoredMessage> {
    until("nothing waits", || {
        let rows = service.store().read(|reader| reader.messages_of(incident_id)).unwrap();
        let rows: Vec<_> = rows.into_iter().filter(|row| row.channel == channel).collect();
        let waits = |row: &StoredMessage| row.state == DeliveryState::Queued;
        (!rows.iter().any(waits)).then_some(rows)
    })
}

fn states(rows: &[StoredMessage]) -> Vec<(&str, &str)> {
    rows.iter().map(|row| (&*row.kind, row.state.as_str())).collect()
}

/// What a receiver got: kind, reason and labels of each incident.
fn told(receiver: &Receiver) -> Vec<Value> {
    let payloads = receiver.received().into_iter().map(|request| request.json());
    payloads.flat_map(|payload| payload["incidents"].as_array().unwrap().clone()).collect()
}

fn kinds(receiver: &Receiver) -> Vec<String> {
    told(receiver).iter().map(|incident| incident["kind"].as_str().unwrap().to_owned()).collect()
}

/// What `chatgauge alert` prints about the file of a service.
fn command_line(service: &TestService, arguments: &[&str]) -> String {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("chatgauge.toml");
    let database = service.config.store.path.display();
    std::fs::write(&config, format!("[store]\npath = \"{database}\"\n")).unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_chatgauge"))
        .arg("alert")
        .args(arguments)
        .arg("--config")
        .arg(&config)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Waits until everything that is queued was sent or settled in another way.
pub(super) fn drained(service: &TestService) {
    until("nothing is queued", || {
        let channels = service.channels().unwrap();
        channels.iter().all(|channel| channel.queued == 0).then_some(())
    });
}

#[test]
fn whatever_ends_it_the_channel_that_heard_of_it_hears_of_its_end() {
    type Ending = fn(&TestService, Vec<Rule>, &str);
    let endings: [(&str, Ending); 6] = [
        ("rule_removed", |service, _, _| service.set_alert_rules(Vec::new())),
        ("rule_removed", |service, mut rules, _| {
            rules[0].inactive = Some("disabled".to_owned());
            service.set_alert_rules(rules);
        }),
        ("rule_removed", |service, mut rules, _| {
            // Edited and disabled at once: it ends once.
            rules[0].condition.window = EvaluationWindow::Rolling(Duration::from_secs(600));
            rules[0].inactive = Some("disabled".to_owned());
            service.set_alert_rules(rules);
        }),
        ("rule_changed", |service, mut rules, _| {
            rules[0].condition.window = EvaluationWindow::Rolling(Duration::from_secs(600));
            rules[0].name = "Another name".to_owned();
            rules[0].channels = vec!["b".to_owned()];
            service.set_alert_rules(rules);
        }),
        ("rule_changed", |service, mut rules, _| {
            rules[0].by.clear();
            rules[0].channels.clear();
            service.set_alert_rules(rules);
        }),
        ("manual", |service, mut rules, incident| {
            // The rule is gone meanwhile, and nothing has looked since.
            rules.clear();
            service.set_alert_rules(rules);
            service.monitor().close(incident, "admin", Some("known")).unwrap();
        }),
    ];
    for (reason, end) in endings {
        let (a, b) = (Receiver::willing(), Receiver::willing());
        let service = start(section(&[("a", &a), ("b", &b)], &errors("\"a\"")));
        send(&service, "acme", 10);
        let begun = a.wait_for(1).remove(0).json();
        let incident = incidents(&service).remove(0);
        end(&service, service.config.alerting.rules.clone(), &incident);
        check(&service);
        let ended = a.wait_for(2).remove(1).json();
        assert_eq!(
            (&ended["status"], &ended["incident"]["kind"]),
            (&json!("resolved"), &json!("resolved"))
        );
        assert_eq!(ended["incident"]["reason"], reason);
        // Receivers recognise it: nothing of its identity has changed.
        for field in ["labels", "fingerprint", "startsAt"] {
            assert_eq!(ended["alerts"][0][field], begun["alerts"][0][field], "{reason} {field}");
        }
        assert_eq!(ended["groupKey"], begun["groupKey"]);
        for field in
            ["incident_id", "rule_name", "severity", "metric", "operator", "threshold", "unit"]
        {
            assert_eq!(ended["incident"][field], begun["incident"][field], "{reason} {field}");
        }
        drained(&service);
        assert_eq!(kinds(&a), ["firing", "resolved"], "{reason}");
        let heard = settled(&service, &incident, "log");
        assert_eq!(states(&heard), [("firing", "sent"), ("resolved", "sent")], "{reason}");
        let about_it = told(&b).into_iter().filter(|other| other["incident_id"] == *incident);
        assert_eq!(about_it.count(), 0, "{reason}: nobody told b that it began");
        check(&service);
        drained(&service);
        assert_eq!(kinds(&a), ["firing", "resolved"], "{reason}");
    }
}

#[test]
fn a_budget_that_begins_anew_ends_the_incident_of_the_period_before() {
    let a = Receiver::willing();
    let spend = "[[alerting.rule]]\nid = \"spend\"\nmetric = \"tokens\"\nperiod = \"day\"\nlimit = 100\nthreshold = 1\n\
                 consecutive = 1\nchannels = [\"a\"]\n";
    let service = start(section(&[("a", &a)], spend));
    let mut record = RequestRecord::new(RequestId::parse("one"), service.now(), Source::Rest);
    record.prompt_tokens = Some(150);
    service.record(vec![record]).unwrap();
    check(&service);
    a.wait_for(1);
    service.clock.advance_ms(22 * 3_600_000);
    check(&service);
    let ended = a.wait_for(2).remove(1).json();
    assert_eq!(ended["incident"]["reason"], "period_ended");
    assert_eq!(ended["incident"]["value"], 150.0, "what was seen last");
    assert_eq!(ended["alerts"][0]["labels"]["period"], "2026-11-23");
}

#[test]
fn the_end_goes_to_the_channels_of_the_beginning_not_to_those_of_the_rule() {
    let (a, b) = (Receiver::willing(), Receiver::willing());
    let service = start(section(&[("a", &a), ("b", &b)], &errors("\"a\"")));
    send(&service, "acme", 10);
    let begun = a.wait_for(1).remove(0).json();
    let mut rules = service.config.alerting.rules.clone();
    rules[0].channels = vec!["b".to_owned()];
    rules[0].name = "Another name".to_owned();
    rules[0].severity = "warning".to_owned();
    rules[0].condition.threshold = 0.2;
    service.set_alert_rules(rules);
    check(&service);
    pass_window(&service);
    send(&service, "acme", 0);
    let ended = a.wait_for(2).remove(1).json();
    assert_eq!(ended["incident"]["reason"], "recovered");
    assert_eq!(ended["incident"]["threshold"], 0.2, "what the end was judged by");
    assert_eq!(ended["alerts"][0]["fingerprint"], begun["alerts"][0]["fingerprint"]);
    drained(&service);
    assert_eq!(b.received().len(), 0);
    // The next one is for the other channel only.
    pass_window(&service);
    send(&service, "acme", 10);
    assert_eq!(b.wait_for(1)[0].json()["incident"]["rule_name"], "Another name");
    drained(&service);
    assert_eq!(kinds(&a), ["firing", "resolved"]);
}

#[test]
fn a_channel_that_joins_with_a_reminder_hears_that_it_fires_and_then_of_its_end() {
    let (a, b) = (Receiver::willing(), Receiver::willing());
    let service = start(section(&[("a", &a), ("b", &b)], &errors("\"a\"")));
    send(&service, "acme", 10);
    a.wait_for(1);
    let mut rules = service.config.alerting.rules.clone();
    rules[0].channels.push("b".to_owned());
    rules[0].repeat_interval = Duration::from_secs(60);
    service.set_alert_rules(rules);
    send(&service, "acme", 10);
    send(&service, "acme", 10);
    b.wait_for(1);
    pass_window(&service);
    send(&service, "acme", 0);
    b.wait_for(2);
    drained(&service);
    assert_eq!(kinds(&a), ["firing", "reminder", "resolved"]);
    assert_eq!(kinds(&b), ["firing", "resolved"]);
}

#[test]
fn the_end_for_a_channel_that_is_gone_is_kept_and_sent_when_it_is_back() {
    let (a, b) = (Receiver::willing(), Receiver::willing());
    let both = section(&[("a", &a), ("b", &b)], &errors("\"a\", \"b\""));
    let mut service = start(both.clone());
    send(&service, "acme", 10);
    a.wait_for(1);
    b.wait_for(1);
    drained(&service);
    service.stop();
    service.config.alerting = section(&[("b", &b)], &errors("\"b\""));
    service.restart_stopped();
    pass_window(&service);
    send(&service, "acme", 0);
    b.wait_for(2);
    let incident = incidents(&service).remove(0);
    let kept = settled(&service, &incident, "a");
    assert_eq!(states(&kept), [("firing", "sent"), ("resolved", "undeliverable")]);
    let error = kept[1].last_error.clone().unwrap();
    assert!(error.contains("not configured"), "{error}");
    let report =
        service.channels().unwrap().into_iter().find(|channel| channel.name == "a").unwrap();
    assert_eq!((report.undeliverable, report.queued, report.dead), (1, 0, 0));
    assert_eq!((report.kind, &*report.target), ("none", "no longer configured"));
    let problems = service.status().unwrap().problems;
    assert!(problems.iter().any(|problem| problem.contains("undeliverable")), "{problems:?}");
    let show = command_line(&service, &["show", &incident]);
    assert!(show.contains("undeliverable") && show.contains("not configured"), "{show}");
    for arguments in
        [&["list", "--all"][..], &["history", "--start", "2026-11-01", "--end", "2027-01-01"]]
    {
        let list = command_line(&service, arguments);
        let line =
            format!("{incident}: resolved is undeliverable: the channel a is no longer configured");
        assert!(list.contains(&line), "{list}");
    }
    let json: Value =
        serde_json::from_str(&command_line(&service, &["list", "--all", "--json"])).unwrap();
    assert_eq!(json[0]["undeliverable_to"], json!(["a"]));
    // It stays so over a restart and a day.
    service.clock.advance_ms(30 * 3_600_000);
    service.restart();
    assert_eq!(states(&settled(&service, &incident, "a"))[1], ("resolved", "undeliverable"));
    assert_eq!(kinds(&a), ["firing"]);

    service.stop();
    service.config.alerting = both;
    service.restart_stopped();
    let ended = a.wait_for(2).remove(1).json();
    assert_eq!(ended["incident"]["kind"], "resolved");
    assert_eq!(
        states(&settled(&service, &incident, "a")),
        [("firing", "sent"), ("resolved", "sent")]
    );
    assert_eq!(kinds(&b), ["firing", "resolved"]);
}

#[test]
fn a_channel_that_is_back_and_fails_has_a_day_to_recover() {
    let a = Receiver::scripted(|n| Reply::Status(if n == 1 { 503 } else { 200 }, None));
    let both = section(&[("a", &a)], &errors("\"a\""));
    let mut service = start(both.clone());
    send(&service, "acme", 10);
    a.wait_for(1);
    drained(&service);
    service.stop();
    service.config.alerting = section(&[], &errors(""));
    service.restart_stopped();
    pass_window(&service);
    send(&service, "acme", 0);
    let incident = incidents(&service).remove(0);
    settled(&service, &incident, "a");
    service.clock.advance_ms(48 * 3_600_000);
    service.stop();
    service.config.alerting = both;
    service.restart_stopped();
    a.wait_for(2);
    let waiting = until("the failure is noted", || {
        let rows = service.store().read(|reader| reader.messages_of(&incident)).unwrap();
        rows.into_iter()
            .find(|row| row.channel == "a" && row.attempts == 1 && row.kind == "resolved")
    });
    assert_eq!(waiting.state, DeliveryState::Queued, "{waiting:?}");
    service.clock.advance_ms(waiting.not_before.as_unix_ms() - service.now().as_unix_ms());
    a.wait_for(3);
    assert_eq!(states(&settled(&service, &incident, "a"))[1], ("resolved", "sent"));
}

#[test]
fn a_beginning_that_never_left_a_channel_that_is_gone_has_no_end() {
    let a = Receiver::willing();
    let with_wait = |mut section: AlertingConfig| {
        section.group_wait = Duration::from_secs(600);
        section
    };
    let mut service = start(with_wait(section(&[("a", &a)], &errors("\"a\""))));
    send(&service, "acme", 10);
    let incident = incidents(&service).remove(0);
    settled(&service, &incident, "log");
    service.stop();
    service.config.alerting = section(&[], &errors(""));
    service.restart_stopped();
    assert_eq!(states(&settled(&service, &incident, "a")), [("firing", "undeliverable")]);
    pass_window(&service);
    send(&service, "acme", 0);
    assert_eq!(states(&settled(&service, &incident, "log")).len(), 2, "the log heard of both");
    assert_eq!(states(&settled(&service, &incident, "a")), [("firing", "undeliverable")]);
    // Nor does its beginning matter any more.
    service.stop();
    service.config.alerting = section(&[("a", &a)], &errors("\"a\""));
    service.restart_stopped();
    send(&service, "other", 10);
    a.wait_for(1);
    assert_eq!(told(&a)[0]["group"]["space"], "other");
    assert_eq!(states(&settled(&service, &incident, "a")), [("firing", "undeliverable")]);
}

#[test]
fn a_beginning_that_waits_and_its_end_are_one_message() {
    let a = Receiver::willing();
    let mut waiting = section(&[("a", &a)], &errors("\"a\""));
    waiting.group_wait = Duration::from_secs(600);
    let service = start(waiting);
    send(&service, "acme", 10);
    service.set_alert_rules(Vec::new());
    check(&service);
    let only = a.wait_for(1).remove(0).json();
    assert_eq!(
        (&only["status"], &only["incident"]["reason"]),
        (&json!("resolved"), &json!("rule_removed"))
    );
    drained(&service);
    assert_eq!(kinds(&a), ["fired_and_resolved"]);
}

#[test]
fn a_beginning_that_was_in_flight_at_a_stop_has_its_end_said_at_least_once() {
    let a = Receiver::scripted(|n| if n == 0 { Reply::Hang } else { Reply::Status(200, None) });
    let mut service = start(section(&[("a", &a)], &errors("\"a\"")));
    send(&service, "acme", 10);
    a.wait_for(1);
    service.stop();
    service.config.alerting.rules.clear();
    service.restart_stopped();
    check(&service);
    let said = until("the end arrives", || {
        told(&a).into_iter().find(|incident| !incident["ended_at"].is_null())
    });
    assert_eq!(said["reason"], "rule_removed");
    drained(&service);
    let ends = told(&a).into_iter().filter(|incident| !incident["ended_at"].is_null());
    assert_eq!(ends.count(), 1);
}

#[test]
fn send_resolved_false_holds_whatever_ended_it() {
    let a = Receiver::willing();
    let mut quiet = section(&[("a", &a)], &errors("\"a\""));
    quiet.channels[0].send_resolved = false;
    let service = start(quiet);
    send(&service, "acme", 10);
    a.wait_for(1);
    drained(&service);
    service.set_alert_rules(Vec::new());
    check(&service);
    let incident = incidents(&service).remove(0);
    let rows = settled(&service, &incident, "a");
    assert_eq!(states(&rows), [("firing", "sent"), ("resolved", "superseded")]);
    assert_eq!(kinds(&a), ["firing"]);
}

fn silence(service: &TestService) {
    let new = NewSilence {
        rule_glob: "errors".to_owned(),
        group_match: std::collections::BTreeMap::new(),
        starts_at: service.now(),
        ends_at: service.now().plus_ms(3_600_000),
        comment: "deploy".to_owned(),
    };
    service.create_alert_silence(new, "admin").unwrap();
}

#[test]
fn a_silence_at_the_end_keeps_no_end_back_and_one_at_the_beginning_makes_none_due() {
    let a = Receiver::willing();
    let service = start(section(&[("a", &a)], &errors("\"a\"")));
    send(&service, "loud", 10);
    a.wait_for(1);
    silence(&service);
    send(&service, "silent", 10);
    service.set_alert_rules(Vec::new());
    check(&service);
    a.wait_for(2);
    drained(&service);
    let spaces: Vec<Value> = told(&a).iter().map(|one| one["group"]["space"].clone()).collect();
    assert_eq!(spaces, ["loud", "loud"]);
    assert_eq!(kinds(&a), ["firing", "resolved"]);
    let everything = TimeRange { start: at(START), end: at("2030-01-01T00:00:00Z") };
    let silent = service.store().read(|reader| reader.alert_events(everything, 100)).unwrap();
    assert!(
        silent
            .iter()
            .any(|event| event.group_key.contains("silent") && event.reason == "rule_removed")
    );
}

#[test]
fn what_was_said_of_an_open_incident_outlives_the_history() {
    let a = Receiver::willing();
    let service = start(section(&[("a", &a)], &errors("\"a\"")));
    send(&service, "acme", 10);
    a.wait_for(1);
    drained(&service);
    service.clock.advance_ms(3 * 86_400_000);
    {
        let (_store, mut writer) = Store::open_beside(&service.config.store).unwrap();
        writer.prune_alerts(1, service.now()).unwrap();
    }
    service.set_alert_rules(Vec::new());
    check(&service);
    assert_eq!(a.wait_for(2)[1].json()["incident"]["kind"], "resolved");
    drained(&service);
    service.clock.advance_ms(3 * 86_400_000);
    let (_store, mut writer) = Store::open_beside(&service.config.store).unwrap();
    writer.prune_alerts(1, service.now()).unwrap();
    let incident = incidents(&service);
    assert_eq!(incident, Vec::<String>::new(), "what is over goes with its messages");
}
