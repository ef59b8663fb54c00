"""Each fault turns exactly its own checks red and sends exactly one alert for each, which clears when the fault does.

| fault                 | what is wrong                            | what turns red, and so the key of the alert       |
|-----------------------|------------------------------------------|---------------------------------------------------|
| shifted income        | incomes of new applications are halved   | check/monitoring/feature_drift/psi_feature        |
| swapped percent scale | utilisation is sent as 0.837, not 83.7 % | check/bronze/lending_club_loans/schema_contract   |
| new category          | a third has a purpose nobody knows       | check/monitoring/feature_drift/psi_feature        |
| halved volume         | the day's file has half of its rows      | check/bronze/lending_club_loans/row_count_anomaly |
| miscalibrated model   | the champion's log-odds are 0.9 too low  | check/monitoring/score_drift/calibration          |
| stopped feed          | no application has come for two days     | rule/feed_has_stopped (what does not run has no   |
|                       |                                          | check: no check is red)                           |

A night lands the file, scores the day and watches it, as the daily jobs do; then the four alert sensors tick. Each
night has one fault and not the one before, whose alert must clear. Every check of the three rooms is looked at every
night. The run that the percent scale stops is not told beside its check. A fault that lasts an hour or a day more would
also breach the rules of the alerts file that watch the same figures; these nights are shorter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from credit_risk_platform.adapters.alerting.book import AlertBook
from credit_risk_platform.adapters.alerting.channels import channels_from
from credit_risk_platform.adapters.realised import realised
from credit_risk_platform.adapters.warehouse.base import Select
from credit_risk_platform.catalog import Bronze, Gold, Monitoring
from credit_risk_platform.defs.alerts import applications, checks, rules, runs
from credit_risk_platform.defs.alerts.tell import Desk
from credit_risk_platform.defs.ingestion.assets import lending_club_loans
from credit_risk_platform.defs.monitoring.assets import feature_drift, score_drift
from credit_risk_platform.defs.scoring.assets import portfolio_scores
from credit_risk_platform.settings import Settings
from tests import scoring_book
from tests.alert_receivers import HttpReceiver, http_receiver
from tests.loan_files import loan, write
from tests.scoring_book import DAY, Book, crown, open_book, train, write_marts

PSI_FEATURE = "check/monitoring/feature_drift/psi_feature"
INCOME, SCALE, CATEGORY, VOLUME, MODEL, FEED = FAULTS = (
    "shifted income", "swapped percent scale", "new category", "halved volume", "miscalibrated model", "stopped feed",
)  # fmt: skip
EXPECTED: Mapping[str, str] = {
    INCOME: PSI_FEATURE,
    SCALE: "check/bronze/lending_club_loans/schema_contract",
    CATEGORY: PSI_FEATURE,
    VOLUME: "check/bronze/lending_club_loans/row_count_anomaly",
    MODEL: "check/monitoring/score_drift/calibration",
    FEED: "rule/feed_has_stopped",
}
NO_FAULT = ""
CHECKS_OF_BRONZE, CHECKS_OF_SCORES, CHECKS_OF_DRIFT = 7, 6, 3
"""A room that checks nothing would prove nothing."""
LOANS = (
    (1_800, date(2020, 1, 1), date(2021, 12, 31)),
    (700, date(2022, 1, 1), date(2022, 5, 31)),
    (900, date(2022, 6, 1), date(2023, 1, 31)),
    (800, DAY - timedelta(days=89), DAY),
)
"""Loans decided from one day to another: trained on, held out, matured since, and new."""
NEW_FROM = DAY - timedelta(days=90)


@pytest.mark.slow
def test_each_fault_turns_its_own_checks_red_and_sends_one_alert_each_that_clears(tmp_path: Path) -> None:
    with http_receiver() as receiver, open_platform(tmp_path) as platform:
        watch = Watch(platform, receiver)
        assert platform.night(NO_FAULT) == set()
        assert watch.told(NO_FAULT) == []
        before: list[tuple[str, str]] = []
        for fault in (*FAULTS, NO_FAULT):
            expected = [EXPECTED[fault]] if fault else []
            red = platform.night(fault)
            assert red == {key.removeprefix("check/") for key in expected if key.startswith("check/")}, fault
            assert sorted(watch.told(fault)) == sorted([*(("fired", key) for key in expected), *before]), fault
            before = [("cleared", key) for key in expected]
        assert watch.book.open_incidents() == []


@dataclass
class Platform:
    """Three rooms of the platform on one home, with a champion that is sound and one that is not."""

    book: Book
    settings: Settings
    instance: dg.DagsterInstance
    rows: pa.Table
    sound: str
    wrong: str
    kept: pa.Table | None = None

    def night(self, fault: str) -> set[str]:
        """Land, score and watch; returns the checks that are red."""
        rows = bent(self.rows, fault)
        if self.kept is None or not rows.equals(self.kept):
            write_book(self.book, rows)
            self.kept = rows
        wanted = self.wrong if fault == MODEL else self.sound
        if self.book.champion.sha256 != wanted:
            crown(self.book, self.book.bundles.load(wanted))
        path = delivered(self.book.home / "loans.csv", fault)
        config = {"ops": {"bronze__lending_club_loans": {"config": {"path": str(path)}}}}
        landed = self._run("daily_ingestion", run_config=config)
        scored = self._run("portfolio_scoring", partition_key=DAY.isoformat())
        watched = self._run("model_monitoring", partition_key=DAY.isoformat())
        assert len(landed) == (1 if fault == SCALE else CHECKS_OF_BRONZE), "a refused file is red in one check"
        assert (len(scored), len(watched)) == (CHECKS_OF_SCORES, CHECKS_OF_DRIFT)
        found = [*landed, *scored, *watched]
        return {f"{one.asset_key.to_user_string()}/{one.check_name}" for one in found if not one.passed}

    def _run(self, job: str, **options: Any) -> list[dg.AssetCheckEvaluation]:
        ran = self.graph.resolve_job_def(job).execute_in_process(
            instance=self.instance, raise_on_error=False, **options
        )
        return ran.get_asset_check_evaluations()

    @cached_property
    def graph(self) -> dg.Definitions:
        return dg.Definitions(
            assets=[lending_club_loans, portfolio_scores, feature_drift, score_drift],
            resources={
                "settings": self.settings,
                "warehouse": self.book.warehouse,
                "bundles": self.book.bundles,
                "policies": self.book.policies,
            },
            jobs=[
                dg.define_asset_job("daily_ingestion", [Bronze.LENDING_CLUB_LOANS]),
                dg.define_asset_job("portfolio_scoring", [Gold.PORTFOLIO_SCORES, Gold.SCORE_LEDGER]),
                dg.define_asset_job("model_monitoring", [Monitoring.FEATURE_DRIFT, Monitoring.SCORE_DRIFT]),
            ],
            executor=dg.in_process_executor,
        )


@dataclass
class Watch:
    """The four alert sensors with their cursors, and a receiver."""

    platform: Platform
    receiver: HttpReceiver
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    cursors: dict[str, str | None] = field(default_factory=dict)
    seen: int = 0

    def __post_init__(self) -> None:
        folder = self.platform.settings.paths.alerts
        self.book = AlertBook(folder)
        self.channels = channels_from(folder, webhook_url=self.receiver.url)

    def told(self, fault: str) -> list[tuple[str, str]]:
        """Tick all sensors; (kind, key) of what the receiver got. A feed that stopped is watched for two days."""
        if fault != FEED:
            arrived(self.platform.book, self.now)
        for hours in (48.5, 1) if fault == FEED else (0.02,):
            self.now += timedelta(hours=hours)
            self._tick()
        new = self.receiver.bodies[self.seen :]
        self.seen += len(new)
        return [(body["kind"], body["key"]) for body in new]

    def _tick(self) -> None:
        one, url = self.platform, self.platform.settings.dagster_url
        desk = Desk(self.book, self.channels, self.now)
        rules.look(one.settings, one.book.warehouse, desk)
        for sensor in (checks, runs):
            cursor = self.cursors.get(sensor.__name__)
            _, self.cursors[sensor.__name__] = sensor.look(one.instance, cursor, desk, url)
        cursor = self.cursors.get("applications")
        _, self.cursors["applications"] = applications.look(one.book.warehouse, one.book.policies, cursor, desk, url)


@contextmanager
def open_platform(home: Path) -> Iterator[Platform]:
    book = open_book(home)
    rows = loan_rows()
    write_book(book, rows)
    trained = train(book)
    off = realised(book.warehouse, trained, LOANS[1][2]).shift
    level = trained.calibrator.intercept + off
    sound, wrong = (
        crown(book, replace(trained, calibrator=replace(trained.calibrator, intercept=intercept)))
        for intercept in (level, level - 0.9)
    )
    settings = Settings(home=home, api_port=9, kafka_bootstrap_servers="127.0.0.1:9")
    with dg.DagsterInstance.ephemeral() as instance:
        yield Platform(book, settings, instance, rows, sound, wrong)
    book.close()


def loan_rows() -> pa.Table:
    """Rows of `silver.int_applications`, decided when `LOANS` says."""
    decided = [
        first + (last - first) * k // (count - 1) for count, first, last in LOANS for k in range(count)
    ]  # fmt: skip
    rows = scoring_book.applications(len(decided), seed=7)
    months = [day.replace(day=1) for day in decided]
    for name, days in (("decision_date", decided), ("issue_month", months)):
        rows = rows.set_column(rows.column_names.index(name), name, pa.array(days, pa.date32()))
    return rows


def bent(rows: pa.Table, fault: str) -> pa.Table:
    """The rows with the fault in what was decided in the last 90 days."""
    new = pc.greater(rows["decision_date"], pa.scalar(NEW_FROM))
    if fault == INCOME:
        return put(rows, "income", pc.if_else(new, pc.multiply(rows["income"], 0.5), rows["income"]))
    if fault == CATEGORY:
        third = pc.and_(new, pa.array(np.arange(rows.num_rows) % 3 == 0))
        return put(rows, "purpose", pc.if_else(third, "yacht", rows["purpose"]))
    return rows


def put(rows: pa.Table, name: str, values: pa.ChunkedArray) -> pa.Table:
    return rows.set_column(rows.column_names.index(name), name, values)


def write_book(book: Book, rows: pa.Table) -> None:
    """The marts, and a training set that ends before the vintages that are to be new to the champion."""
    write_marts(book, rows)
    split = """
        select * replace (case when issue_month >= date '2022-03-01' then 'out_of_time'
            when issue_month >= date '2022-01-01' then 'validation' else 'train' end as split)
        from gold.training_set where issue_month < date '2022-06-01'
    """
    book.warehouse.replace_table("gold.training_set", Select(split))


def delivered(path: Path, fault: str) -> Path:
    """The day's file of loans."""
    rows = 10 if fault == VOLUME else 20
    return write(path, [loan(k, revol_util="0.837" if fault == SCALE else "83.7%") for k in range(rows)])


def arrived(book: Book, at: datetime) -> None:
    """One application by HTTP at that time."""
    schema = pa.schema([("kafka_time", pa.timestamp("us")), ("event_time", pa.timestamp("us"))])
    row = {"kafka_time": None, "event_time": at.replace(tzinfo=None)}
    book.warehouse.replace_table("bronze.raw_applications", pa.Table.from_pylist([row], schema))
