"""Early warning, as the analyst of the watch list sees it: does the list catch defaults, who is on it, and why."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import streamlit as st

from credit_risk_platform.dashboard import lake
from credit_risk_platform.dashboard.charts import segments
from credit_risk_platform.dashboard.export import download
from credit_risk_platform.dashboard.filters import Filters
from credit_risk_platform.dashboard.pages.parts import (
    NOTHING,
    card,
    count,
    figures,
    loan_table,
    number,
    percent,
    whole_book,
)
from credit_risk_platform.dashboard.queries import early_warning as queries
from credit_risk_platform.dashboard.theme import chart

SHOWN = 300
"""Loans of the watch list that travel to the browser; the export has all."""
LIGHTS = {"fired": "red", "clear": "green", "measured": "green", "partly measured": "orange"}
NOT_MEASURABLE = "not measurable"


def page(filters: Filters) -> None:
    """KPIs of the list, segments and watch list of the filtered book, warnings about the book, what was measured."""
    _kpis(filters)
    left, right = st.columns([2, 3])
    with left:
        _against_book(filters)
    with right:
        _segments(filters)
    _watchlist(filters)
    _portfolio_warnings(filters)
    _coverage(filters)


def _kpis(filters: Filters) -> None:
    words = (
        "Over loans whose outcome is known. Lift: default rate on the list over that of all; capture: share of all "
        "defaults that were on the list; false alarm: share of good loans that were on it."
    )
    with card("Does the list catch defaults?", "gold.kpi_summary", words=words, ignores=whole_book(filters)):
        rows = lake.rows(queries.KPI).to_pylist()
        if not rows:
            st.info("No list has been evaluated yet.")
        for row in rows:
            st.markdown(f"**{row['label']}**, rules {row['rule_ids'] or 'none'}")
            figures(
                ("Lift", f"{number(row['lift'])}x" if row["lift"] is not None else "n/a"),
                ("Capture", percent(row["capture"], 1)),
                ("False alarms", percent(row["false_alarm_rate"], 1)),
                ("Loans judged", count(row["portfolio_rows"])),
                ("Not measurable", count(row["not_measurable_loans"])),
            )


def _against_book(filters: Filters) -> None:
    with card("Default rate, list against book", "gold.kpi_summary", ignores=whole_book(filters)):
        rows = lake.rows(queries.KPI)
        if rows.num_rows:
            chart(
                segments.list_against_book(rows), key="list-against-book", alt="Default rate on and off the watch list"
            )


def _segments(filters: Filters) -> None:
    words = "High: a rule that calls for action has fired. Watch: another rule has."
    with card("Segments of the open book", "gold.risk_segments", "gold.portfolio_loans", words=words):
        where, params = filters.where("loans")
        rows = lake.rows(queries.SEGMENTS.format(where=where), params)
        if not rows.num_rows:
            st.info(NOTHING)
            return
        chart(segments.watch_segments(rows), key="watch-segments", alt="Open loans and exposure by segment")
        loans = dict(zip(rows["segment"].to_pylist(), rows["loans"].to_pylist(), strict=True))
        st.caption(", ".join(f"{count(loans[name])} {name}" for name in segments.WATCH_ORDER if name in loans))


def _watchlist(filters: Filters) -> None:
    with card("Watch list", "gold.watchlist", "gold.portfolio_loans", words="Select a loan to open it."):
        where, params = filters.where("loans")
        sql = queries.WATCHLIST.format(where=where)
        rows = lake.rows(f"{sql} limit {SHOWN}", params)
        if not rows.num_rows:
            st.info("No loan of the watch list matches these filters.")
            return
        loan_table(rows, "watchlist", WATCHLIST_COLUMNS, height=360)
        total = lake.rows(f"select count(*) as loans from ({sql}) as listed", params)["loans"][0].as_py()
        left, right = st.columns([3, 1])
        left.caption(
            f"{min(total, SHOWN):,} of {total:,} loans on the list, largest exposure of the highest segment first."
        )
        with right:
            download("Watch list as CSV", sql, params, filters, "watchlist")


def _portfolio_warnings(filters: Filters) -> None:
    words = "Rules that look at the book: arrears rolling on, a young vintage going late, concentration."
    with card("Warnings about the book", "gold.portfolio_warnings", words=words, ignores=whole_book(filters)):
        rows = lake.rows(queries.PORTFOLIO_WARNINGS)
        _table(rows, WARNING_COLUMNS, "portfolio-warnings")
        fired = rows["status"].to_pylist().count("fired")
        st.caption(f"{fired} of {rows.num_rows} fired." if rows.num_rows else "None has been judged yet.")


def _coverage(filters: Filters) -> None:
    words = "A rule that could not be measured has not found the book healthy."
    with card("What each rule could see", "gold.early_warning_coverage", words=words, ignores=whole_book(filters)):
        rows = lake.rows(queries.COVERAGE)
        _table(rows, COVERAGE_COLUMNS, "coverage")


def _table(rows: pa.Table, columns: dict[str, Any], key: str) -> None:
    shown = _with_lights(rows)
    st.dataframe(shown, placeholder="", hide_index=True, column_config=columns, key=key, height=300)


def _with_lights(rows: pa.Table) -> pa.Table:
    """`status` as a coloured chip; one that is not listed could not be measured, and is never green."""
    place = rows.schema.get_field_index("status")
    shown = [[status if status in LIGHTS else NOT_MEASURABLE] for status in rows["status"].to_pylist()]
    return rows.set_column(place, "status", pa.array(shown, pa.list_(pa.string())))


MONEY = st.column_config.NumberColumn
STATUS = st.column_config.MultiselectColumn(
    "Status", options=[*LIGHTS, NOT_MEASURABLE], color=[*LIGHTS.values(), "gray"], width=130
)
WATCHLIST_COLUMNS: dict[str, Any] = {
    "loan_id": st.column_config.TextColumn("Loan", pinned=True),
    "segment": "Segment",
    "rule_ids": "Rules",
    "evidence": st.column_config.TextColumn("Evidence", width="large"),
    "exposure": MONEY("Exposure", format="%,.2f"),
    "refer_to": "Refer to",
    "purpose": "Purpose",
    "status": "Status",
    "risk_band": "Band",
    "pd": MONEY("PD", format="percent"),
    "days_past_due": "Days past due",
    "issue_month": st.column_config.DateColumn("Issued", format="YYYY-MM"),
}
WARNING_COLUMNS: dict[str, Any] = {
    "status": STATUS, "rule_id": "Rule", "segment_kind": "Kind", "segment": "Segment", "loans": "Loans",
    "measured_value": MONEY("Measured", format="percent"), "limit_value": MONEY("Limit", format="percent"),
    "evidence": "Evidence",
}  # fmt: skip
COVERAGE_COLUMNS: dict[str, Any] = {
    "status": STATUS, "rule_id": "Rule", "rule_name": "Name", "severity": "Severity", "judged": "Judged",
    "measured": "Measured",
    "fired": "Fired", "reason": st.column_config.TextColumn("Why not measured", width="medium"),
}  # fmt: skip
