"""Tables as markdown: what an asset page shows beside its figures. One spelling of a cell for every room."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa


def table(header: Sequence[str], rows: Iterable[Sequence[object]], *, digits: str = ".4f") -> str:
    """`header` over `rows`; floats by the format `digits`, what is missing as a dash."""
    lines = [_line(header), _line(["---"] * len(header))]
    return "\n".join([*lines, *(_line(_cell(value, digits) for value in row) for row in rows)])


def records(rows: pa.Table | Sequence[Mapping[str, Any]]) -> str:
    """Rows under the names of their columns; no rows and no names say so."""
    found = rows.to_pylist() if isinstance(rows, pa.Table) else list(rows)
    names = rows.column_names if isinstance(rows, pa.Table) else list(found[0]) if found else []
    if not names:
        return "No rows."
    return table(names, ([record[name] for name in names] for record in found), digits=".6g")


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(value: object, digits: str) -> str:
    text = "-" if value is None else f"{value:{digits}}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")
