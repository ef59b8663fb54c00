"""Copies of scores and decisions in PostgreSQL, for programs that ask for one application at a time, all day long.

The warehouse stays the truth. A copy takes over the days that differ, each table in one transaction together with what
it was copied from: readers see the day before or after, and a copy that is killed leaves nothing behind.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from credit_risk_platform.adapters.sources.sql_database_url import POSTGRESQL, Address, SourceError, SourceSettingError
from credit_risk_platform.adapters.warehouse.base import Warehouse

if TYPE_CHECKING:
    from psycopg import Connection

SCHEMA, STATE = "credit_risk", "copied_days"
_TYPES = {
    "VARCHAR": "text",
    "DOUBLE": "double precision",
    "BIGINT": "bigint",
    "INTEGER": "integer",
    "BOOLEAN": "boolean",
    "DATE": "date",
    "TIMESTAMP": "timestamp",
    "VARCHAR[]": "text[]",
    "JSON": "text[]",  # so Snowflake's warehouse calls what is nested: of what is served, lists of text alone
}
_CONNECT_SECONDS, NAME = 10, "credit-risk"


@dataclass(frozen=True)
class Served:
    """A table of the warehouse with a column `day` and what applications look it up by."""

    source: str
    name: str
    key: tuple[str, ...]
    looked_up_by: tuple[str, ...]
    day: str = "as_of"


TABLES = (
    Served("gold.application_scores", "scored_applications", ("topic", "event_id"), ("loan_id", "score_id")),
    Served("gold.decisions", "decisions", ("score_id",), ("loan_id",)),
)


@dataclass(frozen=True)
class Copied:
    """What one copy did. `rows` are all that the store holds now, counted there."""

    rows: int
    days: Sequence[date]
    written: int
    removed: int


def copy(warehouse: Warehouse, served: Served, store: Address, told: Callable[[date, int], None]) -> Copied:
    """Make the store's table equal to the warehouse's; `told` hears each day with its rows.

    Raises:
        SourceError: the store is away, refuses, or is no PostgreSQL. Nothing of the driver's own message is passed on.
    """
    types = _column_types(warehouse, served)
    with _connected(store) as connection, connection.transaction():
        _prepare(connection, served, types)
        there, here = _copied(connection, served), _days(warehouse, served, list(types))
        removed = sum(_delete(connection, served, day) for day in there.keys() - here.keys())
        differing = sorted(day for day, state in here.items() if there.get(day) != state)
        written = 0
        for day in differing:
            removed += _delete(connection, served, day)
            count = _write(connection, warehouse, served, day, list(types))
            if count == here[day][0]:  # else rows came meanwhile: the next copy takes the day once more
                _remember(connection, served, day, here[day])
            told(day, count)
            written += count
        rows = _one(connection, f"select count(*) from {SCHEMA}.{served.name}")
    return Copied(rows, differing, written, removed)


# ---------------------------------------------------------------- the warehouse's side


def _column_types(warehouse: Warehouse, served: Served) -> dict[str, str]:
    found = warehouse.columns(served.source)
    if unknown := sorted({kind for kind in found.values() if kind not in _TYPES}):
        raise TypeError(f"{served.source} has columns of {', '.join(unknown)}: say in _TYPES what PostgreSQL keeps")
    return {name: _TYPES[kind] for name, kind in found.items()}


def _days(warehouse: Warehouse, served: Served, columns: Sequence[str]) -> dict[date, tuple[int, str]]:
    """Day -> (rows, fingerprint): the same engine gives the same fingerprint for the same rows, in any order."""
    listed = ", ".join(f'"{name}"' for name in columns)
    found = warehouse.query(
        f"select {served.day} as day, count(*) as n, cast(sum(hash({listed})) as varchar) as fingerprint "
        f"from {served.source} group by {served.day} order by {served.day}"
    )
    states = zip(found["n"].to_pylist(), found["fingerprint"].to_pylist(), strict=True)
    return dict(zip(found["day"].to_pylist(), states, strict=True))


# ---------------------------------------------------------------- the store's side


def _prepare(connection: Connection[Any], served: Served, types: Mapping[str, str]) -> None:
    """Tables, columns and indexes that are absent. One copy at a time: the lock ends with the transaction."""
    run = connection.execute
    run("select pg_advisory_xact_lock(hashtext(%s))", [f"{SCHEMA}.{served.name}"])
    run(f"create schema if not exists {SCHEMA}")
    run(
        f"create table if not exists {SCHEMA}.{STATE} (relation text, day date, rows bigint, fingerprint text, "
        "copied_at timestamptz, primary key (relation, day))"
    )
    listed = ", ".join(f'"{name}" {kind}' for name, kind in types.items())
    keys = ", ".join(f'"{name}"' for name in served.key)
    run(f"create table if not exists {SCHEMA}.{served.name} ({listed}, primary key ({keys}))".encode())
    for name, kind in types.items():
        run(f'alter table {SCHEMA}.{served.name} add column if not exists "{name}" {kind}'.encode())
    for name in (*served.looked_up_by, served.day):
        run(f"create index if not exists {served.name}_{name} on {SCHEMA}.{served.name} ({name})".encode())


def _copied(connection: Connection[Any], served: Served) -> dict[date, tuple[int, str]]:
    sql = f"select day, rows, fingerprint from {SCHEMA}.{STATE} where relation = %s"
    return {day: (rows, mark) for day, rows, mark in connection.execute(sql.encode(), [served.name])}


def _remember(connection: Connection[Any], served: Served, day: date, state: tuple[int, str]) -> None:
    sql = (
        f"insert into {SCHEMA}.{STATE} values (%s, %s, %s, %s, now()) on conflict (relation, day) "
        "do update set rows = excluded.rows, fingerprint = excluded.fingerprint, copied_at = excluded.copied_at"
    )
    connection.execute(sql.encode(), [served.name, day, *state])


def _delete(connection: Connection[Any], served: Served, day: date) -> int:
    connection.execute(f"delete from {SCHEMA}.{STATE} where relation = %s and day = %s".encode(), [served.name, day])
    return connection.execute(f"delete from {SCHEMA}.{served.name} where {served.day} = %s".encode(), [day]).rowcount


def _write(connection: Connection[Any], warehouse: Warehouse, served: Served, day: date, columns: Sequence[str]) -> int:
    listed = ", ".join(f'"{name}"' for name in columns)
    count = 0
    with (
        warehouse.stream(f"select {listed} from {served.source} where {served.day} = ?", [day], 50_000) as batches,
        connection.cursor() as cursor,
        cursor.copy(f"copy {SCHEMA}.{served.name} ({listed}) from stdin (format csv)".encode()) as stream,
    ):
        for batch in batches:
            stream.write(_as_csv(batch))
            count += batch.num_rows
    return count


def _as_csv(batch: pa.RecordBatch) -> bytes:
    """Unquoted and empty is null, as PostgreSQL reads it; lists of text in its own spelling."""
    columns = [_as_array(one) if pa.types.is_list(one.type) else one for one in batch.columns]
    text = io.BytesIO()
    plain = pa.table(columns, names=batch.schema.names)
    csv.write_csv(plain, text, csv.WriteOptions(include_header=False, quoting_style="needed"))
    return text.getvalue()


def _as_array(lists: pa.ListArray) -> pa.Array:
    """Lists as PostgreSQL spells arrays: every element in quotes, those and backslashes escaped."""
    texts = lists.flatten()
    for plain, escaped in (("\\", "\\\\"), ('"', '\\"')):
        texts = pc.replace_substring(texts, plain, escaped)
    quoted = pc.binary_join_element_wise('"', texts, '"', "")
    spelled = pc.coalesce(quoted, pa.scalar("null"))
    sizes = pc.fill_null(pc.list_value_length(lists), 0)
    ends = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(sizes).cast(pa.int32())])
    joined = pc.binary_join(pa.ListArray.from_arrays(ends, spelled), ",")
    braced = pc.binary_join_element_wise("{", joined, "}", "")
    return pc.if_else(lists.is_valid(), braced, pa.scalar(None, pa.string()))


def _one(connection: Connection[Any], sql: str) -> int:
    row = connection.execute(sql.encode()).fetchone()
    assert row is not None
    return int(row[0])


@contextmanager
def _connected(store: Address) -> Iterator[Connection[Any]]:
    import psycopg

    if store.url.get_backend_name() != POSTGRESQL:
        step = f"Write {store.variable} as postgresql+psycopg://USER:PASSWORD@HOST:5432/DATABASE?sslmode=verify-full."
        raise SourceSettingError(store.system, f"{store.variable} names no PostgreSQL.", step)
    trouble: tuple[str, str] | None = None
    try:
        _, options = store.url.get_dialect()().create_connect_args(store.url)
        with psycopg.connect(**{"connect_timeout": _CONNECT_SECONDS, **options}, application_name=NAME) as connection:
            yield connection
    except psycopg.Error as error:
        trouble = _trouble(error)
    if trouble:  # here and not above, so that the driver's error, which may quote the URL, is no part of ours
        problem, step = trouble
        raise SourceError(store.system, f"{problem} at {store.place}", f"{step} ({store.variable}).")


def _trouble(error: Exception) -> tuple[str, str]:
    state = getattr(error, "sqlstate", None)
    if state is None:
        return "it cannot be reached", "See that the server runs, and that host, port, user and password are right"
    if state == "42501":
        return "its user may not write", "Grant it create on the database, or the schema credit_risk"
    return f"it refused the copy (SQLSTATE {state})", "Look at the server's log; nothing was changed"
