//! Very many groups at once: nothing is lost between the steps in which they are written.

use chatgauge::model::{ErrorType, Name, Outcome};

use super::stage::{INTERVAL_MS, Stage};

const NOON: &str = "2026-03-10T12:00:00Z";
/// More than are written in one transaction, several times.
const USERS: u64 = 1_000;
const RULES: &str = "[alerting]\ndefault_rules = false\nmax_groups = 2000\n\
    [[alerting.rule]]\nid = \"by-user\"\nmetric = \"error_rate\"\nthreshold = 0.5\n\
    by = [\"user\"]\nmin_samples = 1\nmin_events = 1\nconfidence = 0\nconsecutive = 2\n\
    clear_consecutive = 1\n";

fn send(stage: &Stage, fails: bool) {
    stage.send(stage.now().plus_ms(-20_000), USERS, |number, record| {
        record.user = Some(Name::from(format!("u{number:05}")));
        if fails {
            record.outcome = Outcome::Error(ErrorType::Server);
        }
    });
}

fn counts(stage: &Stage) -> Vec<String> {
    stage.sql(
        "select count(*) || ' ' || sum(state = 'firing') || ' ' ||
             (select count(*) from alert_incidents where ended_at_ms is null) || ' ' ||
             (select count(*) from alert_events where to_state = 'firing') || ' ' ||
             (select count(distinct incident_id) from _alert_outbox where kind = 'firing')
         from _alert_instances",
    )
}

#[test]
fn a_thousand_groups_begin_stay_and_end_with_all_that_belongs_to_them() {
    let mut stage = Stage::with_rules(NOON, RULES);
    send(&stage, true);
    assert!(stage.check_times(1).is_empty());
    assert_eq!(stage.check_times(1).len(), 1_000);
    assert_eq!(counts(&stage), ["1000 1000 1000 1000 1000"]);

    // What stays as it is is not written again, and known after a restart all the same.
    let written = "select cast(count(*) as text) from _alert_instances group by evaluated_at_ms";
    let before = stage.sql("select cast(max(evaluated_at_ms) as text) from _alert_instances");
    assert!(stage.check_times(3).is_empty());
    assert_eq!(stage.sql(written), ["1000"]);
    assert_eq!(
        stage.sql("select cast(max(evaluated_at_ms) as text) from _alert_instances"),
        before
    );
    stage.restart(INTERVAL_MS);
    assert!(stage.check_times(1).is_empty());
    assert_eq!(counts(&stage), ["1000 1000 1000 1000 1000"]);

    stage.clock.advance_ms(600_000);
    send(&stage, false);
    stage.check_times(1);
    let ended = stage.sql(
        "select count(*) || ' ' || (select count(distinct incident_id) from _alert_outbox
             where kind = 'resolved') from alert_incidents where end_reason = 'recovered'",
    );
    assert_eq!(ended, ["1000 1000"]);
}

#[test]
fn time_without_data_counts_over_a_restart_though_nothing_was_written_meanwhile() {
    let mut stage = Stage::with_rules(NOON, RULES);
    stage.send(stage.now().plus_ms(-20_000), 5, |_, record| {
        record.user = Some(Name::from("alone"));
        record.outcome = Outcome::Error(ErrorType::Server);
    });
    assert_eq!(stage.check_times(2).len(), 1);
    // Half an hour after the window is empty it is over.
    let ends_after = |stage: &Stage| {
        (1..200).find(|_| {
            stage.check_times(1);
            stage.incidents()[0].ended_at.is_some()
        })
    };
    stage.check_times(40);
    stage.restart(0);
    let rest = ends_after(&stage);
    assert_eq!(stage.incidents()[0].end_reason.unwrap().as_str(), "no_traffic");
    let straight = Stage::with_rules(NOON, RULES);
    straight.send(straight.now().plus_ms(-20_000), 5, |_, record| {
        record.user = Some(Name::from("alone"));
        record.outcome = Outcome::Error(ErrorType::Server);
    });
    straight.check_times(42);
    assert_eq!(ends_after(&straight), rest);
}
