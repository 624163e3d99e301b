//! Repairs malformed JSON while it is read.
//!
//! Python writes `NaN` and `Infinity`, JavaScript splits surrogate pairs, and numbers can be larger than a
//! double. A parser rejects the whole body for any of these, although the value may not even be wanted.

use std::io::{self, Read};

use memchr::memchr2;

/// Bytes read at a time.
const BUFFER_BYTES: usize = 8 << 10;
/// Maximum length of a number that is checked, in bytes; longer ones are left to the parser.
const TOKEN_BYTES_MAX: usize = 512;
/// Minimum length of a number without exponent that may be larger than a double.
const LARGE_DIGITS: usize = 308;
/// Replacement for an unpaired surrogate.
const REPLACEMENT: &[u8] = b"\\ufffd";

/// A reader that repairs JSON.
///
/// `NaN` and numbers that are too large become texts, unpaired surrogates the replacement character, and control
/// characters inside texts spaces. Everything else is unchanged, valid or not.
#[derive(Debug)]
pub struct Lenient<R> {
    reader: R,
    input: Vec<u8>,
    mended: Vec<u8>,
    next: usize,
    state: LenientState,
    /// The current number, word or escape.
    token: Vec<u8>,
    /// A high surrogate whose low surrogate has not arrived.
    high: Vec<u8>,
    is_over: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LenientState {
    /// Outside of texts, numbers and words.
    Outside,
    /// In a number or a word.
    Token,
    /// In a number or word that is too long to be checked.
    LongToken,
    /// In a text.
    Text,
    /// In an escape of a text.
    Escape,
}

impl<R: Read> Lenient<R> {
    /// Repairs the JSON of `reader`.
    pub fn new(reader: R) -> Self {
        Self {
            reader,
            input: vec![0; BUFFER_BYTES],
            mended: Vec::with_capacity(BUFFER_BYTES + TOKEN_BYTES_MAX),
            next: 0,
            state: LenientState::Outside,
            token: Vec::new(),
            high: Vec::new(),
            is_over: false,
        }
    }

    /// Reads and repairs the next bytes.
    fn fill(&mut self) -> io::Result<()> {
        let mut input = std::mem::take(&mut self.input);
        let read = self.reader.read(&mut input);
        if let Ok(count) = read {
            (self.next, self.is_over) = (0, count == 0);
            self.mended.clear();
            self.push(input.get(..count).unwrap_or_default());
            if self.is_over {
                self.finish();
            }
        }
        self.input = input;
        read.map(|_| ())
    }

    fn push(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = match self.state {
                LenientState::Outside => self.outside(rest),
                LenientState::Token => self.token(rest),
                LenientState::LongToken => self.long_token(rest),
                LenientState::Text => self.text(rest),
                LenientState::Escape => self.escape(rest),
            };
        }
    }

    fn finish(&mut self) {
        match self.state {
            LenientState::Token => self.end_token(),
            LenientState::Escape => self.give_up_escape(),
            LenientState::Outside | LenientState::LongToken | LenientState::Text => self.end_pair(),
        }
    }

    fn outside<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let begins = |byte: &u8| matches!(byte, b'"' | b'-' | b'0'..=b'9' | b'N' | b'I');
        let rest = self.copy_until(bytes, begins);
        match rest.split_first() {
            Some((b'"', rest)) => {
                self.mended.push(b'"');
                self.state = LenientState::Text;
                rest
            }
            _ => {
                self.state = LenientState::Token;
                rest
            }
        }
    }

    fn token<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let (token, rest) = bytes.split_at(token_length(bytes));
        self.token.extend_from_slice(token);
        if self.token.len() > TOKEN_BYTES_MAX {
            self.mended.append(&mut self.token);
            self.state = LenientState::LongToken;
        } else if !rest.is_empty() {
            self.end_token();
        }
        rest
    }

    fn long_token<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let (token, rest) = bytes.split_at(token_length(bytes));
        self.mended.extend_from_slice(token);
        if !rest.is_empty() {
            self.state = LenientState::Outside;
        }
        rest
    }

    fn end_token(&mut self) {
        let is_text = is_no_number(&self.token);
        if is_text {
            self.mended.push(b'"');
        }
        self.mended.append(&mut self.token);
        if is_text {
            self.mended.push(b'"');
        }
        self.state = LenientState::Outside;
    }

    fn text<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        if bytes.first() != Some(&b'\\') {
            self.end_pair();
        }
        let rest = self.copy_until(bytes, |byte| matches!(byte, b'"' | b'\\' | 0..=0x1f));
        let Some((byte, after)) = rest.split_first() else { return rest };
        match byte {
            b'"' => {
                self.mended.push(b'"');
                self.state = LenientState::Outside;
            }
            b'\\' => {
                self.token.push(b'\\');
                self.state = LenientState::Escape;
            }
            _ => self.mended.push(b' '),
        }
        after
    }

    /// One byte of an escape.
    fn escape<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let Some((byte, rest)) = bytes.split_first() else { return bytes };
        let goes_on = match self.token.len() {
            1 => *byte == b'u',
            _ => byte.is_ascii_hexdigit(),
        };
        if self.token.len() > 1 && !goes_on {
            // Not an escape of JSON: the parser reports it, together with the byte that follows.
            self.give_up_escape();
            return bytes;
        }
        self.token.push(*byte);
        if !goes_on {
            self.give_up_escape();
        } else if self.token.len() == 6 {
            self.end_code();
        }
        rest
    }

    /// Passes on an escape that is no code or is cut off.
    fn give_up_escape(&mut self) {
        self.end_pair();
        self.mended.append(&mut self.token);
        self.state = LenientState::Text;
    }

    fn end_code(&mut self) {
        self.state = LenientState::Text;
        let digits = self.token.get(2..).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u16::from_str_radix(digits, 16).ok()) {
            Some(0xd800..=0xdbff) => {
                self.end_pair();
                self.high.append(&mut self.token);
            }
            Some(0xdc00..=0xdfff) if self.high.is_empty() => {
                self.mended.extend_from_slice(REPLACEMENT);
                self.token.clear();
            }
            Some(0xdc00..=0xdfff) => {
                self.mended.append(&mut self.high);
                self.mended.append(&mut self.token);
            }
            _ => {
                self.end_pair();
                self.mended.append(&mut self.token);
            }
        }
    }

    /// Replaces a high surrogate without a low one.
    fn end_pair(&mut self) {
        if !self.high.is_empty() {
            self.high.clear();
            self.mended.extend_from_slice(REPLACEMENT);
        }
    }

    fn copy_until<'b>(&mut self, bytes: &'b [u8], stops: impl Fn(&u8) -> bool) -> &'b [u8] {
        let end = bytes.iter().position(stops).unwrap_or(bytes.len());
        let (run, rest) = bytes.split_at(end);
        self.mended.extend_from_slice(run);
        rest
    }
}

