//! How the service is doing, in numbers.

use serde::Serialize;

use crate::model::{Measures, Timestamp};

/// The state of every part of the service; durations in ms, sizes in bytes, counters since the start
/// unless they say otherwise.
#[derive(Clone, Debug)]
pub struct Status {
    /// Start of the service.
    pub started_at: Timestamp,
    /// Version of the schema of the file.
    pub schema_version: u32,
    /// Taking records in.
    pub ingest: IngestStatus,
    /// The in-process collector.
    pub collector: CollectorStatus,
    /// The pass-through gateway.
    pub gateway: GatewayStatus,
    /// Rolling up.
    pub compactor: CompactorStatus,
    /// The file.
    pub storage: StorageStatus,
    /// The hot cache.
    pub cache: CacheStatus,
    /// Distinct values of the interned dimensions.
    pub dimensions: DimensionsStatus,
    /// The server's clock.
    pub clock: ClockStatus,
    /// The clocks of senders.
    pub clock_skew: ClockSkewStatus,
    /// Scheduled backups; `None`: there are none.
    pub backup: Option<BackupStatus>,
    /// Whether a part of `storage` or `compactor` could not be read.
    pub is_storage_unread: bool,
    /// What is wrong, in words; empty when all is well.
    pub problems: Vec<String>,
}

/// The queue and the writer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, utoipa::ToSchema)]
pub struct IngestStatus {
    /// Records that wait for the writer.
    pub queue_records: u64,
    /// Most records that may wait.
    pub queue_max_records: u64,
    /// Records stored.
    pub accepted_total: u64,
    /// Records that were stored before.
    pub duplicates_total: u64,
    /// Records rejected one by one because of a field.
    pub rejected_total: u64,
    /// Those of them whose day's single requests retention has deleted.
    pub rejected_after_retention_total: u64,
    /// Records refused because the queue was full.
    pub overloaded_total: u64,
    /// Content-like fields dropped unread.
    pub dropped_content_fields_total: u64,
    /// Transactions.
    pub commits_total: u64,
    /// Transactions that failed and were rolled back.
    pub failed_commits_total: u64,
    /// Median time of a transaction of the last minutes.
    pub commit_median_ms: Option<f64>,
    /// 99th percentile of the time of a transaction of the last minutes.
    pub commit_p99_ms: Option<f64>,
    /// Sum of the times of all transactions, in seconds.
    pub commit_seconds_total: f64,
    /// End of the last transaction that succeeded.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_commit_at: Option<Timestamp>,
}

/// The in-process collector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, utoipa::ToSchema)]
pub struct CollectorStatus {
    /// Requests started and not completed.
    pub in_flight: u64,
    /// Records that wait to be handed to the writer.
    pub queue_records: u64,
    /// Records dropped because the queue was full.
    pub dropped_total: u64,
    /// Requests that were started and never completed.
    pub abandoned_total: u64,
}

/// The pass-through gateway; counters since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, utoipa::ToSchema)]
pub struct GatewayStatus {
    /// Requests that are recorded.
    pub recorded_total: u64,
    /// Requests that are only passed on: other paths than the four.
    pub passed_through_total: u64,
    /// Requests that went nowhere: an unknown upstream, too large, too many at once.
    pub refused_total: u64,
    /// Answers of upstreams that began.
    pub first_bytes_total: u64,
    /// Time from asking the upstream to the head of its answer, all of them, in seconds.
    pub first_byte_seconds_total: f64,
    /// Answers that were begun.
    pub responses_total: u64,
    /// Time that the gateway itself took until then, all of them, in seconds.
    pub overhead_seconds_total: f64,
}

/// The compactor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, utoipa::ToSchema)]
pub struct CompactorStatus {
    /// Raw rows after the watermark; `null` while the file cannot be read.
    pub lag_records: Option<u64>,
    /// Age of the oldest raw row after the watermark; `null` while the file cannot be read.
    pub lag_ms: Option<u64>,
    /// The last raw row that the rollups include; `null` while the file cannot be read.
    pub watermark_seq: Option<i64>,
    /// Raw rows rolled up.
    pub compacted_total: u64,
    /// Runs that failed and were rolled back.
    pub failed_runs_total: u64,
}

