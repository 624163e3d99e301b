"""Spans of LLM calls as instrumentations of OpenInference send them, in OTLP protobuf."""

from collections.abc import Iterator

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

BATCH = 512
# Prompt and response of each span: Phoenix stores them, chatgauge skips them.
CONTENT = "x" * 300
CALLS_OF_SESSION = 5


def bodies(spans: int, end_ms: int) -> Iterator[bytes]:
    """Bodies of at most 512 spans that started within the last five minutes, one trace a span."""
    for first in range(0, spans, BATCH):
        request = ExportTraceServiceRequest()
        scope_spans = request.resource_spans.add().scope_spans.add()
        scope_spans.scope.name = "openinference.instrumentation.openai"
        scope_spans.spans.extend(span(number, end_ms) for number in range(first, min(first + BATCH, spans)))
        yield request.SerializeToString()


def span(number: int, end_ms: int) -> Span:
    start_ns = (end_ms - 300_000 + number) * 1_000_000
    return Span(
        trace_id=b"bench\0\0\0" + (number + 1).to_bytes(8, "big"),
        span_id=(number + 1).to_bytes(8, "big"),
        name="ChatCompletion",
        kind=Span.SPAN_KIND_INTERNAL,
        start_time_unix_nano=start_ns,
        end_time_unix_nano=start_ns + (200 + number % 3_000) * 1_000_000,
        status=Status(code=Status.STATUS_CODE_OK),
        attributes=[
            *(KeyValue(key=key, value=AnyValue(string_value=text)) for key, text in texts(number)),
            *(KeyValue(key=key, value=AnyValue(int_value=number)) for key, number in numbers(number)),
        ],
    )


def texts(number: int) -> Iterator[tuple[str, str]]:
    yield "openinference.span.kind", "LLM"
    yield "llm.system", "openai"
    yield "llm.model_name", ("gpt-4o-mini", "gpt-4o")[number % 2]
    yield "user.id", f"user-{number // CALLS_OF_SESSION % 500}"
    yield "session.id", f"session-{number // CALLS_OF_SESSION}"
    yield "input.value", CONTENT
    yield "output.value", CONTENT


def numbers(number: int) -> Iterator[tuple[str, int]]:
    prompt, completion = 100 + number % 1_000, 10 + number % 300
    yield "llm.token_count.prompt", prompt
    yield "llm.token_count.completion", completion
    yield "llm.token_count.total", prompt + completion
