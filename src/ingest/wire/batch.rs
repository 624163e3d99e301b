//! Turns a body that arrives in pieces into records and rejections.

use std::io::BufRead;

use super::draft::{as_text, parse_first};
use super::inflated::filled;
use super::scan::next_object;
use super::{
    BodyProblem, Draft, FieldCounts, Framing, MAX_RECORD_BYTES, Piece, RecordContext,
    RecordProblem, Rejection, Rejections, Splitter, parse_record,
};
use crate::model::RequestRecord;

/// Maximum number of objects on one line of NDJSON; a sender of more has forgotten the line ends.
const OBJECTS_ON_LINE_MAX: usize = 1_000;
/// Bytes parsed at a time, after which a full batch is passed on.
const STEP_BYTES: usize = 16 << 10;

/// Records in the order of the body, with their positions in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ParsedRecords {
    /// The records.
    pub records: Vec<RequestRecord>,
    /// Position in the body of each record, from 0.
    pub indexes: Vec<usize>,
}

/// The records and rejections of a body.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BatchReport {
    /// Records that are not yet taken.
    pub parsed: ParsedRecords,
    /// Number of records in the body, including rejected ones.
    pub total_records: usize,
    /// Rejected records.
    pub rejections: Rejections,
    /// Position of the first record that was not read, because [too many](Rejections::IN_A_ROW_MAX) in a row before it
    /// were rejected.
    pub unread_from: Option<usize>,
    /// Fields that were not stored.
    pub fields: FieldCounts,
}

/// Receives complete records; an error stops the reading.
pub type OnRecords<'e> = &'e mut dyn FnMut(ParsedRecords) -> Result<(), BodyProblem>;

/// Reads a body to its end. Passes on every `batch_records` complete records or slightly more, and the last ones once
/// the body has ended without an error.
///
/// # Errors
/// If the body cannot be read or is not JSON at all, and whatever `on_records` returns.
pub fn read_records(
    mut reader: impl BufRead,
    context: RecordContext,
    framing: Framing,
    batch_records: usize,
    on_records: OnRecords<'_>,
) -> Result<BatchReport, BodyProblem> {
    let mut parser = BatchParser::new(context, framing);
    while !parser.has_given_up() {
        let bytes = filled(&mut reader)?;
        let count = bytes.len().min(STEP_BYTES);
        if count == 0 {
            break;
        }
        parser.push(bytes.get(..count).unwrap_or_default())?;
        reader.consume(count);
        if parser.waiting_records() >= batch_records {
            on_records(parser.take_records())?;
        }
    }
    let mut report = parser.finish()?;
    let last = std::mem::take(&mut report.parsed);
    if !last.records.is_empty() {
        on_records(last)?;
    }
    Ok(report)
}

/// Turns a body that arrives in pieces into records.
///
/// # Example
/// ```
/// use chatgauge::ingest::wire::{BatchParser, Framing, RecordContext};
/// use chatgauge::model::{Source, Timestamp};
/// use chatgauge::privacy::Pseudonymizer;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let now = Timestamp::from_unix_ms(1_760_000_000_000);
/// let context = RecordContext::new(now, Source::Rest, Pseudonymizer::from_key([0; 32]));
/// let mut parser = BatchParser::new(context, Framing::Auto);
/// parser.push(br#"[{"model":"m","messages":["hello"]},{"prom"#)?;
/// parser.push(br#"pt_tokens":-1}]"#)?;
/// let report = parser.finish()?;
/// assert_eq!(report.parsed.records.len(), 1);
/// assert_eq!(report.rejections.listed()[0].field, "prompt_tokens");
/// assert_eq!(report.fields.dropped_content["messages"], 1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct BatchParser {
    splitter: Splitter,
    framing: Framing,
    batch: BatchBuilder,
}

#[derive(Debug)]
struct BatchBuilder {
    context: RecordContext,
    report: BatchReport,
    any_object: bool,
}

impl BatchParser {
    /// A parser for one body.
    pub fn new(context: RecordContext, framing: Framing) -> Self {
        let batch = BatchBuilder { context, report: BatchReport::default(), any_object: false };
        Self { splitter: Splitter::new(framing), framing, batch }
    }

