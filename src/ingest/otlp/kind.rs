//! Classifies spans, which decides whether they count as calls.

use super::keys::Attr;
use super::span::{Instrumentation, RawSpan};

/// The kind of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum SpanKind {
    /// A call of a model: one request.
    Llm,
    /// A call of an embedding model: a request, and part of assembling the context.
    Embedding,
    /// Part of assembling the context.
    Context,
    /// A tool call.
    Tool,
    /// A span around others, whose tokens it may repeat; never counted.
    Parent,
    /// None of these.
    Other,
}

/// The kind of a span by the first rule that matches.
pub(super) fn kind_of(span: &RawSpan, scope: &Instrumentation) -> SpanKind {
    let text = |attr| span.attributes.text(attr);
    let operation = text(Attr::Operation);
    if scope.is_ignored || (scope.is_litellm && span.is_raw_request) {
        return SpanKind::Other;
    }
    if let Some(kind) = text(Attr::OpenInferenceKind) {
        return of_open_inference(kind);
    }
    if let (Some(id), None) = (text(Attr::AiOperation), operation) {
        return of_vercel(id);
    }
    if let Some(kind) = text(Attr::LangfuseType) {
        return match kind {
            "generation" => SpanKind::Llm,
            "retriever" => SpanKind::Context,
            other => of_common_name(other),
        };
    }
    if let Some(kind) = text(Attr::LangsmithKind) {
        return if kind == "retriever" { SpanKind::Context } else { of_common_name(kind) };
    }
    let by_operation = operation.map(of_operation);
    match by_operation {
        Some(Some(SpanKind::Llm)) if is_request_half(span, scope) => return SpanKind::Other,
        Some(Some(kind)) => return kind,
        Some(None) | None => {}
    }
    if let Some(kind) = text(Attr::TraceloopKind) {
        return if kind == "tool" { SpanKind::Tool } else { SpanKind::Parent };
    }
    if let Some(kind) = text(Attr::RequestType) {
        return match kind {
            "embedding" => SpanKind::Embedding,
            "rerank" => SpanKind::Context,
            _ => SpanKind::Llm,
        };
    }
    if by_operation.is_some() {
        return SpanKind::Parent;
    }
    let is_of_model = span.attributes.get(Attr::System).is_some()
        && span.attributes.get(Attr::RequestModel).is_some();
    if is_of_model {
        return SpanKind::Llm;
    }
    let is_retrieval = text(Attr::Database).is_some_and(is_vector_database);
    if is_retrieval { SpanKind::Context } else { SpanKind::Other }
}

fn of_open_inference(kind: &str) -> SpanKind {
    match kind {
        "LLM" => SpanKind::Llm,
        "EMBEDDING" => SpanKind::Embedding,
        "RETRIEVER" | "RERANKER" | "PROMPT" => SpanKind::Context,
        "TOOL" => SpanKind::Tool,
        _ => SpanKind::Parent,
    }
}

fn of_vercel(id: &str) -> SpanKind {
    match id.rsplit('.').next() {
        Some("doGenerate" | "doStream") => SpanKind::Llm,
        Some("doEmbed") => SpanKind::Embedding,
        Some("doRerank") => SpanKind::Context,
        Some("toolCall") => SpanKind::Tool,
        _ => SpanKind::Parent,
    }
}

fn of_common_name(kind: &str) -> SpanKind {
    match kind {
        "llm" => SpanKind::Llm,
        "embedding" => SpanKind::Embedding,
        "tool" => SpanKind::Tool,
        _ => SpanKind::Parent,
    }
}

/// `None` for operations that do not determine the kind.
fn of_operation(operation: &str) -> Option<SpanKind> {
    Some(match operation {
        "chat" | "text_completion" | "generate_content" | "completion" | "acompletion"
        | "atext_completion" | "responses" | "aresponses" | "llm_request" | "chat_completion"
        | "compaction" => SpanKind::Llm,
        "embeddings" | "embedding" | "aembedding" => SpanKind::Embedding,
        "retrieval" | "search_memory" | "vector_db_retrieve" | "rerank" => SpanKind::Context,
        "execute_tool" => SpanKind::Tool,
        "invoke_agent"
        | "create_agent"
        | "invoke_workflow"
        | "handle_conversation_turn"
        | "plan"
        | "agent_step"
        | "execute_task"
        | "fetch_response" => SpanKind::Parent,
        _ => return None,
    })
}

/// Whether this is the first of the two spans of a call that Logfire streams; it has no response and no tokens.
fn is_request_half(span: &RawSpan, scope: &Instrumentation) -> bool {
    let has = |attr| span.attributes.get(attr).is_some();
    scope.is_logfire
        && span.attributes.text(Attr::LogfireType) != Some("log")
        && !span.is_error
        && ![Attr::ResponseId, Attr::InputTokens, Attr::OutputTokens].into_iter().any(has)
}

fn is_vector_database(name: &str) -> bool {
    matches!(name, "chroma" | "pinecone" | "qdrant" | "weaviate" | "milvus" | "marqo" | "lancedb")
}
