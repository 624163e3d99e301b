//! User, space and session of a request, read from headers in a fixed order of precedence.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue};
use serde_json::{Map, Value};

use super::route::decode;
use crate::collector::RequestInfo;
use crate::model::Name;
use crate::model::record::limits;
use crate::privacy::{is_label, is_tag_key};
use crate::provider::RequestFacts;

/// Prefix of our own headers, which are not forwarded.
pub(super) const OWN_PREFIX: &str = "x-chatgauge-";

/// Headers with the user, in the order of precedence; metadata objects come after them.
const USER_HEADERS: [&str; 4] =
    ["x-chatgauge-user", "helicone-user-id", "x-litellm-customer-id", "x-litellm-end-user-id"];
/// Headers with the session, in the order of precedence, before metadata objects.
const SESSION_HEADERS: [&str; 4] =
    ["x-chatgauge-session", "helicone-session-id", "x-litellm-trace-id", "x-litellm-session-id"];
/// Headers with the session, in the order of precedence, after metadata objects.
const LATE_SESSION_HEADERS: [&str; 3] =
    ["x-portkey-trace-id", "x-claude-code-session-id", "x-session-id"];
/// Headers with a JSON object of metadata, in the order of precedence.
const METADATA_HEADERS: [&str; 2] = ["cf-aig-metadata", "x-portkey-metadata"];
/// Prefix of headers with a property of Helicone.
const PROPERTY_PREFIX: &str = "helicone-property-";

/// Members of metadata that name the user, the space and the session.
const USERS: &[&str] = &["user", "_user", "user_id", "userId"];
const SPACES: &[&str] = &["space", "workspace", "project", "team", "tenant", "app"];
const SESSIONS: &[&str] = &["session", "session_id", "sessionId", "conversation_id", "thread_id"];

/// What the headers say about a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Caller {
    pub(super) user: Option<Name>,
    pub(super) space: Option<Name>,
    pub(super) session: Option<Name>,
    pub(super) tags: Vec<(Name, Name)>,
    pub(super) context_latency: Option<Duration>,
    pub(super) cache_hit: bool,
    /// Number of earlier attempts by the client library.
    pub(super) earlier_attempts: u32,
    /// Read timeout of the client library.
    pub(super) client_timeout: Option<Duration>,
}

