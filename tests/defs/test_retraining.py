"""The retraining room on a real lake and a real run history: one drift, one training, and the gates decide."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa
import pytest
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin

from credit_risk_platform.adapters.drift_reference import PD, reference_of
from credit_risk_platform.adapters.drift_reference import TABLE as REFERENCE
from credit_risk_platform.adapters.drift_report import NEW, SCORE_DRIFT, Measured, rows_of
from credit_risk_platform.adapters.policies import PolicyBook
from credit_risk_platform.adapters.realised import Realised, keep_realised
from credit_risk_platform.adapters.retraining_evidence import gather
from credit_risk_platform.adapters.warehouse.base import Select
from credit_risk_platform.catalog import Gold, Models
from credit_risk_platform.cli.status import collect
from credit_risk_platform.defs import retraining, training
from credit_risk_platform.defs.automation.jobs import model_training
from credit_risk_platform.defs.monitoring.assets import score_drift
from credit_risk_platform.defs.retraining.sensors import build_retraining_sensor, look
from credit_risk_platform.defs.scoring.assets import portfolio_scores
from credit_risk_platform.resources import build_resources
from credit_risk_platform.settings import Settings
from tests.credit_book import build_book
from tests.scoring_book import DAY, Book, applications, crown, open_book, train, write_marts
from tests.training_room import GOOD, LENIENT, Room, checks, metadata

Status = dg.DagsterRunStatus
TAUGHT, HELD_OUT, NEW_LOANS = 800, 600, 600
"""Loans decided up to May 2022, in the rest of 2022, and in the last 90 days: just enough for a PSI."""
WEEK = timedelta(days=7)


@pytest.fixture(scope="module")
def drifted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Book]:
    """A day was scored and watched on which every new applicant's cards are drawn to the limit."""
    book = open_book(tmp_path_factory.mktemp("book"))
    write_marts(book, book_rows())
    crown(book, train(book))
    resources = {"warehouse": book.warehouse, "bundles": book.bundles, "policies": book.policies}
    with dg.DagsterInstance.ephemeral() as instance:
        dg.materialize(
            [portfolio_scores, score_drift], partition_key=DAY.isoformat(), instance=instance, resources=resources
        )
    yield book
    book.close()


def book_rows() -> pa.Table:
    """Applications whose dates lie where maturity and drift are decided; the newest are drawn to the limit."""
    spans = (
        (TAUGHT, date(2020, 1, 1), date(2022, 5, 31)),
        (HELD_OUT, date(2022, 6, 1), date(2022, 12, 31)),
        (NEW_LOANS, DAY - timedelta(days=88), DAY),
    )
    decided = [first + (last - first) * k // loans for loans, first, last in spans for k in range(loans)]
    rows = applications(len(decided), 7)
    columns = {
        "decision_date": decided,
        "issue_month": [day.replace(day=1) for day in decided],
        "utilisation": [*rows["utilisation"].to_pylist()[:-NEW_LOANS], *[100.0] * NEW_LOANS],
    }
    for name, values in columns.items():
        rows = rows.set_column(rows.column_names.index(name), name, [pa.array(values)])
    return rows


@pytest.fixture
def book(drifted: Book) -> Iterator[Book]:
    """What a test changes in the lake or in the models' folder is put back."""
    tables = (SCORE_DRIFT, REFERENCE, "gold.loan_outcomes", "monitoring.realised_pd")
    before = {table: drifted.warehouse.query(f"select * from {table}") for table in tables}
    pointer = drifted.bundles.pointer_file.read_bytes()
    yield drifted
    for table, rows in before.items():
        drifted.warehouse.replace_table(table, rows)
    drifted.bundles.pointer_file.write_bytes(pointer)
    (drifted.home / "models" / "retraining.json").unlink(missing_ok=True)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def now() -> datetime:
    """Dagster stamps a run with the true time, so the tests' clock starts there."""
    return datetime.now(UTC) + timedelta(minutes=1)


def tick(book: Book, instance: dg.DagsterInstance, at: datetime, **changes: Any) -> dg.RunRequest | str:
    """One look, by whichever daemon: the request, or why there is none."""
    answer = look(instance, book.warehouse, book.bundles, Settings(home=book.home, **changes), at)
    return answer if isinstance(answer, dg.RunRequest) else str(answer.skip_message)


def begin(
    instance: dg.DagsterInstance, request: dg.RunRequest | None = None, job: str = "model_training", **run: Any
) -> dg.DagsterRun:
    """The run that Dagster makes of a sensor's request, or one that somebody else started."""
    own = {"dagster/sensor_name": "retrain_on_drift", "dagster/run_key": request.run_key or ""} if request else {}
    tags = {**(request.tags if request else {}), **own}
    origin = RemoteJobOrigin(RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("platform"), "__repository__"), job)
    facts = {"status": Status.QUEUED, "remote_job_origin": origin, **run}
    return instance.add_run(dg.DagsterRun(job_name=job, run_id=str(uuid.uuid4()), tags=tags, **facts))


