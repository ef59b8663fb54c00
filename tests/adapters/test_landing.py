"""Landing a file: what ends up in the lake, what in quarantine, and what the receipt says."""

from __future__ import annotations

import gzip
from datetime import date
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from credit_risk_platform.adapters.landing import BronzeLake, validate_file
from credit_risk_platform.adapters.landing.stage import Resources, scratch_connection, stage_loans
from credit_risk_platform.adapters.tokens import LOAN_PREFIX, TokenKey
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.domain.contracts.loan_columns import CONTRACT_VERSION, LOAN_COLUMNS
from tests.loan_files import KEY, TODAY, Lake, line, loan, make_lake, text, write


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return make_lake(tmp_path)


def staged(folder: Path, column: str, **cells: str) -> object:
    """One value of the one row of a file, as it would land."""
    file = write(folder / "one.csv", [loan(**cells)])
    with scratch_connection(folder, Resources()) as connection:
        stage_loans(connection, file, folder, today=TODAY, key=KEY)
        return connection.execute(f"select {column} from numbered where problems = ''").fetchall()[0][0]


# ------------------------------------------------------------------------------------------------ values


@pytest.mark.parametrize(
    ("column", "spelled", "value"),
    [
        ("term", " 36 months", 36),
        ("term", "60", 60),
        ("int_rate", " 10.65%", 10.65),
        ("int_rate", "10.65", 10.65),
        ("revol_util", "83.7%", 83.7),
        ("revol_util", "", None),
        ("issue_d", "Dec-2011", date(2011, 12, 1)),
        ("issue_d", "2011-12-17", date(2011, 12, 1)),
        ("emp_length", "n/a", None),
        ("emp_length", "< 1 year", "< 1 year"),
        ("open_acc", "35.0", 35),
        ("annual_inc", "24000.5", Decimal("24000.50")),
        ("annual_inc", "", None),
        ("dti", "-1", -1.0),
        ("dti", "999", 999.0),
        ("application_date", "2011-11-29", date(2011, 11, 29)),
        ("next_pymnt_d", "Jul-2030", date(2030, 7, 1)),
        ("loan_status", "Does not meet the credit policy. Status:Fully Paid",
         "Does not meet the credit policy. Status:Fully Paid"),
    ],
)  # fmt: skip
def test_a_value_as_lenders_spell_it_becomes_a_typed_one(
    tmp_path: Path, column: str, spelled: str, value: object
) -> None:
    assert staged(tmp_path, column, **{column: spelled}) == value


def test_all_three_books_have_every_column_of_the_contract_even_before_anything_landed(lake: Lake) -> None:
    lake.bronze.ensure_views()
    contract = {column.name: column.type for column in LOAN_COLUMNS}
    for source in ("synthetic", "lending_club", "landing"):
        assert lake.warehouse.columns(f"bronze.{source}_loans") == contract
        assert lake.warehouse.count(f"bronze.{source}_loans") == 0


def test_a_row_can_be_found_again_in_its_file(lake: Lake, tmp_path: Path) -> None:
    rows = [loan(1), loan(2, desc="spans\n\nthree lines"), loan(3)]
    file = write(tmp_path / "f.csv", rows, top="A notice from the sender\n")
    manifest = lake.land(file)
    assert [(row["loan_id"], row["_row"]) for row in lake.rows("loan_id, _row")] == [("L1", 3), ("L2", 4), ("L3", 5)]
    assert {row["_batch"] for row in lake.rows("_batch")} == {manifest.batch} == {manifest.file_sha256[:12]}


def test_row_numbers_count_past_blank_and_broken_lines(lake: Lake, tmp_path: Path) -> None:
    lake.land(text(tmp_path / "f.csv", line(1), "", "junk", line(2), "more,junk", "", line(3)))
    assert [(row["loan_id"], row["_row"]) for row in lake.rows("loan_id, _row")] == [("L1", 2), ("L2", 5), ("L3", 8)]
    assert [row for row, *_ in lake.quarantine()] == [4, 6]


@pytest.mark.parametrize("ends", ["\r\n", "mixed"])
def test_line_ends_of_another_system_do_not_cost_a_row(lake: Lake, tmp_path: Path, ends: str) -> None:
    content = text(tmp_path / "f.csv", *(line(number) for number in range(1, 6))).read_text()
    changed = content.replace("\n", "\r\n") if ends == "\r\n" else content.replace("\n", "\r\n", 3)
    (tmp_path / "f.csv").write_bytes(changed.encode())
    assert lake.land(tmp_path / "f.csv").rows_landed == 5


