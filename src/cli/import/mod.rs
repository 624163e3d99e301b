//! `chatgauge import`: imports history from NDJSON and CSV files.

pub mod checkpoint;
pub mod field;
pub mod identity;
pub mod input;
pub mod litellm;
pub mod mapping;
pub mod rows;
mod sink;
pub mod summary;
pub mod time;
mod tracked;

use std::borrow::Cow;
use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::config::ConfigArgs;
use super::{open, print};
use crate::error::{Error, Result};
use crate::ingest::wire::FieldCounts;
use crate::model::{RequestRecord, Tz};
use crate::privacy::{Pseudonymizer, is_sensitive};
use crate::service::AppendReport;

pub use checkpoint::Checkpoint;
pub use identity::RowIds;
pub use input::{FileFormat, Input};
pub use litellm::LitellmRows;
pub use mapping::MappingRules;
pub use rows::{CsvRows, NdjsonRows, RowReader};
use sink::DatabaseSink;
pub use summary::ImportSummary;
pub use time::TimeFormat;
use tracked::TrackedSink;

const EXAMPLES: &str = "\
Examples:
  chatgauge import requests.ndjson.gz
  chatgauge import trace.csv --set model=gpt-4 --set space=chat \\
      --map started_at=TIMESTAMP,prompt_tokens=ContextTokens,completion_tokens=GeneratedTokens
  chatgauge import log.csv --map started_at=time,total_latency_ms=seconds \\
      --scale total_latency_ms=1000 --tz Europe/Warsaw --dry-run
  zcat old/*.gz | chatgauge import - --format ndjson
  chatgauge import spend_logs.csv --format litellm-spendlogs

A row without request_id gets one derived from its content, so importing a file again stores nothing
twice. Rows of days whose raw requests retention has pruned are rejected, because duplicates of them
cannot be detected; --allow-pruned-days stores them. Missing fields stay unknown. Columns named like a
field need no --map.";

/// Import requests from NDJSON and CSV files (plain, gzip or zstd)
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ImportCommand {
    /// Input files; - for standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// File format [default: by file name or first character]
    #[arg(long, value_enum)]
    pub format: Option<FileFormat>,
    /// Column of a CSV file for a field
    #[arg(long, value_name = "FIELD=COLUMN", value_delimiter = ',')]
    pub map: Vec<String>,
    /// Constant value of a field in every request
    #[arg(long = "set", value_name = "FIELD=VALUE")]
    pub constants: Vec<String>,
    /// Factor for a column's numbers, e.g. 1000 to convert seconds to milliseconds
    #[arg(long, value_name = "FIELD=FACTOR", value_delimiter = ',')]
    pub scale: Vec<String>,
    /// Format of times
    #[arg(long, value_enum, default_value_t)]
    pub time_format: TimeFormat,
    /// Time zone of times without an offset
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    pub tz: Tz,
    /// Column separator; a tab for .tsv files
    #[arg(long, value_name = "CHARACTER", value_parser = parse_delimiter)]
    pub delimiter: Option<u8>,
    /// Salt for derived request ids; distinguishes identical rows of different files
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub id_salt: String,
    /// Skip rows that an interrupted import of the same file stored
    #[arg(long)]
    pub resume: bool,
    /// Also store requests of days with pruned raw requests; duplicates of pruned requests count
    /// twice
    #[arg(long)]
    pub allow_pruned_days: bool,
    /// Read and check everything but store nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Accept a new or different pseudonym key; every user counts as new from then on
    #[arg(long)]
    pub new_key: bool,
    /// Number of requests stored per batch
    #[arg(long, value_name = "N", default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub batch: u32,
    /// Print the summary as JSON
    #[arg(long)]
    pub json: bool,
}

/// Why a row is rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Name of the field.
    pub field: Cow<'static, str>,
    /// The reason; it never quotes the value, so that equal reasons can be counted.
    pub reason: Cow<'static, str>,
}

impl Rejection {
    /// The `field` of a problem with the whole row.
    pub const ROW: &'static str = "(row)";

    /// A problem with one field.
    pub fn new(field: &'static str, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { field: Cow::Borrowed(field), reason: reason.into() }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.reason)
    }
}

/// The destination of a file's rows.
pub trait RowSink {
    /// Converts a JSON record.
    ///
    /// # Errors
    /// If the record is invalid.
    fn parse(&mut self, json: &[u8]) -> Result<RequestRecord, Rejection>;

    /// Stores records; afterwards, the first `rows` rows of the file are done. Not called in a dry
    /// run.
    fn store(&mut self, records: Vec<RequestRecord>, rows: u64) -> Result<AppendReport>;

    /// Ignored and dropped fields so far.
    fn fields(&self) -> FieldCounts {
        FieldCounts::default()
    }
}

impl ImportCommand {
    /// Imports into the configured database and rolls it up.
    pub fn import(&self, out: &mut dyn Write) -> Result<ExitCode> {
        let config = self.config.load()?;
        let service = if self.dry_run { None } else { Some(open::service(&config, self.new_key)?) };
        let pseudonymizer = match &service {
            Some(service) => service.pseudonymizer().clone(),
            // A dry run stores nothing, not even a key. Any key is good enough to check rows.
            None => Pseudonymizer::from_key([0; 32]),
        };
        let mut sink = DatabaseSink::new(service.clone(), pseudonymizer, self.allow_pruned_days);
        let ended = self.run(&config.store.path, &mut sink, out);
        if let Some(service) = service {
            open::roll_up(&service)?;
            service.shutdown()?;
        }
        ended
    }

    /// The mapping rules of the flags.
    pub fn rules(&self) -> MappingRules {
        MappingRules {
            map: self.map.clone(),
            constants: self.constants.clone(),
            scale: self.scale.clone(),
            time_format: self.time_format,
            tz: self.tz,
        }
    }

    /// All settings that affect the resulting records, as text, for [`Checkpoint::new`].
    pub fn rules_text(&self) -> String {
        format!("{:?} {:?} {:?} {:?}", self.rules(), self.format, self.delimiter, self.id_salt)
    }

    /// The rows of an open file.
    ///
    /// # Errors
    /// If the format cannot be detected or the rules do not fit the file.
    pub fn rows(&self, path: &Path, mut input: Input) -> Result<Box<dyn RowReader>> {
        let format = match self.format {
            Some(format) => format,
            None => input.format(path)?,
        };
        let (rules, ids) = (self.rules(), RowIds::new(&self.id_salt));
        Ok(match format {
            FileFormat::Ndjson => Box::new(NdjsonRows::new(input.reader, &rules, ids)?),
            FileFormat::Csv => {
                let delimiter = self.delimiter.unwrap_or_else(|| delimiter_by_name(path));
                Box::new(CsvRows::new(input.reader, delimiter, &rules, ids)?)
            }
            FileFormat::LitellmSpendlogs => {
                let delimiter = self.delimiter.unwrap_or_else(|| delimiter_by_name(path));
                Box::new(LitellmRows::new(input.reader, delimiter, &rules, ids)?)
            }
        })
    }

    /// Imports all files into `sink`, which stores in `database`, and prints the summary. Returns a
    /// failure exit code if there were rows and all were rejected.
    ///
    /// # Errors
    /// If a file cannot be read or a batch cannot be stored; the summary so far is printed first.
    pub fn run(
        &self,
        database: &Path,
        sink: &mut dyn RowSink,
        out: &mut dyn Write,
    ) -> Result<ExitCode> {
        let mut summary = ImportSummary::default();
        let mut files = self.files.iter();
        let ended = files.try_for_each(|file| self.run_file(file, database, sink, &mut summary));
        summary.fields = sink.fields();
        let summary = summary.finish();
        let text = if self.json {
            serde_json::to_string(&summary).unwrap_or_default() + "\n"
        } else {
            summary.to_text()
        };
        print(out, &text)?;
        ended?;
        let all_rejected = summary.rejected > 0 && summary.rejected == summary.rows;
        Ok(if all_rejected { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    fn run_file(
        &self,
        file: &Path,
        database: &Path,
        sink: &mut dyn RowSink,
        summary: &mut ImportSummary,
    ) -> Result<()> {
        let is_file = file != Path::new("-");
        let checkpoint = if is_file && !self.dry_run {
            Some(Checkpoint::new(database, file, &self.rules_text())?)
        } else {
            None
        };
        let resumed = match &checkpoint {
            Some(checkpoint) if self.resume => checkpoint.rows(),
            Some(checkpoint) => {
                // A later --resume must not use the checkpoint of an earlier run.
                checkpoint.clear();
                0
            }
            None => 0,
        };
        let input = Input::open(file)?;
        let mut tracked = TrackedSink::new(sink, checkpoint, &input);
        let mut rows = self.rows(file, input)?;
        self.import_rows(file, &mut *rows, resumed, &mut tracked, summary)?;
        tracked.finish();
        Ok(())
    }

    /// Imports all rows of one file into `sink` and counts them in `summary`; skips the first
    /// `resumed` rows.
    ///
    /// # Errors
    /// If the file cannot be read further (earlier rows are stored) or a batch cannot be stored.
    pub fn import_rows(
        &self,
        path: &Path,
        rows: &mut dyn RowReader,
        resumed: u64,
        sink: &mut dyn RowSink,
        summary: &mut ImportSummary,
    ) -> Result<()> {
        summary.dry_run = self.dry_run;
        let mut pending = PendingBatch {
            capacity: usize::try_from(self.batch).unwrap_or(1),
            ..PendingBatch::default()
        };
        let (mut json, mut row) = (Vec::new(), 0);
        let ended = loop {
            let outcome = match rows.read_row(&mut json) {
                Ok(Some(outcome)) => outcome,
                Ok(None) => break Ok(()),
                Err(source) => break Err(Error::Io { path: path.to_owned(), source }),
            };
            row += 1;
            summary.rows += 1;
            if row <= resumed {
                summary.resumed += 1;
                continue;
            }
            match outcome.and_then(|()| sink.parse(&json)) {
                Ok(record) => {
                    summary.add_start(record.started_at);
                    pending.records.push(record);
                    pending.rows.push(row);
                }
                Err(rejection) => summary.reject(row, rejection),
            }
            if pending.records.len() >= pending.capacity {
                pending.flush(self.dry_run, row, sink, summary)?;
            }
        };
        pending.flush(self.dry_run, row, sink, summary)?;
        for column in rows.ignored_columns() {
            // A file without a header begins with what somebody may have written.
            let shown = if is_sensitive(column) { "(other)" } else { column };
            if !summary.ignored_columns.iter().any(|known| known == shown) {
                summary.ignored_columns.push(shown.to_owned());
            }
        }
        ended
    }
}

#[derive(Debug, Default)]
struct PendingBatch {
    records: Vec<RequestRecord>,
    /// Row number of each record.
    rows: Vec<u64>,
    capacity: usize,
}

impl PendingBatch {
    fn flush(
        &mut self,
        dry_run: bool,
        rows: u64,
        sink: &mut dyn RowSink,
        summary: &mut ImportSummary,
    ) -> Result<()> {
        let records = std::mem::take(&mut self.records);
        let rows_of = std::mem::take(&mut self.rows);
        if dry_run {
            summary.accepted += records.len() as u64;
        } else if !records.is_empty() {
            let report = sink.store(records, rows)?;
            summary.accepted += report.accepted as u64;
            summary.duplicates += report.duplicates.len() as u64;
            for position in report.after_retention {
                summary.reject(rows_of.get(position).copied().unwrap_or(rows), after_retention());
            }
            for (day, count) in report.in_pruned_days {
                *summary.in_pruned_days.entry(day).or_default() += count as u64;
            }
        }
        Ok(())
    }
}

fn after_retention() -> Rejection {
    let reason = format!("{}; --allow-pruned-days stores it", AppendReport::AFTER_RETENTION);
    Rejection::new(AppendReport::AFTER_RETENTION_FIELD, reason)
}

fn delimiter_by_name(path: &Path) -> u8 {
    let name = path.to_string_lossy().to_ascii_lowercase();
    if name.ends_with(".tsv") || name.contains(".tsv.") { b'\t' } else { b',' }
}

fn parse_delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        b"\\t" | b"tab" => Ok(b'\t'),
        [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r') => Ok(*byte),
        _ => Err("one ASCII character other than a quote, or \"tab\"".to_owned()),
    }
}

#[cfg(test)]
mod tests;
