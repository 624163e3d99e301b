//! `chatgauge import`: imports history from NDJSON and CSV files.

mod checkpoint;
mod field;
mod identity;
mod input;
mod litellm;
mod mapping;
mod rows;
mod sink;
mod summary;
mod time;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::config::CommonArgs;
use super::open;
use crate::error::{Error, Result};
use crate::ingest::wire::{FieldCounts, RecordProblem};
use crate::model::RequestRecord;
use crate::privacy::is_sensitive;
use crate::service::AppendReport;
use checkpoint::Checkpoint;
use identity::RowIds;
use input::{FileFormat, InputFile};
use litellm::LitellmRows;
use mapping::MappingRules;
use rows::{CsvRows, NdjsonRows, RowReader};
use sink::DatabaseSink;

pub use sink::RowSink;
pub use summary::ImportSummary;
pub(super) use time::TimeFormat;

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
    files: Vec<PathBuf>,
    #[command(flatten)]
    common: CommonArgs,
    /// File format [default: by file name or first character]
    #[arg(long, value_enum)]
    format: Option<FileFormat>,
    #[command(flatten)]
    rules: MappingRules,
    /// Column separator; a tab for .tsv files
    #[arg(long, value_name = "CHARACTER", value_parser = parse_delimiter)]
    delimiter: Option<u8>,
    /// Salt for derived request ids; distinguishes identical rows of different files
    #[arg(long, value_name = "TEXT", default_value = "")]
    id_salt: String,
    /// Skip rows that an interrupted import of the same file stored
    #[arg(long)]
    resume: bool,
    /// Also store requests of days with pruned raw requests; duplicates of pruned requests count
    /// twice
    #[arg(long)]
    allow_pruned_days: bool,
    /// Read and check everything but store nothing
    #[arg(long)]
    dry_run: bool,
    /// Accept a new or different pseudonym key; every user counts as new from then on
    #[arg(long)]
    new_key: bool,
    /// Number of requests stored per batch
    #[arg(long, value_name = "N", default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    batch: u32,
}

