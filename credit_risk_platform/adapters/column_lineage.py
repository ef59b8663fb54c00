"""Where each column of each dbt model comes from, read off the compiled SQL with sqlglot.

Renames, CTEs, joins, unions and `select *` over any number of models are followed by parsing, never by name. About
0.3 s for the whole project, so nothing is cached.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from credit_risk_platform.domain.leakage import ROWS, Column, Trail

_DIALECT = "duckdb"
UNTRACEABLE = "(untraceable)"
"""Relation of a column whose origin the parser could not tell; the leakage guard refuses it."""


class LineageError(ValueError):
    """A model's SQL could not be read; the message names the model."""


@dataclass(frozen=True)
class ColumnLineage:
    """The direct parents of every column of every model. A seed's columns have none; what is not a key is a source."""

    parents: Mapping[Column, tuple[Column, ...]]

    def columns(self, relation: str) -> dict[str, tuple[Column, ...]]:
        """Column -> its direct parents, for one model, in the model's column order."""
        found = {c.name: up for c, up in self.parents.items() if c.relation == relation}
        found.pop(ROWS, None)
        return found

    def trails(self, column: Column) -> list[Trail]:
        """One shortest trail to every source column that `column` depends on, by value or by choice of rows."""
        came_from: dict[Column, Column | None] = {column: None}
        queue = [column]
        for step in queue:
            for parent in self._upstream(step):
                if parent not in came_from:
                    came_from[parent] = step
                    queue.append(parent)
        return [_walk_back(end, came_from) for end in queue if end not in self.parents and end.name != ROWS]

    def _upstream(self, column: Column) -> tuple[Column, ...]:
        rows = Column(column.relation, ROWS)
        chosen = (rows,) if column != rows and self.parents.get(rows) else ()
        return (*self.parents.get(column, ()), *chosen)


def read_lineage(manifest: Mapping[str, Any], sources: Mapping[str, Sequence[str]], project: Path) -> ColumnLineage:
    """Lineage of every model of a compiled manifest.

    `sources` gives the columns of every dbt source (`bronze.x` -> names): star expansion needs them. `project` is the
    dbt project's folder, where the seeds' headers are read. Raises `LineageError`.
    """
    from sqlglot import exp
    from sqlglot.schema import MappingSchema

    schema = MappingSchema(dialect=_DIALECT)

    def remember(node: Mapping[str, Any], columns: Iterable[str]) -> None:
        table = exp.to_table(node["relation_name"], dialect=_DIALECT)
        schema.add_table(table, dict.fromkeys(columns, "unknown"), dialect=_DIALECT)

    for source in manifest["sources"].values():
        if _relation(source) not in sources:
            raise LineageError(f"the columns of {_relation(source)} are not known; add it to domain/contracts")
        remember(source, sources[_relation(source)])
    parents: dict[Column, tuple[Column, ...]] = {}
    for node in _in_build_order(manifest):
        if node["resource_type"] == "seed":
            found: dict[str, set[Column]] = {name: set() for name in _header(project / node["original_file_path"])}
        else:
            found = _read_model(node, schema)
        remember(node, (name for name in found if name != ROWS))
        parents |= {Column(_relation(node), name): tuple(sorted(up)) for name, up in found.items()}
    return ColumnLineage(parents)


def _in_build_order(manifest: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    nodes = {key: node for key, node in manifest["nodes"].items() if node["resource_type"] in ("model", "seed")}
    graph = {key: [p for p in node["depends_on"].get("nodes", ()) if p in nodes] for key, node in nodes.items()}
    return (nodes[key] for key in TopologicalSorter(graph).static_order())


def _read_model(node: Mapping[str, Any], schema: Any) -> dict[str, set[Column]]:
    """Column name -> direct parents, plus what chooses the rows under `ROWS`."""
    from sqlglot import parse_one
    from sqlglot.errors import SqlglotError
    from sqlglot.lineage import lineage
    from sqlglot.optimizer.qualify import qualify
    from sqlglot.optimizer.scope import build_scope

    try:
        parsed = parse_one(node["compiled_code"], dialect=_DIALECT)
        query = qualify(parsed, schema=schema, dialect=_DIALECT, validate_qualify_columns=False, identify=False)
        scope = build_scope(query)
        if scope is None:
            raise LineageError(f"{_relation(node)} is not a query")
        traced = lineage(None, query, schema, dialect=_DIALECT, scope=scope, trim_selects=False, copy=False)
    except SqlglotError as error:
        raise LineageError(f"cannot read {node['original_file_path']} ({_relation(node)}): {error}") from error
    found = {name: set(_leaves(trace)) for name, trace in traced.items()}
    found[ROWS] = {column for inner in scope.traverse() for column in _row_choice(inner, schema)}
    return found


def _leaves(trace: Any) -> Iterator[Column]:
    """The table columns in which one column's trace ends; a literal has none."""
    from sqlglot import exp

    for node in trace.walk():
        if node.downstream:
            continue
        if isinstance(node.expression, exp.Table):
            yield _column(node.expression, exp.to_column(node.name, dialect=_DIALECT).name)
        elif isinstance(node.expression, exp.Star) or node.expression.find(exp.Column, exp.Placeholder):
            yield Column(UNTRACEABLE, node.expression.sql(_DIALECT))


def _row_choice(scope: Any, schema: Any) -> Iterator[Column]:
    """What decides the rows of one SELECT: its tables' rows and the columns in its filters and join conditions."""
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
            yield from _resolve(column, scope, schema)


def _resolve(column: Any, scope: Any, schema: Any) -> Iterator[Column]:
    from sqlglot import exp
    from sqlglot.lineage import to_node
    from sqlglot.optimizer.scope import Scope

    source = _source_of(column, scope)
    if isinstance(source, exp.Table):
        yield _column(source, column.name)
    elif isinstance(source, Scope):
        yield from _leaves(to_node(column.name, source, _DIALECT, schema, trim_selects=False))
    elif not column.table and column.name in scope.expression.named_selects:  # an alias of this very SELECT
        yield from _leaves(to_node(column.name, scope, _DIALECT, schema, trim_selects=False))
    else:
        yield Column(UNTRACEABLE, column.sql(_DIALECT))


def _source_of(column: Any, scope: Any) -> Any:
    """The table or subquery a column is read from; a correlated subquery reads from the query around it."""
    while scope is not None:
        if column.table in scope.sources:
            return scope.sources[column.table]
        scope = scope.parent
    return None


def _column(table: Any, name: str) -> Column:
    return Column(f"{table.db}.{table.name}", name)


def _relation(node: Mapping[str, Any]) -> str:
    return f"{node['schema']}.{node['name']}"


def _header(file: Path) -> list[str]:
    with file.open(newline="") as rows:
        return next(csv.reader(rows))


def _walk_back(end: Column, came_from: Mapping[Column, Column | None]) -> Trail:
    trail: list[Column] = []
    step: Column | None = end
    while step is not None:
        trail.append(step)
        step = came_from[step]
    return tuple(reversed(trail))
