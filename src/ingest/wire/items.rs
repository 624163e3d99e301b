//! Splits a body into items while it is read.
//!
//! Unlike the [`Splitter`](super::Splitter) it buffers no item, so items may be of any size.

use std::io::{self, BufRead as _, BufReader, Read};

use super::inflated::filled;
use super::scan::{Scan, ScanStop};

/// Bytes read at a time.
const BUFFER_BYTES: usize = 32 << 10;

/// What comes next in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    /// A value; [`Items`] reads it, and ends where the value ends.
    Value,
    /// Something that is no value, skipped.
    Malformed(&'static str),
}

/// The items of a body: one object, an array, consecutive objects, or one object per line.
#[derive(Debug)]
pub struct Items<R> {
    reader: BufReader<R>,
    place: ItemPlace,
    scan: Scan,
    /// A line ended after an item: one object per line follows.
    has_lines: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ItemPlace {
    Start,
    /// Between objects.
    Between,
    /// In an array; an element must follow.
    BeforeElement,
    /// In an array that may be over.
    FirstElement,
    /// Inside a value.
    Inside,
    /// The array is over.
    AfterArray,
    /// The bytes ended inside a value.
    Cut,
}

/// The error for a body that is cut off.
const NO_END: &str = "it ends inside its last record or array";

impl<R: Read> Items<R> {
    /// The items in `reader`.
    pub fn new(reader: R) -> Self {
        Self {
            reader: BufReader::with_capacity(BUFFER_BYTES, reader),
            place: ItemPlace::Start,
            scan: Scan::of_object(),
            has_lines: false,
        }
    }

    /// The next item; the unread rest of the previous value is skipped. `None` at the end.
    ///
    /// # Errors
    /// If the reader fails, the body ends too early, or something follows its array.
    pub fn next_item(&mut self) -> io::Result<Option<Item>> {
        let mut rest = [0; 512];
        while self.place == ItemPlace::Inside && self.read(&mut rest)? > 0 {}
        if self.place == ItemPlace::Cut {
            // With one object per line, a cut item is only its own error.
            return if self.is_cut() { Err(invalid(NO_END)) } else { Ok(None) };
        }
        let Some(byte) = self.skip_space()? else {
            let in_array = matches!(self.place, ItemPlace::FirstElement | ItemPlace::BeforeElement);
            return if in_array { Err(invalid(NO_END)) } else { Ok(None) };
        };
        match (self.place, byte) {
            (ItemPlace::Start, b'[') => {
                self.pass(ItemPlace::FirstElement);
                self.next_item()
            }
            (ItemPlace::Start | ItemPlace::Between, b'{') => self.begin(Scan::of_object()),
            (ItemPlace::Start, _) => Err(invalid("it is not JSON")),
            (ItemPlace::Between, _) => {
                self.skip_line()?;
                Ok(Some(Item::Malformed("is not a JSON object")))
            }
            (ItemPlace::FirstElement, b']') => {
                self.pass(ItemPlace::AfterArray);
                self.next_item()
            }
            (ItemPlace::BeforeElement, b']') => {
                self.pass(ItemPlace::AfterArray);
                Ok(Some(MISSING))
            }
            (ItemPlace::FirstElement | ItemPlace::BeforeElement, b',') => {
                self.pass(ItemPlace::BeforeElement);
                Ok(Some(MISSING))
            }
            (ItemPlace::FirstElement | ItemPlace::BeforeElement, _) => {
                self.begin(Scan::of_element())
            }
            (ItemPlace::AfterArray | ItemPlace::Inside | ItemPlace::Cut, _) => {
                Err(invalid("something follows the end of its array"))
            }
        }
    }

    /// Whether the body ended inside the last value, which is then an error of the body.
    pub fn is_cut(&self) -> bool {
        self.place == ItemPlace::Cut && !self.has_lines
    }

    fn begin(&mut self, scan: Scan) -> io::Result<Option<Item>> {
        (self.scan, self.place) = (scan, ItemPlace::Inside);
        Ok(Some(Item::Value))
    }

    /// Consumes one byte.
    fn pass(&mut self, next: ItemPlace) {
        self.reader.consume(1);
        self.place = next;
    }

    /// The next byte that is no white space; it is not consumed.
    fn skip_space(&mut self) -> io::Result<Option<u8>> {
        loop {
            match filled(&mut self.reader)?.first() {
                None => return Ok(None),
                Some(byte @ (b' ' | b'\t' | b'\r' | b'\n')) => {
                    self.has_lines |= *byte == b'\n' && self.place == ItemPlace::Between;
                    self.reader.consume(1);
                }
                Some(byte) => return Ok(Some(*byte)),
            }
        }
    }

    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            let bytes = filled(&mut self.reader)?;
            let (count, end) = (bytes.len(), memchr::memchr(b'\n', bytes));
            self.reader.consume(end.unwrap_or(count));
            if end.is_some() || count == 0 {
                return Ok(());
            }
        }
    }
}

