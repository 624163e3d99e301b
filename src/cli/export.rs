//! `chatgauge export`.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use indicatif::ProgressBar;
use rustc_hash::FxHashSet;

use super::config::ConfigArgs;
use super::open;
use super::window::{FilterArgs, WindowArgs};
use crate::csv_file::{self, guarded};
use crate::error::{Error, Result};
use crate::ingest::wire::{Field, FieldValue, TAGS_FIELD, each_field, write_json};
use crate::model::time::DAY_MS;
use crate::model::{
    Clock, Filter, Name, RequestId, RequestRecord, Source, TimeRange, TimeWindow, Timestamp,
};
use crate::query::{Engine, NameCache, RequestsQuery, StoredRequest, UnreadRequests};
use crate::store::{Store, pruned_flag};
use crate::system_clock::SystemClock;

const EXAMPLES: &str = "\
Examples:
  chatgauge export > requests.ndjson             everything
  chatgauge export day --space support-core
  chatgauge export --start 2026-01-01 --end 2026-02-01 --format csv --output january.csv
  chatgauge export month --format csv --bom --output for-excel.csv

Newest first, each request once: all requests stored when the export starts, except those that
retention deletes meanwhile. The server may keep running. `chatgauge import` reads both formats; users
stay pseudonyms. In CSV, text that a spreadsheet would interpret as a formula is prefixed with an
apostrophe, which `chatgauge import` removes. Requests on damaged pages are skipped, counted on standard
error, and make the exit code 1.";

/// Export requests as NDJSON or CSV
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ExportCommand {
    #[command(flatten)]
    window: WindowArgs,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    config: ConfigArgs,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: ExportFormat,
    /// Same as --format ndjson
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Start CSV output with a byte order mark, which Excel needs to recognise UTF-8
    #[arg(long)]
    bom: bool,
    /// Output file [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum ExportFormat {
    /// One JSON object per line
    #[default]
    Ndjson,
    /// Comma-separated values with a header
    Csv,
}

/// Maximum number of requests read in one snapshot, which takes 30 to 50 ms. A snapshot that stays
/// open keeps SQLite from restarting the WAL of a running server.
const PAGE: usize = 10_000;
/// Maximum duration of one snapshot when few requests match, in microseconds.
const PAGE_US: u64 = 1_000_000;
/// Size of the output buffer in bytes.
const BUFFER_BYTES: usize = 128 << 10;

