//! A backtest finds what live evaluation found.

#![expect(clippy::unwrap_used, reason = "a test helper fails by panicking")]

use chatgauge::Error;
use chatgauge::model::{ErrorType, Name, Outcome, TimeRange};
use rand::RngExt as _;
use rand::SeedableRng as _;

use super::stage::{INTERVAL_MS, Stage};

const RULES: &str = "[alerting]\ndefault_rules = false\n\
    [[alerting.rule]]\nid = \"rate\"\nmetric = \"error_rate\"\nthreshold = 0.2\nconsecutive = 2\nclear_consecutive = 3\n\
    [[alerting.rule]]\nid = \"groups\"\nmetric = \"error_rate\"\nthreshold = 0.2\nby = [\"space\"]\nconfidence = 0.9\nclear_consecutive = 4\ninhibits_groups = false\n\
    [[alerting.rule]]\nid = \"slow\"\nmetric = \"latency_p95\"\nthreshold = \"3s\"\nmin_samples = 5\nclear_consecutive = 2\n\
    [[alerting.rule]]\nid = \"average\"\nmetric = \"latency_avg\"\nthreshold = \"1500ms\"\nmin_samples = 5\nclear_consecutive = 2\n\
    [[alerting.rule]]\nid = \"busy\"\nmetric = \"request_rate\"\nthreshold = 10\nclear_consecutive = 1\n\
    [[alerting.rule]]\nid = \"run\"\nmetric = \"consecutive_failures\"\nthreshold = 3\nby = [\"model\"]\n\
    [[alerting.rule]]\nid = \"spend\"\nmetric = \"tokens\"\nperiod = \"day\"\nlimit = 4000\nthreshold = 1\n\
    [[alerting.rule]]\nid = \"quiet\"\nmetric = \"no_traffic\"\nwindow = \"2m\"\n\
    [[alerting.rule]]\nid = \"spike\"\nmetric = \"spike\"\nwindow = \"5m\"\nconsecutive = 1\n\
    [[alerting.rule]]\nid = \"burn\"\nmetric = \"burn_rate\"\nslo = 0.9\nthreshold = 3\nwindow = \"10m\"\nshort_window = \"2m\"\n";

/// An evening of traffic that has good and bad times, sent as it happens.
fn record_live(stage: &Stage, seed: u64, minutes: i64) {
    let mut random = rand_pcg::Pcg64Mcg::seed_from_u64(seed);
    for half_minute in 0..minutes * 2 {
        // Times of calm, of errors, of slowness, of nothing at all.
        let mood = half_minute / 24 % 5;
        let count = match mood {
            4 => 0,
            3 => random.random_range(4..9),
            _ => random.random_range(0..5),
        };
        let bad = if mood == 1 { 0.6 } else { 0.05 };
        // Each ends within the half minute in which it began, as the clock stands at its end.
        let start = stage.now().plus_ms(-INTERVAL_MS);
        let mut requests: Vec<(i64, u64, bool, u8)> = (0..count)
            .map(|_| {
                let most = if mood == 2 { 9_000 } else { 1_500 };
                (
                    random.random_range(0..20_000),
                    random.random_range(100..most),
                    random.random_bool(bad),
                    random.random_range(0..3),
                )
            })
            .collect();
        // They arrive as they end.
        requests.sort_by_key(|(offset_ms, took_ms, ..)| offset_ms + took_ms.cast_signed());
        for (offset_ms, took_ms, is_error, space) in requests {
            stage.send(start.plus_ms(offset_ms), 1, |_, record| {
                record.space = Some(Name::from(format!("s{space}")));
                record.latency_us[0] = Some(took_ms * 1_000);
                record.prompt_tokens = Some(20);
                if is_error {
                    record.outcome = Outcome::Error(ErrorType::Server);
                }
            });
        }
        stage.check();
        stage.clock.advance_ms(INTERVAL_MS);
    }
}

/// Traffic of senders that know no time, send what happened long ago, or whose clock is ahead.
fn record_unruly(stage: &Stage, seed: u64, minutes: i64) {
    let mut random = rand_pcg::Pcg64Mcg::seed_from_u64(seed);
    for half_minute in 0..minutes * 2 {
        let mood = half_minute / 24 % 5;
        let bad = if mood == 1 { 0.6 } else { 0.1 };
        for part_ms in [1_000, 8_000, 13_000] {
            stage.clock.advance_ms(part_ms);
            for _ in 0..random.random_range(0..3) {
                let now = stage.now();
                let late_ms = match random.random_range(0..10) {
                    0 => -random.random_range(0..240_000),
                    1 => random.random_range(0..120_000),
                    2 => random.random_range(0..2_400_000),
                    3 => random.random_range(86_000_000..90_000_000),
                    4..=6 => 0,
                    _ => random.random_range(0..12_000),
                };
                let took_ms: u64 = random.random_range(100..60_000);
                let is_error = random.random_bool(bad);
                let (space, provider) = (random.random_range(0..3), random.random_range(0..2));
                let is_cancelled = random.random_bool(0.1);
                stage.send(now.plus_ms(-late_ms), 1, |_, record| {
                    // Dated on arrival, though it took a while.
                    record.dated_on_arrival = late_ms == 0;
                    record.space = Some(Name::from(format!("s{space}")));
                    record.provider = Some(Name::from(format!("p{provider}")));
                    record.latency_us[0] = Some(took_ms * 1_000);
                    record.prompt_tokens = Some(20);
                    if is_error {
                        record.outcome = Outcome::Error(ErrorType::Server);
                    } else if is_cancelled {
                        record.outcome = Outcome::Cancelled;
                    }
                });
            }
        }
        stage.clock.advance_ms(8_000);
        stage.check();
    }
}

