//! Scheduled backups: where to, when, how many are kept.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::alerting::{duration_text, parse_duration};
use super::check::set;
use super::raw::{number, section};
use crate::error::{Error, Result};

/// Bytes that a backup copies a second at most, unless told otherwise. The write-ahead log grows until the copy is
/// complete (measured under 1,000 single records a second: 17 MB a second), so slower is not gentler.
const BYTES_PER_S: u64 = 256_000_000;
/// The shortest time between two backups: one of ten million requests takes about half of it.
const SHORTEST: Duration = Duration::from_secs(60);
/// The longest.
const LONGEST: Duration = Duration::from_secs(31 * 86_400);
/// A slower copy would hold the write-ahead log back for hours.
const SLOWEST_BYTES_PER_S: i64 = 1_000_000;

/// Scheduled backups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupConfig {
    /// Where the dated files go; `None`: there are no scheduled backups.
    pub directory: Option<PathBuf>,
    /// When they are made.
    pub schedule: BackupSchedule,
    /// Files that are kept; older ones are deleted once a newer one is verified.
    pub keep: usize,
    /// Whether the key of the pseudonyms is copied beside each.
    pub with_key: bool,
    /// Bytes copied a second at most; `None`: no limit.
    pub max_bytes_per_s: Option<u64>,
}

/// When scheduled backups are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackupSchedule {
    /// So long after the one before.
    Every(Duration),
    /// Once a day.
    Daily {
        /// Minutes after midnight on the wall clock of the configured time zone.
        minute_of_day: u16,
    },
}

impl BackupSchedule {
    /// The time between two backups, to the hour of a change of clocks.
    pub const fn interval(self) -> Duration {
        match self {
            Self::Every(interval) => interval,
            Self::Daily { .. } => Duration::from_secs(86_400),
        }
    }
}

impl BackupConfig {
    /// Refuses a directory in which the server could not make backups: one that is missing, which the server does not
    /// create, and one that this user cannot write to. To find out, a file is made there and removed.
    ///
    /// # Errors
    /// [`InvalidConfig`](Error::InvalidConfig) with the reason.
    pub fn check_directory(&self) -> Result<()> {
        let Some(directory) = &self.directory else { return Ok(()) };
        let shown = directory.display();
        let refuse = |reason: String| Err(Error::invalid_config("backup.directory", reason));
        match directory.metadata() {
            Err(error) if error.kind() == ErrorKind::NotFound => refuse(format!(
                "the directory {shown} does not exist; create it first, the server does not"
            )),
            Err(error) => refuse(format!(
                "{shown} cannot be looked at: {error}; name a directory that this user can read and write"
            )),
            Ok(found) if !found.is_dir() => {
                refuse(format!("{shown} is not a directory; name a directory"))
            }
            Ok(_) => make_and_remove(directory).or_else(|error| {
                refuse(format!(
                    "no file can be made in {shown}: {error}; name a directory that this user can write to, or change its \
                     permissions"
                ))
            }),
        }
    }
}

fn make_and_remove(directory: &Path) -> std::io::Result<()> {
    let path = directory.join(format!(".chatgauge-{:016x}.check", rand::random::<u64>()));
    File::create_new(&path)?;
    std::fs::remove_file(path)
}

impl Default for BackupConfig {
    fn default() -> Self {
        Self {
            directory: None,
            schedule: BackupSchedule::Every(Duration::from_secs(86_400)),
            keep: 7,
            with_key: false,
            max_bytes_per_s: Some(BYTES_PER_S),
        }
    }
}

section! {
    /// See [`BackupConfig`].
    RawBackup {
        /// Where the dated files go; empty: there are no scheduled backups.
        directory: String,
        /// Time between two backups; empty: at a time of day.
        every: String,
        /// Time of day, `HH:MM`; empty: by interval.
        at: String,
        /// Files that are kept.
        keep: i64,
        /// Whether the key is copied too.
        with_key: bool,
        /// Bytes copied a second at most; 0: no limit.
        max_bytes_per_second: i64,
    }
}

