"""Writes the synthetic portfolio as the files a lender would hand over, and samples loan files.

Belongs here: files, hashes, atomic replacement. Does not: what is in them (`domain.synthetic`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from credit_risk_platform.domain.synthetic.layout import REPAYMENT_SCHEMA
from credit_risk_platform.domain.synthetic.portfolio import portfolio
from credit_risk_platform.domain.synthetic.sampling import stratified_rows

if TYPE_CHECKING:
    from pyarrow.dataset import Dataset

LOANS_FILE = "loan_portfolio_data.csv"
REPAYMENTS_FILE = "repayments.parquet"


class SampleError(ValueError):
    """A file that cannot be sampled; names the file, the column and what to do."""


@dataclass(frozen=True)
class SyntheticFiles:
    """What one call wrote."""

    loans_csv: Path
    repayments_parquet: Path | None
    sha256s: dict[str, str]
    """File name -> SHA-256: the data version, since the same seed gives the same bytes."""
    loans: int
    repayments: int


def write_portfolio(
    folder: Path, loans: int, seed: int, as_of: date, *, with_repayments: bool = True
) -> SyntheticFiles:
    """Write `loan_portfolio_data.csv` and `repayments.parquet` into `folder`, replacing what is there.

    Same arguments, same bytes. Memory stays bounded whatever `loans`; a failed call leaves earlier files as they were.

    Args:
        folder: made if absent.
        loans: rows of the loan file, at least 1.
        seed: non-negative.
        as_of: last day the book knows of, 2018-01-31 or later.
        with_repayments: also write the panel, some 20 rows per loan; False removes an earlier book's panel.

    Raises:
        ValueError: arguments outside these ranges.
    """
    blocks = portfolio(loans, seed, as_of, with_repayments=with_repayments)
    folder.mkdir(parents=True, exist_ok=True)
    loans_csv, panel = folder / LOANS_FILE, folder / REPAYMENTS_FILE
    rows = 0
    with ExitStack() as stack:
        loan_writer: pacsv.CSVWriter | None = None
        panel_writer = stack.enter_context(_parquet_writer(panel)) if with_repayments else None
        loan_part = stack.enter_context(_replacing(loans_csv))
        for block in blocks:
            if loan_writer is None:
                loan_writer = stack.enter_context(_csv_writer(loan_part, block.loans.schema))
            loan_writer.write_table(block.loans)
            if panel_writer is not None and block.repayments is not None:
                panel_writer.write_table(block.repayments, row_group_size=block.repayments.num_rows or None)
                rows += block.repayments.num_rows
    if not with_repayments:
        panel.unlink(missing_ok=True)
    written = [loans_csv, panel] if with_repayments else [loans_csv]
    hashes = {path.name: _sha256(path) for path in written}
    return SyntheticFiles(loans_csv, panel if with_repayments else None, hashes, loans, rows)


def sample(source: Path, rows: int, seed: int) -> pa.Table:
    """A seeded sample of a loan file, stratified by vintage and outcome; the same loans on every call.

    Args:
        source: a landed Parquet file (`loan_id`) or a CSV with a header (`id`); CSV values stay the text they are.
        rows: sample size; a smaller file comes back whole.
        seed: non-negative.

    Raises:
        SampleError: the file lacks its id, `issue_d` or `loan_status`.
        ValueError: fewer than one row asked for.
    """
    data = _dataset(source)
    id_column = next((name for name in ("loan_id", "id") if name in data.schema.names), "id")
    wanted = [id_column, "issue_d", "loan_status"]
    for name in wanted:
        if name not in data.schema.names:
            raise SampleError(f"{source.name}: no column {name!r}. Sample a loan file with {', '.join(wanted)}.")
    strata = data.to_table(columns=wanted)
    ids, vintages, outcomes = (strata[name] for name in wanted)
    return data.take(pa.array(stratified_rows(ids, vintages, outcomes, rows, seed)))


def write_sample(source: Path, target: Path, rows: int, seed: int) -> str:
    """Write `sample(source, rows, seed)` to `target` (.csv or .parquet) and return the file's SHA-256."""
    picked = sample(source, rows, seed)
    target.parent.mkdir(parents=True, exist_ok=True)
    with _replacing(target) as part:
        if target.suffix == ".csv":
            pacsv.write_csv(picked, part)
        else:
            pq.write_table(picked, part, compression="zstd")
    return _sha256(target)


def _dataset(source: Path) -> Dataset:
    import pyarrow.dataset as ds  # brings pandas with it

    if source.suffix == ".parquet":
        return ds.dataset(source, format="parquet")
    blanks = pacsv.ConvertOptions(null_values=[""], strings_can_be_null=True)
    layout = ds.CsvFileFormat(convert_options=blanks)
    names = ds.dataset(source, format=layout).schema.names
    return ds.dataset(source, format=layout, schema=pa.schema([(name, pa.string()) for name in names]))


def _csv_writer(part: Path, schema: pa.Schema) -> pacsv.CSVWriter:
    # The generator's words hold no comma and no quote; pyarrow refuses the file should one ever do.
    return pacsv.CSVWriter(part, schema, write_options=pacsv.WriteOptions(quoting_style="none"))


@contextmanager
def _parquet_writer(target: Path) -> Iterator[pq.ParquetWriter]:
    with (
        _replacing(target) as part,
        # Whole numbers pack and read faster than sixteen-byte decimals; the column stays DECIMAL(18,2).
        pq.ParquetWriter(part, REPAYMENT_SCHEMA, compression="zstd", store_decimal_as_integer=True) as writer,
    ):
        yield writer


@contextmanager
def _replacing(target: Path) -> Iterator[Path]:
    """A path to write to, which takes `target`'s place only if the block succeeds."""
    part = target.with_name(f".{target.name}.part")
    try:
        yield part
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
