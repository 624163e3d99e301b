//! Names of fields that may carry content: prompts, responses and error messages.

/// Maximum length of a name compared as a whole, in bytes; longer names match only by prefix.
const NAME_BYTES: usize = 64;

/// Complete names, lower case, sorted.
const NAMES: &[&str] = &[
    "all_messages",
    "answer",
    "answers",
    "args",
    "arguments",
    "assistant",
    "assistant_message",
    "body",
    "chat_history",
    "choices",
    "chunks",
    "completion",
    "completion_text",
    "completions",
    "content",
    "contents",
    "context",
    "conversation",
    "delta",
    "detail",
    "details",
    "documents",
    "embedding",
    "embeddings",
    "error",
    "error.message",
    "error.stack",
    "error.stack_trace",
    "error_body",
    "error_description",
    "error_detail",
    "error_details",
    "error_message",
    "error_msg",
    "error_text",
    "errormessage",
    "exception",
    "exception.message",
    "exception.stacktrace",
    "exception_message",
    "final_result",
    "function_call",
    "functions",
    "history",
    "input",
    "input.value",
    "input_messages",
    "input_text",
    "inputs",
    "instruction",
    "instructions",
    "message",
    "messages",
    "msg",
    "output",
    "output.value",
    "output_messages",
    "output_text",
    "outputs",
    "prompt",
    "prompt_text",
    "prompts",
    "query",
    "question",
    "questions",
    "raw_input",
    "raw_output",
    "raw_request",
    "raw_response",
    "reasoning",
    "reasoning_content",
    "refusal",
    "reply",
    "request",
    "request_body",
    "request_data",
    "response",
    "response_body",
    "response_data",
    "response_text",
    "responses",
    "result",
    "results",
    "retrieved_documents",
    "stack",
    "stack_trace",
    "stacktrace",
    "status.message",
    "status_message",
    "statusmessage",
    "summary",
    "system",
    "system_instruction",
    "system_instructions",
    "system_message",
    "system_prompt",
    "systemprompt",
    "text",
    "thinking",
    "tool_arguments",
    "tool_call",
    "tool_calls",
    "tool_definitions",
    "tool_result",
    "tool_results",
    "tools",
    "traceback",
    "transcript",
    "url.full",
    "url.query",
    "user_input",
    "user_message",
    "user_prompt",
    "user_query",
];

/// Prefixes of dotted names. A prefix that ends with a dot also matches the name without that dot.
const PREFIXES: &[&str] = &[
    "ai.decision.",
    "ai.documents",
    "ai.embedding",
    "ai.prompt",
    "ai.ranking",
    "ai.request.headers.",
    "ai.request.text",
    "ai.response.files",
    "ai.response.object",
    "ai.response.providermetadata",
    "ai.response.reasoning",
    "ai.response.text",
    "ai.response.toolcalls",
    "ai.schema",
    "ai.settings.",
    "ai.telemetry.metadata.",
    "ai.toolcall.args",
    "ai.toolcall.result",
    "ai.value",
    "audio.",
    "db.query.",
    "db.search.",
    "db.statement",
    "document.",
    "embedding.embeddings.",
    "gcp.vertex.agent.",
    "gen_ai.agent.description",
    "gen_ai.assistant.message",
    "gen_ai.choice",
    "gen_ai.client.operation.exception",
    "gen_ai.completion.",
    "gen_ai.content.",
    "gen_ai.evaluation.explanation",
    "gen_ai.framework.pipeline.",
    "gen_ai.headers",
    "gen_ai.input.messages",
    "gen_ai.memory.",
    "gen_ai.output.messages",
    "gen_ai.prompt.",
    "gen_ai.request.extra_",
    "gen_ai.request.stop_sequences",
    "gen_ai.request.structured_output_schema",
    "gen_ai.response.tool_calls",
    "gen_ai.retrieval.documents",
    "gen_ai.retrieval.query.text",
    "gen_ai.serialized.",
    "gen_ai.system.message",
    "gen_ai.system_instructions",
    "gen_ai.task.input",
    "gen_ai.task.output",
    "gen_ai.tool.args",
    "gen_ai.tool.call.arguments",
    "gen_ai.tool.call.result",
    "gen_ai.tool.definitions",
    "gen_ai.tool.description",
    "gen_ai.tool.input",
    "gen_ai.tool.message",
    "gen_ai.tool.output",
    "gen_ai.user.message",
    "gen_ai.workflow.",
    "http.request.header.",
    "image.",
    "input.documents.",
    "input.images.",
    "langfuse.experiment.",
    "langfuse.observation.input",
    "langfuse.observation.metadata",
    "langfuse.observation.model.parameters",
    "langfuse.observation.output",
    "langfuse.observation.status_message",
    "langfuse.trace.input",
    "langfuse.trace.metadata",
    "langfuse.trace.output",
    "langsmith.metadata.",
    "langsmith.request.headers",
    "litellm.guardrail.response",
    "litellm.metadata.",
    "litellm.provider.error.",
    "llm.choices",
    "llm.completions",
    "llm.function_call",
    "llm.headers",
    "llm.input_messages.",
    "llm.invocation_parameters",
    "llm.output_messages.",
    "llm.prompt_template.",
    "llm.prompts",
    "llm.request.functions.",
    "llm.tools.",
    "logfire.msg",
    "logfire.scrubbed",
    "mcp.request.argument",
    "mcp.resource.uri",
    "mcp.response.value",
    "metadata.",
    "output.documents.",
    "output.images.",
    "pinecone.query.",
    "pydantic_ai.all_messages",
    "request.",
    "reranker.",
    "response.",
    "retrieval.documents.",
    "tool.description",
    "tool.json_schema",
    "tool.parameters",
    "traceloop.entity.input",
    "traceloop.entity.output",
    "traceloop.prompt.",
    "video.",
];

