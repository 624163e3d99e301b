//! What is said of rules: values and thresholds in one unit, and what is left out.

#![expect(clippy::unwrap_used, reason = "a test helper fails by panicking")]

use chatgauge::model::alert::{AlertGroup, RuleState};
use chatgauge::model::{Dimension, ErrorType, Name, Outcome};

use super::stage::{INTERVAL_MS, Stage};

const NOON: &str = "2026-03-10T12:00:00Z";

#[test]
fn a_budget_is_explained_in_tokens_and_to_the_last_one() {
    // 2^53 - 1 and odd numbers of this size are lost in fewer bits.
    let stage = Stage::with_rules(
        NOON,
        "[alerting]\ndefault_rules = false\n\
         [[alerting.rule]]\nid = \"spend\"\nmetric = \"tokens\"\nperiod = \"day\"\nby = [\"space\"]\nlimit = 9_007_199_254_740_991\nthreshold = 1\n\
         [alerting.rule.limits]\n\"space:small\" = 1_000_001\n",
    );
    stage.send(stage.now().plus_ms(-60_000), 2, |number, record| {
        record.space = Some(Name::from(if number == 0 { "small" } else { "large" }));
        record.prompt_tokens = Some(900_001);
    });
    stage.check_times(2);
    let explain = |space: &str| {
        let group = AlertGroup::new(&[Dimension::Space], &[space.to_owned()]);
        stage.gauge().explain_alert("spend", &group).unwrap().unwrap()
    };
    let last = |space: &str| explain(space).evaluations.last().unwrap().judgement;
    assert_eq!((last("small").value, last("small").threshold), (Some(900_001.0), 1_000_001.0));
    assert_eq!(last("large").threshold, 9_007_199_254_740_991.0);
    let explained = explain("small");
    assert_eq!(explained.rule.clear_threshold_of(&explained.group), 800_000.8);
}

#[test]
fn a_rule_that_is_ok_shows_what_it_saw_last() {
    let stage = Stage::new(NOON, |_| {});
    let seen = |id: &str| {
        let rules = stage.gauge().monitor().rules().unwrap();
        let status = rules.into_iter().find(|status| status.rule.id == id).unwrap();
        (status.state, status.value, status.samples, status.value_at)
    };
    let nothing = |state| (state, None, 0, None);
    assert_eq!(seen("error-rate"), nothing(RuleState::Ok));
    stage.check();
    assert_eq!(seen("error-rate"), nothing(RuleState::NoData));
    stage.send_errors(5, 100);
    stage.clock.advance_ms(30_000);
    stage.check();
    let at = Some(stage.now());
    assert_eq!(seen("error-rate"), (RuleState::Ok, Some(0.05), 100, at));
    assert_eq!(seen("outage-run"), (RuleState::Ok, Some(0.0), 0, at));
    // The window is empty again; the run of the latest request still stands.
    stage.clock.advance_ms(600_000);
    stage.check();
    assert_eq!(seen("error-rate"), nothing(RuleState::NoData));
    assert_eq!(seen("outage-run"), (RuleState::Ok, Some(0.0), 0, at));
}

