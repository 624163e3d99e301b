//! Builds batches of spans from the events of the protobuf and the JSON decoder: the model calls, and
//! the position of every span in its trace.

use std::hash::BuildHasher;

use rustc_hash::{FxBuildHasher, FxHashSet};

use super::call::{Call, http_status};
use super::error_hints::ErrorHints;
use super::input::{DecodeProblem, Decoded};
use super::keys::{Attr, AttrKeys, MESSAGE_BYTES_MAX, RankedAttr};
use super::kind::{SpanKind, kind_of};
use super::span::{Instrumentation, RawSpan, SpanId, TraceId};
use crate::config::OtlpConfig;
use crate::ingest::wire::LooseValue;
use crate::model::Name;
use crate::model::record::limits;

/// Maximum number of spans in a batch. It bounds memory; calls are compared within a batch, and related
/// spans arrive close together.
const SPANS_MAX: usize = 4_096;

/// The attributes that are read and the instrumentation scopes whose spans are ignored, from the
/// configuration.
#[derive(Debug)]
pub struct Rules {
    pub(super) keys: AttrKeys,
    ignored_scopes: Vec<String>,
}

impl Rules {
    /// The rules of a configuration.
    pub fn new(config: &OtlpConfig) -> Self {
        Self {
            keys: AttrKeys::new(&config.space_attributes),
            ignored_scopes: config.ignore_scopes.clone(),
        }
    }

    fn scope(&self, name: &str) -> Instrumentation {
        Instrumentation {
            hash: FxBuildHasher.hash_one(name),
            is_litellm: name == "litellm",
            is_logfire: name.starts_with("logfire."),
            is_strands: name.starts_with("strands"),
            is_ignored: self.ignored_scopes.iter().any(|ignored| ignored == name),
        }
    }
}

/// Position of a span in its trace, its times and its kind; every span with valid ids has one.
#[derive(Clone, Copy, Debug)]
pub(super) struct SpanNode {
    pub(super) trace_id: TraceId,
    pub(super) span_id: SpanId,
    pub(super) parent_id: Option<SpanId>,
    pub(super) kind: SpanKind,
    pub(super) is_server: bool,
    pub(super) http_status: Option<u16>,
    pub(super) start_ns: u64,
    pub(super) end_ns: u64,
}

/// Spans that were decoded together.
#[derive(Clone, Debug, Default)]
pub struct SpanBatch {
    pub(super) calls: Vec<Call>,
    pub(super) nodes: Vec<SpanNode>,
    /// Number of spans of all kinds.
    pub spans: usize,
    /// Number of calls that cannot be stored, because they have no valid identity or no start time.
    pub invalid: usize,
    /// Position of the first invalid call among all spans of the body, from 0.
    pub first_invalid: Option<u64>,
}

impl SpanBatch {
    /// Removes the calls with the identities of `refused`.
    pub fn remove(&mut self, refused: &[Call]) {
        let identity = |call: &Call| (call.trace_id, call.span_id);
        let refused: FxHashSet<_> = refused.iter().map(identity).collect();
        self.retain(|call| !refused.contains(&identity(call)));
    }

    /// Keeps only the calls that `may_stay`.
    pub fn retain(&mut self, may_stay: impl FnMut(&Call) -> bool) {
        self.calls.retain(may_stay);
    }
}

/// Callback that receives each full batch; an error from it stops the decoding.
pub type OnBatch<'b> = &'b mut dyn FnMut(SpanBatch) -> Result<(), DecodeProblem>;

/// The part of the request that an attribute belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AttrOwner {
    /// The resource of the spans that follow.
    Resource,
    /// The span being read.
    Span,
    /// The exception of the span being read.
    Exception,
}

/// Where the value of an attribute goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AttrTarget {
    /// A value of the resource.
    Resource(RankedAttr),
    /// One or two values of the span.
    Span(RankedAttr, Option<RankedAttr>),
    /// The type of the exception.
    ExceptionType,
    /// The exception's message, which is searched for an HTTP status and an error type.
    ExceptionMessage,
}

impl AttrTarget {
    /// Maximum length of a text value, in bytes; see [`is_cut`](Self::is_cut) for a longer one.
    pub(super) const fn bytes_max(self) -> usize {
        match self {
            Self::Resource(wanted) | Self::Span(wanted, _) => wanted.attr.reading().bytes_max(),
            Self::ExceptionType => limits::NAME_BYTES,
            Self::ExceptionMessage => MESSAGE_BYTES_MAX,
        }
    }

    /// Whether a longer text is truncated rather than dropped.
    pub(super) fn is_cut(self) -> bool {
        self == Self::ExceptionMessage
            || matches!(self, Self::Span(wanted, _) if wanted.attr == Attr::StatusMessage)
    }
}

