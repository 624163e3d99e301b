//! The attributes that are read, and their precedence. All others are skipped unread.

use rustc_hash::FxHashMap;

/// Maximum length of a key that is looked up, in bytes; every key in the table is shorter.
pub(super) const KEY_BYTES_MAX: usize = 72;
/// Maximum length of a text value, in bytes; a longer one counts as absent.
pub(super) const TEXT_BYTES_MAX: usize = 512;
/// Maximum length of a structured value that is searched for numbers, in bytes.
const BLOB_BYTES_MAX: usize = 256 << 10;
/// Length of the part of an error message that is searched for a status and a type, in bytes.
pub(super) const MESSAGE_BYTES_MAX: usize = 200;

macro_rules! attrs {
    ($($(#[$doc:meta])* $attr:ident: $($key:literal),+;)+) => {
        /// A property of a span, which emitters send under different keys.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub(super) enum Attr { $($(#[$doc])* $attr,)+ }

        /// The keys of each property by precedence: the first one with a value wins.
        const CANDIDATES: &[(Attr, &[&str])] = &[$((Attr::$attr, &[$($key),+]),)+];
    };
}

attrs! {
    OpenInferenceKind: "openinference.span.kind";
    AiOperation: "ai.operationId";
    LangfuseType: "langfuse.observation.type";
    LangsmithKind: "langsmith.span.kind";
    Operation: "gen_ai.operation.name";
    TraceloopKind: "traceloop.span.kind";
    RequestType: "llm.request.type";
    Database: "db.system.name", "db.system";
    LogfireType: "logfire.span_type";
    /// Seconds, in the late half of a call that Logfire streams.
    LogfireDuration: "duration";
    Level: "langfuse.observation.level";
    /// Where very old emitters name only the system.
    System: "gen_ai.provider.name", "gen_ai.system";
    Provider: "gen_ai.provider.name", "llm.provider", "langsmith.metadata.ls_provider", "gen_ai.system",
        "llm.system", "ai.model.provider", "error.llm_provider";
    RequestModel: "gen_ai.request.model", "llm.request.model_name", "ai.model.id";
    /// Either the requested or the responding model.
    SomeModel: "llm.model_name", "embedding.model_name", "langfuse.observation.model.name";
    ResponseModel: "gen_ai.response.model", "llm.response.model_name", "ai.response.model";
    ResponseId: "gen_ai.response.id", "ai.response.id";
    User: "chatgauge.user", "user.id", "langfuse.user.id", "enduser.id", "enduser.pseudo.id",
        "traceloop.association.properties.user_id", "ai.telemetry.metadata.userId",
        "ai.telemetry.metadata.user_id", "langsmith.metadata.user_id", "litellm.end_user.id",
        "metadata.user_api_key_end_user_id", "gen_ai.user", "llm.user", "gen_ai.request.user", "user_id",
        "metadata.user_api_key_user_id";
    Session: "chatgauge.session", "gen_ai.conversation.id", "session.id", "langfuse.session.id",
        "traceloop.association.properties.session_id", "traceloop.association.properties.conversation_id",
        "traceloop.association.properties.chat_id", "traceloop.association.properties.thread_id",
        "ai.telemetry.metadata.sessionId", "ai.telemetry.metadata.session_id",
        "ai.telemetry.metadata.chatId", "langsmith.metadata.session_id", "langsmith.metadata.thread_id",
        "langsmith.metadata.conversation_id";
    Space: "chatgauge.space", "app.space", "traceloop.association.properties.space",
        "traceloop.association.properties.project_id", "traceloop.association.properties.workspace_id",
        "ai.telemetry.metadata.space", "ai.telemetry.metadata.projectId",
        "ai.telemetry.metadata.workspaceId", "langfuse.trace.metadata.space",
        "langfuse.trace.metadata.project", "langsmith.metadata.space", "langsmith.trace.session_name",
        "litellm.team.id", "metadata.user_api_key_team_id", "metadata.team_id";
    InputTokens: "gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt",
        "ai.usage.inputTokens", "ai.usage.promptTokens", "ai.usage.tokens", "llm.usage.prompt_tokens";
    OutputTokens: "gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens",
        "llm.token_count.completion", "ai.usage.outputTokens", "ai.usage.completionTokens",
        "llm.usage.completion_tokens";
    CacheRead: "gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens",
        "llm.token_count.prompt_details.cache_read", "ai.usage.cachedInputTokens",
        "ai.usage.inputTokenDetails.cacheReadTokens", "gen_ai.usage.prompt_tokens_details.cached_tokens",
        "gen_ai.usage.input_tokens.cached", "gen_ai.usage.details.cache_read_tokens";
    CacheWrite: "gen_ai.usage.cache_write.input_tokens", "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_creation_input_tokens", "gen_ai.usage.cache_write_input_tokens",
        "llm.token_count.prompt_details.cache_write", "ai.usage.inputTokenDetails.cacheWriteTokens",
        "gen_ai.usage.input_tokens.cache_write",
        "gen_ai.usage.prompt_tokens_details.cache_creation_tokens";
    Reasoning: "gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.reasoning_tokens",
        "llm.usage.reasoning_tokens", "llm.token_count.completion_details.reasoning",
        "ai.usage.reasoningTokens", "ai.usage.outputTokenDetails.reasoningTokens",
        "gen_ai.usage.details.reasoning_tokens", "gen_ai.usage.completion_tokens_details.reasoning_tokens",
        "gen_ai.usage.output_tokens.reasoning";
    FirstChunkSeconds: "gen_ai.response.time_to_first_chunk",
        "gen_ai.client.operation.time_to_first_chunk", "gen_ai.client.inference.time_to_first_chunk";
    FirstChunkMs: "ai.response.msToFirstChunk", "ai.stream.msToFirstChunk";
    /// Seconds, but milliseconds from Strands.
    ServerFirstToken: "gen_ai.server.time_to_first_token";
    /// An instant in RFC 3339, in quotation marks.
    CompletionStart: "langfuse.observation.completion_start_time";
    Streamed: "gen_ai.request.stream", "gen_ai.is_streaming", "llm.is_streaming",
        "langsmith.request.streaming", "litellm.request.streaming";
    ErrorType: "error.type";
    HttpStatus: "http.response.status_code", "http.status_code", "error.code",
        "litellm.provider.error.code";
    FinishReason: "gen_ai.response.finish_reasons", "gen_ai.response.finish_reason",
        "llm.finish_reason", "llm.response.finish_reason", "ai.response.finishReason",
        "gen_ai.completion.0.finish_reason", "anthropic.message.stop_reason",
        "langfuse.observation.metadata.finish_reason";
    Cost: "litellm.cost.total", "gen_ai.cost.total_cost", "llm.cost.total", "gen_ai.usage.cost",
        "gen_ai.usage.total_cost", "operation.cost";
    CacheHit: "chatgauge.cache_hit", "litellm.cache_hit", "llm.cache_hit", "gen_ai.cache.hit";
    /// Milliseconds that the app itself measured.
    ContextMs: "chatgauge.context_ms", "app.context_ms";
    Invocation: "llm.invocation_parameters", "embedding.invocation_parameters";
    Usage: "langfuse.observation.usage_details", "metadata.usage_object",
        "langsmith.metadata.usage_metadata";
    InputDetails: "gen_ai.usage.input_token_details";
    OutputDetails: "gen_ai.usage.output_token_details";
    CostDetails: "langfuse.observation.cost_details";
    StatusMessage: "langfuse.observation.status_message";
}

/// Attributes of a resource that name a space, by precedence.
const RESOURCE_SPACES: [&str; 5] = [
    "chatgauge.space",
    "app.space",
    "openinference.project.name",
    "service.namespace",
    "service.name",
];

/// How a text value is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TextReading {
    /// Kept as it is, if it is short.
    Short,
    /// Searched for numbers and a few names, then dropped.
    Structured,
    /// The beginning is searched for a status and a type, then dropped.
    Message,
}

impl Attr {
    /// How a text is read.
    pub(super) const fn reading(self) -> TextReading {
        match self {
            Self::Invocation
            | Self::Usage
            | Self::InputDetails
            | Self::OutputDetails
            | Self::CostDetails => TextReading::Structured,
            Self::StatusMessage => TextReading::Message,
            _ => TextReading::Short,
        }
    }
}

impl TextReading {
    /// Maximum length of a text, in bytes; a longer message is truncated, any other longer text dropped.
    pub(super) const fn bytes_max(self) -> usize {
        match self {
            Self::Short => TEXT_BYTES_MAX,
            Self::Structured => BLOB_BYTES_MAX,
            Self::Message => MESSAGE_BYTES_MAX,
        }
    }
}

/// The property that a key gives, and its precedence: the lowest rank wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RankedAttr {
    /// The property.
    pub(super) attr: Attr,
    /// Position of the key among those of the property.
    pub(super) rank: u8,
}

