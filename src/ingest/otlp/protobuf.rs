//! Decodes an `ExportTraceServiceRequest` in protobuf; unwanted fields are skipped.

use std::io::Read;

use super::collect::{AttrOwner, AttrTarget, SpanCollector};
use super::error_hints::ErrorHints;
use super::input::{ByteInput, DecodeProblem, Decoded};
use super::keys::{KEY_BYTES_MAX, MESSAGE_BYTES_MAX};
use super::span::{RAW_REQUEST_SPAN, RawSpan, marks_first_token};
use crate::ingest::wire::LooseValue;

/// Maximum length of the name of an event or scope that is looked at, in bytes.
const NAME_BYTES_MAX: usize = 128;
/// `SPAN_KIND_SERVER`.
const SERVER: u64 = 2;
/// `STATUS_CODE_ERROR`.
const ERROR: u64 = 2;

/// The content of a field; that of a `Bytes` follows in the input.
#[derive(Clone, Copy, Debug)]
enum FieldContent {
    Varint(u64),
    Fixed64(u64),
    Fixed32,
    Bytes(u64),
}
use FieldContent::{Bytes, Fixed32, Fixed64, Varint};

/// Reads a body to its end.
pub(super) fn read(reader: impl Read, collector: &mut SpanCollector<'_>) -> Decoded {
    let mut walker = TraceWalker { input: ByteInput::new(reader), text: Vec::new(), collector };
    while let Some(first) = walker.input.byte()? {
        match walker.content(first)? {
            (1, Bytes(length)) => walker.resource_spans(length)?,
            (_, Bytes(length)) => walker.input.skip(length)?,
            _ => {}
        }
    }
    Ok(())
}

struct TraceWalker<'w, 'a, R> {
    input: ByteInput<R>,
    /// The text being read.
    text: Vec<u8>,
    collector: &'w mut SpanCollector<'a>,
}

impl<R: Read> TraceWalker<'_, '_, R> {
    /// Passes every field of a message to `read`; content that `read` does not consume is skipped.
    fn message(
        &mut self,
        length: u64,
        mut read: impl FnMut(&mut Self, u64, FieldContent) -> Decoded,
    ) -> Decoded {
        let end = self.end_of(length, u64::MAX)?;
        while self.input.position() != end {
            let first = self.next_byte()?;
            let (number, content) = self.content(first)?;
            let length = if let Bytes(length) = content { length } else { 0 };
            let content_end = self.end_of(length, end)?;
            read(self, number, content)?;
            self.input.skip(content_end.saturating_sub(self.input.position()))?;
        }
        Ok(())
    }

    /// Position after a part of `length` bytes, which must not be after `limit`.
    fn end_of(&self, length: u64, limit: u64) -> Decoded<u64> {
        let end = self.input.position().checked_add(length);
        end.filter(|end| *end <= limit)
            .ok_or_else(|| DecodeProblem::malformed("a part is longer than the whole"))
    }

    /// Number and content of the field whose tag begins with the byte `first`.
    fn content(&mut self, first: u8) -> Decoded<(u64, FieldContent)> {
        let tag = self.varint_from(first)?;
        let content = match tag & 7 {
            0 => Varint(self.varint()?),
            1 => Fixed64(self.fixed64()?),
            2 => Bytes(self.varint()?),
            5 => {
                self.input.skip(4)?;
                Fixed32
            }
            _ => return Err(DecodeProblem::malformed("it is not protobuf")),
        };
        match tag >> 3 {
            0 => Err(DecodeProblem::malformed("it is not protobuf")),
            number => Ok((number, content)),
        }
    }

    fn varint(&mut self) -> Decoded<u64> {
        let first = self.next_byte()?;
        self.varint_from(first)
    }

    fn varint_from(&mut self, first: u8) -> Decoded<u64> {
        let mut value = u64::from(first & 0x7f);
        let mut byte = first;
        let mut shift = 7;
        while byte & 0x80 != 0 {
            if shift > 63 {
                return Err(DecodeProblem::malformed("it is not protobuf"));
            }
            byte = self.next_byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
        }
        Ok(value)
    }

    fn next_byte(&mut self) -> Decoded<u8> {
        self.input.byte()?.ok_or_else(|| DecodeProblem::malformed("the body is cut off"))
    }

    fn fixed64(&mut self) -> Decoded<u64> {
        let mut bytes = [0; 8];
        for byte in &mut bytes {
            *byte = self.next_byte()?;
        }
        Ok(u64::from_le_bytes(bytes))
    }

    fn resource_spans(&mut self, length: u64) -> Decoded {
        self.collector.begin_resource();
        self.message(length, |this, number, content| match (number, content) {
            (1, Bytes(length)) => this.attributes(length, AttrOwner::Resource),
            (2, Bytes(length)) => this.scope_spans(length),
            _ => Ok(()),
        })?;
        self.collector.end_resource();
        Ok(())
    }

    /// The attributes of a resource, its first field.
    fn attributes(&mut self, length: u64, owner: AttrOwner) -> Decoded {
        self.message(length, |this, number, content| match (number, content) {
            (1, Bytes(length)) => this.attribute(length, owner),
            _ => Ok(()),
        })
    }

    fn scope_spans(&mut self, length: u64) -> Decoded {
        self.collector.name_scope("");
        self.message(length, |this, number, content| match (number, content) {
            (1, Bytes(length)) => this.scope(length),
            (2, Bytes(length)) => this.span(length),
            _ => Ok(()),
        })
    }

