"""One asset per table that the store serves; each follows its table once a store is set."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from credit_risk_platform.adapters import markdown
from credit_risk_platform.adapters.serving_store import SCHEMA, Served, copy
from credit_risk_platform.adapters.sources.sql_database_url import SourceError, address
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.catalog import Gold, Group, Owner, Serving
from credit_risk_platform.settings import Settings

SYSTEM, VARIABLE = "serving store", "CRP_SERVING_DATABASE_URL"
DAYS_SHOWN = 10
_KEYS = {
    "scored_applications": (Serving.SCORED_APPLICATIONS, Gold.APPLICATION_SCORES),
    "decisions": (Serving.DECISIONS, Gold.DECISIONS),
}
_WORDS = {
    "scored_applications": "Every score given to an application that came by event or API, by its event and loan.",
    "decisions": "What was decided on each of them, with reasons in words and the cut-offs, by its score and loan.",
}
EVERY_MINUTE = (
    dg.AutomationCondition.cron_tick_passed("* * * * *").since(
        dg.AutomationCondition.newly_requested()
        | dg.AutomationCondition.newly_updated()
        | dg.AutomationCondition.initial_evaluation()
    )
    & dg.AutomationCondition.any_deps_updated().since_last_handled()
    & ~dg.AutomationCondition.in_progress()
).with_label("within_a_minute_of_its_table")
"""Micro-batches follow one another within seconds; one copy takes over what several of them brought."""


def build_asset(served: Served, settings: Settings) -> dg.AssetsDefinition:
    """The copy of `served`, made once its table changed if a store is set, else only by hand."""
    key, source = _KEYS[served.name]

    @dg.asset(
        key=key,
        deps=[source],
        description=f"{_WORDS[served.name]} A copy, `{SCHEMA}.{served.name}` in {VARIABLE}.",
        group_name=Group.SERVING,
        owners=[Owner.DATA],
        kinds={"postgres"},
        code_version="1",
        automation_condition=EVERY_MINUTE if settings.serving_database_url else None,
        pool="serving_store",
        check_specs=[
            dg.AssetCheckSpec(
                "as_many_rows_as_the_warehouse", asset=key, description="The store holds every row, and no other."
            )
        ],
    )
    def serving_copy(
        context: dg.AssetExecutionContext,
        settings: dg.ResourceParam[Settings],
        warehouse: dg.ResourceParam[Warehouse],
    ) -> Iterator[dg.MaterializeResult[Any]]:
        secret = settings.serving_database_url
        if secret is None:
            raise dg.Failure(
                f"{VARIABLE} is not set: give it the store's URL (docs/serving-store.md).", allow_retries=False
            )
        if not warehouse.exists(served.source):
            raise dg.Failure(
                f"{served.source} is not there yet: materialise {source.to_user_string()}.", allow_retries=False
            )
        try:
            store = address(SYSTEM, VARIABLE, secret.get_secret_value())
            copied = copy(warehouse, served, store, lambda day, rows: context.log.info("%s: %d rows", day, rows))
        except SourceError as error:
            raise dg.Failure(str(error), allow_retries=False) from None
        expected = warehouse.count(served.source)
        days = [{"day": str(day)} for day in copied.days[-DAYS_SHOWN:]]
        yield dg.MaterializeResult(
            metadata={
                "dagster/row_count": copied.rows,
                "table": f"{SCHEMA}.{served.name}",
                "store": store.place,
                "rows_written": copied.written,
                "rows_removed": copied.removed,
                "days_copied": len(copied.days),
                "last_days_copied": dg.MetadataValue.md(markdown.records(days)),
            },
            check_results=[
                dg.AssetCheckResult(
                    check_name="as_many_rows_as_the_warehouse",
                    passed=copied.rows == expected,
                    # Batches that arrive while a copy is made come with the next one.
                    severity=dg.AssetCheckSeverity.WARN,
                    metadata={"rows": copied.rows, "rows_in_the_warehouse": expected},
                )
            ],
        )

    return serving_copy
