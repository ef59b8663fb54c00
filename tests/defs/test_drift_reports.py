"""Evidently's reports on a real lake: what people open in the morning, and what turns its check yellow."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import numpy as np
import pyarrow as pa
import pytest

from credit_risk_platform.adapters import drift_samples, evidently_reports, training_data
from credit_risk_platform.adapters.drift_comparison import feature_report
from credit_risk_platform.adapters.drift_samples import Part, pinned
from credit_risk_platform.adapters.evidently_reports import compare
from credit_risk_platform.adapters.warehouse.base import Select
from credit_risk_platform.catalog import Monitoring
from credit_risk_platform.defs.monitoring.assets import feature_drift, score_drift
from credit_risk_platform.defs.monitoring.reports import feature_drift_report, prediction_drift_report
from credit_risk_platform.defs.scoring.assets import portfolio_scores
from credit_risk_platform.domain.models.scorecard import Scorecard
from credit_risk_platform.settings import Settings
from tests.scoring_book import DAY, FEATURES, Book, make_book, train

LOANS = 16_000
"""Some 600 of them are decided in the last 90 days."""
NAMES = {feature.name for feature in FEATURES}


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Book]:
    made = make_book(tmp_path_factory.mktemp("book"), LOANS)
    pinned(made.warehouse, made.champion, Part.TRAIN)
    pinned(made.warehouse, made.champion, Part.HELD_OUT)
    yield made
    made.close()


@dataclass(frozen=True)
class Morning:
    """What one normal day left."""

    result: dg.ExecuteInProcessResult
    files: dict[str, str]


@pytest.fixture(scope="module")
def unmoved(book: Book) -> Morning:
    reports = [feature_drift_report, prediction_drift_report]
    result = run(book, [portfolio_scores, feature_drift, score_drift, *reports])
    return Morning(result, {file.name: file.read_text() for file in files(book).iterdir()})


@contextmanager
def features(book: Book, changed: str) -> Iterator[None]:
    """The marts with other features for a while."""
    kept = book.warehouse.query("select * from gold.application_features")
    changed_rows = f"select * replace ({changed}) from gold.application_features"
    book.warehouse.replace_table("gold.application_features", Select(changed_rows))
    try:
        yield
    finally:
        book.warehouse.replace_table("gold.application_features", kept)


def run(book: Book, assets: list, day: date = DAY) -> dg.ExecuteInProcessResult:
    resources = {
        "settings": Settings(home=book.home), "warehouse": book.warehouse, "bundles": book.bundles,
        "policies": book.policies,
    }  # fmt: skip
    with dg.DagsterInstance.ephemeral() as instance:
        return dg.materialize(assets, partition_key=day.isoformat(), instance=instance, resources=resources)


def shown(result: dg.ExecuteInProcessResult, key: dg.AssetKey) -> dict:
    (event,) = [e for e in result.get_asset_materialization_events() if e.asset_key == key]
    return {name: value.value for name, value in event.materialization.metadata.items()}


def check(result: dg.ExecuteInProcessResult, key: dg.AssetKey) -> dg.AssetCheckEvaluation:
    (found,) = [one for one in result.get_asset_check_evaluations() if one.asset_key == key]
    assert found.check_name == "drifted_share"
    return found


def files(book: Book, day: date = DAY) -> Path:
    return book.home / "lake" / "reports" / "drift" / day.isoformat()


def test_a_book_that_did_not_move_stays_green_and_its_page_can_be_opened(book: Book, unmoved: Morning) -> None:
    for key, name in (
        (Monitoring.FEATURE_DRIFT_REPORT, "feature_drift"),
        (Monitoring.PREDICTION_DRIFT_REPORT, "prediction_drift"),
    ):
        assert check(unmoved.result, key).passed
        metadata = shown(unmoved.result, key)
        assert (metadata["verdict"], metadata["drifted_share"]) == ("stable", 0.0)
        assert 500 <= metadata["rows_sampled"] == metadata["loans"]
        assert metadata["report"] == f"http://127.0.0.1:8010/drift/{DAY}/{name}.html"
        assert metadata["path"] == str(files(book) / f"{name}.html")
        page = unmoved.files[f"{name}.html"]
        assert f"as of {DAY}" in page
        assert "drawDashboard" in page
        assert json.loads(unmoved.files[f"{name}.json"]) == metadata["summary"]


def test_features_predictions_and_their_psi_stand_in_the_figures(unmoved: Morning) -> None:
    of_features = shown(unmoved.result, Monitoring.FEATURE_DRIFT_REPORT)
    assert {one["name"] for one in of_features["summary"]["columns"]} == NAMES
    assert of_features["drift"].count("\n") == 1 + len(FEATURES)
    predictions = shown(unmoved.result, Monitoring.PREDICTION_DRIFT_REPORT)["summary"]
    assert {one["name"] for one in predictions["columns"]} == {"pd", "band", "decision"}
    for summary, names in ((of_features["summary"], NAMES), (predictions, {"pd"})):
        beside = summary["psi_in_warehouse"]
        assert set(beside) == names
        assert all(0 < psi < 0.1 for psi in beside.values())
    assert all(0 < one["psi"] < 0.1 for one in [*predictions["columns"], *of_features["summary"]["columns"]])


def test_a_page_shows_nobody(book: Book, unmoved: Morning) -> None:
    """Neither ids nor any single loan's figures: only counts, means over at least 50 loans, percentiles."""
    rows = book.warehouse.query(
        "select loan_id, subject_token, dti from gold.application_features where decision_date > ? and dti is not null",
        [DAY - timedelta(days=90)],
    )
    for name in ("feature_drift", "prediction_drift"):
        page = unmoved.files[f"{name}.html"]
        figures = page[page.index('{"name": "Report"') : page.index("<body>")] + unmoved.files[f"{name}.json"]
        assert "DATA DISTRIBUTION" in figures
        for column in rows.column_names:
            assert not [value for value in rows[column].to_pylist() if str(value) in figures], column


