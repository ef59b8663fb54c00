"""The allowance on a real lake: stages, bars that say why it moved, and what happens if a scenario comes true."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest

from credit_risk_platform.adapters import ecl_figures as figures
from credit_risk_platform.adapters.ecl import LOAN_ECL
from credit_risk_platform.adapters.ecl_stress import totals
from credit_risk_platform.adapters.ecl_waterfall import MOVEMENTS, WATERFALL, book_day
from credit_risk_platform.adapters.provisioning_models import NoModelError
from credit_risk_platform.catalog import Gold
from credit_risk_platform.defs.provisioning.ecl import basis_in_force, expected_credit_loss, stores
from credit_risk_platform.defs.provisioning.ecl_checks import bars_sum, cecl_covers_stage_1, stage_totals_agree
from credit_risk_platform.defs.provisioning.stress import stress_ecl
from credit_risk_platform.domain.provisioning.waterfall import BARS
from tests import ecl_book
from tests.ecl_book import CHARGED_OFF, FRESH, HAZARD, JUNE, LGD, MAY, REPAID, EclBook

MOVED = ("L03", "L04", "L05", "L06")
"""Loans whose stage in June is not that of May: 10 to 41 days late, 0 to 30, 0 to 31, 60 to 91."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EclBook]:
    book = ecl_book.make(tmp_path_factory.mktemp("ecl"))
    yield book
    book.warehouse.close()


@pytest.fixture
def book(made: EclBook) -> Iterator[EclBook]:
    """As it was made, with nothing booked."""
    yield made
    for table in (LOAN_ECL, MOVEMENTS, WATERFALL, "gold.ecl_stage"):
        if made.warehouse.exists(table):
            made.warehouse.replace(table, made.warehouse.query(f"select * from {table} limit 0"), "true")
    ecl_book.write_loans(made)
    ecl_book.write_panel(made)
    ecl_book.write_scores(made)
    ecl_book.write_models(made)


def run(book: EclBook, day: date) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [expected_credit_loss], partition_key=day.isoformat(), resources=book.resources(), raise_on_error=False
    )


def bars(book: EclBook, day: date = JUNE) -> dict[str, float]:
    return {row["step"]: row["amount"] for row in figures.waterfall(book.warehouse, day)}


def with_scenarios(book: EclBook, file: Path) -> EclBook:
    return EclBook(book.settings.model_copy(update={"scenario_file": file}), book.warehouse)


def booked(book: EclBook, day: date) -> dict[str, float]:
    """Book a day as the asset does, without the cost of a run; all checks must be green."""
    book_day(book.warehouse, *stores(book.settings), day, basis_in_force(book.settings)[1])
    checks = [check(book.warehouse, day) for check in (bars_sum, cecl_covers_stage_1, stage_totals_agree)]
    assert [check.check_name for check in checks if not check.passed] == []
    return bars(book, day)


def rows(book: EclBook, day: date = JUNE) -> pa.Table:
    return book.warehouse.query(f"select * from {LOAN_ECL} where as_of = ? order by loan_id", [day])


def loan(book: EclBook, loan_id: str, day: date = JUNE) -> dict:
    (row,) = book.warehouse.query(
        f"select * from {LOAN_ECL} where as_of = ? and loan_id = ?", [day, loan_id]
    ).to_pylist()
    return dict(row)


def text(result: dg.ExecuteInProcessResult, key: dg.AssetKey) -> dict[str, object]:
    (event,) = [one for one in result.get_asset_materialization_events() if one.asset_key == key]
    return {name: value.value for name, value in event.materialization.metadata.items()}


# -------------------------------------------------------------------- loans and stages


def test_every_open_loan_is_measured_in_its_state_of_the_month_end_and_no_other_is(book: EclBook) -> None:
    booked(book, JUNE)
    found = rows(book)
    assert found.num_rows == 38
    assert not {CHARGED_OFF, REPAID} & set(found["loan_id"].to_pylist())
    stages = {name: loan(book, name)["stage"] for name in ("L00", "L04", "L05", "L06", "L07", FRESH)}
    assert stages == {"L00": 1, "L04": 2, "L05": 2, "L06": 3, "L07": 3, FRESH: 1}
    assert loan(book, "L05")["stage_reason"] == "more than 30 days past due"
    assert loan(book, "L04")["stage_reason"].startswith("lifetime PD")  # 30 days are not more than 30
    fresh = loan(book, FRESH)
    assert (float(fresh["balance"]), fresh["days_past_due"]) == (10_000.0, 0)
    # 91 days: LGD 0.55 (car) plus 1 point per point of unemployment above 5, of what is owed with 3 months' interest
    late = loan(book, "L06")
    assert late["ead"] == pytest.approx(float(late["balance"]) * 1.03, abs=0.01)
    assert late["ecl"] == pytest.approx(late["lgd"] * late["ead"], abs=0.01)
    assert late["pd_lifetime_at_origination"] is None


