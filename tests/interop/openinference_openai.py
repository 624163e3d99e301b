"""OpenInference's instrumentation of the OpenAI SDK, compressed."""

import os

from openinference.instrumentation import using_attributes
from openinference.instrumentation.openai import OpenAIInstrumentor
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

import workload

provider = TracerProvider(resource=Resource.create({"openinference.project.name": "acme"}))
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(compression=Compression.Gzip)))
OpenAIInstrumentor().instrument(tracer_provider=provider)
with using_attributes(session_id="sess-1", user_id="user-1"):
    workload.run(os.environ["FAKE_PROVIDER"])
provider.shutdown()