def triggered(book: Book, instance: dg.DagsterInstance, now: datetime) -> dg.DagsterRun:
    """A first training that the drift started and the gates refused."""
    request = tick(book, instance, now)
    assert isinstance(request, dg.RunRequest), request
    run = begin(instance, request)
    instance.report_run_failed(run, "Promotion refused")
    assert isinstance(tick(book, instance, now), str)  # the sensor looks every five minutes
    return run


def next_day(book: Book, *, new_labels: bool) -> None:
    """Monitoring sees the same drift a day later, and perhaps a vintage has matured meanwhile."""
    later = Select(f"select * replace (as_of + 1 as as_of) from {SCORE_DRIFT} where as_of = ?", [DAY])
    book.warehouse.replace(SCORE_DRIFT, later, "as_of = ?", [DAY + timedelta(days=1)])
    if new_labels:
        earlier = f"select * replace ((learnt_until - interval 1 month)::date as learnt_until) from {REFERENCE}"
        book.warehouse.replace_table(REFERENCE, Select(earlier))


def write_day(book: Book, day: date, counts: np.ndarray) -> None:
    """As monitoring keeps a day whose new applications fill the bins of the PD so."""
    bins = reference_of(book.warehouse, book.champion).bins[PD]
    measured = Measured(NEW, bins.compare(counts), bins.labels, (), ())
    book.warehouse.replace(SCORE_DRIFT, rows_of([measured], day, book.champion.sha256), "as_of = ?", [day])


# -------------------------------------------------------------------- one drift, one training


def test_one_injected_drift_starts_one_training_and_its_tags_name_the_trigger(
    book: Book, instance: dg.DagsterInstance, now: datetime
) -> None:
    request = tick(book, instance, now)
    assert isinstance(request, dg.RunRequest)
    rows = book.warehouse.query(f"select * from {SCORE_DRIFT} where as_of = ?", [DAY]).to_pylist()
    (psi,) = [row["psi"] for row in rows if row["population"] == NEW]
    evidence = f"2026-06-30/{book.champion.sha256[:12]}/0"
    assert request.run_key == evidence
    assert request.tags == {
        "crp/trigger": "score_psi",
        "crp/trigger_value": f"{psi:.4f}",
        "crp/trigger_evidence": evidence,
        "crp/lane": "batch",
    }
    other_daemon = tick(open_book(book.home), instance, now + timedelta(seconds=1))
    assert isinstance(other_daemon, dg.RunRequest)
    assert (other_daemon.run_key, other_daemon.tags) == (request.run_key, request.tags), "Dagster makes one run of both"

    run = begin(instance, request)
    assert f"A training is in progress (run {run.run_id[:8]} of model_training, queued)" in str(
        tick(book, instance, now)
    )
    instance.report_run_failed(run, "Promotion refused")
    told = str(tick(book, instance, now))
    assert "Cool-down until" in told
    assert f"score PSI {psi:.3f} as of 2026-06-30 (limit 0.25)" in told


def test_a_calm_day_starts_nothing_and_says_how_far_each_trigger_is(
    book: Book, instance: dg.DagsterInstance, now: datetime
) -> None:
    write_day(book, DAY + timedelta(days=1), np.array(reference_of(book.warehouse, book.champion).bins[PD].counts))
    assert tick(book, instance, now) == (
        "Nothing calls for a training: score PSI 0.000 as of 2026-07-01 (limit 0.25); calibration: not enough data; "
        "0 loans of matured vintages unknown to the champion (limit 5,000)."
    )


