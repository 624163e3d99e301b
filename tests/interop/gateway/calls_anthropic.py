"""Three calls of the unmodified Anthropic SDK: python calls_anthropic.py GATEWAY_URL SPACE"""
import sys

import anthropic

gateway, space = sys.argv[1:]
client = anthropic.Anthropic(
    base_url=f"{gateway}/s/{space}/fake", api_key="sk-SECRETKEY", max_retries=0
)
call = dict(
    model="claude-fake-1", max_tokens=64, system="SECRETSYS",
    messages=[{"role": "user", "content": "SECRETPROMPT"}], metadata={"user_id": "user-42"},
)
assert client.messages.create(**call).content[0].text == "Hello from fake claude"
with client.messages.stream(**call) as stream:
    assert "".join(stream.text_stream) == "Hello from fake claude"
try:
    client.messages.create(**{**call, "model": "err-429"})
except anthropic.RateLimitError:
    pass
else:
    raise SystemExit("it should have failed")
