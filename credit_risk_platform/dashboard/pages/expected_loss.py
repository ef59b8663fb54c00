"""Expected loss: the allowance and its stages, what moved it since the day before it, what scenarios would do to it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import pyarrow as pa
import streamlit as st

from credit_risk_platform.dashboard import lake
from credit_risk_platform.dashboard.charts import losses
from credit_risk_platform.dashboard.filters import Filters
from credit_risk_platform.dashboard.pages.parts import (
    NOTHING,
    amount,
    asset_url,
    card,
    count,
    first,
    loan_table,
    percent,
    plain,
    whole_book,
)
from credit_risk_platform.dashboard.queries import expected_loss as queries
from credit_risk_platform.dashboard.theme import chart

ECL, WATERFALL, STRESS = "gold.ecl_stage", "gold.ecl_waterfall", "gold.stress_ecl"


def page(filters: Filters) -> None:
    """Tiles, stages and purposes of the filtered book; waterfall and scenarios of the whole one."""
    days = lake.rows(queries.DAYS)["as_of"].to_pylist()
    if not days:
        st.info(f"No day has been provisioned yet: materialise [gold/loan_ecl]({asset_url('gold.loan_ecl')}) for one.")
        return
    day = st.selectbox("Reporting day", days, format_func=date.isoformat, key="ecl-day", width=200)
    _tiles(filters, day, next((other for other in days if other < day), None))
    left, right = st.columns([3, 2])
    with left:
        _stages(filters, day)
    with right:
        _by_stage(filters, day)
    _waterfall(filters, day)
    left, right = st.columns(2)
    with left:
        _scenarios(filters)
    with right:
        _purposes(filters, day)


def _tiles(filters: Filters, day: date, before: date | None) -> None:
    now, then = _totals(filters, day), _totals(filters, before) if before else {}
    compared = f"since {before.isoformat()}" if before else None
    with st.container(horizontal=True):
        for label, name, show, difference, words in TILES:
            delta = _change(now, then, name, difference)
            st.metric(label, show(now.get(name)), delta, "inverse", help=words, border=True, delta_description=compared)
    st.caption(
        f"{count(now.get('loans'))} loans, {amount(now.get('ead'))} exposure. From [gold/ecl_stage]({asset_url(ECL)})."
    )


def _totals(filters: Filters, day: date) -> dict[str, float]:
    where, params = filters.where()
    return first(lake.rows(queries.TOTALS.format(where=where), [*params, day]))


def _change(now: dict[str, float], then: dict[str, float], name: str, show: Callable[[float], str]) -> str | None:
    if now.get(name) is None or then.get(name) is None:
        return None
    return show(now[name] - then[name])


def _points(change: float) -> str:
    return f"{100 * change:+.2f} pp"


TILES: tuple[tuple[str, str, Callable[[Any], str], Callable[[float], str], str], ...] = (
    (
        "Expected credit loss", "ecl", amount, amount,
        "IFRS 9: 12 months of losses in stage 1, lifetime in stages 2 and 3, weighted over the scenarios.",
    ),
    ("Coverage", "coverage", percent, _points, "Expected loss over exposure at default."),
    ("Stage 2 share", "stage_2", percent, _points, "Share of the exposure whose credit risk has risen significantly."),
    ("Stage 3 share", "stage_3", percent, _points, "Share of the exposure that is in default."),
    ("CECL allowance", "ecl_cecl", amount, amount, "US GAAP: lifetime losses of every loan, without stages."),
)  # fmt: skip


def _stages(filters: Filters, day: date) -> None:
    with card("By stage and risk band", ECL, "gold.loan_ecl"):
        rows = _cube(filters, day, "stage, risk_band")
        if not rows.num_rows:
            st.info(NOTHING)
            return
        chart(losses.ecl_by_stage(rows), key="ecl-stages", alt="Expected credit loss by stage and risk band")


def _by_stage(filters: Filters, day: date) -> None:
    with card("Stages", ECL):
        rows = _cube(filters, day, "stage")
        st.dataframe(rows, hide_index=True, column_config=_columns("stage", "Stage"), key="ecl-stage-table")


def _purposes(filters: Filters, day: date) -> None:
    with card("By purpose", ECL):
        rows = _cube(filters, day, "purpose")
        shown = rows.set_column(0, "purpose", pa.array([plain(name) for name in rows["purpose"].to_pylist()]))
        shown = shown.sort_by([("ecl", "descending")])
        st.dataframe(shown, hide_index=True, column_config=_columns("purpose", "Purpose"), key="ecl-purposes")


def _cube(filters: Filters, day: date, by: str) -> pa.Table:
    where, params = filters.where()
    return lake.rows(queries.CUBE.format(where=where, by=by), [*params, day])


def _waterfall(filters: Filters, day: date) -> None:
    words = "Each bar is what this cause alone changed, found by computing the loss once more with one part exchanged."
    with card("What moved the expected loss", WATERFALL, "gold.ecl_movements", words=words):
        rows = lake.rows(queries.WATERFALL, [day])
        if not rows.num_rows:
            st.info("There is no earlier day to compare this one with.")
            return
        if filters.query_params():
            rows = _moved(filters, day, rows)
        st.caption(f"From {rows['compared_with'][0].as_py()} to {day}")
        chart(losses.waterfall(rows), key="ecl-waterfall", alt="Expected loss from opening to closing, by cause")
        if abs(gap := losses.waterfall_gap(rows)) > 0.01:
            st.error(f"The bars leave {gap:,.2f} of the change unexplained: look at the checks of gold/ecl_waterfall.")
        _drill_down(filters, day)


def _moved(filters: Filters, day: date, whole: pa.Table) -> pa.Table:
    """The steps for the filtered loans, from what moved loan by loan; their opening is what the closing moved from."""
    where, params = filters.where("loans")
    sums = ", ".join(f"cast(sum(moved.{_column(bar)}) as double) as {_column(bar)}" for bar in BARS)
    moved = first(lake.rows(queries.MOVED.format(sums=sums, where=where), [day, *params]))
    bars = [moved[_column(bar)] or 0.0 for bar in BARS]
    closing = _totals(filters, day)["ecl"] or 0.0
    amounts = dict(zip(("opening", *BARS, "closing"), (closing - sum(bars), *bars, closing), strict=True))
    place = whole.schema.get_field_index("amount")
    return whole.set_column(place, "amount", pa.array([amounts[step] for step in whole["step"].to_pylist()]))


def _column(bar: str) -> str:
    return bar.replace(" ", "_").lower()


def _drill_down(filters: Filters, day: date) -> None:
    """From a bar to the loans that it is made of, and to the assets whose versions made it."""
    bar = st.selectbox(
        "Loans and assets behind", list(BARS), index=None, placeholder="choose a bar", key="ecl-bar", width=320
    )
    if bar is None:
        return
    links = ", ".join(f"[{table.replace('.', '/')}]({asset_url(table)})" for table in BARS[bar])
    st.markdown(f"Made by {links}. The {MOST_MOVERS} loans that moved most, of those the filters leave:")
    where, params = filters.where("loans")
    rows = lake.rows(queries.MOVERS.format(column=_column(bar), where=where), [day, *params, MOST_MOVERS])
    loan_table(rows, "ecl-movers", MOVER_COLUMNS)


def _scenarios(filters: Filters) -> None:
    ignored = whole_book(filters, applied=("risk band", "purpose"))
    with card("Under each scenario", STRESS, words="The allowance, had the scenario come true.", ignores=ignored):
        where, params = Filters(bands=filters.bands, purposes=filters.purposes).where("stress")
        rows = lake.rows(queries.STRESS.format(where=where), params)
        if not rows.num_rows:
            st.info(
                NOTHING
                if params
                else "No scenario has been computed yet: materialise the partitions of gold/stress_ecl."
            )
            return
        chart(losses.scenarios(rows), key="ecl-scenarios", alt="Expected credit loss by scenario and stage")
        st.caption(f"As of {max(rows['as_of'].to_pylist())}")


def _columns(name: str, label: str) -> dict[str, Any]:
    return {
        name: label,
        "loans": st.column_config.NumberColumn("Loans", format="localized"),
        "ead": st.column_config.NumberColumn("Exposure", format="%,.2f"),
        "ecl": st.column_config.NumberColumn("ECL", format="%,.2f"),
        "ecl_cecl": None,
        "coverage": st.column_config.NumberColumn("Coverage", format="percent"),
    }


BARS = {
    "new business": ("gold.loan_ecl", "gold.origination_scores"),
    "derecognised": ("gold.loan_ecl", "gold.loan_outcomes"),
    "stage moves": ("gold.loan_ecl", "silver.int_loan_month_panel"),
    "remeasurement": ("gold.loan_ecl", "silver.int_loan_month_panel"),
    "PD model": ("models.hazard_pd", "models.champion"),
    "LGD model": ("models.lgd_model",),
    "scenario": ("gold.stress_ecl",),
    "data restatement": ("monitoring.restatement_diff",),
}
"""The bars of the waterfall and what makes each. Their columns in gold.ecl_movements bear the same names."""
MOST_MOVERS = 50
MOVER_COLUMNS: dict[str, Any] = {
    "loan_id": "Loan",
    "amount": st.column_config.NumberColumn("Moved by", format="%,.2f"),
    "ecl_before": st.column_config.NumberColumn("ECL before", format="%,.2f"),
    "ecl_after": st.column_config.NumberColumn("ECL after", format="%,.2f"),
    "stage_before": "Stage before",
    "stage_after": "Stage after",
    "purpose": "Purpose",
    "risk_band": "Band",
}
