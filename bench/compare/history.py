"""Exports the rows of a chatgauge database as Parquet, which the other databases load."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

ROWS_AT_ONCE = 250_000


@dataclass(frozen=True)
class Column:
    """A column of `requests`; `names` is the query for the names of its ids."""

    name: str
    stored: str
    kind: pa.DataType
    names: str = ""


LABELS = "select label_id, nullif(name, '(none)') from labels"
COLUMNS = [
    Column("started_at", "started_at_ms", pa.timestamp("ms")),
    Column("request_id", "hex(request_id)", pa.uuid()),
    Column("source", "source", pa.int32(), "select source, name from sources"),
    Column("user", "user_id", pa.int32(), "select user_id, name from users"),
    Column("space", "space_id", pa.int32(), "select space_id, name from spaces"),
    Column("provider", "model_id", pa.int32(), "select model_id, provider from models"),
    Column("model", "model_id", pa.int32(), "select model_id, name from models"),
    Column("operation", "operation_id", pa.int32(), LABELS),
    Column("outcome", "outcome", pa.int32(), "select outcome, name from outcomes"),
    Column("error_type", "outcome", pa.int32(), "select outcome, error_type from outcomes"),
    Column("error_code", "error_code_id", pa.int32(), LABELS),
    Column("finish_reason", "finish_reason_id", pa.int32(), LABELS),
    Column("http_status", "http_status", pa.int16()),
    Column("cache_hit", "cache_hit", pa.bool_()),
    Column("streamed", "streamed", pa.bool_()),
    Column("attempt", "attempt", pa.int16()),
    Column("session", "session", pa.int64()),
    Column("total_latency_us", "total_latency_us", pa.int64()),
    Column("context_latency_us", "context_latency_us", pa.int64()),
    Column("llm_latency_us", "llm_latency_us", pa.int64()),
    Column("time_to_first_token_us", "time_to_first_token_us", pa.int64()),
    Column("prompt_tokens", "prompt_tokens", pa.int64()),
    Column("completion_tokens", "completion_tokens", pa.int64()),
    Column("cached_prompt_tokens", "cached_prompt_tokens", pa.int64()),
    Column("reasoning_tokens", "reasoning_tokens", pa.int64()),
    Column("cost_nano_usd", "cost_nano_usd", pa.int64()),
    Column("cost_source", "cost_source", pa.int16()),
    Column("provider_response_id", "provider_response_id", pa.string()),
    Column("tags", "tags", pa.string()),
]
# Columns with few enough values for an enumeration.
NAMED = [column.name for column in COLUMNS if column.names]


def open_read_only(database: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{database}?mode=ro", uri=True)


def batches(database: Path, limit: int | None = None) -> Iterator[pa.RecordBatch]:
    """The rows in the order of their arrival, at most `limit`."""
    connection = open_read_only(database)
    values = {column.name: Names(connection, column.names) for column in COLUMNS if column.names}
    stored = ", ".join(column.stored for column in COLUMNS)
    rows = connection.execute(f"select {stored} from requests order by seq limit ?", (-1 if limit is None else limit,))
    while chunk := rows.fetchmany(ROWS_AT_ONCE):
        arrays = [
            array(column, numbers, values.get(column.name))
            for column, numbers in zip(COLUMNS, zip(*chunk, strict=True), strict=True)
        ]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema())


class Names:
    """The names of a column's ids, as positions in one sorted list."""

    def __init__(self, connection: sqlite3.Connection, query: str) -> None:
        pairs = connection.execute(query).fetchall()
        self.values = pa.array(sorted({name for _, name in pairs if name is not None}), pa.string())
        position = {name: position for position, name in enumerate(self.values.to_pylist())}
        self.positions = {number: position.get(name) for number, name in pairs}

    def array(self, numbers: tuple[int, ...]) -> pa.DictionaryArray:
        positions = pa.array(map(self.positions.__getitem__, numbers), pa.int32(), size=len(numbers))
        return pa.DictionaryArray.from_arrays(positions, self.values)


def array(column: Column, values: tuple[Any, ...], names: Names | None) -> pa.Array:
    if names is not None:
        return names.array(values)
    if column.name == "request_id":
        return pa.ExtensionArray.from_storage(column.kind, pa.array(map(bytes.fromhex, values), pa.binary(16)))
    if pa.types.is_boolean(column.kind):
        return pa.array(values, pa.int8()).cast(column.kind)
    return pa.array(values, column.kind)


def schema() -> pa.Schema:
    kinds = [pa.dictionary(pa.int32(), pa.string()) if column.names else column.kind for column in COLUMNS]
    return pa.schema(list(zip((column.name for column in COLUMNS), kinds, strict=True)))


def export(database: Path, parquet: Path) -> int:
    """Writes all rows; returns their number."""
    rows = 0
    with pq.ParquetWriter(parquet, schema(), compression="zstd", compression_level=1) as writer:
        for batch in batches(database):
            writer.write_batch(batch)
            rows += batch.num_rows
    return rows
