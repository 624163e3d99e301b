//! The state of the server: `/healthz`, `/readyz`, `/api/status`, `/api/telemetry/health`.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::extract::AllSpaces;
use super::openapi::{NotReadyProblems, ReadProblems};
use super::params::NoQuery;
use super::problem::{Problem, ProblemKind};
use super::state::App;
use crate::error::StorageErrorKind;
use crate::model::alert::RuleState;
use crate::model::zone::ZoneData;
use crate::model::{Timestamp, Tz};
use crate::query::Status;
use crate::query::status::{
    BackupStatus, CacheStatus, ClockSkewStatus, ClockStatus, CollectorStatus, CompactorStatus,
    DimensionsStatus, GatewayStatus, IngestStatus, StorageStatus,
};
use crate::service::{AlertHealth, Chatgauge};

/// The state of every part.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StatusBody {
    /// Version of the program.
    version: &'static str,
    /// `ok` or `degraded`.
    status: &'static str,
    /// Reasons for the degraded state, as text.
    problems: Vec<String>,
    /// Start of the server.
    #[schema(format = DateTime)]
    started_at: String,
    /// Time since then.
    uptime_s: i64,
    /// Version of the schema of the file.
    schema_version: u32,
    /// Where the rules of time zones come from.
    time_zones: TimeZonesBody,
    /// The queue and the writer.
    ingest: IngestStatus,
    /// The in-process collector.
    collector: CollectorStatus,
    /// The pass-through gateway.
    gateway: GatewayStatus,
    /// The compactor.
    compactor: CompactorStatus,
    /// The file.
    storage: StorageStatus,
    /// The hot cache.
    cache: CacheStatus,
    /// Distinct values of the interned dimensions.
    dimensions: DimensionsStatus,
    /// The server's clock.
    clock: ClockStatus,
    /// The clocks of senders.
    clock_skew: ClockSkewStatus,
    /// Scheduled backups; `null` when there are none.
    #[schema(required)]
    backup: Option<BackupStatus>,
    /// Alerts.
    alerts: AlertsStatusBody,
}

/// Where the rules of time zones come from: read once, at the first use after the start.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TimeZonesBody {
    /// `system` or `bundled`.
    source: &'static str,
    /// Release of the IANA database, such as `2026b`; null when the system does not say.
    #[schema(required)]
    version: Option<String>,
    /// The folder, of the system's copy.
    #[schema(required)]
    path: Option<String>,
    /// Release of the copy in the program.
    bundled_version: &'static str,
    /// All of it in words, such as `system 2026b at /usr/share/zoneinfo`.
    summary: String,
}

/// How alerting itself is doing.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AlertsStatusBody {
    /// Whether rules are evaluated.
    enabled: bool,
    /// The last evaluation.
    #[schema(format = DateTime, required)]
    last_evaluated_at: Option<String>,
    /// Evaluations since the start.
    evaluations_total: u64,
    /// Evaluations skipped because the previous one was still running.
    missed_evaluations_total: u64,
    /// Evaluations that could not be written down.
    failed_evaluations_total: u64,
    /// Rules that fire; `null` while the file cannot be read.
    #[schema(required)]
    firing_rules: Option<usize>,
    /// Rules that cannot be evaluated for want of a number, or are disabled; `null` while the file cannot be read.
    #[schema(required)]
    inactive_rules: Option<usize>,
    /// Messages that wait; `null` while the file cannot be read.
    #[schema(required)]
    outbox_pending: Option<u64>,
    /// Messages given up since the start.
    outbox_dead_total: u64,
}

/// Whether the server accepts telemetry and responds to queries, in short.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HealthBody {
    /// `ok` or `degraded`.
    status: &'static str,
    /// Reasons for the degraded state, as text.
    problems: Vec<String>,
    /// Records that wait for the writer.
    queue_records: u64,
    /// Maximum number of waiting records.
    queue_max_records: u64,
    /// 99th percentile of the time of a transaction of the last minutes.
    #[schema(required)]
    commit_p99_ms: Option<f64>,
    /// End of the last transaction that succeeded.
    #[schema(format = DateTime, required)]
    last_commit_at: Option<String>,
    /// Age of the oldest record that is not rolled up; `null` while the file cannot be read.
    #[schema(required)]
    compaction_lag_ms: Option<u64>,
    /// Records dropped by the collector or refused because the queue was full, since the start.
    dropped_total: u64,
    /// The database file and its log.
    storage_bytes: u64,
    /// Memory of the hot cache.
    cache_bytes: u64,
}

