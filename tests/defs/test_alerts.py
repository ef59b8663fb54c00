"""The alerts room: what goes wrong is told once and cleared once, with real runs, a real lake and a real receiver."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from prometheus_client import start_http_server

from credit_risk_platform.adapters.alert_table import TABLE
from credit_risk_platform.adapters.alerting.book import AlertBook
from credit_risk_platform.adapters.alerting.channels import channels_from
from credit_risk_platform.adapters.api_scrape import PREDICT
from credit_risk_platform.adapters.drift_report import FEATURE_DRIFT
from credit_risk_platform.adapters.ledger_writer import append, hashed
from credit_risk_platform.adapters.performance import MATURED, MATURED_SCHEMA
from credit_risk_platform.adapters.streaming.applications import STREAM_SCHEMA
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.catalog import Monitoring
from credit_risk_platform.defs.alerts import applications, checks, definitions, rules, runs
from credit_risk_platform.defs.alerts.assets import alerts
from credit_risk_platform.defs.alerts.tell import Desk
from credit_risk_platform.domain.contracts.messages import APPLICATIONS
from credit_risk_platform.domain.maturity import Exposure
from credit_risk_platform.domain.scoring import SCORE_SCHEMA
from credit_risk_platform.resources import build_resources
from credit_risk_platform.serving.metrics import ApiMetrics
from credit_risk_platform.settings import Settings
from tests.alert_receivers import HttpReceiver, http_receiver
from tests.decision_book import applied, write
from tests.scoring_book import DAY, Book, make_book, stamp

URL = "http://127.0.0.1:3000"
S4 = """
alerts:
  - {name: high_api_latency, metric: api_latency_p95, threshold: 200, duration: 5m, severity: warning}
  - {name: model_performance_degradation, metric: auc_roc, threshold: 0.75, comparison: less_than, duration: 1d,
     severity: critical}
  - {name: data_drift_detected, metric: feature_drift_score, threshold: 0.15, duration: 1h, severity: warning}
"""
MORNING = datetime(2026, 7, 1, 9, tzinfo=UTC)


@dataclass
class Watched:
    """One home's book and a receiver, and what was told since the last question."""

    home: Path
    receiver: HttpReceiver
    now: datetime = MORNING
    seen: int = 0
    book: AlertBook = field(init=False)

    def __post_init__(self) -> None:
        self.book = AlertBook(self.home / "alerts")
        self.channels = channels_from(self.home / "alerts", webhook_url=self.receiver.url)

    @property
    def desk(self) -> Desk:
        return Desk(self.book, self.channels, self.now)

    def later(self, **by: float) -> Watched:
        self.now += timedelta(**by)
        return self

    def told(self) -> list[tuple[str, str]]:
        """(kind, key) of each message since the last call."""
        new = self.receiver.bodies[self.seen :]
        self.seen += len(new)
        return [(body["kind"], body["key"]) for body in new]

    @property
    def last(self) -> dict[str, Any]:
        return self.receiver.bodies[-1]


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    with http_receiver() as receiver:
        yield Watched(tmp_path, receiver)


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    """SQLite files per run and an index over them, as on a laptop."""
    quiet = {"telemetry": {"enabled": False}}
    with dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("dagster")), overrides=quiet) as made:
        yield made


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckLakeWarehouse]:
    made = DuckLakeWarehouse(tmp_path_factory.mktemp("lake"), threads=1)
    yield made
    made.close()


# -------------------------------------------------------------------- rules


@pytest.fixture(scope="module")
def api() -> Iterator[tuple[int, ApiMetrics]]:
    metrics = ApiMetrics()
    server, thread = start_http_server(0, "127.0.0.1", metrics.registry)
    yield server.server_port, metrics
    server.shutdown()
    server.server_close()
    thread.join()


def calls(metrics: ApiMetrics, seconds: float) -> None:
    for _ in range(100):
        metrics.latency.labels(PREDICT, "200").observe(seconds)


