"""What must hold before a model may learn from the training set.

Inline checks: they belong to the asset whose materialisation they judge and cost no step of their own.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg

from credit_risk_platform.adapters import training_data
from credit_risk_platform.adapters.training_table import SplitCard
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.catalog import Gold
from credit_risk_platform.defs.training.family import APPLICATION
from credit_risk_platform.domain.splits import MIN_BADS, Split

MORE_DATA = (
    "Land more or older loans (or raise CRP_SYNTHETIC_LOANS), or shorten CRP_PERFORMANCE_WINDOW_MONTHS so that more "
    "vintages have matured; then rebuild the marts."
)

TRAINING_SET_CHECKS = [
    dg.AssetCheckSpec("split_disjoint", asset=Gold.TRAINING_SET, blocking=True,
        description="No loan is in two splits, and every split lies wholly after the one before it."),
    dg.AssetCheckSpec("label_maturity", asset=Gold.TRAINING_SET, blocking=True,
        description="Only matured loans, and every loan of a vintage: a young vintage's early defaults mislead."),
    dg.AssetCheckSpec("enough_bads", asset=Gold.TRAINING_SET, blocking=True,
        description="Each split holds enough bad loans to learn from, to calibrate on and to judge by."),
    dg.AssetCheckSpec("cleared_features", asset=Gold.TRAINING_SET, blocking=True,
        description="Every input is registered, known at the application and cleared for models."),
]  # fmt: skip


def training_set_results(warehouse: Warehouse, cards: Sequence[SplitCard]) -> Iterator[dg.AssetCheckResult]:
    """The results of `TRAINING_SET_CHECKS` for the table as it now stands."""
    yield split_disjoint(cards, training_data.repeated_loans(warehouse))
    yield label_maturity(*training_data.unripe_loans(warehouse))
    yield enough_bads(cards)
    used = [name for name in warehouse.columns(training_data.TABLE) if name not in training_data.IDENTITY]
    yield cleared_features(used)


def split_disjoint(cards: Sequence[SplitCard], repeated: int) -> dg.AssetCheckResult:
    overlaps = [
        f"{earlier.split} ends {earlier.last_month:%Y-%m}, {later.split} starts {later.first_month:%Y-%m}"
        for earlier, later in itertools.pairwise(cards)
        if earlier.last_month >= later.first_month
    ]
    wrong_order = [card.split for card in cards] != [str(split) for split in Split]
    passed = not overlaps and not repeated and not wrong_order
    return _result(
        "split_disjoint",
        passed,
        {"repeated_loans": repeated, "overlaps": "; ".join(overlaps), "order": ", ".join(card.split for card in cards)},
        "A loan id repeats or splits overlap: check that gold.application_features has one row per loan.",
    )


def label_maturity(unripe: int, missing: int) -> dg.AssetCheckResult:
    return _result(
        "label_maturity",
        unripe == 0 and missing == 0,
        {"immature_or_wrong_labels": unripe, "loans_missing_from_their_vintage": missing},
        "gold.loan_outcomes changed or is incomplete: rebuild the marts, then this asset.",
    )


def enough_bads(cards: Sequence[SplitCard]) -> dg.AssetCheckResult:
    bads = {card.split: card.bads for card in cards}
    short = [f"{split} has {bads.get(split, 0)} bad loans, needs {least}" for split, least in MIN_BADS.items()
             if bads.get(split, 0) < least]  # fmt: skip
    return _result("enough_bads", not short, {"bads": bads, "short": "; ".join(short)}, MORE_DATA)


def too_little_data(reason: str) -> dg.AssetCheckResult:
    """When there are not even vintages enough to cut splits from."""
    return _result("enough_bads", False, {"short": reason}, MORE_DATA)


def cleared_features(names: Sequence[str]) -> dg.AssetCheckResult:
    faults = APPLICATION.uncleared(names)
    return _result(
        "cleared_features",
        not faults,
        {"features": len(names), "faults": "; ".join(faults)},
        "Register the feature in domain/features.py with stage APPLICATION and policy MODEL, or leave it out. An offer "
        "feature (rate, grade) belongs to a pricing model, not to this one.",
    )


def _result(name: str, passed: bool, metadata: dict[str, Any], next_step: str) -> dg.AssetCheckResult:
    shown = {key: value for key, value in metadata.items() if value != ""}
    return dg.AssetCheckResult(
        check_name=name,
        asset_key=Gold.TRAINING_SET,
        passed=passed,
        metadata={**shown, **({} if passed else {"next_step": next_step})},
    )
