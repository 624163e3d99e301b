//! Scheduled backups: the thread that makes them, and how they are doing.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Shared, key_path};
use crate::backup::{
    BackupJob, BackupReport, BackupRequest, CopyStage, CopyWatch, DatedBackup, DatedBackups,
    FoundBackups, PrunedBackups, next_due,
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
/// Backups with dates in the future are looked for again after this time, in monotonic microseconds: one minute.
const LOOK_AGAIN_US: u64 = 60_000_000;

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

/// The dated backups of a run of the server.
#[derive(Debug)]
struct Rotation {
    dated: DatedBackups,
    /// Those that this run made and that are still there, the last one at the end.
    made: Vec<PathBuf>,
    /// When backups with dates in the future were looked for, in monotonic microseconds.
    looked_us: u64,
}

/// Makes backups as scheduled until the end.
pub(super) fn keep_backing_up(shared: &Shared) {
    let Some(directory) = &shared.config.backup.directory else { return };
    let dated = DatedBackups::new(directory, &shared.config.store.path);
    let mut rotation = Rotation { dated, made: Vec::new(), looked_us: 0 };
    if let Err(error) = shared.find_last(&mut rotation) {
        // The first attempt says it again.
        tracing::warn!(%error, "the backups of before cannot be looked at");
    }
    while !shared.wait(TICK) {
        let now = shared.clock.now();
        if now >= shared.schedule_next(now) {
            shared.back_up(&mut rotation, now);
        }
        shared.forget_future(&mut rotation);
    }
}

impl Shared {
    fn store_id(&self) -> Result<Vec<u8>> {
        Ok(self.store.read(|reader| reader.store_state())?.store_id)
    }

    /// Removes what an earlier run left unfinished, and looks for its last backup.
    fn find_last(&self, rotation: &mut Rotation) -> Result<()> {
        let store_id = self.store_id()?;
        rotation.dated.remove_unfinished(&store_id)?;
        if let Some(newest) = self.look_at_dates(rotation, &store_id)? {
            let mut state = self.backups.state();
            state.last_success_at = Some(newest.at);
            state.last_bytes = Some(newest.bytes);
            state.last_file = Some(newest.path.display().to_string());
        }
        Ok(())
    }

    /// Notes the backups with dates in the future; gives the newest of the others.
    fn look_at_dates(
        &self,
        rotation: &mut Rotation,
        store_id: &[u8],
    ) -> Result<Option<DatedBackup>> {
        rotation.looked_us = self.clock.monotonic_us();
        let until = self.trusted.read().latest.plus_ms(AHEAD_MS);
        let FoundBackups { newest, later } = rotation.dated.newest(store_id, until)?;
        let latest = later.first().map(|backup| backup.path.display().to_string());
        let count = u64::try_from(later.len()).unwrap_or(u64::MAX);
        let mut state = self.backups.state();
        if count > state.future_files {
            tracing::warn!(
                count,
                latest,
                "backups are dated in the future: they are neither counted nor deleted; check the clock, and rename or remove \
                 them"
            );
        }
        state.future_files = count;
        state.latest_future_file = latest;
        Ok(newest)
    }

    /// Looks every minute whether backups with dates in the future, if there were any, are still there.
    fn forget_future(&self, rotation: &mut Rotation) {
        let since_us = self.clock.monotonic_us().saturating_sub(rotation.looked_us);
        if self.backups.state().future_files == 0 || since_us < LOOK_AGAIN_US {
            return;
        }
        let looked = self.store_id().and_then(|id| self.look_at_dates(rotation, &id));
        if let Err(error) = looked {
            tracing::debug!(%error, "the dates of the backups cannot be looked at");
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
    fn back_up(&self, rotation: &mut Rotation, now: Timestamp) {
        self.backups.state().is_running = true;
        let made = self.make_backup(&rotation.dated, now);
        self.note_attempt(rotation, now, made);
        self.backups.state().is_running = false;
    }

    fn note_attempt(&self, rotation: &mut Rotation, now: Timestamp, made: Result<BackupReport>) {
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
                rotation.made.push(report.file);
                self.prune_backups(rotation);
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
        // Each may be as large as the database, and the copy needs the space.
        if let Err(error) = self.store_id().and_then(|id| dated.remove_unfinished(&id)) {
            tracing::debug!(%error, "unfinished copies were not looked for; the copy fails for the same reason");
        }
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
    fn prune_backups(&self, rotation: &mut Rotation) {
        let failed = self.prune_made(rotation).unwrap_or_else(Some);
        if let Some(error) = &failed {
            tracing::error!(%error, "old backups could not be deleted; the next backup tries again");
        }
        self.backups.state().prune_error = failed.map(|error| error.to_string());
    }

    /// Deletes what it can; gives the last failure of a file.
    fn prune_made(&self, rotation: &mut Rotation) -> Result<Option<Error>> {
        let store_id = self.store_id()?;
        self.look_at_dates(rotation, &store_id)?;
        let Rotation { dated, made, .. } = rotation;
        let now = self.trusted.read().trusted;
        let PrunedBackups { deleted, no_keys, failed } =
            dated.prune(made, &store_id, self.config.backup.keep, now)?;
        for file in &deleted {
            tracing::info!(file = %file.display(), "old backup deleted");
        }
        for file in no_keys {
            tracing::warn!(file = %file.display(), "the file beside a deleted backup is not the key of that backup: it stays");
        }
        made.retain(|file| !deleted.contains(file));
        Ok(failed)
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
    if let Some(latest) = &status.latest_future_file {
        problems.push(format!(
            "{} backups are dated in the future, the latest is {latest}: they are neither counted nor deleted; check the \
             clock, and rename or remove them",
            status.future_files
        ));
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
