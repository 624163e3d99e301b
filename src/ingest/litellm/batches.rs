//! The events of a body as batches of records.

use std::io::Read;

use super::{LitellmEvent, LitellmProblem, read_events};
use crate::ingest::wire::{
    OnRecords, ParsedRecords, RecordContext, RecordProblem, Rejection, Rejections,
};
use crate::model::RequestRecord;

/// What became of the events of a body.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EventReport {
    /// Events that are not acceptable.
    pub rejections: Rejections,
    /// Position of the first event that was not read, because [too many](Rejections::IN_A_ROW_MAX) in a row before it
    /// were rejected.
    pub unread_from: Option<usize>,
}

/// Reads a body to its end, or to the problem that ends it: the records before the problem go to `on_records` too,
/// because LiteLLM does not send again.
pub fn read_batches(
    reader: impl Read,
    context: &RecordContext,
    batch_records: usize,
    on_records: OnRecords<'_>,
) -> (EventReport, Result<(), LitellmProblem>) {
    let mut report = EventReport::default();
    let mut batch = ParsedRecords::default();
    let mut events = 0;
    let mut stopped = None;
    let read = read_events(reader, &mut |event| {
        let index = events;
        events += 1;
        match event.and_then(|event| record_of(&event, context)) {
            Ok(record) => {
                report.rejections.accept();
                batch.records.push(record);
                batch.indexes.push(index);
            }
            Err(RecordProblem { field, reason }) => {
                report.rejections.add(Rejection { index, field, reason });
            }
        }
        if batch.records.len() >= batch_records {
            stopped = on_records(std::mem::take(&mut batch)).err();
        }
        if report.rejections.is_hopeless() {
            report.unread_from = Some(events);
        }
        stopped.is_none() && report.unread_from.is_none()
    });
    if stopped.is_none() && !batch.records.is_empty() {
        stopped = on_records(batch).err();
    }
    let read = match (stopped, read) {
        (Some(problem), _) => Err(LitellmProblem::Body(problem)),
        (None, Err(LitellmProblem::Stopped)) if report.unread_from.is_some() => Ok(()),
        (None, read) => read,
    };
    (report, read)
}

fn record_of(
    event: &LitellmEvent,
    context: &RecordContext,
) -> Result<RequestRecord, RecordProblem> {
    if !event.has_id() {
        // Without one it cannot be told from the same event sent again, nor from no event at all.
        return Err(RecordProblem::new("id", "is missing: an event of LiteLLM has an id"));
    }
    event.to_record(context)
}