def test_the_cool_down_survives_a_restart_an_empty_cursor_and_a_pruned_history(
    book: Book, now: datetime, tmp_path: Path
) -> None:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        run = triggered(book, instance, now)
    next_day(book, new_labels=True)
    sensor = build_retraining_sensor(Settings(home=book.home))
    resources = {"warehouse": book.warehouse, "bundles": book.bundles}
    with dg.DagsterInstance.local_temp(str(tmp_path)) as restarted:
        with dg.build_sensor_context(instance=restarted, resources=resources) as context:
            answer = sensor(context)
        assert isinstance(answer, dg.SkipReason)
        assert "Cool-down until" in str(answer.skip_message)
        restarted.delete_run(run.run_id)
        assert "Cool-down until" in str(tick(book, restarted, now + timedelta(days=6)))
        assert isinstance(tick(book, restarted, now + WEEK), dg.RunRequest)


def test_after_the_cool_down_only_new_evidence_starts_another(
    book: Book, instance: dg.DagsterInstance, now: datetime
) -> None:
    run = triggered(book, instance, now)
    assert "has used this evidence" in str(tick(book, instance, now + WEEK))
    next_day(book, new_labels=False)
    assert "has used this evidence" in str(tick(book, instance, now + WEEK)), "same loans to learn from, same end"
    next_day(book, new_labels=True)
    again = tick(book, instance, now + WEEK)
    assert isinstance(again, dg.RunRequest)
    assert str(again.run_key).startswith("2026-07-01/")
    assert again.tags["crp/trigger_evidence"] != run.tags["crp/trigger_evidence"]


@pytest.mark.parametrize(
    ("run", "waits"),
    [
        ({"status": Status.STARTED}, True),
        ({"status": Status.SUCCESS}, False),
        ({"job": "full_pipeline"}, True),
        ({"job": "full_pipeline", "asset_selection": frozenset({Gold.LOAN_OUTCOMES})}, False),
        ({"job": "__ASSET_JOB", "asset_selection": frozenset({Models.CHAMPION})}, True),
        ({"job": "__ASSET_JOB", "asset_selection": frozenset({Gold.LOAN_OUTCOMES})}, False),
        ({"job": "behaviour_training"}, False),
    ],
    ids=["the weekly one", "ended", "pipeline", "part of the pipeline", "by hand", "other asset by hand", "other PD"],
)
def test_a_training_that_anyone_started_is_waited_for(
    drifted: Book, instance: dg.DagsterInstance, now: datetime, run: dict[str, Any], waits: bool
) -> None:
    begin(instance, **run)
    answer = tick(drifted, instance, now)
    assert isinstance(answer, str) is waits
    assert not waits or "A training is in progress" in str(answer)


# -------------------------------------------------------------------- what counts as evidence


def test_drift_of_an_older_champion_says_nothing_against_the_present_one(
    book: Book, instance: dg.DagsterInstance, now: datetime
) -> None:
    former = book.champion.sha256
    crown(book, train(book, seed=1))
    assert gather(book.warehouse, former).psi is not None
    assert "score PSI: not measured for this champion yet" in str(tick(book, instance, now))


def test_miscalibration_and_matured_loans_are_read_from_the_lake_and_name_themselves(
    book: Book, instance: dg.DagsterInstance, now: datetime
) -> None:
    """0.15 bad where 0.10 was expected, of 4,000: ln(.15/.85) - ln(.1/.9) = 0.4626, and 200 / sqrt(360) = 10.5 sd."""
    sha, until = book.champion.sha256, date(2021, 1, 1)
    keep_realised(book.warehouse, Realised(4_000, 600, 0.10, 0.4626), DAY, sha)
    book.warehouse.replace_table(
        REFERENCE, Select(f"select * replace (?::date as learnt_until) from {REFERENCE}", [until])
    )
    loans = book.warehouse.query("select matured, issue_month from gold.loan_outcomes").to_pylist()
    matured = sum(loan["matured"] and loan["issue_month"] > until for loan in loans)
    found = gather(book.warehouse, sha)
    assert (found.shift, found.z, found.calibration_off) == (0.4626, pytest.approx(10.54, abs=0.01), True)
    assert found.new_labels == matured > HELD_OUT
    request = tick(book, instance, now, retrain_new_labels=600)
    assert isinstance(request, dg.RunRequest)
    assert request.tags["crp/trigger"] == "score_psi+calibration+new_labels"
    assert request.tags["crp/trigger_value"].endswith(f", +0.4626, {matured}")