impl Caller {
    /// Reads the headers; unknown or malformed values are ignored.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let first = |names: &[&str]| names.iter().find_map(|name| text(headers, name));
        let mut identity = Self {
            user: first(&USER_HEADERS),
            space: text(headers, "x-chatgauge-space"),
            session: first(&SESSION_HEADERS),
            tags: Vec::new(),
            context_latency: number(headers, "x-chatgauge-context-ms").and_then(milliseconds),
            cache_hit: text(headers, "x-chatgauge-cache-hit").is_some_and(|hit| is_true(&hit)),
            earlier_attempts: number(headers, "x-stainless-retry-count").map_or(0, whole),
            client_timeout: number(headers, "x-stainless-read-timeout")
                .or_else(|| number(headers, "x-stainless-timeout"))
                .and_then(|seconds| milliseconds(seconds * 1_000.0)),
        };
        identity.read_tags(headers);
        identity.read_properties(headers);
        for name in METADATA_HEADERS {
            let value = headers.get(name).map_or(&b""[..], HeaderValue::as_bytes);
            if let Ok(object) = serde_json::from_slice(value) {
                identity.read_object(&object, true);
            }
        }
        identity.session = identity.session.or_else(|| first(&LATE_SESSION_HEADERS));
        identity.space = identity.space.or_else(|| referring_host(headers));
        identity
    }

    fn read_tags(&mut self, headers: &HeaderMap) {
        let tags = headers.get("x-chatgauge-tags").and_then(|value| value.to_str().ok());
        let tags = tags.unwrap_or_default();
        if let Ok(Value::Object(object)) = serde_json::from_str(tags) {
            self.read_object(&object, false);
            return;
        }
        for (key, value) in tags.split(',').filter_map(|pair| pair.split_once('=')) {
            self.tag(key.trim(), decode(value.trim()));
        }
    }

    fn read_properties(&mut self, headers: &HeaderMap) {
        let space = |name: &&str| text(headers, &format!("{PROPERTY_PREFIX}{name}"));
        self.space = self.space.take().or_else(|| SPACES.iter().find_map(space));
        for (name, value) in headers {
            let property = name.as_str().strip_prefix(PROPERTY_PREFIX);
            if let Some(key) = property.filter(|key| !SPACES.contains(key)) {
                self.tag(key, value.to_str().ok().and_then(decode));
            }
        }
    }

    /// Members that name an identity set it; all others are tags.
    fn read_object(&mut self, object: &Map<String, Value>, names_identities: bool) {
        for (key, value) in object {
            let value = scalar(value);
            let is_one_of = |names: &[&str]| names_identities && names.contains(&key.as_str());
            let identity = if is_one_of(USERS) {
                &mut self.user
            } else if is_one_of(SPACES) {
                &mut self.space
            } else if is_one_of(SESSIONS) {
                &mut self.session
            } else {
                self.tag(key, value);
                continue;
            };
            *identity = identity.take().or(value);
        }
    }

    /// Accepts only short identifiers as tags, because other text may be content.
    fn tag(&mut self, key: &str, value: Option<Name>) {
        let Some(value) = value else { return };
        if is_tag_key(key) && is_label(&value) && self.tags.len() < limits::TAGS {
            self.tags.push((Name::new(key), value));
        }
    }

    /// Adds what headers and path say to `info`.
    pub(super) fn describe(&self, mut info: RequestInfo, space: Option<&Name>) -> RequestInfo {
        if let Some(user) = &self.user {
            info = info.user(user);
        }
        if let Some(space) = space.or(self.space.as_ref()) {
            info = info.space(space);
        }
        if let Some(session) = &self.session {
            info = info.session(session);
        }
        if let Some(latency) = self.context_latency {
            info = info.context_before(latency);
        }
        for (key, value) in &self.tags {
            info = info.tag(key, value);
        }
        info.earlier_attempts(self.earlier_attempts)
    }

    /// Adds what the body says to `info`; headers and path take precedence.
    pub(super) fn complete(
        &self,
        mut info: RequestInfo,
        facts: &RequestFacts,
        has_space: bool,
    ) -> RequestInfo {
        if let Some(user) = facts.user.as_ref().filter(|_| self.user.is_none()) {
            info = info.user(user);
        }
        if let Some(space) = facts.space.as_ref().filter(|_| self.space.is_none() && !has_space) {
            info = info.space(space);
        }
        if let Some(session) = facts.session.as_ref().filter(|_| self.session.is_none()) {
            info = info.session(session);
        }
        if let Some(model) = &facts.model {
            info = info.model(model);
        }
        info.streamed(facts.stream.unwrap_or(false))
    }
}

/// The host of `HTTP-Referer`, without user and password.
fn referring_host(headers: &HeaderMap) -> Option<Name> {
    let referer = text(headers, "http-referer")?;
    let rest = referer.split_once("://").map_or(referer.as_str(), |(_, rest)| rest);
    rest.split('/').next()?.rsplit('@').next().and_then(decode)
}

/// Values may be percent-encoded UTF-8, because some clients can send only ASCII.
fn text(headers: &HeaderMap, name: &str) -> Option<Name> {
    let value: &HeaderValue = headers.get(name)?;
    decode(std::str::from_utf8(value.as_bytes()).ok()?)
}

fn number(headers: &HeaderMap, name: &str) -> Option<f64> {
    text(headers, name)?.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0)
}

