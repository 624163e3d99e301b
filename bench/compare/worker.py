"""One database in a process of its own, so that its memory can be measured: loads rows or runs the queries."""

import argparse
import json
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from time import perf_counter

import numpy as np

from databases import DATABASES, Database, empty, maker
from history import batches
from queries import PERCENTILES, TITLES, Form, Result, exact_percentiles_sql, forms, unix_ms
from results import PERCENTILE_ERROR, largest_error_of_rank

# Number of runs of each form and way, to find the fastest.
TRIALS = 7
INGEST_ROWS = 300_000
INGEST_BATCHES = (1_000, 10_000)


@dataclass(frozen=True)
class Clock:
    """The instants at which the queries run: the same for all databases."""

    start_ms: int
    round_ms: int
    rounds: int

    def instant(self, round_number: int) -> int:
        return self.start_ms + (round_number + 1) * self.round_ms

    @property
    def last_ms(self) -> int:
        return self.instant(self.rounds - 1)


@dataclass(frozen=True)
class Choice:
    """The chosen form of a query, and the way to fetch its result."""

    position: int
    form: str
    way: str


def load(database: Database, parquet: Path) -> dict[str, object]:
    """Stores all rows by one statement."""
    start = perf_counter()
    database.create(parquet)
    database.load(parquet)
    load_s = perf_counter() - start
    tidy_s = database.tidy()
    rows = int(str(database.rows("select count(*) from requests")[0][0]))
    figures = {"version": database.version(), "rows": rows, "disk_bytes": database.disk_bytes()}
    database.close()
    return figures | {"load_s": load_s, "tidy_s": tidy_s}


def ingest(make: Callable[[Path], Database], folder: Path, history: Path, parquet: Path) -> dict[str, object]:
    """Stores rows in batches, each on disk before the next begins."""
    chunks = list(batches(history, INGEST_ROWS))
    rates: dict[str, float] = {}
    for size in INGEST_BATCHES:
        database = make(empty(folder))
        database.create(parquet)
        version = database.version()
        made = [chunk.slice(start, size) for chunk in chunks for start in range(0, chunk.num_rows, size)]
        start_s = perf_counter()
        for batch in made:
            database.insert(batch)
        rates[str(size)] = sum(batch.num_rows for batch in made) / (perf_counter() - start_s)
        stored = int(str(database.rows("select count(*) from requests where \"user\" <> ''")[0][0]))
        if stored != sum(chunk.num_rows for chunk in chunks):
            raise RuntimeError(f"{stored} rows were stored")
        database.close()
    empty(folder)
    return {"version": version, "rows": stored, "rows_per_s": rates}


def run_queries(make: Callable[[Path], Database], folder: Path, clock: Clock) -> dict[str, object]:
    """Times every query, and returns its result at the last instant."""
    libraries_mb = resident_mb()
    database = make(folder)
    first_ms = {query: first_run_ms(database, query, clock) for query in TITLES}
    exact = {query: exact_percentiles(database, query, clock.last_ms) for query in ("q2", "q7")}
    choices = {query: choose(database, query, clock.last_ms, exact.get(query)) for query in TITLES}
    elapsed_ms: dict[str, list[float]] = {query: [] for query in TITLES}
    for round_number in range(clock.rounds):
        for query, choice in choices.items():
            sql = forms(database.dialect, query, clock.instant(round_number))[choice.position].sql
            elapsed_ms[query].append(timed_ms(database.ways()[choice.way], sql))
    memory_mb = resident_mb()
    queries = {
        query: {
            "first_ms": first_ms[query],
            "elapsed_ms": elapsed_ms[query],
            "form": choice.form,
            "way": choice.way,
            "answer": result(database, forms(database.dialect, query, clock.last_ms)[choice.position]),
            "exact": exact.get(query),
        }
        for query, choice in choices.items()
    }
    version = database.version()
    database.close()
    return {"version": version, "memory_mb": memory_mb, "libraries_mb": libraries_mb, "questions": queries}


def first_run_ms(database: Database, query: str, clock: Clock) -> float:
    way = next(iter(database.ways().values()))
    return timed_ms(way, forms(database.dialect, query, clock.start_ms)[0].sql)


def timed_ms(way: Callable[[str], object], sql: str) -> float:
    start = perf_counter()
    way(sql)
    return (perf_counter() - start) * 1e3


def choose(database: Database, query: str, now_ms: int, exact: dict[str, list[float]] | None) -> Choice:
    """The fastest form and way with correct percentiles."""
    best, best_ms = None, float("inf")
    for position, form in enumerate(forms(database.dialect, query, now_ms)):
        error = largest_error_of_rank(result(database, form), exact) if exact else 0.0
        if error > PERCENTILE_ERROR:
            print(f"  {query} without {form.name}: off by {100 * error:.1f} %", file=sys.stderr)
            continue
        for name, way in database.ways().items():
            median_ms = statistics.median(timed_ms(way, form.sql) for _ in range(TRIALS))
            if median_ms < best_ms:
                best, best_ms = Choice(position, form.name, name), median_ms
    if best is None:
        raise RuntimeError(f"no form of {query} is correct")
    return best


def result(database: Database, form: Form) -> Result:
    return form.read(database.rows(form.sql))


def exact_percentiles(database: Database, query: str, now_ms: int) -> dict[str, list[float]]:
    """For each percentile the value at its rank, the one before and the one after it, in milliseconds."""
    table = database.arrow(exact_percentiles_sql(database.dialect, query, now_ms))
    buckets = table.column(0).to_numpy()
    latencies_ms = table.column(1).to_numpy() / 1e3
    starts = np.flatnonzero(np.r_[True, buckets[1:] != buckets[:-1]])
    found = {}
    for start, end in zip(starts, [*starts[1:], len(buckets)], strict=True):
        within = latencies_ms[start:end]
        for name, level in PERCENTILES.items():
            if query == "q7" and name != "p95":
                continue
            rank = ceil(level * len(within)) - 1
            key = name if query == "q7" else f"{bucket_ms(table.column(0)[int(start)].as_py())} {name}"
            found[key] = [
                float(within[rank]),
                float(within[max(rank - 1, 0)]),
                float(within[min(rank + 1, len(within) - 1)]),
            ]
    return found


def bucket_ms(cell: object) -> int:
    """A bucket's start in Unix milliseconds; ClickHouse returns seconds."""
    return cell * 1_000 if isinstance(cell, int) else unix_ms(cell)


def resident_mb() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return float(line.split()[1]) * 1_024 / 1e6
    raise RuntimeError("no VmRSS")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("task", choices=["load", "ask", "ingest"])
    parser.add_argument("database", choices=list(DATABASES))
    for path in ("folder", "parquet", "out"):
        parser.add_argument(path, type=Path)
    parser.add_argument("--history", type=Path, help="for ingest: the chatgauge database that the rows come from")
    parser.add_argument("--clock", type=int, nargs=3, help="for ask: start_ms, round_ms, rounds")
    given = parser.parse_args()
    make = maker(given.database)
    if given.task == "load":
        figures = load(make(empty(given.folder)), given.parquet)
    elif given.task == "ingest":
        figures = ingest(make, given.folder, given.history, given.parquet)
    else:
        figures = run_queries(make, given.folder, Clock(*given.clock))
    given.out.write_text(json.dumps(figures))


if __name__ == "__main__":
    main()