def drifted(lake: DuckLakeWarehouse, psi: float) -> None:
    row = {"as_of": DAY, "population": "new_applications", "feature": "dti", "psi": psi, "actual_rows": 700}
    lake.replace_table(FEATURE_DRIFT, pa.Table.from_pylist([row]))


def performed(lake: DuckLakeWarehouse, auc: float) -> None:
    row = {"issue_month": date(2023, 1, 1), "exposure": str(Exposure.NEW), "auc": auc, "loans": 900, "bads": 90}
    lake.replace_table(MATURED, pa.Table.from_pylist([row], MATURED_SCHEMA))


def rule_settings(home: Path, text: str, port: int = 9) -> Settings:
    (home / "alerts.yaml").write_text(text)
    return Settings(home=home, alerts_file=home / "alerts.yaml", api_port=port)


def test_each_rule_of_the_published_file_fires_once_when_its_time_has_come_and_clears(
    watched: Watched, lake: DuckLakeWarehouse, api: tuple[int, ApiMetrics]
) -> None:
    port, metrics = api
    settings = rule_settings(watched.home, S4, port)

    def tick(**by: float) -> list[tuple[str, str]]:
        rules.look(settings, lake, watched.later(**by).desk)
        return watched.told()

    drifted(lake, 0.31)
    performed(lake, 0.62)
    assert tick() == [], "nothing has lasted yet, and one look at the API is no difference"
    calls(metrics, 0.4)
    assert tick(minutes=1) == []
    assert tick(minutes=2) == []
    calls(metrics, 0.4)
    assert tick(minutes=3) == [("fired", "rule/high_api_latency")]
    assert watched.last["facts"]["threshold"] == 200
    assert watched.last["title"] == "high_api_latency: api_latency_p95 is 490 ms, above 200 ms"
    calls(metrics, 0.4)
    assert tick(minutes=3) == [], "it is still slow, and was told"
    assert tick(minutes=55) == [("fired", "rule/data_drift_detected")]
    assert watched.last["facts"]["feature"] == "dti"
    assert watched.last["link"] == f"{URL}/assets/monitoring/feature_drift?view=overview"
    assert tick(hours=23) == [("fired", "rule/model_performance_degradation")]
    assert watched.last["severity"] == "critical"
    drifted(lake, 0.04)
    performed(lake, 0.77)
    calls(metrics, 0.01)
    assert sorted(tick(minutes=1)) == [
        ("cleared", "rule/data_drift_detected"),
        ("cleared", "rule/high_api_latency"),
        ("cleared", "rule/model_performance_degradation"),
    ]
    assert watched.book.open_incidents() == []


def test_a_rules_file_that_cannot_be_read_is_one_sentence_told_once(watched: Watched, lake: DuckLakeWarehouse) -> None:
    broken = rule_settings(watched.home, S4.replace("0.15", "a lot"))
    for _ in range(2):
        said = str(rules.look(broken, lake, watched.later(seconds=30).desk).skip_message)
        assert "alerts[3] (data_drift_detected): threshold is 'a lot'; write a number" in said
    assert watched.told() == [("fired", "rules/alerts_file")]
    mended = rule_settings(watched.home, S4)
    rules.look(mended, lake, watched.later(seconds=30).desk)
    assert watched.told() == [("cleared", "rules/alerts_file")]


def test_one_metric_that_cannot_be_measured_does_not_blind_the_other_rules(
    watched: Watched, lake: DuckLakeWarehouse
) -> None:
    settings = rule_settings(watched.home, S4.replace("1h", "0s").replace("1d", "0s"))
    drifted(lake, 0.31)
    lake.replace_table(MATURED, pa.table({"something": ["else"]}))
    said = str(rules.look(settings, lake, watched.desk).skip_message)
    assert "api_latency_p95 no data (http://127.0.0.1:9/metrics gives no metrics" in said
    assert sorted(watched.told()) == [("fired", "rule/data_drift_detected"), ("fired", "rules/auc_roc")]
    performed(lake, 0.77)
    rules.look(settings, lake, watched.later(seconds=30).desk)
    assert watched.told() == [("cleared", "rules/auc_roc")]


