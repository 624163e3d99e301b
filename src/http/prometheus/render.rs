//! Rendering of a snapshot as Prometheus text: a pure function.

use std::fmt::Write;

use super::alerts::alert_metrics;
use super::backup::backup_metrics;
use crate::model::measures::as_f64;
use crate::model::sketch::bin_bounds_us;
use crate::model::{Column, Count, Distribution, ErrorType, LatencyKind, Measures};
use crate::query::status::{CompactorStatus, StorageStatus};
use crate::query::{ModelTotals, Status};
use crate::service::AlertHealth;

/// Bounds of durations in seconds, as the OpenTelemetry conventions for generative AI advise.
const DURATION_BOUNDS_S: [f64; 14] =
    [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];

/// Everything that is shown, as of one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Snapshot<'a> {
    /// Everything ever stored, by model; `None` when it cannot be read.
    pub(super) totals: Option<&'a [ModelTotals]>,
    /// How the service is doing.
    pub(super) status: &'a Status,
    /// How alerting is doing.
    pub(super) alerts: &'a AlertHealth,
}

/// The text of a snapshot.
pub(super) fn render(snapshot: Snapshot<'_>) -> String {
    let mut text = Text::default();
    if let Some(totals) = snapshot.totals {
        counters(&mut text, totals);
        token_usage(&mut text, totals);
        durations(&mut text, totals);
    }
    scrape_errors(&mut text, snapshot);
    own_metrics(&mut text, snapshot.status);
    if let Some(backup) = &snapshot.status.backup {
        backup_metrics(&mut text, backup);
    }
    alert_metrics(&mut text, snapshot.alerts);
    text.out
}

/// Which parts of the scrape are missing because they cannot be read.
fn scrape_errors(text: &mut Text, snapshot: Snapshot<'_>) {
    let name = "chatgauge_scrape_errors";
    let help = "1 while a part of /metrics cannot be read from the database and is left out.";
    text.family(name, "gauge", help);
    let parts = [
        ("requests", snapshot.totals.is_none()),
        ("storage", snapshot.status.is_storage_unread),
        ("alert_rules", snapshot.alerts.rules.is_none()),
        ("alert_outbox", snapshot.alerts.is_outbox_unread),
    ];
    for (part, is_missing) in parts {
        text.sample(name, &[("part", part)], if is_missing { 1.0 } else { 0.0 });
    }
}

#[derive(Default)]
pub(super) struct Text {
    out: String,
}

pub(super) type Labels<'a> = [(&'static str, &'a str)];

impl Text {
    /// Begins a family of samples.
    pub(super) fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.push(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    /// One sample of the family that was begun.
    pub(super) fn sample(&mut self, name: &str, labels: &Labels<'_>, value: f64) {
        self.out.push_str(name);
        for (index, (label, value)) in labels.iter().enumerate() {
            self.out.push(if index == 0 { '{' } else { ',' });
            self.out.push_str(label);
            self.out.push_str("=\"");
            escape(value, &mut self.out);
            self.out.push('"');
        }
        if !labels.is_empty() {
            self.out.push('}');
        }
        self.push(format_args!(" {value}\n"));
    }

    fn push(&mut self, text: std::fmt::Arguments<'_>) {
        self.out.write_fmt(text).unwrap_or_else(|_| unreachable!("a string takes everything"));
    }

    fn summary(&mut self, name: &str, help: &str, sum: f64, count: u64) {
        self.family(name, "summary", help);
        self.sample(&format!("{name}_sum"), &[], sum);
        self.sample(&format!("{name}_count"), &[], unsigned(count));
    }

    /// A family of one sample without labels.
    pub(super) fn single(&mut self, name: &str, kind: &str, help: &str, value: f64) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }
}

/// Backslashes, quotes and line ends are escaped in label values.
fn escape(value: &str, out: &mut String) {
    for c in value.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
}

