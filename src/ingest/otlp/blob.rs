//! Searches structured texts (JSON, or a printed Python dictionary) for numbers and a few names.

use crate::model::Name;
use crate::model::record::limits;

/// Maximum nesting that is searched.
const DEPTH_MAX: usize = 16;

/// A leaf of the text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum BlobValue<'t> {
    /// A number.
    Number(f64),
    /// A boolean.
    Bool(bool),
    /// A text without escapes.
    Text(&'t str),
}

impl BlobValue<'_> {
    /// The number, if it is one.
    pub(super) const fn number(self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(number),
            Self::Bool(_) | Self::Text(_) => None,
        }
    }

    /// The text, if it is short.
    pub(super) fn name(self) -> Option<Name> {
        match self {
            Self::Text(text) if !text.is_empty() && text.len() <= limits::HASHED_INPUT_BYTES => {
                Some(Name::new(text))
            }
            Self::Text(_) | Self::Number(_) | Self::Bool(_) => None,
        }
    }
}

/// Calls `visit` with the parent's key (empty at the top), the key and the value of every leaf of the
/// dictionaries in `text`, up to the first syntax error. Arrays are skipped.
pub(super) fn leaves<'t>(text: &'t str, mut visit: impl FnMut(&'t str, &'t str, BlobValue<'t>)) {
    let mut scanner = BlobScanner { text, at: 0 };
    scanner.value("", "", 0, &mut visit);
}

struct BlobScanner<'t> {
    text: &'t str,
    at: usize,
}

type OnLeaf<'v, 't> = &'v mut dyn FnMut(&'t str, &'t str, BlobValue<'t>);

impl<'t> BlobScanner<'t> {
    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while bytes.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }

    /// `None` at a syntax error.
    fn value(
        &mut self,
        parent: &'t str,
        key: &'t str,
        depth: usize,
        visit: OnLeaf<'_, 't>,
    ) -> Option<()> {
        match self.peek()? {
            _ if depth > DEPTH_MAX => None,
            b'{' => self.dictionary(key, depth, visit),
            open @ (b'[' | b'(') => self.sequence(open, depth),
            quote @ (b'"' | b'\'') => {
                if let Some(text) = self.string(quote)? {
                    visit(parent, key, BlobValue::Text(text));
                }
                Some(())
            }
            _ => {
                let word = self.word()?;
                match word {
                    "true" | "True" => visit(parent, key, BlobValue::Bool(true)),
                    "false" | "False" => visit(parent, key, BlobValue::Bool(false)),
                    _ => {
                        if let Some(number) = word.parse().ok().filter(|n: &f64| n.is_finite()) {
                            visit(parent, key, BlobValue::Number(number));
                        }
                    }
                }
                Some(())
            }
        }
    }

    fn dictionary(&mut self, name: &'t str, depth: usize, visit: OnLeaf<'_, 't>) -> Option<()> {
        self.at += 1;
        loop {
            match self.peek()? {
                b'}' => {
                    self.at += 1;
                    return Some(());
                }
                b',' => self.at += 1,
                quote @ (b'"' | b'\'') => {
                    let key = self.string(quote)?.unwrap_or_default();
                    if self.peek()? != b':' {
                        return None;
                    }
                    self.at += 1;
                    self.value(name, key, depth + 1, visit)?;
                }
                _ => return None,
            }
        }
    }

    fn sequence(&mut self, open: u8, depth: usize) -> Option<()> {
        let close = if open == b'[' { b']' } else { b')' };
        self.at += 1;
        loop {
            match self.peek()? {
                byte if byte == close => {
                    self.at += 1;
                    return Some(());
                }
                b',' => self.at += 1,
                _ => self.value("", "", depth + 1, &mut |_, _, _| {})?,
            }
        }
    }

    /// The text between quotation marks; the inner `None` if it has escapes.
    fn string(&mut self, quote: u8) -> Option<Option<&'t str>> {
        let start = self.at + 1;
        let mut end = start;
        let mut has_escapes = false;
        loop {
            match *self.text.as_bytes().get(end)? {
                b'\\' => {
                    has_escapes = true;
                    end += 2;
                }
                byte if byte == quote => break,
                _ => end += 1,
            }
        }
        self.at = end + 1;
        Some(if has_escapes { None } else { self.text.get(start..end) })
    }

    /// The text up to the next punctuation.
    fn word(&mut self) -> Option<&'t str> {
        let rest = self.text.get(self.at..)?;
        let length = rest
            .bytes()
            .position(|b| matches!(b, b',' | b'}' | b']' | b')' | b':') || b.is_ascii_whitespace())
            .unwrap_or(rest.len());
        if length == 0 {
            return None;
        }
        self.at += length;
        rest.get(..length)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(text: &str) -> Vec<String> {
        let mut found = Vec::new();
        leaves(text, |parent, key, leaf| found.push(format!("{parent}/{key}={leaf:?}")));
        found
    }

    #[test]
    fn json_and_python_dictionaries_are_read() {
        let expected = ["/a=Number(45.0)", "d/r=Number(20.0)", "/s=Bool(true)", "/m=Text(\"gpt\")"];
        let json = r#"{"a": 45, "d": {"x": null, "r": 20}, "l": [{"a":1}], "s": true, "m": "gpt"}"#;
        assert_eq!(all(json), expected);
        let python = "{'a': 45, 'd': {'x': None, 'r': 20}, 'l': ({'a':1},), 's': True, 'm': 'gpt'}";
        assert_eq!(all(python), expected);
    }

    #[test]
    fn what_cannot_be_read_ends_the_search_and_no_more() {
        assert_eq!(all(r#"{"a": 1, "b" 2, "c": 3}"#), ["/a=Number(1.0)"]);
        assert_eq!(all(r#"{"a": 1, "b": Thing(x=1), "c": 3}"#), ["/a=Number(1.0)"]);
        assert_eq!(all(""), [""; 0]);
        assert_eq!(all(&"{\"a\":".repeat(100_000)), [""; 0]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn no_text_makes_it_fail(text in "[\\[\\]{}()'\":,\\\\a1 é]{0,60}") {
            leaves(&text, |_, _, _| {});
        }
    }
}
