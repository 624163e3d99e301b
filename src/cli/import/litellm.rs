//! Reads LiteLLM's spend logs table, as CSV or as one JSON object per line.

use std::io::{self, BufRead};

use csv::ByteRecord;

use super::identity::RowIds;
use super::mapping::MappingRules;
use super::rows::{CsvReader, NdjsonRows, RowOutcome, RowReader, open_csv};
use super::sink::ROW;
use crate::error::{Error, Result};
use crate::ingest::litellm::{LitellmEvent, read_events};
use crate::ingest::wire::RecordProblem;

/// Rows of an exported table.
pub(super) struct LitellmRows {
    rows: SpendLogFile,
    ids: RowIds,
    ignored: Vec<String>,
}

enum SpendLogFile {
    Csv { reader: CsvReader, header: Vec<String>, row: ByteRecord },
    Lines(NdjsonRows),
}

impl LitellmRows {
    /// Rows of `reader`; the first character decides the format.
    ///
    /// # Errors
    /// If there is no header, or `rules` is not empty, because the columns have fixed meanings.
    pub(super) fn new(
        mut reader: Box<dyn BufRead>,
        delimiter: u8,
        rules: &MappingRules,
        ids: RowIds,
    ) -> Result<Self> {
        let given = [("--map", &rules.map), ("--set", &rules.constants), ("--scale", &rules.scale)];
        if let Some((flag, _)) = given.iter().find(|(_, rules)| !rules.is_empty()) {
            let reason = "the columns of spend logs have fixed meanings";
            return Err(Error::invalid_config(*flag, reason));
        }
        let start = reader.fill_buf().unwrap_or_default();
        if start.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{') {
            // Ids are derived here, from the whole line.
            let lines = NdjsonRows::new(reader, &MappingRules::default(), RowIds::new(""))?;
            return Ok(Self { rows: SpendLogFile::Lines(lines), ids, ignored: Vec::new() });
        }
        let (reader, header) = open_csv(reader, delimiter)?;
        let ignored =
            header.iter().filter(|name| !LitellmEvent::has_column(name)).cloned().collect();
        let row = ByteRecord::new();
        Ok(Self { rows: SpendLogFile::Csv { reader, header, row }, ids, ignored })
    }
}

impl RowReader for LitellmRows {
    fn read_row(&mut self, json: &mut Vec<u8>) -> io::Result<RowOutcome> {
        json.clear();
        let event = match &mut self.rows {
            SpendLogFile::Csv { reader, header, row } => {
                if !reader.read_byte_record(row)? {
                    return Ok(None);
                }
                let mut event = LitellmEvent::default();
                for (name, cell) in header.iter().zip(row.iter()) {
                    event.set_column(name, &String::from_utf8_lossy(cell));
                }
                if !event.has_id() {
                    event.set_column("request_id", &self.ids.next(row.iter()).to_string());
                }
                event
            }
            SpendLogFile::Lines(lines) => match lines.read_row(json)? {
                Some(Ok(())) => {
                    let mut found = None;
                    let read = read_events(json.as_slice(), &mut |event| {
                        found = Some(event);
                        true
                    });
                    match (read, found) {
                        (Ok(()), Some(Ok(event))) => event,
                        _ => return Ok(Some(Err(RecordProblem::new(ROW, "is not JSON")))),
                    }
                }
                end_or_rejection => return Ok(end_or_rejection),
            },
        };
        json.clear();
        if !event.has_start() {
            // Without a start time the request would count as of now.
            let reason = "is missing or not a time";
            return Ok(Some(Err(RecordProblem::new("startTime", reason))));
        }
        event.write_json(json);
        Ok(Some(Ok(())))
    }

    fn ignored_columns(&self) -> &[String] {
        &self.ignored
    }
}