def test_a_rule_taken_out_of_the_file_does_not_stay_open_for_ever(watched: Watched, lake: DuckLakeWarehouse) -> None:
    drifted(lake, 0.31)
    rules.look(rule_settings(watched.home, S4.replace("1h", "0s")), lake, watched.desk)
    rules.look(rule_settings(watched.home, "alerts: []"), lake, watched.later(seconds=30).desk)
    assert watched.told() == [("fired", "rule/data_drift_detected"), ("cleared", "rule/data_drift_detected")]


# -------------------------------------------------------------------- checks

CHECKED = dg.AssetKey(["monitoring", "checked"])
STATE: dict[str, bool] = {}
DAYS = dg.DailyPartitionsDefinition("2026-06-01")


@dg.asset(
    key=CHECKED,
    partitions_def=DAYS,
    check_specs=[
        dg.AssetCheckSpec("blocks", asset=CHECKED, blocking=True),
        dg.AssetCheckSpec("warns", asset=CHECKED),
    ],
)
def checked() -> dg.MaterializeResult:
    def result(name: str, severity: dg.AssetCheckSeverity) -> dg.AssetCheckResult:
        told = {"next_step": "Mend the source.", "loans": "L000001", "customers": 7, "rows": 12}
        return dg.AssetCheckResult(check_name=name, passed=STATE[name], severity=severity, metadata=told)

    return dg.MaterializeResult(
        check_results=[result("blocks", dg.AssetCheckSeverity.ERROR), result("warns", dg.AssetCheckSeverity.WARN)]
    )


class Sensor:
    """A sensor of the event log that keeps its cursor from tick to tick, as the daemon does."""

    def __init__(self, look: Any, instance: dg.DagsterInstance, watched: Watched) -> None:
        self.look, self.instance, self.watched = look, instance, watched
        self.cursor: str | None = None
        watched.now = datetime.now(UTC)
        self.tick()
        watched.told()  # what tests before this one left behind

    def tick(self) -> list[tuple[str, str]]:
        answer, self.cursor = self.look(self.instance, self.cursor, self.watched.desk, URL)
        assert isinstance(answer, dg.SkipReason)
        return self.watched.told()


def check_run(instance: dg.DagsterInstance, day: str, **state: bool) -> str:
    STATE.update(state)
    return dg.materialize([checked], partition_key=day, instance=instance, raise_on_error=False).run_id


def test_a_red_check_is_one_message_until_it_is_green(watched: Watched, instance: dg.DagsterInstance) -> None:
    sensor = Sensor(checks.look, instance, watched)
    run_id = check_run(instance, "2026-06-29", blocks=True, warns=False)
    assert sensor.tick() == [("fired", "check/monitoring/checked/warns")]
    assert watched.last["severity"] == "warning"
    assert watched.last["link"] == f"{URL}/runs/{run_id}"
    assert watched.last["facts"] == {
        "rows": 12,
        "asset": "monitoring/checked",
        "check": "warns",
        "partition": "2026-06-29",
        "stops_what_follows": "no",
        "next_step": "Mend the source.",
        "asset_page": f"{URL}/assets/monitoring/checked?view=checks",
    }
    check_run(instance, "2026-06-30", blocks=False, warns=False)
    assert sensor.tick() == [("fired", "check/monitoring/checked/blocks")], "the warning was told already"
    assert watched.last["severity"] == "critical"
    check_run(instance, "2026-06-15", blocks=True, warns=True)
    assert sensor.tick() == [], "an earlier day made good says nothing about the last one"
    check_run(instance, "2026-06-30", blocks=True, warns=True)
    assert sorted(sensor.tick()) == [
        ("cleared", "check/monitoring/checked/blocks"),
        ("cleared", "check/monitoring/checked/warns"),
    ]
    assert sensor.tick() == []


