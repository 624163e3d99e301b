//! Status of all parts of the service.

use std::sync::atomic::Ordering;

use super::{Chatgauge, ServiceCore, all_time, backups};
use crate::error::{Result, StorageErrorKind};
use crate::model::measures::as_f64;
use crate::model::quantile::exact_quantile;
use crate::model::{Dimension, LatencyKind, Measures, Timestamp};
use crate::query::status::{
    CacheStatus, CollectorStatus, CompactorStatus, DimensionsStatus, IngestStatus, StorageStatus,
};
use crate::query::{ModelTotals, Query, Status};
use crate::store::{DayRow, Reader, Store, pruned_flag};

/// A compactor lag above this is a problem, in milliseconds.
const LAG_PROBLEM_MS: u64 = 60_000;
/// How long a start without the WAL is reported as a problem, in monotonic microseconds: one day.
const WAL_MISSING_US: u64 = 86_400_000_000;
/// How long damage found by a read is reported as a problem, in milliseconds.
const DAMAGE_PROBLEM_MS: i64 = 600_000;
/// A WAL larger than this is a problem, in bytes; when it restarts, SQLite truncates it to half of
/// this.
const WAL_PROBLEM_BYTES: u64 = 128 << 20;
/// Maximum number of provider and model pairs in a Prometheus scrape; others are grouped as
/// `(other)`.
const SCRAPED_MODELS: usize = 500;

impl Chatgauge {
    /// Status of all parts. Data that cannot be read is omitted and reported as a problem.
    ///
    /// # Errors
    /// Currently none.
    pub fn status(&self) -> Result<Status> {
        let shared = self.shared();
        let mut found = Vec::new();
        let now = self.now();
        let stored = shared.store.read(StoredStatus::read).unwrap_or_else(|error| {
            found.push(format!("the file cannot be read: {error}"));
            StoredStatus::read_by_parts(&shared.store)
        });
        let (storage, compactor) = shared.stored_status(&stored, now);
        let mut status = Status {
            started_at: shared.started_at,
            schema_version: crate::store::schema_version(),
            ingest: shared.ingest_status(),
            collector: shared.collector_status(),
            gateway: shared.gateway.status(),
            compactor,
            storage,
            cache: shared.cache_status(),
            dimensions: shared.dimensions_status(),
            clock: shared.clock_status(),
            clock_skew: shared.clock_skew_status(),
            backup: shared.backups.status(&shared.config),
            is_storage_unread: !found.is_empty(),
            problems: found,
        };
        let not_ready = shared.readiness().err();
        let not_ready = not_ready.map(|error| format!("records cannot be committed: {error}"));
        let backup = status.backup.iter();
        let backup = backup.flat_map(|backup| backups::problems(backup, shared.started_at, now));
        let problems: Vec<String> = not_ready
            .into_iter()
            .chain(problems(&status, shared.recent_problems(), shared.store.other_names()))
            .chain(shared.wal_problem())
            .chain(shared.clock_problems())
            .chain(backup)
            .chain(shared.damage_problem(now))
            .chain(self.alert_health().problems)
            .collect();
        status.problems.extend(problems);
        Ok(status)
    }

    /// Whether a record can be committed now, by the latest commits or a probe. Never blocks.
    ///
    /// # Errors
    /// Returns the obstacle.
    pub fn ready(&self) -> Result<()> {
        self.shared().readiness()
    }

    /// Status of the in-process collector; never blocks.
    pub fn status_of_collector(&self) -> CollectorStatus {
        self.shared().collector_status()
    }

    /// Totals of all requests ever stored, by provider and model, including pruned ones.
    pub fn prometheus_totals(&self) -> Result<Vec<ModelTotals>> {
        let query = Query {
            group_by: vec![Dimension::Provider, Dimension::Model],
            quantiles: LatencyKind::ALL.to_vec(),
            max_series: SCRAPED_MODELS,
            ..Query::total(all_time())
        };
        let result = self.engine().query(&query)?;
        let totals = result.series.into_iter().map(|series| {
            let mut names = series.group.into_iter();
            let (provider, model) = (names.next(), names.next());
            let mut buckets = series.buckets.into_iter();
            ModelTotals {
                provider: provider.unwrap_or_default(),
                model: model.unwrap_or_default(),
                measures: buckets.next().unwrap_or_else(Measures::default),
            }
        });
        Ok(totals.collect())
    }
}

