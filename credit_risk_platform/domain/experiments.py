"""Champion against challenger: who is in which arm, what the difference is, and when it is time to stop.

A `shadow` experiment scores the challenger beside the champion and can never act. A `split` one lets the challenger
decide for a share of the applicants, the same ones every time: their arm is a hash of the experiment and the token.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from math import sqrt
from statistics import NormalDist

HASH_DIGITS = 13
"""Hexadecimal digits of the SHA-256 that make the lot: 52 bits, which a double holds exactly."""
POWER_AIM = 0.8


class Mode(StrEnum):
    SHADOW = "shadow"
    SPLIT = "split"


class Arm(StrEnum):
    CHAMPION = "champion"
    CHALLENGER = "challenger"


class ExperimentError(ValueError):
    """An experiment that cannot run; the message says what to mend."""


@dataclass(frozen=True)
class StopRule:
    """Read once, at `max_sample` applications, at level `alpha`; `smallest_effect` (share) is what would matter.

    Looking earlier is free, deciding earlier is not: a read-out every ten minutes would find a difference that is not
    there far more often than in `alpha` of all experiments. So before `max_sample` the rule says to wait.
    """

    max_sample: int = 5_000
    alpha: float = 0.05
    smallest_effect: float = 0.02

    def __post_init__(self) -> None:
        if self.max_sample < 1 or not 0 < self.alpha < 0.5 or not 0 < self.smallest_effect < 1:
            raise ExperimentError(
                f"stop rule {self}: max_sample counts applications, alpha lies below 0.5, smallest_effect in (0, 1)"
            )


@dataclass(frozen=True)
class Experiment:
    """`share` of the applicants belong to the challenger; in a shadow experiment it scores all and decides none.

    Times are naive UTC; `ended` is null while it runs. `champion_sha` is the champion at its start.
    """

    id: str
    challenger_sha: str
    champion_sha: str
    mode: Mode
    started: datetime
    share: float = 1.0
    stop_rule: StopRule = StopRule()
    ended: datetime | None = None
    ended_because: str = ""

    def __post_init__(self) -> None:
        if not self.id or "|" in self.id:
            raise ExperimentError(f"experiment id {self.id!r}: give it a name without '|'")
        if not 0 < self.share <= 1:
            raise ExperimentError(f"experiment {self.id}: share {self.share} must lie above 0 and at most at 1")
        if self.challenger_sha == self.champion_sha:
            raise ExperimentError(f"experiment {self.id}: the challenger is the champion, there is nothing to compare")

    @property
    def running(self) -> bool:
        return self.ended is None

    def assigned(self, subject_token: str) -> Arm:
        """The arm an applicant belongs to, whatever the mode; the same one on any day and machine."""
        return Arm.CHALLENGER if lot(self.id, subject_token) < self.share else Arm.CHAMPION

    def arm(self, subject_token: str) -> Arm:
        """Who decides about this applicant now. Never the challenger in a shadow experiment or in one that ended."""
        decides = self.mode is Mode.SPLIT and self.running
        return self.assigned(subject_token) if decides else Arm.CHAMPION


def lot(experiment_id: str, subject_token: str) -> float:
    """An applicant's place in [0, 1), even over applicants and independent between experiments."""
    digest = hashlib.sha256(f"{experiment_id}|{subject_token}".encode()).hexdigest()
    return int(digest[:HASH_DIGITS], 16) / float(16**HASH_DIGITS)


@dataclass(frozen=True)
class Effect:
    """Approval rate of the challenger minus the champion's, with a confidence interval at 1 - alpha.

    `power` is the chance to find a difference of `smallest_effect` with a sample of this size.
    """

    champion_rate: float
    challenger_rate: float
    difference: float
    low: float
    high: float
    p_value: float
    power: float


def paired_effect(both: int, only_champion: int, only_challenger: int, neither: int, rule: StopRule) -> Effect | None:
    """Both models on the same applications (shadow): the error comes from those they disagree on (McNemar)."""
    n = both + only_champion + only_challenger + neither
    if n == 0:
        return None
    difference = (only_challenger - only_champion) / n
    disagree = (only_champion + only_challenger) / n
    error = sqrt(max(disagree - difference**2, 0.0) / n)
    # Under no difference, and for the effect that would matter: at least that many applications must disagree.
    p_value = _two_sided(difference, sqrt(disagree / n))
    power = _power(rule, sqrt(max(disagree, rule.smallest_effect) / n))
    rates = (both + only_champion) / n, (both + only_challenger) / n
    return _effect(*rates, error, p_value, power, rule)


def two_sample_effect(champion: tuple[int, int], challenger: tuple[int, int], rule: StopRule) -> Effect | None:
    """Each model on applicants of its own (split): (approved, applications) per arm, two-proportion z interval."""
    (approved_a, n_a), (approved_b, n_b) = champion, challenger
    if not n_a or not n_b:
        return None
    a, b = approved_a / n_a, approved_b / n_b
    pooled = (approved_a + approved_b) / (n_a + n_b)
    under_null = sqrt(pooled * (1 - pooled) * (1 / n_a + 1 / n_b))
    error = sqrt(a * (1 - a) / n_a + b * (1 - b) / n_b)
    return _effect(a, b, error, _two_sided(b - a, under_null), _power(rule, under_null), rule)


def verdict(effect: Effect | None, sample: int, rule: StopRule) -> str:
    """What the stop rule says, in words."""
    if effect is None or sample < rule.max_sample:
        return f"go on: {sample:,} of {rule.max_sample:,} applications"
    if effect.p_value < rule.alpha:
        return f"stop: the approval rates differ (p {effect.p_value:.4f} at level {rule.alpha:g})"
    enough = effect.power >= POWER_AIM
    why = f"a difference of {rule.smallest_effect:.1%} would {'' if enough else 'not surely '}have been found"
    return f"stop: no difference shown (p {effect.p_value:.4f}); {why} (power {effect.power:.0%})"


def _effect(a: float, b: float, error: float, p_value: float, power: float, rule: StopRule) -> Effect:
    reach = NormalDist().inv_cdf(1 - rule.alpha / 2) * error
    return Effect(a, b, b - a, b - a - reach, b - a + reach, p_value, power)


def _two_sided(difference: float, error: float) -> float:
    if error == 0:
        return 1.0 if difference == 0 else 0.0
    return 2 * (1 - NormalDist().cdf(abs(difference) / error))


def _power(rule: StopRule, error: float) -> float:
    if error == 0:
        return 1.0
    return NormalDist().cdf(rule.smallest_effect / error - NormalDist().inv_cdf(1 - rule.alpha / 2))
