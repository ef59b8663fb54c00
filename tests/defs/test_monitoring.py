"""The monitoring room on a real lake: drift is measured against a yardstick that does not move."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from credit_risk_platform.adapters import training_data
from credit_risk_platform.adapters.drift_reference import NoReferenceError, reference_of
from credit_risk_platform.adapters.drift_report import FEATURE_DRIFT, SCORE_DRIFT, bin_number
from credit_risk_platform.adapters.realised import Realised, realised
from credit_risk_platform.adapters.warehouse.base import Select
from credit_risk_platform.catalog import Monitoring
from credit_risk_platform.defs.monitoring import checks
from credit_risk_platform.defs.monitoring.assets import feature_drift, score_drift
from credit_risk_platform.defs.scoring.assets import portfolio_scores
from credit_risk_platform.domain.calibration import intercept_shift
from credit_risk_platform.domain.drift import Bins, psi
from tests.scoring_book import DAY, FEATURES, Book, applications, make_book, write_marts

LOANS = 16_000
"""Some 600 of them are decided in the last 90 days: enough for a PSI."""
REFERENCE = "monitoring.reference_bins"


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Book]:
    made = make_book(tmp_path_factory.mktemp("book"), LOANS)
    yield made
    made.close()


@pytest.fixture
def book(pristine: Book) -> Iterator[Book]:
    """Nothing watched yet; the marts are put back afterwards by whoever changes them."""
    with pristine.warehouse.transaction() as transaction:
        for table in (REFERENCE, FEATURE_DRIFT, SCORE_DRIFT):
            transaction._cursor.execute(f"drop table if exists {table}")
    return pristine


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def run(book: Book, instance: dg.DagsterInstance, assets: list, day: date = DAY) -> dg.ExecuteInProcessResult:
    resources = {"warehouse": book.warehouse, "bundles": book.bundles, "policies": book.policies}
    return dg.materialize(assets, partition_key=day.isoformat(), instance=instance, resources=resources)


def shown(result: dg.ExecuteInProcessResult, key: dg.AssetKey) -> dict:
    (event,) = [e for e in result.get_asset_materialization_events() if e.asset_key == key]
    return {name: value.value for name, value in event.materialization.metadata.items()}


def check(result: dg.ExecuteInProcessResult, name: str) -> dg.AssetCheckEvaluation:
    (found,) = [one for one in result.get_asset_check_evaluations() if one.check_name == name]
    return found


def with_utilisation(rows: pa.Table, values: list[float]) -> pa.Table:
    return rows.set_column(rows.column_names.index("utilisation"), "utilisation", [pa.array(values)])


# -------------------------------------------------------------------- features


def test_a_book_that_did_not_move_is_stable_in_every_feature(book: Book, instance: dg.DagsterInstance) -> None:
    result = run(book, instance, [feature_drift])
    rows = book.warehouse.query(f"select * from {FEATURE_DRIFT}").to_pylist()
    assert {(row["feature"], row["population"]) for row in rows} == {
        (feature.name, population) for feature in FEATURES for population in ("portfolio", "new_applications")
    }
    assert {row["verdict"] for row in rows} == {"stable"}
    assert check(result, "psi_feature").passed
    assert all(sum(row["actual_shares"]) == pytest.approx(1) for row in rows)
    assert shown(result, Monitoring.FEATURE_DRIFT)["dagster/row_count"] == 2 * len(FEATURES)


def test_the_psi_in_the_table_is_the_psi_of_its_shares(book: Book, instance: dg.DagsterInstance) -> None:
    run(book, instance, [feature_drift])
    for row in book.warehouse.query(f"select * from {FEATURE_DRIFT}").to_pylist():
        assert row["psi"] == psi(np.array(row["expected_shares"]), np.array(row["actual_shares"]))


def test_a_feature_whose_unit_changed_is_named_and_only_warns(book: Book, instance: dg.DagsterInstance) -> None:
    rows = applications(LOANS, 7)
    decided = rows["decision_date"].to_pylist()
    scaled = [
        value / 100 if value is not None and day > DAY - timedelta(days=90) else value
        for value, day in zip(rows["utilisation"].to_pylist(), decided, strict=True)
    ]
    reference_of(book.warehouse, book.champion)  # kept before the data went wrong, as on any normal day
    write_marts(book, with_utilisation(rows, scaled))
    try:
        result = run(book, instance, [feature_drift])
    finally:
        write_marts(book, rows)
    found = check(result, "psi_feature")
    assert result.success
    assert not found.passed
    assert found.severity is dg.AssetCheckSeverity.WARN
    assert str(found.metadata["moved"].value).startswith("revolving_utilisation ")
    assert found.metadata["significant"].value == 1
    first = shown(result, Monitoring.FEATURE_DRIFT)["drift"].splitlines()[2]
    assert first.startswith("| revolving_utilisation | new applications | ")


def test_a_few_applications_are_not_called_drift(book: Book, instance: dg.DagsterInstance) -> None:
    result = run(book, instance, [feature_drift], date(2020, 1, 15))
    found = check(result, "psi_feature")
    assert found.passed
    assert "not enough data" in str(found.metadata["verdict"].value)
    psis = book.warehouse.query(f"select distinct psi from {FEATURE_DRIFT}")["psi"].to_pylist()
    assert psis == [None]


def test_the_yardstick_outlives_the_training_set(book: Book, instance: dg.DagsterInstance) -> None:
    """A rebuilt training set must not quietly become the new normal."""
    before = run(book, instance, [feature_drift])
    kept = book.warehouse.query("select * from gold.training_set")
    book.warehouse.replace_table(
        "gold.training_set", Select("select * replace (dti * 10 as dti) from gold.training_set")
    )
    try:
        after = run(book, instance, [feature_drift])
    finally:
        book.warehouse.replace_table("gold.training_set", kept)
    versions = [
        event.materialization.tags["dagster/data_version"]  # type: ignore[index]
        for result in (before, after)
        for event in result.get_asset_materialization_events()
    ]
    assert versions[0] == versions[1]


def test_a_yardstick_that_is_not_the_champion_s_own_says_so(book: Book) -> None:
    """The test book's bundle carries no real fingerprint; one that does is recognised."""
    assert not reference_of(book.warehouse, book.champion).own
    assert "was replaced" in reference_of(book.warehouse, book.champion).described
    honest = replace(book.champion, training_fingerprint=training_data.fingerprint(book.warehouse))
    assert reference_of(book.warehouse, honest).own


