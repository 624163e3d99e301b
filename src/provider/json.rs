//! Extracts a few values from JSON that arrives in pieces, without storing the rest.

use std::borrow::Cow;

use memchr::memchr2;

/// Maximum length of a stored string in bytes, escapes included; longer ones are [`JsonValue::Other`].
const KEPT_BYTES: usize = 1_024;
/// Maximum length of a compared key, number or literal in bytes; longer keys match nothing.
const KEY_BYTES: usize = 40;

/// A path element to extract: a member called `key`, or any element of an array.
///
/// Values without a node are skipped byte by byte and never copied.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node<L: 'static> {
    /// Member name; [`ANY`] for the elements of an array.
    pub(crate) key: &'static str,
    /// How the value is reported; `None` for an intermediate element.
    pub(crate) leaf: Option<L>,
    /// Whether the bytes of a string are stored; otherwise only whether it is empty.
    pub(crate) kept: bool,
    /// Nodes below this one.
    pub(crate) children: &'static [Self],
}

/// The key of a node that matches every element of an array.
pub(crate) const ANY: &str = "[]";

impl<L> Node<L> {
    /// A value that is reported with its string.
    pub(crate) const fn kept(key: &'static str, leaf: L) -> Self {
        Self { key, leaf: Some(leaf), kept: true, children: &[] }
    }

    /// A value of which only the kind is reported, and whether a string is empty.
    pub(crate) const fn seen(key: &'static str, leaf: L) -> Self {
        Self { key, leaf: Some(leaf), kept: false, children: &[] }
    }

    /// An intermediate path element.
    pub(crate) const fn step(key: &'static str, children: &'static [Self]) -> Self {
        Self { key, leaf: None, kept: false, children }
    }

    /// An intermediate path element that is reported too.
    pub(crate) const fn both(key: &'static str, leaf: L, children: &'static [Self]) -> Self {
        Self { key, leaf: Some(leaf), kept: false, children }
    }
}

