"""Two warehouses, one truth: every mart of one engine against the same mart of another, row by row and to the column.

Both sides come as Arrow into one DuckDB of their own, which joins them by the mart's key. Numbers are equal within
`TOLERANCE`, since engines add in different orders; everything else is equal or it is not.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.adapters.warehouse.copying import copy_table

TOLERANCE = 1e-9
"""Of two numbers' difference, relative to the larger one where that is above 1."""
OF_A_RUN = {
    "score_id": "names the bundle that scored",
    "bundle_sha": "each engine hashes its training rows in its own way, so equal models are bundles of two names",
    "decided_at": "when a run decided",
}
"""Columns that are not compared, and why: two homes that run the same graph differ in them, and mean the same."""
SIDES = ("left_rows", "right_rows")
EXAMPLES = 3
_KEY_TEST = "unique_key"
_APPROXIMATE = ("DOUBLE", "FLOAT", "DECIMAL")
_NESTED = ("STRUCT", "MAP", "[]")


@dataclass(frozen=True)
class Mart:
    """A table with what tells its rows apart: column names, or expressions over them."""

    table: str
    keys: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """One mart on both sides. `columns` are those that differ, with the number of rows in which they do."""

    table: str
    rows: tuple[int, int]
    missing: tuple[int, int] = (0, 0)
    """Keys that the left side has alone, and the right side alone."""
    columns: Mapping[str, int] = field(default_factory=dict)
    absent: Sequence[str] = ()
    """Columns, or the whole table, that one side lacks; in words."""
    examples: Sequence[str] = ()
    """A few differences in words: key, column and both values."""

    @property
    def equal(self) -> bool:
        return not (self.columns or self.absent or any(self.missing)) and self.rows[0] == self.rows[1]


def marts(manifest: Mapping[str, Any], schema: str = "gold") -> list[Mart]:
    """The tables dbt makes in `schema`, with the key that its own test holds them to; views are read as well."""
    made = {
        name: node
        for name, node in manifest["nodes"].items()
        if node["resource_type"] in ("model", "seed") and node["schema"] == schema
    }
    keys = {
        node["attached_node"]: tuple(node["test_metadata"]["kwargs"]["columns"])
        for node in manifest["nodes"].values()
        if node["resource_type"] == "test" and (node.get("test_metadata") or {}).get("name") == _KEY_TEST
    }
    # Without a key test, rows are told apart by all they hold but numbers with a fraction, lists and structs.
    return sorted(
        (Mart(f"{schema}.{node['name']}", keys.get(name, ())) for name, node in made.items()),
        key=lambda mart: mart.table,
    )


def compare(left: Warehouse, right: Warehouse, mart: Mart, names: tuple[str, str] = ("left", "right")) -> Comparison:
    """Compare `mart` on both sides; memory is bounded by DuckDB, which spills to a folder that is gone afterwards."""
    there = [side.exists(mart.table) for side in (left, right)]
    if not all(there):
        lacking = [f"the table in {name}" for name, found in zip(names, there, strict=True) if not found]
        counts = [side.count(mart.table) if found else 0 for side, found in zip((left, right), there, strict=True)]
        return Comparison(mart.table, (counts[0], counts[1]), absent=lacking)
    with tempfile.TemporaryDirectory(prefix="parity-") as folder:
        connection = duckdb.connect(str(Path(folder) / "parity.duckdb"))
        try:
            for side, warehouse in zip(SIDES, (left, right), strict=True):
                copy_table(warehouse, mart.table, connection, side)
            return _joined(connection, mart, names)
        finally:
            connection.close()


# ---------------------------------------------------------------- inside


def _joined(connection: duckdb.DuckDBPyConnection, mart: Mart, names: tuple[str, str]) -> Comparison:
    types = [_types(connection, side) for side in SIDES]
    both = types[0].keys() & types[1].keys()
    shared = {name: kind for name, kind in types[0].items() if name in both and name not in OF_A_RUN}
    absent = [
        f"column {name} in {names[1 - number]}" for number, own in enumerate(types) for name in own if name not in both
    ]
    rows = tuple(_number(connection, f"select count(*) from {side}") for side in SIDES)
    keys = tuple(key for key in mart.keys if key not in OF_A_RUN)
    keys = keys or tuple(f'"{name}"' for name, kind in shared.items() if _is_exact(kind, types[1][name]))
    _with_key(connection, keys)
    left_alone, right_alone = (
        _number(connection, f"select count(*) from {own} anti join {other} using (_key, _nth)")
        for own, other in (SIDES, SIDES[::-1])
    )
    compared = {name: _differs(name, kind, types[1][name]) for name, kind in shared.items()}
    columns = _different(connection, compared)
    examples = [*_alone(connection, names), *_examples(connection, {name: compared[name] for name in columns}, names)]
    return Comparison(mart.table, (rows[0], rows[1]), (left_alone, right_alone), columns, absent, examples[:EXAMPLES])


