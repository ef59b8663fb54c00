"""One loan: its facts and payments, its scores and what they were made from, its expected loss, its warnings."""

from __future__ import annotations

import json
from typing import Any

import streamlit as st

from credit_risk_platform.dashboard import lake
from credit_risk_platform.dashboard.charts import delinquency
from credit_risk_platform.dashboard.filters import Filters
from credit_risk_platform.dashboard.pages.parts import (
    amount,
    asset_url,
    card,
    count,
    figures,
    first,
    number,
    percent,
    plain,
    run_url,
)
from credit_risk_platform.dashboard.queries import loan as queries
from credit_risk_platform.dashboard.theme import chart


def page(filters: Filters) -> None:  # noqa: ARG001  every page takes them
    """The loan named in the URL (`?loan=`) or typed here; filters do not bear on a single loan."""
    typed = st.text_input("Loan", key="loan", bind="query-params", placeholder="loan id", width=320)
    loan_id = (typed or "").strip()
    if not loan_id:
        st.info("Type a loan id, or select a loan in the list of loans or on the watch list.")
        return
    facts = first(lake.rows(queries.FACTS, [loan_id]))
    if not facts:
        st.warning(f"There is no loan {loan_id} in the book. Scores of an application that became none stand below.")
        _scores(loan_id)
        return
    _tiles(facts)
    left, right = st.columns([3, 2])
    with left:
        _history(loan_id)
    with right:
        _facts(facts)
    _scores(loan_id)
    left, right = st.columns(2)
    with left:
        _expected_loss(loan_id)
    with right:
        _warnings(loan_id)


def _tiles(facts: dict[str, Any]) -> None:
    figures(
        ("Status", facts["status"]),
        ("Balance", amount(facts["balance"])),
        ("Days past due", count(facts["days_past_due"])),
        ("PD", percent(facts["pd"])),
        ("Risk band", facts["risk_band"]),
        ("Score", number(facts["points"], 0)),
        border=True,
    )


def _facts(facts: dict[str, Any]) -> None:
    with card("The loan", "gold.portfolio_loans"):
        shown = {
            "Issued": f"{facts['issue_month']:%B %Y}",
            "Purpose": plain(facts["purpose"]),
            "Lent": f"{facts['loan_amount']:,.2f} over {facts['term_months']} months",
            "Interest rate": percent(facts["interest_rate"]),
            "Grade": facts["grade"],
            "State": facts["state"],
            "Bureau score": number(facts["bureau_score"], 0),
            "Months on book": count(facts["months_on_book"]),
            "Balance is": facts["balance_basis"],
            "Defaulted on": facts["default_date"],
            "Closed on": facts["closed_date"],
            "As of": facts["as_of"],
        }
        lines = [f"| {name} | {value} |" for name, value in shown.items() if value not in (None, "", "n/a")]
        st.markdown("\n".join([lines[0], "|---|---|", *lines[1:]]))


def _history(loan_id: str) -> None:
    with card("Month by month", "silver.int_loan_month_panel"):
        rows = lake.rows(queries.HISTORY, [loan_id])
        if not rows.num_rows:
            st.info("No repayment of this loan is on record: no instalment was due yet, or its source publishes none.")
            return
        chart(delinquency.loan_history(rows), key="loan-history", alt="Balance and days past due by month")
        with st.expander("Figures"):
            st.dataframe(rows, hide_index=True, placeholder="", key="loan-months")


def _scores(loan_id: str) -> None:
    with card("Scores and where they come from", "gold.score_ledger", "gold.portfolio_scores"):
        rows = lake.rows(queries.LEDGER, [loan_id]).to_pylist()
        if not rows:
            st.info("No score of this loan stands on the ledger.")
            return
        st.dataframe(
            [{name: row[name] for name in SCORE_COLUMNS} for row in rows], hide_index=True, key="scores",
            column_config=SCORE_COLUMNS,
        )  # fmt: skip
        ids = [row["score_id"] for row in rows]
        chosen = st.selectbox("Provenance of score", ids, key="score", bind="query-params", width=420)
        _provenance(rows[ids.index(chosen)])


def _provenance(score: dict[str, Any]) -> None:
    left, right = st.columns(2)
    with left:
        st.markdown("\n".join(f"- {line}" for line in _origin(score)))
        st.markdown("Compute it again from what was kept:")
        st.code(f"crp replay {score['score_id']}", language="bash")
    with right:
        st.markdown("**Reasons**")
        st.markdown(
            "\n".join(f"- {text}" for text in _reasons(score))
            or "None: a reason stands where something weighed against the loan."
        )
        st.markdown("**Data it was made from**")
        st.markdown("\n".join(_upstream(score["upstream"])))