const MISSING: Item = Item::Malformed("an element of the array is missing beside a comma");

fn invalid(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

/// The bytes of the value that [`next_item`](Items::next_item) found.
impl<R: Read> Read for Items<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.place != ItemPlace::Inside || buffer.is_empty() {
            return Ok(0);
        }
        let mut scan = self.scan;
        let bytes = filled(&mut self.reader)?;
        let most = bytes.len().min(buffer.len());
        let bytes = bytes.get(..most).unwrap_or_default();
        if bytes.is_empty() {
            self.place = ItemPlace::Cut;
            return Ok(0);
        }
        let (end, passed, place, is_line) = match scan.run(bytes) {
            ScanStop::OutOfBytes => (most, most, ItemPlace::Inside, false),
            ScanStop::ObjectEnd(end) => (end, end, ItemPlace::Between, false),
            ScanStop::BrokenLine(end) | ScanStop::NextLine(end) => {
                (end, end, ItemPlace::Between, true)
            }
            ScanStop::Comma(end) => (end, end + 1, ItemPlace::BeforeElement, false),
            ScanStop::ArrayEnd(end) => (end, end + 1, ItemPlace::AfterArray, false),
        };
        if let (Some(target), Some(source)) = (buffer.get_mut(..end), bytes.get(..end)) {
            target.copy_from_slice(source);
        }
        self.reader.consume(passed);
        self.has_lines |= is_line;
        (self.scan, self.place) = (scan, place);
        Ok(end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The items of a body that comes in pieces, as they are read through a small buffer.
    fn items(body: &str, piece: usize) -> Result<Vec<String>, String> {
        struct Pieces<'b>(&'b [u8], usize);
        impl Read for Pieces<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let most = buffer.len().min(self.1);
                self.0.read(&mut buffer[..most])
            }
        }
        let mut items = Items::new(Pieces(body.as_bytes(), piece));
        let mut found = Vec::new();
        while let Some(item) = items.next_item().map_err(|error| error.to_string())? {
            let mut text = String::new();
            match item {
                Item::Value => {
                    items.read_to_string(&mut text).unwrap();
                }
                Item::Malformed(reason) => text = format!("({reason})"),
            }
            found.push(text.trim().to_owned());
        }
        Ok(found)
    }

    #[test]
    fn a_broken_item_ends_where_it_ends() {
        let missing = "(an element of the array is missing beside a comma)";
        let no_object = "(is not a JSON object)";
        for (body, expected) in [
            ("", vec![]),
            (" \n", vec![]),
            ("[]", vec![]),
            (r#"{"a":1}"#, vec![r#"{"a":1}"#]),
            (r#"[{"a":[1,2]} , tru, "x,]" ]"#, vec![r#"{"a":[1,2]}"#, "tru", r#""x,]""#]),
            ("[1,,2,]", vec!["1", missing, "2", missing]),
            ("{\"a\":1}\n{\"b\":NaN}\n{\"c\":1}", vec!["{\"a\":1}", "{\"b\":NaN}", "{\"c\":1}"]),
            ("{\"a\":1}\n{\"b\":\"x\n{\"c\":1}\n", vec!["{\"a\":1}", "{\"b\":\"x", "{\"c\":1}"]),
            ("{\"a\":{\"x\":1\n{\"c\":1}\n", vec!["{\"a\":{\"x\":1", "{\"c\":1}"]),
            ("{\"c\":1} no {\n]\n", vec!["{\"c\":1}", no_object, no_object]),
            ("{\"a\":1}\n{\"b\":", vec!["{\"a\":1}", "{\"b\":"]),
            ("{\n\"a\":\n1}{\"b\":2}", vec!["{\n\"a\":\n1}", "{\"b\":2}"]),
        ] {
            for piece in [1, 2, 3, 100] {
                assert_eq!(
                    items(body, piece).as_deref(),
                    Ok(expected
                        .iter()
                        .map(|item| (*item).to_owned())
                        .collect::<Vec<_>>()
                        .as_slice()),
                    "{body} {piece}"
                );
            }
        }
        for (body, reason) in [
            ("{\"a\":", NO_END),
            ("[{\"a\":1},", NO_END),
            ("[{\"a\":1}", NO_END),
            ("[", NO_END),
            ("no\n{\"c\":1}", "it is not JSON"),
            ("[1] 2", "something follows the end of its array"),
        ] {
            assert_eq!(items(body, 3).unwrap_err(), reason, "{body}");
        }
    }
}