def test_a_sensor_switched_on_late_tells_what_is_red_still_and_not_what_was_mended(
    watched: Watched, instance: dg.DagsterInstance
) -> None:
    check_run(instance, "2026-06-30", blocks=False, warns=False)
    check_run(instance, "2026-06-30", blocks=True, warns=False)
    watched.now = datetime.now(UTC) + timedelta(days=2)
    _, cursor = checks.look(instance, None, watched.desk, URL)
    checks.look(instance, cursor, watched.desk, URL)
    assert watched.told() == [], "what was red days ago and has not been looked at since is history"
    watched.now = datetime.now(UTC)
    checks.look(instance, None, watched.desk, URL)
    assert watched.told() == [("fired", "check/monitoring/checked/warns")]


def test_the_page_that_sums_up_open_alerts_is_no_alert_itself_and_a_check_without_a_run_leads_to_its_asset(
    watched: Watched, instance: dg.DagsterInstance
) -> None:
    sensor = Sensor(checks.look, instance, watched)
    for key, name in ((Monitoring.PLATFORM_HEALTH, "all_green"), (Monitoring.SCORE_DRIFT, "calibration")):
        instance.report_runless_asset_event(dg.AssetCheckEvaluation(key, name, passed=False))
    assert sensor.tick() == [("fired", "check/monitoring/score_drift/calibration")]
    assert watched.last["link"] == f"{URL}/assets/monitoring/score_drift?view=checks"


# -------------------------------------------------------------------- runs


@dg.op
def step(context) -> None:
    if context.run.tags.get("fails"):
        raise KeyError("customer jane@example.org")


@dg.job
def nightly() -> None:
    step()


def run_job(instance: dg.DagsterInstance, day: str | None = None, *, fails: bool) -> str:
    tags = {**({"fails": "yes"} if fails else {}), **({runs.PARTITION_TAG: day} if day else {})}
    return nightly.execute_in_process(instance=instance, tags=tags, raise_on_error=False).run_id


def test_a_failed_run_is_one_alert_with_link_step_and_kind_of_error_but_not_its_text(
    watched: Watched, instance: dg.DagsterInstance
) -> None:
    sensor = Sensor(runs.look, instance, watched)
    run_id = run_job(instance, fails=True)
    assert sensor.tick() == [("fired", "run/nightly")]
    assert watched.last["link"] == f"{URL}/runs/{run_id}"
    assert watched.last["facts"] == {"job": "nightly", "step": "step", "error": "KeyError", "runs": run_id}
    assert "jane" not in json.dumps(watched.receiver.bodies)
    run_job(instance, fails=True)
    assert sensor.tick() == []
    run_job(instance, fails=False)
    assert sensor.tick() == [("cleared", "run/nightly")]


def test_a_backfill_that_fails_is_one_alert_and_every_day_of_it_has_to_be_made_good(
    watched: Watched, instance: dg.DagsterInstance
) -> None:
    sensor = Sensor(runs.look, instance, watched)
    for day in ("2026-06-01", "2026-06-02"):
        run_job(instance, day, fails=True)
    assert sensor.tick() == [("fired", "run/nightly")]
    run_job(instance, "2026-06-02", fails=False)
    assert sensor.tick() == []
    run_job(instance, "2026-06-01", fails=False)
    assert sensor.tick() == [("cleared", "run/nightly")]


def test_a_run_that_a_red_check_stopped_is_left_to_the_alert_of_the_check(
    watched: Watched, instance: dg.DagsterInstance
) -> None:
    of_runs, of_checks = Sensor(runs.look, instance, watched), Sensor(checks.look, instance, watched)
    check_run(instance, "2026-06-30", blocks=False, warns=True)
    assert of_runs.tick() == []
    assert ("fired", "check/monitoring/checked/blocks") in of_checks.tick()
    check_run(instance, "2026-06-30", blocks=True, warns=True)