def _is_exact(left: str, right: str) -> bool:
    """Whether both sides write the same value alike, so that a row can be known by it."""
    return not any(kind.startswith(_APPROXIMATE) or any(word in kind for word in _NESTED) for kind in (left, right))


def _with_key(connection: duckdb.DuckDBPyConnection, keys: Sequence[str]) -> None:
    """`_key` is the key as text; a row that shares it with another is told apart by its place among them."""
    parts = ", ' | ', ".join(f"coalesce(({key})::varchar, 'null')" for key in keys)
    for side in SIDES:
        keyed = f"select *, concat({parts}) as _key from {side}"
        nth = f"select *, row_number() over (partition by _key order by all_of_it) as _nth from ({_as_text(keyed)})"
        connection.execute(f"create or replace table {side} as select * exclude (all_of_it) from ({nth})")


def _as_text(keyed: str) -> str:
    return f"select *, keyed::varchar as all_of_it from ({keyed}) as keyed"


def _types(connection: duckdb.DuckDBPyConnection, side: str) -> dict[str, str]:
    return {name: kind for name, kind, *_ in connection.execute(f"describe {side}").fetchall()}


def _differs(name: str, left: str, right: str) -> str:
    """Predicate over both sides that holds where the column differs."""
    mine, yours = f'l."{name}"', f'r."{name}"'
    if left.startswith(_APPROXIMATE) or right.startswith(_APPROXIMATE):
        mine, yours = f"{mine}::double", f"{yours}::double"
        apart = f"abs({mine} - {yours}) > {TOLERANCE} * greatest(1, abs({mine}), abs({yours}))"
        return f"(({mine} is null) <> ({yours} is null) or coalesce({apart}, false))"
    if any(word in kind for kind in (left, right) for word in _NESTED):
        mine, yours = (_json(text, kind) for text, kind in ((mine, left), (yours, right)))
    elif left != right:
        mine, yours = f"{mine}::varchar", f"try_cast({yours} as {left})::varchar"
    return f"{mine} is distinct from {yours}"


def _json(column: str, kind: str) -> str:
    # An engine without lists of its own hands them over as JSON text.
    return f"json({column})::varchar" if kind == "VARCHAR" else f"to_json({column})::varchar"


_BOTH = f"{SIDES[0]} as l join {SIDES[1]} as r using (_key, _nth)"


def _different(connection: duckdb.DuckDBPyConnection, compared: Mapping[str, str]) -> dict[str, int]:
    counted = ", ".join(f"count(*) filter ({differs})" for differs in compared.values())
    found = connection.execute(f"select {counted} from {_BOTH}").fetchone()
    return {name: count for name, count in zip(compared, found or (), strict=True) if count}


def _examples(
    connection: duckdb.DuckDBPyConnection, compared: Mapping[str, str], names: tuple[str, str]
) -> Iterator[str]:
    for name, differs in compared.items():
        sql = f'select _key, l."{name}"::varchar, r."{name}"::varchar from {_BOTH} where {differs} order by all limit 1'
        for key, mine, yours in connection.execute(sql).fetchall():
            yield f"{key}: {name} is {mine} in {names[0]} and {yours} in {names[1]}"


def _alone(connection: duckdb.DuckDBPyConnection, names: tuple[str, str]) -> Iterator[str]:
    for own, other, name in zip(SIDES, SIDES[::-1], names, strict=True):
        sql = f"select _key from {own} anti join {other} using (_key, _nth) order by all limit 1"
        for (key,) in connection.execute(sql).fetchall():
            yield f"{key}: only in {name}"


def _number(connection: duckdb.DuckDBPyConnection, sql: str) -> int:
    row = connection.execute(sql).fetchone()
    return int(row[0]) if row else 0
