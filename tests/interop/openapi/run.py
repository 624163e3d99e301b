#!/usr/bin/env python3
"""A client generated from the server's OpenAPI document, against the real server.

usage: run.py CHATGAUGE FOLDER

CHATGAUGE is the binary; FOLDER receives the generator (installed once), the client and the database. The generator must
understand every operation, and what the client makes of each response must be that response again.
"""

import datetime
import importlib
import inspect
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOKEN = "interop-admin-token"
NOT_INSTALLED = 75
METHODS = ("get", "post", "put", "patch", "delete")
CONFIGURATION = """
[alerting]
interval = "1s"
eval_delay = "0s"
startup_grace = "0s"
daily_token_budget = 1
"""

# Parameters and bodies of the operations, where an empty call says too little. `{id}` is the id of the first incident,
# key, silence or request, as the operation's path asks.
CALLS = {
    "alerts_ack": {"body": {}},
    "alerts_close": {"body": {}},
    "alerts_backtest": {"body": {"rule": {"id": "slow", "metric": "latency_p95", "op": ">", "threshold": "1ms", "window": "15m"}}},
    "alerts_explain": {"rule": "daily-tokens"},
    "alerts_silence": {"body": {"rule": "daily-tokens", "duration_s": 3600, "comment": "planned"}},
    "dimension_values": {"name": "model"},
    "keys_create": {"body": {"name": "interop", "scopes": ["read"]}},
    "metrics_breakdown": {"by": "model"},
    "metrics_historical": {"type_": "total_latency"},
    "metrics_simulate": {"body": {"count": 10}},
    "litellm_ingest": {"body": []},
    "requests_ingest": {"body": {"user": "user-1", "total_latency_ms": 5, "prompt_tokens": 7, "error_type": "timeout", "tags": {"a": "b"}}},
    "sql_get": {"sql": "select 1 as one, 'two' as two, null as three"},
    "sql_post": {"body": {"sql": "select count(*) from request_log"}},
}
# Not JSON with a schema, or ends what the others need.
OTHERS = {"stream", "openapi", "prometheus_metrics", "session_create", "session_delete", "alerts_channel_test", "traces_ingest"}


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    binary, folder = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    python = install(folder)
    if Path(sys.prefix).resolve() != python.parent.parent.resolve():
        os.execv(python, [str(python), *sys.argv])
    place = Path(tempfile.mkdtemp(prefix="openapi-", dir=folder))
    server = Server(binary, place)
    try:
        faults = check(server, place)
    finally:
        server.stop()
    for fault in faults:
        print(f"FAILED {fault}", flush=True)
    if not faults:
        shutil.rmtree(place)
    sys.exit(1 if faults else 0)


def install(folder):
    """The Python of the environment that holds the generator."""
    place, mark = folder / "python", folder / "python.installed"
    wanted = (HERE / "requirements.txt").read_text()
    if not mark.exists() or mark.read_text() != wanted:
        shutil.rmtree(place, ignore_errors=True)
        try:
            subprocess.run([sys.executable, "-m", "venv", str(place)], check=True, timeout=300)
            pip = [str(place / "bin/pip"), "install", "--quiet", "--disable-pip-version-check"]
            subprocess.run([*pip, "-r", str(HERE / "requirements.txt")], check=True, timeout=900)
        except (subprocess.SubprocessError, OSError) as error:
            print(f"the generator could not be installed: {error}", flush=True)
            sys.exit(NOT_INSTALLED)
        mark.write_text(wanted)
    return place / "bin/python"


def check(server, place):
    """What is wrong with the document or with what the client reads; nothing, when all is as it should be."""
    server.fill()
    document = server.get("/api/openapi.json")
    # The generator writes broken code for a body that may have one of several types.
    for operations in document["paths"].values():
        for operation in operations.values():
            content = operation.get("requestBody", {}).get("content", {})
            for other in set(content) - {"application/json"}:
                del content[other]
    (place / "openapi.json").write_text(json.dumps(document))
    generated = subprocess.run(
        [sys.executable, "-m", "openapi_python_client", "generate", "--path", "openapi.json", "--meta", "none",
         "--output-path", "interop_client"],
        cwd=place, capture_output=True, text=True, timeout=300, check=False,
    )
    faults = [line for line in generated.stdout.splitlines() if "WARNING" in line or "ERROR" in line]
    if generated.returncode:
        return faults + [generated.stderr]
    sys.path.insert(0, str(place))
    client = importlib.import_module("interop_client").AuthenticatedClient(base_url=server.url, token=TOKEN)
    names = 0
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            name = operation["operationId"]
            if method not in METHODS or name in OTHERS:
                continue
            names += 1
            try:
                fault = call(server, client, operation, path)
            except Exception as error:  # the client's, of any kind
                fault = f"{type(error).__name__}: {error}"
            if fault:
                faults.append(f"{name}: {fault}")
    print(f"{names} operations were called", flush=True)
    return faults


