"""OpenTelemetry's own instrumentation of the OpenAI SDK. It knows no users: a processor puts them on every span."""

import os

from opentelemetry import trace
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

import workload

if os.environ.get("OTLP_GRPC"):
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
else:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter


class WhoAsks(SpanProcessor):
    def on_start(self, span, parent_context=None):
        span.set_attributes({"user.id": "user-1", "session.id": "sess-1", "app.space": "acme"})


provider = TracerProvider()
provider.add_span_processor(WhoAsks())
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
OpenAIInstrumentor().instrument()
workload.run(os.environ["FAKE_PROVIDER"])
provider.shutdown()
