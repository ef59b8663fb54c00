"""One loan file between delivery and lake: parsed, judged, counted, not yet written anywhere that counts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from credit_risk_platform.adapters.landing import sql
from credit_risk_platform.adapters.landing.rejects import collect_broken_lines, collect_rejects, number_rows
from credit_risk_platform.adapters.landing.source import LoanFile, open_loan_file
from credit_risk_platform.adapters.tokens import TokenKey
from credit_risk_platform.domain.contracts.column import Column
from credit_risk_platform.domain.contracts.errors import NothingUsableError, ReconciliationError, ScaleError

FEW, SOME = 3, 10
"""Values needed before all of them, or half of them, say something about a column's scale."""
SCALE_SAMPLE = 100_000
OUTCOME_DATES = ("last_credit_pull_d", "last_pymnt_d", "closed_date", "default_date")
PARQUET = "(format parquet, compression zstd)"


@dataclass(frozen=True)
class Resources:
    """What a landing may use of the machine."""

    memory_limit: str = "4GB"
    threads: int | None = None


@contextmanager
def scratch_connection(scratch: Path, resources: Resources) -> Iterator[duckdb.DuckDBPyConnection]:
    """A private in-memory engine that spills to `scratch`; the warehouse's lock and catalog stay out of it."""
    config: dict[str, Any] = {
        "memory_limit": resources.memory_limit,
        "temp_directory": str(scratch / "spill"),
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    if resources.threads is not None:
        config["threads"] = resources.threads
    connection = duckdb.connect(config=config)
    try:
        connection.execute("set timezone = 'UTC'")
        yield connection
    finally:
        connection.close()


@dataclass(frozen=True)
class Counts:
    """Rows of one file; `rows_in` comes from counting lines, not from adding up the other two."""

    rows_in: int
    rows_landed: int
    rows_rejected: int
    rejects_by_reason: dict[str, int]


class StagedLoans:
    """Tables `numbered` (rows) and `rejects` of one file, on one connection."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, file: LoanFile, counts: Counts, pads: dict[str, bytes]):
        self.connection, self.file, self.counts, self._pads = connection, file, counts, pads

    @property
    def columns(self) -> tuple[Column, ...]:
        return sql.present(self.file.header)

    def observed_through(self) -> date | None:
        """Last day any outcome of the file speaks of; without such dates its last issue month."""
        found = [column.name for column in self.columns if column.name in OUTCOME_DATES]
        latest = f"greatest({', '.join(f'max({name})' for name in found)})" if found else "null::date"
        return _one(self.connection, f"select coalesce({latest}, max(issue_d)) from staged where problems = ''")

    def write(self, target: Path, source: str, batch: str, observed_through: date | None) -> None:
        """Write the sound rows, with their lineage, as zstd Parquet in the order of the file."""
        # Numbering past a gap is a join, which loses the order.
        in_order = " order by _row" if _one(self.connection, "select count(*) from gaps") else ""
        self.connection.execute(
            f"copy (select {sql.landed(self.file.header)} from numbered where problems = ''{in_order}) "
            f"to {sql.literal(str(target))} {PARQUET}",
            {**self._pads, "source": source, "batch": batch, "observed_through": observed_through},
        )

    def rejects(self, limit: int | None = None) -> pa.Table:
        """Rejects in file order, one per row and column."""
        return self.connection.execute(
            'from rejects order by row, "column"' + (f" limit {limit}" if limit is not None else "")
        ).to_arrow_table()


def stage_loans(
    connection: duckdb.DuckDBPyConnection, file: Path, scratch: Path, *, today: date, key: TokenKey
) -> StagedLoans:
    """Parse and judge `file`. Raises a `LandingError` where the file as a whole is not to be trusted."""
    opened = open_loan_file(file, scratch)
    inner, outer = key.pads()
    pads = {"inner": inner, "outer": outer}
    query = sql.stage(opened, today)
    bound = pads if "$inner" in query else {}
    connection.execute(f"create or replace temp table staged as {query}", bound)
    broken = collect_broken_lines(connection, opened)
    rows_in = _reconciled(connection, opened, broken)
    _check_scales(connection, opened)
    _tell_equals_apart(connection)
    _set_repeated_aside(connection, opened)
    collect_rejects(connection, opened)
    counts = _counts(connection, opened, rows_in)
    return StagedLoans(connection, opened, counts, pads)


def _reconciled(connection: duckdb.DuckDBPyConnection, file: LoanFile, broken: int) -> int:
    """Rows in the file, by a count that is not the parser's; numbers the rows on the way."""
    parsed = _one(connection, "select count(*) from staged")
    counted = file.lines
    if counted.rows != parsed + broken:  # a quoted value spans lines, or rows got lost
        counted = file.exact_count()
    if counted.rows != parsed + broken:
        problem = f"it holds {counted.rows:,} rows, but {parsed:,} were read and {broken:,} refused."
        raise ReconciliationError(file.name, problem)
    number_rows(connection, file, counted.blanks)
    return counted.rows


def _check_scales(connection: duckdb.DuckDBPyConnection, file: LoanFile) -> None:
    """A whole column in another scale is the file's error, not every row's."""
    for column in (column for column in sql.present(file.header) if column.scale_floor is not None):
        filled, low, high, median = connection.execute(
            "select count(*), count(*) filter (x < $floor), count(*) filter (x > $upper), median(x) "
            f"from (select {column.name} as x from staged where {column.name} > 0 limit {SCALE_SAMPLE})",
            {"floor": column.scale_floor, "upper": column.upper},
        ).fetchone() or (0, 0, 0, None)
        for count, seems, not_this in ((low, "fractions", "0.1065"), (high, "basis points", "1065")):
            if (filled >= FEW and count == filled) or (filled >= SOME and count * 2 > filled):
                problem = f"its median is {median:g}, so it seems to hold {seems} instead of percent points."
                step = f"Write {column.name} in percent points (10.65, not {not_this})."
                raise ScaleError(file.name, problem, column=column.name, next_step=step)


def _tell_equals_apart(connection: duckdb.DuckDBPyConnection) -> None:
    """Two applications alike in everything, without ids, are still two loans: the later gets an ordinal."""
    connection.execute(
        "update staged set loan_id = staged.loan_id || '-' || place from ("
        "select rowid as equal_row, row_number() over (partition by loan_id order by rowid) as place "
        "from staged where id_made qualify place > 1) where staged.rowid = equal_row"
    )


def _set_repeated_aside(connection: duckdb.DuckDBPyConnection, file: LoanFile) -> None:
    """Make temp table `repeated`: sound rows whose id an earlier sound row has; marks them as rejected."""
    shown = ", ".join(column.name for column in sql.present(file.header))
    connection.execute(
        "create or replace temp table repeated "
        "(place bigint, row bigint, first_row bigint, loan_id varchar, raw_line varchar)"
    )
    distinct, rows = connection.execute(
        "select count(distinct hash(loan_id)), count(*) from staged where problems = ''"
    ).fetchone() or (0, 0)
    if distinct == rows:
        return
    connection.execute(
        "insert into repeated select place, _row, min(_row) over (partition by loan_id) as first_row, loan_id, "
        f"concat_ws(',', loan_id, {shown}) from numbered where problems = '' and loan_id in "
        "(select loan_id from staged where problems = '' group by loan_id having count(*) > 1) qualify first_row < _row"
    )
    connection.execute(f"update staged set problems = '{sql.REPEATED}' from repeated where staged.rowid = place")


def _counts(connection: duckdb.DuckDBPyConnection, file: LoanFile, rows_in: int) -> Counts:
    landed = _one(connection, "select count(*) from staged where problems = ''")
    rejected = _one(connection, "select count(distinct row) from rejects")
    reasons = connection.execute("select reason, count(distinct row) from rejects group by reason order by 2 desc, 1")
    by_reason = {str(reason): int(count) for reason, count in reasons.fetchall()}
    if landed + rejected != rows_in:
        problem = f"{rows_in:,} rows came in, {landed:,} would land and {rejected:,} are rejected."
        raise ReconciliationError(file.name, problem)
    if landed == 0:
        row, column, reason, step = connection.execute(
            'select row, "column", reason, next_step from rejects order by row, "column" limit 1'
        ).fetchone() or (None, None, None, None)
        where = f"row {row}" + (f", column {column!r}" if column else "")
        problem = f"all {rows_in:,} rows were rejected, the first because of {reason} ({where})."
        raise NothingUsableError(file.name, problem, column=column, next_step=step)
    return Counts(rows_in, landed, rejected, by_reason)


def _one(connection: duckdb.DuckDBPyConnection, query: str) -> Any:
    row = connection.execute(query).fetchone()
    assert row is not None
    return row[0]