def test_a_feature_whose_unit_changed_is_named(book: Book) -> None:
    with features(book, "revolving_utilisation / 100 as revolving_utilisation"):
        result = run(book, [feature_drift_report])
    found = check(result, Monitoring.FEATURE_DRIFT_REPORT)
    assert found.metadata["drifted"].value == "revolving_utilisation"
    assert found.metadata["drifted_share"].value == 0.25
    assert found.passed  # one of four; the warehouse's psi_feature warns of each
    assert shown(result, Monitoring.FEATURE_DRIFT_REPORT)["drift"].splitlines()[2].startswith("| revolving_utilisation")


def test_when_more_than_three_tenths_have_moved_the_check_warns_and_does_not_block(book: Book) -> None:
    with features(book, "dti * 3 as dti, revolving_utilisation / 100 as revolving_utilisation"):
        result = run(book, [feature_drift_report])
    found = check(result, Monitoring.FEATURE_DRIFT_REPORT)
    assert result.success
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert found.metadata["drifted_share"].value == 0.5
    assert "sources of the features named" in str(found.metadata["next_step"].value)


def test_a_few_loans_are_not_enough_data_and_not_red(book: Book) -> None:
    early = date(2020, 1, 15)
    stale = files(book, early) / "feature_drift.html"
    stale.parent.mkdir(parents=True)
    stale.write_text("the page of a day that had more loans once")
    result = run(book, [feature_drift_report], early)
    found = check(result, Monitoring.FEATURE_DRIFT_REPORT)
    assert found.passed
    assert found.metadata["verdict"].value == "not enough data"
    assert "report" not in shown(result, Monitoring.FEATURE_DRIFT_REPORT)
    assert [file.name for file in files(book, early).iterdir()] == ["feature_drift.json"]


def test_where_nothing_is_new_the_portfolio_is_shown_and_not_judged(book: Book) -> None:
    later = DAY + timedelta(days=120)
    result = run(book, [feature_drift_report], later)
    found = check(result, Monitoring.FEATURE_DRIFT_REPORT)
    assert found.passed
    assert found.metadata["verdict"].value == "not judged"
    metadata = shown(result, Monitoring.FEATURE_DRIFT_REPORT)
    assert metadata["compared"] == "the open portfolio: fewer than 500 applications in the last 90 days"
    assert metadata["rows_sampled"] > 500


def test_retraining_does_not_move_what_is_compared_with_and_twice_is_once(book: Book, unmoved: Morning) -> None:
    kept = book.warehouse.query("select * from gold.training_set")
    book.warehouse.replace_table(
        "gold.training_set", Select("select * replace (dti * 10 as dti) from gold.training_set")
    )
    try:
        again = run(book, [feature_drift_report, prediction_drift_report])
    finally:
        book.warehouse.replace_table("gold.training_set", kept)
    for key, name in (
        (Monitoring.FEATURE_DRIFT_REPORT, "feature_drift.json"),
        (Monitoring.PREDICTION_DRIFT_REPORT, "prediction_drift.json"),
    ):
        assert (files(book) / name).read_text() == unmoved.files[name]
        versions = {
            event.materialization.tags["dagster/data_version"]  # type: ignore[index]
            for result in (unmoved.result, again)
            for event in result.get_asset_materialization_events()
            if event.asset_key == key
        }
        assert len(versions) == 1


