//! The status of the service.

use serde::Serialize;

use crate::model::{Measures, Timestamp};

/// The status of every part of the service; durations in ms, sizes in bytes, counters since the start
/// unless stated otherwise.
#[derive(Clone, Debug)]
pub struct Status {
    /// Start of the service.
    pub started_at: Timestamp,
    /// Version of the schema of the file.
    pub schema_version: u32,
    /// Record intake.
    pub ingest: IngestStatus,
    /// The in-process collector.
    pub collector: CollectorStatus,
    /// The pass-through gateway.
    pub gateway: GatewayStatus,
    /// The compactor.
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
    /// Scheduled backups; `None` if not configured.
    pub backup: Option<BackupStatus>,
    /// Whether a part of `storage` or `compactor` could not be read.
    pub is_storage_unread: bool,
    /// Current problems in words; empty if there are none.
    pub problems: Vec<String>,
}

/// The queue and the writer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, utoipa::ToSchema)]
pub struct IngestStatus {
    /// Queue depth in records.
    pub queue_records: u64,
    /// Maximum queue depth in records.
    pub queue_max_records: u64,
    /// Records stored.
    pub accepted_total: u64,
    /// Records that were already stored.
    pub duplicates_total: u64,
    /// Records rejected one by one because of a field.
    pub rejected_total: u64,
    /// Those rejected because retention has deleted the raw rows of their day.
    pub rejected_after_retention_total: u64,
    /// Records rejected because the queue was full.
    pub overloaded_total: u64,
    /// Content-like fields dropped unread.
    pub dropped_content_fields_total: u64,
    /// Transactions.
    pub commits_total: u64,
    /// Transactions that failed and were rolled back.
    pub failed_commits_total: u64,
    /// Median duration of a transaction in the last minutes.
    pub commit_median_ms: Option<f64>,
    /// 99th percentile of the duration of a transaction in the last minutes.
    pub commit_p99_ms: Option<f64>,
    /// Total duration of all transactions, in seconds.
    pub commit_seconds_total: f64,
    /// End of the last successful transaction.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_commit_at: Option<Timestamp>,
}

/// The in-process collector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, utoipa::ToSchema)]
pub struct CollectorStatus {
    /// Requests in flight.
    pub in_flight: u64,
    /// Finished requests in the queue.
    pub queue_records: u64,
    /// Records dropped because the queue was full.
    pub dropped_total: u64,
    /// Requests that were started by id and never ended.
    pub abandoned_total: u64,
}

/// The pass-through gateway; counters since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, utoipa::ToSchema)]
pub struct GatewayStatus {
    /// Recorded requests.
    pub recorded_total: u64,
    /// Requests that were proxied but not recorded: all paths except the four.
    pub passed_through_total: u64,
    /// Rejected requests: unknown upstream, too large, or too many in flight.
    pub refused_total: u64,
    /// Upstream responses whose head arrived.
    pub first_bytes_total: u64,
    /// Total time from sending requests upstream to the heads of their responses, in seconds.
    pub first_byte_seconds_total: f64,
    /// Responses whose head was sent.
    pub responses_total: u64,
    /// Total time that the gateway itself added until then, in seconds.
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
    /// The write-ahead log.
    pub wal_bytes: u64,
    /// Free pages of the database file, in bytes; `null` while the file cannot be read.
    pub free_bytes: Option<u64>,
    /// Raw rows kept; `null` while the file cannot be read.
    pub requests: Option<u64>,
    /// Start of the oldest request with a raw row; `null` if there is none or the file cannot be read.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub oldest_request_at: Option<Timestamp>,
    /// Whether the last write failed because the disk is full.
    pub disk_full: bool,
}

/// The hot cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, utoipa::ToSchema)]
pub struct CacheStatus {
    /// Memory in use.
    pub bytes: u64,
    /// Maximum memory.
    pub max_bytes: u64,
    /// Groups held.
    pub groups: u64,
    /// Cache hits.
    pub hits_total: u64,
    /// Cache misses.
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
    /// Records with a value grouped as `(other)` because of a cardinality limit.
    pub overflowed_total: u64,
}

/// The server's clock compared with the last stored time and the time that has passed since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct ClockStatus {
    /// How far the clock is ahead; negative if it is behind; 0 within a second.
    pub ahead_ms: i64,
    /// The time that ages are relative to: never ahead of the time that has passed, until the clock has been ahead for a day.
    #[schema(value_type = String, format = DateTime)]
    pub retention_at: Timestamp,
    /// Minimum time for which nothing is deleted because of its age, because the clock was more than an hour past the stored
    /// time at the start; 0 if retention by age is active.
    pub retention_paused_ms: u64,
}

/// The clocks of senders against the server's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct ClockSkewStatus {
    /// Records received from other machines in the last hour; at most the latest 1,000.
    pub records: u64,
    /// Those dated more than 5 minutes ahead of the server's clock.
    pub ahead_records: u64,
    /// Median time by which those were ahead; `null` if there are none.
    pub ahead_median_ms: Option<u64>,
}

/// Scheduled backups.
#[derive(Clone, Debug, Default, PartialEq, Serialize, utoipa::ToSchema)]
pub struct BackupStatus {
    /// Time of the snapshot in the last backup, which an earlier run of the server may have made.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_success_at: Option<Timestamp>,
    /// The file of the last backup.
    pub last_file: Option<String>,
    /// Size of the last backup.
    pub last_bytes: Option<u64>,
    /// Time to copy and verify the last backup; `null` if an earlier run of the server made it.
    pub last_duration_ms: Option<u64>,
    /// Whether a backup is running.
    pub is_running: bool,
    /// Time at which the schedule's next backup is due.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub due_at: Option<Timestamp>,
    /// Time of the next attempt; after a failure, later than `due_at`.
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
    /// Why old backups could not be deleted; `null` if they were deleted.
    pub prune_error: Option<String>,
    /// Backups of this database dated more than an hour after the server's clock; rotation neither counts nor deletes them.
    pub future_files: u64,
    /// The one with the latest date.
    pub latest_future_file: Option<String>,
}

/// Everything ever stored of one model, whatever retention has deleted: monotonic counters, also over a restart.
#[derive(Clone, Debug)]
pub struct ModelTotals {
    /// Provider of the model; `(none)` if unknown.
    pub provider: String,
    /// Name of the model; `(none)` if unknown.
    pub model: String,
    /// Sums, with a sketch of each of the four latencies.
    pub measures: Measures,
}
