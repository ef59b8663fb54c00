"""Who is observed, and what counts as bad: worked out by hand on loans written out month by month."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from credit_risk_platform.adapters import behaviour_data
from credit_risk_platform.adapters.behaviour_data import SET
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.domain.observation import ObservationPlan
from credit_risk_platform.domain.splits import Split
from tests.behaviour_book import FEATURES, no_panel, write_lives

COPIES = 24
"""Loans with the same life: each is observed every third month, together they are observed in every month."""
SPLITLESS = ObservationPlan(1, *(np.datetime64(month, "M") for month in ("2100-01",) * 5))
"""Everything trains: what is tested here is who is in the set at all."""


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[DuckLakeWarehouse]:
    made = DuckLakeWarehouse(tmp_path / "warehouse", threads=1)
    yield made
    made.close()


def observed(warehouse: DuckLakeWarehouse, default: date | None, dpd: str = "0") -> dict[date, bool]:
    """Observation month -> label, over all copies of one life."""
    write_lives(warehouse, [(f"copy-{k}", default, dpd) for k in range(COPIES)])
    warehouse.replace_table(SET.name, behaviour_data.select_training_set(FEATURES, SPLITLESS))
    rows = warehouse.query(f"select distinct observation_month, is_bad from {SET.name} order by 1").to_pylist()
    assert len({row["observation_month"] for row in rows}) == len(rows), "one month, two labels"
    return {row["observation_month"]: row["is_bad"] for row in rows}


def test_a_default_is_bad_for_the_twelve_months_before_it_and_for_no_other(warehouse):
    labels = observed(warehouse, date(2021, 8, 15))
    # Windows end on 31 July 2021 (before the default) for the observation of July 2020, on 31 August for August's.
    assert labels[date(2020, 7, 31)] is False
    assert labels[date(2020, 8, 31)] is True
    assert labels[date(2021, 7, 31)] is True
    assert max(labels) == date(2021, 7, 31), "a loan in default is no longer observed"
    assert [month for month, bad in labels.items() if bad] == [m for m in labels if m >= date(2020, 8, 31)]


@pytest.mark.parametrize(("default", "bad"), [(date(2021, 5, 31), True), (date(2021, 6, 1), False)])
def test_the_window_ends_with_the_last_day_of_the_twelfth_month(warehouse, default, bad):
    assert observed(warehouse, default)[date(2020, 5, 31)] is bad


def test_before_the_third_month_on_book_there_is_no_behaviour_to_learn_from(warehouse):
    assert min(observed(warehouse, None)) == date(2020, 4, 30), "issued in January"


def test_an_observation_whose_year_is_not_over_is_left_out_and_not_called_good(warehouse):
    labels = observed(warehouse, None)
    assert max(labels) == date(2021, 12, 31), "observed through 2022-12-31"
    assert not any(labels.values())


def test_a_loan_in_default_is_no_observation_and_is_none_again_after_it_cured(warehouse):
    """90 days past due from May to July 2021, current again from August on."""
    labels = observed(
        warehouse, date(2021, 5, 20), "case when month_end between '2021-05-31' and '2021-07-31' then 95 else 0 end"
    )
    assert max(labels) == date(2021, 4, 30)


def test_ninety_days_past_due_at_the_observation_is_default_whatever_the_outcome_says(warehouse):
    late = observed(warehouse, None, "case when month_end = '2021-06-30' then 90 else 89 end")
    assert date(2021, 6, 30) not in late
    assert date(2021, 5, 31) in late


def test_each_loan_is_observed_every_third_month_and_the_loans_take_turns(warehouse):
    labels = observed(warehouse, None)
    assert len(labels) == 21, "April 2020 to December 2021, every month"
    months = warehouse.query(
        f"select loan_id, list(observation_month order by observation_month) as seen from {SET.name} group by 1"
    ).to_pylist()
    for loan in months:
        numbers = np.array([month.year * 12 + month.month for month in loan["seen"]])
        assert set(np.diff(numbers)) == {3}


def test_what_the_embargo_leaves_out_is_in_no_split(warehouse):
    plan = ObservationPlan(
        3, *(np.datetime64(month, "M") for month in ("2020-08", "2020-10", "2021-01", "2021-03", "2021-06"))
    )
    write_lives(warehouse, [(f"copy-{k}", None, "0") for k in range(COPIES)])
    warehouse.replace_table(SET.name, behaviour_data.select_training_set(FEATURES, plan))
    rows = warehouse.query(f"select distinct observation_month, split from {SET.name} order by 1").to_pylist()
    months = np.array([row["observation_month"] for row in rows], "datetime64[M]")
    assert [row["split"] for row in rows] == plan.assign(months).tolist()
    assert {str(month) for month in months} & {"2020-11", "2020-12", "2021-04", "2021-05"} == set()
    cards = {card.split: (str(card.first_month)[:7], str(card.last_month)[:7]) for card in SET.cards(warehouse)}
    assert cards == {
        Split.TRAIN: ("2020-04", "2020-07"),
        Split.EARLY_STOP: ("2020-08", "2020-10"),
        Split.VALIDATION: ("2021-01", "2021-03"),
        Split.OUT_OF_TIME: ("2021-06", "2021-12"),
    }


def test_labels_that_no_longer_follow_from_the_outcomes_are_counted(warehouse):
    observed(warehouse, date(2021, 8, 15))
    assert behaviour_data.wrong_labels(warehouse) == 0
    right = warehouse.count(SET.name)
    observed_later = [(f"copy-{k}", None, "0") for k in range(COPIES)]
    bad = warehouse.query(f"select count(*) as n from {SET.name} where is_bad")["n"][0].as_py()
    write_lives(warehouse, observed_later)
    assert behaviour_data.wrong_labels(warehouse) == bad
    assert 0 < bad < right


def test_a_sample_of_observations_is_exact_and_repeats_itself(warehouse):
    observed(warehouse, date(2021, 8, 15))
    samples = [SET.read(warehouse, ["dpd_current"], (Split.TRAIN,), at_most=40, seed=seed) for seed in (1, 1, 2)]
    assert [sample.num_rows for sample in samples] == [40] * 3
    assert samples[0].equals(samples[1])
    assert samples[0].column_names == ["issue_month", "is_bad", "dpd_current"]


def test_a_book_without_repayments_says_why_there_is_no_model(warehouse):
    no_panel(warehouse)
    assert behaviour_data.calendar(warehouse)[0].size == 0
    assert warehouse.replace_table(SET.name, behaviour_data.select_training_set(FEATURES, None)) == 0
    assert "no repayment histories" in behaviour_data.obstacle(warehouse, SET.cards(warehouse))