/// A value found at a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JsonValue<'a> {
    /// A string, as written between its quotes.
    Text(&'a [u8]),
    /// A string that is not stored; `true` if it is not empty.
    SomeText(bool),
    /// A number, as written.
    Number(&'a [u8]),
    /// `true` or `false`.
    Bool(bool),
    /// `null`.
    Null,
    /// The start of an object or array.
    Open,
    /// The end of an object or array.
    Close,
    /// A string that is too long to store, or invalid JSON.
    Other,
}

impl<'a> JsonValue<'a> {
    /// The string without escapes.
    pub(crate) fn text(self) -> Option<Cow<'a, str>> {
        let Self::Text(raw) = self else { return None };
        if !raw.contains(&b'\\') {
            return std::str::from_utf8(raw).ok().map(Cow::Borrowed);
        }
        let quoted = [b"\"", raw, b"\""].concat();
        serde_json::from_slice::<String>(&quoted).ok().map(Cow::Owned)
    }

    /// The number, if it is a non-negative integer.
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

/// Position of a value in the document, in bytes; `end` is exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ByteSpan {
    /// Offset of the first byte.
    pub(crate) start: u64,
    /// Offset after the last byte; `start` + 1 for [`JsonValue::Open`].
    pub(crate) end: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ScanState {
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

/// Reads one document and reports the values at the nodes of a table.
///
/// Memory is bounded by the depth of the table and one stored string, whatever the size of the
/// document. This is not a validator: skipped values only need balanced brackets.
#[derive(Debug)]
pub(crate) struct JsonScanner<L: 'static> {
    root: &'static Node<L>,
    state: ScanState,
    stack: Vec<Frame<L>>,
    /// The node of the value that is next or being read.
    place: Option<&'static Node<L>>,
    skipped: u32,
    kept: Vec<u8>,
    /// The string is too long, or its node does not store it.
    lost: bool,
    any: bool,
    offset: u64,
    start: u64,
    has_escaped_key: bool,
}

/// Callback for extracted values.
pub(crate) type OnValue<'f, L> = &'f mut dyn FnMut(L, JsonValue<'_>, ByteSpan);

impl<L: Copy> JsonScanner<L> {
    /// A scanner for the nodes of `root`; the key of `root` is ignored.
    pub(crate) fn new(root: &'static Node<L>) -> Self {
        Self {
            root,
            state: ScanState::BeforeValue,
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

    /// Prepares for the next document.
    pub(crate) fn reset(&mut self) {
        self.state = ScanState::BeforeValue;
        self.stack.clear();
        self.place = Some(self.root);
        self.skipped = 0;
        self.kept.clear();
        self.offset = 0;
        self.has_escaped_key = false;
    }

    /// Whether the document has ended and was well-formed as far as it was read.
    pub(crate) fn is_done(&self) -> bool {
        self.state == ScanState::Done
    }

    /// Whether a compared key contained escapes and therefore could not match.
    pub(crate) fn has_escaped_key(&self) -> bool {
        self.has_escaped_key
    }

    /// Reads the next bytes.
    pub(crate) fn push(&mut self, bytes: &[u8], found: OnValue<'_, L>) {
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first() {
            let run = self.plain_run(rest);
            if run > 0 {
                self.any = true;
                self.offset += u64::try_from(run).unwrap_or(0);
                rest = rest.get(run..).unwrap_or_default();
                continue;
            }
            if self.state == ScanState::Broken {
                return;
            }
            // A number or literal ends at the byte after it, which is then read again.
            if self.step(byte, found) {
                self.offset += 1;
                rest = after;
            }
        }
    }

    /// Number of next bytes that belong to a string that is not stored.
    fn plain_run(&self, bytes: &[u8]) -> usize {
        let unwanted = match self.state {
            ScanState::SkipText { escaped: false } => true,
            ScanState::Text { escaped: false } => self.lost,
            _ => false,
        };
        if unwanted { memchr2(b'"', b'\\', bytes).unwrap_or(bytes.len()) } else { 0 }
    }

    /// Reads one byte; `false` if it must be read again.
    fn step(&mut self, byte: u8, found: OnValue<'_, L>) -> bool {
        match self.state {
            ScanState::BeforeValue => self.before_value(byte, found),
            ScanState::BeforeKey => self.before_key(byte, found),
            ScanState::Key { escaped } => self.in_key(byte, escaped),
            ScanState::BeforeColon => match byte {
                b':' => self.state = ScanState::BeforeValue,
                _ => self.expect_space(byte),
            },
            ScanState::Text { escaped } => self.in_text(byte, escaped, found),
            ScanState::Word => return self.in_word(byte, found),
            ScanState::AfterValue => self.after_value(byte, found),
            ScanState::Skip => self.skip(byte),
            ScanState::SkipText { escaped: true } => {
                self.state = ScanState::SkipText { escaped: false }
            }
            ScanState::SkipText { escaped: false } => match byte {
                b'"' => self.state = ScanState::Skip,
                b'\\' => self.state = ScanState::SkipText { escaped: true },
                _ => {}
            },
            ScanState::Done => self.expect_space(byte),
            ScanState::Broken => {}
        }
        true
    }

    fn expect_space(&mut self, byte: u8) {
        if !byte.is_ascii_whitespace() {
            self.state = ScanState::Broken;
        }
    }

    fn before_value(&mut self, byte: u8, found: OnValue<'_, L>) {
        self.start = self.offset;
        match byte {
            b'{' | b'[' => self.open(byte == b'[', found),
            b'"' => {
                self.kept.clear();
                self.any = false;
                self.lost = self.place.is_none_or(|place| !place.kept);
                self.state = ScanState::Text { escaped: false };
            }
            b']' if self.stack.last().is_some_and(|frame| frame.is_array) => self.close(found),
            b'-' | b'0'..=b'9' | b'a'..=b'z' => {
                self.kept.clear();
                self.kept.push(byte);
                self.state = ScanState::Word;
            }
            _ => self.expect_space(byte),
        }
    }

    fn open(&mut self, is_array: bool, found: OnValue<'_, L>) {
        let Some(node) = self.place else {
            self.skipped = 1;
            self.state = ScanState::Skip;
            return;
        };
        if let Some(leaf) = node.leaf {
            found(leaf, JsonValue::Open, ByteSpan { start: self.offset, end: self.offset + 1 });
        }
        self.stack.push(Frame { node, is_array, start: self.offset });
        self.place = None;
        self.state = if is_array {
            self.place = child(node, ANY.as_bytes());
            ScanState::BeforeValue
        } else {
            ScanState::BeforeKey
        };
    }

    fn close(&mut self, found: OnValue<'_, L>) {
        let Some(frame) = self.stack.pop() else {
            self.state = ScanState::Broken;
            return;
        };
        if let Some(leaf) = frame.node.leaf {
            found(leaf, JsonValue::Close, ByteSpan { start: frame.start, end: self.offset + 1 });
        }
        self.value_ended();
    }

    fn value_ended(&mut self) {
        self.state = if self.stack.is_empty() { ScanState::Done } else { ScanState::AfterValue };
    }

    fn before_key(&mut self, byte: u8, found: OnValue<'_, L>) {
        match byte {
            b'"' => {
                self.kept.clear();
                self.lost = false;
                self.state = ScanState::Key { escaped: false };
            }
            b'}' => self.close(found),
            _ => self.expect_space(byte),
        }
    }

    fn in_key(&mut self, byte: u8, escaped: bool) {
        match byte {
            _ if escaped => self.state = ScanState::Key { escaped: false },
            b'\\' => {
                self.lost = true;
                self.has_escaped_key = true;
                self.state = ScanState::Key { escaped: true };
            }
            b'"' => {
                let parent = self.stack.last().map(|frame| frame.node);
                let key = (!self.lost).then_some(self.kept.as_slice());
                self.place = parent.zip(key).and_then(|(node, key)| child(node, key));
                self.state = ScanState::BeforeColon;
            }
            _ if self.kept.len() < KEY_BYTES => self.kept.push(byte),
            _ => self.lost = true,
        }
    }

    fn in_text(&mut self, byte: u8, escaped: bool, found: OnValue<'_, L>) {
        if byte == b'"' && !escaped {
            if let Some(leaf) = self.place.and_then(|place| place.leaf) {
                let value = match self.place {
                    Some(place) if !place.kept => JsonValue::SomeText(self.any),
                    _ if self.lost => JsonValue::Other,
                    _ => JsonValue::Text(&self.kept),
                };
                found(leaf, value, ByteSpan { start: self.start, end: self.offset + 1 });
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
        self.state = ScanState::Text { escaped: byte == b'\\' && !escaped };
    }

    /// Reads numbers and literals; `false` at the byte after the word.
    fn in_word(&mut self, byte: u8, found: OnValue<'_, L>) -> bool {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.') {
            if self.kept.len() < KEY_BYTES {
                self.kept.push(byte);
            }
            return true;
        }
        if let Some(leaf) = self.place.and_then(|place| place.leaf) {
            let value = match self.kept.as_slice() {
                b"true" => JsonValue::Bool(true),
                b"false" => JsonValue::Bool(false),
                b"null" => JsonValue::Null,
                word if word.first().is_some_and(u8::is_ascii_lowercase) => JsonValue::Other,
                word => JsonValue::Number(word),
            };
            found(leaf, value, ByteSpan { start: self.start, end: self.offset });
        }
        self.value_ended();
        false
    }

    fn after_value(&mut self, byte: u8, found: OnValue<'_, L>) {
        let Some(frame) = self.stack.last() else {
            self.state = ScanState::Broken;
            return;
        };
        match byte {
            b',' if frame.is_array => {
                self.place = child(frame.node, ANY.as_bytes());
                self.state = ScanState::BeforeValue;
            }
            b',' => self.state = ScanState::BeforeKey,
            b']' if frame.is_array => self.close(found),
            b'}' if !frame.is_array => self.close(found),
            _ => self.expect_space(byte),
        }
    }

    fn skip(&mut self, byte: u8) {
        match byte {
            b'"' => self.state = ScanState::SkipText { escaped: false },
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
