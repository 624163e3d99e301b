//! Renders a scrape as Prometheus text: a pure function.

use super::alerts::alert_metrics;
use super::text::{MetricsText, single_samples, unsigned};
use crate::model::measures::as_f64;
use crate::model::sketch::bin_bounds_us;
use crate::model::{Column, Count, Distribution, ErrorType, LatencyKind, Measures};
use crate::query::status::BackupStatus;
use crate::query::{ModelTotals, Status};
use crate::service::AlertHealth;

/// Bounds of durations in seconds, as the OpenTelemetry conventions for generative AI advise.
const DURATION_BOUNDS_S: [f64; 14] =
    [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];

/// The text of a scrape. `totals` is everything ever stored, by model; `None` if it cannot be read.
pub(super) fn render(
    totals: Option<&[ModelTotals]>,
    status: &Status,
    alerts: &AlertHealth,
) -> String {
    let mut text = MetricsText::default();
    if let Some(totals) = totals {
        counters(&mut text, totals);
        token_usage(&mut text, totals);
        durations(&mut text, totals);
    }
    // Parts that cannot be read are omitted and announced.
    let name = "chatgauge_scrape_errors";
    let help = "1 while a part of /metrics cannot be read from the database and is omitted.";
    text.family(name, "gauge", help);
    for (part, is_missing) in [
        ("requests", totals.is_none()),
        ("storage", status.is_storage_unread),
        ("alert_rules", alerts.rules.is_none()),
        ("alert_outbox", alerts.is_outbox_unread),
    ] {
        text.sample(name, &[("part", part)], if is_missing { 1.0 } else { 0.0 });
    }
    own_metrics(&mut text, status);
    if let Some(backup) = &status.backup {
        backup_metrics(&mut text, backup);
    }
    alert_metrics(&mut text, alerts);
    text.out
}

fn model_labels(totals: &ModelTotals) -> [(&'static str, &str); 2] {
    [("gen_ai_provider_name", &totals.provider), ("gen_ai_request_model", &totals.model)]
}

/// Name, help and value of a counter that each model has.
type Family = (&'static str, &'static str, fn(&Measures) -> f64);

fn counters(text: &mut MetricsText, totals: &[ModelTotals]) {
    let name = "chatgauge_requests_total";
    text.family(name, "counter", "AI chat requests by outcome; error_type only on errors.");
    for model in totals {
        outcomes(text, name, model);
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
        ("chatgauge_costed_requests_total", "Requests with a known cost.", |measures| {
            as_f64(measures.get(Count::CostKnown))
        }),
        (
            "chatgauge_cache_hits_total",
            "Requests served by the app's response cache.",
            |measures| as_f64(measures.get(Count::CacheHits)),
        ),
        (
            "chatgauge_cache_misses_total",
            "Requests not served by the app's response cache.",
            |measures| as_f64(measures.requests() - measures.get(Count::CacheHits)),
        ),
    ];
    for (name, help, value) in families {
        text.family(name, "counter", help);
        for model in totals {
            text.sample(name, &model_labels(model), value(&model.measures));
        }
    }
}

fn outcomes(text: &mut MetricsText, name: &str, model: &ModelTotals) {
    let [provider, request_model] = model_labels(model);
    let measures = &model.measures;
    let (errors, cancelled) = (measures.errors(), measures.get(Count::Cancelled));
    for (outcome, count) in
        [("success", measures.requests() - errors - cancelled), ("cancelled", cancelled)]
    {
        text.sample(name, &[provider, request_model, ("outcome", outcome)], as_f64(count));
    }
    for kind in ErrorType::ALL {
        let count = measures.get(Count::of_error(kind));
        if count > 0 {
            let labels =
                [provider, request_model, ("outcome", "error"), ("error_type", kind.as_str())];
            text.sample(name, &labels, as_f64(count));
        }
    }
}

/// A histogram of one bucket, because rollups store no distribution of tokens.
fn token_usage(text: &mut MetricsText, totals: &[ModelTotals]) {
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

fn durations(text: &mut MetricsText, totals: &[ModelTotals]) {
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
            histogram(text, name, kind, model);
        }
    }
}

fn histogram(text: &mut MetricsText, name: &str, kind: LatencyKind, totals: &ModelTotals) {
    let measures = &totals.measures;
    let [known, sum_us, ..] = Column::latency(kind).map(|column| measures.values[column.index()]);
    if known == 0 {
        return;
    }
    let labels = model_labels(totals);
    let [provider, model] = labels;
    let bucket = format!("{name}_bucket");
    if let Some(distribution) = &measures.distributions[kind.index()] {
        for (bound, count) in DURATION_BOUNDS_S.iter().zip(cumulative(distribution)) {
            let bound = bound.to_string();
            // A scraper rejects a bucket above the total.
            text.sample(&bucket, &[provider, model, ("le", &bound)], as_f64(count.min(known)));
        }
    }
    text.sample(&bucket, &[provider, model, ("le", "+Inf")], as_f64(known));
    text.sample(&format!("{name}_sum"), &labels, as_f64(sum_us) / 1e6);
    text.sample(&format!("{name}_count"), &labels, as_f64(known));
}

