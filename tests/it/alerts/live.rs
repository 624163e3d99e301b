//! Live evaluation against a real file.

#![expect(clippy::unwrap_used, reason = "a test helper fails by panicking")]

use std::collections::BTreeMap;

use chatgauge::alert::AckOutcome;
use chatgauge::model::alert::{AlertGroup, NewSilence};
use chatgauge::model::{ErrorType, Name, Outcome, Source};

use super::stage::{INTERVAL_MS, Stage};

const NOON: &str = "2026-03-10T12:00:00Z";

fn budgeted(config: &mut chatgauge::Config) {
    let raw = "[alerting]\ndaily_token_budget = 1_000_000\ncapacity_per_minute = 60\n";
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("c.toml");
    std::fs::write(&path, raw).unwrap();
    config.alerting = chatgauge::Config::load(Some(&path), [], []).unwrap().alerting;
    config.alerting.enabled = false;
}

#[test]
fn twelve_errors_of_a_hundred_fire_by_the_third_check_and_ten_never_do() {
    let stage = Stage::new(NOON, |_| {});
    stage.send_errors(12, 100);
    assert!(stage.check_times(2).is_empty());
    assert_eq!(stage.state("error-rate"), "pending");
    let fired = stage.check();
    assert_eq!(fired.len(), 1);
    let incident = &fired[0];
    assert_eq!((&*incident.rule_id, incident.value), ("error-rate", Some(0.12)));
    assert_eq!((incident.samples, incident.events, incident.threshold), (100, 12, 0.1));
    assert_eq!(incident.message, "12 % errors (12 of 100) in 5m, limit 10 %");
    assert_eq!(stage.messages(), ["firing"]);

    let below = Stage::new(NOON, |_| {});
    below.send_errors(10, 100);
    assert!(below.check_times(8).is_empty());
    assert_eq!(below.state("error-rate"), "ok");
}

#[test]
fn an_average_above_five_seconds_fires_by_the_third_check_and_five_never_does() {
    for (total_ms, fires) in [(5_100, true), (5_000, false)] {
        let stage = Stage::new(NOON, |_| {});
        stage.send(stage.now().plus_ms(-60_000), 100, |_, record| {
            record.latency_us[0] = Some(total_ms * 1_000);
        });
        let fired = stage.check_times(3);
        let rules: Vec<&str> = fired.iter().map(|incident| &*incident.rule_id).collect();
        assert_eq!(rules, if fires { vec!["latency-avg"] } else { vec![] }, "{total_ms}");
        if fires {
            assert_eq!(fired[0].value, Some(5_100.0));
        } else {
            assert!(stage.check_times(5).is_empty());
        }
    }
}

#[test]
fn a_fifth_above_the_daily_budget_fires_by_the_third_check_and_exactly_a_fifth_never_does() {
    for (tokens, fires) in [(1_200_001, true), (1_200_000, false)] {
        let stage = Stage::new(NOON, budgeted);
        stage.send(stage.now().plus_ms(-3_600_000), 3, |_, record| {
            record.prompt_tokens = Some(tokens / 3);
        });
        let rest = tokens - tokens / 3 * 3;
        stage.send(stage.now().plus_ms(-7_200_000), 1, |_, record| {
            record.completion_tokens = Some(rest);
        });
        let fired = stage.check_times(3);
        assert_eq!(fired.len(), usize::from(fires), "{tokens}");
        if fires {
            assert_eq!(&*fired[0].rule_id, "daily-tokens");
            assert_eq!((fired[0].value, fired[0].threshold), (Some(1_200_001.0), 1_200_000.0));
            assert_eq!(fired[0].group.period.as_deref(), Some("2026-03-10"));
        }
        assert!(stage.check_times(5).is_empty());
    }
}

#[test]
fn half_above_capacity_fires_by_the_third_check_and_exactly_half_never_does() {
    for (count, fires) in [(91, true), (90, false)] {
        let stage = Stage::new(NOON, budgeted);
        let mut fired = Vec::new();
        for _ in 0..4 {
            // In the minute that this evaluation looks at, and in no other one's.
            stage.send(stage.now().plus_ms(-40_000), count, |_, _| {});
            fired.extend(stage.check());
            stage.clock.advance_ms(60_000);
        }
        let rules: Vec<&str> = fired.iter().map(|incident| &*incident.rule_id).collect();
        assert_eq!(rules, if fires { vec!["request-rate"] } else { vec![] }, "{count}");
    }
}

