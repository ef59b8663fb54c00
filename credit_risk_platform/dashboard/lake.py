"""What the pages read: the marts of this home, through a connection that cannot write.

Rows are kept by (SQL, parameters, snapshot), for all readers together: who looks at what was looked at before waits for
nothing, and a new snapshot is a new key.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import streamlit as st

from credit_risk_platform.adapters.object_store import ObjectStore
from credit_risk_platform.adapters.warehouse.reader import ELSEWHERE, LakeReader, LakeState, NoLakeError
from credit_risk_platform.settings import Settings, Target, current

__all__ = ["NoLakeError", "NotThereError", "exists", "reader", "rows", "settings", "snapshot", "state"]

KEPT_RESULTS = 400
LOOK_AGAIN_SECONDS = 0.2
_looked: dict[Path, tuple[float, LakeState]] = {}
_TABLE = re.compile(r"\b((?:bronze|silver|gold|models|monitoring)\.[a-z_0-9]+)\b")


class NotThereError(LookupError):
    """A table that no run has made yet. `table` is its name, and with a slash for the dot the asset's key."""

    def __init__(self, table: str) -> None:
        self.table = table
        self.asset = table.replace(".", "/")
        super().__init__(f"{table} is not there yet: materialise {self.asset} in Dagster, or run crp demo")


def rows(sql: str, params: Sequence[Any] = ()) -> pa.Table:
    """Rows of a query; the same object for everyone who asks the same of the same snapshot.

    Raises:
        NotThereError: a table that the query names does not exist yet.
        NoLakeError: this home has no lake yet.
    """
    return _rows(sql, tuple(params), str(settings().paths.warehouse), snapshot())


def exists(table: str) -> bool:
    """Whether `schema.table` can be read now."""
    return _exists(table, str(settings().paths.warehouse), snapshot())


def snapshot() -> str:
    """Identifier of the state that the next query sees."""
    return state().snapshot


def state() -> LakeState:
    """That, and when it was written. One page asks some twenty times: within a fifth of a second the answer stays."""
    asked = reader()
    at, known = _looked.get(asked.root, (float("-inf"), None))
    if known is None or time.monotonic() - at > LOOK_AGAIN_SECONDS:
        known = asked.state()
        _looked[asked.root] = (time.monotonic(), known)
    return known


def reader() -> LakeReader:
    """The connection of this home."""
    own = settings()
    if own.target is Target.SNOWFLAKE:
        raise NoLakeError(ELSEWHERE)
    return _reader(own.paths.warehouse, own.duckdb_memory_limit, own.duckdb_threads, own.object_store)


def settings() -> Settings:
    """Settings of the home that `crp dashboard` was started for: it hands them over by the environment."""
    return current()


@st.cache_resource(show_spinner=False)
def _reader(root: Path, memory_limit: str | None, threads: int | None, store: ObjectStore | None) -> LakeReader:
    return LakeReader(root, memory_limit=memory_limit, threads=threads, store=store)


@st.cache_resource(show_spinner=False, max_entries=KEPT_RESULTS)
def _rows(sql: str, params: tuple[Any, ...], root: str, snapshot: str) -> pa.Table:  # noqa: ARG001 - parts of the key
    try:
        return reader().query(sql, params)
    except duckdb.CatalogException:
        for table in dict.fromkeys(_TABLE.findall(sql)):
            if not reader().exists(table):
                raise NotThereError(table) from None
        raise


@st.cache_resource(show_spinner=False, max_entries=KEPT_RESULTS)
def _exists(table: str, root: str, snapshot: str) -> bool:  # noqa: ARG001 - parts of the key
    return reader().exists(table)
