//! Decodes an `ExportTraceServiceRequest` in OTLP/JSON.
//!
//! Lenient wherever one odd value must not cost the whole batch: a member of an unexpected type counts as absent.
//! Unwanted members are never turned into values.

use std::io::{BufRead, Read};

use serde::de::DeserializeSeed as _;
use serde_json::error::Category;

use super::collect::{AttrOwner, AttrTarget, SpanCollector};
use super::error_hints::ErrorHints;
use super::input::{DecodeProblem, Decoded};
use super::keys::MESSAGE_BYTES_MAX;
use super::span::{RAW_REQUEST_SPAN, RawSpan, marks_first_token};
use crate::ingest::wire::{Lenient, LooseValue, Walk, WalkTarget};

/// Bytes read at a time.
const BUFFER_BYTES: usize = 32 << 10;
/// `SPAN_KIND_SERVER`.
const SERVER: u64 = 2;
/// `STATUS_CODE_ERROR`.
const ERROR: u64 = 2;

/// Reads a body to its end; an empty one is an empty request.
pub(super) fn read(reader: impl Read, collector: &mut SpanCollector<'_>) -> Decoded {
    let mut reader = std::io::BufReader::with_capacity(BUFFER_BYTES, Lenient::new(reader));
    let Some(first) = first_byte(&mut reader)? else { return Ok(()) };
    if first != b'{' {
        return Err(DecodeProblem::malformed("it is not a JSON object"));
    }
    let mut json = serde_json::Deserializer::from_reader(b"{".as_slice().chain(reader));
    let mut request = TraceRequest {
        collector,
        stopped: None,
        take: None,
        event_ns: None,
        is_first_token: false,
    };
    let walk = Walk { target: &mut request, place: SpanPlace::Request, depth: 0 };
    let read = walk.deserialize(&mut json).and_then(|()| json.end());
    match (read, request.stopped) {
        (_, Some(problem)) => Err(problem),
        (Ok(()), None) => Ok(()),
        (Err(error), None) => Err(problem_of(error)),
    }
}

/// The first byte that is no white space.
fn first_byte(reader: &mut impl BufRead) -> Decoded<Option<u8>> {
    let is_space = |byte: &Result<u8, _>| byte.as_ref().is_ok_and(u8::is_ascii_whitespace);
    Ok(reader.bytes().find(|byte| !is_space(byte)).transpose()?)
}

/// The parser's own words are not repeated, because some of them quote the body.
fn problem_of(error: serde_json::Error) -> DecodeProblem {
    match error.classify() {
        Category::Io => DecodeProblem::Input(error.into()),
        Category::Eof => DecodeProblem::malformed("the body is cut off"),
        Category::Syntax | Category::Data => {
            let (line, column) = (error.line(), error.column());
            DecodeProblem::malformed(format!("it is not JSON at line {line} column {column}"))
        }
    }
}

/// Passes the values of a request to the collector.
struct TraceRequest<'c, 'a> {
    collector: &'c mut SpanCollector<'a>,
    /// Why the collector accepts no more.
    stopped: Option<DecodeProblem>,
    /// Target of the current attribute's value; `None` to skip it.
    take: Option<AttrTarget>,
    /// Time of the current event.
    event_ns: Option<u64>,
    /// Whether the current event marks the first generated token.
    is_first_token: bool,
}

/// Where in a request a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SpanPlace {
    Request,
    ResourceSpans,
    Resource,
    ScopeSpans,
    Scope,
    ScopeName,
    Span,
    TraceId,
    SpanId,
    ParentSpanId,
    SpanName,
    SpanKind,
    Start,
    End,
    Event,
    EventTime,
    EventName,
    Status,
    StatusCode,
    StatusMessage,
    Attribute(AttrOwner),
    Key(AttrOwner),
    AnyValue,
    Scalar,
    Array,
}

impl WalkTarget for TraceRequest<'_, '_> {
    type Place = SpanPlace;

    fn member(place: SpanPlace, name: &str) -> Option<SpanPlace> {
        use SpanPlace as P;
        Some(match (place, name) {
            (P::Request, "resourceSpans") => P::ResourceSpans,
            (P::ResourceSpans, "resource") => P::Resource,
            (P::ResourceSpans, "scopeSpans") => P::ScopeSpans,
            (P::Resource, "attributes") => P::Attribute(AttrOwner::Resource),
            (P::ScopeSpans, "scope") => P::Scope,
            (P::ScopeSpans, "spans") => P::Span,
            (P::Scope, "name") => P::ScopeName,
            (P::Span, "traceId") => P::TraceId,
            (P::Span, "spanId") => P::SpanId,
            (P::Span, "parentSpanId") => P::ParentSpanId,
            (P::Span, "name") => P::SpanName,
            (P::Span, "kind") => P::SpanKind,
            (P::Span, "startTimeUnixNano") => P::Start,
            (P::Span, "endTimeUnixNano") => P::End,
            (P::Span, "attributes") => P::Attribute(AttrOwner::Span),
            (P::Span, "events") => P::Event,
            (P::Span, "status") => P::Status,
            (P::Event, "timeUnixNano") => P::EventTime,
            (P::Event, "name") => P::EventName,
            (P::Event, "attributes") => P::Attribute(AttrOwner::Exception),
            (P::Status, "code") => P::StatusCode,
            (P::Status, "message") => P::StatusMessage,
            (P::Attribute(owner), "key") => P::Key(owner),
            (P::Attribute(_), "value") => P::AnyValue,
            (P::AnyValue, "stringValue" | "boolValue" | "intValue" | "doubleValue") => P::Scalar,
            (P::AnyValue, "arrayValue") => P::Array,
            (P::Array, "values") => P::AnyValue,
            _ => return None,
        })
    }

