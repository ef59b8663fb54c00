"""The files of the synthetic book: the same bytes on any run, readable by any engine, never half written."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections import Counter
from datetime import date
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from credit_risk_platform.adapters.sources import synthetic
from credit_risk_platform.adapters.sources.synthetic import SampleError, sample, write_portfolio, write_sample
from credit_risk_platform.domain.contracts import loan_columns
from credit_risk_platform.settings import PROJECT_ROOT

AS_OF = date(2026, 6, 30)
TRACKED_SAMPLE = PROJECT_ROOT / "data" / "sample" / "loan_portfolio_sample.csv"


def read_text(path: Path) -> pa.Table:
    """Every cell as the text it is."""
    header = path.read_text().split("\n", 1)[0].replace('"', "").split(",")
    options = pacsv.ConvertOptions(
        column_types=dict.fromkeys(header, pa.string()), null_values=[""], strings_can_be_null=True
    )
    return pacsv.read_csv(path, convert_options=options)


def test_two_processes_write_the_same_bytes(tmp_path: Path) -> None:
    here = write_portfolio(tmp_path / "here", 3_000, 11, AS_OF)
    program = (
        "import sys; from datetime import date; from pathlib import Path;"
        "from credit_risk_platform.adapters.sources.synthetic import write_portfolio;"
        "print(sorted(write_portfolio(Path(sys.argv[1]), 3_000, 11, date(2026, 6, 30)).sha256s.items()))"
    )
    there = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "there")],
        env={**os.environ, "PYTHONHASHSEED": "123", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert there.stdout.strip() == str(sorted(here.sha256s.items()))
    assert here.loans_csv.read_bytes() == (tmp_path / "there" / here.loans_csv.name).read_bytes()


def test_another_seed_is_another_data_version(tmp_path: Path) -> None:
    first, second = (write_portfolio(tmp_path / str(seed), 50, seed, AS_OF) for seed in (1, 2))
    assert all(first.sha256s[name] != second.sha256s[name] for name in first.sha256s)


def test_the_reported_facts_are_those_of_the_files(tmp_path: Path) -> None:
    made = write_portfolio(tmp_path, 2_500, 5, AS_OF)
    assert made.repayments_parquet is not None
    for path in (made.loans_csv, made.repayments_parquet):
        assert made.sha256s[path.name] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert made.loans_csv.read_text().count("\n") == made.loans + 1 == 2_501
    assert pq.ParquetFile(made.repayments_parquet).metadata.num_rows == made.repayments > 30_000


def test_cells_are_spelled_as_lendingclub_spells_them(tmp_path: Path) -> None:
    loans = read_text(write_portfolio(tmp_path, 4_000, 5, AS_OF, with_repayments=False).loans_csv)
    shapes = {
        "term": r"^ (12|24|36) months$",
        "int_rate": r"^\d{1,2}\.\d\d%$",
        "revol_util": r"^\d{1,3}\.\d%$",
        "issue_d": r"^[A-Z][a-z]{2}-20\d\d$",
        "earliest_cr_line": r"^[A-Z][a-z]{2}-(19|20)\d\d$",
        "emp_length": r"^(< 1 year|1 year|[2-9] years|10\+ years|n/a)$",
        "installment": r"^\d+\.\d\d$",
        "loan_amnt": r"^\d+$",
        "delinq_2yrs": r"^\d+$",
        "application_date": r"^20\d\d-\d\d-\d\d$",
        "dti": r"^\d+(\.\d{1,2})?$",
    }
    connection = duckdb.connect()
    connection.register("loans", loans)
    for column, shape in shapes.items():
        odd = connection.execute(f"select {column} from loans where not regexp_matches({column}, '{shape}')").fetchall()
        assert odd == [], column
    assert loans["emp_length"].null_count == 0
    assert len(set(loans["emp_length"].to_pylist())) == 12


def test_the_loan_contract_knows_every_header_and_misses_none_it_requires(tmp_path: Path) -> None:
    header = set(read_text(write_portfolio(tmp_path, 10, 5, AS_OF).loans_csv).column_names)
    assert header <= {column.name for column in loan_columns.INPUT}
    assert {column.name for column in loan_columns.INPUT if column.required} <= header
    assert {column.name for column in loan_columns.EXTRAS} <= header


def test_an_analysts_engine_reads_the_panel_as_dates_and_exact_money(tmp_path: Path) -> None:
    path = write_portfolio(tmp_path, 500, 5, AS_OF).repayments_parquet
    types = dict(duckdb.sql(f"select column_name, column_type from (describe from '{path}')").fetchall())
    money = {name for name, kind in types.items() if kind == "DECIMAL(18,2)"}
    assert len(money) == 8
    assert {name: types[name] for name in types.keys() - money} == {
        "loan_id": "VARCHAR",
        "instalment_number": "INTEGER",
        "due_date": "DATE",
        "paid_date": "DATE",
        "known_at": "TIMESTAMP",
    }


def test_every_panel_row_belongs_to_a_loan_of_the_file(tmp_path: Path) -> None:
    made = write_portfolio(tmp_path, 500, 5, AS_OF)
    loans = set(read_text(made.loans_csv)["id"].to_pylist())
    assert set(pq.read_table(made.repayments_parquet, columns=["loan_id"])["loan_id"].to_pylist()) <= loans


def test_a_book_without_panel_leaves_no_panel_of_another_book_behind(tmp_path: Path) -> None:
    before = write_portfolio(tmp_path, 40, 1, AS_OF)
    after = write_portfolio(tmp_path, 40, 2, AS_OF, with_repayments=False)
    assert before.repayments_parquet is not None
    assert not before.repayments_parquet.exists()
    assert after.repayments_parquet is None
    assert [path.name for path in tmp_path.iterdir()] == ["loan_portfolio_data.csv"]


def test_a_full_disk_half_way_leaves_the_earlier_book_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = write_portfolio(tmp_path, 40, 1, AS_OF)
    content = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(synthetic.pq.ParquetWriter, "write_table", full)
    with pytest.raises(OSError, match="No space left"):
        write_portfolio(tmp_path, 40, 2, AS_OF)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == content
    assert set(content) == set(before.sha256s)


def test_an_impossible_order_touches_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one loan"):
        write_portfolio(tmp_path / "new", 0, 1, AS_OF)
    assert not (tmp_path / "new").exists()


# ------------------------------------------------------------------------------------------------------- samples


@pytest.fixture(scope="module")
def landed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A loan file as landing leaves it: `loan_id`, real dates, Parquet."""
    folder = tmp_path_factory.mktemp("landed")
    source = write_portfolio(folder, 20_000, 3, AS_OF, with_repayments=False).loans_csv
    target = folder / "loans.parquet"
    duckdb.sql(f"""
        select id as loan_id, cast(strptime(issue_d, '%b-%Y') as date) as issue_d, loan_status, loan_amnt
        from read_csv('{source}', all_varchar = true)
    """).write_parquet(str(target))
    return target


