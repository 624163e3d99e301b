//! Tests of `[alerting]`.

use super::*;
use crate::config::{Config, RawConfig};
use crate::model::alert::{AlertMetric, EvaluationWindow, Operator};

fn load(toml: &str) -> Result<AlertingConfig, String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("chatgauge.toml");
    std::fs::write(&path, toml).unwrap();
    let shorten = format!("{}/", directory.path().display());
    Config::load(Some(&path), [], [])
        .map(|config| config.alerting)
        .map_err(|error| error.to_string().replace(&shorten, ""))
}

#[test]
fn the_defaults_are_the_literal_thresholds() {
    let config = AlertingConfig::default();
    let ids: Vec<&str> = config.rules.iter().map(|rule| rule.id.as_str()).collect();
    assert_eq!(ids, ["error-rate", "latency-avg", "daily-tokens", "request-rate", "outage-run"]);
    let thresholds: Vec<f64> = config.rules.iter().map(|rule| rule.condition.threshold).collect();
    assert_eq!(thresholds, [0.10, 5_000.0, 1.2, 1.5, 5.0]);
    let inactive: Vec<_> = config.rules.iter().map(|rule| rule.inactive.as_deref()).collect();
    let missing = Some(NOT_CONFIGURED);
    assert_eq!(inactive, [None, None, missing, missing, None]);
    assert_eq!(config.rules[0].looks, 10);
    assert!(config.rules.iter().all(|rule| rule.is_default));
}

#[test]
fn the_id_of_the_self_evaluation_rule_is_reserved() {
    let refused =
        load("[[alerting.rule]]\nid = \"self-evaluation\"\nmetric = \"tokens\"\nthreshold = 1\n");
    let reason = refused.unwrap_err().to_string();
    assert!(reason.contains("line 2: alerting.rule[0].id: \"self-evaluation\" is"), "{reason}");
}

#[test]
fn clear_threshold_and_confidence_of_a_default_rule_follow_its_threshold_and_groups() {
    let config = load(
        "[alerting]\n\
         [[alerting.rule]]\nid = \"error-rate\"\nthreshold = 0.05\nby = [\"space\"]\n\
         [[alerting.rule]]\nid = \"latency-avg\"\nthreshold = \"3s\"\nclear_threshold = \"1s\"\n",
    )
    .unwrap();
    let clear: Vec<f64> = config.rules.iter().map(|rule| rule.condition.clear_threshold).collect();
    assert_eq!(clear[..4], [0.04, 1_000.0, 0.96, 1.2]);
    assert_eq!(config.rules[0].confidence, 0.99, "as of every share by group");
    assert_eq!(config.rules[0].min_samples, 10, "all else is kept");
}

#[test]
fn budget_and_capacity_activate_their_rules() {
    let config =
        load("[alerting]\ndaily_token_budget = 1_000_000\ncapacity_per_minute = 60\n").unwrap();
    assert!(config.rules.iter().all(|rule| rule.inactive.is_none()));
    assert_eq!(config.rules[2].limit, Some(1_000_000.0));
    assert_eq!(config.rules[3].limit, Some(60.0));
}

#[test]
fn a_rule_with_the_id_of_a_default_changes_that_one_and_others_are_added() {
    let config = load(
        "time_zone = \"Europe/Warsaw\"\n[alerting]\n\
         [[alerting.rule]]\nid = \"error-rate\"\nconfidence = 0.95\n\
         [[alerting.rule]]\nid = \"slow\"\nmetric = \"ttft_p95\"\nthreshold = \"2s\"\nby = [\"space\"]\n\
         [[alerting.rule]]\nid = \"hits\"\nmetric = \"cache_hit_rate\"\nthreshold = 0.2\nby = [\"space\"]\n",
    )
    .unwrap();
    assert_eq!(config.rules.len(), 7);
    assert_eq!(config.rules[0].confidence, 0.95);
    assert_eq!(config.rules[0].condition.threshold, 0.10);
    let slow = &config.rules[5];
    assert_eq!(slow.condition.threshold, 2_000.0);
    assert_eq!(slow.tz, "Europe/Warsaw".parse::<Tz>().unwrap());
    assert_eq!(slow.confidence, 0.0);
    let hits = &config.rules[6];
    assert_eq!(hits.condition.operator, Operator::Below);
    assert_eq!(hits.condition.clear_threshold, 0.25);
    assert_eq!(hits.confidence, 0.99, "shares of groups are many and small");
}

