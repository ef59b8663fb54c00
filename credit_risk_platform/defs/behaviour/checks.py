"""What must hold before a behavioural model may learn. An empty set breaks none of it; that it is empty is not red."""

import itertools
from collections.abc import Sequence
from typing import Any

import dagster as dg

from credit_risk_platform.adapters import behaviour_data
from credit_risk_platform.adapters.behaviour_data import SET
from credit_risk_platform.adapters.training_table import SplitCard
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.catalog import Gold
from credit_risk_platform.defs.behaviour.family import BEHAVIOURAL
from credit_risk_platform.domain.observation import ObservationPlan

TRAINING_SET_CHECKS = [
    dg.AssetCheckSpec("split_disjoint", asset=Gold.BEHAVIOUR_TRAINING_SET, blocking=True,
        description="No observation is there twice, every split lies after the one before it, the embargo is kept."),
    dg.AssetCheckSpec("label_maturity", asset=Gold.BEHAVIOUR_TRAINING_SET, blocking=True,
        description="Only loans not in default at the observation, only windows that are over, labels as they came."),
    dg.AssetCheckSpec("cleared_features", asset=Gold.BEHAVIOUR_TRAINING_SET, blocking=True,
        description="Every input is a registered behaviour feature that is cleared for models."),
    dg.AssetCheckSpec("enough_defaults", asset=Gold.BEHAVIOUR_TRAINING_SET,
        description="Each split holds enough loans that defaulted; with fewer the models are skipped, not failed."),
]  # fmt: skip


def training_set_results(
    warehouse: Warehouse, cards: Sequence[SplitCard], plan: ObservationPlan | None, obstacle: str
) -> list[dg.AssetCheckResult]:
    """The results of `TRAINING_SET_CHECKS` for the table as it now stands."""
    used = [name for name in warehouse.columns(SET.name) if name not in behaviour_data.IDENTITY]
    return [
        _split_disjoint(cards, SET.repeated(warehouse), plan),
        _label_maturity(behaviour_data.wrong_labels(warehouse)),
        _cleared_features(BEHAVIOURAL.uncleared(used), len(used)),
        _enough_defaults(obstacle, has_panel=behaviour_data.has_panel(warehouse)),
    ]


def _split_disjoint(cards: Sequence[SplitCard], repeated: int, plan: ObservationPlan | None) -> dg.AssetCheckResult:
    ends = {card.split: (card.first_month, card.last_month) for card in cards}
    faults = [
        f"{earlier.split} ends {earlier.last_month:%Y-%m}, {later.split} starts {later.first_month:%Y-%m}"
        for earlier, later in itertools.pairwise(cards)
        if _months(earlier, later) < (plan.embargo if plan and later.split in ("validation", "out_of_time") else 1)
    ]
    return _result(
        "split_disjoint",
        not faults and not repeated and (not cards or len(ends) == 4),
        {"repeated_rows": repeated, "too_close": "; ".join(faults), "order": ", ".join(card.split for card in cards)},
        "An observation repeats or splits touch: check that gold.behaviour_features has one row per loan and month.",
    )


def _months(earlier: SplitCard, later: SplitCard) -> int:
    last, first = earlier.last_month, later.first_month
    return (first.year - last.year) * 12 + first.month - last.month


def _label_maturity(wrong: int) -> dg.AssetCheckResult:
    advice = "gold.loan_outcomes or gold.behaviour_features changed: rebuild the marts, then this asset."
    return _result("label_maturity", wrong == 0, {"immature_or_wrong_labels": wrong}, advice)


def _cleared_features(faults: Sequence[str], used: int) -> dg.AssetCheckResult:
    return _result(
        "cleared_features",
        not faults,
        {"features": used, "faults": "; ".join(faults)},
        "Register the feature in domain/feature_behaviour.py with policy MODEL, or leave it out.",
    )


def _enough_defaults(obstacle: str, *, has_panel: bool) -> dg.AssetCheckResult:
    """A warning for a book that is too small or too young; a book without a panel has no behaviour to model."""
    return _result(
        "enough_defaults",
        not obstacle or not has_panel,
        {"obstacle": obstacle},
        "No behavioural model is trained until more loans are landed or more of their history is over.",
        severity=dg.AssetCheckSeverity.WARN,
    )


def _result(
    name: str,
    passed: bool,
    metadata: dict[str, Any],
    next_step: str,
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
) -> dg.AssetCheckResult:
    shown = {key: value for key, value in metadata.items() if value != ""}
    return dg.AssetCheckResult(
        check_name=name,
        asset_key=Gold.BEHAVIOUR_TRAINING_SET,
        passed=passed,
        severity=severity,
        metadata={**shown, **({} if passed else {"next_step": next_step})},
    )
