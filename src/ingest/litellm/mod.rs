//! LiteLLM: the payloads of its `generic_api` webhook, and the rows of its table of spend logs.
//!
//! Each describes one call, with nearly the same names. A fixed list of members is read; prompts, responses, error
//! messages and addresses are skipped without being turned into values.

mod call;
mod event;

use std::io::{ErrorKind, Read};

use serde::de::DeserializeSeed as _;

use self::event::EventPlace;
pub use self::event::LitellmEvent;
use super::wire::{
    BodyProblem, Item, Items, Lenient, OnRecords, ParsedRecords, RecordContext, RecordProblem,
    Rejection, Rejections, Walk,
};
use crate::model::RequestRecord;

/// Why a body cannot be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum LitellmProblem {
    /// It is not JSON; the reason does not quote it.
    #[error("the body cannot be read: {0}")]
    Malformed(String),
    /// Its bytes cannot be read.
    #[error("{0}")]
    Body(BodyProblem),
    /// The receiver of the events stopped the reading and knows why.
    #[error("no more events are accepted")]
    Stopped,
}

/// Receives an event or the problem of an unreadable one; `false` stops the reading.
pub type OnEvent<'e> = &'e mut dyn FnMut(Result<LitellmEvent, RecordProblem>) -> bool;

/// Reads a body in any of the formats of the webhook: an array of events, one event per line, or a
/// single event. An unreadable event does not cost the others.
///
/// # Errors
/// If the body is not JSON or is cut off; the events before that were passed on.
pub fn read_events(reader: impl Read, on_event: OnEvent<'_>) -> Result<(), LitellmProblem> {
    let mut items = Items::new(reader);
    while let Some(item) = items.next_item().map_err(unreadable)? {
        let event = match item {
            Item::Value => read_event(&mut items)?,
            Item::Malformed(reason) => Err(RecordProblem::whole(reason)),
        };
        // The last event of a body that is cut off is the body's problem.
        let is_cut = event.is_err() && items.is_cut();
        if !is_cut && !on_event(event) {
            return Err(LitellmProblem::Stopped);
        }
    }
    Ok(())
}

/// Reads one event; the parser's own words are not repeated, because some of them quote the body.
fn read_event<R: Read>(
    items: &mut Items<R>,
) -> Result<Result<LitellmEvent, RecordProblem>, LitellmProblem> {
    let mut event = LitellmEvent::default();
    let mut json = serde_json::Deserializer::from_reader(Lenient::new(items));
    let walk = Walk { target: &mut event, place: EventPlace::Event, depth: 0 };
    match walk.deserialize(&mut json).and_then(|()| json.end()) {
        Ok(()) => Ok(Ok(event)),
        Err(error) if error.is_io() => Err(unreadable(error.into())),
        Err(error) => {
            let (line, column) = (error.line(), error.column());
            let reason = format!("is not JSON at line {line} column {column} of it");
            Ok(Err(RecordProblem::whole(reason)))
        }
    }
}

fn unreadable(error: std::io::Error) -> LitellmProblem {
    match error.kind() {
        ErrorKind::InvalidData => LitellmProblem::Malformed(error.to_string()),
        ErrorKind::UnexpectedEof => LitellmProblem::Malformed("it is cut off".to_owned()),
        _ => LitellmProblem::Body(error.into()),
    }
}

/// The rejected events of a body.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EventReport {
    /// Rejected events.
    pub rejections: Rejections,
    /// Position of the first event that was not read, because [too many](Rejections::IN_A_ROW_MAX) in a row before it
    /// were rejected.
    pub unread_from: Option<usize>,
}

/// Reads a body in batches of records. The records before a problem that ends the body go to `on_records` too, because
/// LiteLLM does not retry.
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
        if report.rejections.is_hopeless() {
            report.unread_from = Some(index);
            return false;
        }
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
        stopped.is_none()
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
    if event.has_id() {
        return event.to_record(context);
    }
    // Without an id it cannot be distinguished from the same event sent again, nor from other JSON.
    Err(RecordProblem::new("id", "is missing: an event of LiteLLM has an id"))
}

#[cfg(test)]
mod tests;
