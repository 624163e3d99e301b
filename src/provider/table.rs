//! Paths of the numbers and identifiers in responses, by dialect.

use super::Dialect;
use super::json::{ANY, Node};

/// Meaning of an extracted value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaf {
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

type Places = Node<Leaf>;

const ERROR: Places = Node::both(
    "error",
    Leaf::Error,
    &[
        Node::kept("type", Leaf::ErrorType),
        Node::kept("code", Leaf::ErrorCode),
        Node::step("innererror", &[Node::kept("code", Leaf::InnerErrorCode)]),
        Node::step("details", &[Node::kept("error_code", Leaf::ErrorCode)]),
    ],
);

const CHAT_USAGE: Places = Node::both(
    "usage",
    Leaf::Usage,
    &[
        Node::kept("prompt_tokens", Leaf::Input),
        Node::kept("completion_tokens", Leaf::Output),
        Node::step(
            "prompt_tokens_details",
            &[
                Node::kept("cached_tokens", Leaf::Cached),
                Node::kept("cache_write_tokens", Leaf::CacheWrite),
            ],
        ),
        Node::step("completion_tokens_details", &[Node::kept("reasoning_tokens", Leaf::Reasoning)]),
        Node::kept("cost", Leaf::Cost),
    ],
);

const FUNCTION: &[Places] =
    &[Node::seen("arguments", Leaf::Delta), Node::seen("name", Leaf::Delta)];

const CHAT_DELTA: &[Places] = &[
    Node::seen("content", Leaf::Delta),
    Node::seen("refusal", Leaf::Delta),
    Node::seen("reasoning_content", Leaf::ReasoningText),
    Node::seen("reasoning", Leaf::ReasoningText),
    Node::step("tool_calls", &[Node::step(ANY, &[Node::step("function", FUNCTION)])]),
    Node::step("function_call", FUNCTION),
    Node::step("audio", &[Node::seen("data", Leaf::Delta), Node::seen("transcript", Leaf::Delta)]),
];

static CHAT: Places = Node::step(
    "",
    &[
        Node::kept("id", Leaf::Id),
        Node::kept("model", Leaf::Model),
        CHAT_USAGE,
        Node::both(
            "choices",
            Leaf::Choices,
            &[Node::both(
                ANY,
                Leaf::Choice,
                &[
                    Node::kept("finish_reason", Leaf::Finish),
                    Node::step("delta", CHAT_DELTA),
                    Node::seen("text", Leaf::Delta),
                ],
            )],
        ),
        ERROR,
    ],
);

const RESPONSE: &[Places] = &[
    Node::kept("id", Leaf::Id),
    Node::kept("model", Leaf::Model),
    Node::kept("status", Leaf::Finish),
    Node::both(
        "usage",
        Leaf::Usage,
        &[
            Node::kept("input_tokens", Leaf::Input),
            Node::kept("output_tokens", Leaf::Output),
            Node::step(
                "input_tokens_details",
                &[
                    Node::kept("cached_tokens", Leaf::Cached),
                    Node::kept("cache_write_tokens", Leaf::CacheWrite),
                ],
            ),
            Node::step("output_tokens_details", &[Node::kept("reasoning_tokens", Leaf::Reasoning)]),
            Node::kept("cost", Leaf::Cost),
        ],
    ),
    Node::step("incomplete_details", &[Node::kept("reason", Leaf::IncompleteReason)]),
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
    Node::kept("type", Leaf::Kind),
    Node::kept("code", Leaf::ErrorCode),
    Node::seen("delta", Leaf::Delta),
];

static RESPONSES: Places = Node::step("", RESPONSE_OR_EVENT);

static MESSAGES: Places = Node::step(
    "",
    &[
        Node::kept("type", Leaf::Kind),
        Node::kept("id", Leaf::Id),
        Node::kept("model", Leaf::Model),
        Node::kept("stop_reason", Leaf::Finish),
        Node::both(
            "usage",
            Leaf::Usage,
            &[
                Node::kept("input_tokens", Leaf::Input),
                Node::kept("output_tokens", Leaf::Output),
                Node::kept("cache_read_input_tokens", Leaf::Cached),
                Node::kept("cache_creation_input_tokens", Leaf::CacheWrite),
                Node::step(
                    "output_tokens_details",
                    &[Node::kept("thinking_tokens", Leaf::Reasoning)],
                ),
            ],
        ),
        Node::step(
            "message",
            &[
                Node::kept("id", Leaf::Id),
                Node::kept("model", Leaf::Model),
                Node::both(
                    "usage",
                    Leaf::StartUsage,
                    &[
                        Node::kept("input_tokens", Leaf::StartInput),
                        Node::kept("output_tokens", Leaf::StartOutput),
                        Node::kept("cache_read_input_tokens", Leaf::StartCached),
                        Node::kept("cache_creation_input_tokens", Leaf::StartCacheWrite),
                    ],
                ),
            ],
        ),
        Node::step(
            "delta",
            &[
                Node::kept("stop_reason", Leaf::Finish),
                Node::seen("text", Leaf::Delta),
                Node::seen("thinking", Leaf::ReasoningText),
                Node::seen("partial_json", Leaf::Delta),
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
