//! Cuts a body that is read into its items, each of which is read to its end whatever is in it.
//!
//! Unlike the [`Splitter`](super::Splitter) it holds no item, so that items may be of any size.

use std::io::{self, Read};

use super::scan::{Scan, Stop};

/// Bytes read at a time.
const BUFFER_BYTES: usize = 32 << 10;

/// What comes next in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    /// A value; [`Items`] reads it, and ends where the value ends.
    Value,
    /// Something that is no value, which was passed over.
    Malformed(&'static str),
}

/// A body of one object, an array, objects one after the other, or one object on each line.
#[derive(Debug)]
pub struct Items<R> {
    reader: R,
    buffer: Vec<u8>,
    next: usize,
    filled: usize,
    place: Place,
    scan: Scan,
    /// A line has ended after an item: what follows is one object on each line.
    has_lines: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
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

/// What ends a body before its end.
const NO_END: &str = "it ends inside its last record or array";

impl<R: Read> Items<R> {
    /// The items of what `reader` gives.
    pub fn new(reader: R) -> Self {
        Self {
            reader,
            buffer: vec![0; BUFFER_BYTES],
            next: 0,
            filled: 0,
            place: Place::Start,
            scan: Scan::of_object(),
            has_lines: false,
        }
    }

    /// What comes next; what is left of the value before is passed over. `None` at the end.
    ///
    /// # Errors
    /// When the reader fails, the body ends too early, or something follows its array.
    pub fn next_item(&mut self) -> io::Result<Option<Item>> {
        let mut rest = [0; 512];
        while self.place == Place::Inside && self.read(&mut rest)? > 0 {}
        if self.place == Place::Cut {
            // On lines of their own an item is not cut for the others' sake.
            return if self.is_cut() { Err(invalid(NO_END)) } else { Ok(None) };
        }
        let Some(byte) = self.skip_space()? else {
            let is_over = matches!(self.place, Place::Start | Place::Between | Place::AfterArray);
            return if is_over { Ok(None) } else { Err(invalid(NO_END)) };
        };
        match (self.place, byte) {
            (Place::Start, b'[') => {
                self.next += 1;
                self.place = Place::FirstElement;
                self.next_item()
            }
            (Place::Start | Place::Between, b'{') => Ok(Some(self.begin(Scan::of_object()))),
            (Place::Start, _) => Err(invalid("it is not JSON")),
            (Place::Between, _) => {
                self.skip_line()?;
                self.place = Place::Between;
                Ok(Some(Item::Malformed("is not a JSON object")))
            }
            (Place::FirstElement, b']') => {
                self.next += 1;
                self.place = Place::AfterArray;
                self.next_item()
            }
            (Place::BeforeElement, b']') => {
                self.next += 1;
                self.place = Place::AfterArray;
                Ok(Some(MISSING))
            }
            (Place::FirstElement | Place::BeforeElement, b',') => {
                self.next += 1;
                self.place = Place::BeforeElement;
                Ok(Some(MISSING))
            }
            (Place::FirstElement | Place::BeforeElement, _) => {
                Ok(Some(self.begin(Scan::of_element())))
            }
            (Place::AfterArray | Place::Inside | Place::Cut, _) => {
                Err(invalid("something follows the end of its array"))
            }
        }
    }

    /// Whether the body ended inside the last value, which is then an error of the body.
    pub fn is_cut(&self) -> bool {
        self.place == Place::Cut && !self.has_lines
    }

    fn begin(&mut self, scan: Scan) -> Item {
        (self.scan, self.place) = (scan, Place::Inside);
        Item::Value
    }

    /// The next byte that is no white space, which stays.
    fn skip_space(&mut self) -> io::Result<Option<u8>> {
        loop {
            match self.at_hand()?.first() {
                None => return Ok(None),
                Some(byte @ (b' ' | b'\t' | b'\r' | b'\n')) => {
                    self.has_lines |= *byte == b'\n' && self.place == Place::Between;
                    self.next += 1;
                }
                Some(byte) => return Ok(Some(*byte)),
            }
        }
    }

    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            let bytes = self.at_hand()?;
            let (count, end) = (bytes.len(), memchr::memchr(b'\n', bytes));
            self.next += end.unwrap_or(count);
            if end.is_some() || count == 0 {
                return Ok(());
            }
        }
    }

    /// The bytes at hand; empty at the end.
    fn at_hand(&mut self) -> io::Result<&[u8]> {
        while self.next == self.filled {
            match self.reader.read(&mut self.buffer) {
                Ok(count) => {
                    (self.next, self.filled) = (0, count);
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.buffer.get(self.next..self.filled).unwrap_or_default())
    }
}

const MISSING: Item = Item::Malformed("an element of the array is missing beside a comma");

fn invalid(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

/// The bytes of the value that [`next_item`](Items::next_item) found.
impl<R: Read> Read for Items<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.place != Place::Inside || buffer.is_empty() {
            return Ok(0);
        }
        let mut scan = self.scan;
        let at_hand = self.at_hand()?;
        let most = at_hand.len().min(buffer.len());
        let bytes = at_hand.get(..most).unwrap_or_default();
        if bytes.is_empty() {
            self.place = Place::Cut;
            return Ok(0);
        }
        let (end, passed, place, is_line) = match scan.run(bytes) {
            Stop::OutOfBytes => (most, most, Place::Inside, false),
            Stop::ObjectEnd(end) => (end, end, Place::Between, false),
            Stop::BrokenLine(end) | Stop::NextLine(end) => (end, end, Place::Between, true),
            Stop::Comma(end) => (end, end + 1, Place::BeforeElement, false),
            Stop::ArrayEnd(end) => (end, end + 1, Place::AfterArray, false),
        };
        if let (Some(target), Some(source)) = (buffer.get_mut(..end), bytes.get(..end)) {
            target.copy_from_slice(source);
        }
        self.next += passed;
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
