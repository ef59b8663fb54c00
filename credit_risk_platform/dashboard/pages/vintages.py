"""Vintages and rolls: how cohorts season, where loans move from month to month, how arrears and defaults go."""

from __future__ import annotations

import pyarrow as pa
import streamlit as st

from credit_risk_platform.dashboard import lake
from credit_risk_platform.dashboard.charts import curves, delinquency
from credit_risk_platform.dashboard.filters import Filters
from credit_risk_platform.dashboard.pages.parts import NOTHING, card, choice, whole_book
from credit_risk_platform.dashboard.queries import vintages as queries
from credit_risk_platform.dashboard.theme import chart


def page(filters: Filters) -> None:
    """Vintage curves over the width; transitions, forecast, arrears and trend two and two."""
    _curves(filters)
    left, right = st.columns([3, 2])
    with left:
        _rolls(filters)
    with right:
        _forecast(filters)
    left, right = st.columns(2)
    with left:
        _buckets(filters)
    with right:
        _trend(filters)


def _curves(filters: Filters) -> None:
    words = (
        "Cumulative share of a quarter's loans that had defaulted, by months on book. A line ends at the last month "
        "that every loan of its quarter has reached; prepaid loans stay in the denominator."
    )
    with card("Vintage curves", "gold.vintage_curves", "gold.portfolio_loans", words=words):
        by_amount = _measure("vintage-measure") == "amount"
        rate = "default_rate_by_amount" if by_amount else "default_rate"
        rows = vintage_rows(filters)
        if not curves.seasoned(rows, rate).num_rows:
            st.info(NOTHING if not rows.num_rows else "No quarter of these loans has seasoned yet.")
            return
        chart(curves.vintage_curves(rows, rate), key="vintage-curves", alt="Cumulative default rate by months on book")
        if left_out := curves.unseasoned_cohorts(rows, rate):
            st.caption(f"Not seasoned, so not drawn: {', '.join(left_out)}.")


def vintage_rows(filters: Filters) -> pa.Table:
    """Curves of the filtered loans: their defaults, over the cells and the maturity of gold.vintage_curves."""
    where, params = filters.where()
    return lake.rows(queries.CURVES.format(where=where), params)


def _rolls(filters: Filters) -> None:
    words = "Share of the loans of each row that stood in each column a month later; a row sums to 100 %."
    with card("Roll rates", "gold.loan_transitions", words=words):
        first, second = st.columns(2)
        with first:
            months = choice("Period", (1, 12), "roll-period", _period, default=1)
        with second:
            measure = "balance" if _measure("roll-measure") == "amount" else "loans"
        where, params = filters.where()
        rows = lake.rows(queries.ROLLS.format(where=where), [*params, months])
        if not rows.num_rows:
            st.info(f"{NOTHING[:-1]}, or their source publishes no repayments.")
            return
        chart(curves.roll_rates(rows, measure), key="roll-rates", alt="Share of loans by state a month later")


def _forecast(filters: Filters) -> None:
    words = (
        "The matrix known twelve months ago, applied twelve times, against what came: how far the rolls can be trusted."
    )
    with card("Roll forecast against outcome", "gold.roll_forecast", words=words, ignores=whole_book(filters)):
        rows = lake.rows(queries.FORECAST)
        if not rows.num_rows:
            st.info("This comparison takes two years of repayments, which this book does not have.")
            return
        chart(curves.roll_forecast(rows), key="roll-forecast", alt="Defaults foretold and realised by state")


def _buckets(filters: Filters) -> None:
    words = (
        "Share of the loans open at month end. Days are counted from the oldest instalment still unpaid; "
        "what cannot be measured is in the whole, and in no bucket."
    )
    with card("Arrears by bucket", "gold.portfolio_months", words=words):
        measure = "share_of_balance" if _measure("bucket-measure") == "amount" else "share_of_loans"
        where, params = filters.where()
        rows = lake.rows(queries.BUCKETS.format(where=where), params)
        if not set(rows["dpd_bucket"].to_pylist()) & set(delinquency.IN_ARREARS):
            st.info("None of these loans has been in arrears that can be measured.")
            return
        chart(delinquency.buckets_over_time(rows, measure), key="buckets", alt="Share in arrears by bucket and month")


def _trend(filters: Filters) -> None:
    words = "Hatched months are not all known yet. Filters choose loans by what they are today."
    with card("Default rate", "gold.portfolio_months", "gold.default_trend", words=words):
        where, params = filters.where()
        rows = lake.rows(queries.TREND.format(where=where), params)
        if not rows.num_rows:
            st.info(NOTHING)
            return
        target = lake.settings().default_rate_target
        chart(delinquency.default_trend(rows, target), key="default-trend", alt="Default rate over twelve months")


def _measure(key: str) -> str:
    return choice("Measure", ("loans", "amount"), key, lambda name: f"by {name}")


def _period(months: int) -> str:
    return "latest month" if months == 1 else f"latest {months} months"