def test_without_a_training_set_the_error_says_what_to_materialise(book: Book, tmp_path: Path) -> None:
    empty = type(book.warehouse)(tmp_path / "lake")
    with pytest.raises(NoReferenceError, match="materialise gold/training_set first"):
        reference_of(empty, book.champion)
    empty.close()


@settings(max_examples=30, deadline=None)
@given(
    development=st.lists(st.none() | st.floats(-5, 5) | st.just(float("nan")), min_size=1, max_size=40),
    current=st.lists(st.none() | st.floats() | st.just(float("nan")), min_size=1, max_size=40),
)
def test_sql_puts_every_number_into_the_bin_that_python_puts_it_in(
    pristine: Book, development: list, current: list
) -> None:
    bins = Bins.fit("x", pa.array(development, pa.float64(), from_pandas=False))
    assert_same_counts(pristine, bins, pa.array(current, pa.float64(), from_pandas=False))


@settings(max_examples=30, deadline=None)
@given(
    development=st.lists(st.none() | st.sampled_from("abc"), min_size=1, max_size=20),
    current=st.lists(st.none() | st.sampled_from("abcdé'"), min_size=1, max_size=20),
)
def test_sql_puts_every_category_into_the_bin_that_python_puts_it_in(
    pristine: Book, development: list, current: list
) -> None:
    assert_same_counts(pristine, Bins.fit("x", pa.array(development, pa.string())), pa.array(current, pa.string()))


