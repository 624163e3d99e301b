//! Runs of failures: how they end, by whom they are closed, and that a restart changes nothing.

use chatgauge::alert::AckOutcome;
use chatgauge::model::{ErrorType, Name, Outcome};

use super::stage::{INTERVAL_MS, Stage};

const NOON: &str = "2026-03-10T12:00:00Z";
const MINUTE_MS: i64 = 60_000;

fn fail(stage: &Stage, count: u64) {
    stage.send(stage.now().plus_ms(-1_000), count, |_, record| {
        record.outcome = Outcome::Error(ErrorType::Server);
    });
}

fn firing() -> Stage {
    let stage = Stage::new(NOON, |_| {});
    fail(&stage, 5);
    assert_eq!(stage.check_times(1).len(), 1);
    stage
}

fn reasons(stage: &Stage) -> Vec<Option<&'static str>> {
    let incidents = stage.incidents();
    incidents.iter().map(|incident| incident.end_reason.map(|reason| reason.as_str())).collect()
}

#[test]
fn without_a_request_for_half_an_hour_a_run_ends_and_only_another_failure_goes_on() {
    let mut stage = firing();
    stage.clock.advance_ms(29 * MINUTE_MS);
    assert!(stage.check_times(1).is_empty());
    assert_eq!(reasons(&stage), [None]);
    stage.clock.advance_ms(MINUTE_MS);
    stage.check_times(1);
    assert_eq!(reasons(&stage), [Some("no_traffic")]);
    assert_eq!(stage.messages(), ["firing", "resolved"]);
    assert!(stage.check_times(3).is_empty());
    stage.restart(INTERVAL_MS);
    assert!(stage.check_times(3).is_empty());
    fail(&stage, 1);
    let again = stage.check_times(1);
    assert_eq!((again.len(), again[0].value), (1, Some(6.0)));
}

#[test]
fn a_request_that_says_nothing_is_traffic_all_the_same() {
    let stage = firing();
    for _ in 0..4 {
        stage.clock.advance_ms(20 * MINUTE_MS);
        stage.send(stage.now().plus_ms(-1_000), 1, |_, record| {
            record.outcome = Outcome::Cancelled;
        });
        stage.check_times(1);
    }
    assert_eq!(reasons(&stage), [None]);
}

#[test]
fn what_no_data_says_holds_for_runs() {
    for (no_data, expected) in [("ok", Some("recovered")), ("fire", None)] {
        let rules = format!(
            "[alerting]\ndefault_rules = false\n[[alerting.rule]]\nid = \"run\"\n\
             metric = \"consecutive_failures\"\nthreshold = 5\nby = [\"model\"]\n\
             no_data = \"{no_data}\"\nno_data_resolve_after = \"10m\"\n"
        );
        let stage = Stage::with_rules(NOON, &rules);
        fail(&stage, 6);
        assert_eq!(stage.check_times(1).len(), 1);
        stage.clock.advance_ms(10 * MINUTE_MS);
        stage.check_times(1);
        assert_eq!(reasons(&stage), [expected], "{no_data}");
    }
}

#[test]
fn a_run_that_somebody_closed_begins_again_with_a_further_failure_only() {
    for restarted in [false, true] {
        let mut stage = firing();
        let id = stage.incidents()[0].incident_id.clone();
        // Seen by nobody before it is closed.
        fail(&stage, 1);
        let closed = stage.gauge().monitor().close(&id, "key:3", Some("known")).unwrap();
        let AckOutcome::Done(incident) = closed else { panic!("{closed:?}") };
        assert_eq!(incident.end_reason.unwrap().as_str(), "manual");
        assert_eq!(stage.messages(), ["firing", "resolved"]);
        let told = stage.sql(
            "select json_extract(payload, '$.reason') || ' ' || json_extract(payload, '$.closed_by')
                 || ' ' || json_extract(payload, '$.comment')
             from _alert_outbox where kind = 'resolved' and channel = 'log'",
        );
        assert_eq!(told, ["manual key:3 known"]);
        let history =
            stage.sql("select actor || ' ' || note from alert_events where reason = 'manual'");
        assert_eq!(history, ["key:3 known"]);
        let audit = stage.sql("select actor || ' ' || detail from audit_log where target = 'outage-run' order by at_ms desc limit 1");
        assert_eq!(audit, ["key:3 ended: manual"]);
        if restarted {
            stage.restart(INTERVAL_MS);
        }
        assert!(stage.check_times(3).is_empty(), "restarted: {restarted}");
        let over = stage.gauge().monitor().close(&id, "key:3", None).unwrap();
        assert!(matches!(over, AckOutcome::Over(_)), "{over:?}");
        fail(&stage, 1);
        let again = stage.check_times(1);
        assert_eq!((again.len(), again[0].value), (1, Some(7.0)), "restarted: {restarted}");
    }
}

