//! Splits a body that arrives in pieces into records, in bounded memory.

use memchr::memchr;

use super::BodyProblem;
use super::scan::{Scan, ScanStop};

/// Maximum length of a record as JSON, in bytes: 1 MiB.
pub const MAX_RECORD_BYTES: usize = 1 << 20;

const BOM: &[u8] = b"\xef\xbb\xbf";

/// How records are separated in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Framing {
    /// Detected from the body: one object, an array of objects, consecutive objects, or one object per line.
    #[default]
    Auto,
    /// One record per line, as the content type of NDJSON says.
    Lines,
}

/// One unparsed record of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// One value.
    Record(&'a [u8]),
    /// One line; usually one value, possibly several.
    Line(&'a [u8]),
    /// A record longer than [`MAX_RECORD_BYTES`], skipped.
    TooLong,
    /// Something that is not a record.
    Malformed(&'static str),
}

#[derive(Clone, Copy)]
enum PieceKind {
    Record,
    Line,
    BrokenLine,
}

impl PieceKind {
    const fn piece(self, bytes: &[u8]) -> Piece<'_> {
        match self {
            Self::Record => Piece::Record(bytes),
            Self::Line => Piece::Line(bytes),
            Self::BrokenLine => Piece::Malformed("the line ends inside its object"),
        }
    }
}

/// Splits a body that arrives in pieces of any size into records.
///
/// Buffers at most one record of at most [`MAX_RECORD_BYTES`]; records inside one piece are passed on without a copy.
/// The sizes of the pieces do not affect the result.
#[derive(Debug)]
pub struct Splitter {
    state: SplitterState,
    scan: Scan,
    /// The beginning of a record whose end has not arrived.
    held: Vec<u8>,
    /// The record is too long for the buffer and is skipped.
    too_long: bool,
    begins_as_json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SplitterState {
    /// Only white space so far, and this many bytes of a byte order mark.
    Start { framing: Framing, bom_bytes: u8 },
    /// Between objects that are not on lines of their own.
    BetweenObjects,
    /// After a first object on one line; a line end here means one object per line.
    AfterFirst,
    /// Inside such an object.
    Object { is_first: bool },
    /// Skipping to the end of the line.
    Garbage,
    /// Before a line.
    BeforeLine,
    /// Inside a line.
    Line,
    /// In an array, before an element.
    BeforeElement { is_first: bool },
    /// In an array, inside an element.
    Element,
    /// After an array.
    AfterArray,
}

use SplitterState as S;

impl Splitter {
    /// A splitter for one body.
    pub fn new(framing: Framing) -> Self {
        Self {
            state: S::Start { framing, bom_bytes: 0 },
            scan: Scan::of_object(),
            held: Vec::new(),
            too_long: false,
            begins_as_json: false,
        }
    }

    /// Whether the first thing in the body is an object or an array.
    pub const fn begins_as_json(&self) -> bool {
        self.begins_as_json
    }

    /// Splits the next bytes of the body and passes on the records that end in them.
    ///
    /// # Errors
    /// If something follows the end of an array.
    pub fn push(
        &mut self,
        bytes: &[u8],
        sink: &mut dyn FnMut(Piece<'_>),
    ) -> Result<(), BodyProblem> {
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = match self.state {
                S::Start { framing, bom_bytes } => self.start(rest, framing, bom_bytes),
                S::BetweenObjects | S::AfterFirst => self.between_objects(rest, sink),
                S::Object { is_first } => self.object(rest, is_first, sink),
                S::Garbage => match memchr(b'\n', rest) {
                    Some(at) => self.go(S::BetweenObjects, after(rest, at + 1)),
                    None => &[],
                },
                S::BeforeLine => match skip_space(rest) {
                    [] => &[],
                    rest => self.go(S::Line, rest),
                },
                S::Line => self.line(rest, sink),
                S::BeforeElement { is_first } => self.before_element(rest, is_first, sink),
                S::Element => self.element(rest, sink),
                S::AfterArray => self.after_array(rest)?,
            };
        }
        Ok(())
    }

    /// Ends the body.
    ///
    /// # Errors
    /// If it is empty or ends inside an object or an array.
    pub fn finish(&mut self, sink: &mut dyn FnMut(Piece<'_>)) -> Result<(), BodyProblem> {
        match self.state {
            S::Start { framing: Framing::Auto, .. } => Err(BodyProblem::unreadable("it is empty")),
            S::Object { .. } => Err(BodyProblem::unreadable("it ends inside a record")),
            S::BeforeElement { .. } | S::Element => {
                Err(BodyProblem::unreadable("it ends before the end of its array"))
            }
            S::Line => {
                self.complete(&[], sink, PieceKind::Line);
                Ok(())
            }
            S::Start { framing: Framing::Lines, .. }
            | S::BetweenObjects
            | S::AfterFirst
            | S::Garbage
            | S::BeforeLine
            | S::AfterArray => Ok(()),
        }
    }

    fn go<'b>(&mut self, state: SplitterState, rest: &'b [u8]) -> &'b [u8] {
        self.state = state;
        rest
    }

    fn start<'b>(&mut self, bytes: &'b [u8], framing: Framing, bom_bytes: u8) -> &'b [u8] {
        let is_bom = BOM.get(usize::from(bom_bytes)) == bytes.first();
        if is_bom {
            return self.go(S::Start { framing, bom_bytes: bom_bytes + 1 }, after(bytes, 1));
        }
        let rest = skip_space(bytes);
        // No byte order mark is allowed after white space.
        let bom_bytes = if rest.len() < bytes.len() { u8::MAX } else { bom_bytes };
        self.begins_as_json = matches!(rest.first(), Some(b'[' | b'{'));
        match (framing, rest.first()) {
            (_, None) => self.go(S::Start { framing, bom_bytes }, rest),
            (Framing::Auto, Some(b'[')) => {
                self.go(S::BeforeElement { is_first: true }, after(rest, 1))
            }
            (Framing::Auto, Some(b'{')) => self.begin_object(true, rest),
            _ => self.go(S::BeforeLine, rest),
        }
    }

    fn begin_object<'b>(&mut self, is_first: bool, rest: &'b [u8]) -> &'b [u8] {
        self.scan = Scan::of_object();
        self.go(S::Object { is_first }, rest)
    }

    fn between_objects<'b>(
        &mut self,
        bytes: &'b [u8],
        sink: &mut dyn FnMut(Piece<'_>),
    ) -> &'b [u8] {
        let rest = skip_space(bytes);
        let (skipped, _) = bytes.split_at(bytes.len() - rest.len());
        if self.state == S::AfterFirst && memchr(b'\n', skipped).is_some() {
            return self.go(S::BeforeLine, rest);
        }
        match rest.first() {
            None => rest,
            Some(b'{') => self.begin_object(false, rest),
            Some(_) => {
                sink(Piece::Malformed("is not a JSON object"));
                self.go(S::Garbage, rest)
            }
        }
    }

    fn object<'b>(
        &mut self,
        bytes: &'b [u8],
        is_first: bool,
        sink: &mut dyn FnMut(Piece<'_>),
    ) -> &'b [u8] {
        let (end, next) = match self.scan.run(bytes) {
            ScanStop::ObjectEnd(end) => {
                let (record, rest) = bytes.split_at(end);
                self.complete(record, sink, PieceKind::Record);
                let on_one_line = is_first && !self.scan.has_line_ends();
                let next = if on_one_line { S::AfterFirst } else { S::BetweenObjects };
                return self.go(next, rest);
            }
            ScanStop::BrokenLine(at) | ScanStop::NextLine(at) => (at, S::BeforeLine),
            _ => {
                self.hold(bytes);
                return &[];
            }
        };
        let (broken, rest) = bytes.split_at(end);
        self.complete(broken, sink, PieceKind::BrokenLine);
        self.go(next, rest)
    }

    fn line<'b>(&mut self, bytes: &'b [u8], sink: &mut dyn FnMut(Piece<'_>)) -> &'b [u8] {
        let Some(end) = memchr(b'\n', bytes) else {
            self.hold(bytes);
            return &[];
        };
        let (line, rest) = bytes.split_at(end);
        self.complete(line, sink, PieceKind::Line);
        self.go(S::BeforeLine, rest)
    }

    fn before_element<'b>(
        &mut self,
        bytes: &'b [u8],
        is_first: bool,
        sink: &mut dyn FnMut(Piece<'_>),
    ) -> &'b [u8] {
        let rest = skip_space(bytes);
        let (next, is_missing) = match rest.first() {
            None => return rest,
            Some(b']') => (S::AfterArray, !is_first),
            Some(b',') => (S::BeforeElement { is_first: false }, true),
            Some(_) => {
                self.scan = Scan::of_element();
                return self.go(S::Element, rest);
            }
        };
        if is_missing {
            sink(Piece::Malformed("an element of the array is missing beside a comma"));
        }
        self.go(next, after(rest, 1))
    }

    fn element<'b>(&mut self, bytes: &'b [u8], sink: &mut dyn FnMut(Piece<'_>)) -> &'b [u8] {
        let (end, next) = match self.scan.run(bytes) {
            ScanStop::Comma(at) => (at, S::BeforeElement { is_first: false }),
            ScanStop::ArrayEnd(at) => (at, S::AfterArray),
            _ => {
                self.hold(bytes);
                return &[];
            }
        };
        let (element, rest) = bytes.split_at(end);
        self.complete(element, sink, PieceKind::Record);
        self.go(next, after(rest, 1))
    }

    fn after_array<'b>(&mut self, bytes: &'b [u8]) -> Result<&'b [u8], BodyProblem> {
        let rest = skip_space(bytes);
        if rest.is_empty() {
            return Ok(rest);
        }
        Err(BodyProblem::unreadable("something follows the end of its array"))
    }

    /// Buffers the beginning of a record, unless it is too long.
    fn hold(&mut self, bytes: &[u8]) {
        if self.held.len() + bytes.len() > MAX_RECORD_BYTES {
            self.too_long = true;
        }
        if self.too_long {
            self.held.clear();
        } else {
            self.held.extend_from_slice(bytes);
        }
    }

    /// Passes on a record whose last bytes are `end`.
    fn complete(&mut self, end: &[u8], sink: &mut dyn FnMut(Piece<'_>), kind: PieceKind) {
        if self.too_long || self.held.len() + end.len() > MAX_RECORD_BYTES {
            sink(Piece::TooLong);
        } else if self.held.is_empty() {
            sink(kind.piece(end));
        } else {
            self.held.extend_from_slice(end);
            sink(kind.piece(&self.held));
        }
        self.held.clear();
        self.too_long = false;
    }
}

fn after(bytes: &[u8], at: usize) -> &[u8] {
    bytes.get(at..).unwrap_or_default()
}

fn skip_space(bytes: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    let end = bytes.iter().position(|byte| !is_space(byte)).unwrap_or(bytes.len());
    after(bytes, end)
}

#[cfg(test)]
mod tests;
