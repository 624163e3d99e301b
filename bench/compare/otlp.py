"""The same spans over OTLP/HTTP into Arize Phoenix and into chatgauge, until each shows them.

Runs in the environment that Phoenix is installed in.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPConnection, RemoteDisconnected
from pathlib import Path
from queue import Empty, Queue
from threading import Thread

import spans

SPANS = 10_000
CLIENTS = 2
START_WITHIN_S = 90.0
# Spans that are shown by then count.
GIVE_UP_AFTER_S = 120.0
# Interval of polling the number of shown spans: long, because polling slows the product down.
POLL_S = 2.0
RETRY_S = 0.1
TOKEN = "bench-admin-token-0123456789abcdef"
HEADERS = {"authorization": f"Bearer {TOKEN}"}
BUSY = {429, 503}


@dataclass(frozen=True)
class Product:
    """A running server: its port, and the number of spans that it shows."""

    name: str
    process: subprocess.Popen[str]
    port: int
    folder: Path
    shown: Callable[[], int]


def main(chatgauge: Path, out: Path) -> None:
    made = list(spans.bodies(SPANS, round(time.time() * 1e3)))
    figures: dict[str, object] = {"spans": SPANS, "bytes_per_span": sum(map(len, made)) / SPANS}
    for start in (lambda folder: start_chatgauge(chatgauge, folder), start_phoenix):
        folder = Path(tempfile.mkdtemp(dir=out.parent))
        product = start(folder)
        try:
            figures[product.name] = measure(product, made)
        finally:
            product.process.terminate()
            product.process.wait(30)
            shutil.rmtree(folder, ignore_errors=True)
    out.write_text(json.dumps(figures))


def measure(product: Product, made: list[bytes]) -> dict[str, float]:
    """Spans a second from the first body until all are shown, and the server's memory and disk then."""
    idle_mb = resident_mb(product.process.pid)
    before = disk_bytes(product.folder)
    start = time.perf_counter()
    accepted_s, refused = send(product.port, made)
    while (shown := product.shown()) < SPANS and time.perf_counter() - start < GIVE_UP_AFTER_S:
        time.sleep(POLL_S)
    elapsed_s = time.perf_counter() - start
    return {
        "shown": shown,
        "accepted_s": accepted_s,
        "refused_bodies": refused,
        "shown_s": elapsed_s,
        "spans_per_s": shown / elapsed_s,
        "idle_mb": idle_mb,
        "memory_mb": resident_mb(product.process.pid),
        "bytes_per_span": (disk_bytes(product.folder) - before) / max(shown, 1),
    }


def send(port: int, made: list[bytes]) -> tuple[float, int]:
    """Seconds until the last body was accepted, and the number of refusals, after which bodies are sent again."""
    pending: Queue[bytes] = Queue()
    for body in made:
        pending.put(body)
    refused: list[int] = []
    start = time.perf_counter()
    clients = [Thread(target=send_some, args=(port, pending, refused, start)) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    return time.perf_counter() - start, len(refused)


def send_some(port: int, pending: Queue[bytes], refused: list[int], start: float) -> None:
    connection = HTTPConnection("127.0.0.1", port, timeout=GIVE_UP_AFTER_S)
    headers = {**HEADERS, "content-type": "application/x-protobuf"}
    while time.perf_counter() - start < GIVE_UP_AFTER_S:
        try:
            body = pending.get_nowait()
        except Empty:
            return
        connection.request("POST", "/v1/traces", body, headers)
        response = connection.getresponse()
        response.read()
        if response.status in BUSY:
            refused.append(response.status)
            pending.put(body)
            time.sleep(RETRY_S)
        elif response.status != 200:
            raise RuntimeError(f"status {response.status}")


def start_chatgauge(binary: Path, folder: Path) -> Product:
    command = [binary, "serve", "--db", folder / "spans.db", "--listen", "127.0.0.1:0"]
    for option in ("otlp.http_listen=127.0.0.1:0", "otlp.grpc_listen=127.0.0.1:0"):
        command += ["--option", option]
    environment = {**os.environ, "CHATGAUGE_ADMIN_TOKEN": TOKEN}
    process = subprocess.Popen(
        list(map(str, command)), env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    words = (word for line in process.stdout or [] for word in line.split())
    url = next(word for word in words if word.startswith("http://"))
    port = int(url.rstrip("/").rsplit(":", 1)[1])

    def shown() -> int:
        query = "/api/metrics/historical?type=request_rate&start=now-1h&end=now&aggregation=hourly"
        return round(sum(point["value"] for point in call(port, "GET", query)["data_points"]))

    return Product("chatgauge", process, port, folder, shown)


def start_phoenix(folder: Path) -> Product:
    port, grpc_port = free_port(), free_port()
    environment = {
        **os.environ,
        "PHOENIX_WORKING_DIR": str(folder),
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(port),
        "PHOENIX_GRPC_PORT": str(grpc_port),
        "PHOENIX_TELEMETRY_ENABLED": "false",
    }
    command = [str(Path(sys.executable).with_name("phoenix")), "serve"]
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True
    )

    def shown() -> int:
        query = json.dumps({"query": "{projects{edges{node{recordCount}}}}"})
        projects = call(port, "POST", "/graphql", query)["data"]["projects"]["edges"]
        return sum(project["node"]["recordCount"] for project in projects)

    await_ready(process, shown)
    return Product("phoenix", process, port, folder, shown)


def await_ready(process: subprocess.Popen[str], shown: Callable[[], int]) -> None:
    start = time.perf_counter()
    while time.perf_counter() - start < START_WITHIN_S and process.poll() is None:
        try:
            shown()
            return
        except (OSError, RemoteDisconnected, KeyError, ValueError):
            time.sleep(RETRY_S)
    process.terminate()
    raise RuntimeError(f"Phoenix did not start within {START_WITHIN_S:.0f} s")


def call(port: int, method: str, path: str, body: str | None = None) -> dict:
    connection = HTTPConnection("127.0.0.1", port, timeout=GIVE_UP_AFTER_S)
    connection.request(method, path, body, {**HEADERS, "content-type": "application/json"})
    found = json.loads(connection.getresponse().read())
    connection.close()
    return found


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def disk_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def resident_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(float(line.split()[1]) * 1_024 / 1e6 for line in lines if line.startswith("VmRSS:"))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
