"""One bronze table from receipt to UI: what it is made of, its metadata, its checks; and what a refused file leaves."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import dagster as dg

from credit_risk_platform.adapters.landing import BronzeLake, Manifest, data_version
from credit_risk_platform.adapters.landing.layout import INCREMENTAL, LOANS, MACRO, REPAYMENTS
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.catalog import SYNTHETIC_AS_OF, Bronze, table_of
from credit_risk_platform.defs.ingestion import checks
from credit_risk_platform.defs.ingestion.metadata import landing_metadata, table_metadata
from credit_risk_platform.domain.contracts.column import Column
from credit_risk_platform.domain.contracts.errors import LandingError
from credit_risk_platform.domain.contracts.feed_columns import (
    MACRO_COLUMNS,
    MACRO_KEY,
    REPAYMENT_COLUMNS,
    REPAYMENT_KEY,
)
from credit_risk_platform.domain.contracts.loan_columns import LOAN_COLUMNS

_LOAN_PREVIEW = (
    "loan_id", "issue_d", "loan_status", "loan_amnt", "term", "int_rate", "annual_inc", "dti", "purpose", "_row",
)  # fmt: skip
_PANEL_PREVIEW = (
    "loan_id",
    "instalment_number",
    "due_date",
    "amount_due",
    "paid_date",
    "amount_paid",
    "closing_balance",
)


@dataclass(frozen=True)
class BronzeTable:
    """What the room knows of a table before anything has landed."""

    key: dg.AssetKey
    source: str
    table: str
    columns: tuple[Column, ...]
    id_columns: tuple[str, ...]
    preview: tuple[str, ...]
    future: str

    @property
    def name(self) -> str:
        return table_of(self.key)


def _loans(key: dg.AssetKey, source: str) -> BronzeTable:
    return BronzeTable(key, source, LOANS, LOAN_COLUMNS, ("loan_id",), _LOAN_PREVIEW, checks.loans_in_the_future())


SYNTHETIC = _loans(Bronze.SYNTHETIC_LOANS, "synthetic")
LENDING_CLUB = _loans(Bronze.LENDING_CLUB_LOANS, "lending_club")
LANDING = _loans(Bronze.LANDING_LOANS, "landing")
REPAYMENT_PANEL = BronzeTable(
    Bronze.SYNTHETIC_REPAYMENTS, "synthetic", REPAYMENTS, REPAYMENT_COLUMNS, REPAYMENT_KEY, _PANEL_PREVIEW,
    # An instalment prepaid is known before it falls due, a payment never before it is made.
    f"paid_date > known_at::date or greatest(due_date, paid_date, known_at::date - 1) > date '{SYNTHETIC_AS_OF}'",
)  # fmt: skip


def macro(today: date) -> BronzeTable:
    """The macro table; what counts as future depends on the day."""
    preview = tuple(column.name for column in MACRO_COLUMNS)
    future = f"publication_date > date '{today.isoformat()}' or publication_date < observation_date"
    return BronzeTable(Bronze.MACRO_SERIES, "macro", MACRO, MACRO_COLUMNS, MACRO_KEY, preview, future)


def materialised(
    context: dg.AssetExecutionContext,
    lake: BronzeLake,
    warehouse: DuckLakeWarehouse,
    table: BronzeTable,
    latest: Sequence[Manifest],
    *,
    refused: frozenset[str] = frozenset(),
    **metadata: Any,
) -> dg.MaterializeResult[Any]:
    """The table as it stands after the landings (`latest`), with its checks but those already red (`refused`)."""
    held = lake.manifests(table.source, table.table)
    counting = held if table.source in INCREMENTAL else held[-1:]
    landed = checks.Landed(
        key=table.key,
        table=table.name,
        columns=table.columns,
        id_columns=table.id_columns,
        future=table.future,
        manifests=counting,
        previous_rows=_previous_rows(context, table.key),
        warehouse=warehouse,
    )
    return dg.MaterializeResult(
        asset_key=table.key,
        data_version=dg.DataVersion(data_version(counting)),
        metadata={
            **table_metadata(warehouse, table.name, table.columns, table.preview, table.id_columns),
            **landing_metadata(lake, counting, latest),
            "dagster/uri": lake.uri(table.source),
            **metadata,
        },
        check_results=list(checks.results(landed, skip=refused)),
    )


def refuse(keys: Sequence[dg.AssetKey], refused: Sequence[LandingError]) -> Iterator[dg.AssetCheckResult]:
    """Red checks for the refused files, then the failure of the run: the previous state stands and nothing follows."""
    for key in keys:
        for name, errors in _by_check(refused).items():
            yield checks.refusal(key, name, errors)
    raise dg.Failure(
        description="\n".join(str(error) for error in refused),
        metadata={
            "file": ", ".join(error.file for error in refused),
            "column": ", ".join(error.column for error in refused if error.column) or "none",
            "next_step": refused[0].next_step,
        },
        allow_retries=False,
    )


def _by_check(refused: Sequence[LandingError]) -> dict[str, list[LandingError]]:
    grouped: dict[str, list[LandingError]] = {}
    for error in refused:
        grouped.setdefault(checks.check_of(error), []).append(error)
    return grouped


def _previous_rows(context: dg.AssetExecutionContext, key: dg.AssetKey) -> int | None:
    event = context.instance.get_latest_materialization_event(key)
    if event is None or event.asset_materialization is None:
        return None
    value = event.asset_materialization.metadata.get("dagster/row_count")
    return int(value.value) if value is not None and isinstance(value.value, (int, float)) else None
