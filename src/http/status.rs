//! How the server itself is doing: `/healthz`, `/readyz`, `/api/status`, `/api/telemetry/health`.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::extract::AllSpaces;
use super::openapi::{NotReadyProblems, ReadProblems};
use super::params::NoQuery;
use super::problem::{Kind, Problem};
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
use crate::service::AlertHealth;

/// The state of every part.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StatusBody {
    /// Version of the program.
    version: &'static str,
    /// `ok` or `degraded`.
    status: &'static str,
    /// What is wrong, in words.
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

impl From<&ZoneData> for TimeZonesBody {
    fn from(data: &ZoneData) -> Self {
        Self {
            source: data.source().as_str(),
            version: data.version().map(str::to_owned),
            path: data.folder().map(|folder| folder.display().to_string()),
            bundled_version: ZoneData::bundled_version(),
            summary: data.to_string(),
        }
    }
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
    /// Evaluations left out because the one before was still running.
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

impl From<AlertHealth> for AlertsStatusBody {
    fn from(health: AlertHealth) -> Self {
        Self {
            enabled: health.enabled,
            last_evaluated_at: health.counts.evaluated_at.map(|at| at.to_string()),
            evaluations_total: health.counts.evaluations_total,
            missed_evaluations_total: health.counts.missed_total,
            failed_evaluations_total: health.counts.failed_total,
            firing_rules: health.rules_in(RuleState::Firing),
            inactive_rules: health.rules_in(RuleState::Inactive),
            outbox_pending: health.pending(),
            outbox_dead_total: health.channels.iter().map(|channel| channel.dead_total).sum(),
        }
    }
}

/// Whether telemetry is taken in and answered, in short.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HealthBody {
    /// `ok` or `degraded`.
    status: &'static str,
    /// What is wrong, in words.
    problems: Vec<String>,
    /// Records that wait for the writer.
    queue_records: u64,
    /// Most records that may wait.
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
    fn new(status: Status, alerts: AlertHealth, now: Timestamp) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            status: word(&status),
            started_at: status.started_at.to_string(),
            uptime_s: (now.as_unix_ms() - status.started_at.as_unix_ms()) / 1_000,
            schema_version: status.schema_version,
            time_zones: Tz::data().into(),
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
            alerts: alerts.into(),
        }
    }
}

impl From<Status> for HealthBody {
    fn from(status: Status) -> Self {
        Self {
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
        }
    }
}

/// The state of every part
#[utoipa::path(
    get,
    path = "/api/status",
    operation_id = "status",
    tag = "status",
    responses((status = 200, description = "The state.", body = StatusBody), ReadProblems),
)]
pub(crate) async fn status(
    State(app): State<App>,
    _: AllSpaces,
    _: NoQuery,
) -> Result<Json<StatusBody>, Problem> {
    let now = app.service().now();
    let both = app.ask(|service| Ok((service.status()?, service.alert_health())));
    let (status, alerts) = both.await?;
    Ok(Json(StatusBody::new(status, alerts, now)))
}

/// Whether telemetry is taken in and answered
#[utoipa::path(
    get,
    path = "/api/telemetry/health",
    operation_id = "telemetry_health",
    tag = "status",
    responses((status = 200, description = "In short.", body = HealthBody), ReadProblems),
)]
pub(crate) async fn health(
    State(app): State<App>,
    _: AllSpaces,
    _: NoQuery,
) -> Result<Json<HealthBody>, Problem> {
    Ok(Json(app.ask(crate::service::Chatgauge::status).await?.into()))
}

/// Whether the process is alive
#[utoipa::path(
    get,
    path = "/healthz",
    operation_id = "healthz",
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
    operation_id = "readyz",
    tag = "status",
    responses(
        (status = 200, description = "It can.", body = WordBody),
        NotReadyProblems,
    ),
    security(()),
)]
pub(crate) async fn readyz(State(app): State<App>) -> Result<Json<WordBody>, Problem> {
    match app.service().ready() {
        Ok(()) => Ok(Json(WordBody { status: "ok" })),
        Err(error) => {
            // Open to all, so without words about files and disks; those are in the log.
            let words = error.storage_kind().map_or("not ready", StorageErrorKind::public_words);
            Err(Problem::new(Kind::Unavailable, words).retry_after(1))
        }
    }
}
