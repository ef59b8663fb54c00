"""Drift that happened: LendingClub's applicants of 2011 beside those of 2007 to 2010, as the file was published."""

from __future__ import annotations

from math import log
from pathlib import Path

import pyarrow as pa
import pytest

from credit_risk_platform.adapters.evidently_reports import Comparison, compare
from credit_risk_platform.domain.drift import Bins, Verdict
from tests.loan_files import make_lake

FEATURES = {
    "loan_amnt": "loan_amnt", "term": "term", "annual_inc": "annual_inc", "dti": "dti", "emp_length": "emp_length",
    "home_ownership": "home_ownership", "verification_status": "verification_status", "purpose": "purpose",
    "delinq_2yrs": "delinq_2yrs", "inq_last_6mths": "inq_last_6mths", "open_acc": "open_acc", "pub_rec": "pub_rec",
    "revol_bal": "revol_bal", "revol_util": "revol_util", "total_acc": "total_acc",
    "loan_to_income": "loan_amnt / nullif(annual_inc, 0)",
    "credit_history_months": "datediff('month', earliest_cr_line, issue_d)",
}  # fmt: skip
CATEGORIES = {"emp_length", "home_ownership", "verification_status", "purpose"}
NUMBERS = [name for name in FEATURES if name not in CATEGORIES]


@pytest.fixture(scope="module")
def applicants(tmp_path_factory: pytest.TempPathFactory, datasets: Path) -> pa.Table:
    """Landed by the platform; `year` and the features, in an order that has nothing to do with time."""
    lake = make_lake(tmp_path_factory.mktemp("real"))
    lake.land(datasets / "lendingclub" / "LoanStats3a_rawstyle.csv.gz", "lending_club")
    columns = ", ".join(
        f"cast({sql} as {'varchar' if name in CATEGORIES else 'double'}) as {name}" for name, sql in FEATURES.items()
    )
    return lake.warehouse.query(
        f"select year(issue_d) as year, {columns} from bronze.lending_club_loans order by md5(loan_id), loan_id"
    )


def years(table: pa.Table, first: int, last: int) -> pa.Table:
    kept = [first <= year <= last for year in table["year"].to_pylist()]
    return table.filter(pa.array(kept)).drop_columns("year")


def by_fixed_bins(reference: pa.Table, current: pa.Table) -> dict[str, Verdict]:
    """The verdicts of the PSI that the warehouse computes."""
    bins = {name: Bins.fit(name, reference[name]) for name in reference.column_names}
    return {name: one.compare(one.count(current[name])).verdict for name, one in bins.items()}


def long(table: pa.Table) -> float:
    """Share of loans over 60 months."""
    return sum(term == 60 for term in table["term"].to_pylist()) / table.num_rows


def psi_of_two(before: float, now: float) -> float:
    return (now - before) * log(now / before) + (before - now) * log((1 - now) / (1 - before))


def told(found: Comparison, title: str) -> None:
    """The table, for whoever runs this with -s."""
    print(f"\n{title}: {found.drifted_share:.1%} of the features drifted")
    for one in found.columns:
        print(f"  {one.name:<24}{one.psi:>9.4f}  {'drifted' if one.drifted else ''}")


def test_what_lending_club_changed_in_2011_is_found(applicants: pa.Table) -> None:
    reference, current = years(applicants, 2007, 2010), years(applicants, 2011, 2011)
    assert (reference.num_rows, current.num_rows) == (20_814, 21_721)
    found = compare(reference, current, NUMBERS, ["2011 against 2007 to 2010"])
    told(found, "2011 against 2007 to 2010")
    psis = {one.name: one.psi for one in found.columns}
    assert {name: psis[name] for name in found.drifted} == {
        "verification_status": pytest.approx(0.2761, abs=1e-4),  # incomes came to be checked
        "inq_last_6mths": pytest.approx(0.2229, abs=1e-4),
        "term": pytest.approx(0.1930, abs=1e-4),  # 60 months, offered since 2010
        "purpose": pytest.approx(0.1324, abs=1e-4),
    }
    assert psis["term"] == pytest.approx(psi_of_two(long(reference), long(current)), abs=1e-5)
    fixed = by_fixed_bins(reference, current)
    assert {name for name, verdict in fixed.items() if verdict is not Verdict.STABLE} == set(found.drifted)


def test_a_shuffled_sample_of_the_same_years_stays_green(applicants: pa.Table) -> None:
    same = years(applicants, 2007, 2010)
    half = same.num_rows // 2
    found = compare(same.slice(0, half), same.slice(half), NUMBERS, ["One half of 2007 to 2010 against the other"])
    told(found, "2007-2010, one half against the other")
    assert found.drifted == ()
    assert max(one.psi or 0 for one in found.columns) < 0.01
    assert set(by_fixed_bins(same.slice(0, half), same.slice(half)).values()) == {Verdict.STABLE}
