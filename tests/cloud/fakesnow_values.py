"""Values on their way into fakesnow and out of it, as Snowflake has them. Runs in fakesnow's own environment."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import duckdb
import fakesnow.converter
import pyarrow as pa
import pyarrow.compute as pc
import sqlglot
from sqlglot import exp
from sqlglot.tokens import TokenType


def with_values(command: str, values: list[Any]) -> str:
    """Bound values take part in implicit casts as literals do; and fakesnow says some parts of a statement twice."""
    out, end = [], 0
    for token in sqlglot.tokenize(command, read="snowflake"):
        if token.text.startswith("?") and token.token_type is not TokenType.STRING:
            out += [command[end : token.start], _literal(values.pop(0))]
            end = token.start + 1
    return "".join(out) + command[end:]


def _literal(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool | int | Decimal):
        return str(value).upper()
    if isinstance(value, float):
        return f"'{value!r}'::DOUBLE"
    if isinstance(value, datetime):
        return f"'{value.astimezone(UTC).replace(tzinfo=None).isoformat(' ')}'::TIMESTAMP_NTZ"
    if isinstance(value, date):
        return f"'{value.isoformat()}'::DATE"
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r")
    return f"'{escaped}'"


def results(duck: duckdb.DuckDBPyConnection, transformed: exp.Expression, params: Any) -> exp.Expression:
    """What a query gives in Snowflake's types: a sum of whole numbers is a NUMBER(38, 0), a list an ARRAY.

    DuckDB's 128-bit integers would leave it as doubles, and fakesnow has no name for its lists.
    """
    query = transformed.expression if isinstance(transformed, exp.Create) else transformed
    if not isinstance(query, exp.Query):
        return transformed
    text = query.sql(dialect="duckdb")
    try:
        described = duck.execute(f"describe {text}", params).fetchall()
    except duckdb.Error:
        return transformed  # whoever runs it learns what is wrong
    casts = {name: _cast(name, kind) for name, kind, *_ in described if _cast(name, kind) is not None}
    if casts:
        exact = ", ".join(f'{cast} as "{name}"' for name, cast in casts.items())
        new = sqlglot.parse_one(f"select * replace ({exact}) from ({text})", read="duckdb")
        if query is transformed:
            return new
        transformed.set("expression", new)
    return transformed


def _cast(name: str, kind: str) -> str | None:
    if kind in ("HUGEINT", "UHUGEINT"):
        return f'"{name}"::decimal(38, 0)'
    return f'to_json("{name}")' if kind.endswith("[]") or kind.startswith(("STRUCT", "MAP")) else None


def binding(given: dict[str, Any]) -> Any:
    """A bound number with a point is a number; fakesnow hands it on as text."""
    value, kind = given["value"], given["type"]
    if value is None:
        return None
    if kind == "FIXED" and not value.lstrip("-").isdigit():
        return Decimal(value)
    return float(value) if kind == "REAL" else _binding(given)


_binding = fakesnow.converter.from_binding


def timestamps(column: Any) -> Any:
    """A missing timestamp is missing; fakesnow makes 1970-01-01 of it."""
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    seconds = pc.floor_temporal(column, unit="second")
    epoch = pc.divide(seconds.cast(pa.timestamp("us", column.type.tz)).cast(pa.int64()), 1_000_000)
    nanos = pc.subtract(column.cast(pa.timestamp("ns", column.type.tz)).cast(pa.int64()), pc.multiply(epoch, 10**9))
    arrays = [pc.fill_null(epoch, 0), pc.fill_null(nanos.cast(pa.int32()), 0)]
    names = ["epoch", "fraction"]
    if column.type.tz:
        arrays.append(pa.array([1440] * len(column), pa.int32()))
        names.append("timezone")
    return pa.StructArray.from_arrays(arrays, names, mask=pc.is_null(column))


FLATTEN = """
create or replace macro ${catalog}._fs_flatten(input) as table
    select
        hash(to_json(input))::ubigint as SEQ, e.k as KEY, coalesce(e.k, '[' || e.i || ']') as PATH, e.i as INDEX,
        e.v as VALUE, to_json(input) as THIS
    from (
        select unnest(
            case when json_type(to_json(input)) = 'OBJECT'
                then list_transform(
                    json_keys(to_json(input)),
                    lambda x: struct_pack(k := x, v := cast(to_json(input) -> x as json), i := null::bigint)
                )
                else list_transform(
                    cast(to_json(input) as json[]),
                    lambda x, place: struct_pack(k := null::varchar, v := x, i := (place - 1)::bigint)
                )
            end, recursive := true
        )
    ) as e(k, v, i)
"""
"""FLATTEN with the place of each element: fakesnow counts the rows as they happen to come."""


TYPES = {
    "FLOAT": "real", "TINYINT": "fixed", "SMALLINT": "fixed", "USMALLINT": "fixed", "UINTEGER": "fixed",
    "UHUGEINT": "fixed", "TIMESTAMP_S": "timestamp_ntz", "TIMESTAMP_MS": "timestamp_ntz",
}  # fmt: skip
"""Of results: fakesnow refuses to describe them."""
