//! Reading an `ExportTraceServiceRequest` in OTLP/JSON.
//!
//! Lenient wherever one odd value must not cost the whole batch: a member of another type than expected is
//! as good as absent. What is not wanted is never turned into a value.

use std::fmt;
use std::io::{BufRead, Read};

use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::error::Category;

use super::DecodeProblem;
use super::collect::{Collector, Owner, Take};
use super::keys::MESSAGE_BYTES_MAX;
use super::message::Message;
use super::span::{RAW_REQUEST_SPAN, marks_first_token};
use super::value::Value;
use crate::ingest::wire::Lenient;

/// Bytes read at a time.
const BUFFER_BYTES: usize = 32 << 10;
/// Deepest nesting that is looked at: no value that is read lies deeper.
const DEPTH_MAX: usize = 64;
/// `SPAN_KIND_SERVER`.
const SERVER: i64 = 2;
/// `STATUS_CODE_ERROR`.
const ERROR: i64 = 2;

/// Reads a body to its end; an empty one is an empty request.
pub(super) fn read(reader: impl Read, collector: &mut Collector<'_>) -> Result<(), DecodeProblem> {
    let mut reader = std::io::BufReader::with_capacity(BUFFER_BYTES, Lenient::new(reader));
    let Some(first) = first_byte(&mut reader)? else { return Ok(()) };
    let first = [first];
    if first != *b"{" {
        return Err(DecodeProblem::malformed("it is not a JSON object"));
    }
    let mut json = serde_json::Deserializer::from_reader(first.as_slice().chain(reader));
    let mut state = State::new(collector);
    let read = Walk { state: &mut state, place: Place::Request }.deserialize(&mut json);
    match (read.and_then(|()| json.end()), state.stopped) {
        (_, Some(problem)) => Err(problem),
        (Ok(()), None) => Ok(()),
        (Err(error), None) => Err(problem_of(error)),
    }
}

/// The first byte that is no white space.
fn first_byte(reader: &mut impl BufRead) -> Result<Option<u8>, DecodeProblem> {
    for byte in reader.bytes() {
        let byte = byte?;
        if !byte.is_ascii_whitespace() {
            return Ok(Some(byte));
        }
    }
    Ok(None)
}

/// The parser's own words are not repeated, because some of them show what was sent.
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

struct State<'c, 'a> {
    collector: &'c mut Collector<'a>,
    /// Why the collector takes no more.
    stopped: Option<DecodeProblem>,
    /// What is wanted of the attribute being read.
    take: Option<Take>,
    /// Objects and arrays around the value being read.
    depth: usize,
    /// When the event being read was.
    event_ns: Option<u64>,
    /// The event being read marks the first generated token.
    is_first_token: bool,
}

impl<'c, 'a> State<'c, 'a> {
    fn new(collector: &'c mut Collector<'a>) -> Self {
        Self {
            collector,
            stopped: None,
            take: None,
            depth: 0,
            event_ns: None,
            is_first_token: false,
        }
    }
}

/// Where in a request a value stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
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
    Attribute(Owner),
    Key(Owner),
    AnyValue,
    Scalar,
    Array,
    /// Not looked at.
    Nowhere,
}