def call(server, client, operation, path):
    """Calls one operation and compares what the client read with the bytes that were sent."""
    name = operation["operationId"]
    function = importlib.import_module(f"interop_client.api.{operation['tags'][0]}.{name}")
    given = dict(CALLS.get(name, {}))
    if "{id}" in path:
        given["id"] = server.an_id(path)
    arguments = {key: typed(function, key, value) for key, value in given.items()}
    response = function.sync_detailed(client=client, **arguments)
    if not 200 <= response.status_code < 300:
        return f"{int(response.status_code)} {response.content[:300]!r}"
    if response.status_code == 204:
        return None
    raw = json.loads(response.content)
    if response.parsed is None:
        return "the client has no type for the response"
    read = [item.to_dict() for item in response.parsed] if isinstance(response.parsed, list) else response.parsed.to_dict()
    return difference(raw, read, "$")


def typed(function, key, value):
    """A parameter as the generated function wants it: an enumeration or a model where it says so."""
    wanted = inspect.signature(function.sync_detailed).parameters[key].annotation
    for kind in getattr(wanted, "__args__", (wanted,)):
        if hasattr(kind, "from_dict") and isinstance(value, dict):
            return kind.from_dict(value)
        if isinstance(value, str) and hasattr(kind, "__members__"):
            return kind(value)
    return value


def difference(raw, read, at):
    """Where the two differ; None where they do not. Instants may be written with another offset or precision."""
    if isinstance(raw, dict) and isinstance(read, dict):
        if raw.keys() != read.keys():
            return f"{at}: {sorted(raw.keys() ^ read.keys())}"
        return next((found for key in raw if (found := difference(raw[key], read[key], f"{at}.{key}"))), None)
    if isinstance(raw, list) and isinstance(read, list) and len(raw) == len(read):
        pairs = enumerate(zip(raw, read))
        return next((found for i, (a, b) in pairs if (found := difference(a, b, f"{at}[{i}]"))), None)
    if raw == read or isinstance(raw, str) and isinstance(read, str) and instant(raw) == instant(read) is not None:
        return None
    return f"{at}: {raw!r} was read as {read!r}"


def instant(text):
    try:
        return datetime.datetime.fromisoformat(text)
    except ValueError:
        return None


class Server:
    """The real server with a database of its own."""

    def __init__(self, binary, place):
        (place / "chatgauge.toml").write_text(CONFIGURATION)
        self.log = open(place / "server.log", "wb")
        command = [str(binary), "serve", "--config", str(place / "chatgauge.toml"), "--db", str(place / "chat.db"),
                   "--listen", "127.0.0.1:0", "-o", "otlp.http_listen=", "-o", "otlp.grpc_listen="]
        environment = {"CHATGAUGE_ADMIN_TOKEN": TOKEN}
        self.process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=self.log)
        self.url = "http://" + self.process.stdout.readline().decode().split("http://")[1].split()[0]

    def fill(self):
        """Records of all kinds, and an incident of the token budget."""
        now = datetime.datetime.now(datetime.timezone.utc)
        records = [
            {"started_at": (now - datetime.timedelta(seconds=20 * i + 5)).isoformat(), "space": f"space-{i % 3}",
             "user": f"user-{i % 5}", "model": ["gpt-4o", "claude-sonnet-4"][i % 2], "provider": "openai",
             "status": 429 if i % 10 == 0 else 200, "total_latency_ms": 100 + i, "llm_latency_ms": 90 + i,
             "prompt_tokens": 100, "completion_tokens": 20, "streamed": i % 4 == 0}
            for i in range(100)
        ]
        self.post("/api/requests", records)
        deadline = time.monotonic() + 60
        while not self.get("/api/alerts/incidents")["incidents"]:
            if time.monotonic() > deadline:
                sys.exit("no incident of the token budget within a minute")
            time.sleep(0.1)

    def an_id(self, path):
        listing = {"incidents": "/api/alerts/incidents", "silences": "/api/alerts/silences", "keys": "/api/keys",
                   "requests": "/api/requests"}
        kind = path.split("/")[2] if path.split("/")[2] in listing else path.split("/")[3]
        first = self.get(listing[kind])[kind][0]
        return first.get("id") or first.get("alert_id") or first["request_id"]

    def get(self, path):
        return self.send(urllib.request.Request(self.url + path))

    def post(self, path, body):
        headers = {"Content-Type": "application/json"}
        return self.send(urllib.request.Request(self.url + path, json.dumps(body).encode(), headers))

    def send(self, request):
        request.add_header("Authorization", f"Bearer {TOKEN}")
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=30)
        self.log.close()


if __name__ == "__main__":
    main()
