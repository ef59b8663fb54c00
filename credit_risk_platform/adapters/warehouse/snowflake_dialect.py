"""DuckDB's SQL, which every room and adapter speaks, in Snowflake's words.

sqlglot translates; the rules in `snowflake_rules.py` say what it leaves out or gets wrong. What Snowflake cannot say,
or would say differently, is refused by name: a statement that runs must mean the same on both engines.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from itertools import pairwise
from typing import Any

import sqlglot
from sqlglot.errors import SqlglotError

from credit_risk_platform.adapters.warehouse.snowflake_rules import RULES
from credit_risk_platform.adapters.warehouse.snowflake_tree import Given, UnsupportedSqlError

_MARK = re.compile(r"__p(\d+)__")


def translate(sql: str, params: Sequence[Any] = (), staged: frozenset[str] = frozenset()) -> tuple[str, list[Any]]:
    """(the statement for Snowflake, its parameters in the order of its own `?`).

    `staged` are tables of the caller's own, which stand in the statement under their bare names, or under those of the
    tables they are to replace: they become `scratch.<name>TRANSACTION`, with `TRANSACTION` for the caller to fill in. A
    list among the parameters is bound as JSON text. Raises `UnsupportedSqlError`.
    """
    lists = frozenset(place for place, value in enumerate(params, 1) if isinstance(value, list | tuple))
    text, order = _translated(sql, lists, staged)
    return text, [_bound(params[place - 1]) for place in order]


@lru_cache(maxsize=2_000)
def _translated(sql: str, lists: frozenset[int], staged: frozenset[str]) -> tuple[str, tuple[int, ...]]:
    try:
        statement: Any = sqlglot.parse_one(_marked(sql), read="duckdb")
    except SqlglotError as error:
        raise UnsupportedSqlError(f"what sqlglot cannot read ({str(error).splitlines()[0]})", sql) from error
    try:
        for rule in RULES:
            statement = rule(statement, Given(lists, staged))
        text = statement.sql(dialect="snowflake", unsupported_level=sqlglot.ErrorLevel.RAISE)
    except UnsupportedSqlError as error:
        raise UnsupportedSqlError(error.construct, sql) from None
    except SqlglotError as error:
        raise UnsupportedSqlError(str(error).splitlines()[0], sql) from error
    order = tuple(int(place) for place in _MARK.findall(text))
    return _MARK.sub("?", text), order


def _marked(sql: str) -> str:
    """With a name for each `?`: translation may turn parts around, or say one twice."""
    out, end, place = [], 0, 0
    tokens = sqlglot.tokenize(sql, read="duckdb")
    if any(one.text.lower() == "len" and two.text == "(" for one, two in pairwise(tokens)):
        raise UnsupportedSqlError("len(), of a text or of a list: it has length() and array_length()", sql)
    for token in tokens:
        if token.token_type.name in ("PLACEHOLDER", "QDCOLON"):  # `?`, `?::`
            place += 1
            out.append(f"{sql[end : token.start]}__p{place}__")
            end = token.start + 1
    return "".join(out) + sql[end:]


def _bound(value: Any) -> Any:
    """A parameter as Snowflake's connector takes it."""
    if isinstance(value, list | tuple):
        return json.dumps([_plain(item) for item in value])
    return value.item() if hasattr(value, "dtype") else value


def _plain(value: Any) -> Any:
    return (
        value.isoformat(" ")
        if isinstance(value, datetime)
        else value.isoformat()
        if hasattr(value, "isoformat")
        else value
    )


__all__ = ["UnsupportedSqlError", "translate"]
