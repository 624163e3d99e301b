"""The interface of the other databases, which run inside this process."""

import importlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from queries import Dialect, Row

THREADS = 2
# Columns stored as 32 bits; a history with larger values fails to load.
SHORT = {
    "total_latency_us",
    "context_latency_us",
    "llm_latency_us",
    "time_to_first_token_us",
    "prompt_tokens",
    "completion_tokens",
    "cached_prompt_tokens",
    "reasoning_tokens",
}


class Database(Protocol):
    """A database in a folder of its own."""

    dialect: Dialect

    def version(self) -> str: ...

    def create(self, parquet: Path) -> None:
        """Creates the empty table; names become enumerations of the values in the file."""

    def load(self, parquet: Path) -> None:
        """Stores all rows; they are on disk when this returns."""

    def insert(self, rows: pa.RecordBatch) -> None:
        """Stores some rows; they are on disk when this returns."""

    def tidy(self) -> float:
        """Brings the table into its best layout; returns the seconds taken."""

    def disk_bytes(self) -> int:
        """Bytes of the table, after tidying."""

    def ways(self) -> dict[str, Callable[[str], object]]:
        """Ways to fetch a result into memory; the fastest is used."""

    def rows(self, sql: str) -> list[Row]:
        """The cells of a result, for the comparison."""

    def arrow(self, sql: str) -> pa.Table:
        """A large result."""

    def close(self) -> None: ...


# Module and class of each: a process loads only the library of its own database.
DATABASES = {"duckdb": ("duck", "DuckDb"), "clickhouse": ("click", "ClickHouse")}


def maker(name: str) -> Callable[[Path], Database]:
    module, kind = DATABASES[name]
    make: Callable[[Path], Database] = getattr(importlib.import_module(module), kind)
    return make


def empty(folder: Path) -> Path:
    """The folder, emptied."""
    shutil.rmtree(folder, ignore_errors=True)
    return folder
