//! Reading an `ExportTraceServiceRequest` in protobuf: walks the bytes and passes over what is not wanted.

use std::io::Read;

use super::DecodeProblem;
use super::collect::{Collector, Owner, Take};
use super::input::Input;
use super::keys::KEY_BYTES_MAX;
use super::message::Message;
use super::span::{RAW_REQUEST_SPAN, marks_first_token};
use super::value::Value;

/// Longest name of an event or scope looked at, in bytes.
const NAME_BYTES_MAX: usize = 128;
/// `SPAN_KIND_SERVER`.
const SERVER: u64 = 2;
/// `STATUS_CODE_ERROR`.
const ERROR: u64 = 2;

/// The content of a field; that of a `Bytes` follows in the input.
#[derive(Clone, Copy, Debug)]
enum Content {
    Varint(u64),
    Fixed64(u64),
    Fixed32,
    Bytes(u64),
}

/// Reads a body to its end.
pub(super) fn read(reader: impl Read, collector: &mut Collector<'_>) -> Result<(), DecodeProblem> {
    let mut walker = Walker { input: Input::new(reader), text: Vec::new(), collector };
    while let Some((number, content)) = walker.top_field()? {
        match (number, content) {
            (1, Content::Bytes(length)) => walker.resource_spans(length, u64::MAX)?,
            _ => walker.pass(content, u64::MAX)?,
        }
    }
    Ok(())
}

struct Walker<'w, 'a, R> {
    input: Input<R>,
    /// The text being read.
    text: Vec<u8>,
    collector: &'w mut Collector<'a>,
}

impl<R: Read> Walker<'_, '_, R> {
    /// The next field at the top; `None` at the end of the body.
    fn top_field(&mut self) -> Result<Option<(u64, Content)>, DecodeProblem> {
        match self.input.byte()? {
            None => Ok(None),
            Some(first) => {
                let tag = self.varint_from(first)?;
                self.content(tag).map(Some)
            }
        }
    }

    /// The next field of a message that ends at `end`; `None` at its end.
    fn field(&mut self, end: u64) -> Result<Option<(u64, Content)>, DecodeProblem> {
        if self.input.position() == end {
            return Ok(None);
        }
        let tag = self.varint()?;
        let field = self.content(tag)?;
        let length = if let Content::Bytes(length) = field.1 { length } else { 0 };
        self.end_of(length, end)?;
        Ok(Some(field))
    }

    /// Where a part of `length` bytes ends, which must not be after `limit`.
    fn end_of(&self, length: u64, limit: u64) -> Result<u64, DecodeProblem> {
        let end = self.input.position().checked_add(length);
        end.filter(|end| *end <= limit)
            .ok_or_else(|| DecodeProblem::malformed("a part is longer than the whole"))
    }

    fn content(&mut self, tag: u64) -> Result<(u64, Content), DecodeProblem> {
        let content = match tag & 7 {
            0 => Content::Varint(self.varint()?),
            1 => Content::Fixed64(self.fixed64()?),
            2 => Content::Bytes(self.varint()?),
            5 => {
                self.input.skip(4)?;
                Content::Fixed32
            }
            _ => return Err(DecodeProblem::malformed("it is not protobuf")),
        };
        match tag >> 3 {
            0 => Err(DecodeProblem::malformed("it is not protobuf")),
            number => Ok((number, content)),
        }
    }

    fn varint(&mut self) -> Result<u64, DecodeProblem> {
        let first = self.next_byte()?;
        self.varint_from(first)
    }

