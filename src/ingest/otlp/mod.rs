//! OpenTelemetry traces: spans of model calls become records.
//!
//! [`read_traces`] walks a body in protobuf or JSON and keeps, of each span, the few values in one table of
//! keys; every other attribute is passed over without being read, so that what people wrote is never
//! in memory as a value. Each span gets one kind, which decides what is counted. [`RecentSpans::resolve`]
//! leaves each call once and finds the time before it; [`Call::to_record`] hands it to the rules that every
//! record passes.

mod blob;
mod call;
mod collect;
pub(crate) mod fault;
mod input;
mod json;
mod keys;
mod kind;
mod message;
mod protobuf;
pub(crate) mod provider;
mod recent;
mod record;
mod span;
mod trace;
mod value;

use std::io::Read;

pub use call::Call;
pub use collect::{OnBatch, Rules, SpanBatch};
pub use input::DecodeProblem;
pub use trace::{Held, RecentSpans, Undecided};

/// How a body is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceFormat {
    /// Protobuf.
    Protobuf,
    /// OTLP/JSON.
    Json,
}

/// Reads a body to its end. Full batches go to `on_batch`; the last one is returned.
///
/// # Errors
/// When the body is malformed or cut off, when `reader` fails, or when `on_batch` takes no more.
pub fn read_traces(
    reader: impl Read,
    format: TraceFormat,
    rules: &Rules,
    on_batch: OnBatch<'_>,
) -> Result<SpanBatch, DecodeProblem> {
    let mut collector = collect::Collector::new(rules, on_batch);
    match format {
        TraceFormat::Protobuf => protobuf::read(reader, &mut collector)?,
        TraceFormat::Json => json::read(reader, &mut collector)?,
    }
    Ok(collector.finish())
}

#[cfg(test)]
mod tests;
