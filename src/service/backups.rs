//! Scheduled backups: the backup thread and its status.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{ServiceCore, key_path};
use crate::backup::{
    BackupJob, BackupReport, BackupRequest, CopyStage, CopyWatch, DatedBackup, DatedBackups,
    FoundBackups, PrunedBackups, next_due,
};
use crate::config::{BackupConfig, Config};
use crate::error::{Error, Result};
use crate::model::Timestamp;
use crate::model::time::{HOUR_MS, MINUTE_MS};
use crate::query::status::BackupStatus;

/// Interval at which the thread checks whether a backup is due.
const TICK: Duration = Duration::from_millis(500);
/// Delay after the first failed attempt, in milliseconds; it doubles with each failure.
const RETRY_MIN_MS: i64 = MINUTE_MS;
/// Maximum delay after a failed attempt, in milliseconds.
const RETRY_MAX_MS: i64 = HOUR_MS;
/// Time after its due time at which a missing backup is reported as a problem, in milliseconds.
const LATE_MS: i64 = HOUR_MS;
/// Maximum time by which a backup's date may be ahead of the clock, in milliseconds; backups dated
/// later are ignored.
const FUTURE_TOLERANCE_MS: i64 = HOUR_MS;
/// Interval at which the directory is rescanned while it has backups dated in the future, in monotonic
/// microseconds: one minute.
const RESCAN_US: u64 = 60_000_000;

/// Status of scheduled backups, shared by the backup thread and its readers.
#[derive(Debug, Default)]
pub(super) struct Backups {
    state: Mutex<BackupStatus>,
    stop: Arc<AtomicBool>,
}

impl Backups {
    fn state(&self) -> MutexGuard<'_, BackupStatus> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a running backup stop early.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    /// Returns a copy of the status; `None` if no backups are scheduled.
    pub(super) fn status(&self, config: &Config) -> Option<BackupStatus> {
        config.backup.directory.is_some().then(|| self.state().clone())
    }
}

/// The backup directory, and the backups in it that this server process created.
#[derive(Debug)]
struct Rotation {
    dated: DatedBackups,
    /// Existing backups that this process created, the latest last. Pruning counts them as the newest, whatever their
    /// dates.
    made: Vec<PathBuf>,
    /// Time of the last scan for backups dated in the future, in monotonic microseconds.
    scanned_us: u64,
}

/// Creates backups as scheduled until shutdown.
pub(super) fn backup_loop(shared: &ServiceCore) {
    let Some(directory) = &shared.config.backup.directory else { return };
    let dated = DatedBackups::new(directory, &shared.config.store.path);
    let mut rotation = Rotation { dated, made: Vec::new(), scanned_us: 0 };
    if let Err(error) = shared.find_last(&mut rotation) {
        // The first backup attempt reports the error.
        tracing::warn!(%error, "scanning existing backups failed");
    }
    while !shared.wait(TICK) {
        let now = shared.clock.now();
        if now >= shared.schedule_next(now) {
            shared.back_up(&mut rotation, now);
        }
        shared.rescan_future(&mut rotation);
    }
}

impl ServiceCore {
    fn store_id(&self) -> Result<Vec<u8>> {
        Ok(self.store.read(|reader| reader.store_state())?.store_id)
    }

    /// Removes unfinished backups that killed processes left, and restores the last success from the newest backup.
    fn find_last(&self, rotation: &mut Rotation) -> Result<()> {
        let store_id = self.store_id()?;
        rotation.dated.remove_unfinished(&store_id)?;
        if let Some(newest) = self.scan_dates(rotation, &store_id)? {
            let mut state = self.backups.state();
            state.last_success_at = Some(newest.at);
            state.last_bytes = Some(newest.bytes);
            state.last_file = Some(newest.path.display().to_string());
        }
        Ok(())
    }

    /// Scans the directory: records the backups dated in the future in the status, and returns the newest of the others.
    fn scan_dates(&self, rotation: &mut Rotation, store_id: &[u8]) -> Result<Option<DatedBackup>> {
        rotation.scanned_us = self.clock.monotonic_us();
        let until = self.trusted.read().latest.plus_ms(FUTURE_TOLERANCE_MS);
        let FoundBackups { newest, later } = rotation.dated.newest(store_id, until)?;
        let latest = later.first().map(|backup| backup.path.display().to_string());
        let count = u64::try_from(later.len()).unwrap_or(u64::MAX);
        let mut state = self.backups.state();
        if count > state.future_files {
            tracing::warn!(
                count,
                latest,
                "backups are dated in the future and ignored by the schedule and the rotation; check the clock, and rename or remove \
                 them"
            );
        }
        state.future_files = count;
        state.latest_future_file = latest;
        Ok(newest)
    }

