//! LiteLLM: the payloads of its `generic_api` webhook, and the rows of its table of spend logs.
//!
//! Both tell of one call each, in nearly the same words. Of all their members a literal list is read; prompts,
//! answers, error messages and addresses are passed over without being turned into values.

mod call;
mod event;

use std::io::Read;

use serde::de::{DeserializeSeed, SeqAccess, Visitor};

use event::EventSeed;
pub use event::LitellmEvent;

/// Why a body cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum LitellmProblem {
    /// It is not JSON; the reason does not repeat it.
    #[error("{0}")]
    Malformed(String),
    /// Whoever takes the events takes no more and knows why.
    #[error("no more events are taken")]
    Stopped,
}

/// Takes an event; `false` stops the reading.
pub type OnEvent<'e> = &'e mut dyn FnMut(LitellmEvent) -> bool;

/// Reads a body in any of the formats of the webhook: an array of events, one event on each line, or a
/// single event.
///
/// # Errors
/// When the body is not JSON or breaks off; events before that were taken.
pub fn read_events(mut reader: impl Read, on_event: OnEvent<'_>) -> Result<(), LitellmProblem> {
    let first = loop {
        let mut byte = [0];
        match reader.read(&mut byte) {
            Ok(0) => return Ok(()),
            Ok(_) if byte[0].is_ascii_whitespace() => {}
            Ok(_) => break byte,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return Err(LitellmProblem::Malformed("the body is cut off".into())),
        }
    };
    let body = std::io::BufReader::with_capacity(32 << 10, reader);
    let mut json = serde_json::Deserializer::from_reader(first.as_slice().chain(body));
    let mut stopped = false;
    let read = if first == *b"[" {
        serde::Deserializer::deserialize_seq(&mut json, Events { on_event, stopped: &mut stopped })
            .and_then(|()| json.end())
    } else {
        read_lines(&mut json, on_event, &mut stopped)
    };
    match read {
        _ if stopped => Err(LitellmProblem::Stopped),
        Ok(()) => Ok(()),
        Err(error) => Err(LitellmProblem::Malformed(format!(
            "it is not JSON at line {} column {}",
            error.line(),
            error.column()
        ))),
    }
}

fn read_lines<R: Read>(
    json: &mut serde_json::Deserializer<serde_json::de::IoRead<R>>,
    on_event: OnEvent<'_>,
    stopped: &mut bool,
) -> Result<(), serde_json::Error> {
    loop {
        let event = EventSeed.deserialize(&mut *json)?;
        if !on_event(event) {
            *stopped = true;
            return Ok(());
        }
        // `end` passes over white space; what follows is another event.
        if json.end().is_ok() {
            return Ok(());
        }
    }
}

struct Events<'e> {
    on_event: OnEvent<'e>,
    stopped: &'e mut bool,
}

impl<'de> Visitor<'de> for Events<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an array of events")
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<(), S::Error> {
        while let Some(event) = seq.next_element_seed(EventSeed)? {
            if !(self.on_event)(event) {
                *self.stopped = true;
                return Err(serde::de::Error::custom("stopped"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