#[test]
fn five_failures_in_a_row_fire_for_their_model_and_one_success_ends_it() {
    let stage = Stage::new(NOON, |_| {});
    let fail = |kind: ErrorType, count: u64| {
        stage.send(stage.now().plus_ms(-1_000), count, |_, record| {
            record.outcome = Outcome::Error(kind);
        });
    };
    // What a caller causes is no outage.
    fail(ErrorType::ContentFilter, 5);
    fail(ErrorType::Timeout, 4);
    assert!(stage.check_times(1).is_empty());
    fail(ErrorType::Server, 1);
    let fired = stage.check_times(1);
    assert_eq!(fired.len(), 1);
    assert_eq!(&*fired[0].rule_id, "outage-run");
    assert!(fired[0].group.names.iter().eq([("model", "gpt")]));
    stage.send(stage.now().plus_ms(-1_000), 1, |_, _| {});
    stage.check_times(1);
    assert_eq!(stage.messages(), ["firing", "resolved"]);
    assert_eq!(stage.incidents()[0].end_reason.unwrap().as_str(), "recovered");
}

#[test]
fn late_and_imported_requests_never_fire_rules_with_a_window() {
    let stage = Stage::new(NOON, budgeted);
    // Ten minutes late: the windows that it belongs to are over.
    stage.send(stage.now().plus_ms(-600_000), 100, |_, record| {
        record.outcome = Outcome::Error(ErrorType::Server);
    });
    // Half an hour late, for the run of failures.
    stage.send(stage.now().plus_ms(-1_800_000), 10, |_, record| {
        record.outcome = Outcome::Error(ErrorType::Server);
    });
    // Imported, though recent, and far over budget.
    stage.send(stage.now().plus_ms(-60_000), 100, |_, record| {
        record.outcome = Outcome::Error(ErrorType::Server);
        record.source = Source::Import;
        record.prompt_tokens = Some(1_000_000);
        record.model = Some(Name::from("other"));
    });
    let fired: Vec<String> =
        stage.check_times(6).into_iter().map(|incident| incident.rule_id.to_string()).collect();
    // Ten minutes are recent enough for a run of failures: it tells of an outage that lasts.
    assert_eq!(fired, ["outage-run"]);
}

#[test]
fn late_tokens_count_in_the_budget_of_their_day() {
    let stage = Stage::new(NOON, budgeted);
    stage.check_times(2);
    stage.send(stage.now().plus_ms(-6 * 3_600_000), 1, |_, record| {
        record.prompt_tokens = Some(1_300_000);
    });
    let fired = stage.check_times(2);
    assert_eq!(fired.len(), 1);
    assert_eq!(&*fired[0].rule_id, "daily-tokens");
}

#[test]
fn it_ends_after_ten_clear_checks_and_not_while_it_hovers_below_the_line() {
    let stage = Stage::new(NOON, |_| {});
    stage.send_errors(30, 100);
    assert_eq!(stage.check_times(3).len(), 1);
    // Nine percent are below the threshold and above where it is clear.
    stage.clock.advance_ms(600_000);
    stage.send_errors(9, 100);
    stage.check_times(4);
    assert_eq!(stage.state("error-rate"), "firing");
    for _ in 0..10 {
        stage.clock.advance_ms(600_000 - INTERVAL_MS);
        stage.send_errors(2, 100);
        stage.check_times(1);
    }
    let incident = &stage.incidents()[0];
    assert_eq!(incident.end_reason.unwrap().as_str(), "recovered");
    assert_eq!(incident.peak_value, Some(0.3));
    assert_eq!(stage.messages().last().unwrap(), "resolved");
}

#[test]
fn half_an_hour_without_traffic_ends_it_in_other_words() {
    let stage = Stage::new(NOON, |_| {});
    stage.send_errors(30, 100);
    stage.check_times(3);
    stage.check_times(80);
    let incident = &stage.incidents()[0];
    assert_eq!(incident.end_reason.unwrap().as_str(), "no_traffic");
    let payloads =
        stage.sql("select payload from _alert_outbox where kind = 'resolved' and channel = 'log'");
    assert!(payloads[0].contains("no_traffic"), "{payloads:?}");
}

