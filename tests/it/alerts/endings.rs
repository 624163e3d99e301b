//! Whatever happens to rules, channels and silences: who was told of an incident is told of its end, and nobody else.

#![expect(clippy::unwrap_used, reason = "a test helper fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chatgauge::model::alert::{EvaluationWindow, NewSilence, Rule};
use chatgauge::model::{ErrorType, Name, Outcome};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::Value;

use super::stage::{INTERVAL_MS, Stage};

const NOON: &str = "2026-03-10T12:00:00Z";
const CHANNELS: [&str; 3] = ["one", "two", "three"];
const STEPS: usize = 60;

/// Three channels whose receivers nobody runs, a rule by space and one over everything.
fn stage() -> Stage {
    let mut toml = "[alerting]\ndefault_rules = false\neval_delay = \"0s\"\n".to_owned();
    for name in CHANNELS {
        toml += &format!(
            "[alerting.channels.{name}]\ntype = \"webhook\"\nurl = \"http://127.0.0.1:9/\"\n"
        );
    }
    for (id, by) in [("space", "by = [\"space\"]\n"), ("all", "")] {
        toml += &format!(
            "[[alerting.rule]]\nid = \"{id}\"\nmetric = \"error_rate\"\nthreshold = 0.3\nconsecutive = 1\n\
             clear_consecutive = 1\nconfidence = 0\n{by}channels = [\"one\"]\n"
        );
    }
    Stage::with_rules(NOON, &toml)
}

/// Requests of a space, all of which fail or none.
fn send(stage: &Stage, space: usize, fails: bool) {
    stage.send(stage.now().plus_ms(-2_000), 20, |_, record| {
        record.space = Some(Name::from(format!("s{space}")));
        if fails {
            record.outcome = Outcome::Error(ErrorType::Server);
        }
    });
}

/// Edits a rule in one of the ways that people do.
fn edit(rng: &mut StdRng, rule: &mut Rule, step: usize) {
    match rng.random_range(0..6) {
        0 | 1 => {
            let named = CHANNELS.iter().filter(|_| rng.random_range(0..2) == 0);
            rule.channels = named.map(|name| (*name).to_owned()).collect();
        }
        2 => {
            let minutes = rng.random_range(4..8);
            rule.condition.window = EvaluationWindow::Rolling(Duration::from_secs(60 * minutes));
        }
        3 => rule.inactive = rule.inactive.is_none().then(|| "disabled".to_owned()),
        4 => {
            rule.name = format!("name {step}");
            rule.severity = ["warning", "critical"][step % 2].to_owned();
            rule.labels = BTreeMap::from([("edit".to_owned(), step.to_string())]);
        }
        _ => rule.repeat_interval = Duration::from_secs(rng.random_range(0..3) * 60),
    }
}

fn silence(stage: &Stage, rule_glob: &str) {
    let new = NewSilence {
        rule_glob: rule_glob.to_owned(),
        group_match: BTreeMap::new(),
        starts_at: stage.now(),
        ends_at: stage.now().plus_ms(5 * INTERVAL_MS),
        comment: "deploy".to_owned(),
    };
    stage.gauge().create_alert_silence(new, "admin").unwrap();
}

/// What an incident looks like to a receiver.
fn identity(payload: &Value) -> String {
    let fields = ["rule_id", "rule_name", "group", "severity", "labels", "fired_at", "metric"];
    fields.map(|field| payload[field].to_string()).join(" ")
}

/// Every message, as incident, channel, kind and payload, oldest first.
fn messages(stage: &Stage) -> Vec<(String, String, String, Value)> {
    let rows = stage.sql(
        "select json_array(incident_id, channel, kind, json(payload)) from _alert_outbox
         order by created_at_ms, kind in ('resolved', 'fired_and_resolved')",
    );
    let read =
        |row: &String| -> (String, String, String, Value) { serde_json::from_str(row).unwrap() };
    rows.iter().map(read).collect()
}

fn run(seed: u64) -> usize {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut stage = stage();
    let configured = stage.gauge().config().alerting.rules.clone();
    let mut rules = configured.clone();
    for step in 0..STEPS {
        for space in 0..3 {
            if rng.random_range(0..3) > 0 {
                send(&stage, space, rng.random_range(0..2) == 0);
            }
        }
        match rng.random_range(0..8) {
            0 | 1 => {
                let place = rng.random_range(0..rules.len().max(1));
                if let Some(rule) = rules.get_mut(place) {
                    edit(&mut rng, rule, step);
                }
                stage.gauge().set_alert_rules(rules.clone());
            }
            2 => {
                rules = if rules.len() < 2 { configured.clone() } else { vec![rules.remove(0)] };
                stage.gauge().set_alert_rules(rules.clone());
            }
            3 if !rules.is_empty() => silence(&stage, &rules[0].id.clone()),
            4 => {
                let open =
                    stage.incidents().into_iter().find(|incident| incident.ended_at.is_none());
                if let Some(open) = open {
                    stage.gauge().monitor().close(&open.incident_id, "admin", None).unwrap();
                }
            }
            5 => {
                let kept = rules.clone();
                stage.restart_with(|config| config.alerting.rules = kept);
            }
            _ => {}
        }
        stage.check_times(1);
        if rng.random_range(0..10) == 0 {
            // The windows are empty again.
            stage.clock.advance_ms(600_000);
        }
    }
    stage.gauge().set_alert_rules(Vec::new());
    stage.check_times(1);
    verify(&stage, seed)
}

/// Checks every incident and every channel; how many ends were told.
fn verify(stage: &Stage, seed: u64) -> usize {
    let mut first: BTreeMap<(String, String), String> = BTreeMap::new();
    let mut ended: BTreeSet<(String, String)> = BTreeSet::new();
    for (incident, channel, kind, payload) in messages(stage) {
        let key = (incident, channel);
        let is_end = ["resolved", "fired_and_resolved"].contains(&&*kind);
        assert!(!ended.contains(&key), "{seed}: {key:?}: {kind} after its end");
        match first.get(&key) {
            Some(known) => assert_eq!(*known, identity(&payload), "{seed}: {key:?} {kind}"),
            None => {
                assert!(
                    ["firing", "flapping"].contains(&&*kind),
                    "{seed}: {key:?} begins with {kind}"
                );
                first.insert(key.clone(), identity(&payload));
            }
        }
        if is_end {
            ended.insert(key);
        }
    }
    assert!(stage.incidents().iter().all(|incident| incident.ended_at.is_some()), "{seed}");
    let begun: BTreeSet<_> = first.into_keys().collect();
    assert_eq!(begun, ended, "{seed}");
    ended.len()
}

#[test]
fn who_was_told_of_an_incident_is_told_of_its_end_and_nobody_else() {
    let told: usize = (0..12).map(run).sum();
    assert!(told > 300, "{told} ends are not many");
}
