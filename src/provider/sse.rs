//! A streaming splitter for server-sent events.

/// One step of an event stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step<'a> {
    /// A piece of the current event's data. The data lines of one event are joined by `\n`.
    Data(&'a [u8]),
    /// The end of an event, as the position after it in the pushed bytes. Blank lines and comments
    /// are events without data.
    End(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// Number of bytes matched so far of the field name `data`.
    Name(usize),
    /// After `data:`; one space here is not part of the value.
    AfterColon,
    Data,
    /// A comment or another field.
    Ignored,
}

const DATA: &[u8] = b"data";
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Splits bytes at `\n`, `\r\n` and `\r`, wherever the pieces end; buffers nothing.
#[derive(Debug)]
pub(crate) struct EventSplitter {
    line: Line,
    /// The last byte was `\r`; a `\n` that follows belongs to it.
    after_return: bool,
    /// The event ended with that `\r`; it is reported once its exact end is known.
    ends_with_return: bool,
    has_data: bool,
    /// Bytes of a byte order mark seen; 3 when it is complete or absent.
    mark: usize,
}

impl EventSplitter {
    /// A splitter at the start of a stream.
    pub(crate) const fn new() -> Self {
        Self {
            line: Line::Name(0),
            after_return: false,
            ends_with_return: false,
            has_data: false,
            mark: 0,
        }
    }

    /// Splits the next bytes.
    pub(crate) fn push(&mut self, bytes: &[u8], step: &mut dyn FnMut(Step<'_>)) {
        let mut at = self.skip_mark(bytes);
        while let Some(&byte) = bytes.get(at) {
            if self.after_return {
                self.after_return = false;
                let is_pair = byte == b'\n';
                at += usize::from(is_pair);
                if std::mem::take(&mut self.ends_with_return) {
                    step(Step::End(at));
                }
                if is_pair {
                    continue;
                }
            }
            if byte == b'\n' || byte == b'\r' {
                at += 1;
                self.end_line(byte == b'\r', at, step);
                continue;
            }
            let rest = bytes.get(at..).unwrap_or_default();
            at += self.in_line(byte, rest, step);
        }
    }

    /// Marks the end of the stream; reports a last event that has no blank line after it.
    pub(crate) fn finish(&mut self, step: &mut dyn FnMut(Step<'_>)) {
        if std::mem::take(&mut self.ends_with_return) || std::mem::take(&mut self.has_data) {
            step(Step::End(0));
        }
    }

    fn skip_mark(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while let Some(&expected) = BYTE_ORDER_MARK.get(self.mark) {
            match bytes.get(at) {
                None => break,
                Some(&byte) if byte == expected => {
                    self.mark += 1;
                    at += 1;
                }
                Some(_) => self.mark = BYTE_ORDER_MARK.len(),
            }
        }
        at
    }

    /// Reads bytes of a line; returns their number.
    fn in_line(&mut self, byte: u8, rest: &[u8], step: &mut dyn FnMut(Step<'_>)) -> usize {
        match self.line {
            Line::Name(seen) => {
                self.line = match DATA.get(seen) {
                    Some(&expected) if byte == expected => Line::Name(seen + 1),
                    None if byte == b':' => Line::AfterColon,
                    _ => Line::Ignored,
                };
                1
            }
            Line::AfterColon => {
                self.begin_data(step);
                usize::from(byte == b' ')
            }
            Line::Data | Line::Ignored => {
                let end = memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
                if self.line == Line::Data {
                    step(Step::Data(rest.get(..end).unwrap_or_default()));
                }
                end
            }
        }
    }

    fn begin_data(&mut self, step: &mut dyn FnMut(Step<'_>)) {
        if std::mem::replace(&mut self.has_data, true) {
            step(Step::Data(b"\n"));
        }
        self.line = Line::Data;
    }

    fn end_line(&mut self, is_return: bool, at: usize, step: &mut dyn FnMut(Step<'_>)) {
        self.after_return = is_return;
        match std::mem::replace(&mut self.line, Line::Name(0)) {
            Line::Name(0) => {
                self.has_data = false;
                if is_return {
                    self.ends_with_return = true;
                } else {
                    step(Step::End(at));
                }
            }
            // `data:` and `data` without a value are empty data lines.
            Line::AfterColon => {
                self.begin_data(step);
                self.line = Line::Name(0);
            }
            Line::Name(seen) if seen == DATA.len() => {
                self.begin_data(step);
                self.line = Line::Name(0);
            }
            Line::Name(_) | Line::Data | Line::Ignored => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The data of each event, and its end in the whole stream.
    fn events(pieces: &[&[u8]]) -> Vec<(String, usize)> {
        let mut splitter = EventSplitter::new();
        let (mut events, mut data, mut before) = (Vec::new(), Vec::new(), 0);
        let mut take = |step: Step<'_>, before: usize| match step {
            Step::Data(piece) => data.extend_from_slice(piece),
            Step::End(at) => {
                let text = String::from_utf8(std::mem::take(&mut data)).unwrap();
                events.push((text, before + at));
            }
        };
        for piece in pieces {
            splitter.push(piece, &mut |step| take(step, before));
            before += piece.len();
        }
        splitter.finish(&mut |step| take(step, before));
        events
    }

    const STREAM: &str = "\u{feff}: hello\n\ndata: {\"a\":\"é日本\"}\n\nevent: x\ndata:one\ndata: two\ndata\ndatas: no\nid: 4\n\ndata: [DONE]\n\n";

    #[test]
    fn data_lines_are_joined_and_other_lines_skipped() {
        let data: Vec<String> =
            events(&[STREAM.as_bytes()]).into_iter().map(|(data, _)| data).collect();
        assert_eq!(data, ["", "{\"a\":\"é日本\"}", "one\ntwo\n", "[DONE]"]);
    }

    #[test]
    fn line_endings_and_splits_do_not_change_the_events() {
        let data = |events: &[(String, usize)]| {
            events.iter().map(|(data, _)| data.clone()).collect::<Vec<_>>()
        };
        let expected = data(&events(&[STREAM.as_bytes()]));
        for ending in ["\n", "\r\n", "\r"] {
            let stream = STREAM.replace('\n', ending);
            let whole = events(&[stream.as_bytes()]);
            assert_eq!(data(&whole), expected, "{ending:?}");
            for at in 0..=stream.len() {
                let (a, b) = stream.as_bytes().split_at(at);
                assert_eq!(events(&[a, b]), whole, "{ending:?} cut at {at}");
            }
            let bytes: Vec<&[u8]> = stream.as_bytes().chunks(1).collect();
            assert_eq!(data(&events(&bytes)), expected, "{ending:?}");
        }
    }

    #[test]
    fn the_end_of_an_event_is_the_end_of_its_blank_line() {
        for ending in ["\n", "\r\n", "\r"] {
            let stream = format!("data: 1{ending}{ending}data: 2{ending}{ending}data: 3");
            let first = stream.find("data: 2").unwrap();
            let second = stream.find("data: 3").unwrap();
            let ends: Vec<usize> =
                events(&[stream.as_bytes()]).iter().map(|(_, end)| *end).collect();
            assert_eq!(ends, [first, second, stream.len()], "{ending:?}");
        }
    }
}
