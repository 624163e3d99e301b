//! Reads a request while it passes through: model, identities, and the place to ask for usage.

use super::json::{Node, Scanner, Span, Value};
use crate::model::Name;
use crate::model::record::limits;

/// The option that makes a stream of chat completions end with its usage.
pub const INCLUDE_USAGE: &str = r#""include_usage":true"#;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaf {
    Root,
    Model,
    Stream,
    StreamOptions,
    IncludeUsage,
    User,
    SafetyIdentifier,
    MetadataUserId,
    MetadataUser,
    MetadataSession,
    MetadataSpace,
}

static PLACES: Node<Leaf> = Node::both(
    "",
    Leaf::Root,
    &[
        Node::kept("model", Leaf::Model),
        Node::kept("stream", Leaf::Stream),
        Node::both(
            "stream_options",
            Leaf::StreamOptions,
            &[Node::kept("include_usage", Leaf::IncludeUsage)],
        ),
        Node::kept("user", Leaf::User),
        Node::kept("safety_identifier", Leaf::SafetyIdentifier),
        Node::step(
            "metadata",
            &[
                Node::kept("user_id", Leaf::MetadataUserId),
                Node::kept("user", Leaf::MetadataUser),
                Node::kept("session_id", Leaf::MetadataSession),
                Node::kept("session", Leaf::MetadataSession),
                Node::kept("space", Leaf::MetadataSpace),
            ],
        ),
    ],
);

/// What a request body says about the request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestFacts {
    /// The requested model.
    pub model: Option<Name>,
    /// Whether a streamed response is requested.
    pub stream: Option<bool>,
    /// The user.
    pub user: Option<Name>,
    /// The session.
    pub session: Option<Name>,
    /// The space.
    pub space: Option<Name>,
}

/// The edit of a body that asks for usage: `text` replaces the bytes `start..end`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Splice {
    start: usize,
    end: usize,
    text: String,
}

impl Splice {
    /// The edited body.
    pub fn apply(&self, body: &[u8]) -> Vec<u8> {
        let (before, after) = (body.get(..self.start), body.get(self.end..));
        [before.unwrap_or_default(), self.text.as_bytes(), after.unwrap_or_default()].concat()
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Options {
    #[default]
    Absent,
    Null(Span),
    /// An object that starts at this offset.
    Object(u64),
    Other,
}

/// Reads the body of a request in pieces.
#[derive(Debug)]
pub struct RequestReader {
    scanner: Scanner<Leaf>,
    found: Found,
}

#[derive(Debug, Default)]
struct Found {
    model: Option<Name>,
    stream: Option<bool>,
    /// In ascending order of precedence.
    users: [Option<Name>; 4],
    session: Option<Name>,
    space: Option<Name>,
    options: Options,
    options_seen: u32,
    include_usage: Option<bool>,
    root_end: Option<u64>,
}

impl Default for RequestReader {
    fn default() -> Self {
        Self { scanner: Scanner::new(&PLACES), found: Found::default() }
    }
}

impl RequestReader {
    /// Reads the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        let found = &mut self.found;
        self.scanner.push(bytes, &mut |leaf, value, span| found.take(leaf, value, span));
    }

    /// What the request has said so far.
    pub fn facts(&self) -> RequestFacts {
        let found = &self.found;
        let user = found.users.iter().rev().flatten().next().cloned();
        let (user, session) = match user {
            Some(user) => user_and_session(&user),
            None => (None, None),
        };
        RequestFacts {
            model: found.model.clone(),
            stream: found.stream,
            user,
            session: found.session.clone().or(session),
            space: found.space.clone(),
        }
    }

    /// The edit that makes the stream of `body` report its usage; `body` must have been pushed
    /// completely. `None` if the request does not ask for a stream, sets `include_usage` itself, or
    /// was not fully understood.
    ///
    /// Invalid JSON is not edited, so that the provider's error refers to the body the client sent.
    pub fn splice(&self, body: &[u8]) -> Option<Splice> {
        self.find_splice(body).filter(|_| is_json(body))
    }

    fn find_splice(&self, body: &[u8]) -> Option<Splice> {
        let found = &self.found;
        let is_clear = self.scanner.is_done()
            && !self.scanner.has_escaped_key()
            && found.stream == Some(true)
            && found.include_usage.is_none()
            && found.options_seen <= 1;
        if !is_clear {
            return None;
        }
        let offset = |at: u64| usize::try_from(at).ok();
        match found.options {
            Options::Absent => {
                let end = offset(found.root_end?.checked_sub(1)?)?;
                let text = format!(",\"stream_options\":{{{INCLUDE_USAGE}}}");
                Some(Splice { start: end, end, text })
            }
            Options::Null(span) => {
                let text = format!("{{{INCLUDE_USAGE}}}");
                Some(Splice { start: offset(span.start)?, end: offset(span.end)?, text })
            }
            // Some clients send an empty array instead of an empty object.
            Options::Object(start) if body.get(offset(start)?) != Some(&b'{') => None,
            Options::Object(start) => {
                let at = offset(start + 1)?;
                let next = body.get(at..)?.iter().find(|byte| !byte.is_ascii_whitespace());
                let comma = if next == Some(&b'}') { "" } else { "," };
                Some(Splice { start: at, end: at, text: format!("{INCLUDE_USAGE}{comma}") })
            }
            Options::Other => None,
        }
    }

    /// Whether the client itself asked for usage at the end of the stream.
    pub fn asks_for_usage(&self) -> bool {
        self.found.include_usage == Some(true)
    }
}

/// A separate check, because the scanner does not validate the values that it skips.
fn is_json(body: &[u8]) -> bool {
    std::str::from_utf8(body)
        .is_ok_and(|text| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok())
}

impl Found {
    fn take(&mut self, leaf: Leaf, value: Value<'_>, span: Span) {
        match leaf {
            Leaf::Root if value == Value::Close => self.root_end = Some(span.end),
            Leaf::Root => {}
            Leaf::Model => set(&mut self.model, value),
            Leaf::Stream => self.stream = boolean(value),
            Leaf::StreamOptions => self.take_options(value, span),
            Leaf::IncludeUsage => self.include_usage = Some(boolean(value) == Some(true)),
            Leaf::MetadataUser => set(&mut self.users[0], value),
            Leaf::MetadataUserId => set(&mut self.users[1], value),
            Leaf::User => set(&mut self.users[2], value),
            Leaf::SafetyIdentifier => set(&mut self.users[3], value),
            Leaf::MetadataSession => set(&mut self.session, value),
            Leaf::MetadataSpace => set(&mut self.space, value),
        }
    }

