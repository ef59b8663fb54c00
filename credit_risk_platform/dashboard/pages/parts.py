"""What the pages share: a card that names its assets and survives a missing table, and words for numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, TypeVar

import pyarrow as pa
import streamlit as st

from credit_risk_platform.dashboard import lake, places
from credit_risk_platform.dashboard.app import missing_table
from credit_risk_platform.dashboard.filters import Filters

T = TypeVar("T")
NOTHING = "No loans match these filters."


@contextmanager
def card(title: str, *assets: str, words: str = "", ignores: str = "") -> Iterator[None]:
    """A framed part of a page. Below it stand `words` and a link to each asset it was made from.

    `ignores` says which filters its table does not know, in a badge. A table that is not there yet is named with the
    asset that makes it, and the rest of the page goes on.
    """
    with st.container(border=True, height="stretch"):
        st.markdown(f"##### {title}")
        if ignores:
            st.badge(ignores, icon=":material/filter_alt_off:", color="gray")
        try:
            yield
        except lake.NotThereError as missing:
            missing_table(missing)
        st.caption(" ".join(part for part in (words, _sources(assets)) if part))


def figures(*tiles: tuple[str, str], border: bool = False) -> None:
    """Labelled figures side by side, and as many to a line as a phone has room for."""
    with st.container(horizontal=True):
        for label, value in tiles:
            st.metric(label, value, border=border, width="stretch" if border else 130)


def choice(label: str, options: Sequence[T], key: str, words: Callable[[Any], str] = str, *, default: int = 0) -> T:
    """One of a few, as buttons without a title; the default again when the reader takes the choice back."""
    first_choice = options[default]
    chosen = st.segmented_control(
        label, options, default=first_choice, format_func=words, key=key, label_visibility="collapsed"
    )
    return first_choice if chosen is None else chosen


def loan_table(rows: pa.Table, key: str, columns: Mapping[str, Any], height: int | Literal["auto"] = "auto") -> None:
    """A table of loans in which selecting one opens its page."""
    table = st.dataframe(
        rows,
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        key=key,
        placeholder="",
        column_config=dict(columns),
        height=height,
    )
    if table["selection"]["rows"]:
        places.go("loan", loan=rows["loan_id"][table["selection"]["rows"][0]].as_py())


def whole_book(filters: Filters, applied: Sequence[str] = ()) -> str:
    """For `card(ignores=...)`: what the reader chose that does not bear on this part; empty when all of it does."""
    names = {"from": "issue month", "to": "issue month", "band": "risk band", "status": "status", "purpose": "purpose"}
    left = dict.fromkeys(names[key] for key in filters.query_params() if names[key] not in applied)
    return f"not filtered by {', '.join(left)}" if left else ""


def asset_url(table: str) -> str:
    return f"{lake.settings().dagster_url}/assets/{table.replace('.', '/')}"


def run_url(run_id: str) -> str:
    return f"{lake.settings().dagster_url}/runs/{run_id}"


def first(rows: pa.Table) -> dict[str, Any]:
    """The first row, or no columns at all."""
    return rows.slice(0, 1).to_pylist()[0] if rows.num_rows else {}


def percent(value: Any, digits: int = 2) -> str:
    return "n/a" if _absent(value) else f"{float(value):.{digits}%}"


def amount(value: Any) -> str:
    """Money for a tile: 12.3M. A table shows every cent."""
    if _absent(value):
        return "n/a"
    for unit, size in (("B", 1e9), ("M", 1e6), ("k", 1e4)):
        if abs(float(value)) >= size:
            return f"{float(value) / (1e3 if unit == 'k' else size):,.2f}{unit}"
    return f"{float(value):,.2f}"


def count(value: Any) -> str:
    return "n/a" if _absent(value) else f"{int(value):,}"


def number(value: Any, digits: int = 2) -> str:
    return "n/a" if _absent(value) else f"{float(value):,.{digits}f}"


def plain(name: str | None) -> str:
    """`debt_consolidation` as people write it."""
    return (name or "").replace("_", " ").capitalize()


def _absent(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _sources(assets: Sequence[str]) -> str:
    links = ", ".join(f"[{name.replace('.', '/')}]({asset_url(name)})" for name in assets)
    return f"From {links}." if links else ""
