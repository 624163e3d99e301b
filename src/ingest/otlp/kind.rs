//! What a span is. This decides what is counted.

use super::keys::Slot;
use super::span::{RawSpan, Scope};

/// What a span is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// A call of a model: one request.
    Llm,
    /// A call of an embedding model: a request, and part of assembling the context.
    Embedding,
    /// Part of assembling the context.
    Context,
    /// A tool at work.
    Tool,
    /// Something that contains others, whose tokens it may repeat: never counted.
    Parent,
    /// None of these.
    Other,
}

/// The first rule that fits decides.
pub(super) fn kind_of(span: &RawSpan, scope: &Scope) -> Kind {
    let text = |slot| span.attributes.text(slot);
    let operation = text(Slot::Operation);
    if scope.is_ignored || (scope.is_litellm && span.is_raw_request) {
        return Kind::Other;
    }
    if let Some(kind) = text(Slot::OpenInferenceKind) {
        return of_open_inference(kind);
    }
    if let (Some(id), None) = (text(Slot::AiOperation), operation) {
        return of_vercel(id);
    }
    if let Some(kind) = text(Slot::LangfuseType) {
        return match kind {
            "generation" => Kind::Llm,
            "retriever" => Kind::Context,
            other => of_common_name(other),
        };
    }
    if let Some(kind) = text(Slot::LangsmithKind) {
        return if kind == "retriever" { Kind::Context } else { of_common_name(kind) };
    }
    let by_operation = operation.map(of_operation);
    match by_operation {
        Some(Some(Kind::Llm)) if is_request_half(span, scope) => return Kind::Other,
        Some(Some(kind)) => return kind,
        Some(None) | None => {}
    }
    if let Some(kind) = text(Slot::TraceloopKind) {
        return if kind == "tool" { Kind::Tool } else { Kind::Parent };
    }
    if let Some(kind) = text(Slot::RequestType) {
        return match kind {
            "embedding" => Kind::Embedding,
            "rerank" => Kind::Context,
            _ => Kind::Llm,
        };
    }
    if by_operation.is_some() {
        return Kind::Parent;
    }
    let is_of_model = span.attributes.get(Slot::System).is_some()
        && span.attributes.get(Slot::RequestModel).is_some();
    if is_of_model {
        return Kind::Llm;
    }
    if text(Slot::Database).is_some_and(is_vector_database) { Kind::Context } else { Kind::Other }
}

fn of_open_inference(kind: &str) -> Kind {
    match kind {
        "LLM" => Kind::Llm,
        "EMBEDDING" => Kind::Embedding,
        "RETRIEVER" | "RERANKER" | "PROMPT" => Kind::Context,
        "TOOL" => Kind::Tool,
        _ => Kind::Parent,
    }
}

fn of_vercel(id: &str) -> Kind {
    match id.rsplit('.').next() {
        Some("doGenerate" | "doStream") => Kind::Llm,
        Some("doEmbed") => Kind::Embedding,
        Some("doRerank") => Kind::Context,
        Some("toolCall") => Kind::Tool,
        _ => Kind::Parent,
    }
}

fn of_common_name(kind: &str) -> Kind {
    match kind {
        "llm" => Kind::Llm,
        "embedding" => Kind::Embedding,
        "tool" => Kind::Tool,
        _ => Kind::Parent,
    }
}

/// `None` for operations that say nothing by themselves.
fn of_operation(operation: &str) -> Option<Kind> {
    Some(match operation {
        "chat" | "text_completion" | "generate_content" | "completion" | "acompletion"
        | "atext_completion" | "responses" | "aresponses" | "llm_request" | "chat_completion"
        | "compaction" => Kind::Llm,
        "embeddings" | "embedding" | "aembedding" => Kind::Embedding,
        "retrieval" | "search_memory" | "vector_db_retrieve" | "rerank" => Kind::Context,
        "execute_tool" => Kind::Tool,
        "invoke_agent"
        | "create_agent"
        | "invoke_workflow"
        | "handle_conversation_turn"
        | "plan"
        | "agent_step"
        | "execute_task"
        | "fetch_response" => Kind::Parent,
        _ => return None,
    })
}

/// Logfire sends a streamed call as a span of its request, which tells nothing, and a later one.
fn is_request_half(span: &RawSpan, scope: &Scope) -> bool {
    let has = |slot| span.attributes.get(slot).is_some();
    scope.is_logfire
        && span.attributes.text(Slot::LogfireType) != Some("log")
        && !span.is_error
        && ![Slot::ResponseId, Slot::InputTokens, Slot::OutputTokens].into_iter().any(has)
}

fn is_vector_database(name: &str) -> bool {
    matches!(name, "chroma" | "pinecone" | "qdrant" | "weaviate" | "milvus" | "marqo" | "lancedb")
}
