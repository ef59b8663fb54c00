"""The training set: who teaches, who stops, who calibrates, who judges, and the fingerprint that pins it."""

from collections.abc import Iterator, Sequence

import dagster as dg

from credit_risk_platform.adapters import training_data
from credit_risk_platform.adapters.training_table import SplitCard
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.catalog import Gold, Group, Owner
from credit_risk_platform.defs.training import checks
from credit_risk_platform.domain.features import model_features
from credit_risk_platform.domain.splits import SplitError, plan_splits
from credit_risk_platform.settings import Settings
from credit_risk_platform.workbench import report

PREVIEW_ROWS = 5


@dg.asset(
    key=Gold.TRAINING_SET,
    deps=[Gold.APPLICATION_FEATURES, Gold.LOAN_OUTCOMES],
    group_name=Group.TRAINING,
    owners=[Owner.MODELS],
    kinds={"duckdb", "sql"},
    code_version="1",
    check_specs=checks.TRAINING_SET_CHECKS,
    description=(
        "What models learn from: every loan of a matured vintage that met the credit policy, with its features as "
        "they were at the decision, whether it went bad, and the split its issue month belongs to. Train, early stop, "
        "validation and out-of-time follow each other in time. The data version is a fingerprint of the content; "
        "every model bundle carries it."
    ),
)
def training_set(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[DuckLakeWarehouse],
    settings: dg.ResourceParam[Settings],
) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:
    features = model_features(alternative_data=settings.alternative_data)
    snapshot = warehouse.snapshot()
    months, loans = training_data.vintages(warehouse)
    try:
        plan = plan_splits(months, loans)
    except SplitError as error:
        yield checks.too_little_data(str(error))
        raise dg.Failure(f"Too little data to train on: {error}. {checks.MORE_DATA}", allow_retries=False) from error
    context.log.info("%d loans in %d vintages, out-of-time from %s", loans.sum(), months.size, plan.out_of_time_from)
    select = training_data.select_training_set([feature.name for feature in features], plan)
    rows = warehouse.replace_table(training_data.TABLE, select)
    cards = training_data.cards(warehouse)
    yield from checks.training_set_results(warehouse, cards)
    meanings = {feature.name: feature.documentation for feature in features}
    yield dg.MaterializeResult(
        data_version=dg.DataVersion(training_data.fingerprint(warehouse)),
        metadata={
            "dagster/row_count": rows,
            "dagster/table_name": training_data.TABLE,
            "dagster/column_schema": report.column_schema(warehouse.columns(training_data.TABLE), meanings),
            "splits": _splits(cards),
            "bad_rate": sum(card.bads for card in cards) / rows,
            "features": len(features),
            "read_from_snapshot": snapshot,
            "preview": _preview(warehouse),
        },
    )


def _splits(cards: Sequence[SplitCard]) -> dg.MetadataValue:
    return report.markdown_table(
        ["split", "loans", "bad loans", "bad rate", "first vintage", "last vintage"],
        [
            [card.split, f"{card.loans:,}", f"{card.bads:,}", f"{card.bad_rate:.2%}",
             f"{card.first_month:%Y-%m}", f"{card.last_month:%Y-%m}"]
            for card in cards
        ],
    )  # fmt: skip


def _preview(warehouse: DuckLakeWarehouse) -> dg.MetadataValue:
    """A few loans, one per column: with some fifty columns the table reads better on its side."""
    loans = warehouse.query(f"select * from {training_data.TABLE} order by loan_id limit {PREVIEW_ROWS}")
    rows = [[name, *loans[name].to_pylist()] for name in loans.column_names]
    return report.markdown_table(["column", *(f"loan {k + 1}" for k in range(loans.num_rows))], rows)