def test_a_day_within_the_month_is_of_the_month_end_before_it_and_mends_no_month(book: EclBook) -> None:
    booked(book, date(2026, 6, 15))
    found = rows(book, date(2026, 6, 15))
    assert {CHARGED_OFF, FRESH} < set(found["loan_id"].to_pylist())
    assert loan(book, "L03", date(2026, 6, 15))["days_past_due"] == 10


def test_a_source_without_payments_is_measured_by_its_schedule(book: EclBook) -> None:
    """12 of 36 months at 12 %: (1.01^36 - 1.01^12) / (1.01^36 - 1) of 10,000 is owed, and nobody knows who is late."""
    ecl_book.write_panel(book, months=())
    booked(book, MAY)
    row = loan(book, "L16", MAY)  # issued in May 2025
    assert float(row["balance"]) == pytest.approx(7_055.84, abs=0.01)
    assert row["days_past_due"] is None
    assert row["stage"] == 1
    assert loan(book, "L07", MAY)["stage_reason"] == "in default on record, arrears not cleared"


# -------------------------------------------------------------------- month after month


def test_the_month_before_opens_the_waterfall_as_it_was_booked(book: EclBook) -> None:
    first = booked(book, MAY)
    second = booked(book, JUNE)
    assert second["opening"] == first["closing"]
    assert second["new business"] == loan(book, FRESH)["ecl"]
    left = sum(loan(book, name, MAY)["ecl"] for name in (CHARGED_OFF, REPAID))
    assert second["derecognised"] == pytest.approx(-left, abs=0.01)
    moved = sum(loan(book, name)["ecl"] - loan(book, name, MAY)["ecl"] for name in MOVED)
    assert second["stage moves"] == pytest.approx(moved, abs=0.01)
    assert second["remeasurement"] != 0
    assert [second[bar] for bar in BARS[4:]] == [0.0] * 4
    # every bar can be followed to its loans
    by_loan = figures.movers(book.warehouse, JUNE, "stage moves", 100).to_pylist()
    assert sum(row["amount"] for row in by_loan) == pytest.approx(second["stage moves"], abs=0.01)
    assert {row["loan_id"] for row in by_loan} == set(MOVED)


def test_a_month_that_was_never_booked_is_computed_afresh(book: EclBook) -> None:
    afresh = booked(book, JUNE)
    assert afresh["data restatement"] == 0.0
    booked(book, MAY)
    assert booked(book, JUNE) == afresh


def test_booking_a_day_twice_equals_booking_it_once(book: EclBook) -> None:
    first = run(book, JUNE)
    once, before = rows(book), bars(book)
    second = run(book, JUNE)
    assert first.success
    assert all(check.passed for check in first.get_asset_check_evaluations())
    assert "computed afresh" in str(text(first, Gold.ECL_WATERFALL)["compared_with"])
    assert rows(book).equals(once)
    assert bars(book) == before
    versions = [
        {e.asset_key: e.materialization.tags["dagster/data_version"] for e in one.get_asset_materialization_events()}
        for one in (first, second)
    ]
    assert versions[0] == versions[1]
    assert len(versions[0]) == 3


def test_what_a_source_restated_shows_in_its_bar_and_in_no_other(book: EclBook) -> None:
    """Booked in May at 10 % too little. Known in time, May would have opened the bars higher, and that is all."""
    ecl_book.write_panel(book, balance_times=0.9)
    wrong = booked(book, MAY)
    ecl_book.write_panel(book)
    told_late = booked(book, JUNE)
    right = booked(book, MAY)
    told_in_time = booked(book, JUNE)

    assert told_late["opening"] == wrong["closing"]
    assert told_late["data restatement"] == pytest.approx(right["closing"] - wrong["closing"], abs=0.01)
    assert told_late["data restatement"] > 1.0
    assert told_in_time["data restatement"] == 0.0
    same = [name for name in told_late if name not in ("opening", "data restatement")]
    assert {name: told_late[name] for name in same} == {name: told_in_time[name] for name in same}


