"""What must hold of every bronze table. The checks run in the landing's own step: queries, not processes."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import dagster as dg

from credit_risk_platform.adapters.landing import Manifest
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.domain.contracts import errors
from credit_risk_platform.domain.contracts.column import Column

SHRUNK, GROWN = 0.6, 2.0
"""Row counts outside this range of the previous landing's are worth a look."""
TOO_MANY_REJECTS = 0.05

DESCRIPTIONS = {
    "landing_errors": "Every delivered file could be read and was a file of this dataset.",
    "schema_contract": "The table has the contract's columns and types; no required column was missing.",
    "source_row_reconciliation": "Rows in the file = rows landed + rows rejected, and the table holds what landed.",
    "duplicate_event_id": "No key occurs twice.",
    "future_timestamp": "No row tells of a day after the last day its file knows about.",
    "row_count_anomaly": "About as many rows as at the previous landing.",
    "reject_rate": "At most 5 % of the rows went to quarantine.",
}
BLOCKING = frozenset({"landing_errors", "schema_contract", "source_row_reconciliation", "duplicate_event_id"})
WARN = dg.AssetCheckSeverity.WARN
_BREACHES = (
    errors.MissingColumnError,
    errors.RenamedColumnError,
    errors.DuplicateColumnError,
    errors.ForeignFileError,
    errors.ScaleError,
    errors.ContractBreachError,
)


def specs(*keys: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    """All checks of these assets."""
    return [
        dg.AssetCheckSpec(name, asset=key, description=text, blocking=name in BLOCKING)
        for key in keys
        for name, text in DESCRIPTIONS.items()
    ]


def check_of(error: errors.LandingError) -> str:
    """The check that a refused file turns red."""
    if isinstance(error, _BREACHES):
        return "schema_contract"
    return "source_row_reconciliation" if isinstance(error, errors.ReconciliationError) else "landing_errors"


def refusal(key: dg.AssetKey, name: str, refused: Sequence[errors.LandingError]) -> dg.AssetCheckResult:
    """The red check of files that did not land."""
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=name,
        passed=False,
        description=str(refused[0]),
        metadata={
            "file": ", ".join(error.file for error in refused),
            "column": ", ".join(error.column for error in refused if error.column) or "none",
            "next_step": refused[0].next_step,
        },
    )


@dataclass(frozen=True)
class Landed:
    """A bronze table after a landing, with all that its checks need to know."""

    key: dg.AssetKey
    table: str
    columns: tuple[Column, ...]
    id_columns: tuple[str, ...]
    future: str
    """SQL condition of a row that tells of the future."""
    manifests: Sequence[Manifest]
    """Receipts of the landings whose rows the table holds, before restatement."""
    previous_rows: int | None
    warehouse: DuckLakeWarehouse

    def one(self, query: str) -> int:
        return int(self.warehouse.query(query)["n"][0].as_py() or 0)


def results(landed: Landed, skip: frozenset[str] = frozenset()) -> Iterator[dg.AssetCheckResult]:
    """Evaluate every check, those in `skip` apart."""
    checks: dict[str, Callable[[Landed], dg.AssetCheckResult]] = {
        "landing_errors": _landing_errors,
        "schema_contract": _schema_contract,
        "source_row_reconciliation": _reconciliation,
        "duplicate_event_id": _duplicates,
        "future_timestamp": _future,
        "row_count_anomaly": _row_count,
        "reject_rate": _reject_rate,
    }
    for name, check in checks.items():
        if name not in skip:
            yield check(landed)


def _landing_errors(landed: Landed) -> dg.AssetCheckResult:
    return _result(landed, "landing_errors", True, files=len(landed.manifests))


def _schema_contract(landed: Landed) -> dg.AssetCheckResult:
    found = landed.warehouse.columns(landed.table)
    differing = [column for column in landed.columns if not _holds(found.get(column.name), column.type)]
    wrong = [f"{column.name} is {found.get(column.name, 'missing')}, not {column.type}" for column in differing]
    new = sorted({name for manifest in landed.manifests for name in manifest.unknown_columns})
    return _result(
        landed,
        "schema_contract",
        not wrong,
        differences="; ".join(wrong) or "none",
        contract_minor_bump=", ".join(new) or "none",
        next_step=(
            "Migrate the table to the contract." if wrong
            else "Decide whether the contract should have the new columns; they were not landed." if new
            else "Nothing to do."
        ),
    )  # fmt: skip


def _holds(found: str | None, wanted: str) -> bool:
    # Snowflake has one type for whole numbers of any size.
    return found == wanted or (found, wanted) == ("BIGINT", "INTEGER")


def _reconciliation(landed: Landed) -> dg.AssetCheckResult:
    rows_in = sum(manifest.rows_in for manifest in landed.manifests)
    sent = sum(manifest.rows_landed for manifest in landed.manifests)
    rejected = sum(manifest.rows_rejected for manifest in landed.manifests)
    restated = sum(manifest.superseded_rows for manifest in landed.manifests)
    held = landed.warehouse.count(landed.table)
    return _result(
        landed,
        "source_row_reconciliation",
        rows_in == sent + rejected and held == sent - restated,
        rows_in=rows_in,
        rows_landed=sent,
        rows_rejected=rejected,
        rows_restated=restated,
        rows_in_table=held,
        next_step="Compare bronze.landings with the files; land the batch again if one is missing.",
    )


def _duplicates(landed: Landed) -> dg.AssetCheckResult:
    key = ", ".join(landed.id_columns)
    repeating = f"select {key} from {landed.table} group by {key} having count(*) > 1"
    again = landed.one(f"select count(*) as n from ({repeating})")
    step = "Find out which file stated the key twice: select by it and look at _batch and _row."
    return _result(landed, "duplicate_event_id", again == 0, keys_that_repeat=again, key=key, next_step=step)


def _future(landed: Landed) -> dg.AssetCheckResult:
    ahead = landed.one(f"select count(*) as n from {landed.table} where {landed.future}")
    step = "Ask the source how it can know; such a row must not become a feature."
    return _result(landed, "future_timestamp", ahead == 0, WARN, rows=ahead, condition=landed.future, next_step=step)


def _row_count(landed: Landed) -> dg.AssetCheckResult:
    rows, before = landed.warehouse.count(landed.table), landed.previous_rows
    usual = not before or SHRUNK * before <= rows <= GROWN * before
    step = "Ask the source whether the delivery was complete."
    return _result(landed, "row_count_anomaly", usual, WARN, rows=rows, rows_before=before or 0, next_step=step)


def _reject_rate(landed: Landed) -> dg.AssetCheckResult:
    last = landed.manifests[-1] if landed.manifests else None
    rate = last.rows_rejected / last.rows_in if last and last.rows_in else 0.0
    reasons = ", ".join(f"{reason}: {rows}" for reason, rows in (last.rejects_by_reason if last else {}).items())
    step = "Read bronze.quarantine: every reject has its row, column, reason and what to do."
    passed = rate <= TOO_MANY_REJECTS
    return _result(landed, "reject_rate", passed, WARN, rate=rate, reasons=reasons or "none", next_step=step)


def _result(
    landed: Landed,
    name: str,
    passed: bool,
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
    **metadata: str | int | float,
) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=landed.key, check_name=name, passed=passed, severity=severity, metadata=dict(metadata)
    )


def loans_in_the_future() -> str:
    """A loan row that tells of a day after the last one its file knows about (a month counts to its end)."""
    days = ("issue_d", "application_date", "last_pymnt_d", "last_credit_pull_d", "default_date", "closed_date")
    return " or ".join(f"{day} > last_day(_observed_through)" for day in days)