    fn varint_from(&mut self, first: u8) -> Result<u64, DecodeProblem> {
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

    fn next_byte(&mut self) -> Result<u8, DecodeProblem> {
        self.input.byte()?.ok_or_else(|| DecodeProblem::malformed("the body is cut off"))
    }

    fn fixed64(&mut self) -> Result<u64, DecodeProblem> {
        let mut bytes = [0; 8];
        for byte in &mut bytes {
            *byte = self.next_byte()?;
        }
        Ok(u64::from_le_bytes(bytes))
    }

    /// Passes over a field inside a message that ends at `end`.
    fn pass(&mut self, content: Content, end: u64) -> Result<(), DecodeProblem> {
        if let Content::Bytes(length) = content {
            self.end_of(length, end)?;
            self.input.skip(length)?;
        }
        Ok(())
    }

    fn resource_spans(&mut self, length: u64, limit: u64) -> Result<(), DecodeProblem> {
        let end = self.end_of(length, limit)?;
        self.collector.begin_resource();
        while let Some((number, content)) = self.field(end)? {
            match (number, content) {
                (1, Content::Bytes(length)) => self.resource(length)?,
                (2, Content::Bytes(length)) => self.scope_spans(length)?,
                _ => self.pass(content, end)?,
            }
        }
        self.collector.end_resource();
        Ok(())
    }

    fn resource(&mut self, length: u64) -> Result<(), DecodeProblem> {
        let end = self.end_of(length, u64::MAX)?;
        while let Some((number, content)) = self.field(end)? {
            match (number, content) {
                (1, Content::Bytes(length)) => self.attribute(length, Owner::Resource)?,
                _ => self.pass(content, end)?,
            }
        }
        Ok(())
    }

    fn scope_spans(&mut self, length: u64) -> Result<(), DecodeProblem> {
        let end = self.end_of(length, u64::MAX)?;
        self.collector.begin_scope();
        while let Some((number, content)) = self.field(end)? {
            match (number, content) {
                (1, Content::Bytes(length)) => self.scope(length)?,
                (2, Content::Bytes(length)) => self.span(length)?,
                _ => self.pass(content, end)?,
            }
        }
        Ok(())
    }

    fn scope(&mut self, length: u64) -> Result<(), DecodeProblem> {
        let end = self.end_of(length, u64::MAX)?;
        while let Some((number, content)) = self.field(end)? {
            match (number, content) {
                (1, Content::Bytes(length)) => {
                    self.input.read_start(length, NAME_BYTES_MAX, &mut self.text)?;
                    self.collector.name_scope(std::str::from_utf8(&self.text).unwrap_or_default());
                }
                _ => self.pass(content, end)?,
            }
        }
        Ok(())
    }

    fn span(&mut self, length: u64) -> Result<(), DecodeProblem> {
        let end = self.end_of(length, u64::MAX)?;
        self.collector.begin_span();
        while let Some((number, content)) = self.field(end)? {
            match (number, content) {
                (1, Content::Bytes(length)) => self.collector.span.trace_id = self.id(length)?,
                (2, Content::Bytes(length)) => self.collector.span.span_id = self.id(length)?,
                (4, Content::Bytes(length)) => self.collector.span.parent_id = self.id(length)?,
                (5, Content::Bytes(length)) => {
                    self.input.read_start(length, NAME_BYTES_MAX, &mut self.text)?;
                    let is_raw_request = self.text == RAW_REQUEST_SPAN.as_bytes();
                    self.collector.span.is_raw_request = is_raw_request;
                }
                (6, Content::Varint(kind)) => self.collector.span.is_server = kind == SERVER,
                (7, Content::Fixed64(ns)) => self.collector.span.start_ns = ns,
                (8, Content::Fixed64(ns)) => self.collector.span.end_ns = ns,
                (9, Content::Bytes(length)) => self.attribute(length, Owner::Span)?,
                (11, Content::Bytes(length)) => self.event(length)?,
                (15, Content::Bytes(length)) => self.status(length)?,
                _ => self.pass(content, end)?,
            }
        }
        self.collector.end_span()
    }

    /// An identity of `N` bytes that are not all zero.
    fn id<const N: usize>(&mut self, length: u64) -> Result<Option<[u8; N]>, DecodeProblem> {
        self.input.read_start(length, N + 1, &mut self.text)?;
        let id: Option<[u8; N]> = self.text.as_slice().try_into().ok();
        Ok(id.filter(|id| id.iter().any(|byte| *byte != 0)))
    }

    fn event(&mut self, length: u64) -> Result<(), DecodeProblem> {
        let end = self.end_of(length, u64::MAX)?;
        let mut at_ns = None;
        while let Some((number, content)) = self.field(end)? {
            match (number, content) {
                (1, Content::Fixed64(ns)) => at_ns = Some(ns),
                (2, Content::Bytes(length)) => {
                    self.input.read_start(length, NAME_BYTES_MAX, &mut self.text)?;
                    let name = std::str::from_utf8(&self.text).unwrap_or_default();
                    let span = &mut self.collector.span;
                    if marks_first_token(name) && span.first_token_ns.is_none() {
                        span.first_token_ns = at_ns;
                    }
                }
                (3, Content::Bytes(length)) => self.attribute(length, Owner::Exception)?,
                _ => self.pass(content, end)?,
            }
        }
        Ok(())
    }

    fn status(&mut self, length: u64) -> Result<(), DecodeProblem> {
        let end = self.end_of(length, u64::MAX)?;
        while let Some((number, content)) = self.field(end)? {
            match (number, content) {
                (2, Content::Bytes(length)) => {
                    let message = self.start_of_text(length, super::keys::MESSAGE_BYTES_MAX)?;
                    self.collector.span.status_message = message;
                }
                (3, Content::Varint(code)) => self.collector.span.is_error = code == ERROR,
                _ => self.pass(content, end)?,
            }
        }
        Ok(())
    }

    fn start_of_text(&mut self, length: u64, most: usize) -> Result<Message, DecodeProblem> {
        self.input.read_start(length, most, &mut self.text)?;
        Ok(Message::search(valid_start(&self.text)))
    }

    fn attribute(&mut self, length: u64, owner: Owner) -> Result<(), DecodeProblem> {
        let end = self.end_of(length, u64::MAX)?;
        let mut take = None;
        while let Some((number, content)) = self.field(end)? {
            match (number, content) {
                (1, Content::Bytes(length)) => {
                    self.input.read_start(length, KEY_BYTES_MAX + 1, &mut self.text)?;
                    let key = std::str::from_utf8(&self.text).unwrap_or_default();
                    take = self.collector.wants(owner, key);
                }
                (2, Content::Bytes(length)) => match take {
                    Some(take) => self.value(length, take)?,
                    None => self.input.skip(length)?,
                },
                _ => self.pass(content, end)?,
            }
        }
        Ok(())
    }

    fn value(&mut self, length: u64, take: Take) -> Result<(), DecodeProblem> {
        let end = self.end_of(length, u64::MAX)?;
        while let Some((number, content)) = self.field(end)? {
            match (number, content) {
                (1, Content::Bytes(length)) => self.text_value(length, take)?,
                (2, Content::Varint(value)) => {
                    self.collector.take_value(take, Value::Bool(value != 0));
                }
                (3, Content::Varint(value)) => {
                    self.collector.take_value(take, Value::Int(value.cast_signed()));
                }
                (4, Content::Fixed64(bits)) => {
                    self.collector.take_value(take, Value::Float(f64::from_bits(bits)));
                }
                (5, Content::Bytes(length)) => self.first_of_array(length, take)?,
                _ => self.pass(content, end)?,
            }
        }
        Ok(())
    }

    fn text_value(&mut self, length: u64, take: Take) -> Result<(), DecodeProblem> {
        let most = take.bytes_max();
        let is_too_long = length > u64::try_from(most).unwrap_or(u64::MAX);
        if is_too_long && !take.is_cut() {
            return self.input.skip(length);
        }
        self.input.read_start(length, most, &mut self.text)?;
        let text =
            if is_too_long { Ok(valid_start(&self.text)) } else { std::str::from_utf8(&self.text) };
        if let Ok(text) = text {
            self.collector.take_text(take, text);
        }
        Ok(())
    }

    fn first_of_array(&mut self, length: u64, take: Take) -> Result<(), DecodeProblem> {
        let end = self.end_of(length, u64::MAX)?;
        let mut is_first = true;
        while let Some((number, content)) = self.field(end)? {
            match (number, content) {
                (1, Content::Bytes(length)) if is_first => {
                    is_first = false;
                    self.text_in_array(length, take)?;
                }
                _ => self.pass(content, end)?,
            }
        }
        Ok(())
    }

    fn text_in_array(&mut self, length: u64, take: Take) -> Result<(), DecodeProblem> {
        let end = self.end_of(length, u64::MAX)?;
        while let Some((number, content)) = self.field(end)? {
            match (number, content) {
                (1, Content::Bytes(length)) => self.text_value(length, take)?,
                _ => self.pass(content, end)?,
            }
        }
        Ok(())
    }
}

/// The part of the bytes that is text.
fn valid_start(bytes: &[u8]) -> &str {
    match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => bytes
            .get(..error.valid_up_to())
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
            .unwrap_or_default(),
    }
}
