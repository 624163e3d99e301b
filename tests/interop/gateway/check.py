"""Checks what is stored of a space: python check.py SERVER_URL TOKEN SPACE EXPECTED_JSON"""
import json
import sys
import time
import urllib.request

server, token, space, expected = sys.argv[1:]
expected = json.loads(expected)


def rows():
    url = f"{server}/api/requests?space={space}&start=now-1h&end=now&limit=100"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    return json.load(urllib.request.urlopen(request))["requests"]


def summary(rows):
    total = lambda field: sum(row.get(field) or 0 for row in rows)
    errors = {}
    for row in rows:
        if row["outcome"] == "error":
            errors[row["error_type"]] = errors.get(row["error_type"], 0) + 1
    return {
        "calls": len(rows),
        "errors": errors,
        "prompt_tokens": total("prompt_tokens"),
        "completion_tokens": total("completion_tokens"),
        "users": len({row.get("user") for row in rows}),
        "models": sorted({row["model"] for row in rows}),
        "first_tokens": sum(1 for row in rows if row.get("time_to_first_token_ms") is not None),
    }


for _ in range(100):
    found = rows()
    if len(found) >= expected["calls"]:
        break
    time.sleep(0.05)
found_summary = summary(found)
assert found_summary == expected, f"{space}:\n{found_summary}\nis not\n{expected}"
for row in found:
    assert row["source"] == "gateway" and row["space"] == space, row
    assert row["user"] and "user-42" not in json.dumps(row) and "SECRET" not in json.dumps(row), row
    assert row["total_latency_ms"] >= row["llm_latency_ms"], row
print(f"{space}: {found_summary}")