#[test]
fn budgets_have_limits_of_groups() {
    let config = load(
        "[[alerting.rule]]\nid = \"spend\"\nmetric = \"cost\"\nperiod = \"month\"\nlimit = 100\n\
         threshold = 1\nby = [\"space\"]\n[alerting.rule.limits]\n\"space:acme\" = 250.5\n",
    )
    .unwrap();
    let rule = &config.rules[5];
    assert_eq!(rule.metric, AlertMetric::Cost);
    assert!(matches!(rule.condition.window, EvaluationWindow::Period(_)));
    assert_eq!((rule.limit, rule.limits[0].limit), (Some(100.0), 250.5));
}

#[test]
fn errors_name_the_file_the_line_and_what_is_allowed() {
    let rule = |text: &str| load(&format!("[[alerting.rule]]\nid = \"a\"\n{text}")).unwrap_err();
    let refusals = [
        load("[alerting]\ninterval = \"1 fortnight\"\n").unwrap_err(),
        load("[alerting]\ntimezone = \"Mars\"\n").unwrap_err(),
        rule("metric = \"errors\"\nthreshold = 1\n"),
        rule("threshold = 1\n"),
        rule("metric = \"error_rate\"\n"),
        rule("metric = \"error_rate\"\nthreshold = 10\n"),
        rule("metric = \"error_rate\"\nthreshold = 0.1\nop = \"=>\"\n"),
        rule("metric = \"error_rate\"\nthreshold = 0.1\nclear_threshold = 0.2\n"),
        rule("metric = \"error_rate\"\nthreshold = 0.1\nby = [\"team\"]\n"),
        rule("metric = \"error_rate\"\nthreshold = 0.1\nchannels = [\"ops\"]\n"),
        rule("metric = \"error_rate\"\nthreshold = 0.1\nsummary = \"{wert}\"\n"),
        rule("metric = \"burn_rate\"\nthreshold = 14.4\nslo = 0.9\n"),
        rule("metric = \"latency_avg\"\nthreshold = \"5 sec\"\n"),
        rule("metric = \"latency_avg\"\nthreshold = 5\nperiod = \"day\"\n"),
        rule("metric = \"error_rate\"\nthreshhold = 0.1\n"),
        rule("metric = \"error_count\"\nthreshold = 1\n[[alerting.rule]]\nid = \"a\"\n"),
    ];
    let text: String = refusals.map(|refusal| format!("{refusal}\n")).into_iter().collect();
    assert_eq!(
        text,
        "\
chatgauge.toml, line 2: alerting.interval: \"1 fortnight\" is not a duration between \"1s\" and \"4m\"
chatgauge.toml, line 2: alerting.timezone: \"Mars\" is not an IANA time zone such as UTC or Europe/Warsaw
chatgauge.toml, line 3: alerting.rule[0].metric: \"errors\" is not a metric; there are error_rate, error_count, request_rate, tokens, cost, cache_hit_rate, consecutive_failures, no_traffic, burn_rate, spike, latency_avg|p50|p95|p99, context_latency_avg|p50|p95|p99, llm_latency_avg|p50|p95|p99, ttft_avg|p50|p95|p99
chatgauge.toml, line 1: alerting.rule[0]: rule \"a\" needs `metric`: one of error_rate, error_count, request_rate, tokens, cost, cache_hit_rate, consecutive_failures, no_traffic, burn_rate, spike, latency_avg|p50|p95|p99, context_latency_avg|p50|p95|p99, llm_latency_avg|p50|p95|p99, ttft_avg|p50|p95|p99
chatgauge.toml, line 1: alerting.rule[0]: rule \"a\" needs `threshold`: the value to compare with
chatgauge.toml, line 4: alerting.rule[0].threshold: 10 is no share; 0.1 is 10 %, and error_rate is between 0 and 1
chatgauge.toml, line 5: alerting.rule[0].op: \"=>\" is none of >, <, >=, <=, ==
chatgauge.toml, line 5: alerting.rule[0].clear_threshold: 0.2 is on the wrong side of the threshold 0.1
chatgauge.toml, line 5: alerting.rule[0].by: \"team\" is none of space, user, model, provider, error_type
chatgauge.toml, line 5: alerting.rule[0].channels: \"ops\" is not a channel; there are log
chatgauge.toml, line 5: alerting.rule[0].summary: {wert} is no field; there are name, rule, group, metric, value, threshold, limit, op, samples, events, window
chatgauge.toml, line 4: alerting.rule[0].threshold: 14.4 can never happen with an slo of 0.9: errors would have to be 144 %; it must be above 0 and below 10.0
chatgauge.toml, line 4: alerting.rule[0].threshold: \"5 sec\" is neither milliseconds nor e.g. \"5s\"
chatgauge.toml, line 5: alerting.rule[0].period: only tokens, cost and error_count have budgets
chatgauge.toml, line 4: alerting.rule[0].threshhold: there is no such key; did you mean threshold or clear_threshold or period?
chatgauge.toml, line 6: alerting.rule[1].id: \"a\" is the id of an earlier rule; ids are unique
"
    );
}

