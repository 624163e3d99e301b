//! Tests of the Prometheus text.

use std::collections::{BTreeMap, HashMap};

use super::*;
use crate::model::{Outcome, RequestId, RequestRecord, Source, Timestamp};

fn status() -> Status {
    Status {
        started_at: Timestamp::from_unix_ms(1_767_323_045_000),
        schema_version: 1,
        ingest: crate::query::status::IngestStatus { commits_total: 7, ..Default::default() },
        collector: crate::query::status::CollectorStatus::default(),
        gateway: crate::query::status::GatewayStatus::default(),
        compactor: crate::query::status::CompactorStatus {
            lag_ms: Some(1_500),
            ..Default::default()
        },
        storage: crate::query::status::StorageStatus::default(),
        cache: crate::query::status::CacheStatus::default(),
        dimensions: crate::query::status::DimensionsStatus::default(),
        clock: crate::query::status::ClockStatus {
            ahead_ms: -1_500,
            retention_at: Timestamp::from_unix_ms(0),
            retention_paused_ms: 0,
        },
        clock_skew: crate::query::status::ClockSkewStatus {
            ahead_records: 4,
            ..Default::default()
        },
        backup: None,
        is_storage_unread: false,
        problems: vec![],
    }
}

fn alerts() -> AlertHealth {
    use crate::model::alert::RuleState;
    AlertHealth {
        enabled: true,
        counts: crate::alert::AlertCounts {
            missed_total: 3,
            evaluated_at: Some(Timestamp::from_unix_ms(1_767_323_045_500)),
            ..Default::default()
        },
        rules: Some(vec![
            ("error-rate".into(), RuleState::Firing),
            ("per-user".into(), RuleState::Ok),
        ]),
        is_outbox_unread: false,
        truncated: vec!["per-user".into()],
        channels: vec![crate::alert::ChannelReport {
            name: "ops".into(),
            queued: 2,
            sent_total: 9,
            ..Default::default()
        }],
        problems: vec![],
    }
}

fn totals(model: &str) -> ModelTotals {
    let mut measures = Measures::with_sketches();
    let at = Timestamp::from_unix_ms(0);
    for (ms, outcome) in [
        (5, Outcome::Success),
        (100, Outcome::Success),
        (3_000, Outcome::Error(ErrorType::Timeout)),
        (200_000, Outcome::Cancelled),
    ] {
        let mut record = RequestRecord::new(RequestId::parse("r"), at, Source::Rest);
        record.latency_us[LatencyKind::Llm.index()] = Some(ms * 1_000);
        record.outcome = outcome;
        record.prompt_tokens = Some(10);
        record.cost_nano_usd = Some(250_000_000);
        measures.add(&record);
    }
    ModelTotals { provider: "openai".into(), model: model.into(), measures }
}

/// A sample line as a scraper reads it.
fn parse_sample(line: &str) -> (String, BTreeMap<String, String>, f64) {
    let (name, rest) = line.split_at(line.find(['{', ' ']).unwrap());
    let mut labels = BTreeMap::new();
    let mut rest = rest;
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (label, after) = rest.split_once("=\"").unwrap();
            let mut value = String::new();
            let mut chars = after.chars();
            loop {
                match chars.next().unwrap() {
                    '"' => break,
                    '\\' => match chars.next().unwrap() {
                        'n' => value.push('\n'),
                        other => value.push(other),
                    },
                    other => value.push(other),
                }
            }
            let label = label.trim_start_matches(',').to_owned();
            assert!(labels.insert(label, value).is_none(), "{line}");
            rest = chars.as_str();
        }
        rest = rest.strip_prefix('}').unwrap();
    }
    (name.to_owned(), labels, rest.trim().parse().unwrap())
}

struct Scrape {
    kinds: HashMap<String, String>,
    samples: Vec<(String, BTreeMap<String, String>, f64)>,
}

impl Scrape {
    fn of(text: &str) -> Self {
        let mut scrape = Self { kinds: HashMap::new(), samples: Vec::new() };
        assert!(text.ends_with('\n'));
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                let earlier = scrape.kinds.insert(name.to_owned(), kind.to_owned());
                assert_eq!(earlier, None, "{name} is described once");
            } else if !line.starts_with("# HELP ") {
                scrape.samples.push(parse_sample(line));
            }
        }
        scrape
    }

    fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let has = |found: &BTreeMap<String, String>| {
            labels.iter().all(|(label, value)| found.get(*label).is_some_and(|v| v == value))
        };
        let sample = self.samples.iter().find(|(found, with, _)| found == name && has(with));
        sample.map(|(_, _, value)| *value)
    }
}

#[test]
fn a_scraper_reads_what_was_measured() {
    let (totals, status) = ([totals("gpt-x")], status());
    let scrape = Scrape::of(&render(Some(&totals), &status, &alerts()));
    let of = |name: &str, labels: &[(&str, &str)]| scrape.value(name, labels);
    let requests = "chatgauge_requests_total";
    assert_eq!(of(requests, &[("outcome", "success")]), Some(2.0));
    assert_eq!(of(requests, &[("outcome", "cancelled")]), Some(1.0));
    assert_eq!(of(requests, &[("error_type", "timeout")]), Some(1.0));
    assert_eq!(of(requests, &[("error_type", "auth")]), None);
    assert_eq!(of("gen_ai_client_inference_usage_input_tokens_total", &[]), Some(40.0));
    assert_eq!(of("chatgauge_cost_usd_total", &[]), Some(1.0));
    assert_eq!(of("gen_ai_client_token_usage_sum", &[("gen_ai_token_type", "input")]), Some(40.0));
    assert_eq!(of("gen_ai_client_token_usage_sum", &[("gen_ai_token_type", "output")]), None);
    assert_eq!(of("chatgauge_compaction_lag_seconds", &[]), Some(1.5));
    assert_eq!(of("chatgauge_commits_total", &[]), Some(7.0));
}

