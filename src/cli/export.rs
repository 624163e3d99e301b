//! `chatgauge export`.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde_json::{Map, Value};

use super::config::ConfigArgs;
use super::import::field::{FIELDS, TAGS};
use super::open;
use super::window::{FilterArgs, WindowArgs};
use crate::csv_file::{self, cell};
use crate::error::{Error, Result};
use crate::ingest::wire::write_json;
use crate::model::RequestRecord;
use crate::query::{Engine, RequestsQuery, UnreadRequests};

const EXAMPLES: &str = "\
Examples:
  chatgauge export > requests.ndjson             everything
  chatgauge export day --space support-core
  chatgauge export --start 2026-01-01 --end 2026-02-01 --format csv --output january.csv
  chatgauge export month --format csv --bom --output for-excel.csv

Newest first. `chatgauge import` reads both formats; users stay pseudonyms. In CSV, a text that a
spreadsheet would take for a formula has an apostrophe before it, which `chatgauge import` takes off.
Requests on damaged pages are skipped, counted on standard error, and make the exit code 1.";

/// Writes stored requests as NDJSON or CSV.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ExportCommand {
    /// Which time.
    #[command(flatten)]
    pub window: WindowArgs,
    /// Which requests.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// What the output consists of
    #[arg(long, value_enum, default_value_t)]
    pub format: ExportFormat,
    /// The same as --format ndjson
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
    /// Begin CSV with a byte order mark, by which Excel recognises UTF-8
    #[arg(long)]
    pub bom: bool,
    /// Where to write; by default standard output
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// What an export consists of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// One JSON object a line
    #[default]
    Ndjson,
    /// Comma-separated values with a header
    Csv,
}

/// Requests read at a time.
const PAGE: usize = 1_000;

impl ExportCommand {
    /// Exports, beside a running server too; a failure exit code when requests could not be read.
    ///
    /// # Errors
    /// When the file cannot be opened or the output cannot be written.
    pub fn run(&self, out: &mut dyn Write) -> Result<ExitCode> {
        let format = if self.json { ExportFormat::Ndjson } else { self.format };
        if self.bom && format != ExportFormat::Csv {
            return Err(Error::invalid_config("--bom", "is for CSV; add --format csv"));
        }
        let config = self.config.load()?;
        let (_, engine) = open::engine(&config)?;
        let range = self.window.range_or_all(open::now(), config.time_zone)?;
        let filter = self.filter.resolve(&config)?;
        let mut query = RequestsQuery { range, filter, limit: PAGE, cursor: None };
        let unread = match &self.output {
            None => {
                let out = self.begin(BufWriter::new(out))?;
                export(&engine, &mut query, Exporter::new(out, format)?)
            }
            Some(path) => {
                let file = File::create(path)
                    .map_err(|source| Error::Io { path: path.clone(), source })?;
                let file = self.begin(BufWriter::new(file))?;
                export(&engine, &mut query, Exporter::new(file, format)?)
            }
        }?;
        if unread.is_empty() {
            return Ok(ExitCode::SUCCESS);
        }
        tell_unread(&config.store.path, &unread);
        Ok(ExitCode::FAILURE)
    }

    /// The output after the byte order mark, when one is wanted.
    fn begin<W: Write>(&self, mut out: W) -> Result<W> {
        let mark = if self.bom { csv_file::BOM } else { "" };
        out.write_all(mark.as_bytes()).map_err(failed)?;
        Ok(out)
    }
}

fn export<W: Write>(
    engine: &Engine,
    query: &mut RequestsQuery,
    mut exporter: Exporter<W>,
) -> Result<UnreadRequests> {
    let unread = write_requests(engine, query, &mut exporter)?;
    exporter.finish()?;
    Ok(unread)
}

fn write_requests<W: Write>(
    engine: &Engine,
    query: &mut RequestsQuery,
    exporter: &mut Exporter<W>,
) -> Result<UnreadRequests> {
    let mut json = Vec::new();
    let mut write = |record: &RequestRecord| {
        json.clear();
        write_json(record, &mut json);
        exporter.write(&json)
    };
    loop {
        match engine.requests(query) {
            Ok(page) => {
                page.requests.iter().try_for_each(|stored| write(&stored.record))?;
                query.cursor = page.next_cursor;
            }
            // From here to the end one by one: a damaged page is rarely alone.
            Err(error) if error.is_damage() => {
                return engine.requests_beside_damage(query, &mut |stored| write(&stored.record));
            }
            Err(error) => return Err(error),
        }
        if query.cursor.is_none() {
            return Ok(UnreadRequests::default());
        }
    }
}

fn tell_unread(path: &Path, unread: &UnreadRequests) {
    tracing::error!(
        path = %path.display(),
        "the export is incomplete: {} requests are on damaged pages and were skipped; `chatgauge salvage` makes a \
         whole file of what is left",
        unread.requests
    );
    for range in &unread.ranges {
        tracing::error!(
            from = %range.start,
            to = %range.end,
            "the export is incomplete: the index is damaged here, and which requests were skipped is not known"
        );
    }
}

/// Writes records, given as JSON objects of the contract, one after the other.
#[derive(Debug)]
pub struct Exporter<W: Write> {
    out: W,
    format: ExportFormat,
}

/// Columns of a CSV export after the fields of a record.
const MORE_COLUMNS: [&str; 3] = [TAGS.name, "source", "outcome"];

impl<W: Write> Exporter<W> {
    /// Begins an export; CSV gets its header.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn new(out: W, format: ExportFormat) -> Result<Self> {
        let mut exporter = Self { out, format };
        if format == ExportFormat::Csv {
            exporter.write_row(columns().map(str::to_owned))?;
        }
        Ok(exporter)
    }

    /// Writes one record.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&mut self, json: &[u8]) -> Result<()> {
        match self.format {
            ExportFormat::Ndjson => {
                let written = self.out.write_all(json).and_then(|()| self.out.write_all(b"\n"));
                written.map_err(failed)
            }
            ExportFormat::Csv => {
                let record: Map<String, Value> =
                    serde_json::from_slice(json).map_err(|error| failed(error.into()))?;
                let cell = |name| record.get(name).map(cell).unwrap_or_default().into_owned();
                self.write_row(columns().map(cell))
            }
        }
    }

    /// Ends the export.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self) -> Result<()> {
        self.out.flush().map_err(failed)
    }

    fn write_row(&mut self, cells: impl Iterator<Item = String>) -> Result<()> {
        let mut row = csv::WriterBuilder::new().buffer_capacity(1 << 10).from_writer(Vec::new());
        row.write_record(cells).map_err(|error| failed(error.into()))?;
        let bytes = row.into_inner().map_err(|error| failed(error.into_error()))?;
        self.out.write_all(&bytes).map_err(failed)
    }
}

fn columns() -> impl Iterator<Item = &'static str> {
    FIELDS.iter().map(|field| field.name).chain(MORE_COLUMNS)
}

fn failed(source: std::io::Error) -> Error {
    Error::Io { path: "the export".into(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &[u8] =
        br#"{"request_id":"r1","space":"a, b","prompt_tokens":7,"tags":{"k":"v"},"outcome":"success"}"#;

    fn export(format: ExportFormat) -> String {
        let mut out = Vec::new();
        let mut exporter = Exporter::new(&mut out, format).unwrap();
        exporter.write(RECORD).unwrap();
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
            r#"r1,,,,"a, b",,,,,,,,7,,,,,,,,,,,,,,"{""k"":""v""}",,success"#
        );
        assert_eq!(export(ExportFormat::Ndjson).as_bytes(), [RECORD, b"\n"].concat());
    }
}
