"""One asset per system, each with a connection of its own: one that is down fails alone."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import dagster as dg

from credit_risk_platform.adapters import markdown
from credit_risk_platform.adapters.sources.sql_database_pull import REJECTED, PullReport, pull
from credit_risk_platform.adapters.sources.sql_database_url import SourceError, address
from credit_risk_platform.adapters.tokens import TokenKey, load_token_key
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.catalog import Bronze, Group, Owner
from credit_risk_platform.defs.bank_systems.urls import url_of
from credit_risk_platform.domain.contracts.bank_columns import BANK_CONTRACT_VERSION, BankTable
from credit_risk_platform.domain.contracts.column import Column
from credit_risk_platform.domain.contracts.errors import ReconciliationError
from credit_risk_platform.settings import Settings

Events = Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]

TOO_MANY_REJECTS, REJECTS_SHOWN = 0.05, 10
NIGHTLY = dg.FreshnessPolicy.time_window(fail_window=dt.timedelta(hours=36), warn_window=dt.timedelta(hours=26))
_KEYS = {
    "crm": Bronze.RAW_CRM_CUSTOMERS,
    "core_banking": Bronze.RAW_CORE_ACCOUNTS,
    "bureau": Bronze.RAW_BUREAU_PULLS,
}
_WORDS = {
    "crm": """The bank's customers as its CRM keeps them, without name, national id, e-mail, phone and address: those
        are not even read. `subject_token` is the loans' own, so customers and loans join; of the birth date the year is
        kept, for fairness tests.""",
    "core_banking": """The accounts of core banking with balance, limits and days past due as they stood at the last
        change; customer and account number are tokens.""",
    "bureau": """Every enquiry at a credit bureau with the score and counts that came back; `pulled_on` is the day they
        became known.""",
}


class PullConfig(dg.Config):
    """For one run."""

    reload: bool = False
    """Read the whole table, and remove from bronze what is not in it any more."""


def key_of(table: BankTable) -> dg.AssetKey:
    return _KEYS[table.system]


def build_asset(table: BankTable, settings: Settings) -> dg.AssetsDefinition:
    """The asset of `table`; expected every night once its URL is set."""
    key, words = key_of(table), " ".join(_WORDS[table.system].split())

    @dg.asset(
        key=key,
        description=f"{words} Read from `{table.relation}` of {table.variable}, as far as it changed since.",
        group_name=Group.BANK_SYSTEMS,
        owners=[Owner.DATA],
        kinds={"python", "postgres", "duckdb"},
        code_version=f"bank-systems-1+contract-{BANK_CONTRACT_VERSION}",
        freshness_policy=NIGHTLY if url_of(settings, table) else None,
        pool=f"bank_system_{table.system}",  # two pulls of one source would move one cursor
        check_specs=_check_specs(key),
    )
    def bank_table(
        context: dg.AssetExecutionContext,
        config: PullConfig,
        settings: dg.ResourceParam[Settings],
        warehouse: dg.ResourceParam[Warehouse],
    ) -> Events:
        url = url_of(settings, table)
        if url is None:
            step = f"{table.variable} is not set: give it the database's URL (docs/bank-systems.md)."
            raise dg.Failure(f"{table.system}: {step}", allow_retries=False)

        def told(so_far: PullReport) -> None:
            context.log.info("%s: %d rows read, %d landed", table.system, so_far.rows_in, so_far.landed)

        try:
            source = address(table.system, table.variable, url)
            report = pull(
                source,
                table,
                warehouse,
                _token_key(settings),
                run_id=context.run.run_id,
                reload=config.reload,
                told=told,
            )
        except (SourceError, ReconciliationError) as error:
            raise dg.Failure(str(error), allow_retries=False) from None
        yield dg.MaterializeResult(metadata=_metadata(warehouse, table, report, source.place))
        yield from _checks(key, report)

    return bank_table


def _token_key(settings: Settings) -> TokenKey:
    secret = settings.pii_token_key
    return load_token_key(settings.paths.secrets, secret.get_secret_value() if secret is not None else None)


def _check_specs(key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    told = "Rows read = rows landed + rows refused."
    few = f"At most {TOO_MANY_REJECTS:.0%} of the rows read were refused."
    return [
        dg.AssetCheckSpec("source_row_reconciliation", asset=key, description=told, blocking=True),
        dg.AssetCheckSpec("reject_rate", asset=key, description=few),
    ]


def _checks(key: dg.AssetKey, report: PullReport) -> Events:
    counts = {"rows_in": report.rows_in, "rows_landed": report.landed, "rows_rejected": report.rejected}
    yield dg.AssetCheckResult(
        asset_key=key,
        check_name="source_row_reconciliation",
        passed=report.rows_in == report.landed + report.rejected,
        metadata=counts,
    )
    rate = report.rejected / report.rows_in if report.rows_in else 0.0
    yield dg.AssetCheckResult(
        asset_key=key,
        check_name="reject_rate",
        passed=rate <= TOO_MANY_REJECTS,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"reject_rate": rate, "next_step": f"Look at {REJECTED}: each row says what to do."},
    )


def _metadata(warehouse: Warehouse, table: BankTable, report: PullReport, place: str) -> dict[str, Any]:
    reasons = [{"reason": reason, "rows": rows} for reason, rows in sorted(report.by_reason.items())]
    sample = warehouse.query(
        f"select row_key, column_name, value, reason, next_step from {REJECTED} where source = ? "
        f"order by row_key, column_name limit {REJECTS_SHOWN}",
        [table.system],
    )
    return {
        "dagster/row_count": warehouse.count(table.landed_as),
        "dagster/table_name": table.landed_as,
        "dagster/column_schema": dg.TableSchema(columns=[_column(column) for column in table.landed]),
        "source": f"{table.relation} at {place}",
        "rows_in": report.rows_in,
        "rows_landed": report.landed,
        "rows_rejected": report.rejected,
        "rows_removed": report.removed,
        "rejects_by_reason": dg.MetadataValue.md(markdown.records(reasons)),
        "reject_sample": dg.MetadataValue.md(markdown.records(sample)),
        "pull": "whole table"
        if report.whole
        else "changes"
        if report.since is None
        else f"changes since {report.since}",
        "went_on_after_a_kill": report.resumed,
        "read_until": str(report.read_until or "nothing yet"),
    }


def _column(column: Column) -> dg.TableColumn:
    unit = f" Unit: {column.unit}." if column.unit else ""
    constraints = dg.TableColumnConstraints(
        nullable=column.nullable, other=[column.constraint] if column.constraint else []
    )
    tags = {"stage": column.stage.name.lower()}
    return dg.TableColumn(column.name, column.type, f"{column.description}{unit}", constraints=constraints, tags=tags)
