"""The list of loans: sorted and cut into pages by the lake, so that a book of any size costs one page."""

from __future__ import annotations

from typing import Any

import streamlit as st

from credit_risk_platform.dashboard import lake
from credit_risk_platform.dashboard.export import download
from credit_risk_platform.dashboard.filters import Filters
from credit_risk_platform.dashboard.pages.parts import NOTHING, amount, card, count, loan_table, percent
from credit_risk_platform.dashboard.queries import loans as queries

PAGE_LOANS = 100
SHOWN = ("All", "High risk", "Watch list")
SORTS = {
    "Highest PD": "pd desc nulls last",
    "Most days past due": "days_past_due desc nulls last",
    "Largest balance": "balance desc nulls last",
    "Newest": "issue_month desc",
    "Oldest": "issue_month",
    "Loan": "loan_id",
}
"""What the reader may choose, and its order: nothing typed reaches the SQL."""


def page(filters: Filters) -> None:
    """Totals of the filtered set, one page of it, and the whole of it as CSV; a selected loan opens its page."""
    sql, params = _chosen(filters)
    with card("Loans", "gold.portfolio_loans", words="Select a loan to open it."):
        totals = lake.rows(queries.TOTALS.format(chosen=sql), params).to_pylist()[0]
        sort, number = _order(totals["loans"])
        if not totals["loans"]:
            st.info(NOTHING)
            return
        st.caption(
            f"**{count(totals['loans'])}** loans, balance {amount(totals['balance'])}, "
            f"mean PD {percent(totals['pd'])}, {count(totals['in_arrears'])} of them in arrears"
        )
        _list(filters, f"{sql} order by {SORTS[sort]}, loan_id", params, number)


def _chosen(filters: Filters) -> tuple[str, list[Any]]:
    shown = st.segmented_control(
        "Show", SHOWN, default="All", key="show", label_visibility="collapsed", bind="query-params"
    )
    where, params = filters.where()
    return queries.LOANS.format(where=where, only=ONLY.get(shown or "All", "true")), params


def _order(loans: int) -> tuple[str, int]:
    first, second = st.columns([3, 1])
    sort = first.selectbox("Sort by", tuple(SORTS), key="loans-sort")
    pages = max(1, -(-loans // PAGE_LOANS))
    number = second.number_input(f"Page of {pages:,}", 1, pages, 1, key="loans-page")
    return sort, int(number)


def _list(filters: Filters, sql: str, params: list[Any], number: int) -> None:
    rows = lake.rows(f"{sql} limit {PAGE_LOANS} offset {(number - 1) * PAGE_LOANS}", params)
    loan_table(rows, "loans", COLUMNS, height=560)
    left, right = st.columns([1, 1])
    with left:
        download("These loans as CSV", sql, params, filters, "loans")
    with right:
        _high_risk(filters)


def _high_risk(filters: Filters) -> None:
    if lake.exists("gold.high_risk_loans"):
        where, params = filters.where()
        download("High-risk loans as CSV", queries.HIGH_RISK.format(where=where), params, filters, "high_risk_loans")


ONLY = {
    "High risk": "loan_id in (select loan_id from gold.high_risk_loans)",
    "Watch list": "watch_segment in ('high', 'watch')",
}

COLUMNS: dict[str, Any] = {
    "loan_id": st.column_config.TextColumn("Loan", pinned=True),
    "issue_month": st.column_config.DateColumn("Issued", format="YYYY-MM"),
    "purpose": "Purpose",
    "status": "Status",
    "loan_amount": st.column_config.NumberColumn("Lent", format="%,.2f"),
    "balance": st.column_config.NumberColumn("Balance", format="%,.2f"),
    "days_past_due": "Days past due",
    "risk_band": "Band",
    "pd": st.column_config.NumberColumn("PD", format="percent"),
    "points": st.column_config.NumberColumn("Score", format="%.0f"),
    "watch_segment": "Watch",
    "rule_ids": "Rules",
    "term_months": "Term",
    "interest_rate": st.column_config.NumberColumn("Rate", format="percent"),
    "bureau_score": st.column_config.NumberColumn("Bureau", format="%.0f"),
}