fn token_length(bytes: &[u8]) -> usize {
    let belongs = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    bytes.iter().position(|byte| !belongs(byte)).unwrap_or(bytes.len())
}

/// Whether a parser would reject the token because of its value.
fn is_no_number(token: &[u8]) -> bool {
    if matches!(token, b"NaN" | b"Infinity" | b"-Infinity") {
        return true;
    }
    let may_be_large = token.len() > LARGE_DIGITS || memchr2(b'e', b'E', token).is_some();
    let begins_as_number = token.first().is_some_and(|byte| *byte == b'-' || byte.is_ascii_digit());
    may_be_large
        && begins_as_number
        && std::str::from_utf8(token)
            .is_ok_and(|text| text.parse::<f64>().is_ok_and(f64::is_infinite))
}

impl<R: Read> Read for Lenient<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.next == self.mended.len() {
            if self.is_over {
                return Ok(0);
            }
            self.fill()?;
        }
        let count = self.mended.get(self.next..).unwrap_or_default().read(buffer)?;
        self.next += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Yields its bytes in chunks of at most the given size.
    struct Pieces<'b>(&'b [u8], usize);

    impl Read for Pieces<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let most = buffer.len().min(self.1);
            self.0.read(&mut buffer[..most])
        }
    }

    fn mended(json: &[u8], piece: usize) -> String {
        let mut text = String::new();
        Lenient::new(Pieces(json, piece)).read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn what_a_parser_refuses_for_one_value_is_mended() {
        for (json, expected) in [
            (
                r#"{"a":NaN,"b":[Infinity,-Infinity]}"#,
                r#"{"a":"NaN","b":["Infinity","-Infinity"]}"#,
            ),
            (r#"[1e400,-1E+999 ,1e3,-0.5,12]"#, r#"["1e400","-1E+999" ,1e3,-0.5,12]"#),
            (r#""\ud83d""#, r#""\ufffd""#),
            (r#""a\ud83dx\ude00""#, r#""a\ufffdx\ufffd""#),
            (
                r#""\ud83d\ude00 \ud83d\n\ud83d\ud83d\ude00""#,
                r#""\ud83d\ude00 \ufffd\n\ufffd\ud83d\ude00""#,
            ),
            (r#""\ud83d\u0041NaN 1e999 \"NaN""#, r#""\ufffd\u0041NaN 1e999 \"NaN""#),
            ("\"a\nb\u{1}\"", "\"a b \""),
            (r#"[true,false,null,"Infinity"]"#, r#"[true,false,null,"Infinity"]"#),
            // What is broken otherwise stays so.
            (r#"{"a":NaNa,"b":"\u12"}"#, r#"{"a":NaNa,"b":"\u12"}"#),
            (r#"["\ud83d"#, r#"["\ufffd"#),
            (r#"["\u12"#, r#"["\u12"#),
            ("1e400", "\"1e400\""),
        ] {
            for piece in [1, 2, 3, 5, 100] {
                assert_eq!(mended(json.as_bytes(), piece), expected, "{json} {piece}");
            }
        }
        let large = "9".repeat(400);
        assert_eq!(mended(large.as_bytes(), 7), format!("\"{large}\""));
        let longer = format!("[0.{}]", "1".repeat(10_000));
        assert_eq!(mended(longer.as_bytes(), 7), longer);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn valid_json_stays_as_it_is(texts: Vec<String>, numbers: Vec<i64>, floats: Vec<f32>, piece in 1..9_usize) {
            let json = serde_json::json!({"texts": texts, "numbers": numbers, "floats": floats}).to_string();
            prop_assert_eq!(mended(json.as_bytes(), piece), json);
        }

        #[test]
        fn any_bytes_pass_and_in_any_pieces(bytes in proptest::collection::vec(prop_oneof![Just(b'"'), Just(b'\\'), Just(b'u'), Just(b'd'), Just(b'8'), any::<u8>()], 0..200), piece in 1..9_usize) {
            let read = |piece| {
                let mut out = Vec::new();
                Lenient::new(Pieces(&bytes, piece)).read_to_end(&mut out).unwrap();
                out
            };
            prop_assert_eq!(read(piece), read(1_000));
        }
    }
}
