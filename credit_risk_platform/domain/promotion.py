"""Which candidate may become champion: eligibility, the choice, and the gates. Pure rules over measured numbers.

Three kinds of evidence, kept apart. *Validation* chooses: candidates are ranked by the log-loss of their calibrated
PDs on held-out validation folds. *Out-of-time* never ranks; it may only rule a candidate out (it memorised its
training rows) or stop the promotion (a gate). *The present champion* is measured again on the challenger's very rows.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from credit_risk_platform.domain.splits import Split

Metrics = Mapping[str, Mapping[str, float]]
"""split -> metric -> value; the names are those of `evaluation.evaluate`."""


ECE_BINS = 10
ECE_NOISE_FACTOR = 1.5
"""An ECE this many times what sampling alone gives is taken for miscalibration."""


class GateName(StrEnum):
    """The checks of `models/champion`, in the order in which they are shown."""

    ELIGIBLE = "eligible_candidate"
    BETTER = "better_than_champion"
    CALIBRATION = "calibration"
    LEAKAGE = "leakage"
    TOO_GOOD = "too_good_to_be_true"
    STABILITY = "population_stability"

    @property
    def blocking(self) -> bool:
        """Whether a red one stops the promotion; the others only warn."""
        return self is not GateName.STABILITY


@dataclass(frozen=True)
class Rules:
    """Thresholds. AUC, ECE and losses are absolute; a candidate may be worse than the champion by the tolerances."""

    max_ece: float = 0.02
    min_slope: float = 0.8
    max_slope: float = 1.25
    max_auc: float = 0.80
    max_overfit: float = 0.05
    auc_tolerance: float = 0.001
    log_loss_tolerance: float = 0.0005
    max_psi: float = 0.25
    ece_noise: float = 0.0
    """ECE that sampling alone gives on as many loans; a small book is not refused for being small."""
    inputs: str = "application features"
    """What the model reads, for the words of the gates: how good is too good depends on it."""

    @property
    def ece_limit(self) -> float:
        return max(self.max_ece, ECE_NOISE_FACTOR * self.ece_noise)


def sampling_ece(loans: int, bad_rate: float) -> float:
    """ECE to expect of a perfectly calibrated model on `loans` loans in ten equal-count bins.

    The mean absolute error of a bin's observed rate, sqrt(2/pi) standard errors: 10,000 loans at 15 % give 0.009.
    """
    return math.sqrt(2 / math.pi * bad_rate * (1 - bad_rate) * ECE_BINS / max(loans, 1))


@dataclass(frozen=True)
class Contender:
    """A trained model as the rules see it.

    `validation_loss`: log-loss of its calibrated PDs on held-out validation folds. `intercept_shift`: ln(observed
    odds / predicted odds) out-of-time. `metrics`: of every split it was measured on.
    """

    name: str
    sha: str
    metrics: Metrics
    validation_loss: float = float("nan")
    intercept_shift: float = 0.0

    def value(self, split: Split, metric: str) -> float:
        return self.metrics[split][metric]


@dataclass(frozen=True)
class Verdict:
    """Whether a candidate may be chosen, and why (not)."""

    contender: Contender
    eligible: bool
    reason: str


@dataclass(frozen=True)
class Gate:
    """One gate's result: the finding with its numbers and, when it is red, what to do."""

    name: GateName
    passed: bool
    finding: str
    next_step: str = ""


def judge(contenders: Iterable[Contender], rules: Rules, withdrawn: Collection[str] = ()) -> tuple[Verdict, ...]:
    """Every candidate's verdict, best first: the eligible by validation loss, then the others by the same.

    `withdrawn` holds the hashes of bundles that a rollback took out of service: training must not bring them back.
    """
    verdicts = [_verdict(contender, rules, withdrawn) for contender in contenders]
    return tuple(sorted(verdicts, key=lambda v: (not v.eligible, v.contender.validation_loss, v.contender.name)))


def weigh(
    verdicts: Sequence[Verdict], champion: Contender | None, leaks: Sequence[str], rules: Rules
) -> tuple[Gate, ...]:
    """The gates of the best candidate; the first only, when no candidate is eligible.

    `verdicts` as from `judge`. `champion` carries its metrics on the challenger's rows; `None` before the first one.
    `leaks` names what the leakage guard found, one sentence each.
    """
    if not verdicts or not verdicts[0].eligible:
        return (_nobody(verdicts),)
    challenger = verdicts[0].contender
    found = f"{challenger.name} has the lowest validation log-loss ({challenger.validation_loss:.4f}) of those eligible"
    return (
        Gate(GateName.ELIGIBLE, True, found),
        _better(challenger, champion, rules),
        *own_gates(challenger, leaks, rules),
    )


def own_gates(contender: Contender, leaks: Sequence[str], rules: Rules) -> tuple[Gate, ...]:
    """The gates that need no rival: calibration, leakage, plausibility, stability."""
    return (
        _calibrated(contender, rules),
        _unleaked(leaks),
        _plausible(contender, rules),
        _stable(contender, rules),
    )


