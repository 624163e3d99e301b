//! A clock that jumps: evaluations go on, stamps are sane or marked, nothing waits for tomorrow.

use std::sync::Arc;
use std::time::Duration;

use chatgauge::Chatgauge;
use chatgauge::model::{ErrorType, ManualClock, Outcome};

use super::stage::{Stage, at};
use crate::harness::store::quiet_config;

const NOON: &str = "2026-03-10T12:00:00Z";
const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 86_400_000;

/// Waits, in real time, until the service has evaluated `more` times by itself.
fn await_evaluations(gauge: &Chatgauge, more: u64) {
    let wanted = gauge.monitor().counts().evaluations_total + more;
    while gauge.monitor().counts().evaluations_total < wanted {
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_jump_of_a_day_and_back_moves_no_evaluation() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = quiet_config(&directory.path().join("chat.db"));
    config.alerting.interval = Duration::from_millis(50);
    let clock = Arc::new(ManualClock::new(at(NOON)));
    let gauge = Chatgauge::open_with_clock(config, clock.clone()).unwrap();
    await_evaluations(&gauge, 1);
    clock.jump_ms(DAY_MS);
    await_evaluations(&gauge, 2);
    clock.advance_ms(MINUTE_MS);
    await_evaluations(&gauge, 2);
    let evaluated_at = gauge.monitor().counts().evaluated_at.unwrap();
    assert!(evaluated_at < at(NOON).plus_ms(2 * MINUTE_MS), "{evaluated_at}");
    let late = |gauge: &Chatgauge| gauge.alert_health().problems.join(" ").contains("ago");
    assert!(!late(&gauge), "a jump makes no evaluation late");
    clock.jump_ms(-DAY_MS);
    await_evaluations(&gauge, 2);
    let evaluated_at = gauge.monitor().counts().evaluated_at.unwrap();
    assert!(evaluated_at < at(NOON).plus_ms(2 * MINUTE_MS), "{evaluated_at}");
    // A clock that stays ahead is followed after five minutes.
    clock.jump_ms(DAY_MS);
    for _ in 0..8 {
        clock.advance_ms(MINUTE_MS);
        await_evaluations(&gauge, 2);
    }
    assert!(gauge.monitor().counts().evaluated_at.unwrap() >= at(NOON).plus_ms(DAY_MS));
    gauge.shutdown().unwrap();
}

/// What fires while the clock is a day ahead, and the moment after it was set back.
fn fired_a_day_ahead() -> Stage {
    let stage = Stage::new(NOON, |_| {});
    stage.clock.jump_ms(DAY_MS);
    stage.send_errors(30, 100);
    assert_eq!(stage.check_times(3).len(), 1);
    stage.clock.jump_ms(-DAY_MS);
    stage
}

#[test]
fn an_incident_that_fired_a_day_ahead_is_brought_back_with_a_mark_and_ends_as_any_other() {
    let stage = fired_a_day_ahead();
    stage.send_errors(30, 100);
    assert!(stage.check_times(1).is_empty(), "it is open already");
    let now = stage.now();
    assert!(stage.incidents()[0].fired_at <= now);
    let marks = "select count(*) || ' ' || count(incident_id) from alert_events
                 where reason = 'clock_set_back'";
    assert_eq!(stage.sql(marks), ["2 1"]);
    let noted = "select note from alert_events where to_state = 'firing'";
    assert!(stage.sql(noted)[0].contains("the clock was ahead, this was stamped 2026-03-11T12:"));
    let ahead = format!(
        "select 'alert_events' from alert_events where at_ms > {0}
         union all select '_alert_outbox' from _alert_outbox where created_at_ms > {0}
         union all select '_alert_instances' from _alert_instances
             where max(fired_at_ms, notified_at_ms, evaluated_at_ms) > {0}
         union all select '_alert_monitor' from _alert_monitor where evaluated_at_ms > {0}",
        now.as_unix_ms()
    );
    assert_eq!(stage.sql(&ahead), Vec::<String>::new());

    stage.clock.advance_ms(6 * MINUTE_MS);
    for _ in 0..11 {
        stage.send_errors(0, 100);
        stage.check_times(1);
    }
    let [incident] = stage.incidents().try_into().unwrap();
    assert_eq!(incident.end_reason.unwrap().as_str(), "recovered");
    assert!(incident.fired_at <= incident.ended_at.unwrap());
    assert!(incident.ended_at.unwrap() <= stage.now());
    assert_eq!(stage.messages(), ["firing", "resolved"]);
    assert_eq!(stage.sql(marks), ["2 1"], "it is said once");
}

#[test]
fn a_restart_and_a_close_by_hand_after_the_clock_was_set_back_are_stamped_now() {
    let mut stage = fired_a_day_ahead();
    stage.restart(0);
    let id = stage.incidents()[0].incident_id.clone();
    stage.gauge().monitor().close(&id, "admin", None).unwrap();
    let [incident] = stage.incidents().try_into().unwrap();
    let now = stage.now();
    assert!(incident.fired_at <= now && incident.ended_at.unwrap() <= now, "{incident:?}");
}

#[test]
fn reminders_go_on_by_the_clock_that_was_set_back() {
    let stage = fired_a_day_ahead();
    let mut rule = stage.rule("error-rate");
    rule.repeat_interval = Duration::from_secs(3_600);
    stage.gauge().alert_monitor().register_alert(rule).unwrap();
    for _ in 0..130 {
        stage.send_errors(30, 100);
        stage.check_times(1);
    }
    let reminders = stage.messages().iter().filter(|kind| *kind == "reminder").count();
    assert_eq!(reminders, 1, "an hour after the clock was set back, not a day");
}

#[test]
fn a_success_that_was_seen_a_day_ahead_hides_no_later_failures() {
    // By the server's clock, and by a sender's; over a restart, too.
    for (server_is_ahead, restarts) in [(true, false), (true, true), (false, false), (false, true)]
    {
        let mut stage = Stage::new(NOON, |_| {});
        stage.check();
        let (server_ms, sender_ms) = if server_is_ahead { (DAY_MS, 0) } else { (0, DAY_MS) };
        stage.clock.jump_ms(server_ms);
        stage.send(stage.now().plus_ms(sender_ms), 1, |_, _| {});
        stage.check_times(1);
        stage.clock.jump_ms(-server_ms);
        if restarts {
            stage.restart(0);
        }
        stage.check_times(2);
        stage.send(stage.now().plus_ms(-1_000), 5, |_, record| {
            record.outcome = Outcome::Error(ErrorType::Server);
        });
        let fired = stage.check_times(1);
        assert_eq!(fired.len(), 1, "server ahead: {server_is_ahead}, restart: {restarts}");
    }
}