/// Whether a field with this name may carry content; letter case is ignored.
///
/// Such fields are dropped unread and counted by name. The lists affect only this count: a field
/// outside them is dropped as well, because only the documented fields are ever stored.
///
/// # Example
/// ```
/// use chatgauge::privacy::is_content_field;
/// assert!(is_content_field("messages"));
/// assert!(is_content_field("Error_Message"));
/// assert!(is_content_field("gen_ai.prompt.0.content"));
/// assert!(!is_content_field("model"));
/// ```
pub fn is_content_field(name: &str) -> bool {
    let mut buffer = [0_u8; NAME_BYTES];
    let lower = lowered(name, &mut buffer);
    if name.len() <= NAME_BYTES
        && NAMES.binary_search_by(|known| known.as_bytes().cmp(lower)).is_ok()
    {
        return true;
    }
    memchr::memchr(b'.', lower).is_some()
        && PREFIXES.iter().any(|prefix| {
            let prefix = prefix.as_bytes();
            lower.starts_with(prefix) || prefix.strip_suffix(b".") == Some(lower)
        })
}

/// The first bytes of `name` in lower case, with hyphens replaced by underscores.
fn lowered<'b>(name: &str, buffer: &'b mut [u8; NAME_BYTES]) -> &'b [u8] {
    let mut len = 0;
    for (out, byte) in buffer.iter_mut().zip(name.bytes()) {
        *out = if byte == b'-' { b'_' } else { byte.to_ascii_lowercase() };
        len += 1;
    }
    buffer.get(..len).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_sorted_lower_case_and_short_enough() {
        for list in [NAMES, PREFIXES] {
            assert!(list.is_sorted());
            for name in list {
                assert!(name.len() <= NAME_BYTES, "{name}");
                assert_eq!(**name, name.to_ascii_lowercase());
                assert!(is_content_field(name), "{name}");
                assert!(is_content_field(&name.to_ascii_uppercase()), "{name}");
            }
        }
    }

    #[test]
    fn dotted_keys_match_by_prefix() {
        for name in [
            "gen_ai.prompt",
            "gen_ai.prompt.0.content",
            "gen_ai.completion.12.content",
            "llm.input_messages.0.message.content",
            "ai.prompt.messages",
            "exception.message",
            "Error-Message",
            "systemPrompt",
        ] {
            assert!(is_content_field(name), "{name}");
        }
    }

    #[test]
    fn documented_and_harmless_names_are_not_content() {
        for name in [
            "model",
            "prompt_tokens",
            "completion_tokens",
            "error_type",
            "error_code",
            "tags",
            "request_id",
            "gen_ai.request.model",
            "gen_ai.usage.input_tokens",
            "metadata",
            "",
            "é",
        ] {
            assert!(!is_content_field(name), "{name}");
        }
        assert!(!is_content_field(&"prompt".repeat(100)));
    }
}
