"""The start page: five tiles, eight charts of the open book, two exports. A click on a segment leads to its loans."""

from __future__ import annotations

import time
from typing import Any

import plotly.graph_objects as go
import pyarrow as pa
import streamlit as st

from credit_risk_platform.dashboard import export, filters, lake, places, theme, tiles
from credit_risk_platform.dashboard.charts import portfolio as charts
from credit_risk_platform.dashboard.filters import Filters
from credit_risk_platform.dashboard.pages.parts import NOTHING, card
from credit_risk_platform.dashboard.queries import portfolio as queries

LOANS_TABLE, MONTHS_TABLE = "gold.portfolio_loans", "gold.portfolio_months"
BAND_KEY, PURPOSES_KEY = "segment-band", "chart-purposes"
FIRST_PAINT_SECONDS = 0.9
BUREAU = "Bureau score"
SCORE_COLUMNS = {BUREAU: "bureau_score", "Model points": "points"}


def page(chosen: Filters) -> None:
    tiles.draw(chosen)
    _exports(chosen)
    _let_tiles_be_painted()
    for row in ((_bands, _dpd), (_growth, _default_rate), (_scores, _purposes), (_pds, _granted)):
        for place, draw in zip(st.columns(2), row, strict=True):
            with place:
                draw(chosen)


def _let_tiles_be_painted() -> None:
    """A browser that meets the first figure reads Plotly's four megabytes, and paints nothing meanwhile."""
    if "painted" not in st.session_state:
        st.session_state["painted"] = True
        time.sleep(FIRST_PAINT_SECONDS)


def _bands(chosen: Filters) -> None:
    with card(
        "Risk categories",
        LOANS_TABLE,
        words="Open loans by risk band of their present PD. Choose one to see its loans.",
    ):
        rows = _read(queries.BANDS, chosen)
        _draw(charts.bands(rows), rows, "chart-bands")
        if names := rows["risk_band"].to_pylist():
            st.pills("See the loans of", names, key=BAND_KEY, on_change=_open_band, label_visibility="collapsed")


def _dpd(chosen: Filters) -> None:
    with card(
        "Days past due", LOANS_TABLE, words="Open loans by days since the oldest instalment that is still unpaid."
    ):
        rows = _read(queries.DPD, chosen)
        _draw(charts.days_past_due(rows), rows, "chart-dpd")


def _growth(chosen: Filters) -> None:
    with card("Portfolio growth", MONTHS_TABLE, words="Principal owed at each month end by the loans open then."):
        rows = _read(queries.GROWTH, chosen)
        _draw(charts.growth(rows), rows, "chart-growth")


def _default_rate(chosen: Filters) -> None:
    words = (
        "Of the loans that were performing a year before, how many have defaulted since. Hatched: not all known yet."
    )
    with card("Default rate", MONTHS_TABLE, "gold.default_trend", words=words):
        rows = _read(tiles.DEFAULT_RATES, chosen)
        _draw(charts.default_trend(rows, lake.settings().default_rate_target), rows, "chart-default-rate")


def _scores(chosen: Filters) -> None:
    with card(
        "Credit scores",
        LOANS_TABLE,
        words="Open loans by the bureau's score at application or by our points, in steps of 10.",
    ):
        kind = st.segmented_control(
            "Score", list(SCORE_COLUMNS), default=BUREAU, required=True, label_visibility="collapsed"
        )
        rows = _read(queries.SCORES.replace("{column}", SCORE_COLUMNS[kind or BUREAU]), chosen)
        _draw(charts.histogram(rows, width=10, title=(kind or BUREAU).lower(), form=".0f"), rows, "chart-scores")


def _purposes(chosen: Filters) -> None:
    with card(
        "Loan amount by purpose", LOANS_TABLE, words="Amount lent on loans that are open. Click a bar to see its loans."
    ):
        rows = _read(queries.PURPOSES, chosen)
        _draw(charts.purposes(rows), rows, PURPOSES_KEY, on_select=_open_purpose, selection_mode="points")


def _pds(chosen: Filters) -> None:
    with card("Default probabilities", LOANS_TABLE, words="Open loans by their present PD, in steps of 2 %."):
        rows = _read(queries.PDS, chosen)
        _draw(charts.histogram(rows, width=0.02, title="probability of default", form=".0%"), rows, "chart-pds")


def _granted(chosen: Filters) -> None:
    words = "Mean PD of the loans decided on each of the last 90 days. A day without any is a gap."
    with card("Loans granted", LOANS_TABLE, words=words):
        rows = _read(queries.GRANTED, chosen)
        _draw(charts.granted(rows), rows, "chart-granted")


def _exports(chosen: Filters) -> None:
    where, params = chosen.where()
    with st.container(horizontal=True, vertical_alignment="center"):
        places.link("loans", "See the high-risk loans", show="High risk")
        if lake.exists("gold.high_risk_loans"):
            export.download(
                "High-risk loans (CSV)", queries.HIGH_RISK.format(where=where), params, chosen, "high_risk_loans"
            )
        if lake.exists(LOANS_TABLE):
            export.download(
                "Loans of this filter (CSV)", queries.LOANS.format(where=where), params, chosen, "portfolio_loans"
            )


def _read(sql: str, chosen: Filters) -> pa.Table:
    where, params = chosen.where()
    return lake.rows(sql.format(where=where), params)


def _draw(figure: go.Figure, rows: pa.Table, key: str, **more: Any) -> None:
    if rows.num_rows:
        theme.chart(figure, key=key, **more)
    else:
        st.info(NOTHING)


def _open_band() -> None:
    _see_loans("band", st.session_state[BAND_KEY])


def _open_purpose() -> None:
    points = st.session_state[PURPOSES_KEY].selection.points
    _see_loans("purpose", points[0]["customdata"][0] if points else None)


def _see_loans(filter_key: str, segment: str | None) -> None:
    if segment is not None:
        filters.choose(**{filter_key: [segment]})
        places.ask("loans")
