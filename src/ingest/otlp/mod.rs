//! OpenTelemetry traces: spans of model calls become records.
//!
//! [`read_traces`] decodes a body in protobuf or JSON and keeps, of each span, the few attributes in one table of
//! keys; every other attribute is skipped unread, so that content is never in memory as a value. Each span has one
//! kind, which decides whether it is counted. [`RecentSpans::resolve`] keeps each call once and computes the latency
//! before it; [`Call::to_record`] applies the rules of every other record.

mod blob;
mod call;
mod collect;
mod error_hints;
mod input;
mod json;
mod keys;
mod kind;
mod protobuf;
mod recent;
mod record;
mod span;
mod trace;

use std::io::Read;

pub use call::Call;
pub use collect::{OnBatch, Rules, SpanBatch};
pub use input::DecodeProblem;
pub use trace::{AwaitedBatch, PendingBatch, RecentSpans};

/// The encoding of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceFormat {
    /// Protobuf.
    Protobuf,
    /// OTLP/JSON.
    Json,
}

/// Decodes a body to its end. Full batches go to `on_batch`; the last one is returned.
///
/// # Errors
/// If the body is malformed or cut off, or if `reader` or `on_batch` fails.
pub fn read_traces(
    reader: impl Read,
    format: TraceFormat,
    rules: &Rules,
    on_batch: OnBatch<'_>,
) -> Result<SpanBatch, DecodeProblem> {
    let mut collector = collect::SpanCollector::new(rules, on_batch);
    match format {
        TraceFormat::Protobuf => protobuf::read(reader, &mut collector)?,
        TraceFormat::Json => json::read(reader, &mut collector)?,
    }
    Ok(collector.batch)
}

#[cfg(test)]
mod tests;
