"""When a model is trained anew outside its schedule: three triggers, one cool-down, and no evidence twice.

A training learns from matured loans only, and from the same loans it makes the same model. So evidence is used up by
the training it started, whatever became of that: for the same champion, drift and miscalibration call again only when
a later day shows them *and* loans have matured since, and the label trigger counts only loans that matured since.
Without that rule a lasting shift, whose candidates are refused, would start one training every cool-down for ever.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from credit_risk_platform.domain.drift import SIGNIFICANT, Verdict, verdict

SHORT = 12
"""Leading digits of a bundle's SHA-256 that people are shown."""


class Trigger(StrEnum):
    """What may call for a training."""

    SCORE_PSI = "score_psi"
    CALIBRATION = "calibration"
    NEW_LABELS = "new_labels"


@dataclass(frozen=True)
class Limits:
    """`new_labels` in loans. `max_shift` (log-odds) and `max_z` are those behind `Evidence.calibration_off`."""

    max_shift: float
    max_z: float
    new_labels: int
    cooldown: timedelta


@dataclass(frozen=True)
class Basis:
    """What a training was started on; as text it is the run's key, so the same basis never starts two runs."""

    as_of: date | None
    bundle: str
    labels: int

    def __str__(self) -> str:
        return f"{self.as_of or 'unmonitored'}/{self.bundle}/{self.labels}"

    @classmethod
    def parse(cls, text: str) -> Basis:
        """The inverse of `str`; `ValueError` for any other text."""
        day, bundle, labels = text.split("/")
        return cls(None if day == "unmonitored" else date.fromisoformat(day), bundle, int(labels))


@dataclass(frozen=True)
class Evidence:
    """What is known of the present champion. `as_of` is the newest monitored day; None when it did not reign then.

    `psi` of the PDs of new applications, None with too few of them. `shift` in log-odds and `z` in standard errors,
    None with too few matured loans. `new_labels`: loans to learn from in vintages that it did not know, None when not
    known yet.
    """

    bundle_sha: str
    as_of: date | None = None
    psi: float | None = None
    shift: float | None = None
    z: float | None = None
    calibration_off: bool = False
    new_labels: int | None = None

    @property
    def basis(self) -> Basis:
        return Basis(self.as_of, self.bundle_sha[:SHORT], self.new_labels or 0)


@dataclass(frozen=True)
class Triggered:
    """A training that was started by a trigger: when (UTC), by which, with which value, on what."""

    at: datetime
    run_id: str
    trigger: str
    value: str
    basis: Basis


@dataclass(frozen=True)
class Decision:
    """`triggers` with their `values` call for a training; none of them: no training. `sentence` says why, to people."""

    sentence: str
    triggers: tuple[Trigger, ...] = ()
    values: tuple[str, ...] = ()

    @property
    def train(self) -> bool:
        return bool(self.triggers)


@dataclass(frozen=True)
class _Reading:
    """One trigger held against its limit. `unused`: no training was started on it yet."""

    trigger: Trigger
    value: str
    above: bool
    unused: bool
    words: str


def decide(evidence: Evidence, limits: Limits, last: Triggered | None, running: str | None, now: datetime) -> Decision:
    """Whether to train now. `last` triggered training, of whatever trigger, champion and outcome; `running`: its name.

    The cool-down is counted from the start of `last`, so it also holds back a trigger of another kind.
    """
    readings = tuple(_readings(evidence, limits, last))
    told = "; ".join(reading.words for reading in readings) + "."
    if running:
        return Decision(f"A training is in progress ({running}). {told}")
    if not any(reading.above for reading in readings):
        return Decision(f"Nothing calls for a training: {told}")
    if last is not None and now < last.at + limits.cooldown:
        return Decision(
            f"Cool-down until {last.at + limits.cooldown:%Y-%m-%d %H:%M} UTC, after the training that {last.trigger} "
            f"started at {last.at:%Y-%m-%d %H:%M} UTC. {told}"
        )
    calling = [reading for reading in readings if reading.above and reading.unused]
    if last is not None and not calling:
        return Decision(
            f"The training that {last.trigger} started at {last.at:%Y-%m-%d %H:%M} UTC has used this evidence and the "
            f"champion stayed: another would learn from the same matured loans. If it crashed, re-execute it. {told}"
        )
    return Decision(
        f"Training because of {' and '.join(reading.trigger for reading in calling)}: {told}",
        tuple(reading.trigger for reading in calling),
        tuple(reading.value for reading in calling),
    )


def _readings(evidence: Evidence, limits: Limits, last: Triggered | None) -> Iterator[_Reading]:
    present = evidence.basis
    used = last.basis if last is not None and last.basis.bundle == present.bundle else None
    new_day = used is None or used.as_of is None or (present.as_of is not None and present.as_of > used.as_of)
    unused = used is None or (new_day and present.labels != used.labels)
    yield _psi(evidence, unused)
    yield _calibration(evidence, limits, unused)
    yield _labels(evidence, limits, used.labels if used else 0)


def _psi(evidence: Evidence, unused: bool) -> _Reading:
    if evidence.psi is None:
        why = "not enough data" if evidence.as_of else "not measured for this champion yet"
        return _Reading(Trigger.SCORE_PSI, "", False, unused, f"score PSI: {why}")
    above = verdict(evidence.psi) is Verdict.SIGNIFICANT
    words = f"score PSI {evidence.psi:.3f} as of {evidence.as_of} (limit {SIGNIFICANT:g})"
    return _Reading(Trigger.SCORE_PSI, f"{evidence.psi:.4f}", above, unused, words)


def _calibration(evidence: Evidence, limits: Limits, unused: bool) -> _Reading:
    if evidence.shift is None or evidence.z is None:
        why = "not enough data" if evidence.as_of else "not measured for this champion yet"
        return _Reading(Trigger.CALIBRATION, "", False, unused, f"calibration: {why}")
    words = (
        f"calibration off by {evidence.shift:+.3f} log-odds at {evidence.z:+.1f} standard errors "
        f"(limits {limits.max_shift:g} and {limits.max_z:g})"
    )
    return _Reading(Trigger.CALIBRATION, f"{evidence.shift:+.4f}", evidence.calibration_off, unused, words)


def _labels(evidence: Evidence, limits: Limits, used: int) -> _Reading:
    if evidence.new_labels is None:
        return _Reading(Trigger.NEW_LABELS, "", False, False, "loans unknown to the champion: not counted yet")
    fresh = evidence.new_labels - used
    known = f", {used:,} of them known to the last triggered training" if used else ""
    words = (
        f"{evidence.new_labels:,} loans of matured vintages unknown to the champion{known} "
        f"(limit {limits.new_labels:,})"
    )
    enough = evidence.new_labels >= limits.new_labels
    return _Reading(Trigger.NEW_LABELS, f"{fresh}", enough, fresh >= limits.new_labels, words)