/// A short word.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WordBody {
    /// `ok`.
    status: &'static str,
}

fn word(status: &Status) -> &'static str {
    if status.problems.is_empty() { "ok" } else { "degraded" }
}

impl StatusBody {
    fn new(status: Status, alerts: &AlertHealth, now: Timestamp) -> Self {
        let zones = Tz::data();
        Self {
            version: env!("CARGO_PKG_VERSION"),
            status: word(&status),
            started_at: status.started_at.to_string(),
            uptime_s: (now.as_unix_ms() - status.started_at.as_unix_ms()) / 1_000,
            schema_version: status.schema_version,
            time_zones: TimeZonesBody {
                source: zones.source().as_str(),
                version: zones.version().map(str::to_owned),
                path: zones.folder().map(|folder| folder.display().to_string()),
                bundled_version: ZoneData::bundled_version(),
                summary: zones.to_string(),
            },
            problems: status.problems,
            ingest: status.ingest,
            collector: status.collector,
            gateway: status.gateway,
            compactor: status.compactor,
            storage: status.storage,
            cache: status.cache,
            dimensions: status.dimensions,
            clock: status.clock,
            clock_skew: status.clock_skew,
            backup: status.backup,
            alerts: AlertsStatusBody {
                enabled: alerts.enabled,
                last_evaluated_at: alerts.counts.evaluated_at.map(|at| at.to_string()),
                evaluations_total: alerts.counts.evaluations_total,
                missed_evaluations_total: alerts.counts.missed_total,
                failed_evaluations_total: alerts.counts.failed_total,
                firing_rules: alerts.rules_in(RuleState::Firing),
                inactive_rules: alerts.rules_in(RuleState::Inactive),
                outbox_pending: alerts.pending(),
                outbox_dead_total: alerts.channels.iter().map(|channel| channel.dead_total).sum(),
            },
        }
    }
}

/// The state of every part
#[utoipa::path(
    get,
    path = "/api/status",
    tag = "status",
    responses((status = 200, description = "The state.", body = StatusBody), ReadProblems),
)]
pub(crate) async fn status(
    State(app): State<App>,
    _: AllSpaces,
    _: NoQuery,
) -> Result<Json<StatusBody>, Problem> {
    let now = app.service.now();
    let body = app
        .queries
        .run(move |service| Ok(StatusBody::new(service.status()?, &service.alert_health(), now)));
    Ok(Json(body.await?))
}

/// Whether the server accepts telemetry and responds to queries
#[utoipa::path(
    get,
    path = "/api/telemetry/health",
    tag = "status",
    responses((status = 200, description = "In short.", body = HealthBody), ReadProblems),
)]
pub(crate) async fn telemetry_health(
    State(app): State<App>,
    _: AllSpaces,
    _: NoQuery,
) -> Result<Json<HealthBody>, Problem> {
    let status = app.queries.run(Chatgauge::status).await?;
    Ok(Json(HealthBody {
        status: word(&status),
        queue_records: status.ingest.queue_records,
        queue_max_records: status.ingest.queue_max_records,
        commit_p99_ms: status.ingest.commit_p99_ms,
        last_commit_at: status.ingest.last_commit_at.map(|at| at.to_string()),
        compaction_lag_ms: status.compactor.lag_ms,
        dropped_total: status.collector.dropped_total + status.ingest.overloaded_total,
        storage_bytes: status.storage.database_bytes + status.storage.wal_bytes,
        cache_bytes: status.cache.bytes,
        problems: status.problems,
    }))
}

/// Whether the process is alive
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "status",
    responses((status = 200, description = "It is.", body = WordBody)),
    security(()),
)]
pub(crate) async fn healthz() -> Json<WordBody> {
    Json(WordBody { status: "ok" })
}

/// Whether a record can be committed now
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "status",
    responses(
        (status = 200, description = "It can.", body = WordBody),
        NotReadyProblems,
    ),
    security(()),
)]
pub(crate) async fn readyz(State(app): State<App>) -> Result<Json<WordBody>, Problem> {
    app.service.ready().map_err(|error| {
        // The route is open to all, so paths and causes are only in the log.
        let words = error.storage_kind().map_or("not ready", StorageErrorKind::public_words);
        Problem::new(ProblemKind::Unavailable, words).retry_after(1)
    })?;
    Ok(healthz().await)
}
