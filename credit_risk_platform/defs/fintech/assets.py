"""One asset per provider: its bookings by day. A run fetches its days, or all that changed since the last poll."""

import datetime as dt
from collections.abc import Iterator

import dagster as dg

from credit_risk_platform.adapters.fintech.landing import BankTransactions, Receipt
from credit_risk_platform.adapters.fintech.source import ConnectionLostError, FintechSource
from credit_risk_platform.adapters.http_source import SourceError
from credit_risk_platform.adapters.tokens import load_token_key
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.catalog import PORTFOLIO_DAYS, Group, Owner, table_of
from credit_risk_platform.defs.fintech import checks
from credit_risk_platform.defs.fintech.metadata import of_day, of_run
from credit_risk_platform.defs.fintech.providers import Provider
from credit_risk_platform.domain.contracts.bank_transactions import CONTRACT_VERSION
from credit_risk_platform.settings import Settings

FRESH = dg.FreshnessPolicy.time_window(fail_window=dt.timedelta(hours=13), warn_window=dt.timedelta(hours=7))
"""One poll may fail or be late, not two."""
WINDOW_DAYS = 31
"""Days of one transaction of a backfill: what is done stays done if the run is killed."""


class PollConfig(dg.Config):
    """What the schedule asks for."""

    changes: bool = False
    """Fetch what changed since the last poll, of any day, in place of the days of the partitions."""


def build_asset(provider: Provider, settings: Settings) -> dg.AssetsDefinition:
    """The asset of a provider; its freshness is watched once its settings are there."""

    @dg.asset(
        key=provider.key,
        description=provider.description,
        partitions_def=PORTFOLIO_DAYS,
        backfill_policy=dg.BackfillPolicy.single_run(),
        check_specs=checks.specs(provider.key),
        freshness_policy=None if provider.missing(settings) else FRESH,
        group_name=Group.FINTECH,
        owners=[Owner.DATA],
        kinds={"python", "duckdb", "api"},
        code_version=f"fintech-1+contract-{CONTRACT_VERSION}",
    )
    def bookings(
        context: dg.AssetExecutionContext,
        config: PollConfig,
        settings: dg.ResourceParam[Settings],
        warehouse: dg.ResourceParam[Warehouse],
    ) -> dg.MaterializeResult:
        table = table_of(provider.key)
        try:
            source = provider.open(settings)
            try:
                receipts, lost = _land(context, config, source, _bank(settings, warehouse, source, table))
            finally:
                source.close()
        except SourceError as error:
            raise dg.Failure(str(error), allow_retries=False) from error
        _refuse_gaps(config, receipts, lost)
        _tell_days(context, provider.key, receipts)
        today = dt.datetime.now(dt.UTC).date()
        landed = checks.Landed(provider.key, table, receipts, lost, warehouse, today)
        return dg.MaterializeResult(metadata=of_run(landed), check_results=checks.results(landed))

    return bookings


def windows(first: dt.date, last: dt.date) -> Iterator[tuple[dt.date, dt.date]]:
    """The days in pieces of at most `WINDOW_DAYS`."""
    while first <= last:
        end = min(last, first + dt.timedelta(days=WINDOW_DAYS - 1))
        yield first, end
        first = end + dt.timedelta(days=1)


def _bank(settings: Settings, warehouse: Warehouse, source: FintechSource, table: str) -> BankTransactions:
    secret = settings.pii_token_key
    key = load_token_key(settings.paths.secrets, secret.get_secret_value() if secret else None)
    return BankTransactions(warehouse, source, table, key)


def _land(
    context: dg.AssetExecutionContext, config: PollConfig, source: FintechSource, bank: BankTransactions
) -> tuple[list[Receipt], dict[str, str]]:
    """Receipts, and the connections that cannot be read with the reason: one lost login holds up no other."""
    bank.prepare()
    days = context.partition_key_range
    asked = list(windows(dt.date.fromisoformat(days.start), dt.date.fromisoformat(days.end)))
    receipts: list[Receipt] = []
    lost: dict[str, str] = {}
    for connection in source.connections():
        run_id, now = context.run.run_id, dt.datetime.now(dt.UTC).replace(tzinfo=None)
        try:
            if config.changes:
                receipts.append(bank.land_changes(connection, run_id=run_id, now=now))
            else:
                receipts += [bank.land_days(connection, first, last, run_id=run_id, now=now) for first, last in asked]
        except ConnectionLostError as error:
            lost[bank.token(connection)[:12]] = str(error)
    context.log.info(
        "%s: %d rows landed in %d deliveries, %d logins cannot be read",
        source.name, sum(receipt.rows_landed for receipt in receipts), len(receipts), len(lost),
    )  # fmt: skip
    return receipts, lost


def _refuse_gaps(config: PollConfig, receipts: list[Receipt], lost: dict[str, str]) -> None:
    """Days without one login are not those days; a poll goes on as long as one login answers."""
    if lost and not (config.changes and receipts):
        told = "\n".join(f"connection {connection}: {why}" for connection, why in lost.items())
        raise dg.Failure(
            f"{len(lost)} logins could not be read; what the others had is landed.\n{told}", allow_retries=False
        )


def _tell_days(context: dg.AssetExecutionContext, key: dg.AssetKey, receipts: list[Receipt]) -> None:
    """Each day's own figures: as metadata of the run's partitions, and as an event of other days that changed."""
    own = set(context.partition_keys)
    counts = {day: rows for receipt in receipts for day, rows in receipt.days.items()}
    for day, rows in sorted(counts.items()):
        if day.isoformat() in own:
            context.add_asset_metadata(of_day(rows), partition_key=day.isoformat())
        else:
            context.log_event(dg.AssetMaterialization(key, partition=day.isoformat(), metadata=of_day(rows)))
