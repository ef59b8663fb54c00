"""`high_risk_alert`: an application beyond the policy's limit is told while somebody can still act on it.

One alert each, up to `AT_MOST_EACH` in a tick. Above that they are one alert, with the count and the riskiest: a burst
of applications (a campaign, an attack, a replay of old events) must not bury everything else a channel has to say. The
ledger has them all, and the alert says how to find them.
"""

import datetime as dt
from typing import Any

import dagster as dg

from credit_risk_platform.adapters.alerting.book import AlertBook
from credit_risk_platform.adapters.high_risk import HighRisk, high_risk
from credit_risk_platform.adapters.policies import NoPolicyError, PolicyBook
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.catalog import Gold
from credit_risk_platform.defs.alerts.tell import LOOK_EVERY_SECONDS, Desk, asset_page, status
from credit_risk_platform.domain.alerts import Finding, Severity
from credit_risk_platform.settings import Settings

AT_MOST_EACH = 20


def build_high_risk_sensor(settings: Settings) -> dg.SensorDefinition:
    @dg.sensor(
        name="high_risk_alert",
        minimum_interval_seconds=LOOK_EVERY_SECONDS,
        default_status=status(settings),
        description=(
            "Tells of every application, from the stream or the API, whose PD reaches the limit from which its policy "
            f"declines: score id, PD, band and reasons, nothing about the person. More than {AT_MOST_EACH} in half a "
            "minute become one alert with their number."
        ),
    )
    def high_risk_alert(
        context: dg.SensorEvaluationContext,
        warehouse: dg.ResourceParam[Warehouse],
        policies: dg.ResourceParam[PolicyBook],
        alert_book: dg.ResourceParam[AlertBook],
        alert_channels: dg.ResourceParam[Any],
    ) -> dg.SkipReason:
        desk = Desk(alert_book, alert_channels, dt.datetime.now(dt.UTC))
        answer, cursor = look(warehouse, policies, context.cursor, desk, settings.dagster_url)
        context.update_cursor(cursor)
        return answer

    return high_risk_alert


def look(
    warehouse: Warehouse, policies: PolicyBook, cursor: str | None, desk: Desk, dagster_url: str
) -> tuple[dg.SkipReason, str]:
    """One tick: its answer, and the cursor (a seal of the ledger) of the next one."""
    after = int(cursor) if cursor else None
    try:
        found = high_risk(warehouse, policies.all(), after, desk.now, AT_MOST_EACH + 1)
    except NoPolicyError as error:
        return desk.send(f"No application was looked at: {error}"), cursor or ""
    desk.report(_findings(found, dagster_url))
    said = f"{found.found} applications beyond their policy's limit in the ledger's batches up to {found.seal}."
    return desk.send(said), str(found.seal)


def _findings(found: HighRisk, dagster_url: str) -> list[Finding]:
    link = asset_page(dagster_url, Gold.DECISIONS.to_user_string())
    if found.found > AT_MOST_EACH:
        return [_together(found, link)]
    return [_one(row, link) for row in found.riskiest]


def _one(row: dict[str, Any], link: str) -> Finding:
    return Finding(
        key=f"application/{row['score_id']}",
        severity=Severity.WARNING,
        title=f"Application with a PD of {row['pd']:.1%}: {row['decision']} from {row['limit']:.1%} on",
        facts={
            "score_id": row["score_id"],
            "pd": row["pd"],
            "limit": row["limit"],
            "band": row["band"],
            "decision": row["decision"] or "none",
            "reasons": "; ".join(f"{code} {text}".strip() for code, text in row["reasons"]) or "none",
            "policy_version": row["policy_version"],
            "path": row["path"],
            "scored": f"{row['scored']:%Y-%m-%d %H:%M:%S} UTC",
        },
        link=link,
        one_off=True,
    )


def _together(found: HighRisk, link: str) -> Finding:
    riskiest = found.riskiest[:AT_MOST_EACH]
    return Finding(
        key=f"applications/{found.seal}",
        severity=Severity.WARNING,
        title=f"{found.found:,} applications beyond their policy's limit at once",
        facts={
            "applications": found.found,
            "highest_pd": riskiest[0]["pd"],
            "riskiest": ", ".join(f"{row['score_id']} ({row['pd']:.1%})" for row in riskiest),
            "next_step": f"All of them: gold.decisions, pd from {riskiest[0]['limit']} on, the latest of them.",
        },
        link=link,
        one_off=True,
    )