#[test]
fn a_silence_keeps_messages_back_and_tells_what_still_fires_when_it_ends() {
    let stage = Stage::new(NOON, |_| {});
    let silence = NewSilence {
        rule_glob: "error-*".to_owned(),
        group_match: BTreeMap::new(),
        starts_at: stage.now(),
        ends_at: stage.now().plus_ms(10 * INTERVAL_MS),
        comment: "deploy".to_owned(),
    };
    let made = stage.gauge().create_alert_silence(silence, "admin").unwrap();
    for _ in 0..9 {
        stage.send_errors(30, 100);
        stage.check_times(1);
    }
    assert_eq!(stage.state("error-rate"), "firing");
    assert_eq!(stage.messages(), Vec::<String>::new());
    let explained =
        stage.gauge().explain_alert("error-rate", &AlertGroup::default()).unwrap().unwrap();
    assert_eq!(explained.silenced_until, Some(made.silence.ends_at));
    assert!(explained.evaluations.iter().all(|evaluation| evaluation.is_muted));
    for _ in 0..3 {
        stage.send_errors(30, 100);
        stage.check_times(1);
    }
    assert_eq!(stage.messages(), ["firing"]);
    assert!(!stage.gauge().end_alert_silence(&made.silence_id, "admin").unwrap());
}

#[test]
fn an_acknowledged_incident_is_not_brought_up_again() {
    let stage = Stage::new(NOON, |_| {});
    let keep_firing = |hours: i64| {
        for _ in 0..hours * 12 {
            stage.send_errors(30, 100);
            stage.check();
            stage.clock.advance_ms(290_000);
        }
    };
    keep_firing(9);
    assert_eq!(stage.messages(), ["firing", "reminder", "reminder"]);
    let id = stage.incidents()[0].incident_id.clone();
    let done = stage.gauge().monitor().acknowledge(&id, "key:1", Some("on it")).unwrap();
    assert!(
        matches!(&done, AckOutcome::Done(incident) if incident.acked_by.as_deref() == Some("key:1"))
    );
    keep_firing(9);
    assert_eq!(stage.messages().len(), 3);
    assert_eq!(
        stage.gauge().monitor().acknowledge("nothing", "x", None).unwrap(),
        AckOutcome::Unknown
    );
    let incident = stage.gauge().monitor().incidents(vec![id.clone()]).unwrap().remove(0);
    let events = stage.gauge().store().read(|reader| reader.incident_events(&id)).unwrap();
    assert_eq!(incident.acked_at, done_at(&done));
    assert!(
        events
            .iter()
            .any(|event| event.reason == "acknowledged" && event.note.as_deref() == Some("on it"))
    );
    assert!(matches!(stage.gauge().monitor().close(&id, "x", None).unwrap(), AckOutcome::Done(_)));
    assert!(matches!(
        stage.gauge().monitor().acknowledge(&id, "x", None).unwrap(),
        AckOutcome::Over(_)
    ));
}

fn done_at(outcome: &AckOutcome) -> Option<chatgauge::model::Timestamp> {
    match outcome {
        AckOutcome::Done(incident) => incident.acked_at,
        _ => None,
    }
}

#[test]
fn groups_fire_by_themselves_and_a_wider_alert_keeps_their_messages_back() {
    let rules = "[alerting]\ndefault_rules = false\n\
        [[alerting.rule]]\nid = \"by-space\"\nmetric = \"error_rate\"\nthreshold = 0.1\nby = [\"space\"]\nconfidence = 0\n\
        [[alerting.rule]]\nid = \"all\"\nmetric = \"error_rate\"\nthreshold = 0.5\n";
    let stage = Stage::with_rules(NOON, rules);
    let send = |failing: u64| {
        stage.send(stage.now().plus_ms(-60_000), 100, |number, record| {
            record.space = Some(Name::from(format!("s{}", number % 4)));
            if number % 4 < failing {
                record.outcome = Outcome::Error(ErrorType::Server);
            }
        });
    };
    send(1);
    let fired = stage.check_times(3);
    assert_eq!(fired.len(), 1);
    assert_eq!(fired[0].group.names.get("space"), Some("s0"));
    assert_eq!(stage.messages(), ["firing"]);
    let wide = Stage::with_rules(NOON, rules);
    wide.send(wide.now().plus_ms(-60_000), 100, |number, record| {
        record.space = Some(Name::from(format!("s{}", number % 4)));
        record.outcome = Outcome::Error(ErrorType::Server);
    });
    assert_eq!(wide.check_times(3).len(), 5);
    let told = wide.sql("select distinct json_extract(payload, '$.rule_id') from _alert_outbox");
    assert_eq!(told, ["all"]);
}