    /// Rescans the directory every minute while the last scan found backups dated in the future.
    fn rescan_future(&self, rotation: &mut Rotation) {
        let since_us = self.clock.monotonic_us().saturating_sub(rotation.scanned_us);
        if self.backups.state().future_files == 0 || since_us < RESCAN_US {
            return;
        }
        let scanned = self.store_id().and_then(|id| self.scan_dates(rotation, &id));
        if let Err(error) = scanned {
            tracing::debug!(%error, "scanning backup dates failed");
        }
    }

    /// Returns the time of the next attempt, which is the later of the due time and the retry time, and records it in
    /// the status.
    fn schedule_next(&self, now: Timestamp) -> Timestamp {
        let config = &self.config.backup;
        let mut state = self.backups.state();
        let last = state.last_success_at.filter(|at| *at <= now.plus_ms(FUTURE_TOLERANCE_MS));
        let due = next_due(config.schedule(), last, self.started_at, self.config.time_zone);
        let retry = state.last_failure_at.filter(|_| state.failures > 0).map(|at| {
            let doublings = u32::try_from(state.failures - 1).unwrap_or(u32::MAX).min(16);
            at.plus_ms((RETRY_MIN_MS << doublings).min(RETRY_MAX_MS))
        });
        // After the clock was set back, the last failure is in the future; a retry further ahead than the maximum delay
        // is ignored.
        let retry = retry.filter(|at| *at <= now.plus_ms(RETRY_MAX_MS));
        let next = retry.map_or(due, |retry| retry.max(due));
        state.due_at = Some(due);
        state.next_at = Some(next);
        next
    }

    /// Attempts a backup and records the outcome.
    fn back_up(&self, rotation: &mut Rotation, now: Timestamp) {
        self.backups.state().is_running = true;
        let made = self.make_backup(&rotation.dated, now);
        self.record_attempt(rotation, now, made);
        self.backups.state().is_running = false;
    }

    fn record_attempt(&self, rotation: &mut Rotation, now: Timestamp, made: Result<BackupReport>) {
        let mut state = self.backups.state();
        match made {
            Ok(report) => {
                let took_us = report.copying_us + report.verifying_us;
                state.last_success_at = Some(now);
                state.last_bytes = Some(report.figures.bytes);
                state.last_duration_ms = Some(took_us / 1_000);
                state.last_file = Some(report.file.display().to_string());
                state.failures = 0;
                state.last_error = None;
                drop(state);
                tracing::info!(
                    file = %report.file.display(),
                    bytes = report.figures.bytes,
                    took_ms = took_us / 1_000,
                    "backup created and verified"
                );
                rotation.made.push(report.file);
                self.prune_backups(rotation);
            }
            // Shutdown is not a failure.
            Err(Error::Closed) if self.is_stopping() => {}
            Err(error) => {
                state.failures += 1;
                state.failures_total += 1;
                state.last_failure_at = Some(self.clock.now());
                state.last_error = Some(error.to_string());
                drop(state);
                tracing::error!(%error, "backup failed; retrying with backoff");
            }
        }
    }

    fn make_backup(&self, dated: &DatedBackups, now: Timestamp) -> Result<BackupReport> {
        let BackupConfig { with_key, max_bytes_per_s, .. } = self.config.backup;
        // An unfinished backup may be as large as the database, and the new backup needs the space.
        if let Err(error) = self.store_id().and_then(|id| dated.remove_unfinished(&id)) {
            tracing::debug!(%error, "removing unfinished backups failed; the backup fails for the same reason");
        }
        let job = BackupJob::begin(BackupRequest {
            database: self.config.store.path.clone(),
            key: key_path(&self.config),
            target: dated.path(now),
            with_key,
            overwrite: false,
            max_bytes_per_s,
            // The server recorded a missing WAL in the database when it started, and the copy includes that record.
            wal_is_missing: false,
        })?;
        let mut watch = CopyWatch {
            clock: self.clock.as_ref(),
            wait: &mut |duration| {
                self.wait(duration);
            },
            stop: Arc::clone(&self.backups.stop),
            progress: &mut |_: CopyStage| {},
        };
        let copied = self.store.read_apart(|reader| job.copy(reader, &mut watch))?;
        copied.finish(&mut watch)
    }

