//! A body as it arrives, its records as they become complete, and what is said about the others.

use serde::Serialize;

use super::draft::{as_text, parse_first};
use super::scan::next_object;
use super::{
    BodyProblem, Draft, FieldCounts, Framing, MAX_RECORD_BYTES, Piece, RecordContext,
    RecordProblem, Splitter, parse_record,
};
use crate::model::RequestRecord;

/// Most rejections that are described; more are only counted.
const MAX_REJECTIONS: usize = 1_000;

/// One record that was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rejection {
    /// Position in the body, from 0.
    pub index: usize,
    /// Name of the field, or `(record)`.
    pub field: &'static str,
    /// What is wrong and what would be right.
    pub reason: String,
}

/// Records in the order of the body, with their positions in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ParsedRecords {
    /// The records.
    pub records: Vec<RequestRecord>,
    /// Position in the body of each of `records`, from 0.
    pub indexes: Vec<usize>,
}

/// What became of a body.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BatchReport {
    /// Records not yet taken.
    pub parsed: ParsedRecords,
    /// All records of the body, the rejected ones included.
    pub total_records: usize,
    /// The first 1,000 records that were not accepted.
    pub rejected: Vec<Rejection>,
    /// All records that were not accepted.
    pub rejected_records: usize,
    /// Fields that were not kept.
    pub fields: FieldCounts,
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
/// assert_eq!(report.rejected[0].field, "prompt_tokens");
/// assert_eq!(report.fields.dropped_content["messages"], 1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct BatchParser {
    splitter: Splitter,
    framing: Framing,
    batch: Batch,
}

#[derive(Debug)]
struct Batch {
    context: RecordContext,
    report: BatchReport,
    any_object: bool,
}

impl BatchParser {
    /// A parser for one body.
    pub fn new(context: RecordContext, framing: Framing) -> Self {
        let batch = Batch { context, report: BatchReport::default(), any_object: false };
        Self { splitter: Splitter::new(framing), framing, batch }
    }

    /// Takes the next bytes of the body.
    ///
    /// # Errors
    /// When the body cannot be read on; records that were complete before may still be taken.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), BodyProblem> {
        let Self { splitter, batch, .. } = self;
        splitter.push(bytes, &mut |piece| batch.add(piece))
    }

    /// Records that became complete since the last call.
    pub fn take_records(&mut self) -> ParsedRecords {
        std::mem::take(&mut self.batch.report.parsed)
    }

    /// How many records wait to be taken.
    pub const fn waiting_records(&self) -> usize {
        self.batch.report.parsed.records.len()
    }

    /// Ends the body.
    ///
    /// # Errors
    /// When the body is empty, cut off or not JSON at all.
    pub fn finish(mut self) -> Result<BatchReport, BodyProblem> {
        let Self { splitter, batch, .. } = &mut self;
        splitter.finish(&mut |piece| batch.add(piece))?;
        if self.framing == Framing::Auto
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

impl Batch {
    fn add(&mut self, piece: Piece<'_>) {
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
        loop {
            match parse_first(text, &mut self.report.fields) {
                Ok((draft, false)) => return self.add_draft(Ok(draft)),
                Ok((draft, true)) => {
                    let Some(rest) = next_object(text) else {
                        let reason = "something follows the end of the object on its line";
                        return self.add_draft(Err(RecordProblem::whole(reason)));
                    };
                    self.add_draft(Ok(draft));
                    text = rest;
                }
                Err(problem) => return self.add_draft(Err(problem)),
            }
        }
    }

    fn add_draft(&mut self, draft: Result<Draft<'_>, RecordProblem>) {
        let report = &mut self.report;
        let index = report.total_records;
        report.total_records += 1;
        self.any_object |= draft.is_ok();
        match draft.and_then(|draft| draft.check(&self.context, &mut report.fields)) {
            Ok(record) => {
                report.parsed.records.push(record);
                report.parsed.indexes.push(index);
            }
            Err(RecordProblem { field, reason }) => {
                report.rejected_records += 1;
                if report.rejected.len() < MAX_REJECTIONS {
                    report.rejected.push(Rejection { index, field, reason });
                }
            }
        }
    }
}
