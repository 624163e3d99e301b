//! From spans as they are read to calls and what surrounds them.

use std::hash::BuildHasher;

use rustc_hash::{FxBuildHasher, FxHashSet};

use super::DecodeProblem;
use super::call::{Call, http_status};
use super::keys::{Keys, Slot, Wanted};
use super::kind::{Kind, kind_of};
use super::span::{RawSpan, Scope, SpanId, TraceId};
use crate::config::OtlpConfig;
use crate::model::Name;
use crate::model::record::limits;

/// Most spans resolved together: what belongs together comes close together, and memory is bounded.
const SPANS_MAX: usize = 4_096;

/// What is read of spans, and what is left out.
#[derive(Debug)]
pub struct Rules {
    pub(super) keys: Keys,
    ignored_scopes: Vec<String>,
}

impl Rules {
    /// The rules of a configuration.
    pub fn new(config: &OtlpConfig) -> Self {
        Self {
            keys: Keys::new(&config.space_attributes),
            ignored_scopes: config.ignore_scopes.clone(),
        }
    }

    fn scope(&self, name: &str) -> Scope {
        Scope {
            hash: FxBuildHasher.hash_one(name),
            is_litellm: name == "litellm",
            is_logfire: name.starts_with("logfire."),
            is_strands: name.starts_with("strands"),
            is_ignored: self.ignored_scopes.iter().any(|ignored| ignored == name),
        }
    }
}

/// Any span, as far as its place in the trace is concerned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) trace_id: TraceId,
    pub(super) span_id: SpanId,
    pub(super) parent_id: Option<SpanId>,
    pub(super) kind: Kind,
    pub(super) is_server: bool,
    pub(super) http_status: Option<u16>,
    pub(super) start_ns: u64,
    pub(super) end_ns: u64,
}

/// Spans that were read together.
#[derive(Clone, Debug, Default)]
pub struct SpanBatch {
    pub(super) calls: Vec<Call>,
    pub(super) places: Vec<Place>,
    /// All spans, whatever they are.
    pub spans: usize,
    /// Calls without a valid identity or a time: they cannot be stored.
    pub invalid: usize,
    /// Where in the body the first of these is, counted over all spans from 0.
    pub first_invalid: Option<u64>,
}

impl SpanBatch {
    /// Leaves out calls that cannot be stored.
    pub fn leave_out(&mut self, refused: &[Call]) {
        let identity = |call: &Call| (call.trace_id, call.span_id);
        let refused: FxHashSet<_> = refused.iter().map(identity).collect();
        self.retain(|call| !refused.contains(&identity(call)));
    }

    /// Leaves in what `may_stay`.
    pub fn retain(&mut self, may_stay: impl FnMut(&Call) -> bool) {
        self.calls.retain(may_stay);
    }
}

/// Takes a full batch; an error stops the reading.
pub type OnBatch<'b> = &'b mut dyn FnMut(SpanBatch) -> Result<(), DecodeProblem>;

/// What an attribute belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// The resource of the spans that follow.
    Resource,
    /// The span being read.
    Span,
    /// The exception of the span being read.
    Exception,
}

/// What is wanted of an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Take {
    /// A value of the resource.
    Resource(Wanted),
    /// A value of the span, or two.
    Span(Wanted, Option<Wanted>),
    /// The type of the exception.
    ExceptionType,
    /// Status and name in the exception's message.
    ExceptionMessage,
}

impl Take {
    /// Bytes of a text that are looked at.
    pub(super) const fn bytes_max(self) -> usize {
        match self {
            Self::Resource(wanted) | Self::Span(wanted, _) => wanted.slot.reading().bytes_max(),
            Self::ExceptionType => limits::NAME_BYTES,
            Self::ExceptionMessage => super::keys::MESSAGE_BYTES_MAX,
        }
    }

    /// A text that is longer is cut rather than dropped.
    pub(super) fn is_cut(self) -> bool {
        self == Self::ExceptionMessage
            || matches!(self, Self::Span(wanted, _) if wanted.slot == Slot::StatusMessage)
    }
}

/// Gathers what both decoders read.
pub(super) struct Collector<'a> {
    rules: &'a Rules,
    on_batch: OnBatch<'a>,
    /// The span being read.
    pub(super) span: RawSpan,
    scope: Scope,
    space: Option<(u8, Name)>,
    /// Calls of the resource being read begin here.
    resource_from: usize,
    /// Spans of the body so far.
    spans: u64,
    batch: SpanBatch,
}

