"""ClickHouse inside this process: chdb."""

import json
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import chdb
import pyarrow as pa
from chdb.session import Session

from databases import SHORT, THREADS
from history import COLUMNS, NAMED
from queries import Dialect, Row


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
        """An enumeration in which empty text is the missing value: faster than a null."""
        found = self.rows(f'select distinct "{name}" from file(\'{parquet}\') where "{name}" is not null order by 1')
        values = ["", *(str(row[0]) for row in found)]
        return f"Enum16({', '.join(f'{value!r} = {number}' for number, value in enumerate(values))})"

    def load(self, parquet: Path) -> None:
        self.session.query(f"insert into requests select * from file('{parquet}')")

    def insert(self, rows: pa.RecordBatch) -> None:
        # Referenced by name in the statement.
        batch = pa.Table.from_batches([rows])  # noqa: F841
        self.session.query("insert into requests select * from Python(batch)")

    def tidy(self) -> float:
        """Merges all parts into one."""
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
