"""The lines of the health page: which word each area's figures earn, what was found, and what to do next.

Each function takes the rows of a table as they are read (names of columns as in `monitoring.*`) and gives one `Area`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from credit_risk_platform.domain.alerts import Severity
from credit_risk_platform.domain.drift import Verdict
from credit_risk_platform.domain.health import (
    API_ERRORS_ACT,
    API_ERRORS_LOOK,
    API_P95_MS,
    DEAD_SHARE,
    DISK_ACT,
    DISK_LOOK,
    LAG_ACT,
    Area,
    Freshness,
    Result,
    State,
    grade,
    named,
)

Row = Mapping[str, Any]
HEALTH = "health"
"""Group of the page's own assets, which are not judged: an hour's pause would turn the page red over itself."""
PAGE = "monitoring/platform_health"
DRIFT = ("monitoring/feature_drift", "monitoring/feature_drift_report", "monitoring/prediction_drift_report")
PERFORMANCE = ("monitoring/score_drift", "monitoring/performance_matured", "monitoring/performance_estimated",
    "monitoring/backtest_pd")  # fmt: skip
CHAMPION, ARCHIVE = "models/champion", "monitoring/archive_daily"
PREDICT = "/api/v1/predict"
ENOUGH_CALLS = 20
"""The 95th percentile of fewer calls is one call."""
TRAINING_LINK = "/assets/models/champion"


def freshness(assets: Sequence[Row]) -> Area:
    """Is everything that is made by the clock as young as its policy wants it?"""
    judged = [row for row in assets if row["asset_group"] != HEALTH]
    link = "/assets/monitoring/asset_health"
    made = [row for row in judged if row["freshness"] != Freshness.NEVER]
    if not made:
        return Area("sources and freshness", State.NOT_YET, "nothing is materialised yet", "crp demo --once", link)
    late = [row["asset"] for row in judged if row["freshness"] == Freshness.OVERDUE]
    nearly = [row["asset"] for row in judged if row["freshness"] == Freshness.WARN]
    if late or nearly:
        told = [f"overdue: {named(late)}"] if late else []
        told += [f"nearly overdue: {named(nearly)}"] if nearly else []
        step = "Is the daemon running, are the schedules on? Then look at the asset's last run, and materialise it."
        return Area("sources and freshness", State.ACT if late else State.LOOK, "; ".join(told), step, link)
    never = len(judged) - len(made)
    rest = f", {never} not made yet" if never else ""
    fresh = sum(row["freshness"] == Freshness.FRESH for row in judged)
    return Area("sources and freshness", State.OK, f"{fresh} scheduled assets fresh{rest}", link=link)


def runs(assets: Sequence[Row]) -> Area:
    """Did the last run of each asset end well?"""
    judged = [row for row in assets if row["asset_group"] != HEALTH and row["last_run_status"]]
    if not judged:
        return Area("runs", State.NOT_YET, "no run yet", link="/runs")
    failed = [row["asset"] for row in judged if row["last_run_status"] == "FAILURE"]
    if failed:
        step = "Open the run; it names the step and what to do. Run it again once that is mended."
        return Area("runs", State.LOOK, f"last run failed: {named(failed)}", step, "/runs?q=status%3AFAILURE")
    return Area("runs", State.OK, f"the last run of {len(judged)} assets did not fail", link="/runs")


def checks(rows: Sequence[Row]) -> Area:
    """Checks of data and models; those on drift and performance have areas of their own."""
    own = (PAGE, *DRIFT, *PERFORMANCE)
    return _checks("checks", [row for row in rows if row["asset"] not in own], "/assets/monitoring/asset_health")


def performance(rows: Sequence[Row]) -> Area:
    """Do the PDs come true, and does the model still rank?"""
    link = "/assets/monitoring/score_drift"
    return _checks("calibration and performance", [row for row in rows if row["asset"] in PERFORMANCE], link)


def drift(rows: Sequence[Row]) -> Area:
    """`rows`: feature, psi, verdict and as_of of new applications, of the last day that was watched."""
    link = "/assets/monitoring/feature_drift"
    if not rows:
        return Area("drift", State.NOT_YET, "not watched yet", "job model_monitoring", link)
    day = max(row["as_of"] for row in rows)
    known = sorted((row for row in rows if row["psi"] is not None), key=lambda row: -row["psi"])
    if not known:
        return Area("drift", State.OK, f"not enough data on {day}: PSI of a few applications is noise", link=link)
    moved = [f"{row['feature']} {row['psi']:.2f}" for row in known
        if row["verdict"] in (Verdict.MODERATE, Verdict.SIGNIFICANT)]  # fmt: skip
    if moved:
        step = "Look at the sources of the features named; if the applicants changed, train a new candidate."
        return Area("drift", State.LOOK, f"PSI on {day}: {named(moved)}", step, link)
    return Area("drift", State.OK, f"highest PSI on {day} {known[0]['psi']:.3f} ({known[0]['feature']})", link=link)


def streams(rows: Sequence[Row]) -> Area:
    """`rows` of `monitoring.stream_health`."""
    link = "/assets/monitoring/stream_health"
    reached = [row for row in rows if row["lag"] is not None]
    came = sum(row["messages"] for row in rows)
    if not reached:
        note = rows[0]["note"] if rows else "no topic is known"
        if not came:
            return Area("streams", State.NOT_YET, f"{note}; no message came yet", "crp kafka up", link)
        return Area(
            "streams", State.LOOK, note, "crp kafka up, or mend KAFKA_BOOTSTRAP_SERVERS; nothing is lost.", link
        )
    behind = [f"{row['topic']} {row['lag']:,}" for row in reached if row["lag"] > LAG_ACT]
    if behind:
        step = "Are the sensors on? crp stream --topic NAME beside them drains faster."
        return Area("streams", State.ACT, f"messages wait: {named(behind)}", step, link)
    silent = [row["note"] for row in rows if row["lag"] is None]
    if silent:
        return Area("streams", State.LOOK, silent[0], "The finding says what to do; nothing is lost.", link)
    spoilt = [row["topic"] for row in rows if row["dead_letters_last_day"] > DEAD_SHARE * row["messages_last_day"]]
    if spoilt:
        step = "bronze.dead_letters says column, reason and next step."
        return Area("streams", State.LOOK, f"more than 5 % dead letters today: {named(spoilt)}", step, link)
    day, lag = sum(row["messages_last_day"] for row in rows), sum(row["lag"] for row in reached)
    return Area("streams", State.OK, f"{lag:,} wait, {day:,} messages in 24 h", link=link)


def api(rows: Sequence[Row], ready: bool, said: str) -> Area:
    """`rows` of `monitoring.api_health` of the last day; `said`: what the API says of itself."""
    link = "/assets/monitoring/api_health"
    calls = [row for row in rows if row["endpoint"].startswith("/api/")]
    if not ready:
        state = State.LOOK if rows else State.NOT_YET
        return Area("API", state, said + ("" if rows else "; it was not called yet"), "crp api", link)
    requests = sum(row["requests"] for row in calls)
    if not requests:
        return Area("API", State.OK, f"{said}, no calls in 24 h", link=link)
    share = sum(row["errors"] for row in calls) / requests
    single = [row["p95_ms"] for row in calls if row["endpoint"] == PREDICT and row["requests"] >= ENOUGH_CALLS]
    p95 = max(single, default=0.0)
    finding = f"{requests:,} calls in 24 h, {share:.2%} failed" + (f", slowest hour p95 {p95:.0f} ms" if single else "")
    state = grade(share, API_ERRORS_LOOK, API_ERRORS_ACT)
    if state is not State.OK:
        return Area("API", state, finding, "Its log names each failed request by id (logs/api.log).", link)
    if p95 > API_P95_MS:
        return Area("API", State.LOOK, finding, "What else runs on the machine? bench/api measures a quiet one.", link)
    return Area("API", State.OK, finding, link=link)


def alerts(incidents: Sequence[Row]) -> Area:
    """`incidents`: what the book of alerts holds open.

    An alert about this page would keep it red by itself, and is left out.
    """
    link = "/assets/monitoring/alerts"
    told = [one for one in incidents if not one["key"].startswith(f"check/{PAGE}/")]
    if not told:
        return Area("alerts", State.OK, "none open", link=link)
    ranked = sorted(told, key=lambda one: -Severity(one["severity"]).rank)
    worst = Severity(ranked[0]["severity"])
    state = {Severity.CRITICAL: State.ACT, Severity.WARNING: State.LOOK}.get(worst, State.OK)
    finding = f"{len(ranked)} open: {named([str(one['title']) for one in ranked], 2)}"
    step = "docs/monitoring.md says what to do; an alert clears by itself once its cause has."
    return Area("alerts", state, finding, "" if state is State.OK else step, link)


def retraining(assets: Sequence[Row], triggered_at: datetime | None) -> Area:
    """How old the champion is, and what last started a training by itself."""
    found = next((row for row in assets if row["asset"] == CHAMPION), None)
    if found is None or found["freshness"] == Freshness.NEVER:
        return Area("retraining", State.NOT_YET, "no champion yet", "crp train", TRAINING_LINK)
    days = found["age_hours"] / 24
    by = f"; last triggered {triggered_at:%Y-%m-%d}" if triggered_at else "; never triggered"
    finding = f"election {days:.0f} days ago{by}"
    if found["last_run_status"] == "FAILURE":
        step = "Open the run: a gate that refused a candidate says which one; the old champion goes on scoring."
        return Area("retraining", State.LOOK, f"last training failed, {finding}", step, TRAINING_LINK)
    return Area("retraining", State.OK, finding, link=TRAINING_LINK)


def disk(free: int, total: int, lake: int) -> Area:
    """Bytes free and in all on the disk of the home, and bytes of its lake and warehouse."""
    finding = f"{free / 1e9:,.1f} of {total / 1e9:,.1f} GB free, lake and warehouse {lake / 1e9:,.2f} GB"
    state = grade(-free / total, -DISK_LOOK, -DISK_ACT)
    step = "" if state is State.OK else "Job lake_upkeep frees what nothing refers to; else move the home or add disk."
    return Area("disk", state, finding, step, "/jobs/lake_upkeep")


def archive(assets: Sequence[Row]) -> Area:
    """Which day was last put by."""
    link = f"/assets/{ARCHIVE}"
    found = next((row for row in assets if row["asset"] == ARCHIVE), None)
    if found is None or found["freshness"] == Freshness.NEVER:
        return Area("archive", State.NOT_YET, "no day archived yet", "job archive_daily", link)
    finding = f"last day {found['last_partition'] or '-'}, {found['age_hours']:.0f} h ago"
    if found["freshness"] == Freshness.OVERDUE or found["last_run_status"] == "FAILURE":
        return Area("archive", State.LOOK, finding, "Open its last run; a missed day is a partition to backfill.", link)
    return Area("archive", State.OK, finding, link=link)


def _checks(area: str, rows: Sequence[Row], link: str) -> Area:
    spoken = [row for row in rows if row["result"] != Result.NEVER]
    if not spoken:
        return Area(area, State.NOT_YET, "no check has spoken yet", link=link)
    failed = [f"{row['asset']} {row['check_name']}" for row in spoken if row["result"] == Result.FAILED]
    warned = [f"{row['asset']} {row['check_name']}" for row in spoken if row["result"] == Result.WARNED]
    if not failed and not warned:
        return Area(area, State.OK, f"{len(spoken)} green", link=link)
    told = [f"failed: {named(failed)}"] if failed else []
    told += [f"warn: {named(warned)}"] if warned else []
    step = "Open the check: its metadata names examples and the next step. What follows a failed one waits."
    return Area(area, State.ACT if failed else State.LOOK, "; ".join(told), step, link)