def test_a_gzipped_file_lands_like_a_plain_one(lake: Lake, tmp_path: Path) -> None:
    plain = write(tmp_path / "f.csv", [loan(1)])
    packed = tmp_path / "f.csv.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert lake.land(packed).rows_landed == 1
    assert not list(lake.root.rglob("unpacked.csv")), "the unpacked text holds names; it must not stay"


# ------------------------------------------------------------------------------------------------ identity


def test_a_loan_without_an_id_keeps_its_made_one_whatever_becomes_of_it(lake: Lake, tmp_path: Path) -> None:
    lake.land(write(tmp_path / "a.csv", [loan(id="", loan_status="Current", out_prncp="4000")]))
    lake.land(write(tmp_path / "b.csv", [loan(id="", loan_status="Charged Off", out_prncp="0", loan_amnt="5000.0")]))
    (row,) = lake.rows("loan_id, loan_status")
    assert row["loan_id"].startswith("made-")
    assert row["loan_status"] == "Charged Off"


def test_two_equal_applications_without_ids_are_two_loans(lake: Lake, tmp_path: Path) -> None:
    manifest = lake.land(write(tmp_path / "f.csv", [loan(id="")] * 3))
    ids = [row["loan_id"] for row in lake.rows("loan_id")]
    assert manifest.rows_landed == 3
    assert ids == [ids[0], f"{ids[0]}-2", f"{ids[0]}-3"]


def test_the_same_person_has_one_token_and_nobody_s_id_is_written(lake: Lake, tmp_path: Path) -> None:
    people = ["Ada Lovelace", "Ada Lovelace", ""]
    rows = [loan(number, customer_id=name, emp_title="Countess") for number, name in enumerate(people, 1)]
    lake.land(write(tmp_path / "f.csv", rows))
    tokens = [row["subject_token"] for row in lake.rows("subject_token")]
    assert tokens == [KEY.token("Ada Lovelace")] * 2 + [KEY.token(f"{LOAN_PREFIX}L3")]
    held = b"".join(lake.files().values())
    assert b"Lovelace" not in held
    assert b"Countess" not in held


# ------------------------------------------------------------------------------------------------ receipts


def test_the_receipt_tells_rows_contract_and_what_was_new(lake: Lake, tmp_path: Path) -> None:
    rows = [
        loan(1, shoe_size="44"),
        loan(2, shoe_size="38", term="soon"),
        loan(3, shoe_size="41", term="later", dti="-5"),
    ]
    manifest = lake.land(write(tmp_path / "f.csv", rows), run_id="run-7")
    assert (manifest.rows_in, manifest.rows_landed, manifest.rows_rejected) == (3, 1, 2)
    assert manifest.rejects_by_reason == {"unparsable": 2, "out_of_range": 1}
    assert manifest.unknown_columns == ["shoe_size"]
    assert manifest.minor_bump
    (receipt,) = lake.warehouse.query("select * from bronze.landings").to_pylist()
    assert receipt["dataset"] == "landing_loans"
    assert receipt["contract_version"] == CONTRACT_VERSION
    assert receipt["run_id"] == "run-7"
    assert "shoe_size" not in lake.warehouse.columns("bronze.landing_loans")


def test_bronze_files_are_zstd_parquet(lake: Lake, tmp_path: Path) -> None:
    lake.land(write(tmp_path / "f.csv", [loan(1)]))
    (file,) = [
        file for file in lake.root.rglob("loans.parquet") if "batch=0000" not in str(file) and "landing" in str(file)
    ]
    assert pq.ParquetFile(file).metadata.row_group(0).column(0).compression == "ZSTD"


def test_the_last_day_a_file_knows_of_is_its_last_outcome(lake: Lake, tmp_path: Path) -> None:
    rows = [loan(1, last_pymnt_d="Jan-2015", last_credit_pull_d="Oct-2017"), loan(2, last_pymnt_d="Mar-2016")]
    assert lake.land(write(tmp_path / "f.csv", rows)).observed_through == "2017-10-01"
    assert {row["_observed_through"] for row in lake.rows("_observed_through")} == {date(2017, 10, 1)}


def test_without_outcome_dates_a_file_knows_no_more_than_its_last_issue_month(lake: Lake, tmp_path: Path) -> None:
    """Otherwise loans of unknown fate would count as seen to the end."""
    assert lake.land(write(tmp_path / "f.csv", [loan(1)])).observed_through == "2011-12-01"


# ------------------------------------------------------------------------------------------------ again and anew


