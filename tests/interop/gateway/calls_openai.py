"""Nine calls of the unmodified OpenAI SDK through the gateway: python calls_openai.py GATEWAY_URL SPACE"""
import sys

import openai

gateway, space = sys.argv[1:]
MESSAGES = [
    {"role": "system", "content": "SECRETSYS be brief"},
    {"role": "user", "content": "SECRETPROMPT hi"},
]
TOOLS = [{"type": "function", "function": {
    "name": "search", "description": "SECRETDESC",
    "parameters": {"type": "object", "properties": {"q": {"type": "string"}}}}}]


def client(upstream):
    return openai.OpenAI(
        base_url=f"{gateway}/s/{space}/{upstream}/v1",
        api_key="sk-SECRETKEY",
        max_retries=0,
        default_headers={"x-chatgauge-user": "user-42", "x-chatgauge-session": "c-1"},
    )


def fails(call, **arguments):
    try:
        call(model=arguments.pop("model", "gpt-4o-mini"), messages=MESSAGES, **arguments)
    except openai.OpenAIError as error:
        return type(error).__name__
    raise SystemExit("it should have failed")


c = client("fake")
chat = c.chat.completions.create
answer = chat(model="gpt-4o-mini", messages=MESSAGES, temperature=0.2)
assert answer.choices[0].message.content == "Hello from the fake model", answer
assert answer._request_id == "req_fake_1", "the provider's id passes"
for include in ({"include_usage": True}, None):
    options = {"stream_options": include} if include else {}
    chunks = list(chat(model="gpt-4o-mini", messages=MESSAGES, stream=True, **options))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == "Hello from the fake model", text
    assert [bool(chunk.usage) for chunk in chunks].count(True) == (1 if include else 0)
    assert all(chunk.choices for chunk in chunks) != bool(include)
assert chat(model="gpt-4o-mini", messages=MESSAGES, tools=TOOLS).choices[0].message.tool_calls
assert fails(chat, model="err-429") == "RateLimitError"
assert fails(chat, model="err-500") == "InternalServerError"
assert fails(client("dead").chat.completions.create) == "InternalServerError"
response = c.responses.create(model="gpt-4o-mini", input="SECRETPROMPT hi", instructions="SECRETSYS")
assert response.output_text == "Hello from responses"
events = list(c.responses.create(model="gpt-4o-mini", input="SECRETPROMPT hi", stream=True))
assert events[-1].type == "response.completed"
assert [model.id for model in c.models.list()] == ["gpt-4o-mini"], "what is not recorded passes too"