def test_two_runs_sample_the_same_loans(landed: Path) -> None:
    first, second = sample(landed, 2_000, 7), sample(landed, 2_000, 7)
    assert first.equals(second)
    assert len(set(first["loan_id"].to_pylist())) == 2_000
    assert set(first["loan_id"].to_pylist()) != set(sample(landed, 2_000, 8)["loan_id"].to_pylist())


@pytest.mark.parametrize("column", ["issue_d", "loan_status"])
def test_a_sample_has_the_vintages_and_outcomes_of_the_whole_within_one_point(landed: Path, column: str) -> None:
    whole, part = (
        Counter(pq.read_table(landed)[column].to_pylist()),
        Counter(sample(landed, 2_000, 7)[column].to_pylist()),
    )
    assert max(abs(whole[value] / 20_000 - part[value] / 2_000) for value in whole) < 0.01


def test_a_sampled_csv_keeps_each_cell_as_it_was(tmp_path: Path) -> None:
    source = write_portfolio(tmp_path, 3_000, 3, AS_OF, with_repayments=False).loans_csv
    digest = write_sample(source, tmp_path / "out" / "sample.csv", 100, 7)
    target = tmp_path / "out" / "sample.csv"
    assert digest == hashlib.sha256(target.read_bytes()).hexdigest()
    assert write_sample(source, target, 100, 7) == digest
    whole, part = read_text(source), read_text(target)
    picked = set(part["id"].to_pylist())
    expected = whole.filter(pa.array([loan in picked for loan in whole["id"].to_pylist()]))
    assert part.equals(expected.combine_chunks())


def test_a_sample_of_a_landed_file_keeps_its_types(landed: Path, tmp_path: Path) -> None:
    write_sample(landed, tmp_path / "sample.parquet", 50, 7)
    assert pq.read_schema(tmp_path / "sample.parquet").equals(pq.read_schema(landed))


def test_sampling_a_file_of_something_else_names_the_missing_column(tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("id,issue_d,amount\n1,Jan-2020,5\n")
    with pytest.raises(SampleError, match=r"other\.csv: no column 'loan_status'"):
        sample(tmp_path / "other.csv", 1, 7)


def test_the_tracked_sample_is_a_sample_of_todays_generator(tmp_path: Path) -> None:
    """If this fails the generator changed: regenerate the sample as data/README.md says."""
    book = read_text(write_portfolio(tmp_path, 50_000, 7, AS_OF, with_repayments=False).loans_csv)
    tracked = read_text(TRACKED_SAMPLE)
    assert tracked.num_rows == 1_000
    assert TRACKED_SAMPLE.stat().st_size < 500_000
    picked = book.join(tracked.select(["id"]), keys="id", join_type="inner").sort_by("id")
    # Application cells, not all: the last bit of an exponential may differ between processors and move a payment.
    for column in ("customer_id", "loan_amnt", "issue_d", "fico_range_low", "purpose"):
        same = sum(a == b for a, b in zip(picked[column].to_pylist(), tracked[column].to_pylist(), strict=True))
        assert same >= 995, column
    assert tracked.column_names == book.column_names
