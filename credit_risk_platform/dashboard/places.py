"""Where pages are: their titles and addresses, and the ways from one to another that keep the filters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import streamlit as st


@dataclass(frozen=True)
class Place:
    """A page: its title, its path in the URL (also its module in `pages/`), its icon."""

    title: str
    path: str
    icon: str


PLACES = (
    Place("Portfolio", "portfolio", ":material/pie_chart:"),
    Place("Vintages & rolls", "vintages", ":material/timeline:"),
    Place("Expected loss", "expected_loss", ":material/savings:"),
    Place("Models", "models", ":material/model_training:"),
    Place("Early warning", "early_warning", ":material/notification_important:"),
    Place("Approvals", "approvals", ":material/fact_check:"),
    Place("Loans", "loans", ":material/list:"),
    Place("Loan", "loan", ":material/description:"),
)
"""The first one is the start page."""
_ASKED = "asked_for_page"


def pages(show: Callable[[Place], None]) -> list[st.Page]:
    """For `st.navigation`: each page calls `show` with its place."""
    return [_page(place, partial(show, place)) for place in PLACES]


def go(path: str, **parameters: str) -> None:
    """Leave for another page, whose filters stay as they are: `go("loan", loan="L-1")`."""
    st.switch_page(_page(_place(path)), query_params=parameters)


def ask(path: str) -> None:
    """The same from a callback, which cannot leave its page: `follow` does it at the next run."""
    st.session_state[_ASKED] = path


def follow(page: st.Page) -> None:
    """Go where a callback asked for, unless this is it. Remembered until we are there: a run may be cut short."""
    asked = st.session_state.get(_ASKED)
    if asked is None:
        return
    if page.title == _place(asked).title:
        del st.session_state[_ASKED]
    else:
        go(asked)


def link(path: str, label: str, **parameters: str) -> None:
    """The same as a link in the page."""
    place = _place(path)
    st.page_link(_page(place), label=label, icon=place.icon, query_params=parameters)


def _place(path: str) -> Place:
    return next(place for place in PLACES if place.path == path)


def _page(place: Place, show: Callable[[], None] = lambda: None) -> st.Page:
    # Streamlit knows a page by its path: any object with that path leads there.
    return st.Page(show, title=place.title, icon=place.icon, url_path=place.path, default=place is PLACES[0])
