//! Picking a few values out of JSON that arrives in pieces, without keeping any of the rest.

use std::borrow::Cow;

use memchr::memchr2;

/// Longest kept text in bytes, escapes included; longer ones are reported as [`Value::Other`].
const KEPT_BYTES: usize = 1_024;
/// Longest key that is compared; longer ones match nothing.
const KEY_BYTES: usize = 40;

/// A place in a document that is looked at: a member called `key`, or any element of an array.
///
/// What no node names is skipped byte by byte and never copied.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node<L: 'static> {
    /// Name of the member; [`ANY`] for the elements of an array.
    pub(crate) key: &'static str,
    /// Reported as; `None` for a mere step on the way.
    pub(crate) leaf: Option<L>,
    /// Whether the bytes of a text are kept; else only whether there are any.
    pub(crate) kept: bool,
    /// The places inside.
    pub(crate) children: &'static [Self],
}

/// The key of a node that stands for every element of an array.
pub(crate) const ANY: &str = "[]";

impl<L> Node<L> {
    /// A value that is reported with its text.
    pub(crate) const fn kept(key: &'static str, leaf: L) -> Self {
        Self { key, leaf: Some(leaf), kept: true, children: &[] }
    }

    /// A value of which only the kind is reported, and whether a text is empty.
    pub(crate) const fn seen(key: &'static str, leaf: L) -> Self {
        Self { key, leaf: Some(leaf), kept: false, children: &[] }
    }

    /// A step on the way.
    pub(crate) const fn step(key: &'static str, children: &'static [Self]) -> Self {
        Self { key, leaf: None, kept: false, children }
    }

    /// A step on the way that is reported too.
    pub(crate) const fn both(key: &'static str, leaf: L, children: &'static [Self]) -> Self {
        Self { key, leaf: Some(leaf), kept: false, children }
    }
}

/// What was found at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    /// A text, as written between its quotes.
    Text(&'a [u8]),
    /// A text of a place that does not keep it; whether there is anything in it.
    SomeText(bool),
    /// A number, as written.
    Number(&'a [u8]),
    /// `true` or `false`.
    Bool(bool),
    /// `null`.
    Null,
    /// An object or an array begins.
    Open,
    /// The object or array is over.
    Close,
    /// A text that is too long to keep, or no JSON.
    Other,
}

impl<'a> Value<'a> {
    /// The text without escapes.
    pub(crate) fn text(self) -> Option<Cow<'a, str>> {
        let Self::Text(raw) = self else { return None };
        if !raw.contains(&b'\\') {
            return std::str::from_utf8(raw).ok().map(Cow::Borrowed);
        }
        let quoted = [b"\"", raw, b"\""].concat();
        serde_json::from_slice::<String>(&quoted).ok().map(Cow::Owned)
    }

    /// The number, when it is a whole one.
    pub(crate) fn count(self) -> Option<u64> {
        let Self::Number(raw) = self else { return None };
        std::str::from_utf8(raw).ok()?.parse().ok()
    }

    /// The number as floating point.
    pub(crate) fn decimal(self) -> Option<f64> {
        let Self::Number(raw) = self else { return None };
        std::str::from_utf8(raw).ok()?.parse().ok()
    }
}

/// Where a value stands in the document, in bytes; `end` is exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// Its first byte.
    pub(crate) start: u64,
    /// The byte after its last; equal to `start` + 1 when it opens.
    pub(crate) end: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    BeforeValue,
    BeforeKey,
    Key { escaped: bool },
    BeforeColon,
    Text { escaped: bool },
    Word,
    AfterValue,
    Skip,
    SkipText { escaped: bool },
    Done,
    Broken,
}

#[derive(Debug)]
struct Frame<L: 'static> {
    node: &'static Node<L>,
    is_array: bool,
    start: u64,
}

/// Reads one document and reports the values at the places of a table.
///
/// Memory is bounded by the table's depth and one kept text, whatever the size of the document. It is
/// no validator: what it skips may be anything that balances.
#[derive(Debug)]
pub(crate) struct Scanner<L: 'static> {
    root: &'static Node<L>,
    state: State,
    stack: Vec<Frame<L>>,
    /// The place of the value that comes next or is being read.
    place: Option<&'static Node<L>>,
    skipped: u32,
    kept: Vec<u8>,
    /// The text does not fit, or is not wanted.
    lost: bool,
    any: bool,
    offset: u64,
    start: u64,
    has_escaped_key: bool,
}

