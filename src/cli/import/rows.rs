//! Rows of CSV and NDJSON files as JSON records.

use std::io::{self, BufRead};

use csv::ByteRecord;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::identity::RowIds;
use super::mapping::{Mapping, MappingRules, parse_constants};
use super::sink::ROW;
use crate::csv_file::is_truncation_note;
use crate::error::{Error, Result};
use crate::ingest::wire::RecordProblem;

/// Maximum length of an NDJSON line in bytes.
const MAX_LINE_BYTES: usize = 1 << 20;

/// An open CSV file.
pub(super) type CsvReader = csv::Reader<Box<dyn BufRead>>;
/// A row that was read, an invalid row, or `None` at the end of the file.
pub(super) type RowOutcome = Option<Result<(), RecordProblem>>;

/// The rows of a file.
pub(super) trait RowReader {
    /// Clears `json` and reads the next row into it; `None` at the end. An invalid row does not end
    /// the file.
    ///
    /// # Errors
    /// If the file cannot be read further.
    fn read_row(&mut self, json: &mut Vec<u8>) -> io::Result<RowOutcome>;

    /// Columns that are ignored.
    fn ignored_columns(&self) -> &[String] {
        &[]
    }
}

/// A CSV file after its header, and the names of its columns.
pub(super) fn open_csv(
    reader: Box<dyn BufRead>,
    delimiter: u8,
) -> Result<(CsvReader, Vec<String>)> {
    let mut reader =
        csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(reader);
    let header = reader
        .byte_headers()
        .map_err(|error| Error::invalid_config("the header line", error.to_string()))?;
    let name = |name| String::from_utf8_lossy(name).trim().to_owned();
    let header = header.iter().map(name).collect();
    Ok((reader, header))
}

/// Rows of a CSV file with a header.
pub(super) struct CsvRows {
    reader: CsvReader,
    row: ByteRecord,
    mapping: Mapping,
    ids: RowIds,
}

impl CsvRows {
    /// Reads the header and applies the rules to it.
    ///
    /// # Errors
    /// If there is no header, or the rules do not fit it.
    pub(super) fn new(
        reader: Box<dyn BufRead>,
        delimiter: u8,
        rules: &MappingRules,
        ids: RowIds,
    ) -> Result<Self> {
        let (reader, header) = open_csv(reader, delimiter)?;
        let mapping = Mapping::new(rules, &header)?;
        Ok(Self { reader, row: ByteRecord::new(), mapping, ids })
    }
}

impl RowReader for CsvRows {
    fn read_row(&mut self, json: &mut Vec<u8>) -> io::Result<RowOutcome> {
        json.clear();
        if !self.reader.read_byte_record(&mut self.row)? {
            return Ok(None);
        }
        // An export that was truncated ends with a note instead of a request.
        if is_truncation_note(self.row.iter()) {
            tracing::warn!("the file is a truncated export: requests are missing");
            return self.read_row(json);
        }
        let has_id = self.mapping.has_request_id(&self.row);
        let id = (!has_id).then(|| self.ids.next(self.row.iter()));
        Ok(Some(self.mapping.write_json(&self.row, id, json)))
    }

    fn ignored_columns(&self) -> &[String] {
        &self.mapping.ignored
    }
}

/// Lines of an NDJSON file; empty lines are skipped.
pub(super) struct NdjsonRows {
    reader: Box<dyn BufRead>,
    line: Vec<u8>,
    constants: Vec<u8>,
    ids: RowIds,
}

#[derive(Deserialize)]
struct RowIdentity {
    request_id: Option<IgnoredAny>,
}

impl NdjsonRows {
    /// Lines of `reader`, with the constants of the rules added to every record.
    ///
    /// # Errors
    /// If a constant is invalid, or the rules contain options for CSV only.
    pub(super) fn new(reader: Box<dyn BufRead>, rules: &MappingRules, ids: RowIds) -> Result<Self> {
        let csv_only = [("--map", &rules.map), ("--scale", &rules.scale)];
        if let Some((flag, _)) = csv_only.iter().find(|(_, rules)| !rules.is_empty()) {
            return Err(Error::invalid_config(*flag, "only CSV files have columns"));
        }
        let (_, constants) = parse_constants(rules)?;
        Ok(Self { reader, line: Vec::new(), constants, ids })
    }

    /// Reads a line without its newline; `None` at the end of the file.
    fn read_line(&mut self) -> io::Result<RowOutcome> {
        self.line.clear();
        let (mut is_end, mut is_too_long) = (true, false);
        loop {
            let chunk = self.reader.fill_buf()?;
            if chunk.is_empty() {
                break;
            }
            is_end = false;
            let newline = memchr::memchr(b'\n', chunk);
            let length = newline.unwrap_or(chunk.len());
            is_too_long |= self.line.len() + length > MAX_LINE_BYTES;
            if !is_too_long {
                self.line.extend_from_slice(&chunk[..length]);
            }
            self.reader.consume(length + usize::from(newline.is_some()));
            if newline.is_some() {
                break;
            }
        }
        if is_too_long {
            let reason = format!("is longer than {MAX_LINE_BYTES} bytes");
            return Ok(Some(Err(RecordProblem::new(ROW, reason))));
        }
        Ok((!is_end).then_some(Ok(())))
    }
}

impl RowReader for NdjsonRows {
    fn read_row(&mut self, json: &mut Vec<u8>) -> io::Result<RowOutcome> {
        json.clear();
        loop {
            match self.read_line()? {
                Some(Ok(())) if self.line.trim_ascii().is_empty() => {}
                Some(Ok(())) => break,
                end_or_rejection => return Ok(end_or_rejection),
            }
        }
        let line = self.line.trim_ascii();
        json.extend_from_slice(line);
        // The record parser reports lines that are not objects.
        let (Ok(identity), Some(body)) =
            (serde_json::from_slice::<RowIdentity>(line), line.strip_suffix(b"}"))
        else {
            return Ok(Some(Ok(())));
        };
        let id = identity.request_id.is_none().then(|| self.ids.next(std::iter::once(line)));
        if id.is_none() && self.constants.is_empty() {
            return Ok(Some(Ok(())));
        }
        // The parser uses the last occurrence of a member, so appended members win.
        let mut members = id.map_or_else(Vec::new, |id| format!(",\"request_id\":\"{id}\"").into());
        members.extend_from_slice(&self.constants);
        let body = body.trim_ascii_end();
        json.truncate(body.len());
        let members = if body.ends_with(b"{") { &members[1..] } else { &members[..] };
        json.extend_from_slice(members);
        json.push(b'}');
        Ok(Some(Ok(())))
    }
}
