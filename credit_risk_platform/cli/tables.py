"""One look for every table the command prints."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table


def new_table(title: str, columns: Sequence[str], right: Sequence[str] = ()) -> Table:
    """A light table; the columns named in `right` hold numbers."""
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    table.min_width = len(title) + 1
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return table