/// The properties by key, including the keys of the configuration.
#[derive(Debug)]
pub(super) struct AttrKeys {
    /// At most two properties share a key.
    pub(super) span: FxHashMap<Box<str>, (RankedAttr, Option<RankedAttr>)>,
    pub(super) resource: FxHashMap<Box<str>, RankedAttr>,
}

impl AttrKeys {
    /// The tables; `space_attributes` take precedence over all others that name a space.
    pub(super) fn new(space_attributes: &[String]) -> Self {
        let mut keys = Self { span: FxHashMap::default(), resource: FxHashMap::default() };
        for (attr, names) in CANDIDATES {
            let own: &[String] = if *attr == Attr::Space { space_attributes } else { &[] };
            let names = own.iter().map(String::as_str).chain(names.iter().copied());
            for (rank, name) in (0..).zip(names) {
                let wanted = RankedAttr { attr: *attr, rank };
                keys.span
                    .entry(name.into())
                    .and_modify(|(_, second)| *second = second.or(Some(wanted)))
                    .or_insert((wanted, None));
            }
        }
        let spaces = space_attributes.iter().map(String::as_str).chain(RESOURCE_SPACES);
        for (rank, name) in (0..).zip(spaces) {
            keys.resource.entry(name.into()).or_insert(RankedAttr { attr: Attr::Space, rank });
        }
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::privacy::is_content_field;

    #[test]
    fn every_key_is_short_enough_and_listed_once_for_its_property() {
        for (attr, names) in CANDIDATES {
            for (position, name) in names.iter().enumerate() {
                assert!(name.len() <= KEY_BYTES_MAX, "{name}");
                assert!(!names[..position].contains(name), "{attr:?} has {name} twice");
            }
        }
    }

    #[test]
    fn what_carries_content_is_read_only_for_its_numbers() {
        // The redaction lists have prefixes of these keys, but their values are names and numbers.
        let harmless = [
            "gen_ai.completion.0.finish_reason",
            "langfuse.observation.metadata.finish_reason",
            "litellm.provider.error.code",
        ];
        for (attr, names) in CANDIDATES {
            let is_mapped_id =
                matches!(attr, Attr::User | Attr::Session | Attr::Space | Attr::Provider);
            for name in names.iter().filter(|name| is_content_field(name)) {
                let is_read_as_text = attr.reading() == TextReading::Short;
                assert!(
                    !is_read_as_text || is_mapped_id || harmless.contains(name),
                    "{name} may carry content"
                );
            }
        }
    }

    #[test]
    fn the_configured_keys_come_first() {
        let keys = AttrKeys::new(&["tenant".to_owned()]);
        let (space, _) = keys.span["tenant"];
        assert_eq!(space, RankedAttr { attr: Attr::Space, rank: 0 });
        assert_eq!(keys.span["chatgauge.space"].0.rank, 1);
        assert_eq!(keys.resource["tenant"].rank, 0);
        assert_eq!(keys.span.get("gen_ai.input.messages"), None);
        let (system, provider) = keys.span["gen_ai.system"];
        assert_eq!((system.attr, provider.unwrap().attr), (Attr::System, Attr::Provider));
    }
}