/// Hears of the values that were found.
pub(crate) type Found<'f, L> = &'f mut dyn FnMut(L, Value<'_>, Span);

impl<L: Copy> Scanner<L> {
    /// A scanner for the places of `root`, whose own key does not matter.
    pub(crate) fn new(root: &'static Node<L>) -> Self {
        Self {
            root,
            state: State::BeforeValue,
            stack: Vec::new(),
            place: Some(root),
            skipped: 0,
            kept: Vec::new(),
            lost: false,
            any: false,
            offset: 0,
            start: 0,
            has_escaped_key: false,
        }
    }

    /// Begins the next document.
    pub(crate) fn reset(&mut self) {
        self.state = State::BeforeValue;
        self.stack.clear();
        self.place = Some(self.root);
        self.skipped = 0;
        self.kept.clear();
        self.offset = 0;
        self.has_escaped_key = false;
    }

    /// Whether the document is over and was well-formed as far as it was looked at.
    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Whether a name of a member that was compared was written with escapes, and so missed.
    pub(crate) fn has_escaped_key(&self) -> bool {
        self.has_escaped_key
    }

    /// Reads the next bytes.
    pub(crate) fn push(&mut self, bytes: &[u8], found: Found<'_, L>) {
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first() {
            let run = self.plain_run(rest);
            if run > 0 {
                self.any = true;
                self.offset += u64::try_from(run).unwrap_or(0);
                rest = rest.get(run..).unwrap_or_default();
                continue;
            }
            if self.state == State::Broken {
                return;
            }
            // A word ends with the byte after it, which is looked at again.
            if self.step(byte, found) {
                self.offset += 1;
                rest = after;
            }
        }
    }

    /// How many of the next bytes are inside a text that nobody wants.
    fn plain_run(&self, bytes: &[u8]) -> usize {
        let unwanted = match self.state {
            State::SkipText { escaped: false } => true,
            State::Text { escaped: false } => self.lost,
            _ => false,
        };
        if unwanted { memchr2(b'"', b'\\', bytes).unwrap_or(bytes.len()) } else { 0 }
    }

    /// Takes one byte; `false` when it has to be looked at again.
    fn step(&mut self, byte: u8, found: Found<'_, L>) -> bool {
        match self.state {
            State::BeforeValue => self.before_value(byte, found),
            State::BeforeKey => self.before_key(byte, found),
            State::Key { escaped } => self.in_key(byte, escaped),
            State::BeforeColon => match byte {
                b':' => self.state = State::BeforeValue,
                _ => self.expect_space(byte),
            },
            State::Text { escaped } => self.in_text(byte, escaped, found),
            State::Word => return self.in_word(byte, found),
            State::AfterValue => self.after_value(byte, found),
            State::Skip => self.skip(byte),
            State::SkipText { escaped: true } => self.state = State::SkipText { escaped: false },
            State::SkipText { escaped: false } => match byte {
                b'"' => self.state = State::Skip,
                b'\\' => self.state = State::SkipText { escaped: true },
                _ => {}
            },
            State::Done => self.expect_space(byte),
            State::Broken => {}
        }
        true
    }

    fn expect_space(&mut self, byte: u8) {
        if !byte.is_ascii_whitespace() {
            self.state = State::Broken;
        }
    }

    fn before_value(&mut self, byte: u8, found: Found<'_, L>) {
        self.start = self.offset;
        match byte {
            b'{' | b'[' => self.open(byte == b'[', found),
            b'"' => {
                self.kept.clear();
                self.any = false;
                self.lost = self.place.is_none_or(|place| !place.kept);
                self.state = State::Text { escaped: false };
            }
            b']' if self.stack.last().is_some_and(|frame| frame.is_array) => self.close(found),
            b'-' | b'0'..=b'9' | b'a'..=b'z' => {
                self.kept.clear();
                self.kept.push(byte);
                self.state = State::Word;
            }
            _ => self.expect_space(byte),
        }
    }

    fn open(&mut self, is_array: bool, found: Found<'_, L>) {
        let Some(node) = self.place else {
            self.skipped = 1;
            self.state = State::Skip;
            return;
        };
        if let Some(leaf) = node.leaf {
            found(leaf, Value::Open, Span { start: self.offset, end: self.offset + 1 });
        }
        self.stack.push(Frame { node, is_array, start: self.offset });
        self.place = None;
        self.state = if is_array {
            self.place = child(node, ANY.as_bytes());
            State::BeforeValue
        } else {
            State::BeforeKey
        };
    }

    fn close(&mut self, found: Found<'_, L>) {
        let Some(frame) = self.stack.pop() else {
            self.state = State::Broken;
            return;
        };
        if let Some(leaf) = frame.node.leaf {
            found(leaf, Value::Close, Span { start: frame.start, end: self.offset + 1 });
        }
        self.value_ended();
    }

    fn value_ended(&mut self) {
        self.state = if self.stack.is_empty() { State::Done } else { State::AfterValue };
    }

    fn before_key(&mut self, byte: u8, found: Found<'_, L>) {
        match byte {
            b'"' => {
                self.kept.clear();
                self.lost = false;
                self.state = State::Key { escaped: false };
            }
            b'}' => self.close(found),
            _ => self.expect_space(byte),
        }
    }

    fn in_key(&mut self, byte: u8, escaped: bool) {
        match byte {
            _ if escaped => self.state = State::Key { escaped: false },
            b'\\' => {
                self.lost = true;
                self.has_escaped_key = true;
                self.state = State::Key { escaped: true };
            }
            b'"' => {
                let parent = self.stack.last().map(|frame| frame.node);
                let key = (!self.lost).then_some(self.kept.as_slice());
                self.place = parent.zip(key).and_then(|(node, key)| child(node, key));
                self.state = State::BeforeColon;
            }
            _ if self.kept.len() < KEY_BYTES => self.kept.push(byte),
            _ => self.lost = true,
        }
    }

    fn in_text(&mut self, byte: u8, escaped: bool, found: Found<'_, L>) {
        if byte == b'"' && !escaped {
            if let Some(leaf) = self.place.and_then(|place| place.leaf) {
                let value = match self.place {
                    Some(place) if !place.kept => Value::SomeText(self.any),
                    _ if self.lost => Value::Other,
                    _ => Value::Text(&self.kept),
                };
                found(leaf, value, Span { start: self.start, end: self.offset + 1 });
            }
            self.value_ended();
            return;
        }
        self.any = true;
        if !self.lost {
            if self.kept.len() < KEPT_BYTES {
                self.kept.push(byte);
            } else {
                self.lost = true;
            }
        }
        self.state = State::Text { escaped: byte == b'\\' && !escaped };
    }

    /// Numbers and literals; `false` when the byte is the one after the word.
    fn in_word(&mut self, byte: u8, found: Found<'_, L>) -> bool {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.') {
            if self.kept.len() < KEY_BYTES {
                self.kept.push(byte);
            }
            return true;
        }
        if let Some(leaf) = self.place.and_then(|place| place.leaf) {
            let value = match self.kept.as_slice() {
                b"true" => Value::Bool(true),
                b"false" => Value::Bool(false),
                b"null" => Value::Null,
                word if word.first().is_some_and(u8::is_ascii_lowercase) => Value::Other,
                word => Value::Number(word),
            };
            found(leaf, value, Span { start: self.start, end: self.offset });
        }
        self.value_ended();
        false
    }

    fn after_value(&mut self, byte: u8, found: Found<'_, L>) {
        let Some(frame) = self.stack.last() else {
            self.state = State::Broken;
            return;
        };
        match byte {
            b',' if frame.is_array => {
                self.place = child(frame.node, ANY.as_bytes());
                self.state = State::BeforeValue;
            }
            b',' => self.state = State::BeforeKey,
            b']' if frame.is_array => self.close(found),
            b'}' if !frame.is_array => self.close(found),
            _ => self.expect_space(byte),
        }
    }

    fn skip(&mut self, byte: u8) {
        match byte {
            b'"' => self.state = State::SkipText { escaped: false },
            b'{' | b'[' => self.skipped = self.skipped.saturating_add(1),
            b'}' | b']' => {
                self.skipped -= 1;
                if self.skipped == 0 {
                    self.value_ended();
                }
            }
            _ => {}
        }
    }
}

fn child<L>(node: &'static Node<L>, key: &[u8]) -> Option<&'static Node<L>> {
    node.children.iter().find(|child| child.key.as_bytes() == key)
}

#[cfg(test)]
mod tests;
