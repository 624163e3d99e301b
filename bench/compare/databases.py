"""DuckDB and ClickHouse (chdb), inside this process: how each stores the rows and is asked."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Protocol

import chdb
import duckdb
import pyarrow as pa
from chdb.session import Session

from history import COLUMNS, NAMED
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


class DuckDb:
    """Rows in order of time, names as enumerations, one file."""

    dialect = Dialect(
        minute="date_trunc('minute', started_at)",
        hour="date_trunc('hour', started_at)",
        day="date_trunc('day', started_at)",
        instant=lambda ms: f"make_timestamp_ms({ms})",
        percentiles={
            "quantile_disc": lambda column, levels: f"quantile_disc({column}, {list(levels)})",
            "approx_quantile": lambda column, levels: f"approx_quantile({column}, {list(levels)})",
        },
    )

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "requests.duckdb"
        self.connection = self.open()

    def open(self) -> duckdb.DuckDBPyConnection:
        connection = duckdb.connect(str(self.path), config={"threads": THREADS})
        connection.execute("set enable_progress_bar = false")
        return connection

    def version(self) -> str:
        return f"DuckDB {duckdb.__version__}"

    def create(self, parquet: Path) -> None:
        for name in NAMED:
            values = f'select distinct "{name}" from \'{parquet}\' where "{name}" is not null order by 1'
            self.connection.execute(f"create type {name}_name as enum ({values})")
        columns = [f'"{column.name}" {self.kind(column.name, column.kind)}' for column in COLUMNS]
        self.connection.execute(f"create table requests ({', '.join(columns)})")

    @staticmethod
    def kind(name: str, kind: pa.DataType) -> str:
        if name in NAMED:
            return f"{name}_name"
        if name in SHORT:
            return "uinteger"
        return {
            pa.timestamp("ms"): "timestamp",
            pa.uuid(): "uuid",
            pa.bool_(): "boolean",
            pa.int16(): "smallint",
            pa.int64(): "bigint",
            pa.string(): "varchar",
        }[kind]

    def load(self, parquet: Path) -> None:
        self.connection.execute(f"insert into requests select * from '{parquet}'")
        self.connection.execute("checkpoint")

    def insert(self, rows: pa.RecordBatch) -> None:
        # Found by its name.
        batch = pa.Table.from_batches([rows])  # noqa: F841
        self.connection.execute("insert into requests select * from batch")

    def tidy(self) -> float:
        """A copy has no free pages between the rows."""
        start = perf_counter()
        copy = self.path.with_suffix(".copy")
        self.connection.execute(f"attach '{copy}' as copy")
        source = self.connection.execute("select current_database()").fetchall()[0][0]
        self.connection.execute(f'copy from database "{source}" to copy')
        self.connection.execute("checkpoint copy")
        self.connection.execute("detach copy")
        self.connection.close()
        copy.rename(self.path)
        self.connection = self.open()
        return perf_counter() - start

    def disk_bytes(self) -> int:
        return self.path.stat().st_size

    def ways(self) -> dict[str, Callable[[str], object]]:
        return {
            "fetchall": lambda sql: self.connection.execute(sql).fetchall(),
            "arrow": lambda sql: self.connection.sql(sql).to_arrow_table(),
        }

    def rows(self, sql: str) -> list[Row]:
        return list(self.connection.execute(sql).fetchall())

    def arrow(self, sql: str) -> pa.Table:
        return self.connection.sql(sql).to_arrow_table()

    def close(self) -> None:
        self.connection.close()


class ClickHouse:
    """A MergeTree ordered by time, names as enumerations; every insert is synced."""

    dialect = Dialect(
        minute="toStartOfMinute(started_at)",
        hour="toStartOfHour(started_at)",
        day="toDate(started_at)",
        instant=lambda ms: f"fromUnixTimestamp64Milli({ms}, 'UTC')",
        percentiles={
            "quantilesExact": lambda column, levels: f"quantilesExact({', '.join(map(str, levels))})({column})",
            "quantilesDD": lambda column, levels: f"quantilesDD(0.01, {', '.join(map(str, levels))})({column})",
            "quantilesTDigest": lambda column, levels: f"quantilesTDigest({', '.join(map(str, levels))})({column})",
            "quantiles": lambda column, levels: f"quantiles({', '.join(map(str, levels))})({column})",
        },
    )

    def __init__(self, folder: Path) -> None:
        self.path = folder
        self.session = Session(str(folder))
        self.session.query(f"set max_threads = {THREADS}, max_query_size = 10000000")
        self.session.query("create database if not exists bench engine = Atomic")
        self.session.query("use bench")

    def version(self) -> str:
        return f"ClickHouse {self.rows('select version()')[0][0]} (chdb {chdb.__version__})"

    def create(self, parquet: Path) -> None:
        columns = [f'"{column.name}" {self.kind(column.name, column.kind, parquet)}' for column in COLUMNS]
        self.session.query(f"""
            create table requests ({", ".join(columns)}) engine = MergeTree order by started_at
            settings fsync_after_insert = 1, fsync_part_directory = 1""")

    def kind(self, name: str, kind: pa.DataType, parquet: Path) -> str:
        if name in NAMED:
            return self.enumeration(name, parquet)
        if name in SHORT:
            return "Nullable(UInt32)"
        return {
            pa.timestamp("ms"): "DateTime64(3, 'UTC') codec(Delta, LZ4)",
            pa.uuid(): "UUID",
            pa.bool_(): "Bool" if name == "cache_hit" else "Nullable(Bool)",
            pa.int16(): "Nullable(Int16)",
            pa.int64(): "Nullable(Int64)",
            pa.string(): "LowCardinality(Nullable(String))" if name == "tags" else "Nullable(String)",
        }[kind]

    def enumeration(self, name: str, parquet: Path) -> str:
        """What is missing is empty text: that is faster than a null."""
        found = self.rows(f'select distinct "{name}" from file(\'{parquet}\') where "{name}" is not null order by 1')
        values = ["", *(str(row[0]) for row in found)]
        return f"Enum16({', '.join(f'{value!r} = {place}' for place, value in enumerate(values))})"

    def load(self, parquet: Path) -> None:
        self.session.query(f"insert into requests select * from file('{parquet}')")

    def insert(self, rows: pa.RecordBatch) -> None:
        # Found by its name.
        batch = pa.Table.from_batches([rows])  # noqa: F841
        self.session.query("insert into requests select * from Python(batch)")

    def tidy(self) -> float:
        """One part."""
        start = perf_counter()
        self.session.query("optimize table requests final")
        return perf_counter() - start

    def disk_bytes(self) -> int:
        sizes = "select sum(bytes_on_disk) from system.parts where active and table = 'requests'"
        return int(str(self.rows(sizes)[0][0]))

    def ways(self) -> dict[str, Callable[[str], object]]:
        return {"arrow": lambda sql: self.session.query(sql, "Arrow").bytes()}

    def rows(self, sql: str) -> list[Row]:
        found: list[Row] = json.loads(str(self.session.query(sql, "JSONCompact")))["data"]
        return found

    def arrow(self, sql: str) -> pa.Table:
        return pa.ipc.open_file(self.session.query(sql, "Arrow").bytes()).read_all()

    def close(self) -> None:
        self.session.close()


DATABASES: dict[str, Callable[[Path], Database]] = {"duckdb": DuckDb, "clickhouse": ClickHouse}


def empty(folder: Path) -> Path:
    """The folder, without what it had."""
    shutil.rmtree(folder, ignore_errors=True)
    return folder
