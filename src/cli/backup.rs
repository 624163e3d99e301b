//! `chatgauge backup` and `chatgauge restore`.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::Args;
use serde_json::{Value, json};

use super::config::CommonArgs;
use super::open;
use crate::backup::{
    BackupJob, BackupReport, BackupRequest, CopyStage, CopyWatch, RestoreReport, RestoreRequest,
    VERIFIED, restore,
};
use crate::error::Result;
use crate::model::measures::as_f64;
use crate::service::key_path;
use crate::store::Store;
use crate::system_clock::SystemClock;

const BACKUP_EXAMPLES: &str = "\
Examples:
  chatgauge backup /backup/chatgauge.db --db chatgauge.db
  chatgauge backup /backup/chatgauge.db --with-key --overwrite --max-mb-per-s 20

The server may keep running. The file gets its name once it is complete and verified; an interrupted
backup leaves FILE.<16 digits>.partial, which the next backup to FILE removes. Without the key
(FILE.key) a restored database cannot be served: keep a copy of the key, apart from the backups.";

/// Back up the database to a file (the server may keep running)
#[derive(Clone, Debug, Args)]
#[command(after_help = BACKUP_EXAMPLES)]
pub(super) struct BackupCommand {
    /// Backup file; its directory must exist
    file: PathBuf,
    #[command(flatten)]
    common: CommonArgs,
    /// Also copy the pseudonym key to FILE.key (mode 0600)
    #[arg(long)]
    with_key: bool,
    /// Replace FILE after the new backup is verified
    #[arg(long)]
    overwrite: bool,
    /// Maximum MB copied per second, 0 for no limit [default: `backup.max_bytes_per_second`, 256]
    #[arg(long, value_name = "N")]
    max_mb_per_s: Option<u64>,
}

impl BackupCommand {
    /// Creates the backup.
    ///
    /// # Errors
    /// If the database cannot be read, or the file exists or cannot be written.
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<()> {
        let config = self.common.config.load()?;
        let limit = self.max_mb_per_s.map(|mb| (mb > 0).then(|| mb.saturating_mul(1_000_000)));
        let store = Store::open_read_only(&config.store)?;
        let job = BackupJob::begin(BackupRequest {
            key: key_path(&config),
            database: config.store.path,
            target: self.file.clone(),
            with_key: self.with_key,
            overwrite: self.overwrite,
            max_bytes_per_s: limit.unwrap_or(config.backup.max_bytes_per_s),
            wal_is_missing: store.wal_is_missing(),
        })?;
        let report = watched("copying", |watch| {
            store.read(|reader| job.copy(reader, watch))?.finish(watch)
        })?;
        self.common.print(out, || backup_json(&report), || backup_text(&report))
    }
}

/// Runs a copy with a progress bar.
fn watched<T>(what: &'static str, run: impl FnOnce(&mut CopyWatch<'_>) -> Result<T>) -> Result<T> {
    let bar = open::bar(Some(0), "{msg} {wide_bar} {bytes}/{total_bytes} {eta}").with_message(what);
    let result = run(&mut CopyWatch {
        clock: &SystemClock::default(),
        wait: &mut |duration| std::thread::sleep(duration),
        stop: Arc::new(AtomicBool::new(false)),
        progress: &mut |stage| match stage {
            CopyStage::Copying { copied_bytes, total_bytes } => {
                open::advance(&bar, copied_bytes, total_bytes);
            }
            CopyStage::Verifying { read_bytes, total_bytes } => {
                bar.set_message("verifying");
                open::advance(&bar, read_bytes, total_bytes);
            }
        },
    });
    bar.finish_and_clear();
    result
}

fn seconds(us: u64) -> f64 {
    as_f64(i64::try_from(us / 1_000).unwrap_or(i64::MAX)) / 1e3
}

