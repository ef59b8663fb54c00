"""The health room on a real lake and a real Dagster instance: what an engineer reads in the morning is true."""

import datetime as dt
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest

from credit_risk_platform.adapters import platform_health as page
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.catalog import Monitoring
from credit_risk_platform.defs.health import graph, records
from credit_risk_platform.defs.health.assets import api_health, asset_health, platform_health, stream_health
from credit_risk_platform.settings import Settings

ROOM = [asset_health, stream_health, api_health, platform_health]
ASSETS_ONLY = [asset_health, platform_health]
NOW = dt.datetime.now(dt.UTC)
NOBODY = "127.0.0.1:1"
FEED = dg.AssetKey(["bronze", "feed"])
NIGHTLY = dg.FreshnessPolicy.time_window(fail_window=dt.timedelta(hours=36), warn_window=dt.timedelta(hours=26))


SOUND = [dg.AssetCheckSpec("sound", asset=FEED, blocking=True), dg.AssetCheckSpec("idle", asset=FEED)]


@dg.asset(key=FEED, group_name="sources", freshness_policy=NIGHTLY, check_specs=SOUND)
def feed(says: dg.ResourceParam[dict[str, Any]]) -> dg.MaterializeResult:
    idle = dg.AssetCheckResult(check_name="idle", passed=True)
    return dg.MaterializeResult(check_results=[dg.AssetCheckResult(check_name="sound", **says), idle])


class Book:
    """Stands for the alert book: what is open is given."""

    def __init__(self, *incidents: dict[str, Any]) -> None:
        self.incidents = list(incidents)

    def open_incidents(self) -> list[dict[str, Any]]:
        return self.incidents


@dataclass
class House:
    """An empty home with a lake and an instance."""

    settings: Settings
    warehouse: DuckLakeWarehouse
    instance: dg.DagsterInstance

    def __post_init__(self) -> None:
        self.graph = graph.watched([feed, *ROOM], [])

    def look(self, *incidents: dict[str, Any], assets: Sequence[Any] = ROOM) -> dg.ExecuteInProcessResult:
        resources = {"warehouse": self.warehouse, "settings": self.settings, "watched_graph": self.graph,
            "alert_book": Book(*incidents)}  # fmt: skip
        return dg.materialize(assets, instance=self.instance, resources=resources)

    def land(self, sound: bool = True, severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR) -> None:
        says = {"passed": sound, "severity": severity}
        dg.materialize([feed], instance=self.instance, resources={"says": says}, raise_on_error=sound)

    def states(self) -> dict[str, tuple[str, str]]:
        rows = self.warehouse.query(f"select * from {page.PLATFORM_HEALTH} order by hour, place").to_pylist()
        return {row["area"]: (row["state"], row["finding"]) for row in rows}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    home = tmp_path / "home"
    home.mkdir()
    settings = Settings(home=home, kafka_bootstrap_servers=NOBODY, api_port=1)
    warehouse = DuckLakeWarehouse(settings.paths.warehouse, threads=1)
    with dg.DagsterInstance.ephemeral() as instance:
        yield House(settings, warehouse, instance)
    warehouse.close()


def all_green(result: dg.ExecuteInProcessResult) -> dg.AssetCheckEvaluation:
    (found,) = [one for one in result.get_asset_check_evaluations() if one.check_name == "all_green"]
    return found


def test_a_fresh_platform_says_not_yet_and_is_green(house: House) -> None:
    result = house.look()
    states = house.states()
    assert all_green(result).passed
    assert states["sources and freshness"] == ("not yet", "nothing is materialised yet")
    assert states["streams"] == ("not yet", f"no broker answers at {NOBODY}; no message came yet")
    assert states["API"] == ("not yet", "no API answers at http://127.0.0.1:1; it was not called yet")
    for area in ("runs", "checks", "drift", "calibration and performance", "retraining", "archive"):
        assert states[area][0] == "not yet", area
    assert states["alerts"] == ("ok", "none open")
    (event,) = [e for e in result.get_asset_materialization_events() if e.asset_key == Monitoring.PLATFORM_HEALTH]
    shown = event.materialization.metadata
    assert next(iter(shown)) == "page"
    pages = [record.data["page"] for record in shown["page"].records]
    assert "monitoring/stream_health" in pages