impl ServiceCore {
    fn ingest_status(&self) -> IngestStatus {
        let stats = self.queue.stats();
        let mut commit_us = self.queue.commit_us();
        let mut quantile_ms = |q| exact_quantile(commit_us.make_contiguous(), q).map(ms);
        IngestStatus {
            queue_records: as_u64(stats.queued_records),
            queue_max_records: as_u64(self.config.ingest.queue_max_records),
            accepted_total: stats.accepted,
            duplicates_total: stats.duplicates,
            rejected_total: self.rejected.load(Ordering::Relaxed) + stats.after_retention,
            rejected_after_retention_total: stats.after_retention,
            overloaded_total: stats.overloaded,
            dropped_content_fields_total: self.dropped_content_fields.load(Ordering::Relaxed),
            commits_total: stats.commits,
            failed_commits_total: stats.failed_commits,
            commit_median_ms: quantile_ms(0.50),
            commit_p99_ms: quantile_ms(0.99),
            commit_seconds_total: ms(stats.commit_total_us) / 1_000.0,
            last_commit_at: stats.last_commit_at,
        }
    }

    fn collector_status(&self) -> CollectorStatus {
        let stats = self.collector.stats();
        CollectorStatus {
            in_flight: stats.in_flight,
            queue_records: stats.queued,
            dropped_total: self.collector_dropped(),
            abandoned_total: stats.abandoned,
        }
    }

    /// Requests that the collector dropped or that could not be stored.
    pub(super) fn collector_dropped(&self) -> u64 {
        self.collector.stats().dropped + self.collector_lost.load(Ordering::Relaxed)
    }

    /// The status of the file as far as known without reading it.
    fn file_status(&self) -> StorageStatus {
        let sizes = self.store.file_sizes();
        let failing = self.store.health().failing().map(|source| source.kind);
        StorageStatus {
            database_bytes: sizes.database_bytes,
            wal_bytes: sizes.wal_bytes,
            disk_full: failing == Some(StorageErrorKind::DiskFull),
            ..StorageStatus::default()
        }
    }

    fn cache_status(&self) -> CacheStatus {
        let (hits_total, misses_total) = self.engine.hot_uses();
        CacheStatus {
            bytes: as_u64(self.engine.cache_bytes()),
            max_bytes: as_u64(self.config.query.hot_cache_max_bytes),
            groups: as_u64(self.engine.hot_groups()),
            hits_total,
            misses_total,
        }
    }

    fn dimensions_status(&self) -> DimensionsStatus {
        let caps = self.queue.dimension_caps();
        let overflowed_total = caps.iter().map(|caps| caps.overflowed).sum();
        let [users, spaces, models, labels] = caps.map(|caps| caps.distinct);
        DimensionsStatus { users, spaces, models, labels, overflowed_total }
    }

    /// Reported for a day after a start without the WAL.
    fn wal_problem(&self) -> Option<String> {
        let uptime_us = self.clock.monotonic_us().saturating_sub(self.started_us);
        (self.store.wal_is_missing() && uptime_us < WAL_MISSING_US).then(|| {
            "started without the write-ahead log of the previous server: its latest records may be missing".to_owned()
        })
    }

    /// Damage that a read or write has found recently.
    fn damage_problem(&self, now: Timestamp) -> Option<String> {
        let seen = self.store.damage_seen().last()?;
        (seen.at >= Some(now.plus_ms(-DAMAGE_PROBLEM_MS))).then(|| {
            format!(
                "a damaged page was found {} times, last while {}: run `chatgauge check`",
                seen.times, seen.operation
            )
        })
    }

    fn stored_status(
        &self,
        stored: &StoredStatus,
        now: Timestamp,
    ) -> (StorageStatus, CompactorStatus) {
        let lag_records = stored.seqs.map(|(watermark, last)| unsigned(last - watermark));
        let days = stored.days.as_deref();
        let kept =
            || days.map(|days| days.iter().filter(|day| day.pruned & pruned_flag(None) == 0));
        let kept_requests = kept().map(|days| unsigned(days.map(|day| day.requests).sum()));
        let oldest_at = kept().and_then(|days| days.map(|day| day.min_started_at_ms).min());
        let storage = StorageStatus {
            free_bytes: stored.free_bytes.map(unsigned),
            requests: kept_requests.zip(lag_records).map(|(kept, lag)| kept + lag),
            oldest_request_at: oldest_at.map(Timestamp::from_unix_ms),
            ..self.file_status()
        };
        let compactor = CompactorStatus {
            lag_records,
            lag_ms: lag_records.zip(days).map(|(lag, days)| self.lag_ms(lag, days, now)),
            watermark_seq: stored.seqs.map(|(watermark, _)| watermark),
            compacted_total: self.compacted.load(Ordering::Relaxed),
            failed_runs_total: self.failed_compactions.load(Ordering::Relaxed),
        };
        (storage, compactor)
    }

