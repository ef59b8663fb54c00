"""The dashboard's script, which `crp dashboard` runs: sign-in, filters, the page that was asked for.

Belongs here: what stands on every page. Does not: what a page shows (`pages/`), which pages there are (`places.py`).
"""

from __future__ import annotations

import importlib
from functools import partial

import streamlit as st

from credit_risk_platform.dashboard import filters, lake, places, refresh, sign_in, theme
from credit_risk_platform.dashboard.filters import Filters
from credit_risk_platform.dashboard.places import Place


def main() -> None:
    st.set_page_config(page_title="Credit risk", page_icon="📊", layout="wide")
    theme.draw_plainly()
    st.html(theme.CSS)
    if not sign_in.admitted():
        # The pages are named all the same: the address that was asked for would be lost otherwise.
        st.navigation(places.pages(lambda _place: None), position="hidden")
    sign_in.gate()
    chosen, seconds = filters.bar(lake.settings().dashboard_refresh_seconds)
    sign_in.who()
    page = st.navigation(places.pages(partial(show, filters=chosen, seconds=seconds)))
    places.follow(page)
    page.run()


def show(place: Place, filters: Filters, seconds: int) -> None:
    """One page; where it lacks a table or the whole lake, it says how to get it."""
    st.title(place.title)
    try:
        refresh.stamp(seconds)
        importlib.import_module(f"credit_risk_platform.dashboard.pages.{place.path}").page(filters)
    except lake.NoLakeError as missing:
        st.info(str(missing), icon=":material/hourglass_empty:")
    except lake.NotThereError as missing:
        missing_table(missing)


def missing_table(missing: lake.NotThereError) -> None:
    """For a page that can show the rest without it."""
    url = f"{lake.settings().dagster_url}/assets/{missing.asset}"
    st.info(
        f"**{missing.table}** is not there yet: materialise [{missing.asset}]({url}) first.",
        icon=":material/hourglass_empty:",
    )