fn backup_json(report: &BackupReport) -> Value {
    let figures = &report.figures;
    json!({
        "file": report.file,
        "bytes": figures.bytes,
        "requests": figures.requests(),
        "last_seq": figures.last_seq,
        "watermark_seq": figures.watermark_seq,
        "schema_version": figures.schema_version,
        "copy_s": seconds(report.copying_us),
        "verify_s": seconds(report.verifying_us),
        "wal_bytes": report.wal_bytes,
        "key": report.key,
        "complete": !report.is_incomplete,
        "verified": VERIFIED,
    })
}

fn backup_text(report: &BackupReport) -> String {
    let (file, requests, bytes) =
        (report.file.display(), report.figures.requests(), report.figures.bytes);
    let (copy_s, verify_s) = (seconds(report.copying_us), seconds(report.verifying_us));
    let key = match &report.key {
        Some(key) => format!("pseudonym key: {}", key.display()),
        None => "the pseudonym key is not included: keep a copy of it".to_owned(),
    };
    let incomplete = if report.is_incomplete {
        "the database's write-ahead log was missing, so its latest records are missing too\n"
    } else {
        ""
    };
    let verified = VERIFIED.join("\n  ");
    format!(
        "{file}: {requests} requests, {bytes} bytes; copied in {copy_s:.1} s, verified in {verify_s:.1} s\n\
         verified:\n  {verified}\n{key}\n{incomplete}"
    )
}

const RESTORE_EXAMPLES: &str = "\
Examples:
  chatgauge restore /backup/chatgauge.db --db chatgauge.db
  chatgauge restore /backup/chatgauge.db --db chatgauge.db --replace

The backup is verified first. --replace never deletes: it renames the existing database and its write-ahead log,
adding the date. A key beside the backup (FILE.key) is installed; an existing different key is never replaced.";

/// Restore a database from a backup
#[derive(Clone, Debug, Args)]
#[command(after_help = RESTORE_EXAMPLES)]
pub(super) struct RestoreCommand {
    /// Backup file
    backup: PathBuf,
    #[command(flatten)]
    common: CommonArgs,
    /// Rename an existing database, adding the date to its name
    #[arg(long)]
    replace: bool,
    /// Fail if there is no key beside the backup
    #[arg(long)]
    with_key: bool,
    /// Restore a copy of a live database that was made without its write-ahead log
    #[arg(long)]
    allow_incomplete: bool,
}

impl RestoreCommand {
    /// Restores the backup; no server may have the database open.
    ///
    /// # Errors
    /// If the backup is invalid, or the database exists, is in use or cannot be written.
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<()> {
        let config = self.common.config.load()?;
        let request = RestoreRequest {
            backup: self.backup.clone(),
            key: key_path(&config),
            database: config.store.path,
            replace: self.replace,
            with_key: self.with_key,
            allow_incomplete: self.allow_incomplete,
        };
        let report = watched("restoring", |watch| restore(&request, open::now(), watch))?;
        self.common.print(out, || restore_json(&report), || restore_text(&report))
    }
}

fn restore_json(report: &RestoreReport) -> Value {
    let figures = &report.figures;
    json!({
        "database": report.database,
        "bytes": figures.bytes,
        "requests": figures.requests(),
        "last_seq": figures.last_seq,
        "watermark_seq": figures.watermark_seq,
        "schema_version": figures.schema_version,
        "set_aside": report.set_aside,
        "key": report.key,
        "key_restored": report.is_key_restored,
        "complete": !report.is_incomplete,
        "verified": VERIFIED,
    })
}

fn restore_text(report: &RestoreReport) -> String {
    let (database, requests, bytes) =
        (report.database.display(), report.figures.requests(), report.figures.bytes);
    let mut text = format!("{database}: {requests} requests, {bytes} bytes, verified\n");
    for file in &report.set_aside {
        text += &format!("set aside: {}\n", file.display());
    }
    let origin = if report.is_key_restored { "from the backup" } else { "already in place" };
    text += &match &report.key {
        Some(key) => format!("pseudonym key: {}, {origin}\n", key.display()),
        None => "no pseudonym key: install it before the server starts\n".to_owned(),
    };
    if report.is_incomplete {
        text += "the last records acknowledged before the copy may be missing\n";
    }
    text + "run `chatgauge check` to compare its rollups with its requests\n"
}