    /// Prunes old backups after a new one was verified, and records a failure in the status.
    fn prune_backups(&self, rotation: &mut Rotation) {
        let failed = self.prune_made(rotation).unwrap_or_else(Some);
        if let Some(error) = &failed {
            tracing::error!(%error, "deleting old backups failed; retrying after the next backup");
        }
        self.backups.state().prune_error = failed.map(|error| error.to_string());
    }

    /// Deletes the backups beyond the number to keep; a file that cannot be deleted does not stop the others. Returns
    /// the last such error.
    fn prune_made(&self, rotation: &mut Rotation) -> Result<Option<Error>> {
        let store_id = self.store_id()?;
        self.scan_dates(rotation, &store_id)?;
        let Rotation { dated, made, .. } = rotation;
        let now = self.trusted.read().trusted;
        let PrunedBackups { deleted, unknown_keys, failed } =
            dated.prune(made, &store_id, self.config.backup.keep, now)?;
        for file in &deleted {
            tracing::info!(file = %file.display(), "old backup deleted");
        }
        for file in unknown_keys {
            tracing::warn!(file = %file.display(), "the file beside a deleted backup is not that backup's key; it is kept");
        }
        made.retain(|file| !deleted.contains(file));
        Ok(failed)
    }
}

/// Describes the problems of scheduled backups: a failed or late backup, failed pruning, and files dated in the future.
pub(super) fn problems(
    status: &BackupStatus,
    started_at: Timestamp,
    now: Timestamp,
) -> Vec<String> {
    let last = match status.last_success_at {
        Some(at) => format!("the last backup is {} old", age(now.as_unix_ms() - at.as_unix_ms())),
        None => "there is no backup yet".to_owned(),
    };
    // A backup that was due before startup counts as due at startup, so that it has time to run.
    let due = status.due_at.map(|at| at.max(started_at));
    let is_late = due.is_some_and(|due| now >= due.plus_ms(LATE_MS));
    let why = match &status.last_error {
        Some(error) => Some(error.as_str()),
        None if is_late && status.is_running => Some("the next one is still running"),
        None => is_late.then_some("the next one is overdue"),
    };
    let late = why.map(|why| format!("{last}: {why}"));
    let prune = status.prune_error.as_ref();
    let prune = prune.map(|error| format!("deleting old backups failed: {error}"));
    let future = status.latest_future_file.as_ref().map(|latest| {
        format!(
            "{} backups are dated in the future, the latest is {latest}: they are ignored; check the \
             clock, and rename or remove them",
            status.future_files
        )
    });
    [late, prune, future].into_iter().flatten().collect()
}

/// Formats an age in its largest unit.
fn age(ms: i64) -> String {
    match ms / MINUTE_MS {
        minutes if minutes < 60 => format!("{} min", minutes.max(0)),
        minutes => format!("{} h", minutes / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_unix_ms(1_780_272_000_000);

    #[test]
    fn a_failed_or_late_backup_is_a_problem_with_its_age_and_reason() {
        let late = START.plus_ms(26 * HOUR_MS);
        let mut status = BackupStatus {
            last_success_at: Some(START),
            due_at: Some(START.plus_ms(24 * HOUR_MS)),
            ..BackupStatus::default()
        };
        assert_eq!(problems(&status, START, START.plus_ms(24 * HOUR_MS)), [""; 0]);
        assert_eq!(
            problems(&status, START, late),
            ["the last backup is 26 h old: the next one is overdue"]
        );
        status.is_running = true;
        assert_eq!(
            problems(&status, START, late),
            ["the last backup is 26 h old: the next one is still running"]
        );
        assert_eq!(problems(&status, late, late), [""; 0], "a start has its time too");
        status.last_error = Some("no space".into());
        assert_eq!(problems(&status, late, late), ["the last backup is 26 h old: no space"]);
        status.last_success_at = None;
        assert_eq!(problems(&status, late, late), ["there is no backup yet: no space"]);
        status.last_error = None;
        status.future_files = 2;
        status.latest_future_file = Some("/b/chat-20930101T000000Z.db".into());
        let future = problems(&status, late, late).pop().unwrap();
        assert!(
            future.starts_with("2 backups are dated in the future, the latest is /b/chat-2093"),
            "{future}"
        );
    }
}