def test_a_new_model_or_scenario_shows_in_its_bar_and_in_no_other(book: EclBook, tmp_path: Path) -> None:
    booked(book, MAY)
    before = booked(book, JUNE)

    def shows(bar: str, after: dict[str, float], *, but: str = "") -> None:
        same = [name for name in after if name not in (bar, but, "closing")]
        assert after[bar] > 1.0, bar
        assert {name: after[name] for name in same} == {name: before[name] for name in same}, bar

    book.store.save("hazard", replace(HAZARD, default={**HAZARD.default, "intercept": -3.0}))
    shows("PD model", booked(book, JUNE))
    ecl_book.write_models(book)

    book.store.save("lgd", replace(LGD, mean=0.8))
    shows("LGD model", booked(book, JUNE))
    ecl_book.write_models(book)

    mild, dire = (f"Severely Adverse,2027 Q1,-4.8,0.8,0.1,0.8,{rate}" for rate in ("7.9", "12.5"))
    lines = book.settings.scenario_file.read_text()
    assert mild in lines
    (tmp_path / "new.csv").write_text(lines.replace(mild, dire))
    shows("scenario", booked(with_scenarios(book, tmp_path / "new.csv"), JUNE))

    ecl_book.write_scores(book, "c" * 64, times=1.5)
    # a loan that came in June has no PD of the old champion, so it comes with that of the new one
    shows("PD model", booked(book, JUNE), but="new business")


def test_a_day_can_be_rebuilt_with_the_models_of_then(book: EclBook) -> None:
    booked(book, JUNE)
    then = rows(book)
    book.store.save("hazard", replace(HAZARD, default={**HAZARD.default, "intercept": -3.0}))
    booked(book, JUNE)
    assert not rows(book).equals(then)
    sha = then["hazard_sha"][0].as_py()
    book.store.save("hazard", book.store.load(sha))
    booked(book, JUNE)
    assert rows(book).equals(then)


# -------------------------------------------------------------------- what can go wrong


def test_a_wrong_scenario_file_ends_the_run_with_its_line(book: EclBook, tmp_path: Path) -> None:
    text = book.settings.scenario_file.read_text().replace("Baseline,2026 Q3", "Baseline,third quarter", 1)
    (tmp_path / "wrong.csv").write_text(text)
    result = run(with_scenarios(book, tmp_path / "wrong.csv"), JUNE)
    assert not result.success
    assert "line 3, column Date" in str(result.filter_events(lambda event: event.is_step_failure))
    assert not book.warehouse.exists(LOAN_ECL) or rows(book).num_rows == 0


def test_a_missing_model_of_then_is_named(book: EclBook) -> None:
    booked(book, MAY)
    sha = rows(book, MAY)["lgd_sha"][0].as_py()
    book.store.save("lgd", replace(LGD, mean=0.8))
    (book.store.files.local / f"{sha}.json").unlink()
    with pytest.raises(NoModelError, match=f"No model {sha[:12]}"):
        booked(book, JUNE)


# -------------------------------------------------------------------- stress


def stressed(book: EclBook) -> dg.ExecuteInProcessResult:
    """All scenarios in one run, as `stress_testing` is asked for by the demo."""
    job = dg.Definitions(
        assets=[stress_ecl], jobs=[dg.define_asset_job("stress", [stress_ecl])], resources=book.resources()
    ).resolve_job_def("stress")
    tags = {"dagster/asset_partition_range_start": "baseline", "dagster/asset_partition_range_end": "severely_adverse"}
    return job.execute_in_process(tags=tags, raise_on_error=False)


def test_the_worse_the_scenario_the_more_is_lost_and_the_more_loans_are_in_stage_2(book: EclBook) -> None:
    booked(book, MAY)
    booked(book, JUNE)
    result = stressed(book)
    assert result.success
    (check,) = result.get_asset_check_evaluations()
    assert check.passed
    found = totals(book.warehouse)
    assert [row["scenario"] for row in found] == ["baseline", "adverse", "severely_adverse"]
    assert {row["as_of"] for row in found} == {JUNE}
    assert {row["loans"] for row in found} == {38}
    losses = [row["ecl"] for row in found]
    assert losses == sorted(losses)
    assert losses[0] < losses[2]
    assert found[0]["stage_2_loans"] <= found[2]["stage_2_loans"]
    # the allowance is the weighted mean of them but for loans that change their stage
    assert losses[0] < figures.total(book.warehouse, JUNE) < losses[2]
    before = book.warehouse.query("select * from gold.stress_ecl order by all")
    stressed(book)
    assert book.warehouse.query("select * from gold.stress_ecl order by all").equals(before)


def test_without_a_booked_day_a_stress_test_says_what_to_do(book: EclBook) -> None:
    result = stressed(book)
    assert not result.success
    assert "materialise gold/loan_ecl first" in str(result.filter_events(lambda event: event.is_step_failure))
