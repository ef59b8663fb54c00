"""Query results as CSV files for spreadsheets: streamed, replaced whole, and harmless to open.

A cell of text that begins with = + - @, tab or carriage return is a formula to a spreadsheet, whoever typed it into an
application. It gets a leading apostrophe (OWASP, CSV injection). Numbers and dates stay as they are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from credit_risk_platform.adapters.atomic_file import replacing
from credit_risk_platform.adapters.warehouse.base import Readable

FORMULA = r"^[=+\-@\t\r]"
BATCH_ROWS = 250_000


@dataclass(frozen=True)
class Written:
    """One file as it stands on disk."""

    file: Path
    rows: int
    size: int
    sha256: str


def export(warehouse: Readable, sql: str, target: Path, params: Sequence[Any] = ()) -> Written:
    """Write a query's rows to `target` with a header line, in bounded memory; the old file stays until the end.

    The bytes depend on the rows and their order alone: give the query an `order by`. Nulls are empty cells, texts stand
    in quotes, dates are ISO 8601.
    """
    schema = warehouse.query(f"select * from ({sql}) as shape limit 0", params).schema
    rows = 0
    with replacing(target) as file, warehouse.stream(sql, params, BATCH_ROWS) as batches:
        counted = _Counted(file)
        with csv.CSVWriter(pa.PythonFile(counted, mode="w"), schema) as writer:
            for batch in batches:
                writer.write_batch(_harmless(batch))
                rows += batch.num_rows
    return Written(target, rows, counted.size, counted.digest.hexdigest())


def _harmless(batch: pa.RecordBatch) -> pa.RecordBatch:
    columns = [_without_formulas(column) if _is_text(column.type) else column for column in batch.columns]
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _without_formulas(texts: pa.Array) -> pa.Array:
    quoted = pc.binary_join_element_wise(pa.scalar("'", texts.type), texts, pa.scalar("", texts.type))
    return pc.if_else(pc.match_substring_regex(texts, FORMULA), quoted, texts)


class _Counted:
    """A file that hashes and counts what passes through."""

    closed = False

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.size = 0
        self.digest = hashlib.sha256()

    def write(self, data: Any) -> int:
        piece = bytes(data)
        self.digest.update(piece)
        self.size += len(piece)
        return self.file.write(piece)

    def flush(self) -> None:
        self.file.flush()

    def close(self) -> None:
        """The file belongs to `replacing`, which still has to make it durable."""