def _origin(score: dict[str, Any]) -> list[str]:
    lines = [
        f"Model **{plain(score['model_name'])}** ([models/champion]({asset_url('models.champion')}))",
        f"Bundle `{_short(score['bundle_sha'])}`",
        f"Feature SQL `{_short(score['feature_sql_hash'])}`",
        f"Policy **{score['policy_version']}**",
        f"Known at {score['known_at']:%Y-%m-%d %H:%M:%S} UTC",
        f"Run [{score['run_id'][:8]}]({run_url(score['run_id'])})" if score["run_id"] else "No run: scored by the API",
        f"Code, git `{_short(score['git_commit'])}`",
        f"Ledger seal {score['seal_no']}" if score["seal_no"] is not None else "Not sealed yet",
    ]
    if score["kafka_topic"]:
        lines.append(
            f"Message {score['kafka_topic']}, partition {score['kafka_partition']}, offset {score['kafka_offset']}"
        )
    return lines


def _reasons(score: dict[str, Any]) -> list[str]:
    codes = score["reasons"] or []
    if not codes or not lake.exists("gold.reason_codes"):
        return list(codes)
    texts = {row["code"]: row["text"] for row in lake.rows(queries.REASONS).to_pylist()}
    return [f"{code}: {texts.get(code, 'text of an older policy')}" for code in codes]


def _upstream(recorded: str | None) -> list[str]:
    lines = []
    for part in json.loads(recorded or "[]"):
        name = part["asset"] + (f" ({part['partition']})" if part.get("partition") else "")
        run = f", run [{part['run_id'][:8]}]({run_url(part['run_id'])})" if part.get("run_id") else ""
        lines.append(f"- [{name}]({asset_url(part['asset'])}), version `{_short(part.get('data_version'))}`{run}")
    return lines or ["None recorded."]


def _short(digest: str | None) -> str:
    return (digest or "unknown")[:12]


def _expected_loss(loan_id: str) -> None:
    with card("Expected loss", "gold.loan_ecl"):
        found = first(lake.rows(queries.ECL, [loan_id]))
        if not found:
            st.info("This loan is not provisioned: it was not on the book on the last reporting day.")
            return
        figures(
            (f"Stage {found['stage']}", amount(found["ecl"])),
            ("CECL", amount(found["ecl_cecl"])),
            ("Exposure", amount(found["ead"])),
        )
        st.markdown(
            f"{plain(found['stage_reason'])}. PD over 12 months {percent(found['pd_12m'])}, "
            f"over its life {percent(found['pd_lifetime'])} (expected at origination for the same rest of it: "
            f"{percent(found['pd_lifetime_at_origination'])}); loss given default {percent(found['lgd'], 1)}, "
            f"discounted at {percent(found['eir'])}."
        )
        st.caption(
            f"As of {found['as_of']}; PD model `{_short(found['hazard_sha'])}`, "
            f"LGD model `{_short(found['lgd_sha'])}`, scenarios `{_short(found['scenario_sha'])}`."
        )


def _warnings(loan_id: str) -> None:
    with card("Early warnings", "gold.early_warnings", "gold.risk_segments"):
        segment = first(lake.rows(queries.SEGMENT, [loan_id]))
        if not segment:
            st.info("The watch list judges open loans only.")
            return
        st.markdown(
            f"Segment **{segment['segment']}**: "
            f"{segment['rules_fired']} of {segment['rules_measured']} measured rules fired."
        )
        rows = lake.rows(queries.WARNINGS, [loan_id])
        if rows.num_rows:
            st.dataframe(
                rows,
                hide_index=True,
                key="loan-warnings",
                placeholder="",
                column_config=WARNING_COLUMNS,
            )
        if segment["not_measurable"]:
            st.caption(f"Not measurable for this loan: {segment['not_measurable']}.")


WARNING_COLUMNS: dict[str, Any] = {
    "rule_id": "Rule",
    "severity": "Severity",
    "measured_on": "Measured on",
    "measure": "Measure",
    "measured_value": "Value",
    "threshold": "Threshold",
    "evidence": "Evidence",
}
SCORE_COLUMNS: dict[str, Any] = {
    "as_of": st.column_config.DateColumn("As of"),
    "pd": st.column_config.NumberColumn("PD", format="percent"),
    "points": st.column_config.NumberColumn("Score", format="%.0f"),
    "band": "Band",
    "decision": "Decision",
    "model_name": "Model",
    "policy_version": "Policy",
    "score_id": "Score id",
}
