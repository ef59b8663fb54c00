"""Each line of the health page: what earns which word, at and around its limits, worked by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from credit_risk_platform.domain import health_areas
from credit_risk_platform.domain.health import Deadline, Freshness, State, freshness, named

NOON = datetime(2026, 6, 30, 12, tzinfo=UTC)


def asset(name: str = "bronze/feed", word: str = "fresh", **other: Any) -> dict[str, Any]:
    known = {"asset": name, "asset_group": "sources", "freshness": word, "age_hours": 48.0, "last_partition": None,
             "last_run_status": "SUCCESS"}  # fmt: skip
    return known | other


def topic(lag: int | None = 0, messages: int = 100, dead: int = 0, note: str = "") -> dict[str, Any]:
    return {"topic": "repayments", "lag": lag, "messages": messages, "messages_last_day": messages,
            "dead_letters_last_day": dead, "note": note}  # fmt: skip


def calls(requests: int = 1_000, errors: int = 0, p95: float = 20.0) -> dict[str, Any]:
    return {"endpoint": "/api/v1/predict", "requests": requests, "errors": errors, "p95_ms": p95}


def test_an_asset_is_late_once_it_is_older_than_its_policy_and_not_at_it() -> None:
    deadline = Deadline(overdue=NOON - timedelta(hours=36), warn=NOON - timedelta(hours=26))
    ages = {26: Freshness.FRESH, 27: Freshness.WARN, 36: Freshness.WARN, 37: Freshness.OVERDUE}
    assert {age: freshness(NOON - timedelta(hours=age), deadline) for age in ages} == ages
    assert freshness(None, deadline) is Freshness.NEVER
    assert freshness(NOON, None) is Freshness.UNSCHEDULED


def test_an_overdue_source_is_to_be_acted_on_and_the_page_s_own_age_is_not() -> None:
    late = [asset(), asset("gold/mart", "warn"), asset("bronze/macro", "overdue")]
    found = health_areas.freshness(late)
    assert (found.state, found.finding) == (State.ACT, "overdue: bronze/macro; nearly overdue: gold/mart")
    assert health_areas.freshness(late[:2]).state is State.LOOK
    own = asset("monitoring/asset_health", "overdue", asset_group="health", last_run_status="FAILURE")
    assert health_areas.freshness([asset(), own]).state is State.OK
    assert health_areas.runs([asset(), own]).state is State.OK


@pytest.mark.parametrize(
    ("rows", "state", "words"),
    [
        ([topic(lag=10_000)], State.OK, "10,000 wait, 100 messages in 24 h"),
        ([topic(lag=10_001)], State.ACT, "messages wait: repayments 10,001"),
        ([topic(dead=5)], State.OK, "0 wait"),
        ([topic(dead=6)], State.LOOK, "more than 5 % dead letters today: repayments"),
        ([topic(None, 0, note="no broker answers")], State.NOT_YET, "no broker answers; no message came yet"),
        ([topic(None, 9, note="no broker answers")], State.LOOK, "no broker answers"),
        ([topic(), topic(None, note="topic repayments is not there")], State.LOOK, "topic repayments is not there"),
        ([], State.NOT_YET, "no topic is known"),
    ],
)
def test_streams(rows: list[dict[str, Any]], state: State, words: str) -> None:
    found = health_areas.streams(rows)
    assert found.state is state
    assert found.finding.startswith(words)


@pytest.mark.parametrize(
    ("rows", "ready", "state", "words"),
    [
        ([calls(errors=1)], True, State.OK, "1,000 calls in 24 h, 0.10% failed, slowest hour p95 20 ms"),
        ([calls(errors=2)], True, State.LOOK, "1,000 calls in 24 h, 0.20% failed"),
        ([calls(errors=11)], True, State.ACT, "1,000 calls in 24 h, 1.10% failed"),
        ([calls(), calls(p95=201.0)], True, State.LOOK, "2,000 calls in 24 h, 0.00% failed, slowest hour p95 201 ms"),
        ([calls(), calls(19, p95=900.0)], True, State.OK, "1,019 calls in 24 h, 0.00% failed, slowest hour p95 20 ms"),
        ([], True, State.OK, "said, no calls in 24 h"),
        ([calls()], False, State.LOOK, "said"),
        ([], False, State.NOT_YET, "said; it was not called yet"),
    ],
)
def test_api(rows: list[dict[str, Any]], ready: bool, state: State, words: str) -> None:
    found = health_areas.api(rows, ready, "said")
    assert found.state is state
    assert found.finding.startswith(words)


def test_drift_is_a_reason_to_look_and_little_data_is_none() -> None:
    row = {"as_of": date(2026, 6, 30), "feature": "dti", "psi": 0.1712, "verdict": "moderate"}
    found = health_areas.drift([row, {**row, "feature": "pd", "psi": 0.31, "verdict": "significant"}])
    assert (found.state, found.finding) == (State.LOOK, "PSI on 2026-06-30: pd 0.31, dti 0.17")
    calm = health_areas.drift([{**row, "psi": 0.02, "verdict": "stable"}])
    assert (calm.state, calm.finding) == (State.OK, "highest PSI on 2026-06-30 0.020 (dti)")
    few = health_areas.drift([{**row, "psi": None, "verdict": "not enough data"}])
    assert few.state is State.OK
    assert few.finding.startswith("not enough data")


def test_a_red_calibration_stands_in_its_own_line_only() -> None:
    rows = [
        {"asset": "monitoring/score_drift", "check_name": "calibration", "result": "warned"},
        {"asset": "gold/mart", "check_name": "unique", "result": "passed"},
        {"asset": "monitoring/platform_health", "check_name": "all_green", "result": "warned"},
    ]
    assert health_areas.performance(rows).finding == "warn: monitoring/score_drift calibration"
    assert health_areas.checks(rows).finding == "1 green"


def test_an_old_champion_whose_last_training_failed() -> None:
    champion = asset("models/champion", "no policy")
    at = datetime(2026, 6, 1, tzinfo=UTC)
    assert health_areas.retraining([champion], at).finding == "election 2 days ago; last triggered 2026-06-01"
    failed = health_areas.retraining([{**champion, "last_run_status": "FAILURE"}], None)
    assert (failed.state, failed.finding) == (
        State.LOOK, "last training failed, election 2 days ago; never triggered",
    )  # fmt: skip


@pytest.mark.parametrize(("free", "state"), [(20, State.OK), (19, State.LOOK), (10, State.LOOK), (9, State.ACT)])
def test_disk(free: int, state: State) -> None:
    found = health_areas.disk(free * 10**9, 100 * 10**9, 123 * 10**7)
    assert found.state is state
    assert found.finding == f"{free}.0 of 100.0 GB free, lake and warehouse 1.23 GB"


def test_a_missed_archive_day_is_looked_at() -> None:
    row = asset("monitoring/archive_daily", "overdue", last_partition="2026-06-28")
    found = health_areas.archive([row])
    assert (found.state, found.finding) == (State.LOOK, "last day 2026-06-28, 48 h ago")
    assert health_areas.archive([{**row, "freshness": "warn"}]).state is State.OK


def test_a_long_list_is_cut_with_a_count() -> None:
    assert named(["a", "b", "c"], 2) == "a, b and 1 more"
    assert named(["a", "b"], 2) == "a, b"