def test_a_platform_at_work_is_green_and_looking_twice_keeps_one_page_per_hour(house: House) -> None:
    house.land()
    house.look()
    result = house.look()
    states = house.states()
    assert {state for state, _ in states.values()} <= {"ok", "not yet"}, states
    assert all_green(result).passed
    assert states["checks"] == ("ok", "2 green")
    pages = house.warehouse.query(f"select hour, count(*) as n from {page.PLATFORM_HEALTH} group by 1")["n"].to_pylist()
    assert set(pages) == {11}


def test_a_failed_check_turns_the_page_red_and_keeps_its_history(house: House) -> None:
    for sound in (True, False, True, False):
        house.land(sound)
    result = house.look(assets=ASSETS_ONLY)
    assert not all_green(result).passed
    assert all_green(result).severity is dg.AssetCheckSeverity.WARN
    assert house.states()["checks"] == ("act", "failed: bronze/feed sound")
    (row,) = house.warehouse.query(f"select * from {page.CHECK_HEALTH} where check_name = 'sound'").to_pylist()
    assert (row["result"], row["trail"], row["passes"], row["evaluations"], row["blocking"]) == (
        "failed", "+F+F", 2, 4, True
    )  # fmt: skip
    house.land(False, dg.AssetCheckSeverity.WARN)
    house.look(assets=ASSETS_ONLY)
    assert house.states()["checks"] == ("look", "warn: bronze/feed sound")
    for _ in range(13):
        green = dg.AssetCheckEvaluation(asset_key=FEED, check_name="sound", passed=True, metadata={})
        house.instance.report_runless_asset_event(green)
    (row,) = [row for row in records.check_rows(house.instance, house.graph, NOW) if row["check_name"] == "sound"]
    assert row["trail"] == "w" + "+" * 13


def test_a_check_that_rarely_runs_is_still_known_among_many_others(house: House, monkeypatch: Any) -> None:
    for name, passed in (("idle", True), ("idle", False), ("sound", True), ("sound", True)):
        said = dg.AssetCheckEvaluation(asset_key=FEED, check_name=name, passed=passed, metadata={})
        house.instance.report_runless_asset_event(said)
    everything = records.check_rows(house.instance, house.graph, NOW)
    assert {row["check_name"]: row["trail"] for row in everything if row["trail"]} == {"idle": "+F", "sound": "++"}
    monkeypatch.setattr(records, "RECENT", 2)  # the two of "sound"
    assert records.check_rows(house.instance, house.graph, NOW) == everything


def test_an_overdue_asset_is_named(house: House) -> None:
    house.land()
    made = dt.datetime.now(dt.UTC)
    for hours, word in ((1, "fresh"), (27, "warn"), (37, "overdue")):
        rows = records.asset_rows(house.instance, house.graph, [], made + dt.timedelta(hours=hours)).to_pylist()
        (row,) = [row for row in rows if row["asset"] == "bronze/feed"]
        assert row["freshness"] == word
        assert row["age_hours"] == pytest.approx(hours, abs=0.1)
        assert row["last_run_status"] == "SUCCESS"
        assert {row["freshness"] for row in rows if row["asset"] != "bronze/feed"} == {"never"}


def test_a_daily_deadline_is_kept_or_missed_as_dagster_says(house: House) -> None:
    policy = dg.FreshnessPolicy.cron(deadline_cron="0 7 * * *", lower_bound_delta=dt.timedelta(hours=2))
    for hour, since in ((6, dt.datetime(2026, 6, 29, 5)), (8, dt.datetime(2026, 6, 30, 5))):
        found = graph.deadline(policy, dt.datetime(2026, 6, 30, hour, tzinfo=dt.UTC))
        assert found is not None
        assert found.overdue == since.replace(tzinfo=dt.UTC)
    assert graph.deadline(None, dt.datetime(2026, 6, 30, tzinfo=dt.UTC)) is None