#[test]
fn a_filter_that_matches_nothing_is_said_and_patterns_are_spelt_out() {
    let rules = "[alerting]\ndefault_rules = false\n\
        [[alerting.rule]]\nid = \"g\"\nmetric = \"error_rate\"\nthreshold = 0.1\nfilter = { model = [\"gp*\"] }\n\
        [[alerting.rule]]\nid = \"n\"\nmetric = \"error_rate\"\nthreshold = 0.1\nfilter = { model = [\"llama*\"] }\n";
    let stage = Stage::with_rules(NOON, rules);
    stage.send_errors(50, 100);
    let fired = stage.check_times(3);
    assert_eq!(fired.len(), 1);
    assert_eq!(&*fired[0].rule_id, "g");
    let status = stage.gauge().monitor().rules().unwrap();
    let nothing = status.iter().find(|status| status.rule.id == "n").unwrap();
    assert_eq!(
        (nothing.state.as_str(), nothing.detail.as_deref()),
        ("inactive", Some("matches nothing"))
    );
    // Traffic changes that at once.
    stage.send(stage.now().plus_ms(-20_000), 100, |_, record| {
        record.model = Some(Name::from("llama-4"));
        record.outcome = Outcome::Error(ErrorType::Server);
    });
    for expected in ["pending", "pending", "firing"] {
        stage.check_times(1);
        let status = stage.gauge().monitor().rules().unwrap();
        let seen = status.iter().find(|status| status.rule.id == "n").unwrap();
        assert_eq!((seen.state.as_str(), seen.detail.as_deref()), (expected, None));
    }
}

#[test]
fn silence_of_who_sent_before_is_noticed_and_an_empty_file_is_quiet() {
    let rules = "[alerting]\ndefault_rules = false\n\
        [[alerting.rule]]\nid = \"quiet\"\nmetric = \"no_traffic\"\nwindow = \"10m\"\n";
    let stage = Stage::with_rules(NOON, rules);
    assert!(stage.check_times(5).is_empty());
    stage.send_errors(0, 10);
    assert!(stage.check_times(1).is_empty());
    stage.clock.advance_ms(700_000);
    assert_eq!(stage.check_times(1).len(), 1);
    stage.send_errors(0, 1);
    stage.check_times(1);
    assert_eq!(stage.messages(), ["firing", "resolved"]);
}

#[test]
fn a_spike_stands_out_from_the_day_before() {
    let rules = "[alerting]\ndefault_rules = false\n\
        [[alerting.rule]]\nid = \"spike\"\nmetric = \"spike\"\nwindow = \"15m\"\nconsecutive = 1\n";
    let stage = Stage::with_rules(NOON, rules);
    for quarter in 0..20 {
        let start = stage.now().plus_ms(-(quarter + 2) * 900_000);
        stage.send(start, 50, |number, record| {
            if number < 2 + quarter.unsigned_abs() % 2 {
                record.outcome = Outcome::Error(ErrorType::Server);
            }
        });
    }
    stage.send_errors(3, 50);
    assert!(stage.check_times(2).is_empty());
    stage.send_errors(25, 50);
    // Minutes count once they are whole.
    let fired = stage.check_times(3);
    assert_eq!(fired.len(), 1);
    assert!(fired[0].threshold < 15.0, "{}", fired[0].threshold);
}

#[test]
fn a_fast_burn_needs_both_windows() {
    let rules = "[alerting]\ndefault_rules = false\n\
        [[alerting.rule]]\nid = \"burn\"\nmetric = \"burn_rate\"\nslo = 0.99\nthreshold = 14.4\nwindow = \"1h\"\nshort_window = \"5m\"\nconsecutive = 1\n";
    let stage = Stage::with_rules(NOON, rules);
    // A burst of errors half an hour ago, calm since: the long window alone says nothing.
    stage.send(stage.now().plus_ms(-1_800_000), 100, |_, record| {
        record.outcome = Outcome::Error(ErrorType::Server);
    });
    stage.send_errors(0, 100);
    assert!(stage.check_times(2).is_empty());
    stage.send_errors(60, 100);
    assert_eq!(stage.check_times(1).len(), 1);
}