/// The error of a file, without its name.
fn error_in(text: &str) -> String {
    let message = load(&format!("{text}\n")).unwrap_err();
    message.strip_prefix("chatgauge.toml, ").unwrap_or(&message).to_owned()
}

#[test]
fn errors_in_rules_have_the_line_the_key_and_what_is_allowed() {
    let budget = "metric = \"cost\"\nperiod = \"day\"\nthreshold = 1\nby = [\"space\"]";
    let rate = "metric = \"error_rate\"\nthreshold = 0.1";
    let table = [
        (
            rate,
            "filter = { error_type = [\"oops\"] }",
            "line 5: alerting.rule[0].filter.error_type: \"oops\" is none of network, timeout, ",
        ),
        (
            rate,
            "filter = { model = [\"m\"],\n source = [\"web\"] }",
            "line 6: alerting.rule[0].filter.source: \"web\" is none of ",
        ),
        (
            rate,
            "filter = { outcome = [\"ok\"] }",
            "line 5: alerting.rule[0].filter.outcome: \"ok\" is none of success, error, cancelled",
        ),
        (
            rate,
            "filter = { status_not = [\"ok\"] }",
            "line 5: alerting.rule[0].filter.status_not: \"ok\" is none of success, error, cancelled",
        ),
        (
            rate,
            "filter = { outcome = [\"error\"], status_not = [\"error\"] }",
            "line 5: alerting.rule[0].filter.status_not: leaves no outcome",
        ),
        (
            rate,
            "filter = { user = [\"a*\"] }",
            "line 5: alerting.rule[0].filter.user: \"a*\": users have no pattern",
        ),
        (
            rate,
            "filter = { modle = [\"m\"] }",
            "line 5: alerting.rule[0].filter.modle: there is no such key; did you mean model or source or space?",
        ),
        (
            rate,
            "consecutive = -1",
            "line 5: alerting.rule[0].consecutive: -1 is not between 1 and 10000",
        ),
        (
            rate,
            "consecutive = 99999999999999999999",
            "line 5: alerting.rule[0].consecutive: 99999999999999999999 is not between -9223372036854775808 and ",
        ),
        (
            rate,
            "clear_consecutive = 0",
            "line 5: alerting.rule[0].clear_consecutive: 0 is not between 1 and 10000",
        ),
        (
            rate,
            "min_samples = -5",
            "line 5: alerting.rule[0].min_samples: -5 is not between 0 and ",
        ),
        (rate, "min_events = -5", "line 5: alerting.rule[0].min_events: -5 is not between 0 and "),
        (
            rate,
            "consecutive = \"three\"",
            "line 5: alerting.rule[0].consecutive: invalid type: string \"three\", expected a whole number",
        ),
        (
            rate,
            "clear_threshold = true",
            "line 5: alerting.rule[0].clear_threshold: invalid type: boolean `true`, expected a number, or a duration such as \"5s\"",
        ),
        (
            rate,
            "confidence = 1.5",
            "line 5: alerting.rule[0].confidence: 1.5 is neither 0 nor at least 0.5 and less than 1",
        ),
        (
            rate,
            "by = [\"space\", \"space\"]",
            "line 5: alerting.rule[0].by: \"space\" is listed twice",
        ),
        (
            rate,
            "name = \"a\\nb\"",
            "line 5: alerting.rule[0].name: must be one line without control characters",
        ),
        (rate, "summary = \"a\\u0007\"", "line 5: alerting.rule[0].summary: must be one line"),
        (rate, "summary = \"{value\"", "line 5: alerting.rule[0].summary: {value is not closed"),
        (rate, "limits = { \"space:a\" = 1 }", "line 5: alerting.rule[0].limits: only budgets"),
        (
            "metric = \"error_rate\"",
            "threshold = 1",
            "line 4: alerting.rule[0].threshold: `> 1` never happens: error_rate is between 0 and 1",
        ),
        (
            "metric = \"latency_p95\"",
            "threshold = -1",
            "line 4: alerting.rule[0].threshold: -1 is negative, and latency_p95 never is; it must be 0 or more",
        ),
        (
            "metric = \"cost\"\nthreshold = 1",
            "min_events = 1",
            "line 5: alerting.rule[0].min_events: cost counts no errors",
        ),
        (
            "metric = \"spike\"",
            "threshold = 2",
            "line 4: alerting.rule[0].threshold: a spike is compared with its own history",
        ),
        (
            budget,
            "[alerting.rule.limits]\n\"acme\" = 1",
            "line 8: alerting.rule[0].limits.acme: \"acme\" is not like \"space:acme\": one of space, user, model, provider, error_type",
        ),
        (
            budget,
            "[alerting.rule.limits]\n\"space:a\" = 1\n\"model:gpt-4.1\" = 1",
            "line 9: alerting.rule[0].limits.model:gpt-4.1: the rule has no limit by model; `by` names space",
        ),
        (
            budget,
            "[alerting.rule.limits]\n\"space:a\" = 0",
            "line 8: alerting.rule[0].limits.space:a: 0 is not a limit; it must be above 0",
        ),
        (
            budget,
            "[alerting.rule.limits]\n\"space:a\" = \"lots\"",
            "line 8: alerting.rule[0].limits.space:a: invalid type: string \"lots\", expected a number",
        ),
        (
            budget,
            "limit = -1",
            "line 7: alerting.rule[0].limit: -1 is not a limit; it must be above 0",
        ),
    ];
    for (rule, line, expected) in table {
        let error = error_in(&format!("[[alerting.rule]]\nid = \"a\"\n{rule}\n{line}"));
        assert!(error.starts_with(expected), "{line}:\n{error}\n{expected}");
    }
}

