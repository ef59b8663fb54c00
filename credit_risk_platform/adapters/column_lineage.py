"""Where each column of each dbt model comes from, as a graph over the compiled SQL of the whole project.

Belongs here: the graph and the walks over it. How one model's SQL is read stands in `model_lineage.py`. The whole
project takes about 0.3 s, so nothing is cached.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from credit_risk_platform.adapters.model_lineage import DIALECT, LineageError, is_inner, read_model, relation_of
from credit_risk_platform.domain.leakage import ROWS, Column, Trail

__all__ = ["ColumnLineage", "LineageError", "read_lineage"]


@dataclass(frozen=True)
class ColumnLineage:
    """The direct parents of every column of every model. A seed's columns have none; what is not a key is a source."""

    parents: Mapping[Column, tuple[Column, ...]]

    def columns(self, relation: str) -> dict[str, tuple[Column, ...]]:
        """Column -> the columns of other relations it is made of, for one model, in the model's column order."""
        made = {column.name: self._outside(column) for column in self.parents if column.relation == relation}
        made.pop(ROWS, None)
        return made

    def trails(self, column: Column, stop: frozenset[str] = frozenset()) -> list[Trail]:
        """One shortest trail to every source column that `column` depends on, by value or by choice of rows.

        A column whose name is in `stop` is an end too: what lies behind it is only reached on other ways, if at all.
        """
        came_from: dict[Column, Column | None] = {column: None}
        queue, ends = [column], []
        for step in queue:
            if (step != column and step.name in stop) or step not in self.parents:
                ends.append(step)
                continue
            for parent in self._upstream(step):
                if parent not in came_from:
                    came_from[parent] = step
                    queue.append(parent)
        return [_walk_back(end, came_from) for end in ends if end.name != ROWS]

    def _upstream(self, column: Column) -> tuple[Column, ...]:
        rows = Column(column.relation, ROWS)
        chosen = (rows,) if column != rows and self.parents.get(rows) else ()
        return (*self.parents.get(column, ()), *chosen)

    def _outside(self, column: Column) -> tuple[Column, ...]:
        found: dict[Column, None] = {}
        for parent in self.parents[column]:
            found |= dict.fromkeys(self._outside(parent) if is_inner(parent) else (parent,))
        return tuple(found)


def read_lineage(
    manifest: Mapping[str, Any],
    sources: Mapping[str, Sequence[str]],
    project: Path,
    keep: frozenset[str] = frozenset(),
) -> ColumnLineage:
    """Lineage of every model of a compiled manifest.

    `sources` gives the columns of every dbt source (`bronze.x` -> names): star expansion needs them. `project` is the
    dbt project's folder, where the seeds' headers are read. A column named in `keep` stays a step of its own wherever
    it stands inside a model. Raises `LineageError`, naming the model.
    """
    from sqlglot import exp
    from sqlglot.schema import MappingSchema

    schema = MappingSchema(dialect=DIALECT)

    def remember(node: Mapping[str, Any], columns: Iterable[str]) -> None:
        table = exp.to_table(node["relation_name"], dialect=DIALECT)
        schema.add_table(table, dict.fromkeys(columns, "unknown"), dialect=DIALECT)

    for source in manifest["sources"].values():
        if relation_of(source) not in sources:
            raise LineageError(
                f"the columns of {relation_of(source)} are not known; add it to domain/contracts, or to "
                "adapters/outside_tables.py when a room of the platform writes it"
            )
        remember(source, sources[relation_of(source)])
    parents: dict[Column, tuple[Column, ...]] = {}
    found: dict[Column, set[Column]]
    for node in _in_build_order(manifest):
        if node["resource_type"] == "seed":
            found = {Column(relation_of(node), name): set() for name in _header(project / node["original_file_path"])}
        else:
            found = read_model(node, schema, keep)
        remember(node, [c.name for c in found if c.relation == relation_of(node) and c.name != ROWS])
        parents |= {column: tuple(sorted(made_of)) for column, made_of in found.items()}
    return ColumnLineage(parents)


def _in_build_order(manifest: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    nodes = {key: node for key, node in manifest["nodes"].items() if node["resource_type"] in ("model", "seed")}
    graph = {key: [p for p in node["depends_on"].get("nodes", ()) if p in nodes] for key, node in nodes.items()}
    return (nodes[key] for key in TopologicalSorter(graph).static_order())


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