fn model_labels(totals: &ModelTotals) -> [(&'static str, &str); 2] {
    [("gen_ai_provider_name", &totals.provider), ("gen_ai_request_model", &totals.model)]
}

/// Name, help and value of a counter that each model has.
type Family = (&'static str, &'static str, fn(&Measures) -> f64);

fn counters(text: &mut Text, totals: &[ModelTotals]) {
    text.family(
        "chatgauge_requests_total",
        "counter",
        "AI chat requests by outcome; error_type only on errors.",
    );
    for model in totals {
        outcomes(text, model);
    }
    let families: [Family; 8] = [
        ("gen_ai_client_inference_usage_input_tokens_total", "Input tokens.", |measures| {
            as_f64(measures.get(Count::PromptTokens))
        }),
        ("gen_ai_client_inference_usage_output_tokens_total", "Output tokens.", |measures| {
            as_f64(measures.get(Count::CompletionTokens))
        }),
        (
            "gen_ai_client_inference_usage_cache_read_input_tokens_total",
            "Input tokens that the provider had in its prompt cache; part of the input tokens.",
            |measures| as_f64(measures.get(Count::CachedPromptTokens)),
        ),
        (
            "gen_ai_client_inference_usage_reasoning_output_tokens_total",
            "Output tokens spent on reasoning; part of the output tokens.",
            |measures| as_f64(measures.get(Count::ReasoningTokens)),
        ),
        ("chatgauge_cost_usd_total", "Known cost in US dollars.", |measures| {
            as_f64(measures.get(Count::CostNanoUsd)) / 1e9
        }),
        ("chatgauge_costed_requests_total", "Requests of which the cost is known.", |measures| {
            as_f64(measures.get(Count::CostKnown))
        }),
        (
            "chatgauge_cache_hits_total",
            "Requests that the app's answer cache served.",
            |measures| as_f64(measures.get(Count::CacheHits)),
        ),
        ("chatgauge_cache_misses_total", "Requests that it did not serve.", |measures| {
            as_f64(measures.requests() - measures.get(Count::CacheHits))
        }),
    ];
    for (name, help, value) in families {
        text.family(name, "counter", help);
        for model in totals {
            text.sample(name, &model_labels(model), value(&model.measures));
        }
    }
}

fn outcomes(text: &mut Text, model: &ModelTotals) {
    let name = "chatgauge_requests_total";
    let [provider, request_model] = model_labels(model);
    let measures = &model.measures;
    let (errors, cancelled) = (measures.errors(), measures.get(Count::Cancelled));
    for (outcome, count) in
        [("success", measures.requests() - errors - cancelled), ("cancelled", cancelled)]
    {
        text.sample(name, &[provider, request_model, ("outcome", outcome)], as_f64(count));
    }
    for kind in ErrorType::ALL {
        let count = measures.get(Count::of_error(*kind));
        if count > 0 {
            let labels =
                [provider, request_model, ("outcome", "error"), ("error_type", kind.as_str())];
            text.sample(name, &labels, as_f64(count));
        }
    }
}

/// Sums and counts only: one bucket is a histogram too, and rollups keep no distribution of tokens.
fn token_usage(text: &mut Text, totals: &[ModelTotals]) {
    let name = "gen_ai_client_token_usage";
    text.family(name, "histogram", "Tokens of a request by type, input or output.");
    let types = [
        ("input", Count::PromptTokensKnown, Count::PromptTokens),
        ("output", Count::CompletionTokensKnown, Count::CompletionTokens),
    ];
    for model in totals {
        let [provider, request_model] = model_labels(model);
        for (kind, known, sum) in types {
            let (known, sum) = (model.measures.get(known), model.measures.get(sum));
            if known == 0 {
                continue;
            }
            let labels = [provider, request_model, ("gen_ai_token_type", kind), ("le", "+Inf")];
            text.sample(&format!("{name}_bucket"), &labels, as_f64(known));
            text.sample(&format!("{name}_sum"), &labels[..3], as_f64(sum));
            text.sample(&format!("{name}_count"), &labels[..3], as_f64(known));
        }
    }
}

fn durations(text: &mut Text, totals: &[ModelTotals]) {
    let families = [
        (
            "gen_ai_client_operation_duration_seconds",
            LatencyKind::Llm,
            "Time inside the LLM call, whatever its outcome.",
        ),
        (
            "gen_ai_client_operation_time_to_first_chunk_seconds",
            LatencyKind::TimeToFirstToken,
            "From the start of the LLM call to the first generated delta.",
        ),
        (
            "chatgauge_request_duration_seconds",
            LatencyKind::Total,
            "From the start of the request to its end, whatever its outcome.",
        ),
        (
            "chatgauge_context_duration_seconds",
            LatencyKind::Context,
            "Time to assemble the context before the LLM call.",
        ),
    ];
    for (name, kind, help) in families {
        text.family(name, "histogram", help);
        for model in totals {
            let [known, sum_us, ..] = Column::latency(kind);
            let latency = Latency {
                known: model.measures.values[known.index()],
                sum_us: model.measures.values[sum_us.index()],
                distribution: model.measures.distributions[kind.index()].as_ref(),
            };
            if latency.known > 0 {
                histogram(text, name, &model_labels(model), &latency);
            }
        }
    }
}

/// One latency of one model.
struct Latency<'a> {
    known: i64,
    sum_us: i64,
    distribution: Option<&'a Distribution>,
}

