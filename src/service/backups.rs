//! Scheduled backups: the thread that makes them, and how they are doing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Shared, key_path};
use crate::backup::{
    BackupJob, BackupReport, BackupRequest, CopyStage, CopyWatch, DatedBackups, next_due,
};
use crate::config::{BackupConfig, Config};
use crate::error::{Error, Result};
use crate::model::Timestamp;
use crate::model::time::{HOUR_MS, MINUTE_MS};
use crate::query::status::BackupStatus;

/// Time between two looks at the clock.
const TICK: Duration = Duration::from_millis(500);
/// Wait after the first failed attempt; it doubles with each further one.
const FIRST_RETRY_MS: i64 = MINUTE_MS;
/// Longest wait after a failed attempt.
const LAST_RETRY_MS: i64 = HOUR_MS;
/// A backup that is this late is a problem, whatever the reason.
const LATE_MS: i64 = HOUR_MS;
/// The date of a backup may be this much ahead of the clock; one from further ahead says nothing about now.
const AHEAD_MS: i64 = HOUR_MS;

/// How scheduled backups are doing; shared by their thread and by whoever asks.
#[derive(Debug, Default)]
pub(super) struct Backups {
    state: Mutex<BackupStatus>,
    stop: Arc<AtomicBool>,
}

impl Backups {
    fn state(&self) -> MutexGuard<'_, BackupStatus> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends a backup that is under way.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    /// How they are doing; `None`: none are scheduled.
    pub(super) fn status(&self, config: &Config) -> Option<BackupStatus> {
        config.backup.directory.is_some().then(|| self.state().clone())
    }
}

/// Makes backups as scheduled until the end.
pub(super) fn keep_backing_up(shared: &Shared) {
    let Some(directory) = &shared.config.backup.directory else { return };
    let dated = DatedBackups::new(directory, &shared.config.store.path);
    shared.find_last(&dated);
    while !shared.wait(TICK) {
        let now = shared.clock.now();
        if now >= shared.schedule_next(now) {
            shared.back_up(&dated, now);
        }
    }
}

impl Shared {
    /// Looks for the last backup of an earlier run.
    fn find_last(&self, dated: &DatedBackups) {
        match dated.list() {
            Ok(found) => {
                if let Some(newest) = found.first() {
                    let mut state = self.backups.state();
                    state.last_success_at = Some(newest.at);
                    state.last_bytes = Some(newest.bytes);
                    state.last_file = Some(newest.path.display().to_string());
                }
            }
            // The first attempt says it again.
            Err(error) => tracing::warn!(%error, "the directory of the backups cannot be read"),
        }
    }

    /// When the next attempt is due, as of `now`.
    fn schedule_next(&self, now: Timestamp) -> Timestamp {
        let config = &self.config.backup;
        let mut state = self.backups.state();
        let last = state.last_success_at.filter(|at| *at <= now.plus_ms(AHEAD_MS));
        let due = next_due(config.schedule, last, self.started_at, self.config.time_zone);
        let retry = state.last_failure_at.filter(|_| state.failures > 0).map(|at| {
            let doublings = u32::try_from(state.failures - 1).unwrap_or(u32::MAX).min(16);
            at.plus_ms((FIRST_RETRY_MS << doublings).min(LAST_RETRY_MS))
        });
        // A clock that was set back does not put the retry off.
        let retry = retry.filter(|at| *at <= now.plus_ms(LAST_RETRY_MS));
        let next = retry.map_or(due, |retry| retry.max(due));
        state.due_at = Some(due);
        state.next_at = Some(next);
        next
    }

    /// One attempt.
    fn back_up(&self, dated: &DatedBackups, now: Timestamp) {
        self.backups.state().is_running = true;
        let made = self.make_backup(dated, now);
        self.note_attempt(dated, now, made);
        self.backups.state().is_running = false;
    }

    fn note_attempt(&self, dated: &DatedBackups, now: Timestamp, made: Result<BackupReport>) {
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
                    "backup made and verified"
                );
                self.prune_backups(dated, &report);
            }
            // The end of the program is no failure.
            Err(Error::Closed) if self.is_stopping() => {}
            Err(error) => {
                state.failures += 1;
                state.failures_total += 1;
                state.last_failure_at = Some(self.clock.now());
                state.last_error = Some(error.to_string());
                drop(state);
                tracing::error!(%error, "backup failed; it is tried again");
            }
        }
    }

    fn make_backup(&self, dated: &DatedBackups, now: Timestamp) -> Result<BackupReport> {
        let BackupConfig { with_key, max_bytes_per_s, .. } = self.config.backup;
        let job = BackupJob::begin(BackupRequest {
            database: self.config.store.path.clone(),
            key: key_path(&self.config),
            target: dated.path(now),
            with_key,
            overwrite: false,
            max_bytes_per_s,
            // A start without the log has left its mark in the database.
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

    /// Deletes the backups beyond those that are kept, now that there is a newer one.
    fn prune_backups(&self, dated: &DatedBackups, newest: &BackupReport) {
        let store_id = newest.figures.state.as_ref().map(|state| &*state.store_id);
        let pruned = dated.prune(&newest.file, store_id, self.config.backup.keep);
        match pruned {
            Ok(deleted) => {
                for file in deleted {
                    tracing::info!(file = %file.display(), "old backup deleted");
                }
                self.backups.state().prune_error = None;
            }
            Err(error) => {
                tracing::error!(%error, "old backups could not be deleted; the next backup tries again");
                self.backups.state().prune_error = Some(error.to_string());
            }
        }
    }
}

/// What is wrong with scheduled backups, in words.
pub(super) fn problems(
    status: &BackupStatus,
    started_at: Timestamp,
    now: Timestamp,
) -> Vec<String> {
    let mut problems = Vec::new();
    let last = match status.last_success_at {
        Some(at) => format!("the last backup is {} old", age(now.as_unix_ms() - at.as_unix_ms())),
        None => "there is no backup yet".to_owned(),
    };
    // After a start, the attempt that is overdue has the same time.
    let due = status.due_at.map(|at| at.max(started_at));
    if let Some(error) = &status.last_error {
        problems.push(format!("{last}: {error}"));
    } else if due.is_some_and(|due| now >= due.plus_ms(LATE_MS)) {
        let why = if status.is_running {
            "the next one is still running"
        } else {
            "the next one is overdue"
        };
        problems.push(format!("{last}: {why}"));
    }
    if let Some(error) = &status.prune_error {
        problems.push(format!("old backups could not be deleted: {error}"));
    }
    problems
}

/// An age in its largest unit.
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
    }
}