fn milliseconds(ms: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(ms / 1_000.0).ok()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
fn whole(number: f64) -> u32 {
    number as u32
}

fn is_true(text: &str) -> bool {
    matches!(text.to_ascii_lowercase().as_str(), "1" | "true" | "hit" | "yes")
}

fn scalar(value: &Value) -> Option<Name> {
    match value {
        Value::String(text) => decode(text),
        Value::Number(number) => Some(Name::new(number.to_string())),
        Value::Bool(flag) => Some(Name::new(flag.to_string())),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(headers: &[(&'static str, &str)]) -> Caller {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        Caller::of(&map)
    }

    #[test]
    fn own_headers_precede_those_of_other_tools() {
        let order = [
            ("x-chatgauge-user", "own"),
            ("helicone-user-id", "helicone"),
            ("x-litellm-customer-id", "customer"),
            ("x-litellm-end-user-id", "end-user"),
            ("cf-aig-metadata", r#"{"user":"cloudflare","team":"t","plan":"pro","n":5}"#),
            ("x-portkey-metadata", r#"{"_user":"portkey"}"#),
        ];
        let expected = ["own", "helicone", "customer", "end-user", "cloudflare", "portkey"];
        for (skipped, user) in expected.into_iter().enumerate() {
            assert_eq!(identity(&order[skipped..]).user.as_deref(), Some(user));
        }
        assert_eq!(identity(&order).space.as_deref(), Some("t"));
        let tags = identity(&order).tags;
        let expected = [("plan", "pro"), ("n", "5")];
        assert_eq!(tags, expected.map(|(key, value)| (Name::new(key), Name::new(value))));
    }

    #[test]
    fn sessions_and_spaces_have_their_own_orders() {
        let order = [
            ("x-chatgauge-session", "own"),
            ("helicone-session-id", "helicone"),
            ("x-litellm-trace-id", "trace"),
            ("x-litellm-session-id", "litellm"),
            ("x-portkey-trace-id", "portkey"),
            ("x-claude-code-session-id", "code"),
        ];
        for (skipped, session) in
            ["own", "helicone", "trace", "litellm", "portkey", "code"].into_iter().enumerate()
        {
            assert_eq!(identity(&order[skipped..]).session.as_deref(), Some(session));
        }
        let order = [
            ("x-chatgauge-space", "own"),
            ("helicone-property-team", "helicone"),
            ("cf-aig-metadata", r#"{"space":"cf"}"#),
            ("http-referer", "https://app.example/path"),
        ];
        for (skipped, space) in ["own", "helicone", "cf", "app.example"].into_iter().enumerate() {
            assert_eq!(identity(&order[skipped..]).space.as_deref(), Some(space));
        }
        let with_password = identity(&[("http-referer", "https://alice:secret@app.example/path")]);
        assert_eq!(with_password.space.as_deref(), Some("app.example"));
    }

    #[test]
    fn values_may_be_utf8_or_percent_encoded() {
        assert_eq!(identity(&[("x-chatgauge-space", "Żółw")]).space.as_deref(), Some("Żółw"));
        let encoded = identity(&[("x-chatgauge-space", "%C5%BB%C3%B3%C5%82w 100%")]);
        assert_eq!(encoded.space.as_deref(), Some("Żółw 100%"));
        assert_eq!(identity(&[("x-chatgauge-user", " ")]).user, None);
        assert_eq!(identity(&[("x-chatgauge-user", &"u".repeat(600))]).user, None);
    }

    #[test]
    fn tags_are_identifiers_and_few() {
        let tags = identity(&[
            ("x-chatgauge-tags", "tier=pro,note=SECRET words,prompt=x,password=SECRET,env=prod"),
            ("helicone-property-plan", "free"),
        ])
        .tags;
        let expected = [("tier", "pro"), ("env", "prod"), ("plan", "free")];
        assert_eq!(tags, expected.map(|(key, value)| (Name::new(key), Name::new(value))));
    }

    #[test]
    fn numbers_of_client_libraries() {
        let found = identity(&[
            ("x-stainless-retry-count", "2"),
            ("x-stainless-read-timeout", "600.0"),
            ("x-chatgauge-context-ms", "12.5"),
            ("x-chatgauge-cache-hit", "true"),
        ]);
        assert_eq!(found.earlier_attempts, 2);
        assert_eq!(found.client_timeout, Some(Duration::from_secs(600)));
        assert_eq!(found.context_latency, Some(Duration::from_micros(12_500)));
        assert!(found.cache_hit);
        let nonsense =
            identity(&[("x-stainless-retry-count", "-1"), ("x-chatgauge-context-ms", "NaN")]);
        assert_eq!(nonsense, Caller::default());
    }
}
