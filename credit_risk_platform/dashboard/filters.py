"""The filter bar: what the reader chose, its place in the URL, and the one predicate of every tile, chart and export.

Every cube of the marts carries `issue_month`, `risk_band`, `status` and `purpose` of the loan as it stands today, so
one WHERE fits them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import streamlit as st

from credit_risk_platform.dashboard import lake
from credit_risk_platform.dashboard.theme import BANDS

STATUSES = ("Current", "In Arrears", "Default", "Charged Off", "Closed")
REFRESH_SECONDS = ("off", "10", "30", "60", "300")
KEYS = ("from", "to", "band", "status", "purpose", "refresh")
"""Parameters of the URL; each is the key of its widget as well."""


@dataclass(frozen=True)
class Filters:
    """What the reader chose. Empty means everything; both ends of the range of issue months are included."""

    issued_from: date | None = None
    issued_to: date | None = None
    bands: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    purposes: tuple[str, ...] = ()

    def where(self, alias: str = "") -> tuple[str, list[Any]]:
        """A predicate with its bound values, `true` when nothing is chosen. Columns may be prefixed with `alias`."""
        prefix = f"{alias}." if alias else ""
        terms: list[str] = []
        params: list[Any] = []
        if self.issued_from is not None:
            terms.append(f"{prefix}issue_month >= ?")
            params.append(self.issued_from.replace(day=1))  # months are whole: the day of the month chooses nothing
        if self.issued_to is not None:
            terms.append(f"{prefix}issue_month <= ?")
            params.append(self.issued_to)
        for column, chosen in (("risk_band", self.bands), ("status", self.statuses), ("purpose", self.purposes)):
            if chosen:
                terms.append(f"{prefix}{column} in ({', '.join('?' * len(chosen))})")
                params.extend(chosen)
        return " and ".join(terms) or "true", params

    def chosen(self) -> dict[str, str | list[str]]:
        """What is chosen, by the names of the URL's parameters: for the log of exports."""
        dates = {"from": self.issued_from, "to": self.issued_to}
        lists = {"band": self.bands, "status": self.statuses, "purpose": self.purposes}
        return {
            **{name: day.isoformat() for name, day in dates.items() if day is not None},
            **{name: list(values) for name, values in lists.items() if values},
        }

    def query_params(self) -> dict[str, str | list[str]]:
        """The same as the URL has it: Streamlit writes there what its widgets show."""
        shown = self.chosen()
        return {**shown, "purpose": [purpose_words(one) for one in self.purposes]} if self.purposes else shown


def bar(default_refresh: int) -> tuple[Filters, int]:
    """Draw the filters into the sidebar; returns the choice, and after how many seconds to look for newer data.

    The widgets are bound to the URL by their keys: a link opens the same view, and a change of page keeps it.
    """
    with st.sidebar:
        st.subheader("Filters")
        issued_from = st.date_input("Issued from", None, **_date("from"))
        issued_to = st.date_input("Issued to", None, **_date("to"))
        bands = st.multiselect("Risk band", BANDS, placeholder="All bands", **_bound("band"))
        statuses = st.multiselect("Loan status", STATUSES, placeholder="All statuses", **_bound("status"))
        purposes = st.multiselect(
            "Purpose", _purposes(), placeholder="All purposes", format_func=purpose_words, **_bound("purpose")
        )
        st.button(
            "Clear filters", on_click=_clear, disabled=not (issued_from or issued_to or bands or statuses or purposes)
        )
        refresh = st.selectbox(
            "Auto-refresh, seconds",
            REFRESH_SECONDS,
            index=REFRESH_SECONDS.index(str(default_refresh)) if str(default_refresh) in REFRESH_SECONDS else 0,
            help="How often this page looks for newer data. It is drawn again only when there is some.",
            **_bound("refresh"),
        )
    return Filters(
        issued_from, issued_to, tuple(bands), tuple(statuses), tuple(purposes)
    ), 0 if refresh == "off" else int(refresh)


def purpose_words(purpose: str) -> str:
    """`debt_consolidation` as people write it."""
    return purpose.replace("_", " ").capitalize()


def choose(**chosen: Sequence[str]) -> None:
    """Set filters from code, as a callback of a button or a chart may: `choose(band=["High"])`."""
    for key, values in chosen.items():
        if key not in KEYS:
            raise KeyError(f"{key} is no filter: {', '.join(KEYS)}")
        st.session_state[key] = list(values)


def _clear() -> None:
    for key in ("from", "to"):
        st.session_state[key] = None
    for key in ("band", "status", "purpose"):
        st.session_state[key] = []


def _purposes() -> list[str]:
    try:
        return list(lake.rows(PURPOSES_SQL)["purpose"].to_pylist())
    except (lake.NotThereError, lake.NoLakeError):
        return []  # the page says what to materialise


def _bound(key: str) -> dict[str, Any]:
    return {"key": key, "bind": "query-params", "persist_state": "session"}


def _date(key: str) -> dict[str, Any]:
    return {"format": "YYYY-MM-DD", "min_value": date(1990, 1, 1), "max_value": date(2100, 1, 1), **_bound(key)}


PURPOSES_SQL = "select distinct purpose from gold.portfolio_loans where purpose is not null order by purpose"