def test_matured_loans_of_a_vintage_that_still_runs_are_no_reason_to_train(book: Book) -> None:
    """No training learns from them: on LendingClub they would start one for nothing, as soon as a champion reigns."""
    book.warehouse.replace_table(
        REFERENCE, Select(f"select * replace (date '2022-11-01' as learnt_until) from {REFERENCE}")
    )
    december = gather(book.warehouse, book.champion.sha256).new_labels
    assert december is not None
    assert december > 50
    first = "loan_id = (select min(loan_id) from gold.loan_outcomes where issue_month = date '2022-12-01')"
    still_runs = f"select * replace (matured and not {first} as matured) from gold.loan_outcomes"
    book.warehouse.replace_table("gold.loan_outcomes", Select(still_runs))
    assert gather(book.warehouse, book.champion.sha256).new_labels == 0


def test_without_a_champion_the_sensor_waits_and_makes_no_lake(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    empty = open_book(tmp_path)
    assert "There is no champion to replace" in str(tick(empty, instance, datetime.now(UTC)))
    assert not empty.warehouse.root.exists()


def test_the_sensor_ships_running_only_where_the_settings_say_so(tmp_path: Path) -> None:
    for running, status in ((True, dg.DefaultSensorStatus.RUNNING), (False, dg.DefaultSensorStatus.STOPPED)):
        (sensor,) = retraining.definitions(Settings(home=tmp_path, automation_running=running)).sensors or ()
        assert isinstance(sensor, dg.SensorDefinition)
        assert (sensor.default_status, sensor.job_name) == (status, "model_training")


# -------------------------------------------------------------------- for real


def test_the_training_that_drift_asked_for_runs_and_the_gates_decide_on_its_candidate(small: Room) -> None:
    """A champion that knows only three of the four risks meets drift; the model trained because of it takes over."""
    build_book(small.warehouse, 2_400)
    small.settings = small.settings.model_copy(update={"candidates": (GOOD,)})
    assert small.run(Gold.TRAINING_SET).success
    book = Book(small.settings.home, small.warehouse, small.bundles, PolicyBook(small.settings.home))
    weak = crown(book, train(book))
    bins = reference_of(book.warehouse, book.champion).bins[PD]
    riskiest = np.eye(len(bins.labels), dtype=np.int64)[len(bins.edges)] * 800
    write_day(book, DAY, riskiest)

    request = tick(book, small.instance, datetime.now(UTC))
    assert isinstance(request, dg.RunRequest)
    result = model_training_run(small, request)
    assert result.success, [e.step_failure_data for e in result.all_events if e.is_step_failure]
    assert checks(result)["better_than_champion"]
    champion = small.bundles.pointer()
    assert champion is not None
    assert (champion.promotion.run_id, champion.sha != weak) == (result.run_id, True)
    why = f"trained because of score_psi {request.tags['crp/trigger_value']} ({request.run_key})"
    assert why in champion.promotion.reason
    assert metadata(result, Models.CHAMPION)["promoted_by"] == "sensor retrain_on_drift"

    told = str(tick(book, small.instance, datetime.now(UTC), retrain_new_labels=100))
    assert "score PSI: not measured for this champion yet" in told
    state = collect(small.settings).retraining
    assert state is not None
    assert (state["trigger"], state["run_id"], state["promoted"]) == ("score_psi", result.run_id, True)


def model_training_run(room: Room, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
    """The very job the sensor names, with the tags Dagster gives its run."""
    graph = dg.Definitions.merge(
        training.definitions(room.settings),
        retraining.definitions(room.settings),
        dg.Definitions(jobs=[model_training], resources=build_resources(room.settings, warehouse=room.warehouse)),
    )
    return graph.resolve_job_def("model_training").execute_in_process(
        instance=room.instance,
        tags={**request.tags, "dagster/sensor_name": "retrain_on_drift"},
        run_config={"ops": {"models__champion": {"config": LENIENT}}},
        raise_on_error=False,
    )