fn histogram(
    text: &mut Text,
    name: &str,
    labels: &[(&'static str, &str); 2],
    latency: &Latency<'_>,
) {
    let [provider, model] = *labels;
    let bucket = format!("{name}_bucket");
    if let Some(distribution) = latency.distribution {
        for (bound, count) in DURATION_BOUNDS_S.iter().zip(cumulative(distribution)) {
            let bound = bound.to_string();
            // A scraper refuses a bucket above the total.
            let count = count.min(latency.known);
            text.sample(&bucket, &[provider, model, ("le", &bound)], as_f64(count));
        }
    }
    text.sample(&bucket, &[provider, model, ("le", "+Inf")], as_f64(latency.known));
    text.sample(&format!("{name}_sum"), labels, as_f64(latency.sum_us) / 1e6);
    text.sample(&format!("{name}_count"), labels, as_f64(latency.known));
}

/// Values at or below each bound. A bin of the sketch counts where its middle lies, so a bound is off by
/// at most 1 %; a value never moves to another bin, so the counts never go back.
fn cumulative(distribution: &Distribution) -> [i64; DURATION_BOUNDS_S.len()] {
    let mut counts = [0_i64; DURATION_BOUNDS_S.len()];
    for (bin, count) in distribution.clone().as_sketch_mut().bins() {
        let (low_us, high_us) = bin_bounds_us(bin);
        let middle_s = f64::midpoint(low_us, high_us) / 1e6;
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let first = DURATION_BOUNDS_S.partition_point(|bound_s| *bound_s < middle_s);
        for slot in counts.iter_mut().skip(first) {
            *slot = slot.saturating_add(count);
        }
    }
    counts
}

/// A count as the number of a sample.
pub(super) fn unsigned(value: u64) -> f64 {
    as_f64(i64::try_from(value).unwrap_or(i64::MAX))
}

fn own_metrics(text: &mut Text, status: &Status) {
    let Status { ingest, collector, gateway, compactor, storage, cache, clock, clock_skew, .. } =
        status;
    let gauges = [
        ("chatgauge_queue_records", "Records that wait for the writer.", ingest.queue_records),
        ("chatgauge_queue_max_records", "Most records that may wait.", ingest.queue_max_records),
        (
            "chatgauge_in_flight_requests",
            "Requests started and not completed.",
            collector.in_flight,
        ),
        ("chatgauge_database_bytes", "Size of the database file.", storage.database_bytes),
        ("chatgauge_wal_bytes", "Size of the write-ahead log.", storage.wal_bytes),
        ("chatgauge_cache_bytes", "Memory of the hot cache.", cache.bytes),
        (
            "chatgauge_clock_skew_records",
            "Records of the latest 1,000 dated more than 5 minutes ahead of the clock.",
            clock_skew.ahead_records,
        ),
        (
            "chatgauge_problems",
            "Things that are wrong; see /api/status.",
            status.problems.len() as u64,
        ),
    ];
    for (name, help, value) in gauges {
        text.single(name, "gauge", help, unsigned(value));
    }
    stored_metrics(text, compactor, storage);
    let help = "How far the clock is ahead of the stored one and the time since; below 0, behind.";
    text.single("chatgauge_clock_ahead_seconds", "gauge", help, as_f64(clock.ahead_ms) / 1e3);
    let counters = [
        ("chatgauge_records_accepted_total", "Records stored.", ingest.accepted_total),
        ("chatgauge_records_duplicate_total", "Records sent again.", ingest.duplicates_total),
        (
            "chatgauge_records_overloaded_total",
            "Records refused, queue full.",
            ingest.overloaded_total,
        ),
        (
            "chatgauge_collector_dropped_total",
            "Records the collector dropped.",
            collector.dropped_total,
        ),
        (
            "chatgauge_content_fields_dropped_total",
            "Content-like fields dropped unread.",
            ingest.dropped_content_fields_total,
        ),
        ("chatgauge_commits_total", "Transactions.", ingest.commits_total),
        (
            "chatgauge_failed_commits_total",
            "Transactions rolled back.",
            ingest.failed_commits_total,
        ),
        ("chatgauge_records_compacted_total", "Raw rows rolled up.", compactor.compacted_total),
        (
            "chatgauge_gateway_recorded_total",
            "Requests through the gateway that are recorded.",
            gateway.recorded_total,
        ),
        (
            "chatgauge_gateway_passed_through_total",
            "Requests through the gateway that are only passed on.",
            gateway.passed_through_total,
        ),
        (
            "chatgauge_gateway_refused_total",
            "Requests that the gateway refused.",
            gateway.refused_total,
        ),
    ];
    for (name, help, value) in counters {
        text.single(name, "counter", help, unsigned(value));
    }
    let name = "chatgauge_records_rejected_total";
    text.family(name, "counter", "Records rejected one by one, by reason.");
    let after_retention = ingest.rejected_after_retention_total;
    let invalid = ingest.rejected_total - after_retention;
    for (reason, records) in [("invalid", invalid), ("after_retention", after_retention)] {
        text.sample(name, &[("reason", reason)], unsigned(records));
    }
    let help = "Time of all transactions.";
    text.single("chatgauge_commit_seconds_total", "counter", help, ingest.commit_seconds_total);
    let name = "chatgauge_gateway_upstream_first_byte_seconds";
    let help = "From asking an upstream to the head of its answer.";
    text.summary(name, help, gateway.first_byte_seconds_total, gateway.first_bytes_total);
    let name = "chatgauge_gateway_overhead_seconds";
    let help = "Time of the gateway itself until an answer begins.";
    text.summary(name, help, gateway.overhead_seconds_total, gateway.responses_total);
    let start_s = as_f64(status.started_at.as_unix_ms()) / 1e3;
    let help = "Start of the server, Unix time; counters named chatgauge_records_* begin there.";
    text.single("chatgauge_start_time_seconds", "gauge", help, start_s);
    text.family("chatgauge_build_info", "gauge", "Version of the program.");
    text.sample("chatgauge_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1.0);
}

/// What is read from the database; what cannot be read is left out.
fn stored_metrics(text: &mut Text, compactor: &CompactorStatus, storage: &StorageStatus) {
    let gauges = [
        (
            "chatgauge_compaction_lag_records",
            "Raw rows not rolled up yet.",
            compactor.lag_records.map(unsigned),
        ),
        (
            "chatgauge_compaction_lag_seconds",
            "Age of the oldest raw row not rolled up yet.",
            compactor.lag_ms.map(|lag_ms| unsigned(lag_ms) / 1e3),
        ),
        ("chatgauge_raw_requests", "Raw rows kept.", storage.requests.map(unsigned)),
    ];
    for (name, help, value) in gauges {
        if let Some(value) = value {
            text.single(name, "gauge", help, value);
        }
    }
}

#[cfg(test)]
mod tests;