#[test]
fn alerting_watches_itself() {
    let scrape = Scrape::of(&render(Some(&[]), &status(), &alerts()));
    let of = |name: &str, labels: &[(&str, &str)]| scrape.value(name, labels);
    let state = |state| of("chatgauge_alert_state", &[("rule", "error-rate"), ("state", state)]);
    assert_eq!((state("firing"), state("ok")), (Some(1.0), Some(0.0)));
    let sent = [("channel", "ops"), ("result", "sent")];
    assert_eq!(of("chatgauge_alert_notifications_total", &sent), Some(9.0));
    let truncated = |rule| of("chatgauge_alert_groups_truncated", &[("rule", rule)]);
    assert_eq!((truncated("error-rate"), truncated("per-user")), (Some(0.0), Some(1.0)));
    assert_eq!(of("chatgauge_alert_outbox_pending", &[("channel", "ops")]), Some(2.0));
    assert_eq!(of("chatgauge_alert_evaluations_missed_total", &[]), Some(3.0));
    let last = of("chatgauge_alert_last_evaluation_timestamp_seconds", &[]);
    assert_eq!(last, Some(1_767_323_045.5));
}

#[test]
fn histograms_are_cumulative_and_end_with_the_count() {
    let (totals, status) = ([totals("gpt-x")], status());
    let scrape = Scrape::of(&render(Some(&totals), &status, &alerts()));
    let name = "gen_ai_client_operation_duration_seconds";
    let bucket = |le: &str| scrape.value(&format!("{name}_bucket"), &[("le", le)]);
    assert_eq!(bucket("0.01"), Some(1.0));
    assert_eq!(bucket("0.16"), Some(2.0));
    assert_eq!(bucket("5.12"), Some(3.0));
    assert_eq!(bucket("81.92"), Some(3.0));
    assert_eq!(bucket("+Inf"), Some(4.0));
    assert_eq!(scrape.value(&format!("{name}_count"), &[]), Some(4.0));
    let sum = scrape.value(&format!("{name}_sum"), &[]).unwrap();
    assert!((sum - 203.105).abs() < 1e-9, "{sum}");
}

#[test]
fn every_sample_belongs_to_a_described_family_and_none_names_a_user() {
    let (totals, status) = ([totals("a"), totals("b")], status());
    let scrape = Scrape::of(&render(Some(&totals), &status, &alerts()));
    let mut seen = std::collections::HashSet::new();
    for (name, labels, _) in &scrape.samples {
        let family = ["_bucket", "_sum", "_count"]
            .iter()
            .filter_map(|suffix| name.strip_suffix(suffix))
            .find(|stem| {
                scrape
                    .kinds
                    .get(*stem)
                    .is_some_and(|kind| ["histogram", "summary"].contains(&kind.as_str()))
            })
            .unwrap_or(name);
        assert!(scrape.kinds.contains_key(family), "{name}");
        let is_counter = scrape.kinds[family] == "counter";
        assert!(!is_counter || name.ends_with("_total"), "{name}");
        assert!(!labels.contains_key("user") && !labels.contains_key("space"), "{name}");
        assert!(seen.insert((name, labels)), "{name} {labels:?} twice");
    }
}

#[test]
fn names_of_models_cannot_break_the_format() {
    let name = "a\"b\\c\nd}e,f=\"g";
    let (totals, status) = ([totals(name)], status());
    let scrape = Scrape::of(&render(Some(&totals), &status, &alerts()));
    let labels = [("gen_ai_request_model", name)];
    assert_eq!(scrape.value("chatgauge_cache_misses_total", &labels), Some(4.0));
}

#[test]
fn what_cannot_be_read_is_left_out_and_said() {
    let mut status = status();
    status.is_storage_unread = true;
    status.compactor.lag_ms = None;
    let health = AlertHealth { rules: None, is_outbox_unread: true, ..alerts() };
    let text = render(None, &status, &health);
    for missing in [
        "chatgauge_requests_total",
        "gen_ai_client_operation_duration_seconds",
        "chatgauge_compaction_lag_seconds",
        "chatgauge_alert_state",
        "chatgauge_alert_outbox_pending",
    ] {
        assert!(!text.contains(missing), "{missing}");
    }
    let scrape = Scrape::of(&text);
    let error = |part| scrape.value("chatgauge_scrape_errors", &[("part", part)]);
    for part in ["requests", "storage", "alert_rules", "alert_outbox"] {
        assert_eq!(error(part), Some(1.0), "{part}");
    }
    assert_eq!(scrape.value("chatgauge_commits_total", &[]), Some(7.0));
    let sent = [("channel", "ops"), ("result", "sent")];
    assert_eq!(scrape.value("chatgauge_alert_notifications_total", &sent), Some(9.0));
}