/// Number of values at or below each bound. A bin of the sketch counts where its middle lies, so a bound is off by at most
/// 1 %. A value never moves to another bin, so the counts never decrease.
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

fn own_metrics(text: &mut MetricsText, status: &Status) {
    let Status { ingest, collector, gateway, compactor, storage, cache, clock, clock_skew, .. } =
        status;
    single_samples! { text;
        gauge "chatgauge_queue_records", "Records queued for the writer.", ingest.queue_records;
        gauge "chatgauge_queue_max_records", "Maximum number of queued records.",
            ingest.queue_max_records;
        gauge "chatgauge_in_flight_requests", "Requests in flight.",
            collector.in_flight;
        gauge "chatgauge_database_bytes", "Size of the database file.", storage.database_bytes;
        gauge "chatgauge_wal_bytes", "Size of the write-ahead log.", storage.wal_bytes;
        gauge "chatgauge_cache_bytes", "Memory of the hot cache.", cache.bytes;
        gauge "chatgauge_clock_skew_records",
            "Records of the latest 1,000 dated more than 5 minutes ahead of the clock.",
            clock_skew.ahead_records;
        gauge "chatgauge_problems", "Current problems; see /api/status.",
            status.problems.len() as u64;
        gauge "chatgauge_compaction_lag_records", "Raw rows not rolled up yet.",
            compactor.lag_records;
        gauge "chatgauge_compaction_lag_seconds", "Age of the oldest raw row not rolled up yet.",
            compactor.lag_ms.map(|lag_ms| unsigned(lag_ms) / 1e3);
        gauge "chatgauge_raw_requests", "Raw rows kept.", storage.requests;
        gauge "chatgauge_clock_ahead_seconds",
            "Lead of the system clock over the stored clock plus the time since; negative if it is behind.",
            as_f64(clock.ahead_ms) / 1e3;
        counter "chatgauge_records_accepted_total", "Records stored.", ingest.accepted_total;
        counter "chatgauge_records_duplicate_total", "Records sent again.",
            ingest.duplicates_total;
        counter "chatgauge_records_overloaded_total", "Records rejected because the queue was full.",
            ingest.overloaded_total;
        counter "chatgauge_collector_dropped_total", "Records the collector dropped.",
            collector.dropped_total;
        counter "chatgauge_content_fields_dropped_total", "Content-like fields dropped unread.",
            ingest.dropped_content_fields_total;
        counter "chatgauge_commits_total", "Transactions.", ingest.commits_total;
        counter "chatgauge_failed_commits_total", "Transactions rolled back.",
            ingest.failed_commits_total;
        counter "chatgauge_records_compacted_total", "Raw rows rolled up.",
            compactor.compacted_total;
        counter "chatgauge_gateway_recorded_total",
            "Requests through the gateway that are recorded.", gateway.recorded_total;
        counter "chatgauge_gateway_passed_through_total",
            "Requests through the gateway that are forwarded unrecorded.", gateway.passed_through_total;
        counter "chatgauge_gateway_refused_total", "Requests that the gateway rejected.",
            gateway.refused_total;
    }
    let name = "chatgauge_records_rejected_total";
    text.family(name, "counter", "Records rejected one by one, by reason.");
    let after_retention = ingest.rejected_after_retention_total;
    let invalid = ingest.rejected_total - after_retention;
    for (reason, records) in [("invalid", invalid), ("after_retention", after_retention)] {
        text.sample(name, &[("reason", reason)], unsigned(records));
    }
    single_samples! { text;
        counter "chatgauge_commit_seconds_total", "Time of all transactions.",
            ingest.commit_seconds_total;
    }
    let name = "chatgauge_gateway_upstream_first_byte_seconds";
    let help = "From sending a request upstream to the head of the response.";
    text.summary(name, help, gateway.first_byte_seconds_total, gateway.first_bytes_total);
    let name = "chatgauge_gateway_overhead_seconds";
    let help = "Time that the gateway itself adds before a response starts.";
    text.summary(name, help, gateway.overhead_seconds_total, gateway.responses_total);
    single_samples! { text;
        gauge "chatgauge_start_time_seconds",
            "Start of the server, Unix time; counters named chatgauge_records_* begin there.",
            as_f64(status.started_at.as_unix_ms()) / 1e3;
    }
    text.family("chatgauge_build_info", "gauge", "Version of the program.");
    text.sample("chatgauge_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1.0);
}

/// Omits unknown values: a backup that never succeeded has no time, duration or size.
fn backup_metrics(text: &mut MetricsText, backup: &BackupStatus) {
    single_samples! { text;
        gauge "chatgauge_backup_last_success_timestamp_seconds",
            "Moment of the snapshot that the last scheduled backup holds, Unix time.",
            backup.last_success_at.map(|at| as_f64(at.as_unix_ms()) / 1e3);
        gauge "chatgauge_backup_last_duration_seconds",
            "Time to copy and verify the last scheduled backup.",
            backup.last_duration_ms.map(|ms| unsigned(ms) / 1e3);
        gauge "chatgauge_backup_last_size_bytes", "Size of the last scheduled backup.",
            backup.last_bytes;
        counter "chatgauge_backup_failures_total", "Scheduled backups that failed.",
            backup.failures_total;
    }
}

#[cfg(test)]
mod tests;
