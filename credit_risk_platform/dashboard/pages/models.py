"""Models: who is champion, whether its PDs came true, whether the population still is the one it was trained on."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import streamlit as st

from credit_risk_platform.dashboard import lake
from credit_risk_platform.dashboard.charts import quality
from credit_risk_platform.dashboard.filters import Filters
from credit_risk_platform.dashboard.pages.parts import (
    asset_url,
    card,
    choice,
    figures,
    number,
    percent,
    plain,
    run_url,
    whole_book,
)
from credit_risk_platform.dashboard.queries import models as queries
from credit_risk_platform.dashboard.theme import chart

MATURED, ESTIMATED, BACKTEST = (
    "monitoring.performance_matured",
    "monitoring.performance_estimated",
    "monitoring.backtest_pd",
)
SCORE_DRIFT, FEATURE_DRIFT = "monitoring.score_drift", "monitoring.feature_drift"
MOST_FEATURES = 12


def page(filters: Filters) -> None:
    """The issue months of the filters choose vintages; drift and identity are of the whole book."""
    _identity()
    left, right = st.columns(2)
    with left:
        _calibration(filters)
    with right:
        _backtest(filters)
    _vintages(filters)
    left, right = st.columns(2)
    with left:
        _score_drift(filters)
    with right:
        _feature_drift(filters)


def _identity() -> None:
    with card("Champion", "models.champion", words="Promoted by the asset itself, after its blocking checks passed."):
        champion = _champion()
        if champion is None:
            st.info(f"No model has been promoted yet: materialise [models/champion]({asset_url('models.champion')}).")
            return
        held_out = champion.get("metrics", {}).get("out_of_time", {})
        st.markdown(f"**{plain(champion['name'])}, version {champion['version']}**")
        figures(
            ("AUC out of time", number(held_out.get("auc"), 3)),
            ("KS out of time", number(held_out.get("ks"), 3)),
            ("Calibration slope", number(held_out.get("calibration_slope"), 2)),
        )
        st.markdown(
            f"Bundle `{champion['sha'][:16]}`, promoted {champion['promoted_at'][:16].replace('T', ' ')} UTC by "
            f"{champion['promoted_by']} ([run {champion['run_id'][:8]}]({run_url(champion['run_id'])})). "
            f"{champion['reason'].capitalize()}."
        )


def _champion() -> dict[str, Any] | None:
    """The promotion record beside the bundles, as it is written; `None` before the first promotion."""
    stored = lake.settings().files("models").read("champion.json")
    return json.loads(stored) if stored is not None else None


def _calibration(filters: Filters) -> None:
    words = "Each dot is a vintage that has matured: the mean PD its loans were given, and the share that went bad."
    with card("Calibration", MATURED, "monitoring.realised_pd", words=words, ignores=_months_only(filters)):
        rows = _between(filters, queries.MATURED)
        rows = rows.append_column("expected", rows["expected_bad_rate"]).append_column("vintage", _names(rows))
        held_out = rows.filter(pc.not_equal(rows["exposure"], quality.IN_SAMPLE))
        chosen = held_out if held_out.num_rows else rows
        if not chosen.num_rows:
            st.info("No vintage of these months has matured yet.")
            return
        chart(quality.calibration(chosen, "vintage"), key="calibration", alt="Mean PD against the share that went bad")
        if not held_out.num_rows:
            st.caption(":orange-badge[in sample] The model has learnt from these loans: this flatters it.")
        _realised()


def _realised() -> None:
    if not lake.exists("monitoring.realised_pd"):
        return
    for row in lake.rows(queries.REALISED).to_pylist():
        verdict = ":red[off]" if row["is_off"] else "within its uncertainty"
        st.caption(
            f"Over {row['loans']:,} held-out loans: foretold {percent(row['mean_pd'])}, came true "
            f"{percent(row['bads'] / row['loans'] if row['loans'] else None)}; {verdict} (z = {number(row['z'])})."
        )


def _backtest(filters: Filters) -> None:
    words = "Binomial test of each band of each vintage: amber at 95 %, red at 99 % certainty that the PD was off."
    with card("Backtest by risk band", BACKTEST, words=words, ignores=_months_only(filters)):
        rows = _between(filters, queries.BACKTEST)
        if not rows.num_rows:
            st.info("No vintage of these months has been backtested yet.")
            return
        chart(quality.backtest(rows), key="backtest", alt="Traffic lights by vintage and band")


def _vintages(filters: Filters) -> None:
    words = (
        "Measured where every loan has had its time; estimated, and drawn hollow, where the outcome is still open. "
        "An estimate is not a measurement: it assumes that the PDs are right."
    )
    with card("Performance by vintage", MATURED, ESTIMATED, words=words, ignores=_months_only(filters)):
        measure = choice("Measure", tuple(quality.MEASURES), "vintage-quality", _measure_words)
        matured, estimated = _between(filters, queries.MATURED), _between(filters, queries.ESTIMATED)
        if not matured.num_rows and not estimated.num_rows:
            st.info("No vintage in these months.")
            return
        chart(quality.over_vintages(matured, estimated, measure), key="vintages", alt="Quality by vintage")


def _score_drift(filters: Filters) -> None:
    with card("Drift of the scores", SCORE_DRIFT, words=PSI_WORDS, ignores=whole_book(filters)):
        rows = lake.rows(queries.SCORE_DRIFT)
        if not rows.num_rows:
            st.info("No day has been compared yet.")
            return
        chart(quality.drift(rows), key="score-drift", alt="Population stability index of the scores over time")


def _feature_drift(filters: Filters) -> None:
    with card("Features that moved most", FEATURE_DRIFT, words=PSI_WORDS, ignores=whole_book(filters)):
        populations = lake.rows(queries.POPULATIONS)["population"].to_pylist()
        if not populations:
            st.info("No day has been compared yet.")
            return
        population = choice("Population", populations, "drift-population", plain)
        rows = lake.rows(queries.FEATURE_DRIFT, [population, MOST_FEATURES])
        chart(quality.feature_drift(rows), key="feature-drift", alt="Population stability index by feature")
        st.caption(f"As of {rows['as_of'][0].as_py()}" if rows.num_rows else "")


def _measure_words(name: str) -> str:
    return "AUC" if name == "auc" else plain(name)


def _between(filters: Filters, sql: str) -> pa.Table:
    months = Filters(filters.issued_from, filters.issued_to)
    where, params = months.where()
    return lake.rows(sql.format(where=where), params)


def _months_only(filters: Filters) -> str:
    return whole_book(filters, applied=("issue month",))


def _names(rows: pa.Table) -> pa.Array:
    return pa.array([f"{month:%b %Y}" for month in rows["issue_month"].to_pylist()], pa.string())


PSI_WORDS = "Population stability index against the training population: little below 0.10, much above 0.25."