impl Place {
    /// The place of a member of the object at this place.
    fn member(self, name: &str) -> Self {
        match (self, name) {
            (Self::Request, "resourceSpans") => Self::ResourceSpans,
            (Self::ResourceSpans, "resource") => Self::Resource,
            (Self::ResourceSpans, "scopeSpans") => Self::ScopeSpans,
            (Self::Resource, "attributes") => Self::Attribute(Owner::Resource),
            (Self::ScopeSpans, "scope") => Self::Scope,
            (Self::ScopeSpans, "spans") => Self::Span,
            (Self::Scope, "name") => Self::ScopeName,
            (Self::Span, "traceId") => Self::TraceId,
            (Self::Span, "spanId") => Self::SpanId,
            (Self::Span, "parentSpanId") => Self::ParentSpanId,
            (Self::Span, "name") => Self::SpanName,
            (Self::Span, "kind") => Self::SpanKind,
            (Self::Span, "startTimeUnixNano") => Self::Start,
            (Self::Span, "endTimeUnixNano") => Self::End,
            (Self::Span, "attributes") => Self::Attribute(Owner::Span),
            (Self::Span, "events") => Self::Event,
            (Self::Span, "status") => Self::Status,
            (Self::Event, "timeUnixNano") => Self::EventTime,
            (Self::Event, "name") => Self::EventName,
            (Self::Event, "attributes") => Self::Attribute(Owner::Exception),
            (Self::Status, "code") => Self::StatusCode,
            (Self::Status, "message") => Self::StatusMessage,
            (Self::Attribute(owner), "key") => Self::Key(owner),
            (Self::Attribute(_), "value") => Self::AnyValue,
            (Self::AnyValue, "stringValue" | "boolValue" | "intValue" | "doubleValue") => {
                Self::Scalar
            }
            (Self::AnyValue, "arrayValue") => Self::Array,
            (Self::Array, "values") => Self::AnyValue,
            _ => Self::Nowhere,
        }
    }
}

/// Takes the value at a place.
struct Walk<'s, 'c, 'a> {
    state: &'s mut State<'c, 'a>,
    place: Place,
}

impl<'c, 'a> Walk<'_, 'c, 'a> {
    fn at(&mut self, place: Place) -> Walk<'_, 'c, 'a> {
        Walk { state: self.state, place }
    }

    fn begin(&mut self) {
        let state = &mut *self.state;
        match self.place {
            Place::ResourceSpans => state.collector.begin_resource(),
            Place::ScopeSpans => state.collector.begin_scope(),
            Place::Span => state.collector.begin_span(),
            Place::Event => (state.event_ns, state.is_first_token) = (None, false),
            Place::Attribute(_) => state.take = None,
            _ => {}
        }
    }

    fn end(&mut self) -> Result<(), DecodeProblem> {
        let state = &mut *self.state;
        match self.place {
            Place::ResourceSpans => state.collector.end_resource(),
            Place::Span => return state.collector.end_span(),
            Place::Event if state.is_first_token => {
                let first = &mut state.collector.span.first_token_ns;
                *first = first.or(state.event_ns);
            }
            _ => {}
        }
        Ok(())
    }

    fn text(self, text: &str) {
        let state = self.state;
        match self.place {
            Place::ScopeName => state.collector.name_scope(text),
            Place::TraceId => state.collector.span.trace_id = id(text),
            Place::SpanId => state.collector.span.span_id = id(text),
            Place::ParentSpanId => state.collector.span.parent_id = id(text),
            Place::SpanName => state.collector.span.is_raw_request = text == RAW_REQUEST_SPAN,
            Place::EventName => state.is_first_token = marks_first_token(text),
            Place::StatusMessage => {
                state.collector.span.status_message = Message::search(start(text));
            }
            Place::Key(owner) => state.take = state.collector.wants(owner, text),
            Place::Scalar => scalar_text(state, text),
            Place::Start | Place::End | Place::EventTime => {
                let text = text.trim();
                let whole = || text.parse().ok().and_then(whole);
                if let Some(ns) = text.parse().ok().or_else(whole) {
                    Walk { state, place: self.place }.nanoseconds(ns);
                }
            }
            Place::SpanKind | Place::StatusCode => {
                if let Ok(number) = text.trim().parse() {
                    Walk { state, place: self.place }.integer(number);
                }
            }
            _ => {}
        }
    }

    /// A number with a point or an exponent, which a whole one may be written with too.
    fn float(self, number: f64) {
        match self.place {
            Place::Scalar => self.scalar(Value::Float(number)),
            Place::Start | Place::End | Place::EventTime => {
                if let Some(ns) = whole(number) {
                    self.nanoseconds(ns);
                }
            }
            _ => {
                if let Some(number) = whole(number).and_then(|number| i64::try_from(number).ok()) {
                    self.integer(number);
                }
            }
        }
    }

    fn nanoseconds(self, ns: u64) {
        match self.place {
            Place::Start => self.state.collector.span.start_ns = ns,
            Place::End => self.state.collector.span.end_ns = ns,
            Place::EventTime => self.state.event_ns = Some(ns),
            _ => {}
        }
    }

    fn integer(self, number: i64) {
        match self.place {
            Place::SpanKind => self.state.collector.span.is_server = number == SERVER,
            Place::StatusCode => self.state.collector.span.is_error = number == ERROR,
            Place::Scalar => self.scalar(Value::Int(number)),
            _ => {
                if let Ok(ns) = u64::try_from(number) {
                    self.nanoseconds(ns);
                }
            }
        }
    }

    fn scalar(self, value: Value) {
        if let (Place::Scalar, Some(take)) = (self.place, self.state.take) {
            self.state.collector.take_value(take, value);
        }
    }
}