#[test]
fn a_run_survives_a_restart_however_many_other_requests_came_since() {
    let mut stage = Stage::new(NOON, |_| {});
    fail(&stage, 4);
    stage.check_times(1);
    for _ in 0..11 {
        stage.send(stage.now().plus_ms(-1_000), 2_000, |_, record| {
            record.model = Some(Name::from("other"));
        });
        stage.check_times(1);
    }
    stage.restart(INTERVAL_MS);
    assert!(stage.check_times(1).is_empty());
    fail(&stage, 1);
    let fired = stage.check_times(1);
    assert_eq!((fired.len(), fired[0].value), (1, Some(5.0)));
}

#[test]
fn what_nobody_looked_at_before_a_restart_counts_however_much_it_is() {
    let mut stage = Stage::new(NOON, |_| {});
    fail(&stage, 1);
    stage.check_times(1);
    fail(&stage, 4);
    for _ in 0..11 {
        stage.send(stage.now().plus_ms(-1_000), 2_000, |_, record| {
            record.model = Some(Name::from("other"));
        });
    }
    // Longer than a late request may be.
    stage.restart(20 * MINUTE_MS);
    let fired = stage.check_times(1);
    assert_eq!((fired.len(), fired[0].value), (1, Some(5.0)));
}

/// Requests of three models, some failing, some late, in many batches.
fn play(seed: u64, restarts: bool) -> (Vec<String>, Vec<String>) {
    let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    let mut stage = Stage::new(NOON, |_| {});
    for _ in 0..50 {
        let (model, fails, count) = (next(3), next(10) < 6, next(4));
        let late_ms = if next(4) == 0 { next(1_200_000).cast_signed() } else { 1_000 };
        stage.send(stage.now().plus_ms(-late_ms), count, |_, record| {
            record.model = Some(Name::from(format!("m{model}")));
            if fails {
                record.outcome = Outcome::Error(ErrorType::Timeout);
            }
        });
        stage.check_times(1);
        let is_restart = next(4) == 0;
        if restarts && is_restart {
            stage.restart(0);
        }
    }
    let runs = stage.sql(
        "select first_id || ': ' || failures || ' ' || succeeded_ms || ' ' || last_ms || is_new || is_closed
         from _alert_runs order by first_id",
    );
    let told = "select rule_id || ' ' || to_state || ' ' || reason || ' ' || at_ms || ' ' || value
                from alert_events order by event_id";
    (stage.sql(told), runs)
}

#[test]
fn with_restarts_and_without_runs_tell_the_same_story() {
    let mut moves = 0;
    for seed in 1..=6 {
        let straight = play(seed, false);
        assert_eq!(play(seed, true), straight, "seed {seed}");
        moves += straight.0.iter().filter(|line| line.starts_with("outage-run")).count();
    }
    assert!(moves > 10, "{moves}");
}

#[test]
fn a_run_is_told_without_a_window() {
    let rules = "[alerting]\ndefault_rules = false\n\
        [[alerting.rule]]\nid = \"run\"\nmetric = \"consecutive_failures\"\nthreshold = 3\n";
    let stage = Stage::with_rules(NOON, rules);
    fail(&stage, 4);
    assert_eq!(stage.check_times(1)[0].message, "run: 4 errors in a row, limit 3");
}