impl RawBackup {
    /// Checks every key.
    ///
    /// # Errors
    /// [`InvalidConfig`](Error::InvalidConfig) with the key, and with the allowed values.
    pub(super) fn check(&self, backup: &mut BackupConfig) -> Result<()> {
        if let Some(directory) = &self.directory {
            backup.directory = (!directory.is_empty()).then(|| PathBuf::from(directory));
        }
        let typed = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
        match (typed(&self.every), typed(&self.at)) {
            (Some(_), Some(_)) => {
                let reason = "backup.every is set too; set one of them, and the other to \"\"";
                return Err(Error::invalid_config("backup.at", reason));
            }
            (Some(every), None) => backup.schedule = BackupSchedule::Every(interval(&every)?),
            (None, Some(at)) => {
                backup.schedule = BackupSchedule::Daily { minute_of_day: minute_of_day(&at)? };
            }
            (None, None) if self.every.is_some() => {
                let reason = "is empty; name a length of time such as \"24h\", or set backup.at";
                return Err(Error::invalid_config("backup.every", reason));
            }
            (None, None) => {}
        }
        set(&mut backup.keep, "backup.keep", self.keep, 1..=10_000)?;
        backup.with_key = self.with_key.unwrap_or(backup.with_key);
        match self.max_bytes_per_second {
            None => {}
            Some(0) => backup.max_bytes_per_s = None,
            Some(bytes) => {
                let limit = u64::try_from(bytes).ok().filter(|_| bytes >= SLOWEST_BYTES_PER_S);
                backup.max_bytes_per_s = Some(limit.ok_or_else(|| {
                    let reason = format!(
                        "{bytes} is neither 0 (no limit) nor at least {SLOWEST_BYTES_PER_S}"
                    );
                    Error::invalid_config("backup.max_bytes_per_second", reason)
                })?);
            }
        }
        Ok(())
    }
}

fn interval(text: &str) -> Result<Duration> {
    let found = parse_duration(text).filter(|length| (SHORTEST..=LONGEST).contains(length));
    found.ok_or_else(|| {
        let reason = format!("{text:?} is not a length of time between \"1m\" and \"31d\"");
        Error::invalid_config("backup.every", reason)
    })
}

fn minute_of_day(text: &str) -> Result<u16> {
    let parse = |part: &str, below: u16| {
        let is_number = (1..=2).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        part.parse::<u16>().ok().filter(|number| is_number && *number < below)
    };
    let found = text.trim().split_once(':').and_then(|(hour, minute)| {
        Some(parse(hour, 24)? * 60 + parse(minute, 60).filter(|_| minute.len() == 2)?)
    });
    found.ok_or_else(|| {
        let reason = format!("{text:?} is not a time of day such as \"03:30\"");
        Error::invalid_config("backup.at", reason)
    })
}

impl From<&BackupConfig> for RawBackup {
    fn from(config: &BackupConfig) -> Self {
        let (every, at) = match config.schedule {
            BackupSchedule::Every(interval) => (duration_text(interval), String::new()),
            BackupSchedule::Daily { minute_of_day } => {
                (String::new(), format!("{:02}:{:02}", minute_of_day / 60, minute_of_day % 60))
            }
        };
        let directory = config.directory.as_ref().map(|path| path.display().to_string());
        Self {
            directory: Some(directory.unwrap_or_default()),
            every: Some(every),
            at: Some(at),
            keep: number(config.keep),
            with_key: Some(config.with_key),
            max_bytes_per_second: number(config.max_bytes_per_s.unwrap_or(0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(toml: &str) -> Result<BackupConfig, String> {
        let raw: RawBackup = toml::from_str(toml).unwrap();
        let mut config = BackupConfig::default();
        raw.check(&mut config).map_err(|error| error.to_string()).map(|()| config)
    }

    #[test]
    fn what_is_printed_is_read_back() {
        for toml in [
            "directory = \"/b\"\nevery = \"6h\"\nkeep = 3\nwith_key = true",
            "directory = \"/b\"\nat = \"03:30\"\nmax_bytes_per_second = 0",
            "",
        ] {
            let config = check(toml).unwrap();
            let mut again = BackupConfig::default();
            RawBackup::from(&config).check(&mut again).unwrap();
            assert_eq!(again, config, "{toml}");
        }
        let daily = check("at = \"3:05\"").unwrap();
        assert_eq!(daily.schedule, BackupSchedule::Daily { minute_of_day: 185 });
    }

    #[test]
    fn what_could_not_be_meant_is_refused_with_what_would_be_right() {
        for (toml, message) in [
            ("every = \"24h\"\nat = \"03:00\"", "backup.at: backup.every is set too"),
            ("every = \"\"", "backup.every: is empty; name a length of time"),
            ("every = \"10s\"", "is not a length of time between \"1m\" and \"31d\""),
            ("every = \"32d\"", "is not a length of time between \"1m\" and \"31d\""),
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