def test_a_failed_run_is_named(house: House) -> None:
    @dg.asset(key=FEED)
    def broken() -> None:
        raise dg.Failure("the feed is away", allow_retries=False)

    house.land()
    dg.materialize([broken], instance=house.instance, raise_on_error=False)
    house.look(assets=ASSETS_ONLY)
    assert house.states()["runs"] == ("look", "last run failed: bronze/feed")


def test_an_open_incident_stands_on_the_page(house: House) -> None:
    late = {"key": "rule/high_api_latency", "severity": "warning", "title": "p95 is 212 ms"}
    off = {"key": "rule/model_out_of_calibration", "severity": "critical", "title": "PDs are off"}
    about_the_page = {"key": "check/monitoring/platform_health/all_green", "severity": "critical", "title": "red"}
    house.look(late, off, about_the_page, assets=[platform_health])
    assert house.states()["alerts"] == ("act", "2 open: PDs are off, p95 is 212 ms")


def test_topics_without_a_broker_keep_their_figures_and_say_so(house: House) -> None:
    now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
    ages = (30, 30, 90, 60 * 30)  # minutes
    house.warehouse.append_missing("gold.message_trace", pa.Table.from_pylist([
        {"topic": "repayments", "event_id": str(n), "outcome": "dead_letter" if n == 0 else "recorded",
         "kafka_time": now - dt.timedelta(minutes=age, seconds=n + 1), "processed_at": now - dt.timedelta(minutes=age)}
        for n, age in enumerate(ages)
    ]), ["topic", "event_id"])  # fmt: skip
    house.warehouse.append_missing("bronze.stream_batches", pa.Table.from_pylist(
        [{"topic": "repayments", "committed_at": now - dt.timedelta(minutes=30)}]), ["topic"])  # fmt: skip
    house.look(assets=[stream_health, platform_health])
    (row,) = house.warehouse.query("select * from monitoring.stream_health where topic = 'repayments'").to_pylist()
    counts = ("messages", "messages_last_hour", "messages_last_day", "dead_letters", "dead_letters_last_day")
    assert [row[name] for name in counts] == [4, 2, 3, 1, 1]
    assert row["lag"] is None
    assert row["note"] == f"no broker answers at {NOBODY}"
    assert row["event_to_result_p50_ms"] == pytest.approx(2_000)  # of 1, 2 and 3 seconds
    assert row["last_batch_age_minutes"] == pytest.approx(30, abs=1)
    assert house.states()["streams"] == ("look", f"no broker answers at {NOBODY}")


def test_calls_are_counted_by_hour_and_endpoint_and_kept_when_the_log_is_gone(house: House) -> None:
    hour = dt.datetime.now(dt.UTC).replace(minute=0, second=0, microsecond=0) - dt.timedelta(hours=1)
    predict = "/api/v1/predict"
    lines = [{"time": (hour + dt.timedelta(seconds=n)).isoformat(), "client": "los", "route": predict, "status": 200,
        "scores": 1, "ms": float(n + 1)} for n in range(100)]  # fmt: skip
    lines += [{**lines[0], "route": None, "status": 404, "scores": 0}, {**lines[0], "status": 500, "scores": 0}]
    log = house.settings.paths.api / "audit.jsonl"
    log.parent.mkdir(parents=True)
    log.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"time": "2026-')
    house.look(assets=[api_health])
    house.look(assets=[api_health])
    log.unlink()
    house.look(assets=[api_health, platform_health])
    rows = house.warehouse.query("select * from monitoring.api_health order by endpoint").to_pylist()
    assert [(row["endpoint"], row["requests"], row["errors"], row["refused"], row["scores"]) for row in rows] == [
        (predict, 101, 1, 0, 100), ("unknown path", 1, 0, 1, 0)
    ]  # fmt: skip
    assert rows[0]["hour"] == hour.replace(tzinfo=None)
    assert rows[0]["p95_ms"] == pytest.approx(95.0)  # of 1, 1, 2, ... 100
    assert "los" not in json.dumps(rows, default=str)
    assert house.states()["API"] == ("look", "no API answers at http://127.0.0.1:1")
