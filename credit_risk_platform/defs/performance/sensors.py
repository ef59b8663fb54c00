"""Watches outcomes: a vintage that has matured becomes a partition, and its backtest is asked for, once."""

import json
from collections.abc import Sequence
from datetime import date

import dagster as dg

from credit_risk_platform.adapters.bundles import BundleStore
from credit_risk_platform.adapters.portfolio import NothingToScoreError
from credit_risk_platform.adapters.vintages import Vintage, vintages
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.catalog import BATCH_RUN
from credit_risk_platform.defs.performance.backtest import VINTAGES, vintage_backtest
from credit_risk_platform.domain.maturity import due, key_of, month_of
from credit_risk_platform.settings import Settings

TAG = "crp/vintage"


def build_label_maturity(settings: Settings) -> dg.SensorDefinition:
    status = dg.DefaultSensorStatus.RUNNING if settings.automation_running else dg.DefaultSensorStatus.STOPPED

    @dg.sensor(
        name="label_maturity",
        job=vintage_backtest,
        minimum_interval_seconds=300,
        default_status=status,
        description=(
            "When the last loan of a vintage has matured: adds its partition to monitoring/backtest_pd and asks for "
            "its backtest, once. At the first start on an old book every matured vintage becomes a partition and only "
            "the latest six are run; backfill the others if you want them."
        ),
    )
    def label_maturity(
        context: dg.SensorEvaluationContext,
        warehouse: dg.ResourceParam[Warehouse],
        bundles: dg.ResourceParam[BundleStore],
    ) -> dg.SensorResult | dg.SkipReason:
        return look(context.cursor, warehouse, bundles)

    return label_maturity


def look(cursor: str | None, warehouse: Warehouse, bundles: BundleStore) -> dg.SensorResult | dg.SkipReason:
    """Partitions and runs for what matured since `cursor`, or why there is nothing to do.

    The cursor holds the vintages that were dealt with. Should it be lost, the run keys keep a vintage from running
    twice. It is not moved while there is no champion.
    """
    if bundles.pointer() is None:
        return dg.SkipReason("There is no champion yet whose PDs could be backtested.")
    try:
        found = vintages(warehouse)
    except NothingToScoreError as error:
        return dg.SkipReason(str(error))
    matured = [vintage.month for vintage in found if vintage.matured]
    judged = None if cursor is None else {month_of(key) for key in json.loads(cursor)}
    now = due(matured, judged)
    if not now and judged is not None:
        return dg.SkipReason(_why_none(found))
    dealt_with = sorted(matured if judged is None else judged | set(now))
    added = matured if judged is None else now
    return dg.SensorResult(
        run_requests=[_request(month) for month in now],
        dynamic_partitions_requests=[VINTAGES.build_add_request([key_of(month) for month in added])],
        cursor=json.dumps([key_of(month) for month in dealt_with]),
    )


def _request(month: date) -> dg.RunRequest:
    key = key_of(month)
    return dg.RunRequest(run_key=f"backtest-{key}", partition_key=key, tags={TAG: key, **BATCH_RUN})


def _why_none(found: Sequence[Vintage]) -> str:
    through = max((vintage.observed_through for vintage in found), default=None)
    waiting = sum(not vintage.matured for vintage in found)
    return f"No vintage has matured since the last look: the book is known through {through}, {waiting} still run."
