"""Landing of tables our own sources hand over ready typed: the repayment panel, the macro series.

Their shape is a promise, so a wrong column is an error; a wrong row goes to quarantine like any other.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import duckdb

from credit_risk_platform.adapters.landing.sql import literal
from credit_risk_platform.adapters.landing.stage import PARQUET, Counts
from credit_risk_platform.domain.contracts.column import Column
from credit_risk_platform.domain.contracts.errors import ContractBreachError, EmptyFileError, ReconciliationError
from credit_risk_platform.domain.contracts.reasons import Reason

BATCH = "_batch"


@dataclass(frozen=True)
class TableContract:
    """What a handed-over table must look like."""

    dataset: str
    columns: tuple[Column, ...]
    """In order; `_batch`, which landing adds, last."""
    key: tuple[str, ...]

    @property
    def brought(self) -> tuple[Column, ...]:
        return tuple(column for column in self.columns if column.name != BATCH)


def land_rows(
    connection: duckdb.DuckDBPyConnection,
    file: Path,
    target: Path,
    contract: TableContract,
    batch: str,
    *,
    label: str | None = None,
    loans: str | None = None,
) -> Counts:
    """Write the sound rows of Parquet `file` to `target`, and leave the others in temp table `table_rejects`.

    `label` names the file in rejects and errors. `loans` is a query of the loan ids that exist, where every row must
    belong to a loan.

    Raises:
        ContractBreachError: a column is missing or of another type.
        EmptyFileError: no rows.
    """
    name = label or file.name
    # A reader function directly beside an anti join on USING does not bind in DuckDB 1.5: hence the subquery.
    rows = f"(select * from read_parquet({literal(str(file))}, file_row_number = true))"
    _check_columns(connection, rows, name, contract)
    rows_in = _count(connection, rows)
    if rows_in == 0:
        raise EmptyFileError(name, f"{contract.dataset} has no rows.")
    _collect_rejects(connection, rows, name, contract, loans)
    rejected = _count(connection, "rejected_rows")
    kept = f"{rows} as rows anti join rejected_rows using (file_row_number)" if rejected else rows
    names = ", ".join(f'"{column.name}"' for column in contract.brought)
    connection.execute(
        f"copy (select {names}, $batch as {BATCH} from {kept}) to {literal(str(target))} {PARQUET}", {"batch": batch}
    )
    landed = _count(connection, f"read_parquet({literal(str(target))})")
    if landed + rejected != rows_in:
        problem = f"{rows_in:,} rows came in, {landed:,} landed and {rejected:,} were rejected."
        raise ReconciliationError(name, problem)
    reasons = connection.execute("select reason, count(distinct row) from table_rejects group by reason").fetchall()
    return Counts(rows_in, landed, rejected, {str(reason): int(count) for reason, count in reasons})


def _check_columns(connection: duckdb.DuckDBPyConnection, rows: str, file: str, contract: TableContract) -> None:
    found = {name: kind for name, kind, *_ in connection.execute(f"describe select * from {rows}").fetchall()}
    for column in contract.brought:
        if column.name not in found:
            raise ContractBreachError(file, f"{contract.dataset} misses this column.", column=column.name)
        if found[column.name] != column.type:
            problem = f"it is {found[column.name]}, and {contract.dataset} promises {column.type}."
            raise ContractBreachError(file, problem, column=column.name)


def _collect_rejects(
    connection: duckdb.DuckDBPyConnection, rows: str, file: str, contract: TableContract, loans: str | None
) -> None:
    """Temp tables `table_rejects` (one row per row and column) and `rejected_rows`. `row` counts from 1."""
    key = ", ".join(contract.key)
    text = " || ' ' || ".join(f"{column}::varchar" for column in contract.key)
    faults = [
        _fault(rows, column.name, Reason.REQUIRED_BLANK, "null", f'"{column.name}" is null')
        for column in contract.brought
        if not column.nullable
    ]
    faults.append(
        f"select file_row_number, {literal(contract.key[-1])}, {text}, {literal(Reason.DUPLICATE_ID)} from {rows} "
        f"as rows semi join (select {key} from {rows} group by {key} having count(*) > 1) as again using ({key}) "
        f"qualify row_number() over (partition by {key} order by file_row_number) > 1"
    )
    if loans is not None:
        faults.append(_fault(rows, "loan_id", Reason.UNKNOWN_LOAN, "loan_id", f"loan_id not in ({loans})"))
    steps = " ".join(f"when {literal(reason)} then {literal(reason.next_step)}" for reason in Reason)
    connection.execute(
        f"create or replace temp table table_rejects as select {literal(file)} as file, file_row_number + 1 as row, "
        f'"column", value, reason, case reason {steps} end as next_step, null::varchar as raw_line '
        f'from ({" union all ".join(faults)}) as faults(file_row_number, "column", value, reason) order by all'
    )
    connection.execute(
        "create or replace temp table rejected_rows as select distinct row - 1 as file_row_number from table_rejects"
    )


def _fault(rows: str, column: str, reason: Reason, value: str, condition: str) -> str:
    return f"select file_row_number, {literal(column)}, {value}, {literal(reason)} from {rows} where {condition}"


def _count(connection: duckdb.DuckDBPyConnection, relation: str) -> int:
    row = connection.execute(f"select count(*) from {relation}").fetchone()
    assert row is not None
    return int(row[0])