#[test]
fn more_groups_than_are_watched_are_told() {
    let rules = "[alerting]\ndefault_rules = false\nmax_groups = 3\n\
        [[alerting.rule]]\nid = \"wide\"\nmetric = \"error_rate\"\nthreshold = 0.5\nby = [\"space\"]\n\
        [[alerting.rule]]\nid = \"runs\"\nmetric = \"consecutive_failures\"\nthreshold = 50\nby = [\"space\"]\n\
        [[alerting.rule]]\nid = \"all\"\nmetric = \"error_rate\"\nthreshold = 0.9\n";
    let stage = Stage::with_rules(NOON, rules);
    let send = |spaces: u64| {
        stage.send(stage.now().plus_ms(-20_000), 40, |number, record| {
            record.space = Some(Name::from(format!("s{}", number % spaces)));
            record.outcome = Outcome::Error(ErrorType::Server);
        });
        stage.check_times(1);
        let rules = stage.gauge().monitor().rules().unwrap();
        rules
            .iter()
            .filter(|status| status.is_truncated)
            .map(|status| status.rule.id.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(send(3), Vec::<String>::new());
    assert_eq!(send(4), ["wide", "runs"]);
    assert_eq!(send(4), ["wide", "runs"]);
    assert_eq!(stage.gauge().alert_health().truncated, ["wide", "runs"]);
    let told = stage.sql(
        "select rule_id || ' ' || note from alert_events where reason = 'too_many_groups' order by 1",
    );
    assert_eq!(told.len(), 2, "once an hour: {told:?}");
    assert_eq!(
        told[1],
        "wide more than 3 groups (alerting.max_groups); only the largest are evaluated"
    );
}

/// What the evaluations of a rule and space say.
fn decisions(stage: &Stage, rule_id: &str, model: Option<&str>) -> Vec<String> {
    let names = model.map(|model| ("model".to_owned(), model.to_owned())).into_iter().collect();
    let group = AlertGroup { names, period: None };
    let explained = stage.gauge().explain_alert(rule_id, &group).unwrap().unwrap();
    let verdicts = explained.evaluations.iter().map(|evaluation| evaluation.judgement.verdict);
    verdicts.map(|verdict| format!("{verdict:?}")).collect()
}

#[test]
fn what_somebody_closes_is_told_and_recorded_in_the_unit_of_its_value() {
    let stage = Stage::with_rules(NOON, "[alerting]\ndaily_token_budget = 1_000_000\n");
    stage.send(stage.now().plus_ms(-60_000), 1, |_, record| {
        record.prompt_tokens = Some(1_300_000);
    });
    let fired = stage.check_times(2);
    stage.gauge().monitor().close(&fired[0].incident_id, "key:3", None).unwrap();
    let told = stage.sql(
        "select json_extract(payload, '$.threshold') || ' ' || json_extract(payload, '$.summary')
         from _alert_outbox where kind = 'resolved'",
    );
    assert_eq!(told, ["1200000.0 1,300,000 tokens today, budget 1,000,000, limit 1,200,000"]);
    let recorded =
        stage.sql("select cast(threshold as text) from alert_events where reason = 'manual'");
    assert_eq!(recorded, ["1200000.0"]);
    assert_eq!(
        decisions(&stage, "daily-tokens", None),
        ["Violation", "Violation", "Closed(Manual)"]
    );
}

#[test]
fn a_run_that_nobody_goes_on_with_is_explained_as_without_traffic() {
    let stage = Stage::new(NOON, |_| {});
    stage.send_errors(5, 5);
    assert_eq!(stage.check_times(1).len(), 1);
    stage.clock.advance_ms(3_600_000);
    stage.check_times(1);
    assert_eq!(decisions(&stage, "outage-run", Some("gpt")), ["Violation", "Closed(NoTraffic)"]);
}

#[test]
fn a_rule_that_watches_something_else_is_not_explained_with_what_it_saw_before() {
    let stage = Stage::new(NOON, |_| {});
    stage.send_errors(12, 100);
    stage.check_times(3);
    assert_eq!(decisions(&stage, "error-rate", None).len(), 3);
    let mut rules = stage.gauge().config().alerting.rules.clone();
    rules[0].condition.threshold = 0.11;
    stage.gauge().set_alert_rules(rules.clone());
    assert_eq!(decisions(&stage, "error-rate", None).len(), 3, "it is the same rule");
    rules[0].metric = chatgauge::model::alert::AlertMetric::ErrorCount;
    stage.gauge().set_alert_rules(rules);
    assert_eq!(decisions(&stage, "error-rate", None), Vec::<String>::new());
    stage.clock.advance_ms(INTERVAL_MS);
    stage.check_times(1);
    let held = stage.sql(
        "select reason || ' ' || (threshold is null) from alert_events where reason = 'rule_changed'",
    );
    assert_eq!(held, ["rule_changed 1"], "it ended without being held against anything");
}