def test_a_hand_picked_asset_that_failed_clears_when_it_is_made_by_any_run(
    watched: Watched, instance: dg.DagsterInstance
) -> None:
    @dg.asset(key=["gold", "fragile"])
    def fragile(context) -> None:
        if context.run.tags.get("fails"):
            raise ValueError

    graph = dg.Definitions(assets=[fragile], jobs=[dg.define_asset_job("all_of_it")], executor=dg.in_process_executor)
    sensor = Sensor(runs.look, instance, watched)
    picked = graph.resolve_implicit_global_asset_job_def()
    picked.execute_in_process(
        instance=instance, asset_selection=[fragile.key], tags={"fails": "yes"}, raise_on_error=False
    )
    ((kind, key),) = sensor.tick()
    assert (kind, key.startswith("run/__ASSET_JOB/")) == ("fired", True)
    assert (watched.last["title"], watched.last["severity"]) == ("Run of gold/fragile failed", "warning")
    graph.resolve_job_def("all_of_it").execute_in_process(instance=instance)
    assert sensor.tick() == [("cleared", key)]


# -------------------------------------------------------------------- applications


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Book]:
    made = make_book(tmp_path_factory.mktemp("book"), 300)
    yield made
    made.close()


NOON = datetime(2026, 6, 30, 12, 1, tzinfo=UTC)


def answered(book: Book, prefix: str, scores: pa.Table) -> None:
    names = zip(scores["loan_id"].to_pylist(), scores["subject_token"].to_pylist(), strict=True)
    rows = [applied(k, loan_id=loan_id, subject_token=token) for k, (loan_id, token) in enumerate(names)]
    write(book, scores, rows, DAY, prefix)


def streamed(book: Book, scores: pa.Table) -> None:
    """The ledger's rows of a micro-batch."""
    count = scores.num_rows
    place = [pa.repeat(pa.scalar(APPLICATIONS.topic), count), pa.array([0] * count), pa.array(range(count))]
    rows = pa.table([*scores.select(SCORE_SCHEMA.names).columns, *place], STREAM_SCHEMA.names).cast(STREAM_SCHEMA)
    batch = hashed(rows.combine_chunks().to_batches(), stamp("batch"), STREAM_SCHEMA)
    with book.warehouse.transaction({"scored": batch}) as transaction:
        append(transaction, stamp("batch"), STREAM_SCHEMA)


def test_an_application_beyond_the_limit_is_told_at_once_with_reasons_and_without_the_person(
    watched: Watched, book: Book
) -> None:
    """By the API and by the stream; 0.25 is the limit of the book's policy. A burst is one alert."""
    watched.now = NOON
    scores = book.scores()
    high, low = scores.filter(pc.field("pd") >= 0.25), scores.filter(pc.field("pd") < 0.25)
    answered(book, "first", pa.concat_tables([high.slice(0, 1), low.slice(0, 5)]))

    def tick(cursor: str | None) -> str:
        return applications.look(book.warehouse, book.policies, cursor, watched.desk, URL)[1]

    cursor = tick(None)
    (score,) = high.slice(0, 1).to_pylist()
    ((kind, key),) = watched.told()
    assert (kind, watched.last["severity"]) == ("fired", "warning")
    facts = watched.last["facts"]
    assert key == f"application/{facts['score_id']}"
    assert (facts["pd"], facts["band"], facts["limit"], facts["path"]) == (score["pd"], score["band"], 0.25, "api")
    assert facts["reasons"].startswith(score["reasons"][0] + " ")
    assert len(facts["reasons"].split("; ")) == len(score["reasons"])
    told = json.dumps(watched.receiver.bodies)
    assert score["loan_id"] not in told
    assert score["subject_token"] not in told
    assert tick(cursor) == cursor
    assert tick(None) == cursor, "a sensor that lost its place looks again"
    assert watched.told() == [], "and tells nobody twice"

    streamed(book, high.slice(1, 1))
    cursor = tick(cursor)
    assert [kind for kind, _ in watched.told()] == ["fired"]
    assert (watched.last["facts"]["path"], watched.last["facts"]["pd"]) == ("stream", high["pd"][1].as_py())

    answered(book, "burst", high.slice(2, 40))
    cursor = tick(cursor)
    ((_, key),) = watched.told()
    assert key == f"applications/{cursor}"
    assert watched.last["facts"]["applications"] == min(40, high.num_rows - 2)
    assert len(watched.last["facts"]["riskiest"].split(", ")) == applications.AT_MOST_EACH
    assert watched.book.open_incidents() == [], "an application does not stay open"