def test_samples_are_bounded_repeatable_and_named_by_the_data_they_came_from(book: Book) -> None:
    bundle = train(book, seed=9)
    first = pinned(book.warehouse, bundle, Part.TRAIN, limit=700)
    assert first.rows.num_rows == 700
    assert pinned(book.warehouse, bundle, Part.TRAIN, limit=700).rows.equals(first.rows)
    assert first.data_version == training_data.fingerprint(book.warehouse)
    assert not first.own  # the test book's bundles carry no real fingerprint
    assert set(first.rows.column_names) == NAMES
    drawn = drift_samples.applicants(book.warehouse, bundle, DAY, limit=550)
    assert (drawn.rows.num_rows, drawn.loans > 550) == (550, True)
    assert drift_samples.applicants(book.warehouse, bundle, DAY, limit=550).rows.equals(drawn.rows)


def test_a_scorecard_s_reader_sees_the_points_each_feature_cost(book: Book) -> None:
    """CSI: sum over bins of (actual - expected share) * points, which must be the change of the mean points."""
    card = train(book, "scorecard")
    assert isinstance(card.model, Scorecard)
    report = feature_report(book.warehouse, card, DAY)
    assert set(report.points_shift) == set(card.model.table.features)
    line = next(one for one in card.model.table.characteristics if one.feature in {"dti", "revolving_utilisation"})
    shares = []
    for rows in (report.reference.rows, report.day.rows):
        bins = line.binned.bins.indices(rows[line.feature].to_numpy())
        shares.append(np.bincount(bins, minlength=len(line.points)) / bins.size)
    by_hand = float(((shares[1] - shares[0]) * np.array(line.points)).sum())
    assert report.points_shift[line.feature] == pytest.approx(by_hand, abs=1e-5)


def test_a_feature_that_stopped_coming_has_drifted_and_one_that_never_came_has_not() -> None:
    rng = np.random.default_rng(3)
    known, gone = pa.array(rng.uniform(0, 1, 600)), pa.nulls(600, pa.float64())
    before = pa.table({"income": known, "score": known, "ltv": gone, "home": pa.array(["RENT", "OWN"] * 300)})
    now = pa.table({"income": known, "score": gone, "ltv": gone, "home": pa.array(["RENT", None] * 300)})
    found = compare(before, now, ["income", "score", "ltv"], ["Test"])
    assert {one.name: one.drifted for one in found.columns} == {
        "income": False, "score": True, "ltv": False, "home": True,
    }  # fmt: skip
    assert found.drifted_share == pytest.approx(2 / 3, abs=1e-6)  # of the three that ever came
    missing = {one.name: one.missing_now for one in found.columns}
    assert missing == {"income": 0.0, "score": 1.0, "ltv": 1.0, "home": 0.5}
    nothing_left = compare(
        before.select(["income"]), now.select(["score"]).rename_columns(["income"]), ["income"], ["Test"]
    )
    assert (nothing_left.drifted, nothing_left.columns[0].psi) == (("income",), None)


def test_one_odd_value_neither_hides_the_drift_of_all_others_nor_shows_on_the_page() -> None:
    """Evidently's bins have equal widths: with 10^9 among them, everybody else shares one."""
    rng = np.random.default_rng(5)
    before, now = rng.lognormal(10, 0.5, 5_000), rng.lognormal(11, 0.5, 5_000)
    now[17] = 987654321.5
    found = compare(pa.table({"income": before}), pa.table({"income": now}), ["income"], ["Test"])
    assert found.drifted == ("income",)
    assert b"987654321.5" not in found.page


def test_the_psi_is_evidently_s_own_and_worked_by_hand(tmp_path: Path) -> None:
    """Shares 0.25 four times against 0.4, 0.3, 0.2, 0.1: 0.228217, as for our own PSI."""
    before = pa.table({"home": pa.array(["a", "b", "c", "d"] * 250)})
    now = pa.table({"home": pa.array(["a"] * 400 + ["b"] * 300 + ["c"] * 200 + ["d"] * 100)})
    found = compare(before, now, [], ["Test <home>"])
    assert found.columns[0].psi == pytest.approx(0.228217, abs=1e-6)
    assert b"<h2>Test &lt;home&gt;</h2>" in found.page
    written = evidently_reports.keep(tmp_path, "x", found.as_dict(), found.page)
    assert Path(written).read_bytes() == found.page