def may_promote(gates: Iterable[Gate]) -> bool:
    """Whether every blocking gate is green."""
    return all(gate.passed for gate in gates if gate.name.blocking)


def _verdict(contender: Contender, rules: Rules, withdrawn: Collection[str]) -> Verdict:
    if contender.sha in withdrawn:
        return Verdict(contender, False, "withdrawn: a rollback took this very bundle out of service")
    drop = contender.value(Split.TRAIN, "auc") - contender.value(Split.OUT_OF_TIME, "auc")
    finding = f"AUC falls by {drop:.3f} from train to out-of-time (limit {rules.max_overfit})"
    eligible = drop <= rules.max_overfit
    return Verdict(contender, eligible, finding if eligible else f"overfit: {finding}")


def _nobody(verdicts: Sequence[Verdict]) -> Gate:
    reasons = "; ".join(f"{verdict.contender.name}: {verdict.reason}" for verdict in verdicts)
    return _gate(
        GateName.ELIGIBLE,
        False,
        f"no eligible candidate: {reasons or 'none was trained on the present training set'}",
        "Train the candidates on the present training set, or regularise them (less depth, larger leaves).",
    )


def _better(challenger: Contender, champion: Contender | None, rules: Rules) -> Gate:
    if champion is None:
        return Gate(GateName.BETTER, True, "first champion: there is nothing to beat yet")
    if champion.sha == challenger.sha:
        return Gate(GateName.BETTER, True, f"{challenger.name} is the champion already, to the last byte")
    shortfalls = [
        text
        for split in (Split.VALIDATION, Split.OUT_OF_TIME)
        for text in _shortfalls(challenger, champion, split, rules)
    ]
    gain = challenger.value(Split.OUT_OF_TIME, "auc") - champion.value(Split.OUT_OF_TIME, "auc")
    return _gate(
        GateName.BETTER,
        not shortfalls,
        f"{challenger.name} against the champion {champion.name} on the same rows: "
        + ("; ".join(shortfalls) or f"not worse, out-of-time AUC {gain:+.4f}"),
        "The champion stays and the challenger is registered as @challenger. Improve it or train on newer vintages.",
    )


def _shortfalls(challenger: Contender, champion: Contender, split: Split, rules: Rules) -> list[str]:
    auc, champion_auc = challenger.value(split, "auc"), champion.value(split, "auc")
    loss, champion_loss = challenger.value(split, "log_loss"), champion.value(split, "log_loss")
    found = []
    # Written so that a metric that could not be measured (NaN) counts as worse.
    if not auc >= champion_auc - rules.auc_tolerance:
        found.append(f"{split} AUC {auc:.4f} is below {champion_auc:.4f}")
    if not loss <= champion_loss + rules.log_loss_tolerance:
        found.append(f"{split} log-loss {loss:.4f} is above {champion_loss:.4f}")
    return found


def _calibrated(contender: Contender, rules: Rules) -> Gate:
    ece, slope = contender.value(Split.OUT_OF_TIME, "ece"), contender.value(Split.OUT_OF_TIME, "calibration_slope")
    return _gate(
        GateName.CALIBRATION,
        ece <= rules.ece_limit and rules.min_slope <= slope <= rules.max_slope,
        f"out-of-time ECE {ece:.4f} (limit {rules.ece_limit:.4g}), "
        f"calibration slope {slope:.3f} ({rules.min_slope} to {rules.max_slope})",
        f"If the level of defaults moved, shift the intercept by {contender.intercept_shift:+.4f} = ln(observed odds / "
        "predicted odds); if the slope is off, calibrate on later vintages.",
    )


def _unleaked(leaks: Sequence[str]) -> Gate:
    return _gate(
        GateName.LEAKAGE,
        not leaks,
        "; ".join(leaks) or "every input is known at the decision and cleared for this model",
        "Take the feature out of the registry's MODEL policy or mend its SQL, rebuild the marts and train again.",
    )


def _plausible(contender: Contender, rules: Rules) -> Gate:
    auc = contender.value(Split.OUT_OF_TIME, "auc")
    return _gate(
        GateName.TOO_GOOD,
        auc <= rules.max_auc,
        f"out-of-time AUC {auc:.4f} (from {rules.inputs} alone, more than {rules.max_auc} is suspect)",
        "Look at the most important features: one of them probably knows the outcome.",
    )


def _stable(contender: Contender, rules: Rules) -> Gate:
    psi = contender.value(Split.OUT_OF_TIME, "psi")
    return _gate(
        GateName.STABILITY,
        psi <= rules.max_psi,
        f"PSI of the PD from train to out-of-time {psi:.4f} (warning above {rules.max_psi})",
        "The population moved: see which features did in monitoring/feature_drift, and train more often.",
    )


def _gate(name: GateName, passed: bool, finding: str, next_step: str) -> Gate:
    return Gate(name, passed, finding, "" if passed else next_step)