def test_the_same_file_again_lands_nothing(lake: Lake, tmp_path: Path) -> None:
    file = write(tmp_path / "f.csv", [loan(1)])
    first = lake.land(file)
    before = lake.files()
    again = lake.land(file, run_id="another run")
    assert again.already_landed
    assert not first.already_landed
    assert again.run_id == "run"
    assert lake.files() == before


def test_a_later_file_restates_the_loans_it_shares_with_earlier_ones(lake: Lake, tmp_path: Path) -> None:
    lake.land(write(tmp_path / "a.csv", [loan(1), loan(2)]))
    second = lake.land(write(tmp_path / "b.csv", [loan(2, loan_status="Charged Off"), loan(3)]))
    third = lake.land(write(tmp_path / "c.csv", [loan(2, loan_status="Fully Paid", dti="1.5")]))
    assert (second.superseded_rows, third.superseded_rows) == (1, 1)
    found = {row["loan_id"]: (row["loan_status"], row["dti"]) for row in lake.rows("loan_id, loan_status, dti")}
    assert found == {"L1": ("Fully Paid", 27.65), "L2": ("Fully Paid", 1.5), "L3": ("Fully Paid", 27.65)}


def test_for_a_whole_book_the_last_file_is_the_book_even_one_that_comes_back(lake: Lake, tmp_path: Path) -> None:
    small, large = write(tmp_path / "a.csv", [loan(1)]), write(tmp_path / "b.csv", [loan(1), loan(2)])
    for file, rows in ((small, 1), (large, 2), (small, 1)):
        lake.land(file, "lending_club")
        assert lake.warehouse.count("bronze.lending_club_loans") == rows
    assert lake.land(small, "lending_club").already_landed


def test_a_file_is_read_anew_under_another_token_key(lake: Lake, tmp_path: Path) -> None:
    """Otherwise one person would have two tokens, depending on when the loan landed."""
    file = write(tmp_path / "f.csv", [loan(1, customer_id="C1")])
    lake.land(file)
    rekeyed = make_lake(tmp_path, TokenKey(b"the key of the next year........"))
    assert not rekeyed.land(file).already_landed
    (row,) = rekeyed.rows("subject_token")
    assert row["subject_token"] == rekeyed.bronze.token_key.token("C1")


def test_a_file_read_anew_does_not_restate_what_came_after_it(lake: Lake, tmp_path: Path) -> None:
    first = write(tmp_path / "a.csv", [loan(1, loan_status="Current")])
    lake.land(first)
    lake.land(write(tmp_path / "b.csv", [loan(1, loan_status="Charged Off")]))
    rekeyed = make_lake(tmp_path, TokenKey(b"the key of the next year........"))
    rekeyed.land(first)
    assert [row["loan_status"] for row in rekeyed.rows("loan_status")] == ["Charged Off"]


def test_a_home_that_moved_is_found_again(lake: Lake, tmp_path: Path) -> None:
    """Views hold paths: the next landing, or a mere look, sets them right."""
    lake.land(write(tmp_path / "f.csv", [loan(1)]))
    lake.root.rename(tmp_path / "elsewhere")
    BronzeLake(tmp_path / "elsewhere", lake.warehouse, KEY).ensure_views()
    assert lake.warehouse.count("bronze.landing_loans") == 1


def test_a_new_warehouse_over_an_old_lake_gets_its_views_back(lake: Lake, tmp_path: Path) -> None:
    lake.land(write(tmp_path / "f.csv", [loan(1)]))
    fresh = DuckLakeWarehouse(tmp_path / "fresh")
    BronzeLake(lake.root, fresh, KEY).ensure_views()
    assert fresh.count("bronze.landing_loans") == 1


def test_an_unknown_source_is_an_error_that_lists_the_known_ones(lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="synthetic, lending_club, landing, macro"):
        lake.land(write(tmp_path / "f.csv", [loan(1)]), "nowhere")


# ------------------------------------------------------------------------------------------------ validate


def test_validating_tells_what_landing_would_do_and_lands_nothing(tmp_path: Path) -> None:
    report = validate_file(write(tmp_path / "f.csv", [loan(1), loan(2, dti="-5")]), today=TODAY)
    assert (report.counts.rows_in, report.counts.rows_landed, report.counts.rows_rejected) == (2, 1, 1)
    (reject,) = report.rejects.to_pylist()
    assert (reject["row"], reject["column"], reject["value"], reject["reason"]) == (3, "dti", "-5", "out_of_range")
    assert [file.name for file in tmp_path.iterdir()] == ["f.csv"]
