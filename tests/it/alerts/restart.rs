//! Restarts in every state, gaps, clock steps and reloads.

use std::collections::BTreeMap;

use chatgauge::model::alert::NewSilence;
use chatgauge::model::{ErrorType, Name, Outcome, RequestRecord};

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

fn fail(stage: &Stage, start_ms: i64, count: u64) {
    stage.send(stage.now().plus_ms(start_ms), count, |_, record| {
        record.outcome = Outcome::Error(ErrorType::Server);
    });
}

#[test]
fn late_errors_are_no_run_after_a_restart_or_a_reload() {
    // With other traffic and without.
    for others in [1, 0] {
        let mut stage = Stage::new(NOON, |_| {});
        stage.send(stage.now().plus_ms(-1_000), others, |_, record| {
            record.model = Some(Name::from("other"));
        });
        fail(&stage, -1_800_000, 10);
        assert!(stage.check_times(1).is_empty());
        stage.gauge().set_alert_rules(stage.gauge().config().alerting.rules.clone());
        assert!(stage.check_times(1).is_empty(), "reload");
        stage.restart(INTERVAL_MS);
        assert!(stage.check_times(1).is_empty(), "restart");
    }
}

#[test]
fn late_errors_among_others_do_not_count_in_what_is_read_back() {
    let mut stage = Stage::new(NOON, |_| {});
    stage.send(stage.now().plus_ms(-1_000), 1, |_, record| {
        record.model = Some(Name::from("other"));
    });
    fail(&stage, -1_800_000, 10);
    stage.check_times(1);
    stage.restart(INTERVAL_MS);
    fail(&stage, -1_000, 4);
    assert!(stage.check_times(1).is_empty());
    fail(&stage, -1_000, 1);
    assert_eq!(stage.check_times(1)[0].value, Some(5.0));
}

#[test]
fn the_same_rules_again_keep_the_runs() {
    let stage = Stage::new(NOON, |_| {});
    fail(&stage, -1_000, 3);
    stage.check_times(1);
    // Nothing is left to read back.
    rusqlite::Connection::open(&stage.gauge().config().store.path)
        .unwrap()
        .execute("update requests set outcome = 0", [])
        .unwrap();
    stage.gauge().set_alert_rules(stage.gauge().config().alerting.rules.clone());
    fail(&stage, -1_000, 2);
    assert_eq!(stage.check_times(1)[0].value, Some(5.0));
}

#[test]
fn what_started_before_a_success_that_was_seen_says_nothing() {
    let stage = Stage::new(NOON, |_| {});
    stage.send(stage.now().plus_ms(-10_000), 1, |_, _| {});
    // Remembered over evaluations.
    stage.check_times(2);
    fail(&stage, -300_000, 10);
    assert!(stage.check_times(1).is_empty());
    fail(&stage, -1_000, 4);
    // A success from before does not end the run.
    stage.send(stage.now().plus_ms(-300_000), 1, |_, _| {});
    fail(&stage, -1_000, 1);
    assert_eq!(stage.check_times(1)[0].value, Some(5.0));
}

#[test]
fn a_provider_has_one_run_over_all_its_models() {
    let rules = "[alerting]\ndefault_rules = false\n[[alerting.rule]]\nid = \"run\"\n\
        metric = \"consecutive_failures\"\nthreshold = 4\nby = [\"provider\"]\n";
    let by_turns = |number: u64, record: &mut RequestRecord| {
        record.outcome = Outcome::Error(ErrorType::Server);
        record.model = Some(Name::from(["gpt", "gpt-mini"][usize::from(number % 2 == 1)]));
    };
    let stage = Stage::with_rules(NOON, rules);
    stage.send(stage.now().plus_ms(-2_000), 4, by_turns);
    let fired = stage.check_times(1);
    assert_eq!((fired.len(), fired[0].value), (1, Some(4.0)));
    // A success of either model ends it.
    stage.send(stage.now().plus_ms(-1_000), 1, |_, _| {});
    stage.check_times(1);
    assert_eq!(stage.messages(), ["firing", "resolved"]);

    let mixed = Stage::with_rules(NOON, rules);
    mixed.send(mixed.now().plus_ms(-2_000), 8, |number, record| {
        by_turns(0, record);
        if number % 4 == 3 {
            record.outcome = Outcome::Success;
            record.model = Some(Name::from("gpt-mini"));
        }
    });
    assert!(mixed.check_times(1).is_empty(), "six failures of one model, three in a row at most");
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
fn another_threshold_keeps_the_incident_and_another_window_ends_it() {
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
    assert_eq!(stage.messages(), ["firing", "resolved"]);
}

#[test]
fn a_rule_that_is_gone_ends_its_incident() {
    let mut stage = firing();
    stage.restart_with(|config| config.alerting.rules.retain(|rule| rule.id != "error-rate"));
    stage.check_times(1);
    assert_eq!(stage.incidents()[0].end_reason.unwrap().as_str(), "rule_removed");
    assert_eq!(stage.messages(), ["firing", "resolved"]);
    assert_eq!(stage.sql("select rule_id from _alert_instances"), Vec::<String>::new());
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
fn after_a_clock_step_messages_and_silences_go_by_the_clock() {
    let stage = firing();
    stage.clock.advance_ms(-3_600_000);
    for _ in 0..10 {
        stage.send_errors(0, 200);
        stage.check_times(1);
    }
    assert_eq!(stage.incidents()[0].end_reason.unwrap().as_str(), "recovered");
    let waiting = "select cast(not_before_ms as text) from _alert_outbox where kind = 'resolved'";
    let not_before_ms: i64 = stage.sql(waiting)[0].parse().unwrap();
    assert!(not_before_ms <= stage.now().as_unix_ms(), "delivered before the clock catches up");

    // Over before the clock has caught up, yet not over now.
    let silence = NewSilence {
        rule_glob: "*".to_owned(),
        group_match: BTreeMap::new(),
        starts_at: stage.now(),
        ends_at: stage.now().plus_ms(600_000),
        comment: "deploy".to_owned(),
    };
    stage.gauge().create_alert_silence(silence, "admin").unwrap();
    for _ in 0..4 {
        stage.send_errors(200, 200);
        stage.check_times(1);
    }
    assert_eq!(stage.state("error-rate"), "firing");
    assert_eq!(stage.messages().iter().filter(|kind| *kind == "firing").count(), 1);
}

#[test]
fn only_what_is_not_plainly_ok_is_stored() {
    let stage = Stage::new(NOON, |_| {});
    stage.send_errors(0, 100);
    stage.check_times(5);
    assert_eq!(stage.sql("select rule_id from _alert_instances"), Vec::<String>::new());
    stage.clock.advance_ms(600_000);
    stage.send_errors(30, 100);
    stage.check_times(1);
    assert_eq!(stage.sql("select state from _alert_instances"), ["pending"]);
}
