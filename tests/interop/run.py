#!/usr/bin/env python3
"""Real, unmodified clients against the real server.

usage: run.py CHATGAUGE FOLDER [NAME...]

CHATGAUGE is the binary; FOLDER takes the clients' packages (installed once) and everything else that is
written. Each client runs the workload of nine calls against a fake provider, and the database must tell
exactly that. Names choose some of the clients.
"""

import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOKEN = "interop-admin-token"
MARKER = b"SECRET"
# How this ends when the packages of the clients cannot be had.
NOT_INSTALLED = 75

# What each run is to be stored as: nine calls, three errors, 600 and 225 tokens, two with a first token.
NINE = {
    "calls": 9,
    "errors": ["network", "rate_limit", "server"],
    "prompt_tokens": 600,
    "completion_tokens": 225,
    "embeddings": 1,
    "models": {"gpt-4o-mini", "err-429", "err-500"},
    "first_tokens": 2,
}


class Client:
    """How one client is run, and what differs from NINE."""

    def __init__(self, name, packages, command, environment=None, **differences):
        self.name, self.packages, self.command = name, packages, command
        self.environment = environment or {}
        self.expected = {**NINE, **differences}


def python(packages, script):
    return lambda folder: [str(folder / packages / "bin/python"), str(HERE / script)]


def node(version, encoding):
    return lambda folder: ["node", str(HERE / "vercel.mjs"), str(version), encoding]


def otlp(server):
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": server.url,
        "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{TOKEN}",
    }


CLIENTS = [
    # No usage on one stream: its first token is told all the same.
    Client("otel-genai", "python", python("python", "otel_genai.py"), otlp, first_tokens=3),
    Client(
        "otel-genai-grpc",
        "python",
        python("python", "otel_genai.py"),
        lambda server: {
            "OTLP_GRPC": "1",
            "OTEL_EXPORTER_OTLP_ENDPOINT": server.grpc,
            "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{TOKEN}",
        },
        first_tokens=3,
    ),
    Client("openinference", "python", python("python", "openinference_openai.py"), otlp, first_tokens=3),
    Client(
        "traceloop",
        "traceloop",
        python("traceloop", "traceloop_openai.py"),
        lambda server: {
            "TRACELOOP_TELEMETRY": "false",
            "TRACELOOP_BASE_URL": server.url,
            "TRACELOOP_HEADERS": f"Authorization=Bearer%20{TOKEN}",
        },
    ),
    # Langfuse names the model that answered.
    Client(
        "langfuse",
        "python",
        python("python", "langfuse_openai.py"),
        lambda server: {
            "LANGFUSE_PUBLIC_KEY": "pk-any",
            "LANGFUSE_SECRET_KEY": TOKEN,
            "LANGFUSE_BASE_URL": server.url,
            "LANGFUSE_HOST": server.url,
        },
        models={"gpt-4o-mini-2024-07-18", "gpt-4o-mini", "err-429", "err-500"},
        first_tokens=3,
    ),
    # The SDK tells every first token, and reads no usage of a stream from which it was taken out.
    Client("vercel-5", "ai5", node(5, "proto"), otlp, first_tokens=3),
    Client("vercel-5-json", "ai5", node(5, "json"), otlp, first_tokens=3),
    Client("vercel-7", "ai7", node(7, "proto"), otlp, first_tokens=3),
    Client("langchain", "python", python("python", "langchain_rag.py"), otlp, calls=1, errors=[], prompt_tokens=120,
           completion_tokens=45, embeddings=0, models={"gpt-4o-mini"}, first_tokens=0, context_ms=(45, 200)),
]


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    binary, folder, chosen = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve(), sys.argv[3:]
    clients = [client for client in CLIENTS if not chosen or client.name in chosen]
    folder.mkdir(parents=True, exist_ok=True)
    for packages in sorted({client.packages for client in clients}):
        try:
            install(folder, packages)
        except (subprocess.SubprocessError, OSError) as error:
            print(f"{packages} could not be installed: {error}", flush=True)
            sys.exit(NOT_INSTALLED)
    provider = Provider()
    failures = 0
    try:
        for client in clients:
            started = time.monotonic()
            faults = run(client, binary, folder, provider)
            failures += bool(faults)
            print(f"{'FAILED' if faults else 'ok':6} {client.name} ({time.monotonic() - started:.1f} s)", flush=True)
            for fault in faults:
                print(f"         {fault}", flush=True)
    finally:
        provider.stop()
    sys.exit(1 if failures else 0)