impl<'a> Collector<'a> {
    pub(super) fn new(rules: &'a Rules, on_batch: OnBatch<'a>) -> Self {
        Self {
            rules,
            on_batch,
            span: RawSpan::default(),
            scope: Scope::default(),
            space: None,
            resource_from: 0,
            spans: 0,
            batch: SpanBatch::default(),
        }
    }

    pub(super) fn begin_resource(&mut self) {
        self.space = None;
        self.resource_from = self.batch.calls.len();
    }

    pub(super) fn end_resource(&mut self) {
        let Some((_, space)) = self.space.take() else { return };
        for call in self.batch.calls.iter_mut().skip(self.resource_from) {
            if call.space.is_none() {
                call.space = Some(space.clone());
            }
        }
    }

    pub(super) fn begin_scope(&mut self) {
        self.scope = self.rules.scope("");
    }

    pub(super) fn name_scope(&mut self, name: &str) {
        self.scope = self.rules.scope(name);
    }

    pub(super) fn begin_span(&mut self) {
        self.span = RawSpan::default();
    }

    /// What to do with an attribute of this name; `None`: pass over it.
    pub(super) fn wants(&self, owner: Owner, key: &str) -> Option<Take> {
        match owner {
            Owner::Resource => self.rules.keys.of_resource(key).map(Take::Resource),
            Owner::Span => {
                let (first, second) = self.rules.keys.of_span(key)?;
                Some(Take::Span(first, second))
            }
            Owner::Exception => match key {
                "exception.type" => Some(Take::ExceptionType),
                "exception.message" => Some(Take::ExceptionMessage),
                _ => None,
            },
        }
    }

    /// Takes a text.
    pub(super) fn take_text(&mut self, take: Take, text: &str) {
        match take {
            Take::Resource(wanted) => self.take_space(wanted, text),
            Take::Span(first, second) => {
                self.span.attributes.offer_text(first, text);
                if let Some(second) = second {
                    self.span.attributes.offer_text(second, text);
                }
            }
            Take::ExceptionType => {
                self.span.exception_type =
                    Some(text.trim()).filter(|t| !t.is_empty()).map(Name::new);
            }
            Take::ExceptionMessage => {
                self.span.exception_message = super::message::Message::search(text);
            }
        }
    }

    /// Takes a number or a boolean.
    pub(super) fn take_value(&mut self, take: Take, value: super::value::Value) {
        if let Take::Span(first, second) = take {
            if let Some(second) = second {
                self.span.attributes.offer(second, value.clone());
            }
            self.span.attributes.offer(first, value);
        }
    }

    fn take_space(&mut self, wanted: Wanted, text: &str) {
        let text = text.trim();
        let is_name = !text.is_empty()
            && text.len() <= limits::NAME_BYTES
            && !text.starts_with("unknown_service")
            && !text.chars().any(char::is_control);
        if is_name && self.space.as_ref().is_none_or(|(rank, _)| wanted.rank < *rank) {
            self.space = Some((wanted.rank, Name::new(text)));
        }
    }

    /// Ends the span being read; hands the batch over when it is full.
    pub(super) fn end_span(&mut self) -> Result<(), DecodeProblem> {
        let kind = kind_of(&self.span, &self.scope);
        self.batch.spans += 1;
        if matches!(kind, Kind::Llm | Kind::Embedding) {
            match Call::of(&self.span, &self.scope, kind).filter(|call| call.start_ns > 0) {
                Some(call) => self.batch.calls.push(call),
                None => {
                    self.batch.invalid += 1;
                    self.batch.first_invalid.get_or_insert(self.spans);
                }
            }
        }
        if let (Some(trace_id), Some(span_id)) = (self.span.trace_id, self.span.span_id) {
            self.batch.places.push(Place {
                trace_id,
                span_id,
                parent_id: self.span.parent_id,
                kind,
                is_server: self.span.is_server,
                http_status: self.span.attributes.number(Slot::HttpStatus).and_then(http_status),
                start_ns: self.span.start_ns,
                end_ns: self.span.end_ns,
            });
        }
        self.spans += 1;
        if self.batch.spans < SPANS_MAX {
            return Ok(());
        }
        let space = self.space.clone();
        self.end_resource();
        self.space = space;
        self.resource_from = 0;
        (self.on_batch)(std::mem::take(&mut self.batch))
    }

    /// The spans since the last full batch.
    pub(super) fn finish(self) -> SpanBatch {
        self.batch
    }
}
