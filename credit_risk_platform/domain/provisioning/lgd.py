"""Loss given default: the share of the exposure at default that is not recovered, discounted and after costs.

Groups of term and purpose are pulled towards the mean by how little is known of them. The longer a loan is in default,
the less is still to come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from credit_risk_platform.domain.provisioning.contents import sha256_of

KIND = "lgd"
WORKOUT_MONTHS = 24
"""Recoveries come within so long after a default; then the workout is closed."""
MAX_LGD = 1.2
"""More than all can be lost where collecting costs more than it brings; beyond this a figure is a fault."""


@dataclass(frozen=True)
class LgdLoans:
    """n loans. `term_months` (n,) int, `purpose` (n,) text."""

    term_months: np.ndarray
    purpose: np.ndarray

    def __len__(self) -> int:
        return len(self.term_months)

    def groups(self) -> np.ndarray:
        """(n,) text: the name of each loan's group, as 36|car."""
        joined = np.char.add(np.asarray(self.term_months).astype(int).astype(str), "|")
        return np.char.add(joined, np.asarray(self.purpose).astype(str))


@dataclass(frozen=True)
class LgdModel:
    """`mean` of all closed workouts, `groups` by `LgdLoans.groups()`; `notes` take no part in a forecast.

    `per_point` is the downturn add-on: LGD per percentage point of unemployment above `reference_unemployment`.
    """

    mean: float
    groups: Mapping[str, float]
    per_point: float = 0.0
    reference_unemployment: float = 0.0
    notes: Mapping[str, Any] = field(default_factory=dict)

    def lgd(self, loans: LgdLoans, unemployment: float | None = None) -> np.ndarray:
        """LGD (n,) in [0, 1.2] of loans that default, with the add-on of a rate of unemployment in per cent.

        Without a rate, or where it is below the reference, nothing is added.
        """
        found: np.ndarray = self.path(
            loans, np.array([self.reference_unemployment if unemployment is None else unemployment])
        )[:, 0]
        return found

    def path(self, loans: LgdLoans, unemployment: np.ndarray) -> np.ndarray:
        """LGD (n, horizon) of loans that default in month t, by the rate of unemployment (horizon,) of that month."""
        names, which = np.unique(loans.groups(), return_inverse=True)
        level = np.array([self.groups.get(str(name), self.mean) for name in names])[which.reshape(-1)]
        return np.clip(level[:, None] + self.downturn(unemployment), 0.0, MAX_LGD)

    def downturn(self, unemployment: np.ndarray) -> np.ndarray:
        """What each rate of unemployment (per cent) adds to every LGD; the same shape."""
        added: np.ndarray = self.per_point * np.maximum(
            np.asarray(unemployment, float) - self.reference_unemployment, 0.0
        )
        return added

    def in_default(
        self, loans: LgdLoans, months_in_default: np.ndarray, unemployment: float | None = None
    ) -> np.ndarray:
        """LGD (n,) of loans that are in default for so many months already (stage 3), in [0, 1.2].

        Recoveries are taken to come evenly over the workout, so after m of its months a share 1 - m / 24 of them is
        still to come; when it is over, what is owed is lost.
        """
        start = self.lgd(loans, unemployment)
        to_come = np.clip(1.0 - np.asarray(months_in_default, float) / WORKOUT_MONTHS, 0.0, 1.0)
        left: np.ndarray = np.where(start < 1.0, 1.0 - (1.0 - start) * to_come, start)
        return left

    def to_dict(self) -> dict[str, Any]:
        return {
            "kind": KIND,
            "mean": self.mean,
            "groups": dict(self.groups),
            "per_point": self.per_point,
            "reference_unemployment": self.reference_unemployment,
            "notes": dict(self.notes),
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> LgdModel:
        return cls(**{name: value for name, value in stored.items() if name != "kind"})

    @cached_property
    def sha256(self) -> str:
        return sha256_of(self.to_dict())
