"""The performance room on a real lake: nothing is judged before its labels are there, and all of it once they are."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime

import dagster as dg
import numpy as np
import pyarrow as pa
import pytest

from credit_risk_platform.adapters import backtests, training_data
from credit_risk_platform.adapters.ledger import LEDGER
from credit_risk_platform.adapters.performance import ESTIMATED, EVER_30, MATURED, Fall
from credit_risk_platform.adapters.realised import realised
from credit_risk_platform.adapters.vintages import learnt_of
from credit_risk_platform.adapters.warehouse.base import Select
from credit_risk_platform.catalog import Monitoring
from credit_risk_platform.defs import performance
from credit_risk_platform.defs.automation.conditions import automate
from credit_risk_platform.defs.monitoring.checks import calibration
from credit_risk_platform.defs.performance.assets import auc_vs_development
from credit_risk_platform.defs.performance.sensors import build_label_maturity
from credit_risk_platform.domain.maturity import FIRST_RUNS, RUNS_AT_ONCE, Exposure, Learnt, due
from credit_risk_platform.domain.metrics import auc
from credit_risk_platform.domain.models.frame import FeatureTable
from credit_risk_platform.domain.scoring import predict
from credit_risk_platform.settings import Settings
from tests.scoring_book import _OUTCOMES, DAY, FEATURES, Book, crown, make_book

LOANS = 4_000
NEXT_MONTH = date(2026, 7, 31)
LAST, NEXT = date(2023, 1, 1), date(2023, 2, 1)
"""A 36-month loan is judged 41 months after its month of issue: the last vintage that DAY knows the end of."""
DEVELOPMENT = {"out_of_time": {"auc": {"value": 0.65, "low": 0.61, "high": 0.69}}}


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Book]:
    made = make_book(tmp_path_factory.mktemp("book"), LOANS)
    fingerprint = training_data.fingerprint(made.warehouse)
    crown(made, replace(made.champion, training_fingerprint=fingerprint, metrics=DEVELOPMENT))
    yield made
    made.close()


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def clock(book: Book) -> Iterator[None]:
    """Back to DAY afterwards, and nothing backtested."""
    yield
    observe(book, DAY)
    with book.warehouse.transaction() as transaction:
        for table in (backtests.TABLE, LEDGER):
            transaction._cursor.execute(f"drop table if exists {table}")


def observe(book: Book, through: date) -> None:
    """The book as it is known on that day: only the clock has moved."""
    book.warehouse.replace_table("gold.loan_outcomes", Select(_OUTCOMES, [through, through]))


def room(book: Book) -> dg.Definitions:
    resources = {"warehouse": book.warehouse, "bundles": book.bundles, "policies": book.policies}
    return dg.Definitions.merge(performance.definitions(Settings()), dg.Definitions(resources=resources))


def tick(book: Book, instance: dg.DagsterInstance, cursor: str | None) -> dg.SensorResult | dg.SkipReason:
    """One tick of the real sensor; what it says of partitions is done, as the daemon does it."""
    resources = {"warehouse": book.warehouse, "bundles": book.bundles}
    with dg.build_sensor_context(instance=instance, cursor=cursor, resources=resources) as context:
        answer = build_label_maturity(Settings())(context)
    assert isinstance(answer, dg.SensorResult | dg.SkipReason)
    for request in getattr(answer, "dynamic_partitions_requests", None) or ():
        instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))
    return answer


def backtest(book: Book, instance: dg.DagsterInstance, key: str) -> dg.ExecuteInProcessResult:
    return room(book).resolve_job_def("vintage_backtest").execute_in_process(partition_key=key, instance=instance)


def rows(book: Book, table: str, where: str = "true") -> list[dict]:
    return list(book.warehouse.query(f"select * from {table} where {where} order by issue_month").to_pylist())


def shown(result: dg.ExecuteInProcessResult, key: dg.AssetKey) -> dict:
    (event,) = [e for e in result.get_asset_materialization_events() if e.asset_key == key]
    return {name: value.value for name, value in event.materialization.metadata.items()}


# -------------------------------------------------------------------- when a vintage matures


def test_a_month_further_exactly_one_vintage_matures_and_its_backtest_is_written(
    book: Book, instance: dg.DagsterInstance, clock: None
) -> None:
    first = tick(book, instance, None)
    assert isinstance(first, dg.SensorResult)
    known = set(instance.get_dynamic_partitions("matured_vintages"))
    assert isinstance(tick(book, instance, first.cursor), dg.SkipReason)

    observe(book, NEXT_MONTH)
    second = tick(book, instance, first.cursor)
    assert isinstance(second, dg.SensorResult)
    assert set(instance.get_dynamic_partitions("matured_vintages")) - known == {"2023-02"}
    (request,) = second.run_requests or ()
    assert request.partition_key == "2023-02"
    result = backtest(book, instance, request.partition_key)

    found = rows(book, backtests.TABLE)
    assert {row["issue_month"] for row in found} == {NEXT}
    (ends,) = rows(book, "(select issue_month, count(*) as loans, sum(is_bad::int) as bads "
                   "from gold.loan_outcomes where matured group by 1)", "issue_month = date '2023-02-01'")  # fmt: skip
    (total,) = [row for row in found if row["band"] == "all"]
    assert (total["loans"], total["bads"]) == (ends["loans"], ends["bads"])
    assert total["exposure"] == "new"
    assert sum(row["expected_bads"] for row in found) == pytest.approx(2 * total["expected_bads"])
    assert shown(result, Monitoring.BACKTEST_PD)["dagster/partition_row_count"] == len(found)
    skipped = tick(book, instance, second.cursor)
    assert isinstance(skipped, dg.SkipReason)
    assert "known through 2026-07-31" in str(skipped.skip_message)


def test_the_first_start_on_an_old_book_asks_for_a_handful_and_offers_the_rest(
    book: Book, instance: dg.DagsterInstance
) -> None:
    first = tick(book, instance, None)
    assert isinstance(first, dg.SensorResult)
    requests = first.run_requests or ()
    assert [request.partition_key for request in requests] == [
        "2022-08", "2022-09", "2022-10", "2022-11", "2022-12", "2023-01",
    ]  # fmt: skip
    assert instance.get_dynamic_partitions("matured_vintages") == [
        f"{month}" for month in np.arange("2020-01", "2023-02", dtype="datetime64[M]")
    ]
    again = tick(book, instance, None)  # its cursor is lost: the daemon knows these run keys already
    assert isinstance(again, dg.SensorResult)
    assert [one.run_key for one in again.run_requests or ()] == [one.run_key for one in requests]


def test_many_vintages_that_mature_at_once_come_a_few_at_a_time() -> None:
    months = [date(2020 + k // 12, k % 12 + 1, 1) for k in range(40)]
    judged = set(months[:10])
    steps = []
    while now := due(months, judged):
        steps.append(len(now))
        judged |= set(now)
    assert steps == [RUNS_AT_ONCE, RUNS_AT_ONCE, 30 - 2 * RUNS_AT_ONCE]
    assert due(months, None) == tuple(months[-FIRST_RUNS:])


def test_before_there_is_a_champion_nothing_is_forgotten(book: Book, instance: dg.DagsterInstance) -> None:
    none = replace(book, bundles=type(book.bundles)(book.home / "no models"))
    assert isinstance(tick(none, instance, None), dg.SkipReason)


def test_an_immature_vintage_is_no_partition_and_is_refused_when_made_one_by_hand(
    book: Book, instance: dg.DagsterInstance
) -> None:
    tick(book, instance, None)
    with pytest.raises(dg.DagsterUnknownPartitionError, match="2023-02"):
        backtest(book, instance, "2023-02")
    instance.add_dynamic_partitions("matured_vintages", ["2023-02", "2031-01", "spring"])
    for key, told in (
        ("2023-02", "Vintage 2023-02 has not matured: as of 2026-06-30, 47 of its 47 loans are still inside"),
        ("2031-01", "No loan was issued in 2031-01"),
        ("spring", "'spring' is no vintage"),
    ):
        with pytest.raises(dg.Failure, match=told):
            backtest(book, instance, key)


# -------------------------------------------------------------------- the PD that was given


def test_the_first_pd_given_at_the_time_counts_and_no_later_one(
    book: Book, instance: dg.DagsterInstance, clock: None
) -> None:
    loans = book.warehouse.query(
        "select loan_id, decision_date from gold.loan_outcomes where issue_month = ? order by loan_id limit 2", [LAST]
    ).to_pylist()

    def told(loan: dict, days: int, pd: float, topic: str | None = None) -> dict:
        known_at = datetime.fromordinal(loan["decision_date"].toordinal() + days)
        return {"loan_id": loan["loan_id"], "known_at": known_at, "pd": pd, "score_id": f"{pd}", "kafka_topic": topic}

    scores = [
        told(loans[0], 3, 0.9), told(loans[0], 1, 0.4), told(loans[0], 0, 0.7, "repayments"), told(loans[1], 95, 0.8),
    ]  # fmt: skip
    backtest_once(book, instance)
    before = rows(book, backtests.TABLE, "band = 'all'")[0]
    kinds = {"known_at": pa.timestamp("us"), "pd": pa.float64()}
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in scores[0]])
    book.warehouse.replace_table(LEDGER, pa.Table.from_pylist(scores, schema))
    backtest_once(book, instance)
    (after,) = rows(book, backtests.TABLE, "band = 'all'")
    own = pd_of(book, f"o.loan_id = '{loans[0]['loan_id']}'")[0][0]
    assert (before["pd_source"], before["given_loans"]) == ("champion as of the application", 0)
    assert (after["pd_source"], after["given_loans"]) == ("both", 1)
    assert after["expected_bads"] - before["expected_bads"] == pytest.approx(0.4 - own)


def backtest_once(book: Book, instance: dg.DagsterInstance) -> None:
    instance.add_dynamic_partitions("matured_vintages", ["2023-01"])
    assert backtest(book, instance, "2023-01").success


def pd_of(book: Book, where: str) -> tuple[np.ndarray, np.ndarray]:
    """(PD, is_bad) of some loans, the plain way."""
    found = book.warehouse.query(
        f"select f.*, o.is_bad from gold.application_features f join gold.loan_outcomes o using (loan_id) where {where}"
    )
    return predict(book.champion, FeatureTable.from_arrow(found, FEATURES)), found["is_bad"].to_numpy()


# -------------------------------------------------------------------- performance by vintage


def test_realised_and_estimated_stand_apart_and_the_error_is_told_once_labels_are_there(
    book: Book, instance: dg.DagsterInstance, clock: None
) -> None:
    observe(book, date(2026, 12, 31))
    lived = "gold.loan_outcomes where last_day(issue_month + interval 3 month) <= observed_through"
    late = "select issue_month, count(*) as loans, avg((hash(loan_id) % 20 = 0)::integer) as ever_30_rate"
    book.warehouse.replace_table(EVER_30, Select(f"{late} from {lived} group by 1"))
    keys = [Monitoring.PERFORMANCE_MATURED, Monitoring.PERFORMANCE_ESTIMATED]
    job = room(book).resolve_implicit_global_asset_job_def()
    result, again = (job.execute_in_process(instance=instance, asset_selection=keys) for _ in range(2))

    matured, estimated = rows(book, MATURED), rows(book, ESTIMATED)
    assert [row["issue_month"] for row in matured] == [
        month.astype("datetime64[D]").astype(date) for month in np.arange("2020-01", "2023-08", dtype="datetime64[M]")
    ]
    assert len(estimated) == 78
    assert {row["issue_month"] for row in estimated if row["realised_auc"] is not None} == {
        row["issue_month"] for row in matured
    }
    assert [row["matured"] for row in estimated] == [row["issue_month"] <= date(2023, 7, 1) for row in estimated]
    exposures = {row["issue_month"]: row["exposure"] for row in matured}
    assert [exposures[date(2022, month, 1)] for month in (9, 10)] == ["in sample", "held out"]
    assert [exposures[date(2023, month, 1)] for month in (1, 2)] == ["held out", "new"]

    pd, bad = pd_of(book, "o.issue_month = date '2023-03-01'")
    (march,) = [row for row in matured if row["issue_month"] == date(2023, 3, 1)]
    (expected,) = [row for row in estimated if row["issue_month"] == date(2023, 3, 1)]
    assert march["auc"] == expected["realised_auc"] == pytest.approx(auc(bad, pd))
    assert march["expected_bad_rate"] == expected["estimated_bad_rate"] == pytest.approx(pd.mean())
    assert expected["auc_off_by"] == pytest.approx(expected["estimated_auc"] - march["auc"])
    declined = pd >= march["cutoff"]
    assert march["precision"] == pytest.approx(bad[declined].mean())
    assert march["recall"] == pytest.approx(bad[declined].sum() / bad.sum())

    early = [row["early_rate"] for row in estimated]
    assert all(rate is not None for rate in early)
    assert np.mean(early) == pytest.approx(0.05, abs=0.02)
    page = shown(result, Monitoring.PERFORMANCE_ESTIMATED)
    assert page["performance"].startswith("![AUC and bad rate by vintage")
    assert "| new | 6 |" in page["estimate_error"]
    assert "not learnt from" in shown(result, Monitoring.PERFORMANCE_MATURED)["gini_stability_parts"]
    versions = [
        [event.materialization.tags["dagster/data_version"] for event in run.get_asset_materialization_events()]  # type: ignore[index]
        for run in (result, again)
    ]
    assert versions[0] == versions[1]


def test_what_the_champion_learnt_from_outlives_its_training_set(book: Book) -> None:
    """Rebuilt every week: a vintage it was trained on must not turn into a held-out one."""
    before = learnt_of(book.warehouse, book.champion)
    kept = book.warehouse.query("select * from gold.training_set")
    later = "(issue_month + interval 12 month)::date"
    book.warehouse.replace_table(
        "gold.training_set", Select(f"select * replace ({later} as issue_month) from gold.training_set")
    )
    try:
        assert learnt_of(book.warehouse, book.champion) == before == Learnt(LAST, date(2022, 10, 1))
        unknown = learnt_of(book.warehouse, replace(book.champion, seed=1))
    finally:
        book.warehouse.replace_table("gold.training_set", kept)
    assert unknown == Learnt(date(2024, 1, 1), None)
    assert unknown.exposure(date(2023, 12, 1)) is Exposure.IN_SAMPLE


def test_performance_follows_labels_and_promotions_and_backtests_only_the_sensor(book: Book) -> None:
    automated = automate(performance.definitions(Settings()).assets or ())
    conditions = {spec.key: spec.automation_condition for asset in automated for spec in asset.specs}
    assert {key for key, condition in conditions.items() if condition is None} == {Monitoring.BACKTEST_PD}


@pytest.mark.parametrize(
    ("fall", "passed"),
    [
        (Fall(4_000, 400, 0.69, 0.75, 0.02), False),
        (Fall(4_000, 400, 0.71, 0.75, 0.005), True),
        (Fall(400, 40, 0.69, 0.75, 0.045), True),
        (Fall(200, 29, 0.50, 0.75, 0.05), True),
        (Fall(0, 0), True),
        (Fall(4_000, 400, 0.69, None, None), True),
    ],
    ids=["fallen", "by less than 0.05", "by no more than chance", "too few bad loans", "none new", "not in the bundle"],
)
def test_a_fallen_auc_warns_and_neither_noise_nor_silence_does(fall: Fall, passed: bool) -> None:
    found = auc_vs_development(fall)
    assert found.passed is passed
    assert found.severity is dg.AssetCheckSeverity.WARN
    assert ("next_step" in found.metadata) is not passed


# -------------------------------------------------------------------- the level of the PDs


def test_a_bad_rate_half_as_high_again_is_seen_in_the_marts_and_the_shift_is_the_log_of_the_odds(
    book: Book, clock: None
) -> None:
    """For every second bad loan of the new vintages one good loan turns bad: the shift moves with the odds."""
    observe(book, date(2029, 6, 30))
    as_it_was = realised(book.warehouse, book.champion, LAST)
    more = as_it_was.bads // 2
    turned = "(select loan_id from gold.loan_outcomes where not is_bad and issue_month > date '2023-01-01' limit ?)"
    book.warehouse.replace_table(
        "gold.loan_outcomes",
        Select(f"select * replace (is_bad or loan_id in {turned} as is_bad) from gold.loan_outcomes", [more]),
    )
    now = realised(book.warehouse, book.champion, LAST)
    check = calibration(now)
    assert (now.loans, now.bads) == (as_it_was.loans, as_it_was.bads + more)
    assert not check.passed
    odds = now.bad_rate / (1 - now.bad_rate), now.mean_pd / (1 - now.mean_pd)
    assert check.metadata["intercept_shift"].value == pytest.approx(np.log(odds[0] / odds[1]))
    before = as_it_was.bad_rate / (1 - as_it_was.bad_rate)
    assert now.shift - as_it_was.shift == pytest.approx(np.log(odds[0] / before))
