"""Tables our own sources hand over: held to their contract, row by row and as a whole."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from credit_risk_platform.adapters.landing import MACRO_SERIES, Manifest
from credit_risk_platform.adapters.sources.macro import load_macro
from credit_risk_platform.adapters.sources.synthetic import SyntheticFiles, write_portfolio
from credit_risk_platform.domain.contracts import errors
from tests.loan_files import Lake, make_lake

AS_OF = date(2026, 6, 30)


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> SyntheticFiles:
    return write_portfolio(tmp_path_factory.mktemp("book"), 300, 7, AS_OF)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return make_lake(tmp_path)


def land_macro(lake: Lake, rows: pa.Table) -> Manifest:
    landed_at = datetime(2026, 7, 1, tzinfo=UTC)
    return lake.bronze.land_table(rows, "macro", MACRO_SERIES, file="series", run_id="run", landed_at=landed_at)


def land_book(lake: Lake, book: SyntheticFiles, panel: Path | None = None) -> Manifest:
    return lake.land(book.loans_csv, "synthetic", repayments=panel or book.repayments_parquet, observed_through=AS_OF)


def test_loans_and_their_repayments_land_in_one_piece(lake: Lake, book: SyntheticFiles) -> None:
    loans = land_book(lake, book)
    panel = lake.bronze.current("synthetic", "repayments")
    assert panel is not None
    assert panel.batch == loans.batch
    assert (panel.rows_in, panel.rows_rejected) == (book.repayments, 0)
    orphans = "select count(*) as n from bronze.synthetic_repayments anti join bronze.synthetic_loans using (loan_id)"
    assert lake.warehouse.query(orphans)["n"][0].as_py() == 0
    assert land_book(lake, book).already_landed


def test_synthetic_loans_pass_the_contract_without_a_single_reject(lake: Lake, book: SyntheticFiles) -> None:
    manifest = land_book(lake, book)
    assert (manifest.rows_in, manifest.rows_rejected, manifest.unknown_columns) == (300, 0, [])


def test_a_wrong_repayment_is_set_aside_and_the_others_land(lake: Lake, book: SyntheticFiles, tmp_path: Path) -> None:
    assert book.repayments_parquet is not None
    good = pq.read_table(book.repayments_parquet)
    stray = good.slice(0, 1).set_column(0, "loan_id", pa.array(["nobody"]))
    unknown_day = good.slice(1, 1).set_column(1, "instalment_number", pa.array([900], pa.int32()))
    unknown_day = unknown_day.set_column(12, "known_at", pa.array([None], pa.timestamp("us")))
    panel = tmp_path / "panel.parquet"
    pq.write_table(pa.concat_tables([good, good.slice(0, 1), stray, unknown_day]), panel)
    land_book(lake, book, panel)
    receipt = lake.bronze.current("synthetic", "repayments")
    assert receipt is not None
    assert (receipt.rows_in, receipt.rows_landed) == (good.num_rows + 3, good.num_rows)
    assert receipt.rejects_by_reason == {"duplicate_id": 1, "required_blank": 1, "unknown_loan": 1}
    found = lake.quarantine('"row" - (select min("row") from bronze.quarantine), "column", value, reason')
    assert found == [
        (0, "instalment_number", "S000000001 1", "duplicate_id"),
        (1, "loan_id", "nobody", "unknown_loan"),
        (2, "known_at", None, "required_blank"),
    ]


def test_a_panel_that_broke_its_contract_takes_the_loans_down_with_it(
    lake: Lake, book: SyntheticFiles, tmp_path: Path
) -> None:
    """Otherwise the lake would hold a book and the repayments of another one."""
    assert book.repayments_parquet is not None
    good = pq.read_table(book.repayments_parquet)
    panel = tmp_path / "panel.parquet"
    pq.write_table(good.rename_columns(["loan" if name == "loan_id" else name for name in good.column_names]), panel)
    with pytest.raises(errors.ContractBreachError, match="column 'loan_id': synthetic_repayments misses this column"):
        land_book(lake, book, panel)
    assert lake.bronze.manifests("synthetic") == ()


def test_macro_series_land_and_unchanged_ones_land_nothing(lake: Lake) -> None:
    rows = load_macro(None)
    first, again = land_macro(lake, rows), land_macro(lake, rows)
    assert (first.rows_landed, first.rows_rejected, first.already_landed) == (rows.num_rows, 0, False)
    assert again.already_landed
    assert lake.warehouse.count("bronze.macro_series") == rows.num_rows


def test_a_later_edition_of_the_series_takes_the_place_of_the_earlier_one(lake: Lake) -> None:
    rows = load_macro(None)
    land_macro(lake, rows)
    land_macro(lake, rows.filter(pc.equal(rows["series_id"], "UNRATE")))
    found = lake.warehouse.query("select distinct series_id from bronze.macro_series")
    assert found.to_pydict() == {"series_id": ["UNRATE"]}


def test_a_series_value_published_twice_on_one_day_lands_once(lake: Lake) -> None:
    rows = load_macro(None)
    manifest = land_macro(lake, pa.concat_tables([rows, rows.slice(3, 1)]))
    assert (manifest.rows_landed, manifest.rejects_by_reason) == (rows.num_rows, {"duplicate_id": 1})


def test_a_table_without_rows_is_refused(lake: Lake) -> None:
    with pytest.raises(errors.EmptyFileError, match="macro_series has no rows"):
        land_macro(lake, load_macro(None).slice(0, 0))


def test_a_table_with_another_type_is_refused(lake: Lake) -> None:
    rows = load_macro(None)
    text = rows.set_column(2, "value", rows["value"].cast(pa.string()))
    with pytest.raises(
        errors.ContractBreachError, match="column 'value': it is VARCHAR, and macro_series promises DOUBLE"
    ):
        land_macro(lake, text)
