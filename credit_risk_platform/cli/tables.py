"""One look for every table the command prints."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import JustifyMethod
from rich.table import Table


def new_table(title: str, columns: Sequence[str], right: Sequence[str] = ()) -> Table:
    """A light table; the columns named in `right` hold numbers."""
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    table.min_width = len(title) + 1
    whole = (0, len(columns) - 1)  # a name is copied as it is, and a time read at a glance
    for place, column in enumerate(columns):
        justify: JustifyMethod = "right" if column in right else "left"
        table.add_column(column, justify=justify, overflow="fold", no_wrap=place in whole)
    return table
