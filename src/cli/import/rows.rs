//! Rows of CSV and NDJSON files as JSON records.

use std::io::{self, BufRead};

use csv::ByteRecord;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::Rejection;
use super::identity::RowIds;
use super::mapping::{Mapping, MappingRules, constant_members};
use crate::csv_file::is_truncation_note;
use crate::error::{Error, Result};

/// Maximum length of an NDJSON line in bytes.
const MAX_LINE_BYTES: usize = 1 << 20;

/// The rows of a file.
pub trait RowReader {
    /// Clears `json` and reads the next row into it; `None` at the end. An invalid row does not end
    /// the file.
    ///
    /// # Errors
    /// If the file cannot be read further.
    fn read_row(&mut self, json: &mut Vec<u8>) -> io::Result<Option<Result<(), Rejection>>>;

    /// Columns that are ignored.
    fn ignored_columns(&self) -> &[String] {
        &[]
    }
}

/// Rows of a CSV file with a header.
pub struct CsvRows<R> {
    reader: csv::Reader<R>,
    row: ByteRecord,
    mapping: Mapping,
    ids: RowIds,
}

impl<R> std::fmt::Debug for CsvRows<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CsvRows").field("mapping", &self.mapping).finish_non_exhaustive()
    }
}

impl<R: io::Read> CsvRows<R> {
    /// Reads the header and applies the rules to it.
    ///
    /// # Errors
    /// If there is no header, or the rules do not fit it.
    pub fn new(reader: R, delimiter: u8, rules: &MappingRules, ids: RowIds) -> Result<Self> {
        let mut reader =
            csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(reader);
        let header = reader
            .byte_headers()
            .map_err(|error| Error::invalid_config("the header line", error.to_string()))?;
        let header: Vec<String> =
            header.iter().map(|name| String::from_utf8_lossy(name).trim().to_owned()).collect();
        let mapping = Mapping::new(rules, &header)?;
        Ok(Self { reader, row: ByteRecord::new(), mapping, ids })
    }
}

impl<R: io::Read> RowReader for CsvRows<R> {
    fn read_row(&mut self, json: &mut Vec<u8>) -> io::Result<Option<Result<(), Rejection>>> {
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
#[derive(Debug)]
pub struct NdjsonRows<R> {
    reader: R,
    line: Vec<u8>,
    constants: Vec<u8>,
    ids: RowIds,
}

#[derive(Deserialize)]
struct Identity {
    request_id: Option<IgnoredAny>,
}

impl<R: BufRead> NdjsonRows<R> {
    /// Lines of `reader`, with the constants of the rules added to every record.
    ///
    /// # Errors
    /// If a constant is invalid, or the rules contain options for CSV only.
    pub fn new(reader: R, rules: &MappingRules, ids: RowIds) -> Result<Self> {
        let csv_only = [("--map", &rules.map), ("--scale", &rules.scale)];
        if let Some((flag, _)) = csv_only.iter().find(|(_, rules)| !rules.is_empty()) {
            return Err(Error::invalid_config(*flag, "only CSV files have columns"));
        }
        Ok(Self { reader, line: Vec::new(), constants: constant_members(rules)?, ids })
    }

    /// Reads a line without its newline; `None` at the end of the file.
    fn read_line(&mut self) -> io::Result<Option<Result<(), Rejection>>> {
        self.line.clear();
        let mut is_too_long = false;
        let mut is_end = true;
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
            let used = length + usize::from(newline.is_some());
            self.reader.consume(used);
            if newline.is_some() {
                break;
            }
        }
        if is_end {
            return Ok(None);
        }
        let reason = || format!("is longer than {MAX_LINE_BYTES} bytes");
        Ok(Some(if is_too_long { Err(Rejection::new(Rejection::ROW, reason())) } else { Ok(()) }))
    }
}

impl<R: BufRead> RowReader for NdjsonRows<R> {
    fn read_row(&mut self, json: &mut Vec<u8>) -> io::Result<Option<Result<(), Rejection>>> {
        json.clear();
        loop {
            match self.read_line()? {
                None => return Ok(None),
                Some(Err(rejection)) => return Ok(Some(Err(rejection))),
                Some(Ok(())) if self.line.trim_ascii().is_empty() => {}
                Some(Ok(())) => break,
            }
        }
        let line = self.line.trim_ascii();
        json.extend_from_slice(line);
        // The record parser reports lines that are not objects.
        let (Ok(identity), Some(body)) =
            (serde_json::from_slice::<Identity>(line), line.strip_suffix(b"}"))
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