    /// Parses the next bytes of the body; after [giving up](Self::has_given_up) they are ignored.
    ///
    /// # Errors
    /// If the body cannot be read further; earlier records can still be taken.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), BodyProblem> {
        if self.has_given_up() {
            return Ok(());
        }
        let Self { splitter, batch, .. } = self;
        splitter.push(bytes, &mut |piece| batch.add(piece))
    }

    /// Removes and returns the complete records.
    pub fn take_records(&mut self) -> ParsedRecords {
        std::mem::take(&mut self.batch.report.parsed)
    }

    /// Whether too many records in a row were rejected, so that the rest of the body is not read.
    pub const fn has_given_up(&self) -> bool {
        self.batch.report.unread_from.is_some()
    }

    /// Number of records that are not yet taken.
    pub const fn waiting_records(&self) -> usize {
        self.batch.report.parsed.records.len()
    }

    /// Ends the body.
    ///
    /// # Errors
    /// If the body is empty, cut off or not JSON at all.
    pub fn finish(mut self) -> Result<BatchReport, BodyProblem> {
        let given_up = self.has_given_up();
        let Self { splitter, batch, .. } = &mut self;
        if !given_up {
            splitter.finish(&mut |piece| batch.add(piece))?;
        }
        if !given_up
            && self.framing == Framing::Auto
            && !self.splitter.begins_as_json()
            && !self.batch.any_object
        {
            return Err(BodyProblem::unreadable(
                "it is neither a JSON object, nor an array of objects, nor one object on each line",
            ));
        }
        Ok(self.batch.report)
    }
}

impl BatchBuilder {
    fn add(&mut self, piece: Piece<'_>) {
        if self.report.unread_from.is_some() {
            return;
        }
        match piece {
            Piece::Record(bytes) => {
                let draft = parse_record(bytes, &mut self.report.fields);
                self.add_draft(draft);
            }
            Piece::Line(bytes) => self.add_line(bytes),
            Piece::TooLong => {
                let reason = format!("is longer than {MAX_RECORD_BYTES} bytes");
                self.add_draft(Err(RecordProblem::whole(reason)));
            }
            Piece::Malformed(reason) => self.add_draft(Err(RecordProblem::whole(reason))),
        }
    }

    fn add_line(&mut self, bytes: &[u8]) {
        let mut text = match as_text(bytes) {
            Ok(text) => text,
            Err(problem) => return self.add_draft(Err(problem)),
        };
        for objects in 1.. {
            match parse_first(text, &mut self.report.fields) {
                Ok((draft, false)) => return self.add_draft(Ok(draft)),
                Ok((draft, true)) => {
                    let Some(rest) = next_object(text) else {
                        let reason = "something follows the end of the object on its line";
                        return self.add_draft(Err(RecordProblem::whole(reason)));
                    };
                    self.add_draft(Ok(draft));
                    text = rest;
                    if objects == OBJECTS_ON_LINE_MAX {
                        let reason = format!(
                            "there are more than {OBJECTS_ON_LINE_MAX} objects on its line: the others are not read; put \
                             each on a line of its own"
                        );
                        return self.add_draft(Err(RecordProblem::whole(reason)));
                    }
                }
                Err(problem) => return self.add_draft(Err(problem)),
            }
        }
    }

    fn add_draft(&mut self, draft: Result<Draft<'_>, RecordProblem>) {
        let report = &mut self.report;
        let index = report.total_records;
        if report.rejections.is_hopeless() {
            report.unread_from.get_or_insert(index);
            return;
        }
        report.total_records += 1;
        self.any_object |= draft.is_ok();
        match draft.and_then(|draft| draft.check(&self.context, &mut report.fields)) {
            Ok(record) => {
                report.rejections.accept();
                report.parsed.records.push(record);
                report.parsed.indexes.push(index);
            }
            Err(RecordProblem { field, reason }) => {
                report.rejections.add(Rejection { index, field, reason });
            }
        }
    }
}
