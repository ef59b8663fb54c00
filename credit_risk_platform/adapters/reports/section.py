"""What a report is made of: sections of figures and tables, each with the asset that made its numbers.

The data section is the same bytes for the same figures: names in order, floats to twelve significant digits (the last
bits of a parallel sum are noise), decimals whole, no time of making and no run. Those stand beside it (`shelf.py`).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

import pyarrow as pa

DIGITS = 12


class Unit(StrEnum):
    """What a number is counted in, which decides how it is written; `TEXT` is no number and bears no link."""

    TEXT = "text"
    COUNT = "count"
    MONEY = "money"
    SHARE = "share"
    NUMBER = "number"
    POINTS = "points"


@dataclass(frozen=True, order=True)
class Source:
    """The asset, and the partition of it, that made a number: `gold/loan_ecl@2026-06-30`."""

    asset: str
    partition: str | None = None

    def __str__(self) -> str:
        return self.asset if self.partition is None else f"{self.asset}@{self.partition}"


@dataclass(frozen=True)
class Figure:
    """One number with its name."""

    name: str
    value: Any
    unit: Unit
    source: Source


@dataclass(frozen=True)
class Column:
    """A column of a table. `source` where its numbers come from elsewhere than the table's others."""

    name: str
    unit: Unit = Unit.TEXT
    source: Source | None = None


@dataclass(frozen=True)
class Grid:
    """A table of numbers that one asset made, or, with `row_sources`, each row another event."""

    name: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Any]]
    source: Source
    row_sources: Sequence[Source] = ()


@dataclass(frozen=True)
class Section:
    """A chapter: what it says, and the numbers. `missing` says what to materialise where there are none yet."""

    id: str
    title: str
    words: str
    figures: Sequence[Figure] = ()
    tables: Sequence[Grid] = ()
    notes: Sequence[str] = ()
    missing: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values, every number beside its unit and the asset it comes from."""
        return {
            "id": self.id,
            "title": self.title,
            "words": self.words,
            "missing": self.missing,
            "notes": list(self.notes),
            "figures": [
                {"name": one.name, "value": plain(one.value), "unit": str(one.unit), "source": str(one.source)}
                for one in self.figures
            ],
            "tables": [_grid(grid) for grid in self.tables],
        }


@dataclass(frozen=True)
class Report:
    """All that is said of one subject (a day, a model version) as of a day."""

    kind: str
    title: str
    subject: str
    as_of: date
    sections: Sequence[Section] = field(default=())

    def data(self) -> dict[str, Any]:
        """The data section: figures and what they are of, nothing of when or in which run."""
        return {
            "kind": self.kind,
            "title": self.title,
            "subject": self.subject,
            "as_of": self.as_of.isoformat(),
            "sections": [section.as_dict() for section in self.sections],
        }


def not_made(section: Section, *assets: str) -> Section:
    """The section without numbers yet: it names what to materialise, and never shows a zero instead."""
    return replace(section, missing=f"not made yet: materialise {' and '.join(assets)}")


def canonical(data: Any) -> bytes:
    """The bytes of a data section. Brackets and ampersands are written so that a page may hold them."""
    text = json.dumps(data, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False)
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return (text + "\n").encode()


def fingerprint(data: Any) -> str:
    """Hex SHA-256 of the canonical bytes: what a version of a report is called by."""
    return hashlib.sha256(canonical(data)).hexdigest()


def plain(value: Any) -> Any:
    """A value as JSON has it: days as text, decimals as numbers, what is no number as null."""
    if isinstance(value, bool) or value is None or isinstance(value, int | str):
        return value
    if isinstance(value, Decimal):
        return int(value) if value.as_tuple().exponent == 0 else float(value)  # the engine's large sums of counts
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    raise TypeError(f"a report cannot show a {type(value).__name__}")


def grid(name: str, found: pa.Table, columns: Sequence[Column], source: Source) -> Grid:
    """The rows of `found`, whose columns stand in the order of `columns`."""
    rows = [list(row.values()) for row in found.to_pylist()]
    return Grid(name, columns, rows, source)


def sources(data: dict[str, Any]) -> list[str]:
    """Every source that a number of a data section names, sorted."""
    return sorted(set(_named(data["sections"])))


def _named(sections: Iterable[dict[str, Any]]) -> Iterator[str]:
    for section in sections:
        yield from (figure["source"] for figure in section["figures"])
        for table in section["tables"]:
            yield from table["row_sources"] or [table["source"]]
            yield from (column["source"] for column in table["columns"] if column["source"])


def _grid(grid: Grid) -> dict[str, Any]:
    return {
        "name": grid.name,
        "source": str(grid.source),
        "row_sources": [str(one) for one in grid.row_sources],
        "columns": [
            {"name": one.name, "unit": str(one.unit), "source": str(one.source) if one.source else None}
            for one in grid.columns
        ],
        "rows": [[plain(value) for value in row] for row in grid.rows],
    }