def run(client, binary, folder, provider):
    """What is wrong with the run of a client; nothing, when all is as it should be."""
    place = Path(tempfile.mkdtemp(prefix=f"{client.name}-", dir=folder))
    server = Server(binary, place)
    try:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(place),
            "NO_PROXY": "127.0.0.1",
            "PYTHONPATH": str(HERE),
            "PYTHONDONTWRITEBYTECODE": "1",
            "FAKE_PROVIDER": provider.url,
            "OTEL_SERVICE_NAME": "interop",
            **client.environment(server),
        }
        cwd = folder / client.packages if client.packages.startswith("ai") else place
        with open(place / "client.log", "wb") as log:
            ended = subprocess.run(
                client.command(folder), env=environment, cwd=cwd, stdout=log, stderr=log, timeout=120, check=False
            )
        faults = [] if ended.returncode == 0 else [f"the client ended with {ended.returncode}, see {place}/client.log"]
        faults += compare(client.expected, server.rows())
    finally:
        server.stop()
    faults += leaks(place)
    if not faults:
        shutil.rmtree(place)
    return faults


def compare(expected, rows):
    calls = [row for row in rows if row["operation"] != "embeddings"]
    embeddings = [row for row in rows if row["operation"] == "embeddings"]
    users = {row["user"] for row in rows}
    found = {
        "calls": len(calls),
        "embeddings": len(embeddings),
        "errors": sorted(row["error_type"] for row in calls if row["error_type"]),
        "prompt_tokens": sum(row["prompt_tokens"] or 0 for row in calls),
        "completion_tokens": sum(row["completion_tokens"] or 0 for row in calls),
        "models": {row["model"] for row in calls},
        "first_tokens": sum(row["time_to_first_token_ms"] is not None for row in calls),
    }
    faults = [
        f"{name}: {found[name]!r} instead of {expected[name]!r}" for name in found if found[name] != expected[name]
    ]
    if len(users) != 1 or None in users or users == {"user-1"}:
        faults.append(f"users: {users}")
    for name, right in (("space", {"acme"}), ("source", {"otlp"})):
        if {row[name] for row in rows} != right:
            faults.append(f"{name}: {({row[name] for row in rows})}")
    if len({row["session"] for row in rows}) != 1 or rows and rows[0]["session"] is None:
        faults.append("session: not one")
    low, high = expected.get("context_ms", (0, 0))
    if high and not all(low <= (row["context_latency_ms"] or 0) <= high for row in calls):
        faults.append(f"context: {[row['context_latency_ms'] for row in calls]}")
    return faults


def leaks(place):
    """Files of the server that hold something that was written."""
    names = [name for name in os.listdir(place) if name.startswith("chat.db") or name == "server.log"]
    return [f"{name} holds content" for name in names if MARKER in (place / name).read_bytes()]


class Server:
    """The real server with a database of its own."""

    def __init__(self, binary, place):
        self.database, self.log = place / "chat.db", open(place / "server.log", "wb")
        port = free_port()
        self.grpc = f"http://127.0.0.1:{port}"
        command = [str(binary), "serve", "--db", str(self.database), "--listen", "127.0.0.1:0"]
        command += ["-o", "otlp.http_listen=", "-o", f"otlp.grpc_listen=127.0.0.1:{port}"]
        environment = {"CHATGAUGE_ADMIN_TOKEN": TOKEN, "CHATGAUGE_LOG": "debug"}
        self.process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=self.log)
        line = self.process.stdout.readline().decode()
        self.url = "http://" + line.split("http://")[1].split()[0]

    def rows(self):
        request = urllib.request.Request(
            f"{self.url}/api/requests?limit=1000", headers={"Authorization": f"Bearer {TOKEN}"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)["requests"]

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=30)
        self.log.close()


class Provider:
    """A fake provider of models on a free port."""

    def __init__(self):
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        # Clients that go away without a word are nothing to report.
        command = [sys.executable, str(HERE / "fake_provider.py"), str(port)]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.05)
        sys.exit("the fake provider did not start")

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=10)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def install(folder, packages):
    """Installs the packages of a group of clients, unless just these are there already."""
    place, mark = folder / packages, folder / f"{packages}.installed"
    wanted = wanted_packages(packages)
    if mark.exists() and mark.read_text() == wanted:
        return
    print(f"installing {packages}", flush=True)
    shutil.rmtree(place, ignore_errors=True)
    if packages.startswith("ai"):
        place.mkdir()
        shutil.copy(HERE / f"{packages}.package.json", place / "package.json")
        command("npm", "install", "--no-audit", "--no-fund", "--silent", cwd=place)
    else:
        command(sys.executable, "-m", "venv", str(place))
        pip = [str(place / "bin/pip"), "install", "--quiet", "--disable-pip-version-check"]
        command(*pip, "-r", str(requirements(packages)))
        if packages == "traceloop":
            command(*pip, "--no-deps", "traceloop-sdk==0.62.4")
    mark.write_text(wanted)


def requirements(packages):
    return HERE / ("requirements.txt" if packages == "python" else f"requirements-{packages}.txt")


def wanted_packages(packages):
    if packages.startswith("ai"):
        return (HERE / f"{packages}.package.json").read_text()
    return requirements(packages).read_text()


def command(*arguments, cwd=None):
    subprocess.run(arguments, cwd=cwd, check=True, timeout=900)


if __name__ == "__main__":
    main()