/// The file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, utoipa::ToSchema)]
pub struct StorageStatus {
    /// The database file.
    pub database_bytes: u64,
    /// Its write-ahead log.
    pub wal_bytes: u64,
    /// The part of the database file that is free for reuse; `null` while the file cannot be read.
    pub free_bytes: Option<u64>,
    /// Raw rows kept; `null` while the file cannot be read.
    pub requests: Option<u64>,
    /// Start of the oldest request of which the raw row is kept; `null` when there is none, or the file cannot be read.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub oldest_request_at: Option<Timestamp>,
    /// The last write failed for want of space.
    pub disk_full: bool,
}

/// The hot cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, utoipa::ToSchema)]
pub struct CacheStatus {
    /// Memory in use.
    pub bytes: u64,
    /// Most memory it may use.
    pub max_bytes: u64,
    /// Groups held.
    pub groups: u64,
    /// Answers given.
    pub hits_total: u64,
    /// Questions passed on to the database.
    pub misses_total: u64,
}

/// Distinct values of the interned dimensions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, utoipa::ToSchema)]
pub struct DimensionsStatus {
    /// Users.
    pub users: u64,
    /// Spaces.
    pub spaces: u64,
    /// Pairs of provider and model.
    pub models: u64,
    /// Operations, error codes and finish reasons together.
    pub labels: u64,
    /// Records of which a value went to `(other)` because a cap was reached.
    pub overflowed_total: u64,
}

/// The server's clock against the last one that was stored and the time that has passed since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct ClockStatus {
    /// How far the clock is ahead; below 0: behind; 0 within a second.
    pub ahead_ms: i64,
    /// What ages are counted by: never ahead of the time that has passed, until the clock has been ahead for a day.
    #[schema(value_type = String, format = DateTime)]
    pub retention_at: Timestamp,
    /// For how long, at least, nothing is deleted because of its age: the clock was more than an hour past the stored one
    /// at the start. 0: ages count.
    pub retention_paused_ms: u64,
}

/// The clocks of senders against the server's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct ClockSkewStatus {
    /// Records of the last hour that other machines sent, the latest 1,000 at most.
    pub records: u64,
    /// Those of them that were dated more than 5 minutes ahead of the server's clock.
    pub ahead_records: u64,
    /// How far those were ahead, the median; null when there are none.
    pub ahead_median_ms: Option<u64>,
}

/// Scheduled backups.
#[derive(Clone, Debug, Default, PartialEq, Serialize, utoipa::ToSchema)]
pub struct BackupStatus {
    /// Moment of the snapshot that the last backup holds; backups of earlier runs of the server count.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_success_at: Option<Timestamp>,
    /// The file of the last backup.
    pub last_file: Option<String>,
    /// Size of the last backup.
    pub last_bytes: Option<u64>,
    /// Time to copy and verify the last backup; `null` when an earlier run of the server made it.
    pub last_duration_ms: Option<u64>,
    /// Whether one is being made.
    pub is_running: bool,
    /// When the next backup is due by the schedule.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub due_at: Option<Timestamp>,
    /// The next attempt: after a failure later than `due_at`.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_at: Option<Timestamp>,
    /// Failed attempts since the start.
    pub failures_total: u64,
    /// Failed attempts since the last success.
    pub failures: u64,
    /// The last failed attempt.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_failure_at: Option<Timestamp>,
    /// Why the last attempt failed; `null` after a success.
    pub last_error: Option<String>,
    /// Why old backups could not be deleted; `null` when they were.
    pub prune_error: Option<String>,
    /// Backups of this database that are dated more than an hour after the server's clock: they are neither counted nor
    /// deleted.
    pub future_files: u64,
    /// The one of them with the latest date.
    pub latest_future_file: Option<String>,
}

/// Everything ever stored of one model, retention notwithstanding: what never goes back, even over a
/// restart.
#[derive(Clone, Debug)]
pub struct ModelTotals {
    /// Who runs the model; `(none)` when unknown.
    pub provider: String,
    /// Name of the model; `(none)` when unknown.
    pub model: String,
    /// Sums, with a sketch of each of the four latencies.
    pub measures: Measures,
}
