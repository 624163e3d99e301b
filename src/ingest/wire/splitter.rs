//! Cuts a body that arrives in pieces into single records, in bounded memory.

use memchr::memchr;

use super::scan::{Scan, Stop};
use super::{BodyProblem, MAX_RECORD_BYTES};

const BOM: &[u8] = b"\xef\xbb\xbf";

/// How records are set apart in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Framing {
    /// Found out from the body: one object, an array of objects, objects one after the other, or
    /// one object on each line.
    #[default]
    Auto,
    /// One record on each line, as a content type of NDJSON promises.
    Lines,
}

/// One record of a body, not parsed yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// One value.
    Record(&'a [u8]),
    /// One line; usually one value, possibly several.
    Line(&'a [u8]),
    /// A record longer than [`MAX_RECORD_BYTES`], skipped.
    TooLong,
    /// Something that is no record.
    Malformed(&'static str),
}

#[derive(Clone, Copy)]
enum Kind {
    Record,
    Line,
    BrokenLine,
}

impl Kind {
    const fn piece(self, bytes: &[u8]) -> Piece<'_> {
        match self {
            Self::Record => Piece::Record(bytes),
            Self::Line => Piece::Line(bytes),
            Self::BrokenLine => Piece::Malformed("the line ends inside its object"),
        }
    }
}

/// Cuts a body into records; takes it in pieces of any size.
///
/// Holds at most one record of at most [`MAX_RECORD_BYTES`]; records that lie inside one piece are
/// passed on without a copy. How the body is cut into pieces never changes what comes out.
#[derive(Debug)]
pub struct Splitter {
    state: State,
    scan: Scan,
    /// The beginning of a record whose end has not arrived.
    held: Vec<u8>,
    /// The record is longer than may be held: it is skipped to its end.
    too_long: bool,
    begins_as_json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing but white space so far, and this many bytes of a byte order mark.
    Start { framing: Framing, bom_bytes: u8 },
    /// Between objects that are not on lines of their own.
    BetweenObjects,
    /// After the first object, which was on one line; a line end now means one object on each line.
    AfterFirst,
    /// Inside such an object.
    Object { is_first: bool },
    /// Skipping what is no object, up to the end of the line.
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

impl Splitter {
    /// A splitter for one body.
    pub fn new(framing: Framing) -> Self {
        Self {
            state: State::Start { framing, bom_bytes: 0 },
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

    /// Takes the next bytes of the body and passes on the records that end in them.
    ///
    /// # Errors
    /// When something follows the end of an array.
    pub fn push(
        &mut self,
        bytes: &[u8],
        sink: &mut dyn FnMut(Piece<'_>),
    ) -> Result<(), BodyProblem> {
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = match self.state {
                State::Start { framing, bom_bytes } => self.start(rest, framing, bom_bytes),
                State::BetweenObjects | State::AfterFirst => self.between_objects(rest, sink),
                State::Object { is_first } => self.object(rest, is_first, sink),
                State::Garbage => match memchr(b'\n', rest) {
                    Some(at) => self.go(State::BetweenObjects, after(rest, at + 1)),
                    None => &[],
                },
                State::BeforeLine => match skip_space(rest) {
                    [] => &[],
                    rest => self.go(State::Line, rest),
                },
                State::Line => self.line(rest, sink),
                State::BeforeElement { is_first } => self.before_element(rest, is_first, sink),
                State::Element => self.element(rest, sink),
                State::AfterArray => self.after_array(rest)?,
            };
        }
        Ok(())
    }

    /// Ends the body.
    ///
    /// # Errors
    /// When it is empty or ends inside an object or an array.
    pub fn finish(&mut self, sink: &mut dyn FnMut(Piece<'_>)) -> Result<(), BodyProblem> {
        match self.state {
            State::Start { framing: Framing::Auto, .. } => {
                Err(BodyProblem::unreadable("it is empty"))
            }
            State::Object { .. } => Err(BodyProblem::unreadable("it ends inside a record")),
            State::BeforeElement { .. } | State::Element => {
                Err(BodyProblem::unreadable("it ends before the end of its array"))
            }
            State::Line => {
                self.complete(&[], sink, Kind::Line);
                Ok(())
            }
            State::Start { framing: Framing::Lines, .. }
            | State::BetweenObjects
            | State::AfterFirst
            | State::Garbage
            | State::BeforeLine
            | State::AfterArray => Ok(()),
        }
    }

    fn go<'b>(&mut self, state: State, rest: &'b [u8]) -> &'b [u8] {
        self.state = state;
        rest
    }

    fn start<'b>(&mut self, bytes: &'b [u8], framing: Framing, bom_bytes: u8) -> &'b [u8] {
        let is_bom = BOM.get(usize::from(bom_bytes)) == bytes.first();
        if is_bom {
            return self.go(State::Start { framing, bom_bytes: bom_bytes + 1 }, after(bytes, 1));
        }
        let rest = skip_space(bytes);
        // White space ends the place where a byte order mark may stand.
        let bom_bytes = if rest.len() < bytes.len() { u8::MAX } else { bom_bytes };
        self.begins_as_json = matches!(rest.first(), Some(b'[' | b'{'));
        match (framing, rest.first()) {
            (_, None) => self.go(State::Start { framing, bom_bytes }, rest),
            (Framing::Auto, Some(b'[')) => {
                self.go(State::BeforeElement { is_first: true }, after(rest, 1))
            }
            (Framing::Auto, Some(b'{')) => self.begin_object(true, rest),
            _ => self.go(State::BeforeLine, rest),
        }
    }

    fn begin_object<'b>(&mut self, is_first: bool, rest: &'b [u8]) -> &'b [u8] {
        self.scan = Scan::of_object();
        self.go(State::Object { is_first }, rest)
    }

    fn between_objects<'b>(
        &mut self,
        bytes: &'b [u8],
        sink: &mut dyn FnMut(Piece<'_>),
    ) -> &'b [u8] {
        let rest = skip_space(bytes);
        let (skipped, _) = bytes.split_at(bytes.len() - rest.len());
        if self.state == State::AfterFirst && memchr(b'\n', skipped).is_some() {
            return self.go(State::BeforeLine, rest);
        }
        match rest.first() {
            None => rest,
            Some(b'{') => self.begin_object(false, rest),
            Some(_) => {
                sink(Piece::Malformed("is not a JSON object"));
                self.go(State::Garbage, rest)
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
            Stop::ObjectEnd(end) => {
                let (record, rest) = bytes.split_at(end);
                self.complete(record, sink, Kind::Record);
                let on_one_line = is_first && !self.scan.has_line_ends();
                let next = if on_one_line { State::AfterFirst } else { State::BetweenObjects };
                return self.go(next, rest);
            }
            Stop::BrokenLine(at) | Stop::NextLine(at) => (at, State::BeforeLine),
            Stop::OutOfBytes | Stop::Comma(_) | Stop::ArrayEnd(_) => {
                self.hold(bytes);
                return &[];
            }
        };
        let (broken, rest) = bytes.split_at(end);
        self.complete(broken, sink, Kind::BrokenLine);
        self.go(next, rest)
    }

    fn line<'b>(&mut self, bytes: &'b [u8], sink: &mut dyn FnMut(Piece<'_>)) -> &'b [u8] {
        let Some(end) = memchr(b'\n', bytes) else {
            self.hold(bytes);
            return &[];
        };
        let (line, rest) = bytes.split_at(end);
        self.complete(line, sink, Kind::Line);
        self.go(State::BeforeLine, rest)
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
            Some(b']') => (State::AfterArray, !is_first),
            Some(b',') => (State::BeforeElement { is_first: false }, true),
            Some(_) => {
                self.scan = Scan::of_element();
                return self.go(State::Element, rest);
            }
        };
        if is_missing {
            sink(Piece::Malformed("an element of the array is missing beside a comma"));
        }
        self.go(next, after(rest, 1))
    }

    fn element<'b>(&mut self, bytes: &'b [u8], sink: &mut dyn FnMut(Piece<'_>)) -> &'b [u8] {
        let (end, next) = match self.scan.run(bytes) {
            Stop::Comma(at) => (at, State::BeforeElement { is_first: false }),
            Stop::ArrayEnd(at) => (at, State::AfterArray),
            Stop::OutOfBytes | Stop::ObjectEnd(_) | Stop::BrokenLine(_) | Stop::NextLine(_) => {
                self.hold(bytes);
                return &[];
            }
        };
        let (element, rest) = bytes.split_at(end);
        self.complete(element, sink, Kind::Record);
        self.go(next, after(rest, 1))
    }

    fn after_array<'b>(&mut self, bytes: &'b [u8]) -> Result<&'b [u8], BodyProblem> {
        let rest = skip_space(bytes);
        if rest.is_empty() {
            return Ok(rest);
        }
        Err(BodyProblem::unreadable("something follows the end of its array"))
    }

    /// Keeps the beginning of a record, or notes that it is too long.
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
    fn complete(&mut self, end: &[u8], sink: &mut dyn FnMut(Piece<'_>), kind: Kind) {
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
