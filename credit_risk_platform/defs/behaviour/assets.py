"""The behavioural training set: loans on the book at month ends, labelled by what the next twelve months brought."""

from collections.abc import Sequence

import dagster as dg
import numpy as np

from credit_risk_platform.adapters import behaviour_data
from credit_risk_platform.adapters.behaviour_data import SET
from credit_risk_platform.adapters.training_table import SplitCard
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.catalog import Gold, Group, Owner
from credit_risk_platform.defs.behaviour import checks
from credit_risk_platform.domain.features import Stage, of_stages
from credit_risk_platform.domain.observation import (
    DEFAULT_DPD,
    EVERY_MONTHS,
    MIN_MONTHS_ON_BOOK,
    WINDOW_MONTHS,
    ObservationPlan,
    plan_observations,
)
from credit_risk_platform.domain.splits import Split, SplitError
from credit_risk_platform.workbench import report

NO_PANEL = (
    "This portfolio comes without repayment histories, so no loan can be observed on the book: the set is empty and "
    "no behavioural model is trained. Nothing is wrong; the application model is not affected."
)


@dg.asset(
    key=Gold.BEHAVIOUR_TRAINING_SET,
    deps=[Gold.BEHAVIOUR_FEATURES, Gold.LOAN_OUTCOMES],
    group_name=Group.BEHAVIOUR,
    owners=[Owner.MODELS],
    kinds={"duckdb", "sql"},
    code_version="1",
    check_specs=checks.TRAINING_SET_CHECKS,
    description=(
        f"What the behavioural model learns from: a loan on the book at a month end, {MIN_MONTHS_ON_BOOK} months or "
        f"older, below {DEFAULT_DPD} days past due and never in default before, with its behaviour as it was known "
        f"then, and whether it defaulted within the next {WINDOW_MONTHS} months. Only observations whose "
        f"{WINDOW_MONTHS} months are over: one that is too young is not good, it is left out. Each loan is observed "
        f"every {EVERY_MONTHS} months, so it appears several times, and a default may show at up to "
        f"{WINDOW_MONTHS // EVERY_MONTHS} of its observations. Splits follow each other in time, with an embargo "
        "before validation and before out-of-time that keeps one default from being the label on both sides. Empty "
        "for a portfolio without repayment histories."
    ),
)
def behaviour_training_set(
    context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[DuckLakeWarehouse]
) -> dg.MaterializeResult:
    features = of_stages(Stage.BEHAVIOUR)
    snapshot = warehouse.snapshot()
    months, counts = behaviour_data.calendar(warehouse)
    plan = _plan(context, months, counts)
    rows = warehouse.replace_table(
        SET.name, behaviour_data.select_training_set([feature.name for feature in features], plan)
    )
    cards = SET.cards(warehouse)
    obstacle = behaviour_data.obstacle(warehouse, cards)
    meanings = {feature.name: feature.documentation for feature in features}
    return dg.MaterializeResult(
        data_version=dg.DataVersion(SET.fingerprint(warehouse)),
        metadata={
            "dagster/row_count": rows,
            "dagster/table_name": SET.name,
            "dagster/column_schema": report.column_schema(warehouse.columns(SET.name), meanings),
            "splits": _splits(cards, behaviour_data.defaulters(warehouse)),
            "model": f"Not trained: {obstacle}." if obstacle else "Can be trained.",
            **({} if behaviour_data.has_panel(warehouse) else {"note": NO_PANEL}),
            "embargo": _embargo(plan, int(counts.sum()) - rows),
            "features": len(features),
            "read_from_snapshot": snapshot,
        },
        check_results=checks.training_set_results(warehouse, cards, plan, obstacle),
    )


def _plan(context: dg.AssetExecutionContext, months: np.ndarray, counts: np.ndarray) -> ObservationPlan | None:
    try:
        plan = plan_observations(months, counts)
    except SplitError as error:
        context.log.info("no behavioural training set: %s", error)
        return None
    context.log.info(
        "%d observations in %d months, out-of-time from %s, embargo of %d months",
        counts.sum(), months.size, plan.out_of_time_from, plan.embargo,
    )  # fmt: skip
    return plan


def _embargo(plan: ObservationPlan | None, left_out: int) -> str:
    if plan is None:
        return "no splits"
    full = "" if plan.embargo == WINDOW_MONTHS else f"; the history is too short for the full {WINDOW_MONTHS}"
    return f"{plan.embargo} months before {Split.VALIDATION} and {Split.OUT_OF_TIME}, {left_out:,} rows left out{full}"


def _splits(cards: Sequence[SplitCard], loans: dict[str, tuple[int, int]]) -> dg.MetadataValue:
    return report.markdown_table(
        ["split", "observations", "bad", "bad rate", "loans", "loans that defaulted", "first month", "last month"],
        [
            [card.split, f"{card.loans:,}", f"{card.bads:,}", f"{card.bad_rate:.2%}", f"{loans[card.split][0]:,}",
             f"{loans[card.split][1]:,}", f"{card.first_month:%Y-%m}", f"{card.last_month:%Y-%m}"]
            for card in cards
        ],
    )  # fmt: skip
