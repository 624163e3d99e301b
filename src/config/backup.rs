//! `[backup]`: where scheduled backups go, when they are made, how many are kept.

use std::fs::File;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use super::kinds::{count, duration, flag, limit, optional, path, time_of_day};
use super::settings::{ensure, settings};
use crate::error::{Error, Result};

/// Default throughput of a backup, in bytes per second. The WAL grows until the copy is complete (measured under 1,000
/// single records a second: 17 MB a second), so a slower copy costs a larger WAL.
const BYTES_PER_S: u64 = 256_000_000;
/// A day, in seconds.
const DAY_S: u64 = 86_400;

settings! {
    /// Scheduled backups.
    BackupConfig, RawBackup {
        /// Directory for scheduled backups; empty: none. It must exist (`config check` verifies that). Use another disk, and
        /// a directory for each database (docs/operations.md).
        directory: Option<PathBuf> as optional(path()) = None;
        /// Time between two backups; must be empty or unset when `at` is set.
        // At least a minute, because a backup of ten million requests takes about half a minute.
        every: Option<Duration> as optional(duration(60..=31 * DAY_S)) = Some(Duration::from_secs(DAY_S));
        /// Time of day on the wall clock of `time_zone`, such as "03:30"; where a change of clocks skips it, the end of the gap.
        /// Empty: by interval.
        at: Option<u16> as optional(time_of_day()) = None;
        /// Number of backups to keep; older ones are deleted once a newer one is verified.
        keep: usize as count(1..=10_000) = 7;
        /// Copy the pseudonym key beside each backup (mode 0600). Whoever has both files can test whether a
        /// user id occurs in the data.
        with_key: bool as flag() = false;
        /// Maximum throughput in bytes per second, also the default of `chatgauge backup`. The WAL cannot restart meanwhile.
        // Below the minimum, a copy of a few gigabytes would keep the WAL from restarting for hours.
        max_bytes_per_s "max_bytes_per_second": Option<u64> as limit(1_000_000) = Some(BYTES_PER_S);
    }
    check = BackupConfig::check;
}

/// When scheduled backups are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackupSchedule {
    /// This long after the previous one; the first one at the start.
    Every(Duration),
    /// Once a day.
    Daily {
        /// Minutes after midnight on the wall clock of the configured time zone.
        minute_of_day: u16,
    },
}

impl BackupConfig {
    /// When backups are made: daily at the time of day, if there is one.
    pub const fn schedule(&self) -> BackupSchedule {
        match (self.at, self.every) {
            (Some(minute_of_day), _) => BackupSchedule::Daily { minute_of_day },
            (None, Some(interval)) => BackupSchedule::Every(interval),
            (None, None) => BackupSchedule::Every(Duration::from_secs(DAY_S)),
        }
    }

    /// A time of day replaces the default interval, but not an interval that was configured.
    fn check(&mut self, raw: &RawBackup) -> Result<()> {
        if self.at.is_none() {
            let reason = "is empty; set a duration such as \"24h\", or set backup.at";
            return ensure(self.every.is_some(), "backup.every", reason);
        }
        let is_single = raw.every.is_none() || self.every.is_none();
        self.every = None;
        let reason = "backup.every is set too; set one of them, and the other to \"\"";
        ensure(is_single, "backup.at", reason)
    }

    /// Checks for `config check` that this user can create files in the directory, by creating and removing one; the server
    /// starts anyway.
    ///
    /// # Errors
    /// If the directory is missing, is not one, or files cannot be created in it.
    pub fn check_directory(&self) -> Result<()> {
        let Some(directory) = &self.directory else { return Ok(()) };
        let shown = directory.display();
        let reason = match directory.metadata() {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                format!(
                    "the directory {shown} does not exist; create it first, the server does not"
                )
            }
            Err(error) => format!(
                "{shown} cannot be inspected: {error}; name a directory that this user can read and write"
            ),
            Ok(found) if !found.is_dir() => format!("{shown} is not a directory; name a directory"),
            Ok(_) => {
                let file = format!(".chatgauge-{:016x}.check", rand::random::<u64>());
                let path = directory.join(file);
                match File::create_new(&path).and_then(|_| std::fs::remove_file(path)) {
                    Ok(()) => return Ok(()),
                    Err(error) => format!(
                        "no file can be created in {shown}: {error}; name a directory that this user can write to, or \
                         change its permissions"
                    ),
                }
            }
        };
        Err(Error::invalid_config("backup.directory", reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(toml: &str) -> Result<BackupConfig, String> {
        let raw: RawBackup = toml::from_str(toml).unwrap();
        let mut config = BackupConfig::default();
        config.set("backup", &raw).map_err(|error| error.to_string()).map(|()| config)
    }

    #[test]
    fn a_printed_section_is_read_back() {
        for toml in [
            "directory = \"/b\"\nevery = \"6h\"\nkeep = 3\nwith_key = true",
            "directory = \"/b\"\nat = \"03:30\"\nmax_bytes_per_second = 0",
            "",
        ] {
            let config = check(toml).unwrap();
            let mut again = BackupConfig::default();
            again.set("backup", &RawBackup::from(&config)).unwrap();
            assert_eq!(again, config, "{toml}");
        }
        let daily = check("at = \"3:05\"").unwrap();
        assert_eq!(daily.schedule(), BackupSchedule::Daily { minute_of_day: 185 });
    }

    #[test]
    fn errors_say_what_is_allowed() {
        for (toml, message) in [
            ("every = \"24h\"\nat = \"03:00\"", "backup.at: backup.every is set too"),
            ("every = \"\"", "backup.every: is empty; set a duration"),
            (
                "every = \"10s\"",
                "backup.every: \"10s\" is not a duration between \"1m\" and \"31d\"",
            ),
            ("every = \"32d\"", "is not a duration between \"1m\" and \"31d\""),
            ("at = \"24:00\"", "\"24:00\" is not a time of day such as \"03:30\""),
            ("at = \"3\"", "is not a time of day"),
            ("at = \"+3:00\"", "is not a time of day"),
            ("at = \"3:5\"", "is not a time of day"),
            ("keep = 0", "backup.keep: 0 is not between 1 and 10000"),
            ("max_bytes_per_second = 10", "10 is neither 0 (no limit) nor at least 1000000"),
        ] {
            let refused = check(toml).unwrap_err();
            assert!(refused.contains(message), "{toml}: {refused}");
        }
    }
}