fn lines_of(stage: &Stage, rule_id: &str) -> Vec<String> {
    stage.sql(&format!(
        "select at_ms || ' ' || group_key || ' ' || from_state || '>' || to_state || ' ' || reason
         from alert_events where rule_id = '{rule_id}' order by at_ms, group_key, event_id"
    ))
}

#[test]
fn replaying_a_recorded_evening_gives_the_same_history() {
    for seed in [1, 2] {
        let stage = Stage::with_rules("2026-03-10T22:00:00Z", RULES);
        let from = stage.now();
        record_live(&stage, seed, 150);
        compare(&stage, TimeRange::new(from, stage.now()), seed);
    }
}

#[test]
fn late_and_undated_requests_are_replayed_when_they_arrived() {
    for seed in [3, 4] {
        let stage = Stage::with_rules("2026-03-10T22:00:00Z", RULES);
        let from = stage.now();
        record_unruly(&stage, seed, 150);
        // The last evaluation was at this very moment; the first one half a minute after the start.
        compare(&stage, TimeRange::new(from.plus_ms(1), stage.now().plus_ms(1)), seed);
    }
}

/// Holds the history of a live run against that of its replay.
fn compare(stage: &Stage, range: TimeRange, seed: u64) {
    let mut compared = 0;
    let config = stage.gauge().config().clone();
    for rule in &config.alerting.rules {
        let replayed = stage.gauge().backtest_alert(rule, range).unwrap();
        assert!(replayed.exact);
        assert_eq!(replayed.evaluations, 300);
        let mut moves: Vec<String> = replayed
            .moves
            .iter()
            .map(|moved| {
                format!(
                    "{} {} {}>{} {}",
                    moved.at.as_unix_ms(),
                    moved.group_key,
                    moved.from,
                    moved.to,
                    moved.reason
                )
            })
            .collect();
        let mut live = lines_of(stage, &rule.id);
        compared += live.len();
        live.sort();
        moves.sort();
        assert_eq!(moves, live, "{} with seed {seed}", rule.id);
    }
    assert!(compared > 30, "{compared} lines are no evening");
}

#[test]
fn history_that_is_loaded_counts_as_if_it_had_arrived_when_it_ended() {
    for (is_history, incidents) in [(true, 1), (false, 0)] {
        let stage = Stage::with_rules("2026-03-10T12:00:00Z", RULES);
        let from = stage.now().plus_ms(-3_600_000);
        for minute in 0..10 {
            stage.send(from.plus_ms(minute * 60_000), 20, |number, record| {
                record.is_history = is_history;
                if minute >= 3 && number < 10 {
                    record.outcome = Outcome::Error(ErrorType::Server);
                }
            });
        }
        let range = TimeRange::new(from, stage.now());
        let found = stage.gauge().backtest_alert(&stage.rule("rate"), range).unwrap();
        assert_eq!(found.incidents.len(), incidents, "history: {is_history}");
    }
}

#[test]
fn without_raw_rows_it_is_approximate_and_says_so() {
    let stage = Stage::with_rules("2026-03-10T12:00:00Z", RULES);
    let from = stage.now();
    for minute in 0..10 {
        stage.send(stage.now(), 20, |number, record| {
            if minute >= 3 && number < 10 {
                record.outcome = Outcome::Error(ErrorType::Server);
            }
        });
        stage.clock.advance_ms(60_000);
    }
    stage.gauge().compact().unwrap();
    let rule = stage.rule("rate");
    let range = TimeRange::new(from, stage.now());
    let exact = stage.gauge().backtest_alert(&rule, range).unwrap();
    assert!(exact.exact && exact.incidents.len() == 1, "{exact:?}");
    stage.clock.advance_ms(40 * 86_400_000);
    stage.gauge().prune().unwrap();
    let approximate = stage.gauge().backtest_alert(&rule, range).unwrap();
    assert!(!approximate.exact);
    assert_eq!(approximate.incidents.len(), 1);
    let apart_ms =
        approximate.incidents[0].fired_at.as_unix_ms() - exact.incidents[0].fired_at.as_unix_ms();
    assert!(apart_ms.abs() <= 120_000, "{apart_ms} ms apart");
    let needs_rows = stage.gauge().backtest_alert(&stage.rule("slow"), range);
    assert!(matches!(needs_rows, Err(Error::InvalidQuery { parameter: "start", .. })));
}

#[test]
fn a_range_that_is_too_long_or_empty_is_refused() {
    let stage = Stage::with_rules("2026-03-10T12:00:00Z", RULES);
    let now = stage.now();
    for range in [TimeRange::new(now, now), TimeRange::new(now.plus_ms(-36 * 86_400_000), now)] {
        let refused = stage.gauge().backtest_alert(&stage.rule("rate"), range);
        assert!(matches!(refused, Err(Error::InvalidQuery { parameter: "end", .. })));
    }
}
