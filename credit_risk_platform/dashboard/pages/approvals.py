"""Approvals: how far applications came, what was decided and why, how scores and exposures are spread."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import streamlit as st

from credit_risk_platform.dashboard import lake
from credit_risk_platform.dashboard.charts import decisions, segments
from credit_risk_platform.dashboard.filters import Filters
from credit_risk_platform.dashboard.pages.parts import card, choice, count, figures, number, plain, whole_book
from credit_risk_platform.dashboard.queries import approvals as queries
from credit_risk_platform.dashboard.theme import chart

TOP_REASONS = 8
MOST_SEGMENTS = 15
SOURCES = ("Applications", "The book, judged by the policy in force")
KINDS = {"pd": "PD", "points": "Score", "bureau_score": "Bureau score"}
POPULATIONS = ("open book", "all loans", "applications")
ATTRIBUTES = ("state", "purpose", "grade", "risk_band", "term")
LIGHTS = {"red": "red", "amber": "orange", "green": "green"}
LEGAL = "This is a screening statistic, not a legal test."


def page(filters: Filters) -> None:
    """Decisions above, the spread of scores in the middle, fairness and concentration below."""
    chosen = choice("Decisions on", SOURCES, "approvals-source")
    book = chosen == SOURCES[1]
    left, right = st.columns(2)
    with left:
        _funnel(filters, book)
    with right:
        _reasons(filters)
    left, right = st.columns([3, 2])
    with left:
        _by_day(filters, book)
    with right:
        _by_channel(filters, book)
    _scores(filters)
    _concentration(filters)
    _fair_lending(filters)


def _funnel(filters: Filters, book: bool) -> None:
    words = "An application that is no loan yet has status Application; its issue month is that of its day."
    with card("From application to loan", "gold.approvals", words=words):
        rows = _approvals(filters, book, queries.FUNNEL)
        if not rows["applications"][0].as_py():
            st.info(NONE)
            return
        chart(decisions.funnel(rows), key="funnel", alt="Applications, scored, approved, booked")
        extra = dict(zip(rows["step"].to_pylist(), rows["of_them"].to_pylist(), strict=True))
        st.caption(
            f"Referred to a person {count(extra['Scored'])}, declined {count(extra['Approved'])}, "
            f"with a sign of fraud {count(extra['Applications'])}, booked {count(rows['applications'][3].as_py())}."
        )


def _reasons(filters: Filters) -> None:
    words = "Share of the declined applications that were told this reason; each is told up to five."
    with card("Why applications were declined", "gold.decisions", words=words):
        where, params = filters.where("asked")
        rows = lake.rows(queries.REASONS.format(where=where), [*params, TOP_REASONS])
        if not rows.num_rows:
            st.info("No application of this selection was declined.")
            return
        chart(decisions.reasons(rows), key="reasons", alt="Principal reasons of declined applications")


def _by_day(filters: Filters, book: bool) -> None:
    with card("Decisions over time", "gold.approvals", words="A day without decisions is a gap."):
        rows = _approvals(filters, book, queries.DAYS.format(step="month" if book else "day", where="{where}"))
        if not rows.num_rows:
            st.info(NONE)
            return
        figure = decisions.outcomes_by_day(rows, monthly=book)
        chart(figure, key="outcomes-by-day", alt="Decisions by day and outcome")


def _by_channel(filters: Filters, book: bool) -> None:
    with card("Outcome by channel", "gold.approvals"):
        rows = _approvals(filters, book, queries.CHANNELS)
        if not rows.num_rows:
            st.info(NONE)
            return
        chart(decisions.by_channel(rows), key="outcomes-by-channel", alt="Share of outcomes by channel")


def _approvals(filters: Filters, book: bool, sql: str) -> pa.Table:
    where, params = filters.where()
    return lake.rows(sql.format(where=f"channel {'=' if book else '<>'} 'portfolio' and {where}"), params)


def _scores(filters: Filters) -> None:
    with card("How scores are spread", "gold.score_distribution"):
        population = choice("Population", POPULATIONS, "scores-of", plain)
        where, params = filters.where()
        rows = lake.rows(queries.SCORES.format(where=where), [population, *params])
        if not rows.num_rows:
            st.info("Nothing of this selection has a score.")
            return
        columns = st.columns(3)
        for column, (kind, title) in zip(columns, KINDS.items(), strict=True):
            with column:
                _histogram(rows.filter(pc.equal(rows["kind"], kind)), kind, title)
        st.markdown("**Risk bands**")
        bands = lake.rows(queries.BANDS.format(where=where), [population, *params])
        chart(decisions.bands(bands), key="bands", alt="Loans by risk band")


def _histogram(rows: pa.Table, kind: str, title: str) -> None:
    st.markdown(f"**{title}**")
    if rows.num_rows:
        chart(decisions.distribution(rows, kind), key=f"scores-{kind}", alt=f"Histogram of {title}")
        st.caption(f"{count(pc.sum(rows['loans']).as_py())} loans")
    else:
        st.caption("Not known of these.")


def _concentration(filters: Filters) -> None:
    words = (
        "Share of the open exposure; the mark is the limit. HHI: sum of squared shares, 1 when all is in one segment."
    )
    with card("Concentration", "gold.concentration", words=words, ignores=whole_book(filters)):
        kind = choice("By", ATTRIBUTES, "concentration-kind", plain)
        rows = lake.rows(queries.CONCENTRATION, [kind])
        if not rows.num_rows:
            st.info("The book is empty.")
            return
        lights = rows["light"].to_pylist()
        figures(
            ("HHI", number(rows["hhi"][0].as_py(), 4)),
            *((f":{colour}-badge[{light}]", count(lights.count(light))) for light, colour in LIGHTS.items()),
        )
        chart(
            segments.concentration(rows.slice(0, MOST_SEGMENTS)),
            key="concentration",
            alt="Share of exposure against limits",
        )
        if rows.num_rows > MOST_SEGMENTS:
            st.caption(f"The {MOST_SEGMENTS} largest of {rows.num_rows} segments; the lights count all.")


def _fair_lending(filters: Filters) -> None:
    words = (
        f"{LEGAL} Selection rate: share the policy in force would approve without a person. Ratio: that of the group "
        "over that of the group with the highest. Groups below 100 loans are suppressed."
    )
    with card("Fair lending", "gold.fair_lending", words=words, ignores=whole_book(filters)):
        rows = lake.rows(queries.FAIR)
        if not rows.num_rows:
            st.info("No loan has been judged yet.")
            return
        left, right = st.columns([2, 3])
        with left:
            chart(segments.impact_ratios(rows), key="fair-ratios", alt="Adverse impact ratio by group")
        with right:
            st.dataframe(
                _fair_table(rows),
                hide_index=True,
                placeholder="",
                key="fair-lending",
                column_config=FAIR_COLUMNS,
                height=460,
            )


def _fair_table(rows: pa.Table) -> list[dict[str, Any]]:
    """As people read it: a suppressed group says so in place of every figure."""
    return [
        {
            "Attribute": plain(row["attribute"]),
            "Group": row["group_name"],
            "Loans": row["loans"],
            "Reading": _reading(row),
            "Selected": row["selection_rate"],
            "Ratio": row["air"],
            "95 % interval": "" if row["air_low"] is None else f"{row['air_low']:.2f} to {row['air_high']:.2f}",
            "SMD of PD": row["smd_pd"],
            "False positive gap": row["false_positive_gap"],
            "False negative gap": row["false_negative_gap"],
        }
        for row in rows.to_pylist()
    ]


def _reading(row: dict[str, Any]) -> str:
    if row["suppressed"]:
        return "suppressed"
    if row["is_reference"]:
        return "reference"
    return "look closer" if row["below_four_fifths"] else "above 0.8"


NONE = "No application of this selection. Filters by status other than Application leave only booked ones."

FAIR_COLUMNS: dict[str, Any] = {
    "Loans": st.column_config.NumberColumn(format="localized"),
    "Selected": st.column_config.NumberColumn(format="percent"),
    "Ratio": st.column_config.NumberColumn(format="%.3f"),
    "SMD of PD": st.column_config.NumberColumn(format="%.3f"),
    "False positive gap": st.column_config.NumberColumn(format="percent"),
    "False negative gap": st.column_config.NumberColumn(format="percent"),
}