    fn element(place: SpanPlace) -> Option<SpanPlace> {
        Some(place)
    }

    fn wants(&self, place: SpanPlace) -> bool {
        self.take.is_some() || !matches!(place, SpanPlace::AnyValue | SpanPlace::Scalar)
    }

    fn begin(&mut self, place: SpanPlace) {
        match place {
            SpanPlace::ResourceSpans => self.collector.begin_resource(),
            SpanPlace::ScopeSpans => self.collector.name_scope(""),
            SpanPlace::Span => self.collector.span = RawSpan::default(),
            SpanPlace::Event => (self.event_ns, self.is_first_token) = (None, false),
            SpanPlace::Attribute(_) => self.take = None,
            _ => {}
        }
    }

    fn end(&mut self, place: SpanPlace) -> bool {
        match place {
            SpanPlace::ResourceSpans => self.collector.end_resource(),
            SpanPlace::Span => self.stopped = self.collector.end_span().err(),
            SpanPlace::Event if self.is_first_token => {
                let first = &mut self.collector.span.first_token_ns;
                *first = first.or(self.event_ns);
            }
            _ => {}
        }
        self.stopped.is_none()
    }

    /// A time, exact. As the value of an attribute it counts as absent.
    fn large(&mut self, place: SpanPlace, number: u64) {
        self.number(place, number);
    }

    fn value(&mut self, place: SpanPlace, value: LooseValue) {
        let number = match (place, value) {
            (SpanPlace::Scalar, value) => {
                if let Some(take) = self.take {
                    self.collector.take_value(take, value);
                }
                None
            }
            (_, LooseValue::Int(number)) => u64::try_from(number).ok(),
            (_, LooseValue::Float(number)) => whole(number),
            (_, LooseValue::Bool(_) | LooseValue::Text(_)) => None,
        };
        if let Some(number) = number {
            self.number(place, number);
        }
    }

    fn text(&mut self, place: SpanPlace, text: &str, _depth: usize) {
        let span = &mut self.collector.span;
        match place {
            SpanPlace::ScopeName => self.collector.name_scope(text),
            SpanPlace::TraceId => span.trace_id = id(text),
            SpanPlace::SpanId => span.span_id = id(text),
            SpanPlace::ParentSpanId => span.parent_id = id(text),
            SpanPlace::SpanName => span.is_raw_request = text == RAW_REQUEST_SPAN,
            SpanPlace::EventName => self.is_first_token = marks_first_token(text),
            SpanPlace::StatusMessage => span.status_message = ErrorHints::search(start(text)),
            SpanPlace::Key(owner) => self.take = self.collector.wants(owner, text),
            SpanPlace::Scalar => self.scalar_text(text),
            // Numbers may be written as texts.
            _ => {
                let text = text.trim();
                if let Some(number) = text.parse().ok().or_else(|| whole(text.parse().ok()?)) {
                    self.number(place, number);
                }
            }
        }
    }
}

impl TraceRequest<'_, '_> {
    fn number(&mut self, place: SpanPlace, number: u64) {
        let span = &mut self.collector.span;
        match place {
            SpanPlace::SpanKind => span.is_server = number == SERVER,
            SpanPlace::StatusCode => span.is_error = number == ERROR,
            SpanPlace::Start => span.start_ns = number,
            SpanPlace::End => span.end_ns = number,
            SpanPlace::EventTime => self.event_ns = Some(number),
            _ => {}
        }
    }

    /// The text of an attribute; of an array only the first one.
    fn scalar_text(&mut self, text: &str) {
        let Some(take) = self.take.take() else { return };
        if text.len() <= take.bytes_max() {
            self.collector.take_text(take, text);
        } else if take.is_cut() {
            self.collector.take_text(take, start(text));
        }
    }
}

/// A number without a fraction.
fn whole(number: f64) -> Option<u64> {
    let is_whole = number.fract() == 0.0 && (0.0..=u64::MAX as f64).contains(&number);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked")]
    is_whole.then_some(number as u64)
}

/// The part of a message that is searched.
fn start(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MESSAGE_BYTES_MAX)).unwrap_or_default()
}

/// An identity in hexadecimal digits that are not all zero.
fn id<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut id = [0; N];
    if text.len() != 2 * N {
        return None;
    }
    data_encoding::HEXLOWER_PERMISSIVE.decode_mut(text.as_bytes(), &mut id).ok()?;
    id.iter().any(|byte| *byte != 0).then_some(id)
}
