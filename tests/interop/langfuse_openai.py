"""Langfuse's SDK and its OpenAI client, pointed here by its base address."""

import os

import langfuse.openai
from langfuse import get_client, observe, propagate_attributes

import workload


@observe(name="chat-turn")
def turn():
    who = {"user_id": "user-1", "session_id": "sess-1", "metadata": {"space": "acme"}}
    with propagate_attributes(**who):
        workload.run(os.environ["FAKE_PROVIDER"], langfuse.openai.OpenAI)


turn()
get_client().flush()
