//! LiteLLM: the payloads of its `generic_api` webhook, and the rows of its table of spend logs.
//!
//! Both tell of one call each, in nearly the same words. Of all their members a literal list is read; prompts,
//! answers, error messages and addresses are passed over without being turned into values.

mod batches;
mod call;
mod event;

use std::io::Read;

use serde::de::DeserializeSeed;

use super::wire::{BodyProblem, Item, Items, Lenient, RecordProblem};
pub use batches::{EventReport, read_batches};
use event::EventSeed;
pub use event::LitellmEvent;

/// Why a body cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum LitellmProblem {
    /// It is not JSON; the reason does not repeat it.
    #[error("{0}")]
    Malformed(String),
    /// Its bytes cannot be had.
    #[error("{0}")]
    Body(BodyProblem),
    /// Whoever takes the events takes no more and knows why.
    #[error("no more events are taken")]
    Stopped,
}

/// Takes an event, or hears why one cannot be read; `false` stops the reading.
pub type OnEvent<'e> = &'e mut dyn FnMut(Result<LitellmEvent, RecordProblem>) -> bool;

/// Reads a body in any of the formats of the webhook: an array of events, one event on each line, or a
/// single event. An event that cannot be read does not cost the others.
///
/// # Errors
/// When the body is not JSON or breaks off; events before that were taken.
pub fn read_events(reader: impl Read, on_event: OnEvent<'_>) -> Result<(), LitellmProblem> {
    let mut items = Items::new(reader);
    while let Some(item) = items.next_item().map_err(unreadable)? {
        let event = match item {
            Item::Value => event(&mut items)?,
            Item::Malformed(reason) => Err(RecordProblem::whole(reason)),
        };
        // The last one of a body that breaks off is not told: the body is.
        let is_cut = event.is_err() && items.is_cut();
        if !is_cut && !on_event(event) {
            return Err(LitellmProblem::Stopped);
        }
    }
    Ok(())
}

/// Reads one event; the parser's own words are not repeated, because some of them show what was sent.
fn event<R: Read>(
    items: &mut Items<R>,
) -> Result<Result<LitellmEvent, RecordProblem>, LitellmProblem> {
    let mut json = serde_json::Deserializer::from_reader(Lenient::new(items));
    let event = EventSeed.deserialize(&mut json).and_then(|event| json.end().map(|()| event));
    match event {
        Err(error) if error.is_io() => Err(unreadable(error.into())),
        event => Ok(event.map_err(|error| {
            let (line, column) = (error.line(), error.column());
            RecordProblem::whole(format!("is not JSON at line {line} column {column} of it"))
        })),
    }
}

fn unreadable(error: std::io::Error) -> LitellmProblem {
    match error.kind() {
        std::io::ErrorKind::InvalidData => LitellmProblem::Malformed(error.to_string()),
        std::io::ErrorKind::UnexpectedEof => {
            LitellmProblem::Malformed("the body is cut off".to_owned())
        }
        _ => LitellmProblem::Body(error.into()),
    }
}

#[cfg(test)]
mod tests;