#[test]
fn errors_in_channels_have_the_line() {
    let table = [
        ("type = \"slack\"", "line 3: alerting.channels.ops.url: is missing; set the URL"),
        (
            "send_resolved = true",
            "line 3: alerting.channels.ops.type: is missing; it is one of webhook",
        ),
        ("type = \"pager\"", "line 4: alerting.channels.ops.type: \"pager\" is none of webhook"),
        ("type = \"email\"", "line 3: alerting.channels.ops.host: is missing"),
    ];
    for (line, expected) in table {
        let error =
            error_in(&format!("[alerting]\nenabled = true\n[alerting.channels.ops]\n{line}"));
        assert!(error.starts_with(expected), "{line}: {error}");
    }
    let error = error_in("[alerting]\n[alerting.channels.log]\ntype = \"slack\"");
    assert!(error.starts_with("line 2: alerting.channels.log: the log always exists"), "{error}");
}

#[test]
fn a_lower_bound_on_the_request_rate_needs_no_minimum_of_samples() {
    let config = load(
        "[[alerting.rule]]\nid = \"quiet\"\nmetric = \"request_rate\"\nop = \"<\"\nthreshold = 5\n\
         [[alerting.rule]]\nid = \"hits\"\nmetric = \"cache_hit_rate\"\nthreshold = 0.9\n",
    )
    .unwrap();
    assert_eq!(config.rules[5].min_samples, 0);
    assert_eq!(config.rules[6].condition.clear_threshold, 1.0, "all of them is the best there is");
}

