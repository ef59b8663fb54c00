"""Signals of fraud, beside the PD and never in it."""

import dagster as dg

from credit_risk_platform.adapters import fraud_signals
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.catalog import Bronze, Gold, Group, Owner, table_of
from credit_risk_platform.defs.decisions.metadata import now, shown, table, version
from credit_risk_platform.domain.fraud import IDENTITY
from credit_risk_platform.settings import Settings

LIMITS = (
    "Names, addresses, devices and accounts never leave the intake, so identity is judged by what people state: "
    f"{', '.join(IDENTITY)} must agree exactly. Someone who changes one of them is not seen, and a signal is a reason "
    "to look, not a finding."
)


def build_fraud_signals(settings: Settings) -> dg.AssetsDefinition:
    """The asset, beside the landed book of the portfolio that is set."""
    book = dg.AssetKey(["bronze", f"{settings.portfolio_source.value}_loans"])

    @dg.asset(
        key=Gold.FRAUD_SIGNALS,
        deps=[Bronze.RAW_APPLICATIONS, book],
        group_name=Group.DECISIONS,
        owners=[Owner.ANALYTICS],
        kinds={"duckdb", "sql"},
        code_version="1",
        description=(
            "Applications that look like fraud: too many of one customer within a week, the same identity under "
            "different customers, an amount far above what its peers ask for. Kept apart from the PD: a signal can "
            "only send an application that would be approved to a person. " + LIMITS
        ),
    )
    def fraud(context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Warehouse]) -> dg.MaterializeResult:
        added = fraud_signals.look(warehouse, table_of(book), now(), context.run.run_id)
        context.log.info("%d new signals", added)
        return dg.MaterializeResult(
            data_version=version(warehouse, Gold.FRAUD_SIGNALS, "loan_id", "signal", "value"),
            metadata={
                **table(warehouse, Gold.FRAUD_SIGNALS),
                "new": added,
                "signals": shown(fraud_signals.counts(warehouse)),
                "newest": shown(fraud_signals.newest(warehouse)),
                "limits": LIMITS,
            },
        )

    return fraud
