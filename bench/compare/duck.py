"""DuckDB inside this process."""

from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import duckdb
import pyarrow as pa

from databases import SHORT, THREADS
from history import COLUMNS, NAMED
from queries import Dialect, Row


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
        # Referenced by name in the statement.
        batch = pa.Table.from_batches([rows])  # noqa: F841
        self.connection.execute("insert into requests select * from batch")

    def tidy(self) -> float:
        """Copies the database, which removes free pages."""
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
