"""What must hold before a model may learn from the training set, and how a promotion's gates become check results.

Inline checks: they belong to the asset whose materialisation they judge and cost no step of their own.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg

from credit_risk_platform.adapters import training_data
from credit_risk_platform.adapters.training_data import SplitCard
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.catalog import Gold, Models
from credit_risk_platform.domain.features import Policy, Stage, by_name
from credit_risk_platform.domain.promotion import Gate, GateName
from credit_risk_platform.domain.splits import Split

MIN_BADS = {Split.TRAIN: 100, Split.EARLY_STOP: 20, Split.VALIDATION: 30, Split.OUT_OF_TIME: 30}
"""Below this no model can be told from chance. A scorecard one would lend by wants ten times as many."""

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

_GATES = {
    GateName.ELIGIBLE: "At least one candidate does not overfit.",
    GateName.BETTER: "Not worse than the present champion on the same validation and out-of-time loans.",
    GateName.CALIBRATION: "Predicted PDs meet observed bad rates out-of-time.",
    GateName.LEAKAGE: "No input knows what only the outcome could tell.",
    GateName.TOO_GOOD: "An application model this good would be suspect.",
    GateName.STABILITY: "The population scored out-of-time resembles the one trained on.",
}

CHAMPION_CHECKS = [
    dg.AssetCheckSpec(str(name), asset=Models.CHAMPION, blocking=name.blocking, description=text)
    for name, text in _GATES.items()
]

LEAKAGE_GUARD = dg.AssetCheckKey(Gold.APPLICATION_FEATURES, "leakage_guard")
"""The marts' own guard, which follows column lineage; here its latest result counts."""


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
    faults = uncleared(names)
    return _result(
        "cleared_features",
        not faults,
        {"features": len(names), "faults": "; ".join(faults)},
        "Register the feature in domain/features.py with stage APPLICATION and policy MODEL, or leave it out. An offer "
        "feature (rate, grade) belongs to a pricing model, not to this one.",
    )


def uncleared(names: Sequence[str]) -> list[str]:
    """One sentence per name that the application PD may not use."""
    return [fault for name in names if (fault := _fault(name)) is not None]


def leaks(instance: dg.DagsterInstance, names: Sequence[str]) -> list[str]:
    """What speaks against these inputs: the registry, and the latest result of the marts' leakage guard."""
    record = instance.get_latest_asset_check_evaluation_record(LEAKAGE_GUARD)
    red = record is not None and record.evaluation is not None and not record.evaluation.passed
    return [*uncleared(names), *(["the leakage guard of the feature mart is red"] if red else [])]


def gate_result(gate: Gate) -> dg.AssetCheckResult:
    """A gate as a check of `models/champion`."""
    return dg.AssetCheckResult(
        check_name=str(gate.name),
        asset_key=Models.CHAMPION,
        passed=gate.passed,
        severity=dg.AssetCheckSeverity.ERROR if gate.name.blocking else dg.AssetCheckSeverity.WARN,
        description=gate.finding,
        metadata={"finding": gate.finding, **({"next_step": gate.next_step} if gate.next_step else {})},
    )


def _fault(name: str) -> str | None:
    try:
        feature = by_name(name)
    except KeyError:
        return f"{name} is not in the feature registry"
    if feature.stage is Stage.APPLICATION and feature.policy is Policy.MODEL:
        return None
    return f"{name} is a {feature.stage} feature for {feature.policy}, not for the application PD"


def _result(name: str, passed: bool, metadata: dict[str, Any], next_step: str) -> dg.AssetCheckResult:
    shown = {key: value for key, value in metadata.items() if value != ""}
    return dg.AssetCheckResult(
        check_name=name,
        asset_key=Gold.TRAINING_SET,
        passed=passed,
        metadata={**shown, **({} if passed else {"next_step": next_step})},
    )
