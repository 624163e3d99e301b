//! `chatgauge backup` and `chatgauge restore`.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::config::ConfigArgs;
use super::{open, print};
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
pub struct BackupCommand {
    /// Backup file; its directory must exist
    pub file: PathBuf,
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Also copy the pseudonym key to FILE.key (mode 0600)
    #[arg(long)]
    pub with_key: bool,
    /// Replace FILE after the new backup is verified
    #[arg(long)]
    pub overwrite: bool,
    /// Maximum MB copied per second, 0 for no limit [default: `backup.max_bytes_per_second`, 256]
    #[arg(long, value_name = "N")]
    pub max_mb_per_s: Option<u64>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

impl BackupCommand {
    /// Creates the backup.
    ///
    /// # Errors
    /// If the database cannot be read, or the file exists or cannot be written.
    pub fn run(&self, out: &mut dyn Write) -> Result<()> {
        let config = self.config.load()?;
        let limit = self.max_mb_per_s.map(|mb| (mb > 0).then(|| mb.saturating_mul(1_000_000)));
        let store = Store::open_read_only(&config.store)?;
        let job = BackupJob::begin(BackupRequest {
            database: config.store.path.clone(),
            key: key_path(&config),
            target: self.file.clone(),
            with_key: self.with_key,
            overwrite: self.overwrite,
            max_bytes_per_s: limit.unwrap_or(config.backup.max_bytes_per_s),
            wal_is_missing: store.wal_is_missing(),
        })?;
        let report = watched("copying", |watch| {
            let copied = store.read(|reader| job.copy(reader, watch))?;
            copied.finish(watch)
        })?;
        print(out, &if self.json { backup_json(&report) } else { backup_text(&report) })
    }
}

/// Runs a copy with a progress bar.
fn watched<T>(what: &'static str, run: impl FnOnce(&mut CopyWatch<'_>) -> Result<T>) -> Result<T> {
    let bar = ProgressBar::new(0);
    let template = "{msg} {wide_bar} {bytes}/{total_bytes} {eta}";
    let style = ProgressStyle::with_template(template);
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_message(what);
    let mut progress = |stage: CopyStage| match stage {
        CopyStage::Copying { copied_bytes, total_bytes } => {
            bar.set_length(total_bytes);
            bar.set_position(copied_bytes);
        }
        CopyStage::Verifying { read_bytes, total_bytes } => {
            bar.set_message("verifying");
            bar.set_length(total_bytes);
            bar.set_position(read_bytes);
        }
    };
    let result = run(&mut CopyWatch {
        clock: &SystemClock::default(),
        wait: &mut |duration| std::thread::sleep(duration),
        stop: Arc::new(AtomicBool::new(false)),
        progress: &mut progress,
    });
    bar.finish_and_clear();
    result
}

fn seconds(us: u64) -> f64 {
    as_f64(i64::try_from(us / 1_000).unwrap_or(i64::MAX)) / 1e3
}

fn backup_json(report: &BackupReport) -> String {
    let figures = &report.figures;
    let value = json!({
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
    });
    format!("{value}\n")
}

fn backup_text(report: &BackupReport) -> String {
    let figures = &report.figures;
    let mut text = format!(
        "{}: {} requests, {} bytes; copied in {:.1} s, verified in {:.1} s\nverified:\n",
        report.file.display(),
        figures.requests(),
        figures.bytes,
        seconds(report.copying_us),
        seconds(report.verifying_us),
    );
    for line in VERIFIED {
        text.push_str(&format!("  {line}\n"));
    }
    match &report.key {
        Some(key) => text.push_str(&format!("pseudonym key: {}\n", key.display())),
        None => text.push_str("the pseudonym key is not included: keep a copy of it\n"),
    }
    if report.is_incomplete {
        text.push_str(
            "the database's write-ahead log was missing, so its latest records are missing too\n",
        );
    }
    text
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
pub struct RestoreCommand {
    /// Backup file
    pub backup: PathBuf,
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Rename an existing database, adding the date to its name
    #[arg(long)]
    pub replace: bool,
    /// Fail if there is no key beside the backup
    #[arg(long)]
    pub with_key: bool,
    /// Restore a copy of a live database that was made without its write-ahead log
    #[arg(long)]
    pub allow_incomplete: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

impl RestoreCommand {
    /// Restores the backup; no server may have the database open.
    ///
    /// # Errors
    /// If the backup is invalid, or the database exists, is in use or cannot be written.
    pub fn run(&self, out: &mut dyn Write) -> Result<()> {
        let config = self.config.load()?;
        let request = RestoreRequest {
            backup: self.backup.clone(),
            database: config.store.path.clone(),
            key: key_path(&config),
            replace: self.replace,
            with_key: self.with_key,
            allow_incomplete: self.allow_incomplete,
        };
        let report = watched("restoring", |watch| restore(&request, open::now(), watch))?;
        print(out, &if self.json { restore_json(&report) } else { restore_text(&report) })
    }
}

fn restore_json(report: &RestoreReport) -> String {
    let figures = &report.figures;
    let value = json!({
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
    });
    format!("{value}\n")
}

fn restore_text(report: &RestoreReport) -> String {
    let figures = &report.figures;
    let mut text = format!(
        "{}: {} requests, {} bytes, verified\n",
        report.database.display(),
        figures.requests(),
        figures.bytes,
    );
    for file in &report.set_aside {
        text.push_str(&format!("set aside: {}\n", file.display()));
    }
    match &report.key {
        Some(key) if report.is_key_restored => {
            text.push_str(&format!("pseudonym key: {}, from the backup\n", key.display()));
        }
        Some(key) => {
            text.push_str(&format!("pseudonym key: {}, already in place\n", key.display()));
        }
        None => text.push_str("no pseudonym key: install it before the server starts\n"),
    }
    if report.is_incomplete {
        text.push_str("the last records acknowledged before the copy may be missing\n");
    }
    text + "run `chatgauge check` to compare its rollups with its requests\n"
}
