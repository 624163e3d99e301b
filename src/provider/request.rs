//! Reads a request while it passes through: model, identities, and where to ask for usage.

use super::json::{ByteSpan, JsonScanner, JsonValue, Node};
use crate::model::Name;
use crate::model::record::limits;

/// The option that makes a stream of chat completions end with its usage.
pub const INCLUDE_USAGE: &str = r#""include_usage":true"#;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RequestLeaf {
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

use RequestLeaf as L;

const METADATA: &[Node<L>] = &[
    Node::kept("user_id", L::MetadataUserId),
    Node::kept("user", L::MetadataUser),
    Node::kept("session_id", L::MetadataSession),
    Node::kept("session", L::MetadataSession),
    Node::kept("space", L::MetadataSpace),
];

static REQUEST: Node<L> = Node::both(
    "",
    L::Root,
    &[
        Node::kept("model", L::Model),
        Node::kept("stream", L::Stream),
        Node::both(
            "stream_options",
            L::StreamOptions,
            &[Node::kept("include_usage", L::IncludeUsage)],
        ),
        Node::kept("user", L::User),
        Node::kept("safety_identifier", L::SafetyIdentifier),
        Node::step("metadata", METADATA),
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
enum UsageOption {
    #[default]
    Absent,
    Null(ByteSpan),
    /// An object that starts at this offset.
    Object(u64),
    Other,
}

/// Reads the body of a request in pieces.
#[derive(Debug)]
pub struct RequestReader {
    scanner: JsonScanner<RequestLeaf>,
    found: RequestValues,
}

#[derive(Debug, Default)]
struct RequestValues {
    /// Without the user.
    facts: RequestFacts,
    /// In ascending order of precedence.
    users: [Option<Name>; 4],
    options: UsageOption,
    options_seen: u32,
    sets_include_usage: bool,
    root_end: Option<u64>,
}

impl Default for RequestReader {
    fn default() -> Self {
        Self { scanner: JsonScanner::new(&REQUEST), found: RequestValues::default() }
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
        let mut facts = self.found.facts.clone();
        if let Some(user) = self.found.users.iter().rev().flatten().next() {
            let (user, session) = user_and_session(user);
            facts.user = user;
            facts.session = facts.session.or(session);
        }
        facts
    }

    /// The edit that makes the stream of `body` report its usage; `body` must have been pushed
    /// completely. `None` if the request does not ask for a stream, sets `include_usage` itself, or
    /// was not fully understood.
    ///
    /// Invalid JSON is not edited, so that the provider's error refers to the body the client sent.
    pub fn splice(&self, body: &[u8]) -> Option<Splice> {
        // A separate check, because the scanner does not validate the values that it skips.
        let is_json = |text: &str| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
        self.find_splice(body).filter(|_| std::str::from_utf8(body).is_ok_and(is_json))
    }

    fn find_splice(&self, body: &[u8]) -> Option<Splice> {
        let found = &self.found;
        let is_clear = self.scanner.is_done()
            && !self.scanner.has_escaped_key()
            && found.facts.stream == Some(true)
            && !found.sets_include_usage
            && found.options_seen <= 1;
        if !is_clear {
            return None;
        }
        let offset = |at: u64| usize::try_from(at).ok();
        match found.options {
            UsageOption::Absent => {
                let end = offset(found.root_end?.checked_sub(1)?)?;
                let text = format!(",\"stream_options\":{{{INCLUDE_USAGE}}}");
                Some(Splice { start: end, end, text })
            }
            UsageOption::Null(span) => {
                let text = format!("{{{INCLUDE_USAGE}}}");
                Some(Splice { start: offset(span.start)?, end: offset(span.end)?, text })
            }
            // Some clients send an empty array instead of an empty object.
            UsageOption::Object(start) if body.get(offset(start)?) != Some(&b'{') => None,
            UsageOption::Object(start) => {
                let at = offset(start + 1)?;
                let next = body.get(at..)?.iter().find(|byte| !byte.is_ascii_whitespace());
                let comma = if next == Some(&b'}') { "" } else { "," };
                Some(Splice { start: at, end: at, text: format!("{INCLUDE_USAGE}{comma}") })
            }
            UsageOption::Other => None,
        }
    }
}

impl RequestValues {
    fn take(&mut self, leaf: RequestLeaf, value: JsonValue<'_>, span: ByteSpan) {
        match leaf {
            L::Root if value == JsonValue::Close => self.root_end = Some(span.end),
            L::Root => {}
            L::Model => set(&mut self.facts.model, value),
            L::Stream => self.facts.stream = boolean(value),
            L::StreamOptions => self.take_options(value, span),
            L::IncludeUsage => self.sets_include_usage = true,
            L::MetadataUser => set(&mut self.users[0], value),
            L::MetadataUserId => set(&mut self.users[1], value),
            L::User => set(&mut self.users[2], value),
            L::SafetyIdentifier => set(&mut self.users[3], value),
            L::MetadataSession => set(&mut self.facts.session, value),
            L::MetadataSpace => set(&mut self.facts.space, value),
        }
    }

    fn take_options(&mut self, value: JsonValue<'_>, span: ByteSpan) {
        if value == JsonValue::Close {
            return;
        }
        self.options_seen += 1;
        self.options = match value {
            JsonValue::Null => UsageOption::Null(span),
            JsonValue::Open => UsageOption::Object(span.start),
            _ => UsageOption::Other,
        };
    }
}

fn set(target: &mut Option<Name>, value: JsonValue<'_>) {
    if let Some(text) = value.text().filter(|text| !text.trim().is_empty()) {
        *target = Some(Name::new(text.trim()));
    }
}

const fn boolean(value: JsonValue<'_>) -> Option<bool> {
    match value {
        JsonValue::Bool(value) => Some(value),
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
