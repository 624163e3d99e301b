"""Nine calls of a model, and one of an embedding model, against the fake provider."""

import openai

MODEL = "gpt-4o-mini"
MESSAGES = [
    {"role": "system", "content": "SECRETSYS be brief"},
    {"role": "user", "content": "SECRETPROMPT hi"},
]
TOOL = {
    "type": "function",
    "function": {
        "name": "search",
        "description": "SECRETDESC",
        "parameters": {"type": "object", "properties": {"q": {"type": "string"}}},
    },
}


def run(provider, make_client=openai.OpenAI):
    """Plain, streamed with and without usage, a tool call, 429, 500, no connection, two responses."""
    client = make_client(base_url=f"{provider}/v1", api_key="sk-SECRETKEY", max_retries=0)
    chat = client.chat.completions.create
    chat(model=MODEL, messages=MESSAGES, temperature=0.2, max_tokens=64)
    for _ in chat(model=MODEL, messages=MESSAGES, stream=True, stream_options={"include_usage": True}):
        pass
    for _ in chat(model=MODEL, messages=MESSAGES, stream=True):
        pass
    chat(model=MODEL, messages=MESSAGES, tools=[TOOL])
    for model in ("err-429", "err-500"):
        expect_failure(chat, model)
    nowhere = make_client(base_url="http://127.0.0.1:9/v1", api_key="sk-SECRETKEY", max_retries=0)
    expect_failure(nowhere.chat.completions.create, MODEL)
    client.embeddings.create(model="text-embedding-3-small", input=["SECRETEMB a", "b"])
    client.responses.create(model=MODEL, input="SECRETPROMPT hi", instructions="SECRETSYS")
    for _ in client.responses.create(model=MODEL, input="SECRETPROMPT hi", stream=True):
        pass


def expect_failure(chat, model):
    try:
        chat(model=model, messages=MESSAGES)
    except openai.OpenAIError:
        return
    raise SystemExit(f"{model} did not fail")
