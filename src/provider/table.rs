//! Paths of the numbers and identifiers in responses, by dialect.

use super::dialect::Dialect;
use super::json::{ANY, Node};

/// Meaning of an extracted value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ResponseLeaf {
    Id,
    Model,
    /// The type of a document or event.
    Kind,
    Finish,
    IncompleteReason,
    Usage,
    Input,
    Output,
    Cached,
    CacheWrite,
    Reasoning,
    Cost,
    /// Usage at the start of an Anthropic stream; the next four belong to it.
    StartUsage,
    StartInput,
    StartOutput,
    StartCached,
    StartCacheWrite,
    Choices,
    Choice,
    /// Generated output of any channel.
    Delta,
    /// Generated reasoning.
    ReasoningText,
    Error,
    ErrorType,
    ErrorCode,
    InnerErrorCode,
}

use ResponseLeaf as L;

type Places = Node<ResponseLeaf>;

const ERROR: Places = Node::both(
    "error",
    L::Error,
    &[
        Node::kept("type", L::ErrorType),
        Node::kept("code", L::ErrorCode),
        Node::step("innererror", &[Node::kept("code", L::InnerErrorCode)]),
        Node::step("details", &[Node::kept("error_code", L::ErrorCode)]),
    ],
);

const CHAT_USAGE: Places = Node::both(
    "usage",
    L::Usage,
    &[
        Node::kept("prompt_tokens", L::Input),
        Node::kept("completion_tokens", L::Output),
        Node::step(
            "prompt_tokens_details",
            &[
                Node::kept("cached_tokens", L::Cached),
                Node::kept("cache_write_tokens", L::CacheWrite),
            ],
        ),
        Node::step("completion_tokens_details", &[Node::kept("reasoning_tokens", L::Reasoning)]),
        Node::kept("cost", L::Cost),
    ],
);

const FUNCTION: &[Places] = &[Node::seen("arguments", L::Delta), Node::seen("name", L::Delta)];

const CHAT_DELTA: &[Places] = &[
    Node::seen("content", L::Delta),
    Node::seen("refusal", L::Delta),
    Node::seen("reasoning_content", L::ReasoningText),
    Node::seen("reasoning", L::ReasoningText),
    Node::step("tool_calls", &[Node::step(ANY, &[Node::step("function", FUNCTION)])]),
    Node::step("function_call", FUNCTION),
    Node::step("audio", &[Node::seen("data", L::Delta), Node::seen("transcript", L::Delta)]),
];

static CHAT: Places = Node::step(
    "",
    &[
        Node::kept("id", L::Id),
        Node::kept("model", L::Model),
        CHAT_USAGE,
        Node::both(
            "choices",
            L::Choices,
            &[Node::both(
                ANY,
                L::Choice,
                &[
                    Node::kept("finish_reason", L::Finish),
                    Node::step("delta", CHAT_DELTA),
                    Node::seen("text", L::Delta),
                ],
            )],
        ),
        ERROR,
    ],
);

const RESPONSE: &[Places] = &[
    Node::kept("id", L::Id),
    Node::kept("model", L::Model),
    Node::kept("status", L::Finish),
    Node::both(
        "usage",
        L::Usage,
        &[
            Node::kept("input_tokens", L::Input),
            Node::kept("output_tokens", L::Output),
            Node::step(
                "input_tokens_details",
                &[
                    Node::kept("cached_tokens", L::Cached),
                    Node::kept("cache_write_tokens", L::CacheWrite),
                ],
            ),
            Node::step("output_tokens_details", &[Node::kept("reasoning_tokens", L::Reasoning)]),
            Node::kept("cost", L::Cost),
        ],
    ),
    Node::step("incomplete_details", &[Node::kept("reason", L::IncompleteReason)]),
    ERROR,
];

/// A response document has these members at the root, an event has them inside `response`.
const RESPONSE_OR_EVENT: &[Places] = &[
    RESPONSE[0],
    RESPONSE[1],
    RESPONSE[2],
    RESPONSE[3],
    RESPONSE[4],
    RESPONSE[5],
    Node::step("response", RESPONSE),
    Node::kept("type", L::Kind),
    Node::kept("code", L::ErrorCode),
    Node::seen("delta", L::Delta),
];

static RESPONSES: Places = Node::step("", RESPONSE_OR_EVENT);

static MESSAGES: Places = Node::step(
    "",
    &[
        Node::kept("type", L::Kind),
        Node::kept("id", L::Id),
        Node::kept("model", L::Model),
        Node::kept("stop_reason", L::Finish),
        Node::both(
            "usage",
            L::Usage,
            &[
                Node::kept("input_tokens", L::Input),
                Node::kept("output_tokens", L::Output),
                Node::kept("cache_read_input_tokens", L::Cached),
                Node::kept("cache_creation_input_tokens", L::CacheWrite),
                Node::step("output_tokens_details", &[Node::kept("thinking_tokens", L::Reasoning)]),
            ],
        ),
        Node::step(
            "message",
            &[
                Node::kept("id", L::Id),
                Node::kept("model", L::Model),
                Node::both(
                    "usage",
                    L::StartUsage,
                    &[
                        Node::kept("input_tokens", L::StartInput),
                        Node::kept("output_tokens", L::StartOutput),
                        Node::kept("cache_read_input_tokens", L::StartCached),
                        Node::kept("cache_creation_input_tokens", L::StartCacheWrite),
                    ],
                ),
            ],
        ),
        Node::step(
            "delta",
            &[
                Node::kept("stop_reason", L::Finish),
                Node::seen("text", L::Delta),
                Node::seen("thinking", L::ReasoningText),
                Node::seen("partial_json", L::Delta),
            ],
        ),
        ERROR,
    ],
);

/// The paths of a dialect.
pub(super) fn places(dialect: Dialect) -> &'static Places {
    match dialect {
        Dialect::Chat | Dialect::Embeddings => &CHAT,
        Dialect::Responses => &RESPONSES,
        Dialect::Messages => &MESSAGES,
    }
}
