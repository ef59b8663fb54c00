"""The tools of the rules: what they are given, how they refuse, how they find and replace parts of a syntax tree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import sqlglot
from sqlglot import exp


@dataclass(frozen=True)
class Given:
    """What a statement comes with: the places of parameters that are lists, the caller's own tables."""

    lists: frozenset[int]
    staged: frozenset[str]


Rule: TypeAlias = Callable[[exp.Expression, Given], exp.Expression]
STAGING = "scratch"
"""Schema of the tables that live as long as one transaction."""
TRANSACTION = "__TRANSACTION__"
"""In the names of such tables, to be replaced by what is the transaction's own."""


class UnsupportedSqlError(ValueError):
    """A statement that cannot be said, or would mean something else, in Snowflake."""

    def __init__(self, construct: str, sql: str) -> None:
        self.construct = construct
        first = next((line.strip() for line in sql.splitlines() if line.strip()), "")
        super().__init__(
            f"Snowflake cannot say {construct}; write it so that both engines can, or compute it from `Batches`. "
            f"The statement begins: {first[:120]}"
        )


def refuse(construct: str) -> UnsupportedSqlError:
    """To be raised by a rule; whoever translates adds the statement."""
    return UnsupportedSqlError(construct, "")


def each(statement: exp.Expression, kind: type[exp.Expression]) -> list[Any]:
    """Innermost first, so that what is replaced is not looked for again."""
    return list(reversed(list(statement.find_all(kind))))


def call(name: str, *args: exp.Expression) -> exp.Expression:
    return exp.Anonymous(this=name, expressions=list(args))


def parsed(sql: str, **nodes: exp.Expression) -> Any:
    """A piece of Snowflake SQL with `__name__` replaced by nodes."""
    made = sqlglot.parse_one(sql, read="snowflake")
    for column in list(made.find_all(exp.Column)):
        node = nodes.get(column.name.strip("_").lower())
        if node is not None and column.name.startswith("__"):
            column.replace(node.copy())
    return made


def put(node: exp.Expression, new: exp.Expression, root: exp.Expression) -> exp.Expression:
    """`new` in place of `node`; the root of the statement, which may be `node` itself."""
    if node is root:
        return new
    node.replace(new)
    return root


def replace_each(kind: type[exp.Expression], make: Callable[[Any], exp.Expression | None]) -> Rule:
    def rule(statement: exp.Expression, given: Given) -> exp.Expression:  # noqa: ARG001
        for node in each(statement, kind):
            new = make(node)
            if new is not None:
                statement = put(node, new, statement)
        return statement

    return rule


def cast_to(node: exp.Expression, kind: str) -> exp.Expression:
    return exp.Cast(this=node.copy(), to=exp.DataType.build(kind, dialect="snowflake"))


def not_null(node: exp.Expression) -> exp.Expression:
    return exp.Not(this=exp.Is(this=node.copy(), expression=exp.Null()))
