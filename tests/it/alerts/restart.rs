//! Restarts in every state, gaps, clock steps and reloads.

use super::stage::{INTERVAL_MS, Stage};

const NOON: &str = "2026-03-10T12:00:00Z";

fn firing() -> Stage {
    let stage = Stage::new(NOON, |_| {});
    stage.send_errors(30, 100);
    assert_eq!(stage.check_times(3).len(), 1);
    stage
}

#[test]
fn firing_survives_a_restart_without_a_second_message() {
    let mut stage = firing();
    for later_ms in [INTERVAL_MS, 20 * 60_000] {
        stage.restart(later_ms);
        stage.send_errors(30, 100);
        assert!(stage.check_times(4).is_empty());
        assert_eq!(stage.state("error-rate"), "firing");
    }
    assert_eq!(stage.messages(), ["firing"]);
    assert_eq!(stage.incidents().len(), 1);
}

#[test]
fn pending_counts_on_over_a_short_gap_and_anew_after_a_long_one() {
    for (later_ms, checks) in [(INTERVAL_MS, 1), (16 * 60_000, 3)] {
        let mut stage = Stage::new(NOON, |_| {});
        stage.send_errors(30, 100);
        stage.check_times(2);
        stage.restart(later_ms);
        stage.send_errors(30, 100);
        assert!(stage.check_times(checks - 1).is_empty(), "{later_ms}");
        assert_eq!(stage.check().len(), 1, "{later_ms}");
    }
}

#[test]
fn recovering_counts_on_over_a_restart() {
    let mut stage = firing();
    stage.clock.advance_ms(300_000);
    for _ in 0..5 {
        stage.send_errors(0, 100);
        stage.check_times(1);
    }
    assert_eq!(stage.state("error-rate"), "recovering");
    stage.restart(INTERVAL_MS);
    for _ in 0..4 {
        stage.send_errors(0, 100);
        stage.check_times(1);
    }
    assert_eq!(stage.state("error-rate"), "recovering");
    stage.send_errors(0, 100);
    stage.check_times(1);
    assert_eq!(stage.incidents()[0].end_reason.unwrap().as_str(), "recovered");
    assert_eq!(stage.messages(), ["firing", "resolved"]);
}

#[test]
fn a_run_of_failures_is_known_after_a_restart() {
    use chatgauge::model::{ErrorType, Outcome};
    let mut stage = Stage::new(NOON, |_| {});
    let fail = |stage: &Stage, count: u64| {
        stage.send(stage.now().plus_ms(-1_000), count, |_, record| {
            record.outcome = Outcome::Error(ErrorType::Server);
        });
    };
    fail(&stage, 3);
    assert!(stage.check_times(1).is_empty());
    stage.restart(30 * 60_000);
    assert!(stage.check_times(1).is_empty());
    fail(&stage, 2);
    assert_eq!(stage.check_times(1).len(), 1);
    stage.restart(INTERVAL_MS);
    stage.send(stage.now().plus_ms(-1_000), 1, |_, _| {});
    stage.check_times(1);
    assert_eq!(stage.messages(), ["firing", "resolved"]);
}

#[test]
fn reloading_the_same_rules_is_no_event() {
    let stage = firing();
    let before = stage.history();
    let rules = stage.gauge().config().alerting.rules.clone();
    for _ in 0..5 {
        stage.gauge().set_alert_rules(rules.clone());
        stage.send_errors(30, 100);
        stage.check_times(1);
    }
    assert_eq!(stage.history(), before);
    assert_eq!(stage.messages(), ["firing"]);
}

#[test]
fn another_threshold_keeps_the_incident_and_another_window_closes_it_without_a_word() {
    let stage = firing();
    let mut rules = stage.gauge().config().alerting.rules.clone();
    rules[0].condition.threshold = 0.2;
    stage.gauge().set_alert_rules(rules.clone());
    stage.check_times(1);
    assert_eq!(stage.state("error-rate"), "firing");
    rules[0].condition.window =
        chatgauge::model::alert::EvaluationWindow::Rolling(std::time::Duration::from_secs(600));
    stage.gauge().set_alert_rules(rules);
    stage.check_times(1);
    assert_eq!(stage.incidents()[0].end_reason.unwrap().as_str(), "rule_changed");
    assert_eq!(stage.messages(), ["firing"]);
}

#[test]
fn a_rule_that_is_gone_closes_its_incident_without_a_word() {
    let mut stage = firing();
    stage.restart_with(|config| config.alerting.rules.retain(|rule| rule.id != "error-rate"));
    stage.check_times(1);
    assert_eq!(stage.incidents()[0].end_reason.unwrap().as_str(), "rule_removed");
    assert_eq!(stage.messages(), ["firing"]);
    assert_eq!(stage.sql("select rule_id from alert_instances"), Vec::<String>::new());
}

#[test]
fn a_clock_that_steps_back_moves_nothing_twice() {
    let stage = firing();
    stage.clock.advance_ms(-120_000);
    for _ in 0..4 {
        stage.send_errors(30, 100);
        assert!(stage.check_times(1).is_empty());
    }
    assert_eq!(stage.incidents().len(), 1);
    assert_eq!(stage.messages(), ["firing"]);
}

#[test]
fn only_what_is_not_plainly_ok_is_stored() {
    let stage = Stage::new(NOON, |_| {});
    stage.send_errors(0, 100);
    stage.check_times(5);
    assert_eq!(stage.sql("select rule_id from alert_instances"), Vec::<String>::new());
    stage.clock.advance_ms(600_000);
    stage.send_errors(30, 100);
    stage.check_times(1);
    assert_eq!(stage.sql("select state from alert_instances"), ["pending"]);
}
