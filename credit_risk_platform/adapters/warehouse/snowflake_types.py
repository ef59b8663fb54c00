"""Types between Arrow, as the DuckDB engine speaks it, and Snowflake.

Whole numbers are NUMBER(38, 0) in Snowflake, whatever they were: they come back as 64-bit integers, or as decimals
where they do not fit. Lists and structs are ARRAY and OBJECT (`snowflake_json.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from credit_risk_platform.adapters.warehouse.snowflake_json import UnsupportedValueError, from_json, is_list, to_json

if TYPE_CHECKING:
    from snowflake.connector.cursor import SnowflakeCursor

_NESTED = ("VARIANT", "OBJECT", "ARRAY", "MAP")


@dataclass(frozen=True)
class Column:
    """A column of a result: name in lower case, Snowflake's type, its precision and scale where it is a number."""

    name: str
    kind: str
    precision: int | None
    scale: int | None


def described(cursor: SnowflakeCursor) -> list[Column]:
    """What the statement that was run gives."""
    from snowflake.connector.constants import FIELD_ID_TO_NAME

    return [
        Column(one.name.lower(), FIELD_ID_TO_NAME[one.type_code].upper(), one.precision, one.scale)
        for one in cursor.description
    ]


def spoken(kind: str, precision: int | None = None, scale: int | None = None) -> str:
    """Snowflake's type in the words of the embedded engine, which contracts and pages speak. One it lacks stays."""
    if kind in ("NUMBER", "DECIMAL", "FIXED") and precision is not None:
        return f"DECIMAL({precision},{scale})" if scale else "BIGINT"
    return _SPOKEN.get(kind.split("(")[0], kind)


_SPOKEN = {
    "TEXT": "VARCHAR", "FLOAT": "DOUBLE", "TIMESTAMP_NTZ": "TIMESTAMP", "TIMESTAMP_TZ": "TIMESTAMP WITH TIME ZONE",
    "TIMESTAMP_LTZ": "TIMESTAMP WITH TIME ZONE", "BINARY": "BLOB", "ARRAY": "JSON", "OBJECT": "JSON", "VARIANT": "JSON",
}  # fmt: skip


def quoted(name: str) -> str:
    """An identifier. DuckDB knows no case in names, so all of ours stand in the case that Snowflake folds to."""
    return '"' + name.upper().replace('"', '""') + '"'


def of_arrow(kind: pa.DataType, *, raw: bool = False) -> str:
    """The column type that holds it; `raw` as it lies in the Parquet file, nested values as text."""
    if pa.types.is_nested(kind):
        return "varchar" if raw else "array" if is_list(kind) else "object"
    if pa.types.is_decimal(kind):
        return f"number({kind.precision}, {kind.scale})"
    for test, name in _SIMPLE:
        if test(kind):
            return name
    raise UnsupportedValueError(f"Snowflake has no column for Arrow's {kind}; cast it before it is written")


_SIMPLE = (
    (pa.types.is_boolean, "boolean"),
    (pa.types.is_integer, "number(38, 0)"),
    (pa.types.is_floating, "double"),
    (pa.types.is_date, "date"),
    (lambda kind: pa.types.is_timestamp(kind) and kind.tz is not None, "timestamp_tz"),
    (pa.types.is_timestamp, "timestamp_ntz(6)"),
    (pa.types.is_time, "time"),
    (lambda kind: pa.types.is_binary(kind) or pa.types.is_large_binary(kind), "binary"),
    (lambda kind: pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind), "varchar"),
)


def for_parquet(rows: pa.Table) -> pa.Table:
    """`rows` as they are uploaded: names folded, times in microseconds, nested values as JSON text."""
    columns = [_uploaded(rows.column(i), rows.schema.names[i]) for i in range(rows.num_columns)]
    return pa.Table.from_arrays(columns, names=[name.upper() for name in rows.schema.names])


def _uploaded(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    kind = column.type
    if pa.types.is_null(kind):
        return column.cast(pa.string())
    if pa.types.is_timestamp(kind):
        return column.cast(pa.timestamp("us", kind.tz))
    return to_json(column, name) if pa.types.is_nested(kind) else column


def with_json(file: Path, target: Path) -> Path:
    """A Parquet file with its nested values as text, batch by batch."""
    with pq.ParquetFile(file) as source:
        empty = for_parquet(source.schema_arrow.empty_table())
        with pq.ParquetWriter(target, empty.schema, compression="zstd") as writer:
            for batch in source.iter_batches():
                writer.write_table(for_parquet(pa.Table.from_batches([batch])))
    return target


# -------------------------------------------------------------------- back


def as_duckdb(rows: pa.Table, columns: Sequence[Column]) -> pa.Table:
    """A result as the DuckDB engine would give it."""
    arrays = [_read(rows.column(i), column) for i, column in enumerate(columns)]
    return pa.Table.from_arrays(arrays, names=[column.name for column in columns])


def _read(values: pa.ChunkedArray, column: Column) -> pa.ChunkedArray:
    if column.kind in _NESTED:
        return from_json(values)
    if column.kind == "FIXED":
        return _number(values, column)
    if pa.types.is_timestamp(values.type):
        return values.cast(pa.timestamp("us", "UTC" if values.type.tz else None))
    if column.kind == "TEXT":
        return values.cast(pa.string())
    return values


def _number(values: pa.ChunkedArray, column: Column) -> pa.ChunkedArray:
    if column.scale:
        return values.cast(pa.decimal128(column.precision or 38, column.scale))
    if pa.types.is_integer(values.type):
        return values.cast(pa.int64())
    try:
        return values.cast(pa.int64())
    except pa.ArrowInvalid:
        return values.cast(pa.decimal128(38, 0))


def ddl(columns: Sequence[Column]) -> str:
    """Column definitions of a table that holds what a query gives."""
    return ", ".join(f"{quoted(column.name)} {_type(column)}" for column in columns)


def _type(column: Column) -> str:
    if column.kind == "FIXED":
        return f"number({column.precision or 38}, {column.scale or 0})"
    return {"REAL": "double", "TEXT": "varchar", "TIMESTAMP_NTZ": "timestamp_ntz(6)"}.get(
        column.kind, column.kind.lower()
    )