# -------------------------------------------------------------------- channels, table, room


def test_a_receiver_that_is_away_gets_it_later_and_once_while_the_tick_goes_on(
    watched: Watched, lake: DuckLakeWarehouse
) -> None:
    settings = rule_settings(watched.home, S4.replace("1h", "0s"))
    drifted(lake, 0.31)
    watched.receiver.answers = [(503, {}, "busy")]
    said = str(rules.look(settings, lake, watched.desk).skip_message)
    assert "Channel webhook took nothing, the next tick tries again: 127.0.0.1 answered 503" in said
    watched.told()
    for _ in range(3):
        rules.look(settings, lake, watched.later(minutes=2).desk)
    assert watched.told() == [("fired", "rule/data_drift_detected")]


def test_analysts_read_open_and_past_alerts_as_a_table_that_is_written_once(
    watched: Watched, lake: DuckLakeWarehouse, instance: dg.DagsterInstance
) -> None:
    drifted(lake, 0.31)
    rules.look(rule_settings(watched.home, S4.replace("1h", "0s")), lake, watched.desk)
    results = [
        dg.materialize([alerts], instance=instance, resources={"warehouse": lake, "alert_book": watched.book})
        for _ in range(2)
    ]
    rows = lake.query(f"select alert, severity, cleared_at, opened_at, facts from {TABLE}").to_pylist()
    assert [(row["alert"], row["severity"], row["cleared_at"]) for row in rows] == [
        ("rule/data_drift_detected", "warning", None)
    ]
    assert rows[0]["opened_at"] == MORNING.replace(tzinfo=None)
    assert json.loads(rows[0]["facts"])["value"] == 0.31
    (one, two) = [result.asset_materializations_for_node("monitoring__alerts")[0] for result in results]
    assert one.tags == two.tags, "the same content is the same data version"
    assert "| warning | rule/data_drift_detected |" in str(one.metadata["open_incidents"].value)


def test_the_room_s_sensors_run_on_the_platform_s_own_resources(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    """And say what they looked at, on a home where nothing has happened yet."""
    settings = rule_settings(tmp_path, S4).model_copy(update={"automation_running": True})
    resources = build_resources(settings)
    room = definitions(settings)
    said: Mapping[str, str] = {}
    for sensor in room.sensors or ():
        assert isinstance(sensor, dg.SensorDefinition)
        assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
        wanted = {name: resources[name] for name in sensor.required_resource_keys}
        with dg.build_sensor_context(instance=instance, resources=wanted) as context:
            said = {**said, sensor.name: str(sensor(context).skip_message)}  # type: ignore[union-attr]
    assert said["alert_rules"].startswith("3 rules looked at: ")
    assert "new check results" in said["check_failure_alert"]
    assert "new failed runs" in said["run_failure_alert"]
    assert said["high_risk_alert"].startswith("0 applications beyond")
    stopped = definitions(rule_settings(tmp_path, S4)).sensors or ()
    assert {sensor.default_status for sensor in stopped} == {dg.DefaultSensorStatus.STOPPED}  # type: ignore[union-attr]
    assert [asset.key for asset in room.assets or ()] == [Monitoring.ALERTS]  # type: ignore[union-attr]
    resources["warehouse"].close()
