"""What a feature is: the words every entry of the registry must fill in."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

ALTERNATIVE_TAG = "alt_data"
"""What catalogues show of alternative data."""


class Stage(StrEnum):
    """When a value exists, which decides what may use it."""

    APPLICATION = "application"
    BEHAVIOUR = "behaviour"
    MACRO = "macro"
    RESTRICTED = "restricted"
    OFFER = "offer"
    ALTERNATIVE = "alternative"
    """Known at the decision, from data that lenders do not usually have; in a model only where it is switched on."""


class Policy(StrEnum):
    """What it may be used for: in a model, only watched, or only under a fairness or pricing purpose."""

    MODEL = "model"
    MONITORING = "monitoring"
    RESTRICTED = "restricted"


@dataclass(frozen=True)
class Feature:
    """One column of a feature mart. Ratios are plain ratios (0.24, never 24), money is in the loan's currency."""

    name: str
    description: str
    formula: str
    unit: str
    as_of_rule: str
    stage: Stage
    policy: Policy
    inputs: tuple[str, ...]
    """Columns of `silver.int_applications`, of the loan-month panel, of the staged loan or of the bank transactions, or
    macro series ids."""
    kind: Literal["numeric", "categorical"] = "numeric"
    owner: str = "team:risk-models"
    monotone: Literal[-1, 0, 1] = 0
    """Expected direction of PD as the value rises; 0 where none is expected."""
    lower: float | None = None
    upper: float | None = None
    """Allowed range, both ends included; a value outside it is an error in the data, not a rare customer."""

    @property
    def documentation(self) -> str:
        """The sentence that dbt docs, Dagster and the data dictionary show."""
        tag = f" Tag: {ALTERNATIVE_TAG}." if self.stage is Stage.ALTERNATIVE else ""
        return f"{self.description} Formula: {self.formula}. Unit: {self.unit}. As of: {self.as_of_rule}.{tag}"
