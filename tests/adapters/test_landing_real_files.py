"""The published LendingClub files, with every quirk they have."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.loan_files import Lake, make_lake

LOAN_STATS = "LoanStats3a_rawstyle.csv.gz"


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return make_lake(tmp_path_factory.mktemp("real"))


def test_loan_stats_lands_every_loan_and_counts_every_other_line(lake: Lake, datasets: Path) -> None:
    manifest = lake.land(datasets / "lendingclub" / LOAN_STATS, "lending_club")
    assert (manifest.rows_in, manifest.rows_landed, manifest.rows_rejected) == (42_538, 42_535, 3)
    assert manifest.rejects_by_reason == {"junk_line": 3}
    lines = [row for (row,) in lake.quarantine("raw_line")]
    assert lines[0] == "Loans that do not meet the credit policy"
    assert all("Total amount funded in policy code" in line for line in lines[1:])
    assert manifest.observed_through == "2017-11-01"


def test_loan_stats_values_survive_the_landing(lake: Lake, datasets: Path) -> None:
    """Figures of the data set's own README."""
    lake.land(datasets / "lendingclub" / LOAN_STATS, "lending_club")
    (found,) = lake.warehouse.query(
        "select count(distinct loan_id) as ids, count(distinct subject_token) as tokens, min(_row) as first_row, "
        "count(*) filter (loan_status not like 'Does not%') as compliant, "
        "count(*) filter (loan_status = 'Charged Off') as bad, count(*) filter (fico_range_low is not null) as fico, "
        "count(*) filter (earliest_cr_line is null) as no_history, count(*) filter (annual_inc is null) as no_income, "
        "min(year(issue_d)) filter (term = 60) as first_long, min(issue_d)::varchar as first, "
        "max(issue_d)::varchar as last "
        "from bronze.lending_club_loans"
    ).to_pylist()
    assert found == {
        "ids": 42_535, "tokens": 42_535, "first_row": 3, "compliant": 39_786, "bad": 5_670, "fico": 0, "no_history": 29,
        "no_income": 4, "first_long": 2010, "first": "2007-06-01", "last": "2011-12-01",
    }  # fmt: skip


def test_the_later_layout_lands_whole(lake: Lake, datasets: Path) -> None:
    file = datasets / "lendingclub" / "lc_accepted_2007_2018Q4_sample2000.csv.gz"
    manifest = lake.land(file, "landing")
    assert (manifest.rows_in, manifest.rows_landed, manifest.rows_rejected) == (2_000, 2_000, 0)
    (found,) = lake.warehouse.query(
        "select count(*) filter (loan_status = 'Charged Off') as bad, min(fico_range_low) as fico, "
        "count(*) filter (hardship_type is not null) as hardship from bronze.landing_loans"
    ).to_pylist()
    assert found == {"bad": 241, "fico": 660, "hardship": 5}


def test_the_snippet_with_junk_in_it_lands_seven_and_rejects_two(lake: Lake, datasets: Path) -> None:
    manifest = lake.land(datasets / "lendingclub" / "lc_accepted_junk_rows_snippet.csv", "landing")
    assert (manifest.rows_landed, manifest.rows_rejected) == (7, 2)
    assert manifest.rejects_by_reason == {"junk_line": 2}
