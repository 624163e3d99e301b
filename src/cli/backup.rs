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

A running server goes on meanwhile. The file gets its name once it is complete and verified; a backup that is
interrupted leaves FILE.<16 digits>.partial, which the next backup of that name removes. Without the key
(FILE.key) a restored database is not served: keep a copy of the key, apart from the backups.";

/// Copies the database to a file, also while a server writes to it.
#[derive(Clone, Debug, Args)]
#[command(after_help = BACKUP_EXAMPLES)]
pub struct BackupCommand {
    /// The file of the backup; its directory must exist
    pub file: PathBuf,
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Copy the key of the pseudonyms to FILE.key too (mode 0600)
    #[arg(long)]
    pub with_key: bool,
    /// Replace FILE, once the new backup is verified
    #[arg(long)]
    pub overwrite: bool,
    /// Megabytes copied a second at most, 0 for no limit [default: `backup.max_bytes_per_second`, 256]
    #[arg(long, value_name = "N")]
    pub max_mb_per_s: Option<u64>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

impl BackupCommand {
    /// Makes the backup.
    ///
    /// # Errors
    /// When the database cannot be read, or the file cannot be written or exists.
    pub fn run(&self, out: &mut dyn Write) -> Result<()> {
        let config = self.config.load()?;
        let typed = self.max_mb_per_s.map(|mb| (mb > 0).then(|| mb.saturating_mul(1_000_000)));
        let store = Store::open_read_only(&config.store)?;
        let job = BackupJob::begin(BackupRequest {
            database: config.store.path.clone(),
            key: key_path(&config),
            target: self.file.clone(),
            with_key: self.with_key,
            overwrite: self.overwrite,
            max_bytes_per_s: typed.unwrap_or(config.backup.max_bytes_per_s),
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
        Some(key) => text.push_str(&format!("key of the pseudonyms: {}\n", key.display())),
        None => text.push_str("without the key of the pseudonyms: keep a copy of it\n"),
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

The backup is checked first. --replace never deletes: the database that is there, its write-ahead log included, gets
a name with the date. A key beside the backup (FILE.key) is put in place; another key that is there is not replaced.";

/// Makes a database from a backup.
#[derive(Clone, Debug, Args)]
#[command(after_help = RESTORE_EXAMPLES)]
pub struct RestoreCommand {
    /// The file of the backup
    pub backup: PathBuf,
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Set the database that is there aside, under a name with the date
    #[arg(long)]
    pub replace: bool,
    /// Fail when no key lies beside the backup
    #[arg(long)]
    pub with_key: bool,
    /// Restore a copy of a database in use that was made without its write-ahead log
    #[arg(long)]
    pub allow_incomplete: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

impl RestoreCommand {
    /// Restores the backup; no server may have the database.
    ///
    /// # Errors
    /// When the backup is not acceptable, or the database exists, is in use or cannot be written.
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
            text.push_str(&format!("key of the pseudonyms: {}, from the backup\n", key.display()));
        }
        Some(key) => {
            text.push_str(&format!("key of the pseudonyms: {}, which was there\n", key.display()));
        }
        None => {
            text.push_str("no key of the pseudonyms: put it in place before the server starts\n")
        }
    }
    if report.is_incomplete {
        text.push_str("records acknowledged just before the copy was made may be missing\n");
    }
    text + "`chatgauge check` compares its rollups with its requests\n"
}
