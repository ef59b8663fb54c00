"""Scenario paths by month ahead, and files that are refused with a sentence that says where and what to do."""

from datetime import date
from pathlib import Path

import numpy as np
import pytest

from credit_risk_platform.adapters.scenario_file import ScenarioFileError, ScenarioStore, read
from credit_risk_platform.domain.provisioning.scenarios import (
    LONG_RUN_UNEMPLOYMENT,
    WEIGHTS,
    Quarter,
    Scenario,
    ScenarioSet,
)
from credit_risk_platform.settings import Settings

PATH = Scenario("baseline", Quarter.of(2026, 2), (4.0, 5.0, 6.0, 8.1))
HEADER = "Scenario Name,Date,Real GDP growth,Unemployment rate"
FED = ("Supervisory Baseline", "Supervisory Severely Adverse")


def written(path: Path, names: tuple[str, ...] = FED, *, header: str = HEADER, more: tuple[str, ...] = ()) -> Path:
    """A table as the Federal Reserve lays it out: 13 quarters, unemployment 4.0 to 5.2, severe by 4 more."""
    lines = [
        f"{name},{2026 + (1 + k) // 4} Q{(1 + k) % 4 + 1},1.5,{4.0 + k / 10 + 4 * ('Severely' in name):.1f}"
        for name in names
        for k in range(13)
    ]
    path.write_text("\n".join([header, *lines, *more, ""]), encoding="utf-8-sig")
    return path


def test_quarters_before_the_day_are_skipped_and_the_end_reverts_to_the_long_run_mean() -> None:
    found = PATH.monthly(date(2026, 8, 31), 24)
    assert found[:7].tolist() == [5.0, 6.0, 6.0, 6.0, 8.1, 8.1, 8.1]  # Sep 2026, Q4, Q1 2027
    # from 8.1 to 5.7 in twelve steps of 0.2
    assert found[7:19] == pytest.approx(8.1 - 0.2 * np.arange(1, 13))
    assert (found[19:] == LONG_RUN_UNEMPLOYMENT).all()


def test_a_forecast_is_supportable_for_two_years_only() -> None:
    long = Scenario("baseline", Quarter.of(2026, 3), (10.0,) * 20)
    found = long.monthly(date(2026, 6, 30), 40, 24)
    assert (found[:24] == 10.0).all()
    assert found[24] == pytest.approx(10.0 - 4.3 / 12)
    assert found[35] == pytest.approx(LONG_RUN_UNEMPLOYMENT)


@pytest.mark.parametrize("day", [date(2011, 12, 31), date(2030, 1, 15), date(2027, 3, 31)])
def test_a_book_of_another_time_takes_the_path_by_quarters_ahead(day: date) -> None:
    """LendingClub's loans of 2011 meet the same shock, beginning with the next month."""
    assert not PATH.dated(day)
    assert PATH.monthly(day, 1).tolist() == [4.0]
    assert PATH.monthly(day, 12).max() == 8.1


def test_our_own_scenarios_are_three_of_rising_severity_and_weigh_one() -> None:
    given = read(Settings().scenario_file).scenarios
    assert [one.name for one in given.scenarios] == list(WEIGHTS)
    assert sum(given.weights.values()) == pytest.approx(1.0)
    assert [one.derived for one in given.scenarios] == [False] * 3
    mild, middle, severe = (one.monthly(date(2026, 6, 30), 36) for one in given.scenarios)
    assert ((mild < middle) & (middle < severe)).all()


def test_files_of_the_federal_reserve_drop_in(tmp_path: Path) -> None:
    """One file per scenario, history among them; the adverse one, which it no longer publishes, is the middle."""
    folder = tmp_path / "fed"
    folder.mkdir()
    written(folder / "2A.csv", FED[:1])
    written(folder / "3A.csv", FED[1:])
    (folder / "1A.csv").write_text(f"{HEADER}\nActual,2026 Q1,2.0,4.2\n")
    given = read(folder)
    adverse = given.scenarios.scenario("adverse")
    assert adverse.derived
    assert adverse.unemployment[:2] == pytest.approx((6.0, 6.1))
    assert given.scenarios.scenario("severely_adverse").peak == pytest.approx(9.2)
    assert given.scenarios.scenario("baseline").first == Quarter.of(2026, 2)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("Supervisory Baseline,2029 Q2,1.5,high", "line 28, column Unemployment rate: 'high' is no number"),
        ("Supervisory Baseline,2029 Q2,1.5,0.045", "line 28, column Unemployment rate: 0.045 is no rate"),
        (
            "Supervisory Baseline,2029-06-30,1.5,4.5",
            "line 28, column Date: '2029-06-30' is no quarter. Write it as 2026",
        ),
        ("Supervisory Baseline,2026 Q2,1.5,4.5", "line 28, column Date: 2026 Q2 stands there twice"),
        ("Supervisory Baseline,2030 Q1,1.5,4.5", "line 28, column Date: 2029 Q2 is followed by 2030 Q1"),
        ("Worst Ever,2029 Q2,1.5,4.5", "line 28, column Scenario Name: 'Worst Ever' is no scenario"),
        ("Supervisory Baseline,2029 Q2", "line 28, column Unemployment rate: None is no number"),
    ],
)
def test_a_wrong_line_is_named_with_its_column_and_the_next_step(tmp_path: Path, more: str, told: str) -> None:
    with pytest.raises(ScenarioFileError, match=told):
        read(written(tmp_path / "wrong.csv", more=(more,)))


def test_files_that_are_no_scenarios_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ScenarioFileError, match="line 1: no column Unemployment rate"):
        read(written(tmp_path / "columns.csv", header="Scenario Name,Date,Real GDP growth,U"))
    with pytest.raises(ScenarioFileError, match=r"no lines of the scenario severely_adverse.*into one folder"):
        read(written(tmp_path / "one.csv", FED[:1]))
    with pytest.raises(ScenarioFileError, match="set CRP_SCENARIO_FILE"):
        read(tmp_path / "absent.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ScenarioFileError, match="not UTF-8"):
        read(tmp_path / "binary.csv")


def test_scenarios_of_an_old_day_can_be_had_again_and_a_changed_copy_is_refused(tmp_path: Path) -> None:
    store, given = ScenarioStore(tmp_path), ScenarioSet((PATH,), {"baseline": 1.0})
    sha = store.save(given)
    assert store.load(store.save(given)) == given
    (tmp_path / f"{sha}.json").write_text("{}")
    with pytest.raises(ScenarioFileError, match="changed after it was stored"):
        store.load(sha)
    with pytest.raises(ScenarioFileError, match="removed or are of another home"):
        store.load("0" * 64)