impl ImportCommand {
    /// Imports into the configured database and rolls it up.
    pub(super) fn import(&self, out: &mut dyn Write) -> Result<ExitCode> {
        let config = self.common.config.load()?;
        let service = if self.dry_run { None } else { Some(open::service(&config, self.new_key)?) };
        let mut sink = DatabaseSink::new(service.clone(), self.allow_pruned_days);
        let ended = self.run(&config.store.path, &mut sink, out);
        if let Some(service) = service {
            open::roll_up(&service)?;
            service.shutdown()?;
        }
        ended
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
        let ended = files.try_for_each(|file| self.import_file(file, database, sink, &mut summary));
        let FieldCounts { ignored, dropped_content } = sink.fields();
        (summary.ignored_fields, summary.dropped_content_fields) = (ignored, dropped_content);
        summary.finish();
        self.common.print(out, || serde_json::json!(summary), || summary.to_text())?;
        ended?;
        let all_rejected = summary.rejected > 0 && summary.rejected == summary.rows;
        Ok(if all_rejected { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    fn import_file(
        &self,
        file: &Path,
        database: &Path,
        sink: &mut dyn RowSink,
        summary: &mut ImportSummary,
    ) -> Result<()> {
        let is_recorded = file != Path::new("-") && !self.dry_run;
        let checkpoint =
            is_recorded.then(|| Checkpoint::new(database, file, &self.rules_text())).transpose()?;
        let resumed = match &checkpoint {
            Some(checkpoint) if self.resume => checkpoint.rows(),
            Some(checkpoint) => {
                // A later --resume must not use the checkpoint of an earlier run.
                checkpoint.clear();
                0
            }
            None => 0,
        };
        let input = InputFile::open(file)?;
        let bar = input.bar.clone();
        let mut rows = self.rows(file, input)?;
        self.import_rows(file, &mut *rows, resumed, checkpoint.as_ref(), sink, summary)?;
        bar.finish_and_clear();
        if let Some(checkpoint) = checkpoint {
            checkpoint.clear();
        }
        Ok(())
    }

    /// All settings that affect the resulting records, as text, for [`Checkpoint::new`].
    fn rules_text(&self) -> String {
        format!("{:?} {:?} {:?} {:?}", self.rules, self.format, self.delimiter, self.id_salt)
    }

    /// The rows of an open file.
    ///
    /// # Errors
    /// If the format cannot be detected or the rules do not fit the file.
    fn rows(&self, path: &Path, mut input: InputFile) -> Result<Box<dyn RowReader>> {
        let format = self.format.map_or_else(|| input.format(path), Ok)?;
        let (rules, ids) = (&self.rules, RowIds::new(&self.id_salt));
        let name = path.to_string_lossy().to_ascii_lowercase();
        let is_tsv = name.ends_with(".tsv") || name.contains(".tsv.");
        let delimiter = self.delimiter.unwrap_or(if is_tsv { b'\t' } else { b',' });
        Ok(match format {
            FileFormat::Ndjson => Box::new(NdjsonRows::new(input.reader, rules, ids)?),
            FileFormat::Csv => Box::new(CsvRows::new(input.reader, delimiter, rules, ids)?),
            FileFormat::LitellmSpendlogs => {
                Box::new(LitellmRows::new(input.reader, delimiter, rules, ids)?)
            }
        })
    }

    /// Imports all rows of one file into `sink` and counts them in `summary`; skips the first
    /// `resumed` rows.
    ///
    /// # Errors
    /// If the file cannot be read further (earlier rows are stored) or a batch cannot be stored.
    fn import_rows(
        &self,
        path: &Path,
        rows: &mut dyn RowReader,
        resumed: u64,
        checkpoint: Option<&Checkpoint>,
        sink: &mut dyn RowSink,
        summary: &mut ImportSummary,
    ) -> Result<()> {
        summary.dry_run = self.dry_run;
        let (mut batch, mut json, mut row) = (RowBatch::default(), Vec::new(), 0);
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
                    batch.records.push(record);
                    batch.rows.push(row);
                }
                Err(rejection) => summary.reject(row, rejection),
            }
            if batch.records.len() as u64 >= u64::from(self.batch) {
                std::mem::take(&mut batch).store(row, checkpoint, sink, summary)?;
            }
        };
        batch.store(row, checkpoint, sink, summary)?;
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

/// Records to store in one call.
#[derive(Default)]
struct RowBatch {
    records: Vec<RequestRecord>,
    /// Row number of each record.
    rows: Vec<u64>,
}

impl RowBatch {
    /// Stores the records, unless in a dry run; afterwards, the first `rows_done` rows of the file are done.
    fn store(
        self,
        rows_done: u64,
        checkpoint: Option<&Checkpoint>,
        sink: &mut dyn RowSink,
        summary: &mut ImportSummary,
    ) -> Result<()> {
        if summary.dry_run {
            summary.accepted += self.records.len() as u64;
            return Ok(());
        }
        if self.records.is_empty() {
            return Ok(());
        }
        let report = sink.store(self.records, rows_done)?;
        checkpoint.map_or(Ok(()), |checkpoint| checkpoint.save(rows_done))?;
        summary.accepted += report.accepted as u64;
        summary.duplicates += report.duplicates.len() as u64;
        for position in report.after_retention {
            let row = self.rows.get(position).copied().unwrap_or(rows_done);
            let reason =
                format!("{}; --allow-pruned-days stores it", AppendReport::AFTER_RETENTION);
            summary.reject(row, RecordProblem::new(AppendReport::AFTER_RETENTION_FIELD, reason));
        }
        for (day, count) in report.in_pruned_days {
            *summary.in_pruned_days.entry(day).or_default() += count as u64;
        }
        Ok(())
    }
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
