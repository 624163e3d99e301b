//! What the application reports at the start of a request and about its response.

use std::time::Duration;

use crate::model::record::limits;
use crate::model::{Name, RequestId, Source};
use crate::privacy::is_sensitive;

/// Number of bytes after the limit that are also checked for sensitive text, which may begin before the limit.
const BEYOND_CUT_BYTES: usize = 512;

/// What the application knows when a request starts.
///
/// Names longer than their [limit](crate::model::record::limits) are truncated. Identities longer
/// than theirs (user, session, request id) are dropped, because a truncated identity could collide
/// with another one.
///
/// # Example
/// ```
/// use chatgauge::RequestInfo;
/// let info = RequestInfo::chat("gpt-5").user("alice").space("sales").streamed(true).tag("tier", "pro");
/// # drop(info);
/// ```
#[derive(Clone)]
#[must_use = "it has no effect until a request is started with it"]
pub struct RequestInfo {
    pub(super) request_id: Option<RequestId>,
    pub(super) source: Source,
    pub(super) operation: Name,
    pub(super) user: Option<Name>,
    pub(super) space: Option<Name>,
    pub(super) session: Option<Name>,
    pub(super) provider: Option<Name>,
    pub(super) model: Option<Name>,
    pub(super) streamed: Option<bool>,
    pub(super) tags: Vec<(Name, Name)>,
    pub(super) earlier_attempts: u32,
    pub(super) context_before: Option<Duration>,
}

impl RequestInfo {
    /// A request of an operation such as `chat`, `completion`, `responses` or `embedding`.
    pub fn new(operation: impl AsRef<str>) -> Self {
        Self {
            request_id: None,
            source: Source::Collector,
            operation: label(operation.as_ref()),
            user: None,
            space: None,
            session: None,
            provider: None,
            model: None,
            streamed: None,
            tags: Vec::new(),
            earlier_attempts: 0,
            context_before: None,
        }
    }

    /// A chat request to a model.
    pub fn chat(model: impl AsRef<str>) -> Self {
        Self::new("chat").model(model)
    }

    /// The user; only a keyed pseudonym is stored.
    pub fn user(mut self, user: impl AsRef<str>) -> Self {
        self.user = whole(user.as_ref(), limits::HASHED_INPUT_BYTES);
        self
    }

    /// The workspace, project or team.
    pub fn space(mut self, space: impl AsRef<str>) -> Self {
        self.space = Some(name(space.as_ref()));
        self
    }

    /// The conversation; only a keyed hash is stored.
    pub fn session(mut self, session: impl AsRef<str>) -> Self {
        self.session = whole(session.as_ref(), limits::HASHED_INPUT_BYTES);
        self
    }

    /// The provider that runs the model.
    pub fn provider(mut self, provider: impl AsRef<str>) -> Self {
        self.provider = Some(name(provider.as_ref()));
        self
    }

    /// The requested model.
    pub fn model(mut self, model: impl AsRef<str>) -> Self {
        self.model = Some(name(model.as_ref()));
        self
    }

    /// Whether the response is streamed.
    pub fn streamed(mut self, streamed: bool) -> Self {
        self.streamed = Some(streamed);
        self
    }

    /// The application's own request id. If it is missing, empty, longer than its limit or contains
    /// control characters, a `UUIDv7` is generated.
    pub fn request_id(mut self, request_id: impl AsRef<str>) -> Self {
        let request_id = request_id.as_ref();
        let usable = !request_id.is_empty()
            && request_id.len() <= limits::NAME_BYTES
            && !request_id.contains(char::is_control);
        self.request_id = usable.then(|| RequestId::parse(request_id));
        self
    }

    /// Adds a short, identifier-like tag; tags beyond [`limits::TAGS`] are dropped.
    pub fn tag(mut self, key: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        if self.tags.len() < limits::TAGS {
            self.tags.push((label(key.as_ref()), label(value.as_ref())));
        }
        self
    }

    /// Number of earlier attempts recorded as separate requests, as when a client retries through a
    /// proxy.
    pub fn earlier_attempts(mut self, attempts: u32) -> Self {
        self.earlier_attempts = attempts;
        self
    }

    /// Latency of a context that was assembled elsewhere before this start. It moves the start back
    /// by this duration and is included in the total latency.
    pub fn context_before(mut self, latency: Duration) -> Self {
        self.context_before = Some(latency);
        self
    }

    /// The route by which the request arrived; [`Source::Collector`] by default.
    pub fn source(mut self, source: Source) -> Self {
        self.source = source;
        self
    }
}

debug_fields!(RequestInfo { request_id, operation, space, provider, model });

/// Token counts of one response so far; unknown is `None`, never 0.
///
/// # Example
/// ```
/// use chatgauge::Usage;
/// let usage = Usage { cached_prompt_tokens: Some(1_024), ..Usage::new(1_200, 85) };
/// assert_eq!(usage.reasoning_tokens, None);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Input tokens.
    pub prompt_tokens: Option<u64>,
    /// Output tokens.
    pub completion_tokens: Option<u64>,
    /// The part of `prompt_tokens` served from the provider's prompt cache.
    pub cached_prompt_tokens: Option<u64>,
    /// The part of `completion_tokens` spent on reasoning.
    pub reasoning_tokens: Option<u64>,
}

impl Usage {
    /// Input and output tokens, without details.
    pub const fn new(prompt_tokens: u64, completion_tokens: u64) -> Self {
        let (prompt_tokens, completion_tokens) = (Some(prompt_tokens), Some(completion_tokens));
        Self {
            prompt_tokens,
            completion_tokens,
            cached_prompt_tokens: None,
            reasoning_tokens: None,
        }
    }
}

/// What is known when a request started by id completes; unknown is `None`.
///
/// The total latency is measured; longer partial latencies are cut to it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Completion {
    /// Token counts.
    pub usage: Usage,
    /// Time to assemble the context before the LLM call.
    pub context_latency: Option<Duration>,
    /// Time inside the LLM call.
    pub llm_latency: Option<Duration>,
    /// From the start of the LLM call to the first generated delta.
    pub time_to_first_token: Option<Duration>,
    /// Whether the application's own response cache served the response.
    pub cache_hit: bool,
    /// The provider, if it differs from the start.
    pub provider: Option<Name>,
    /// The model that responded, if it differs from the start.
    pub model: Option<Name>,
    /// Why the model stopped.
    pub finish_reason: Option<Name>,
    /// HTTP status of the response.
    pub http_status: Option<u16>,
    /// Cost in US dollars.
    pub cost_usd: Option<f64>,
    /// The provider's response id.
    pub provider_response_id: Option<Name>,
}

/// A name, truncated to its limit.
pub(super) fn name(text: &str) -> Name {
    cut(text, limits::NAME_BYTES)
}

/// A label, truncated to its limit.
pub(super) fn label(text: &str) -> Name {
    cut(text, limits::LABEL_BYTES)
}

/// At most the first `max_bytes` bytes, truncated at a character boundary, to bound the memory of a
/// queued request. Empty for a sensitive text that is too long, because half an address or half a
/// URL does not look like one.
fn cut(text: &str, max_bytes: usize) -> Name {
    let head = |bytes| text.get(..text.floor_char_boundary(bytes)).unwrap_or_default();
    if text.len() > max_bytes && is_sensitive(head(max_bytes + BEYOND_CUT_BYTES)) {
        return Name::default();
    }
    Name::new(head(max_bytes))
}

/// The text, or `None` if it is longer than `max_bytes`.
pub(super) fn whole(text: &str, max_bytes: usize) -> Option<Name> {
    (text.len() <= max_bytes).then(|| Name::new(text))
}
