"""What the columns of one model are made of, read off its SQL with sqlglot.

Renames, CTEs, joins, unions and `select *` are followed by parsing, never by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from credit_risk_platform.domain.leakage import ROWS, Column

DIALECT = "duckdb"
UNTRACEABLE = "(untraceable)"
"""Relation of a column whose origin the parser could not tell; the leakage guard refuses it."""


class LineageError(ValueError):
    """A model's SQL could not be read; the message names the file."""


def relation_of(node: Mapping[str, Any]) -> str:
    """`schema.name` of a dbt node."""
    return f"{node['schema']}.{node['name']}"


def is_inner(column: Column) -> bool:
    """Whether it stands in a CTE or subquery of a model (`schema.model:cte`), not in a relation of the warehouse."""
    return ":" in column.relation


def read_model(node: Mapping[str, Any], schema: Any, keep: frozenset[str]) -> dict[Column, set[Column]]:
    """Every column of the model -> its direct parents, and under `ROWS` what decides which rows there are.

    `schema` is a sqlglot schema that knows the model's parents. A column named in `keep` that stands in a CTE or
    subquery comes as a column of its own (see `is_inner`). Raises `LineageError`.
    """
    from sqlglot import parse_one
    from sqlglot.errors import SqlglotError
    from sqlglot.lineage import lineage
    from sqlglot.optimizer.qualify import qualify
    from sqlglot.optimizer.scope import build_scope

    try:
        parsed = parse_one(node["compiled_code"], dialect=DIALECT)
        query = qualify(parsed, schema=schema, dialect=DIALECT, validate_qualify_columns=False, identify=False)
        scope = build_scope(query)
        if scope is None or any(map(_has_star, scope.traverse())):
            raise LineageError(
                f"{node['original_file_path']} selects * from a relation whose columns are not known. "
                "Read it through ref() or source(), or list the columns."
            )
        traced = lineage(None, query, schema, dialect=DIALECT, scope=scope, trim_selects=False, copy=False)
    except SqlglotError as error:
        raise LineageError(f"cannot read {node['original_file_path']} ({relation_of(node)}): {error}") from error
    reader = _Reader(relation_of(node), schema, keep)
    for name, trace in traced.items():
        reader.found[Column(reader.relation, name)] = reader.origins(trace)
    reader.found[Column(reader.relation, ROWS)] = {c for inner in scope.traverse() for c in reader.row_choice(inner)}
    return reader.found


class _Reader:
    """Collects the columns of one model while walking its traces."""

    def __init__(self, relation: str, schema: Any, keep: frozenset[str]) -> None:
        self.relation = relation
        self.schema = schema
        self.keep = keep
        self.found: dict[Column, set[Column]] = {}

    def origins(self, trace: Any) -> set[Column]:
        """The table columns in which one column's trace ends, or the kept columns on the way; a literal has none."""
        from sqlglot import exp

        ends: set[Column] = set()
        stack, seen = list(trace.downstream) or [trace], {id(trace)}
        while stack:
            node = stack.pop()
            if id(node) in seen and node is not trace:
                continue
            seen.add(id(node))
            if node.downstream and node.expression.alias_or_name in self.keep:
                ends.add(self._inner(node.reference_node_name, node.expression.alias_or_name, node))
            elif node.downstream:
                stack.extend(node.downstream)
            elif isinstance(node.expression, exp.Table):
                ends.add(_column(node.expression, exp.to_column(node.name, dialect=DIALECT).name))
            elif node.expression.find(exp.Column, exp.Placeholder):
                ends.add(Column(UNTRACEABLE, node.expression.sql(DIALECT)))
        return ends

    def row_choice(self, scope: Any) -> Iterator[Column]:
        """What decides the rows of one SELECT: its tables' rows and the columns in its filters and joins."""
        from sqlglot import exp
        from sqlglot.optimizer.scope import find_all_in_scope

        if not isinstance(scope.expression, exp.Select):
            return
        for source in scope.sources.values():
            if isinstance(source, exp.Table):
                yield _column(source, ROWS)
        clauses = [scope.expression.args.get(name) for name in ("where", "having", "qualify")]
        for name in ("joins", "windows"):
            clauses += scope.expression.args.get(name) or []
        for clause in filter(None, clauses):
            for column in find_all_in_scope(clause, exp.Column):
                yield from self._resolve(column, scope)

    def _resolve(self, column: Any, scope: Any) -> set[Column]:
        from sqlglot import exp
        from sqlglot.lineage import to_node
        from sqlglot.optimizer.scope import Scope

        source = _source_of(column, scope)
        if isinstance(source, exp.Table):
            return {_column(source, column.name)}
        if not column.table and column.name in scope.expression.named_selects:  # an alias of this very SELECT
            source = scope
        if not isinstance(source, Scope):
            return {Column(UNTRACEABLE, column.sql(DIALECT))}
        trace = to_node(column.name, source, DIALECT, self.schema, trim_selects=False)
        return {self._inner(column.table, column.name, trace)} if column.name in self.keep else self.origins(trace)

    def _inner(self, where: str, name: str, trace: Any) -> Column:
        column = Column(f"{self.relation}:{where}", name)
        self.found[column] = self.found.get(column, set()) | self.origins(trace)
        return column


def _has_star(scope: Any) -> bool:
    """Whether a `select *` is left that nothing known could expand."""
    from sqlglot import exp

    return isinstance(scope.expression, exp.Select) and scope.expression.is_star


def _source_of(column: Any, scope: Any) -> Any:
    """The table or subquery a column is read from; a correlated subquery reads from the query around it."""
    while scope is not None:
        if column.table in scope.sources:
            return scope.sources[column.table]
        scope = scope.parent
    return None


def _column(table: Any, name: str) -> Column:
    return Column(f"{table.db}.{table.name}", name)