impl ExportCommand {
    /// Exports, even while a server is running; returns a failure exit code if requests are
    /// unreadable.
    ///
    /// # Errors
    /// If the database cannot be opened or the output cannot be written.
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<ExitCode> {
        let format = if self.json { ExportFormat::Ndjson } else { self.format };
        if self.bom && format != ExportFormat::Csv {
            return Err(Error::invalid_config("--bom", "is for CSV; add --format csv"));
        }
        let config = self.config.load()?;
        let (store, engine) = open::engine(&config)?;
        let range = self.window.range(open::now(), config.time_zone, None::<TimeWindow>)?;
        let filter = self.filter.resolve(&config)?;
        let bar = progress_bar(&store, range, &filter)?;
        let query = RequestsQuery { range, filter, limit: PAGE, cursor: None };
        // A damaged end of the table must not prevent the export of the rest.
        let upto_seq = or_default_if_damaged(store.read(|reader| reader.last_seq()), i64::MAX)?;
        let mut out: Box<dyn Write + '_> = match &self.output {
            None => Box::new(out),
            Some(path) => Box::new(
                File::create(path).map_err(|source| Error::Io { path: path.clone(), source })?,
            ),
        };
        if self.bom {
            out.write_all(csv_file::BOM.as_bytes()).map_err(failed)?;
        }
        let unread = export(&engine, query, upto_seq, &bar, Exporter::new(out, format)?);
        bar.finish_and_clear();
        let unread = unread?;
        log_unread(&config.store.path, &unread);
        Ok(if unread.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// Progress by all requests in the range; with a filter, the number of matches is unknown.
fn progress_bar(store: &Store, range: TimeRange, filter: &Filter) -> Result<ProgressBar> {
    if *filter != Filter::default() {
        return Ok(open::bar(None, "{spinner} {pos} requests exported, {per_sec}"));
    }
    let requests = store.read(|reader| {
        let days = reader.days_in(range)?;
        let kept = days.iter().filter(|day| {
            let day_range = TimeRange::from_unix_ms(day.day_ms, day.day_ms + DAY_MS);
            day.pruned & pruned_flag(None) == 0 && !day_range.intersect(range).is_empty()
        });
        Ok(kept.map(|day| day.requests).sum::<i64>())
    });
    let requests = or_default_if_damaged(requests, 0)?;
    Ok(open::progress(u64::try_from(requests).unwrap_or(0), "exporting"))
}

/// The result, or `default` if a page is damaged.
fn or_default_if_damaged<T>(read: Result<T>, default: T) -> Result<T> {
    match read {
        Err(error) if error.is_damage() => Ok(default),
        read => read,
    }
}

/// Exports page by page, each from its own snapshot. Requests with a higher `seq` than at the start
/// are skipped, so the export is consistent except for what retention deletes meanwhile.
fn export(
    engine: &Engine,
    mut query: RequestsQuery,
    upto_seq: i64,
    bar: &ProgressBar,
    mut exporter: Exporter<impl Write>,
) -> Result<UnreadRequests> {
    let clock = SystemClock::default();
    let mut names = NameCache::default();
    let mut written = Vec::with_capacity(PAGE);
    loop {
        let end_us = clock.monotonic_us() + PAGE_US;
        let mut stop = || clock.monotonic_us() > end_us;
        let mut outcome = Ok(());
        written.clear();
        let read = engine.stored(&query, Some(upto_seq), &mut names, &mut stop, |seq, record| {
            if outcome.is_ok() {
                outcome = exporter.write(&record);
                written.push(seq);
            }
        });
        outcome?;
        bar.inc(written.len() as u64);
        let unread = match read {
            Ok(None) => UnreadRequests::default(),
            Ok(cursor) => {
                query.cursor = cursor;
                continue;
            }
            // From here on, read requests one by one, because damaged pages are often adjacent.
            Err(error) if error.is_damage() => {
                let written: FxHashSet<i64> = written.into_iter().collect();
                let mut rest = |stored: StoredRequest| {
                    if written.contains(&stored.seq) {
                        return Ok(());
                    }
                    bar.inc(1);
                    exporter.write(&stored.record)
                };
                engine.requests_skipping_damage(&query, upto_seq, &mut rest)?
            }
            Err(error) => return Err(error),
        };
        exporter.finish()?;
        return Ok(unread);
    }
}

fn log_unread(path: &Path, unread: &UnreadRequests) {
    if !unread.is_empty() {
        tracing::error!(
            path = %path.display(),
            "the export is incomplete: {} requests are on damaged pages and were skipped; `chatgauge salvage` recovers \
             readable data into a new file",
            unread.requests
        );
    }
    for range in &unread.ranges {
        tracing::error!(
            from = %range.start,
            to = %range.end,
            "the export is incomplete: the index is damaged in this range; which requests were skipped is unknown"
        );
    }
}

/// Writes records one by one.
enum Exporter<W: Write> {
    Ndjson { out: W, lines: Vec<u8> },
    Csv { rows: Box<csv::Writer<W>>, cells: Box<CsvCells> },
}

/// Columns of a CSV export after the record fields.
const MORE_COLUMNS: [&str; 4] = [TAGS_FIELD, "source", "outcome", "api_key"];
const COLUMNS: usize = Field::ALL.len() + MORE_COLUMNS.len();

impl<W: Write> Exporter<W> {
    /// Starts an export; writes the CSV header.
    fn new(out: W, format: ExportFormat) -> Result<Self> {
        if format == ExportFormat::Ndjson {
            return Ok(Self::Ndjson { out, lines: Vec::with_capacity(BUFFER_BYTES) });
        }
        let mut rows = csv::WriterBuilder::new().buffer_capacity(BUFFER_BYTES).from_writer(out);
        rows.write_record(columns()).map_err(|error| failed(error.into()))?;
        Ok(Self::Csv { rows: Box::new(rows), cells: Box::new(CsvCells::new()) })
    }

    fn write(&mut self, record: &RequestRecord) -> Result<()> {
        match self {
            Self::Ndjson { out, lines } => {
                write_json(record, lines);
                lines.push(b'\n');
                if lines.len() >= BUFFER_BYTES {
                    out.write_all(lines).map_err(failed)?;
                    lines.clear();
                }
                Ok(())
            }
            Self::Csv { rows, cells } => {
                cells.fill(record);
                rows.write_record(&cells.cells).map_err(|error| failed(error.into()))
            }
        }
    }

    /// Writes what is buffered.
    fn finish(self) -> Result<()> {
        let flushed = match self {
            Self::Ndjson { mut out, lines } => out.write_all(&lines).and_then(|()| out.flush()),
            Self::Csv { mut rows, .. } => rows.flush(),
        };
        flushed.map_err(failed)
    }
}

/// The cells of one row.
struct CsvCells {
    cells: [Vec<u8>; COLUMNS],
    /// The column of each field, in visiting order.
    column_of: Vec<usize>,
}

impl CsvCells {
    fn new() -> Self {
        let mut column_of = Vec::with_capacity(COLUMNS);
        let record = RequestRecord::new(
            RequestId::Text(Name::default()),
            Timestamp::from_unix_ms(0),
            Source::Import,
        );
        each_field(&record, &mut |name, _| {
            let column = columns().position(|column| column == name);
            column_of.push(column.unwrap_or_else(|| unreachable!("{name} has no column")));
        });
        Self { cells: [const { Vec::new() }; COLUMNS], column_of }
    }

    fn fill(&mut self, record: &RequestRecord) {
        let mut columns = self.column_of.iter();
        each_field(record, &mut |_, value| {
            let Some(column) = columns.next() else { return };
            let cell = &mut self.cells[*column];
            cell.clear();
            match value {
                Some(FieldValue::Text(text) | FieldValue::Object(text)) => {
                    cell.extend_from_slice(guarded(text).as_bytes());
                }
                Some(value) => value.write_text(cell),
                None => {}
            }
        });
    }
}

fn columns() -> impl Iterator<Item = &'static str> {
    let first = [Field::RequestId, Field::StartedAt, Field::Operation];
    let others = Field::ALL.iter().copied().filter(move |field| !first.contains(field));
    first.into_iter().chain(others).map(Field::as_str).chain(MORE_COLUMNS)
}

fn failed(source: std::io::Error) -> Error {
    Error::Io { path: "the export".into(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn export(format: ExportFormat) -> String {
        let mut record = RequestRecord::new(
            RequestId::parse("r1"),
            Timestamp::from_unix_ms(1_767_323_045_678),
            Source::Rest,
        );
        record.space = Some(Name::new("a, b"));
        record.prompt_tokens = Some(7);
        record.latency_us[0] = Some(1_500_250);
        record.tags = Some(r#"{"k":"v"}"#.into());
        let mut out = Vec::new();
        let mut exporter = Exporter::new(&mut out, format).unwrap();
        exporter.write(&record).unwrap();
        exporter.finish().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn records_are_written_in_both_formats() {
        let csv = export(ExportFormat::Csv);
        let mut lines = csv.lines();
        assert!(lines.next().unwrap().starts_with("request_id,started_at,operation,user,space,"));
        assert_eq!(
            lines.next().unwrap(),
            r#"r1,2026-01-02T03:04:05.678Z,,,"a, b",,,,1500.25,,,,7,,,,,,,false,,,,,,,0,,,"{""k"":""v""}",rest,success,"#
        );
        assert_eq!(
            export(ExportFormat::Ndjson),
            "{\"request_id\":\"r1\",\"started_at\":\"2026-01-02T03:04:05.678Z\",\"source\":\"rest\",\"space\":\"a, b\",\
             \"total_latency_ms\":1500.25,\"prompt_tokens\":7,\"cache_hit\":false,\"outcome\":\"success\",\"attempt\":0,\
             \"tags\":{\"k\":\"v\"}}\n"
        );
    }
}