/// A text; of an array only the first one, because then the attribute is done with.
fn scalar_text(state: &mut State<'_, '_>, text: &str) {
    let Some(take) = state.take.take() else { return };
    if text.len() <= take.bytes_max() {
        state.collector.take_text(take, text);
    } else if take.is_cut() {
        state.collector.take_text(take, start(text));
    }
}

/// A number without a fraction.
fn whole(number: f64) -> Option<u64> {
    let is_whole = number.fract() == 0.0 && (0.0..=u64::MAX as f64).contains(&number);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked")]
    is_whole.then_some(number as u64)
}

/// As much of a message as is looked at.
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

impl<'de> DeserializeSeed<'de> for Walk<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.place {
            _ if self.state.depth >= DEPTH_MAX => {
                deserializer.deserialize_ignored_any(IgnoredAny).map(|_| ())
            }
            // Skipped without being read.
            Place::Nowhere => deserializer.deserialize_ignored_any(IgnoredAny).map(|_| ()),
            Place::AnyValue | Place::Scalar if self.state.take.is_none() => {
                deserializer.deserialize_ignored_any(IgnoredAny).map(|_| ())
            }
            _ => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Walk<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.scalar(Value::Bool(value));
        Ok(())
    }

    fn visit_i64<E>(self, number: i64) -> Result<(), E> {
        self.integer(number);
        Ok(())
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        match i64::try_from(number) {
            Ok(number) => self.integer(number),
            Err(_) => self.nanoseconds(number),
        }
        Ok(())
    }

    fn visit_f64<E>(self, number: f64) -> Result<(), E> {
        self.float(number);
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.text(text);
        Ok(())
    }

    /// The elements of an array stand where the array stands.
    fn visit_seq<S: SeqAccess<'de>>(mut self, mut seq: S) -> Result<(), S::Error> {
        let place = self.place;
        self.state.depth += 1;
        while seq.next_element_seed(self.at(place))?.is_some() {}
        self.state.depth -= 1;
        Ok(())
    }

    fn visit_map<M: MapAccess<'de>>(mut self, mut map: M) -> Result<(), M::Error> {
        self.begin();
        self.state.depth += 1;
        while let Some(place) = map.next_key_seed(MemberOf(self.place))? {
            map.next_value_seed(self.at(place))?;
        }
        self.state.depth -= 1;
        self.end().map_err(|problem| {
            self.state.stopped = Some(problem);
            M::Error::custom("stopped")
        })
    }
}

/// Reads the name of a member.
struct MemberOf(Place);

impl<'de> DeserializeSeed<'de> for MemberOf {
    type Value = Place;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Place, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for MemberOf {
    type Value = Place;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Place, E> {
        Ok(self.0.member(name))
    }
}