/// Receives events from the decoder, protobuf or JSON: begin and end of resources and spans, and values.
pub(super) struct SpanCollector<'a> {
    rules: &'a Rules,
    on_batch: OnBatch<'a>,
    /// The span being read.
    pub(super) span: RawSpan,
    scope: Instrumentation,
    space: Option<(u8, Name)>,
    /// Index in `batch.calls` of the first call of the current resource, or 0 if it is in an earlier batch.
    resource_from: usize,
    /// Number of spans read from the body so far.
    spans: u64,
    /// The pending batch: the spans since the last full one.
    pub(super) batch: SpanBatch,
}

impl<'a> SpanCollector<'a> {
    pub(super) fn new(rules: &'a Rules, on_batch: OnBatch<'a>) -> Self {
        Self {
            rules,
            on_batch,
            span: RawSpan::default(),
            scope: Instrumentation::default(),
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
        let Some((_, space)) = &self.space else { return };
        for call in self.batch.calls.iter_mut().skip(self.resource_from) {
            if call.space.is_none() {
                call.space = Some(space.clone());
            }
        }
    }

    pub(super) fn name_scope(&mut self, name: &str) {
        self.scope = self.rules.scope(name);
    }

    /// Where the value of an attribute with this name goes; `None` to skip it.
    pub(super) fn wants(&self, owner: AttrOwner, key: &str) -> Option<AttrTarget> {
        let keys = &self.rules.keys;
        match owner {
            AttrOwner::Resource => keys.resource.get(key).copied().map(AttrTarget::Resource),
            AttrOwner::Span => {
                let (first, second) = keys.span.get(key)?;
                Some(AttrTarget::Span(*first, *second))
            }
            AttrOwner::Exception => match key {
                "exception.type" => Some(AttrTarget::ExceptionType),
                "exception.message" => Some(AttrTarget::ExceptionMessage),
                _ => None,
            },
        }
    }

    /// Stores a text value in `take`; structured values and messages are only searched.
    pub(super) fn take_text(&mut self, take: AttrTarget, text: &str) {
        match take {
            AttrTarget::Resource(wanted) => self.take_space(wanted, text),
            AttrTarget::Span(first, second) => {
                self.span.attributes.offer_text(first, text);
                if let Some(second) = second {
                    self.span.attributes.offer_text(second, text);
                }
            }
            AttrTarget::ExceptionType => {
                self.span.exception_type =
                    Some(text.trim()).filter(|t| !t.is_empty()).map(Name::new);
            }
            AttrTarget::ExceptionMessage => {
                self.span.exception_message = ErrorHints::search(text);
            }
        }
    }

    /// Stores a number or a boolean; other targets than those of the span ignore it.
    pub(super) fn take_value(&mut self, take: AttrTarget, value: LooseValue) {
        if let AttrTarget::Span(first, second) = take {
            if let Some(second) = second {
                self.span.attributes.offer(second, value.clone());
            }
            self.span.attributes.offer(first, value);
        }
    }

    fn take_space(&mut self, wanted: RankedAttr, text: &str) {
        let text = text.trim();
        let is_name = !text.is_empty()
            && text.len() <= limits::NAME_BYTES
            && !text.starts_with("unknown_service")
            && !text.chars().any(char::is_control);
        if is_name && self.space.as_ref().is_none_or(|(rank, _)| wanted.rank < *rank) {
            self.space = Some((wanted.rank, Name::new(text)));
        }
    }

    /// Ends the current span: adds its node and, if it is a valid model call, the call; sends a full
    /// batch to the callback. Calls of a sent batch do not get a space that their resource names later.
    pub(super) fn end_span(&mut self) -> Decoded {
        let kind = kind_of(&self.span, &self.scope);
        self.batch.spans += 1;
        if matches!(kind, SpanKind::Llm | SpanKind::Embedding) {
            match Call::of(&self.span, &self.scope, kind).filter(|call| call.start_ns > 0) {
                Some(call) => self.batch.calls.push(call),
                None => {
                    self.batch.invalid += 1;
                    self.batch.first_invalid.get_or_insert(self.spans);
                }
            }
        }
        if let (Some(trace_id), Some(span_id)) = (self.span.trace_id, self.span.span_id) {
            self.batch.nodes.push(SpanNode {
                trace_id,
                span_id,
                parent_id: self.span.parent_id,
                kind,
                is_server: self.span.is_server,
                http_status: self.span.attributes.number(Attr::HttpStatus).and_then(http_status),
                start_ns: self.span.start_ns,
                end_ns: self.span.end_ns,
            });
        }
        self.spans += 1;
        if self.batch.spans < SPANS_MAX {
            return Ok(());
        }
        self.end_resource();
        self.resource_from = 0;
        (self.on_batch)(std::mem::take(&mut self.batch))
    }
}
