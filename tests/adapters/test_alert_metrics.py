"""What alert rules measure, on a real lake and a real scrape: golden values, and silence where little is known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from prometheus_client import start_http_server

from credit_risk_platform.adapters import api_scrape
from credit_risk_platform.adapters.alert_gauges import Gauges, Reading
from credit_risk_platform.adapters.alert_metrics import MEASURED, measure
from credit_risk_platform.adapters.api_scrape import Lately, NotScrapedError
from credit_risk_platform.adapters.drift_report import FEATURE_DRIFT, SCORE_DRIFT
from credit_risk_platform.adapters.performance import MATURED, MATURED_SCHEMA
from credit_risk_platform.adapters.realised import Realised, keep_realised
from credit_risk_platform.adapters.stream_health import Waiting
from credit_risk_platform.adapters.streaming.sink import TRACE
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.domain.alert_metrics import METRICS
from credit_risk_platform.domain.maturity import Exposure
from credit_risk_platform.serving.metrics import ApiMetrics

NOW = datetime(2026, 7, 1, 9, 30, tzinfo=UTC)
NAIVE = NOW.replace(tzinfo=None)
TODAY = date(2026, 7, 1)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckLakeWarehouse]:
    made = DuckLakeWarehouse(tmp_path_factory.mktemp("lake"), threads=1)
    yield made
    made.close()


def read(
    metric: str, lake: DuckLakeWarehouse, lately: Lately | None = None, lags: Mapping[str, Waiting] | None = None
) -> Reading:
    return measure(metric, Gauges(lake, NOW, lambda: lately, lambda: lags or {}, Path()))


def put(lake: DuckLakeWarehouse, table: str, rows: list[dict[str, Any]], schema: pa.Schema | None = None) -> None:
    lake.replace_table(table, pa.Table.from_pylist(rows, schema))


def test_every_metric_a_rule_may_name_is_measured() -> None:
    assert set(MEASURED) == set(METRICS)


def test_an_empty_platform_knows_nothing_and_alarms_nobody(tmp_path: Path) -> None:
    empty = DuckLakeWarehouse(tmp_path, threads=1)

    away = {"repayments": Waiting(None, "Kafka does not answer")}
    readings = {name: measure(name, Gauges(empty, NOW, lambda: None, lambda: away, Path())) for name in METRICS}
    empty.close()
    free = readings.pop("disk_free_share")  # that is known without a lake
    assert 0 < free.value <= 1
    assert {name for name, found in readings.items() if found.value is not None} == set()
    assert all(found.note for found in readings.values())
    assert readings["stream_lag_messages"].note == "Kafka does not answer"


# -------------------------------------------------------------------- the API


def observed(
    metrics: ApiMetrics, seconds: float, calls: int, status: str = "200", endpoint: str = api_scrape.PREDICT
) -> None:
    for _ in range(calls):
        metrics.latency.labels(endpoint, status).observe(seconds)


def test_latency_is_that_of_the_last_minutes_and_not_of_the_whole_life(tmp_path: Path) -> None:
    """10,000 quick calls lie before the window, 100 in it: 90 within 0.1 s, 10 between 0.3 and 0.5 s.

    The 95th call of 100 is the fifth of those ten: 0.3 + 0.2 * 5 / 10 = 0.4 s.
    """
    metrics = ApiMetrics()
    own = tmp_path / "one"
    own.mkdir()
    observed(metrics, 0.004, 10_000)
    before = api_scrape.read(metrics.text(own).decode(), NOW - timedelta(minutes=5))
    observed(metrics, 0.09, 90)
    observed(metrics, 0.4, 10)
    observed(metrics, 1.5, 50, endpoint="/api/v1/predict/batch")
    observed(metrics, 1.5, 50, status="500", endpoint="/healthz")
    now = api_scrape.read(metrics.text(own).decode(), NOW)
    found = api_scrape.lately([before, now])
    assert found is not None
    assert found.p95_ms == pytest.approx(400)
    assert (found.calls, found.failed, found.seconds) == (150, 0, 300)


def test_errors_count_and_refusals_do_not(lake: DuckLakeWarehouse, tmp_path: Path) -> None:
    metrics = ApiMetrics()
    before = api_scrape.read(metrics.text(tmp_path).decode(), NOW - timedelta(seconds=30))
    for status, calls in {"200": 80, "422": 10, "503": 8, "0": 2}.items():
        observed(metrics, 0.01, calls, status)
    now = api_scrape.read(metrics.text(tmp_path).decode(), NOW)
    found = read("api_error_rate", lake, api_scrape.lately([before, now]))
    assert found.value == pytest.approx(0.10)
    assert found.facts == {"failed": 10, "calls": 100}


def test_a_process_that_began_anew_does_not_hide_its_calls(tmp_path: Path) -> None:
    """Its counters start at nothing, so a plain difference would be negative; the other process goes on."""
    old, new, other = ApiMetrics(), ApiMetrics(), ApiMetrics()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    observed(old, 0.01, 500)
    observed(other, 0.01, 40)
    other.publish(tmp_path / "two")
    before = api_scrape.read(old.text(tmp_path / "one").decode(), NOW - timedelta(minutes=1))
    observed(new, 0.01, 30)
    observed(other, 0.01, 20)
    other.publish(tmp_path / "two")
    found = api_scrape.lately([before, api_scrape.read(new.text(tmp_path / "one").decode(), NOW)])
    assert found is not None
    assert found.calls == 50


def test_an_api_that_is_down_is_no_data_and_the_note_says_how_to_start_it(lake: DuckLakeWarehouse) -> None:
    def down() -> Any:
        return api_scrape.scrape("http://127.0.0.1:9/metrics", NOW)

    with pytest.raises(NotScrapedError, match="crp api"):
        down()
    found = measure("api_latency_p95", Gauges(lake, NOW, down, dict, Path()))
    assert found.value is None
    assert "crp api" in found.note


def test_a_scrape_over_http_survives_being_written_down(tmp_path: Path) -> None:
    metrics = ApiMetrics()
    observed(metrics, 0.03, 25)
    server, thread = start_http_server(0, "127.0.0.1", metrics.registry)
    try:
        look = api_scrape.scrape(f"http://127.0.0.1:{server.server_port}/metrics", NOW)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert api_scrape.remembered(api_scrape.to_text([look]), NOW + timedelta(minutes=1)) == [look]


def test_old_looks_are_dropped_but_the_one_the_window_begins_with() -> None:
    looks = [api_scrape.Look(NOW - timedelta(minutes=ago), {}) for ago in (12, 9, 6, 4, 1)]
    kept = api_scrape.remembered(api_scrape.to_text(looks), NOW)
    assert [NOW - look.at for look in kept] == [timedelta(minutes=ago) for ago in (6, 4, 1)]


def test_a_handful_of_calls_is_no_p95(lake: DuckLakeWarehouse) -> None:
    few = Lately({"0.5": 0, "+Inf": 19}, 19, 19, 300)
    assert read("api_latency_p95", lake, few).value is None
    assert read("api_error_rate", lake, few).value is None


# -------------------------------------------------------------------- drift and performance


def drift_row(feature: str, psi: float | None, day: int, population: str = "new_applications") -> dict[str, Any]:
    return {"as_of": date(2026, 6, day), "population": population, "feature": feature, "psi": psi, "actual_rows": 600}


def test_drift_is_the_worst_feature_of_new_applications_on_the_last_day(lake: DuckLakeWarehouse) -> None:
    rows = [drift_row("dti", 0.9, 29), drift_row("dti", 0.02, 30), drift_row("purpose", 0.31, 30),
            drift_row("purpose", 0.7, 30, "portfolio"), drift_row("income", None, 30)]  # fmt: skip
    put(lake, FEATURE_DRIFT, rows)
    found = read("feature_drift_score", lake)
    assert found.value == 0.31
    assert found.facts == {"feature": "purpose", "as_of": "2026-06-30", "applications": 600}
    assert found.asset == "monitoring/feature_drift"


def test_a_score_psi_of_too_few_loans_is_no_data(lake: DuckLakeWarehouse) -> None:
    schema = pa.schema([("as_of", pa.date32()), ("population", pa.string()), ("feature", pa.string()),
                        ("psi", pa.float64()), ("actual_rows", pa.int64())])  # fmt: skip
    put(lake, SCORE_DRIFT, [drift_row("pd", None, 30)], schema)
    assert "too few for a PSI" in read("score_psi", lake).note


def vintage(month: int, exposure: Exposure, auc: float, loans: int, bads: int) -> dict[str, Any]:
    return {"issue_month": date(2023, month, 1), "exposure": str(exposure), "auc": auc, "loans": loans, "bads": bads}


def test_auc_is_told_of_vintages_the_champion_never_met_and_the_drop_against_those_held_out(
    lake: DuckLakeWarehouse,
) -> None:
    """New: 20 bad of 120 at 0.60 (2,000 pairs) and 40 of 190 at 0.70 (6,000): (0.6 * 2 + 0.7 * 6) / 8 = 0.675."""
    rows = [vintage(1, Exposure.IN_SAMPLE, 0.95, 500, 100), vintage(2, Exposure.HELD_OUT, 0.75, 300, 50),
            vintage(3, Exposure.NEW, 0.60, 120, 20), vintage(4, Exposure.NEW, 0.70, 190, 40)]  # fmt: skip
    put(lake, MATURED, rows, MATURED_SCHEMA)
    assert read("auc_roc", lake).value == pytest.approx(0.675)
    found = read("auc_drop_vs_development", lake)
    assert found.value == pytest.approx(0.075)
    assert found.facts["bads"] == 60
    put(lake, MATURED, rows[:3], MATURED_SCHEMA)
    assert read("auc_roc", lake).value is None, "20 bad loans say nothing about an AUC"


def test_calibration_is_off_either_way(lake: DuckLakeWarehouse) -> None:
    keep_realised(lake, Realised(2_000, 150, 0.10, -0.31), date(2026, 6, 30), "sha")
    found = read("calibration_shift", lake)
    assert found.value == pytest.approx(0.31)
    assert (found.facts["shift"], found.facts["observed_bad_rate"]) == (-0.31, 0.075)
    keep_realised(lake, Realised(499, 150, 0.10, 1.3), date(2026, 7, 1), "sha")
    assert read("calibration_shift", lake).value is None


# -------------------------------------------------------------------- streams


def test_lag_is_the_sum_over_topics_and_each_is_named(lake: DuckLakeWarehouse) -> None:
    lags = {"repayments": Waiting(7, ""), "loan_applications": Waiting(12_000, ""), "new": Waiting(None, "no topic")}
    found = read("stream_lag_messages", lake, lags=lags)
    assert (found.value, dict(found.facts)) == (12_007, {"repayments": 7, "loan_applications": 12_000})


def test_dead_letters_are_counted_over_the_last_hour(lake: DuckLakeWarehouse) -> None:
    old = [{"outcome": "dead_letter", "processed_at": NAIVE - timedelta(hours=2)}] * 500
    new = [{"outcome": "dead_letter" if k < 6 else "scored", "processed_at": NAIVE - timedelta(minutes=k % 50)}
           for k in range(120)]  # fmt: skip
    put(lake, TRACE, old + new)
    assert read("dead_letter_share", lake).value == pytest.approx(0.05)
    put(lake, TRACE, old + new[:99])
    assert read("dead_letter_share", lake).value is None


def arrivals(lake: DuckLakeWarehouse, per_day: Mapping[int, int], table: str = "bronze.raw_applications") -> None:
    """`per_day`: days ago -> how many; half of them came by HTTP, so without a time in Kafka."""
    at = [datetime(2026, 7, 1, 9) - timedelta(days=ago) for ago, count in per_day.items() for _ in range(count)]
    rows = [{"kafka_time": None if k % 2 else moment, "event_time": moment} for k, moment in enumerate(at)]
    put(lake, table, rows, pa.schema([("kafka_time", pa.timestamp("us")), ("event_time", pa.timestamp("us"))]))


def test_a_halved_day_is_half_of_the_week_before(lake: DuckLakeWarehouse) -> None:
    arrivals(lake, {0: 5, 1: 20, **dict.fromkeys(range(2, 9), 40), 20: 400})
    found = read("applications_per_day_vs_mean", lake)
    assert found.value == pytest.approx(0.5)
    assert found.facts == {"day": "2026-06-30", "applications": 20, "mean_of_days_before": 40.0}


def test_a_day_without_any_application_is_nought_and_not_unknown(lake: DuckLakeWarehouse) -> None:
    arrivals(lake, dict.fromkeys(range(2, 12), 40))
    assert read("applications_per_day_vs_mean", lake).value == 0


def test_the_first_days_of_a_stream_are_no_yardstick(lake: DuckLakeWarehouse) -> None:
    arrivals(lake, {1: 10, 2: 40, 3: 40, 4: 40})
    assert "2 whole days are too few" in read("applications_per_day_vs_mean", lake).note


def test_the_feed_that_is_silent_for_longest_is_named(lake: DuckLakeWarehouse) -> None:
    arrivals(lake, {0: 2, 5: 1})
    arrivals(lake, {2: 1, 3: 2}, "bronze.raw_repayments")
    arrivals(lake, {}, "bronze.raw_transactions")
    found = read("feed_age_hours", lake)
    assert found.value == pytest.approx(48.5)
    assert found.facts == {"feed": "bronze.raw_repayments", "last_seen": "2026-06-29 09:00 UTC"}
