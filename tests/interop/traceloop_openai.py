"""Traceloop's SDK, pointed here by its base address."""

import os

from opentelemetry import trace
from traceloop.sdk import Traceloop
from traceloop.sdk.decorators import workflow
from traceloop.sdk.instruments import Instruments

import workload

Traceloop.init(app_name="chat", instruments={Instruments.OPENAI})
Traceloop.set_association_properties({"user_id": "user-1", "session_id": "sess-1", "space": "acme"})


@workflow(name="chat_flow")
def flow():
    workload.run(os.environ["FAKE_PROVIDER"])


flow()
trace.get_tracer_provider().force_flush()