def assert_same_counts(book: Book, bins: Bins, values: pa.Array) -> None:
    expression, params = bin_number(bins)
    with book.warehouse.workspace() as workspace:
        workspace.stage("population", pa.table({"x": values}))
        found = workspace.query(f"select {expression} as bin, count(*) as n from population group by bin", params)
    counts = np.zeros(len(bins.labels), dtype=np.int64)
    counts[found["bin"].to_numpy()] = found["n"].to_numpy()
    assert counts.tolist() == bins.count(values).tolist()


# -------------------------------------------------------------------- scores


def test_scores_of_the_day_are_held_against_the_held_out_vintages(book: Book, instance: dg.DagsterInstance) -> None:
    result = run(book, instance, [portfolio_scores, score_drift])
    watched = [one for one in result.get_asset_check_evaluations() if one.asset_key == Monitoring.SCORE_DRIFT]
    assert {one.check_name: one.passed for one in watched} == {"psi_score": True, "calibration": True}
    rows = book.warehouse.query(f"select * from {SCORE_DRIFT} order by population").to_pylist()
    assert [(row["population"], row["feature"], row["verdict"]) for row in rows] == [
        ("new_applications", "pd", "stable"),
        ("portfolio", "pd", "stable"),
    ]
    assert (
        rows[1]["actual_rows"]
        == book.warehouse.query("select count(*) as n from gold.portfolio_scores where as_of = ?", [DAY])["n"][
            0
        ].as_py()
    )


def test_a_day_that_was_not_scored_says_which_partition_to_materialise(
    book: Book, instance: dg.DagsterInstance
) -> None:
    with pytest.raises(dg.Failure, match="no loan is scored as of 2025-01-01: materialise that partition"):
        run(book, instance, [score_drift], date(2025, 1, 1))


def test_a_day_watched_again_is_kept_once_and_other_days_stay(book: Book, instance: dg.DagsterInstance) -> None:
    other = DAY - timedelta(days=30)
    for day in (DAY, other, DAY):
        run(book, instance, [portfolio_scores, feature_drift, score_drift], day)
    for table, rows in ((FEATURE_DRIFT, 2 * len(FEATURES)), (SCORE_DRIFT, 2)):
        found = book.warehouse.query(f"select as_of, count(*) as n from {table} group by 1 order by 1").to_pylist()
        assert found == [{"as_of": other, "n": rows}, {"as_of": DAY, "n": rows}]


# -------------------------------------------------------------------- do PDs come true


def test_newly_matured_vintages_are_compared_with_what_was_expected_of_them(book: Book) -> None:
    """Against a plain count in Python; the vintages up to the given month are the champion's own and left out."""
    until = date(2022, 1, 1)
    found = realised(book.warehouse, book.champion, until)
    rows = book.warehouse.query("select is_bad from gold.loan_outcomes where matured and issue_month > ?", [until])[
        "is_bad"
    ].to_pylist()
    assert (found.loans, found.bads) == (len(rows), sum(rows))
    assert found.loans > 500
    assert realised(book.warehouse, book.champion, date(2030, 1, 1)) == Realised(0, 0, 0.0, 0.0)


def test_a_bad_rate_half_as_high_again_turns_calibration_red_with_the_shift_that_mends_it() -> None:
    expected, observed = 0.10, 0.15
    shift = intercept_shift(np.array([expected]), np.array([observed]))
    assert shift == pytest.approx(np.log((0.15 / 0.85) / (0.10 / 0.90)))
    result = checks.calibration(Realised(4_000, 600, expected, shift))
    assert not result.passed
    assert result.severity is dg.AssetCheckSeverity.WARN
    assert result.metadata["intercept_shift"].value == shift
    assert f"adding {shift:+.3f}" in str(result.metadata["next_step"].value)


@pytest.mark.parametrize(
    "found",
    [
        Realised(0, 0, 0.0, 0.0),
        Realised(499, 150, 0.1, 1.3),
        Realised(4_000, 410, 0.10, intercept_shift(np.array([0.10]), np.array([0.1025]))),
        Realised(600, 75, 0.10, intercept_shift(np.array([0.10]), np.array([0.125]))),
    ],
    ids=["nothing matured", "too few", "as expected", "off, but by no more than chance"],
)
def test_calibration_stays_quiet_without_evidence(found: Realised) -> None:
    assert checks.calibration(found).passed