#[test]
fn a_printed_section_is_read_back() {
    let config = load(
        "[alerting]\ninterval = \"15s\"\ntimezone = \"Asia/Kathmandu\"\n\
         [[alerting.rule]]\nid = \"a\"\nmetric = \"error_count\"\nthreshold = 1\nfilter = { model = [\"gpt-*\"], status_not = [\"cancelled\"] }\n",
    )
    .unwrap();
    assert_eq!(config.rules[5].filter.outcomes, ["success", "error"]);
    let printed = toml::to_string(&RawAlerting::from(&config)).unwrap();
    let raw: RawAlerting = toml::from_str(&printed).unwrap();
    let mut again = AlertingConfig::default();
    again.set("alerting", &raw).unwrap();
    assert_eq!(again, config);
}

#[test]
fn the_example_file_shows_the_default_rules() {
    let example = include_str!("../../../data/config.example.toml");
    let start = example.find("# [[alerting.rule]]").unwrap();
    let shown: String = example
        .split_at(start)
        .1
        .lines()
        .map(|line| format!("{}\n", line.trim_start_matches('#').trim_start()))
        .collect();
    let shown: toml::Table = toml::from_str(&shown).unwrap();
    let rules: toml::Table = toml::from_str(DEFAULT_RULES).unwrap();
    assert_eq!(shown["alerting"]["rule"], rules["rule"]);
}

#[test]
fn the_channels_of_the_example_file_have_known_keys() {
    let raw: RawConfig = toml::from_str(EXAMPLE_CHANNELS).unwrap();
    assert_eq!(raw.alerting.channels.len(), 4);
}

#[test]
fn every_rule_in_the_documentation_is_accepted() {
    let page = include_str!("../../../docs/alerts.md");
    let mut blocks: Vec<String> = vec![String::new()];
    for line in page.lines() {
        match (line.strip_prefix("    "), blocks.last_mut()) {
            (Some(code), Some(block)) => *block += &format!("{code}\n"),
            (None, Some(block)) if !line.is_empty() && !block.is_empty() => {
                blocks.push(String::new());
            }
            _ => {}
        }
    }
    let rules: Vec<&String> =
        blocks.iter().filter(|block| block.contains("[[alerting.rule]]")).collect();
    assert!(rules.len() >= 9, "{rules:?}");
    for block in rules {
        let channel = "[alerting.channels.ops]\ntype = \"slack\"\nurl = \"https://h.example/x\"\n";
        load(&format!("{block}\n{channel}")).unwrap_or_else(|error| panic!("{error}:\n{block}"));
    }
}
