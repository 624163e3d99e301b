"""What is asked of the other databases, each of which runs inside the process that asks."""

import importlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from questions import Dialect, Row

THREADS = 2
# Numbers that fit into 32 bits; a history in which they do not fails to load.
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
        """Makes the empty table; names become enumerations of what the file has."""

    def load(self, parquet: Path) -> None:
        """Stores all rows; they are on disk when this returns."""

    def insert(self, rows: pa.RecordBatch) -> None:
        """Stores some rows; they are on disk when this returns."""

    def tidy(self) -> float:
        """Brings the table into its best shape; seconds."""

    def disk_bytes(self) -> int:
        """Bytes of the table, after tidying."""

    def ways(self) -> dict[str, Callable[[str], object]]:
        """How a result comes into memory: the fastest is taken."""

    def rows(self, sql: str) -> list[Row]:
        """The cells of a result, for the comparison of answers."""

    def arrow(self, sql: str) -> pa.Table:
        """A large result."""

    def close(self) -> None: ...


# Module and class of each: a process loads no library but that of its own database.
DATABASES = {"duckdb": ("duck", "DuckDb"), "clickhouse": ("click", "ClickHouse")}


def maker(name: str) -> Callable[[Path], Database]:
    module, kind = DATABASES[name]
    make: Callable[[Path], Database] = getattr(importlib.import_module(module), kind)
    return make


def empty(folder: Path) -> Path:
    """The folder, without what it had."""
    shutil.rmtree(folder, ignore_errors=True)
    return folder