    fn take_options(&mut self, value: Value<'_>, span: Span) {
        if value == Value::Close {
            return;
        }
        self.options_seen += 1;
        self.options = match value {
            Value::Null => Options::Null(span),
            Value::Open => Options::Object(span.start),
            _ => Options::Other,
        };
    }
}

fn set(target: &mut Option<Name>, value: Value<'_>) {
    if let Some(text) = value.text().filter(|text| !text.trim().is_empty()) {
        *target = Some(Name::new(text.trim()));
    }
}

const fn boolean(value: Value<'_>) -> Option<bool> {
    match value {
        Value::Bool(value) => Some(value),
        _ => None,
    }
}

/// Some Anthropic clients put the session into the user id: as JSON, or after `_session_`.
fn user_and_session(text: &str) -> (Option<Name>, Option<Name>) {
    const MARK: &str = "_session_";
    let name = |text: &str| {
        let fits = !text.is_empty() && text.len() <= limits::HASHED_INPUT_BYTES;
        fits.then(|| Name::new(text))
    };
    if text.starts_with('{') {
        let object: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
        let member =
            |keys: &[&str]| keys.iter().find_map(|key| object.get(key)?.as_str()).and_then(name);
        return (
            member(&["user_id", "account_uuid", "device_id"]),
            member(&["session_id", "session"]),
        );
    }
    match text.rsplit_once(MARK) {
        Some((user, session)) => (name(user), name(session)),
        None => (name(text), None),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(body: &str) -> RequestReader {
        let mut ask = RequestReader::default();
        ask.push(body.as_bytes());
        ask
    }

    fn edited(body: &str) -> Option<String> {
        let splice = read(body).splice(body.as_bytes())?;
        Some(String::from_utf8(splice.apply(body.as_bytes())).unwrap())
    }

    #[test]
    fn requesting_usage_changes_nothing_else() {
        for (body, expected) in [
            (
                "{\"stream\":true, \"x\":1.50 }\n",
                Some(
                    "{\"stream\":true, \"x\":1.50 ,\"stream_options\":{\"include_usage\":true}}\n",
                ),
            ),
            (
                r#"{"stream_options":{},"stream":true}"#,
                Some(r#"{"stream_options":{"include_usage":true},"stream":true}"#),
            ),
            (
                r#"{"stream_options":{ "a":1},"stream":true}"#,
                Some(r#"{"stream_options":{"include_usage":true, "a":1},"stream":true}"#),
            ),
            (
                r#"{"stream":true,"stream_options": null}"#,
                Some(r#"{"stream":true,"stream_options": {"include_usage":true}}"#),
            ),
            (r#"{"stream":false}"#, None),
            (r#"{"stream":"true"}"#, None),
            (r#"{"model":"x"}"#, None),
            (r#"{"messages":[{"stream":true}]}"#, None),
            (r#"{"stream":true,"stream_options":{"include_usage":false}}"#, None),
            (r#"{"stream":true,"stream_options":{"include_usage":true}}"#, None),
            (r#"{"stream":true,"stream_options":5}"#, None),
            (r#"{"stream":true,"stream_options":[]}"#, None),
            (r#"{"stream":true,"stream\u005foptions":{}}"#, None),
            (r#"{"stream":true} {"#, None),
            (r#"{"stream":true,"temperature":NaN}"#, None),
            (r#"{"stream":true,"stop":[1,]}"#, None),
            (r#"{"stream":true,"n":01}"#, None),
            ("{\"stream\":true,\"user\":\"a\nb\"}", None),
            (r#"{"stream":true"#, None),
            ("", None),
        ] {
            assert_eq!(edited(body).as_deref(), expected, "{body}");
        }
        let body = b"{\"stream\":true,\"user\":\"\xff\"}";
        let mut ask = RequestReader::default();
        ask.push(body);
        assert!(ask.splice(body).is_none(), "it is not UTF-8");
    }

    #[test]
    fn identity_is_read_in_the_order_of_its_meaning() {
        let facts = |body: &str| read(body).facts();
        let both = facts(r#"{"user":"u","safety_identifier":"s","metadata":{"user_id":"m"}}"#);
        assert_eq!(both.user.as_deref(), Some("s"));
        let metadata = facts(
            r#"{"metadata":{"user_id":"m","session_id":"c","space":"sales","x":"SECRET"},"messages":[{"user":"no"}]}"#,
        );
        assert_eq!(metadata.user.as_deref(), Some("m"));
        assert_eq!(metadata.session.as_deref(), Some("c"));
        assert_eq!(metadata.space.as_deref(), Some("sales"));
        let suffixed = facts(r#"{"metadata":{"user_id":"user_ab_account__session_0-1"}}"#);
        assert_eq!(suffixed.user.as_deref(), Some("user_ab_account_"));
        assert_eq!(suffixed.session.as_deref(), Some("0-1"));
        let nested =
            facts(r#"{"metadata":{"user_id":"{\"user_id\":\"u\",\"session_id\":\"c\"}"}}"#);
        assert_eq!((nested.user.as_deref(), nested.session.as_deref()), (Some("u"), Some("c")));
        assert_eq!(facts(r#"{"user":{"name":"x"},"model":5}"#), RequestFacts::default());
    }

    #[test]
    fn any_split_reads_the_same() {
        let body = r#"{"model":"gpt-é","messages":[{"role":"user","content":"SECRET }{\""}],"stream":true,"user":"u","stream_options":{"x":[{}]}}"#;
        let whole = read(body);
        for at in 0..=body.len() {
            let (a, b) = body.as_bytes().split_at(at);
            let mut ask = RequestReader::default();
            ask.push(a);
            ask.push(b);
            assert_eq!(ask.facts(), whole.facts(), "cut at {at}");
            assert_eq!(ask.splice(body.as_bytes()), whole.splice(body.as_bytes()), "cut at {at}");
        }
        assert!(whole.splice(body.as_bytes()).is_some());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        /// For any body, the edit adds one member and leaves every other byte unchanged.
        #[test]
        fn the_edit_adds_one_member(
            text in ".{0,12}", number in any::<i32>(), pretty in any::<bool>(), options in 0..3
        ) {
            let mut body = serde_json::json!({"model": "m", "n": number, "messages": [text], "stream": true});
            match options {
                1 => body["stream_options"] = serde_json::json!({}),
                2 => body["stream_options"] = serde_json::json!({"include_obfuscation": false}),
                _ => {}
            }
            let written = if pretty { format!("{body:#}") } else { body.to_string() };
            let edited = edited(&written).unwrap();
            let read: serde_json::Value = serde_json::from_str(&edited).unwrap();
            body["stream_options"]["include_usage"] = true.into();
            prop_assert_eq!(read, body);
        }
    }
}