    fn scope(&mut self, length: u64) -> Decoded {
        self.message(length, |this, number, content| {
            if let (1, Bytes(length)) = (number, content) {
                this.input.read_start(length, NAME_BYTES_MAX, &mut this.text)?;
                this.collector.name_scope(utf8(&this.text));
            }
            Ok(())
        })
    }

    fn span(&mut self, length: u64) -> Decoded {
        self.collector.span = RawSpan::default();
        self.message(length, |this, number, content| {
            match (number, content) {
                (1, Bytes(length)) => this.collector.span.trace_id = this.id(length)?,
                (2, Bytes(length)) => this.collector.span.span_id = this.id(length)?,
                (4, Bytes(length)) => this.collector.span.parent_id = this.id(length)?,
                (5, Bytes(length)) => {
                    this.input.read_start(length, NAME_BYTES_MAX, &mut this.text)?;
                    let is_raw_request = this.text == RAW_REQUEST_SPAN.as_bytes();
                    this.collector.span.is_raw_request = is_raw_request;
                }
                (6, Varint(kind)) => this.collector.span.is_server = kind == SERVER,
                (7, Fixed64(ns)) => this.collector.span.start_ns = ns,
                (8, Fixed64(ns)) => this.collector.span.end_ns = ns,
                (9, Bytes(length)) => this.attribute(length, AttrOwner::Span)?,
                (11, Bytes(length)) => this.event(length)?,
                (15, Bytes(length)) => this.status(length)?,
                _ => {}
            }
            Ok(())
        })?;
        self.collector.end_span()
    }

    /// An identity of `N` bytes that are not all zero.
    fn id<const N: usize>(&mut self, length: u64) -> Decoded<Option<[u8; N]>> {
        self.input.read_start(length, N + 1, &mut self.text)?;
        let id: Option<[u8; N]> = self.text.as_slice().try_into().ok();
        Ok(id.filter(|id| id.iter().any(|byte| *byte != 0)))
    }

    fn event(&mut self, length: u64) -> Decoded {
        let mut at_ns = None;
        self.message(length, |this, number, content| {
            match (number, content) {
                (1, Fixed64(ns)) => at_ns = Some(ns),
                (2, Bytes(length)) => {
                    this.input.read_start(length, NAME_BYTES_MAX, &mut this.text)?;
                    let first_token_ns = &mut this.collector.span.first_token_ns;
                    if marks_first_token(utf8(&this.text)) && first_token_ns.is_none() {
                        *first_token_ns = at_ns;
                    }
                }
                (3, Bytes(length)) => this.attribute(length, AttrOwner::Exception)?,
                _ => {}
            }
            Ok(())
        })
    }

    fn status(&mut self, length: u64) -> Decoded {
        self.message(length, |this, number, content| {
            match (number, content) {
                (2, Bytes(length)) => {
                    this.input.read_start(length, MESSAGE_BYTES_MAX, &mut this.text)?;
                    this.collector.span.status_message =
                        ErrorHints::search(valid_start(&this.text));
                }
                (3, Varint(code)) => this.collector.span.is_error = code == ERROR,
                _ => {}
            }
            Ok(())
        })
    }

    fn attribute(&mut self, length: u64, owner: AttrOwner) -> Decoded {
        let mut take = None;
        self.message(length, |this, number, content| {
            match (number, content, take) {
                (1, Bytes(length), _) => {
                    this.input.read_start(length, KEY_BYTES_MAX + 1, &mut this.text)?;
                    take = this.collector.wants(owner, utf8(&this.text));
                }
                (2, Bytes(length), Some(take)) => this.value(length, take)?,
                _ => {}
            }
            Ok(())
        })
    }

    fn value(&mut self, length: u64, take: AttrTarget) -> Decoded {
        self.message(length, |this, number, content| {
            let value = match (number, content) {
                (1, Bytes(length)) => return this.text_value(length, take),
                (2, Varint(value)) => LooseValue::Bool(value != 0),
                (3, Varint(value)) => LooseValue::Int(value.cast_signed()),
                (4, Fixed64(bits)) => LooseValue::Float(f64::from_bits(bits)),
                (5, Bytes(length)) => return this.first_of_array(length, take),
                _ => return Ok(()),
            };
            this.collector.take_value(take, value);
            Ok(())
        })
    }

    fn text_value(&mut self, length: u64, take: AttrTarget) -> Decoded {
        let bytes_max = take.bytes_max();
        let is_too_long = length > bytes_max as u64;
        if is_too_long && !take.is_cut() {
            return Ok(());
        }
        self.input.read_start(length, bytes_max, &mut self.text)?;
        let text =
            if is_too_long { Ok(valid_start(&self.text)) } else { std::str::from_utf8(&self.text) };
        if let Ok(text) = text {
            self.collector.take_text(take, text);
        }
        Ok(())
    }

    /// The text of the first value of an array.
    fn first_of_array(&mut self, length: u64, take: AttrTarget) -> Decoded {
        let mut is_first = true;
        self.message(length, |this, number, content| match (number, content) {
            (1, Bytes(length)) if std::mem::take(&mut is_first) => {
                this.message(length, |this, number, content| match (number, content) {
                    (1, Bytes(length)) => this.text_value(length, take),
                    _ => Ok(()),
                })
            }
            _ => Ok(()),
        })
    }
}

/// The text; empty if it is not UTF-8.
fn utf8(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

/// The valid UTF-8 at the start of `bytes`.
fn valid_start(bytes: &[u8]) -> &str {
    bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid())
}
