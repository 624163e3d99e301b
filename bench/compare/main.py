"""chatgauge beside DuckDB, ClickHouse (chdb), bare rusqlite and Arize Phoenix, in one run."""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import history
import report
from report import GAUGE, OTHERS

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
PARTS = ("load", "questions", "ingest", "otlp")
INSTALL_WITHIN_S = 600
OTLP_WITHIN_S = 300
Json = dict[str, Any]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench/compare/run", description=__doc__)
    parser.add_argument("database", type=Path, help="a history; generated if the file is missing")
    parser.add_argument("--requests", type=int, default=1_000_000, help="requests of a new history, over 30 days")
    parser.add_argument("--rounds", type=int, default=100, help="rounds of queries")
    parser.add_argument("--data", type=Path, default=TARGET / "compare" / "data", help="directory of all files written")
    only = f"some of {','.join(PARTS)}; the others keep their earlier figures"
    parser.add_argument("--only", default=",".join(PARTS), metavar="PARTS", help=only)
    parser.add_argument("--keep", action="store_true", help="keep the rows of the other databases")
    return parser.parse_args()


class Run:
    """A run over one history; every part writes its figures to a file."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.database: Path = given.database.resolve()
        self.requests: int = given.requests
        self.rounds: int = given.rounds
        self.folder: Path = given.data.resolve() / self.database.stem
        self.folder.mkdir(parents=True, exist_ok=True)
        self.parquet = self.folder / "requests.parquet"

    def figures(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def part(self, name: str) -> None:
        print(f"{name} ...", file=sys.stderr, flush=True)
        {"load": self.load, "questions": self.queries, "ingest": self.ingest, "otlp": self.otlp}[name]()

    def load(self) -> None:
        """Loads every request into the other databases; generates the history if it is missing."""
        if not self.database.exists():
            self.history(1)
        rows = history.export(self.database, self.parquet)
        for name in OTHERS:
            self.worker("load", name, self.figures(f"load-{name}"))
        figures = self.read("fill") | {"rows": rows, "disk_bytes": self.database.stat().st_size}
        self.figures(f"load-{GAUGE}").write_text(json.dumps(figures))

    def history(self, rounds: int) -> Json:
        """Runs the history benchmark: fills the file if it is missing, and runs the queries."""
        out = self.figures(f"ask-{GAUGE}")
        options = {"requests": self.requests, "db": self.database, "rounds": rounds, "compare": out}
        printed = cargo("history", *(text for name, value in options.items() for text in (f"--{name}", str(value))))
        if "fill_and_roll_up" in printed:
            self.figures("fill").write_text(json.dumps({"load_s": printed["fill_and_roll_up"]}))
        return self.read(f"ask-{GAUGE}")

    def queries(self) -> None:
        ours = self.history(self.rounds)
        clock = ["--clock", str(ours["start_ms"]), str(ours["round_ms"]), str(self.rounds)]
        for name in OTHERS:
            self.worker("ask", name, self.figures(f"ask-{name}"), *clock)

    def ingest(self) -> None:
        figures: Json = {}
        for name in OTHERS:
            self.worker("ingest", name, self.figures(f"ingest-{name}"), "--history", str(self.database))
            figures[name] = self.read(f"ingest-{name}")
        printed = cargo("ingest")
        figures |= {"bare": printed["ingest_bare_insert"], "http": printed["ingest_http"]}
        self.figures("ingest").write_text(json.dumps(figures))

    def worker(self, task: str, name: str, out: Path, *rest: str) -> None:
        folder = self.folder / (f"{name}-ingest" if task == "ingest" else name)
        command = [sys.executable, HERE / "worker.py", task, name, folder, self.parquet, out, *rest]
        subprocess.run(list(map(str, command)), check=True)

    def otlp(self) -> None:
        out = self.figures("otlp")
        try:
            python = phoenix()
            chatgauge = TARGET / "release" / "chatgauge"
            command = [str(python), str(HERE / "otlp.py"), str(chatgauge), str(out)]
            subprocess.run(command, check=True, timeout=OTLP_WITHIN_S)
            figures = self.read("otlp") | {"version": version_of(python, "arize-phoenix")}
        except (OSError, subprocess.SubprocessError) as failure:
            figures = {"failed": f"Phoenix was not measured: {failure}"}
        out.write_text(json.dumps(figures))

    def result(self) -> Json:
        """All figures measured so far."""
        found: Json = {"cores": os.cpu_count(), "system": platform.platform()}
        measured = {name: self.read(f"ask-{name}") for name in (GAUGE, *OTHERS)}
        loads = {name: self.read(f"load-{name}") for name in (GAUGE, *OTHERS)}
        if all(measured.values()):
            found["rounds"] = len(measured[GAUGE]["questions"]["q1"]["elapsed_ms"])
            measured[GAUGE]["version"] = f"chatgauge {measured[GAUGE]['version']}"
            found["versions"] = {name: one["version"] for name, one in measured.items()}
            found["memory"] = {name: report.memory_text(one) for name, one in measured.items()}
            found["questions"] = report.queries(measured)
        if all(loads.values()):
            loads[GAUGE]["version"] = "chatgauge, 10,000 a batch, with rollups and indexes"
            found["loads"] = loads
        found |= {name: figures for name in ("ingest", "otlp") if (figures := self.read(name))}
        return found

    def read(self, name: str) -> Json:
        path = self.figures(name)
        found: Json = json.loads(path.read_text()) if path.exists() else {}
        return found

    def forget(self) -> None:
        for name in OTHERS:
            shutil.rmtree(self.folder / name, ignore_errors=True)
        self.parquet.unlink(missing_ok=True)


def cargo(bench: str, *rest: str) -> dict[str, float]:
    """Runs a benchmark; returns the figures that it printed."""
    command = ["cargo", "bench", "--locked", "--bench", bench, "--", *rest]
    printed = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    figures = (json.loads(line) for line in printed.splitlines() if line.startswith("{"))
    return {figure["bench"]: figure["value"] for figure in figures}


def phoenix() -> Path:
    """The Python of an environment with Phoenix, which is installed the first time."""
    folder = TARGET / "compare" / "phoenix"
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "--requirement", str(HERE / "requirements-phoenix.txt")]
    subprocess.run(install, check=True, timeout=INSTALL_WITHIN_S)
    return python


def version_of(python: Path, package: str) -> str:
    code = f"from importlib.metadata import version; print(version({package!r}))"
    found = subprocess.run([str(python), "-c", code], check=True, stdout=subprocess.PIPE, text=True)
    return f"Phoenix {found.stdout.strip()}"


def main() -> int:
    given = arguments()
    run = Run(given)
    for part in filter(None, given.only.split(",")):
        run.part(part)
    result = run.result()
    out = run.folder.parent / f"compare-{run.database.stem}.json"
    out.write_text(json.dumps(result, indent=1))
    print("\n".join(report.tables(result)))
    print(f"\n{out}", file=sys.stderr)
    if not given.keep:
        run.forget()
    differ = sum(len(texts) for one in result.get("questions", {}).values() for texts in one["differences"].values())
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