    /// Time since the last change of the rollups while rows wait to be rolled up.
    fn lag_ms(&self, lag_records: u64, days: &[DayRow], now: Timestamp) -> u64 {
        let changed_at_ms = days.iter().map(|day| day.changed_at_ms).max();
        let since_ms = changed_at_ms.unwrap_or_else(|| self.started_at.as_unix_ms());
        if lag_records > 0 { unsigned(now.as_unix_ms() - since_ms) } else { 0 }
    }
}

/// Status read from the file; `None` for unreadable parts.
#[derive(Debug)]
struct StoredStatus {
    /// The last row that is rolled up, and the last row.
    seqs: Option<(i64, i64)>,
    days: Option<Vec<DayRow>>,
    free_bytes: Option<i64>,
}

impl StoredStatus {
    /// Everything, from one snapshot.
    fn read(reader: &Reader<'_>) -> Result<Self> {
        Ok(Self {
            seqs: Some(seqs(reader)?),
            days: Some(reader.days()?),
            free_bytes: Some(reader.page_bytes()?.1),
        })
    }

    /// Everything that can be read separately, if not all is readable.
    fn read_by_parts(store: &Store) -> Self {
        Self {
            seqs: store.read(seqs).ok(),
            days: store.read(|reader| reader.days()).ok(),
            free_bytes: store.read(|reader| reader.page_bytes()).ok().map(|(_, free)| free),
        }
    }
}

fn seqs(reader: &Reader<'_>) -> Result<(i64, i64)> {
    Ok((reader.watermark_seq()?, reader.last_seq()?))
}

/// Problems, as texts.
fn problems(
    status: &Status,
    [dropped, overflowed]: [Option<u64>; 2],
    other_names: u64,
) -> Vec<String> {
    let wal_bytes = status.storage.wal_bytes;
    let (queued, max) = (status.ingest.queue_records, status.ingest.queue_max_records);
    let lag_ms = status.compactor.lag_ms.unwrap_or(0);
    let recent = |total: Option<u64>, what: &str| {
        total.map(|total| format!("{what} in the last ten minutes ({total} since startup)"))
    };
    let found = [
        (wal_bytes > WAL_PROBLEM_BYTES).then(|| {
            let megabytes = wal_bytes / 1_000_000;
            format!("the WAL has {megabytes} MB: a long-running reader prevents a complete checkpoint")
        }),
        (other_names > 0).then(|| {
            format!("the database file has {other_names} other names (hard links); remove them")
        }),
        (queued.saturating_mul(5) >= max.saturating_mul(4)).then(|| {
            format!("{queued} of {max} records are queued: when the queue is full, records are rejected with 503")
        }),
        (lag_ms > LAG_PROBLEM_MS).then(|| format!("rollups lag {} s behind", lag_ms / 1_000)),
        recent(dropped, "requests from the collector were dropped"),
        recent(
            overflowed,
            "values were grouped as (other), because a cardinality limit is reached,",
        ),
    ];
    found.into_iter().flatten().collect()
}

pub(super) fn ms(us: u64) -> f64 {
    as_f64(i64::try_from(us).unwrap_or(i64::MAX)) / 1_000.0
}

fn as_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nearly_full_queue_is_a_problem_before_records_are_rejected() {
        let with_queue = |queue_records| Status {
            started_at: Timestamp::from_unix_ms(0),
            schema_version: 1,
            ingest: IngestStatus {
                queue_records,
                queue_max_records: 1_000,
                ..IngestStatus::default()
            },
            collector: CollectorStatus::default(),
            gateway: crate::query::status::GatewayStatus::default(),
            compactor: CompactorStatus::default(),
            storage: StorageStatus::default(),
            cache: CacheStatus::default(),
            dimensions: DimensionsStatus::default(),
            clock: crate::query::status::ClockStatus {
                ahead_ms: 0,
                retention_at: Timestamp::from_unix_ms(0),
                retention_paused_ms: 0,
            },
            clock_skew: crate::query::status::ClockSkewStatus::default(),
            backup: None,
            is_storage_unread: false,
            problems: Vec::new(),
        };
        assert!(problems(&with_queue(799), [None; 2], 0).is_empty());
        let problems = problems(&with_queue(800), [None; 2], 0);
        assert!(problems[0].starts_with("800 of 1000 records are queued"), "{problems:?}");
    }
}
