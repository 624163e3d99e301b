//! Finds the end of a JSON value that arrives in pieces.

use memchr::memchr3;

/// Position in the structure of a value; needs no stack, whatever the depth.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Scan {
    /// The value is an element of an array and ends at a comma or bracket.
    in_array: bool,
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// The last byte outside strings that was no white space.
    last: u8,
    /// Since then there was only a line end.
    after_line_end: bool,
    has_line_ends: bool,
}

/// Where and why a scan stopped.
pub(super) enum ScanStop {
    /// The value continues after the bytes.
    OutOfBytes,
    /// After the closing brace of an object.
    ObjectEnd(usize),
    /// At the comma after an element.
    Comma(usize),
    /// At the bracket after the last element.
    ArrayEnd(usize),
    /// At a line end inside a string, where JSON allows none.
    BrokenLine(usize),
    /// At a brace that can only begin another record.
    NextLine(usize),
}

impl Scan {
    /// A scan before an object.
    pub(super) fn of_object() -> Self {
        Self::default()
    }

    /// A scan before any element of an array.
    pub(super) fn of_element() -> Self {
        Self { in_array: true, ..Self::default() }
    }

    /// Whether the value spans several lines.
    pub(super) const fn has_line_ends(&self) -> bool {
        self.has_line_ends
    }

    /// Continues to the end of the value or of `bytes`.
    pub(super) fn run(&mut self, bytes: &[u8]) -> ScanStop {
        // A local copy lives in registers.
        let mut scan = *self;
        let stop = scan.run_local(bytes);
        *self = scan;
        stop
    }

    fn run_local(&mut self, bytes: &[u8]) -> ScanStop {
        let mut at = 0;
        loop {
            if self.in_string {
                match self.skip_string(bytes, at) {
                    Ok(next) => at = next,
                    Err(stop) => return stop,
                }
            }
            let Some(&byte) = bytes.get(at) else { return ScanStop::OutOfBytes };
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => {
                    if byte == b'{' && self.is_next_record() {
                        return ScanStop::NextLine(at);
                    }
                    self.depth += 1;
                }
                b'}' | b']' => {
                    if self.in_array && self.depth == 0 && byte == b']' {
                        return ScanStop::ArrayEnd(at);
                    }
                    self.depth = self.depth.saturating_sub(1);
                    if !self.in_array && self.depth == 0 {
                        return ScanStop::ObjectEnd(at + 1);
                    }
                }
                b',' if self.in_array && self.depth == 0 => return ScanStop::Comma(at),
                b'\n' => {
                    (self.after_line_end, self.has_line_ends) = (true, true);
                    at += 1;
                    continue;
                }
                b' ' | b'\t' | b'\r' => {
                    self.after_line_end = false;
                    at += 1;
                    continue;
                }
                _ => {}
            }
            self.last = byte;
            self.after_line_end = false;
            at += 1;
        }
    }

    /// The position after the closing quote.
    fn skip_string(&mut self, bytes: &[u8], mut at: usize) -> Result<usize, ScanStop> {
        if self.escaped && at < bytes.len() {
            self.escaped = false;
            at += 1;
        }
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            let Some(offset) = memchr3(b'"', b'\\', b'\n', rest) else {
                return Err(ScanStop::OutOfBytes);
            };
            at += offset;
            match rest.get(offset) {
                Some(b'"') => {
                    self.in_string = false;
                    return Ok(at + 1);
                }
                Some(b'\\') if at + 1 == bytes.len() => {
                    self.escaped = true;
                    return Err(ScanStop::OutOfBytes);
                }
                Some(b'\\') => at += 2,
                // In an array the parser of the element will say so.
                _ if self.in_array => at += 1,
                _ => return Err(ScanStop::BrokenLine(at)),
            }
        }
    }

    /// Whether a brace here begins another record, because the previous line was cut off.
    ///
    /// It does at the start of a line where no object is allowed. Directly inside the record an object is allowed
    /// there only after a colon, which nobody writes.
    fn is_next_record(self) -> bool {
        !self.in_array
            && self.after_line_end
            && self.depth > 0
            && (self.depth == 1 || !matches!(self.last, b'[' | b',' | b':'))
    }
}

/// The text after the object at the start of `text`, if it is another object.
pub(super) fn next_object(text: &str) -> Option<&str> {
    match Scan::of_object().run(text.as_bytes()) {
        ScanStop::ObjectEnd(end) => {
            text.get(end..).map(str::trim_start).filter(|s| s.starts_with('{'))
        }
        _ => None,
    }
}
