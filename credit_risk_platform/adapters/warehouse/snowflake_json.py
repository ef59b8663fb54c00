"""Lists and structs as JSON, in which Snowflake takes and gives them.

They come back with their structure as the rows show it, numbers in them as doubles. JSON keeps a double only if it is
written without an exponent (Snowflake prints the others with 16 digits, one too few), so that is how it is written.
"""

from __future__ import annotations

import re
from typing import Any

import duckdb
import pyarrow as pa


class UnsupportedValueError(ValueError):
    """A value that Snowflake could not give back as it was."""


def to_json(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """Nested values as JSON text that keeps every bit of their doubles."""
    with duckdb.connect() as engine:
        engine.register("nested", pa.table({"v": column}))
        if is_list(column.type) and pa.types.is_floating(column.type.value_type):
            outside = engine.execute(f"select any_value(x) from (select unnest(v) as x from nested) where {_TOO_FAR}")
            _refuse(outside.fetchone(), name)
            return engine.execute(_POSITIONAL).to_arrow_table()["v"]
        text = engine.execute("select to_json(v)::varchar as v from nested").to_arrow_table()["v"]
        if _has_floats(column.type):
            engine.register("texts", pa.table({"v": text}))
            _refuse(
                engine.execute("select any_value(v) from texts where regexp_matches(v, ?)", [_EXPONENT]).fetchone(),
                name,
            )
    return text


def _refuse(found: Any, name: str) -> None:
    if found is not None and found[0] is not None:
        raise UnsupportedValueError(
            f"column {name}: {found[0]} inside a nested value would not come back from Snowflake as it was; "
            "keep it in a column of its own"
        )


_EXPONENT = r"[:\[,]-?(nan|NaN|inf|Infinity|[0-9.]+[eE])"
_TOO_FAR = "isnan(x) or isinf(x) or (x <> 0 and abs(x) < 1e-20) or abs(x) >= 1e37"
# 37 places behind the point hold 17 digits of all that is not too far: the same double is read again.
_NUMBER = """case when not contains(x::varchar, 'e') then x::varchar
    when abs(x) < 1 then format('{:.37f}', x) else format('{:.0f}', x) end"""
_POSITIONAL = f"""
    select '[' || array_to_string(list_transform(v, lambda x: coalesce({_NUMBER}, 'null')), ',') || ']' as v from nested
"""


def is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind)


def _has_floats(kind: pa.DataType) -> bool:
    if pa.types.is_nested(kind):
        return any(_has_floats(kind.field(i).type) for i in range(kind.num_fields))
    return bool(pa.types.is_floating(kind))


def from_json(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """JSON text as lists and structs, of the structure that all rows together show; texts where they show none."""
    with duckdb.connect() as engine:
        engine.register("texts", pa.table({"v": values.cast(pa.string())}))
        [(found,)] = engine.execute("select json_group_structure(v::json)::varchar from texts").fetchall()
        structure = _NUMBERS.sub(
            "DOUBLE", _UNKNOWN.sub("VARCHAR", '["VARCHAR"]' if found in (None, '"NULL"') else found)
        )
        read = "v::json ->> '$'" if structure == '"VARCHAR"' else f"from_json(v::json, {_literal(structure)})"
        return engine.execute(f"select {read} as v from texts").to_arrow_table()["v"]


_NUMBERS = re.compile(r'(?<=")(?:U?BIGINT|HUGEINT|U?INTEGER|DOUBLE)(?=")')


_UNKNOWN = re.compile(r'(?<=")(?:NULL|JSON)(?=")')


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
