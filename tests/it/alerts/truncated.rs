//! Rules with more groups than are watched: the largest, and those that have a state.

use chatgauge::model::{ErrorType, Name, Outcome, TimeRange};

use super::stage::{INTERVAL_MS, Stage};

const NOON: &str = "2026-03-10T12:00:00Z";

/// The start of a file with one rule.
fn rules(max_groups: usize, rule: &str) -> String {
    format!(
        "[alerting]\ndefault_rules = false\nmax_groups = {max_groups}\n\
         [[alerting.rule]]\nid = \"wide\"\n{rule}\n"
    )
}

const ERRORS: &str = "metric = \"error_rate\"\nthreshold = 0.5\nby = [\"space\"]\nmin_samples = 5\n\
    confidence = 0\nclear_consecutive = 2";

/// Sends `count` requests of a space just before now.
fn send(stage: &Stage, space: &str, count: u64, fails: bool) {
    stage.send(stage.now().plus_ms(-20_000), count, |_, record| {
        record.space = Some(Name::from(space));
        if fails {
            record.outcome = Outcome::Error(ErrorType::Server);
        }
    });
}

#[test]
fn what_fires_is_watched_to_its_end_though_others_grow_larger() {
    let stage = Stage::with_rules(NOON, &rules(2, ERRORS));
    for minute in 0..180 {
        let is_failing = minute < 120;
        send(&stage, "small", 5, is_failing);
        if minute > 10 {
            send(&stage, "large", 20, false);
            send(&stage, "larger", 30, false);
        }
        stage.check_times(2);
        let ends = stage.incidents().iter().filter(|one| one.ended_at.is_some()).count();
        assert!(!is_failing || ends == 0, "it ended in minute {minute} while it failed");
    }
    let incidents = stage.incidents();
    assert_eq!(incidents.len(), 1);
    assert_eq!(incidents[0].end_reason.unwrap().as_str(), "recovered");
}

#[test]
fn errors_of_more_types_than_are_watched_end_when_they_end() {
    let rule = "metric = \"error_count\"\nthreshold = 4\nby = [\"space\", \"error_type\"]\n\
        consecutive = 1\nclear_consecutive = 2";
    let stage = Stage::with_rules(NOON, &rules(1, rule));
    send(&stage, "a", 5, true);
    assert_eq!(stage.check_times(1).len(), 1);
    for _ in 0..20 {
        send(&stage, "a", 1, true);
        send(&stage, "b", 3, true);
        stage.check_times(1);
    }
    let incidents = stage.incidents();
    let groups: Vec<String> = incidents.iter().map(|one| one.group.to_string()).collect();
    assert_eq!(groups, ["error_type=server space=a", "error_type=server space=b"]);
    assert!(incidents.iter().all(|one| one.ended_at.is_none()), "{incidents:?}");
    let rules = stage.gauge().monitor().rules().unwrap();
    assert!(rules[0].is_truncated);
}

#[test]
fn who_sends_a_little_is_not_said_to_send_nothing() {
    let rule = "metric = \"no_traffic\"\nwindow = \"10m\"\nby = [\"space\"]";
    let stage = Stage::with_rules(NOON, &rules(1, rule));
    send(&stage, "daily", 500, false);
    stage.clock.advance_ms(3_600_000);
    send(&stage, "new", 100, false);
    send(&stage, "daily", 1, false);
    assert!(stage.check_times(1).is_empty());
    stage.clock.advance_ms(3_600_000);
    let fired = stage.check_times(1);
    assert_eq!(fired.len(), 1, "then it sends nothing indeed");
    assert_eq!(fired[0].group.to_string(), "space=daily");
}

#[test]
fn a_short_window_is_looked_at_for_the_groups_of_the_long_one() {
    let rule = "metric = \"burn_rate\"\nslo = 0.9\nthreshold = 3\nwindow = \"1h\"\n\
        short_window = \"5m\"\nby = [\"space\"]\nconfidence = 0\nconsecutive = 1";
    let stage = Stage::with_rules(NOON, &rules(1, rule));
    send(&stage, "old", 500, true);
    stage.clock.advance_ms(1_800_000);
    send(&stage, "old", 20, true);
    send(&stage, "new", 100, false);
    let fired = stage.check_times(1);
    assert_eq!(fired.len(), 1);
    assert_eq!(fired[0].group.to_string(), "space=old");
}

/// Groups of one size: who is watched live is watched in a backtest.
#[test]
fn a_backtest_watches_the_same_ones_of_many_equals() {
    let runs = "metric = \"consecutive_failures\"\nthreshold = 3\nby = [\"space\"]";
    let quiet = "metric = \"no_traffic\"\nwindow = \"2m\"\nby = [\"space\"]";
    for rule in [ERRORS, runs, quiet] {
        let stage = Stage::with_rules(NOON, &rules(3, rule));
        let from = stage.now();
        let spaces = ["s3", "s1", "s6", "s2", "s5", "s4", "s0"];
        spaces.iter().for_each(|space| send(&stage, space, 1, false));
        stage.check_times(40);
        // They come back in another order.
        for space in ["s0", "s5", "s3", "s4", "s1", "s2", "s6"] {
            send(&stage, space, 6, true);
        }
        stage.check_times(20);
        stage.clock.advance_ms(INTERVAL_MS);
        let live = stage.sql(
            "select at_ms || ' ' || group_key || ' ' || from_state || '>' || to_state from alert_events
             where reason <> 'too_many_groups' order by at_ms, group_key, event_id",
        );
        let found =
            stage.gauge().backtest_alert(&stage.rule("wide"), TimeRange::new(from, stage.now()));
        let mut replayed: Vec<String> = found
            .unwrap()
            .moves
            .iter()
            .map(|one| format!("{} {} {}>{}", one.at.as_unix_ms(), one.group_key, one.from, one.to))
            .collect();
        replayed.sort();
        let fired = live.iter().filter(|line| line.ends_with(">firing")).count();
        assert!([3, 6].contains(&fired), "three are watched: {live:?}");
        assert_eq!(replayed, live, "{rule}");
    }
}
