"""A chain of LangChain with a retriever, seen by OpenInference: the time to assemble the context."""

import os
import time

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnablePassthrough
from langchain_openai import ChatOpenAI
from openinference.instrumentation import using_attributes
from openinference.instrumentation.langchain import LangChainInstrumentor
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

provider = TracerProvider(resource=Resource.create({"openinference.project.name": "acme"}))
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
LangChainInstrumentor().instrument(tracer_provider=provider)


class SlowRetriever(BaseRetriever):
    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun):
        time.sleep(0.05)
        return [Document(page_content="SECRETDOC")]


model = ChatOpenAI(
    model="gpt-4o-mini", base_url=os.environ["FAKE_PROVIDER"] + "/v1", api_key="sk-SECRETKEY", max_retries=0
)
prompt = ChatPromptTemplate.from_template("SECRETPROMPT {context} {question}")
chain = {"context": SlowRetriever(), "question": RunnablePassthrough()} | prompt | model
with using_attributes(session_id="sess-1", user_id="user-1"):
    chain.invoke("SECRETQUESTION")
provider.shutdown()
