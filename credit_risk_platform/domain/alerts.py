"""Alerts: what a rule is, when it is breached, and what is said about it.

Pure. Whether a finding has been told already is the book's business (`adapters/alerting/book.py`), how it is told the
channels'.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal

from credit_risk_platform.domain.alert_metrics import METRICS
from credit_risk_platform.domain.privacy import blurred, is_personal

Fact = str | float | int
TITLE_LENGTH, TEXT_LENGTH = 200, 1_000
"""Characters of a title and of a fact; the rest of an error's text is where the link leads to."""


class AlertRuleError(ValueError):
    """A rule that cannot be read. The message names entry and field, and what to write instead."""


class FindingError(ValueError):
    """A finding that must not be told as it is: a personal fact, or a value no message can carry."""


class Severity(StrEnum):
    """From mild to hard."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        return tuple(Severity).index(self)

    def at_least(self, other: Severity) -> bool:
        return self.rank >= other.rank


class Comparison(StrEnum):
    """On which side of its threshold a rule is breached; on the threshold itself it never is."""

    GREATER = "greater"
    LESS_THAN = "less_than"


@dataclass(frozen=True)
class AlertRule:
    """Fires when `metric` (in the unit of `METRICS`) has been beyond `threshold` for `duration` without a break."""

    name: str
    metric: str
    threshold: float
    duration: timedelta
    severity: Severity
    comparison: Comparison = Comparison.GREATER

    @property
    def key(self) -> str:
        """Of the finding that this rule makes."""
        return f"rule/{self.name}"

    def breached(self, value: float) -> bool:
        """NaN breaches nothing."""
        return value > self.threshold if self.comparison is Comparison.GREATER else value < self.threshold


@dataclass(frozen=True)
class Finding:
    """Something is wrong now. `key` says what, and stays the same for as long as it does:
    "rule/high_api_latency", "check/monitoring/feature_drift/psi_feature", "run/<job>", "application/<score id>".

    A `one_off` is told once and never clears. Texts lose e-mail addresses and long numbers, and numbers that JSON does
    not know (NaN, infinity) become text; raises `FindingError` for a fact that is personal by its name.
    """

    key: str
    severity: Severity
    title: str
    facts: Mapping[str, Fact] = field(default_factory=dict)
    link: str | None = None
    one_off: bool = False

    def __post_init__(self) -> None:
        if not self.key or blurred(self.key) != self.key or re.search(r"\s", self.key):
            raise FindingError(
                f"key {blurred(self.key)!r}: write what is wrong without spaces and personal data, such as run/score"
            )
        object.__setattr__(self, "title", _line(self.title)[:TITLE_LENGTH])
        object.__setattr__(self, "facts", {name: self._told(name, value) for name, value in self.facts.items()})

    def _told(self, name: str, value: Any) -> Fact:
        if is_personal(name):
            raise FindingError(f"{self.key}: fact {name!r} is personal data; leave it out, the link leads to the rest")
        if isinstance(value, str):
            return _line(value)
        if not isinstance(value, (int, float)):
            raise FindingError(f"{self.key}: fact {name!r} is a {type(value).__name__}; give a text or a number")
        return value if math.isfinite(value) else str(value)


@dataclass(frozen=True)
class Message:
    """What a channel sends. `incident` is the same for "fired" and the "cleared" that ends it."""

    kind: Literal["fired", "cleared"]
    finding: Finding
    at: datetime
    incident: str


def rules_from(content: object) -> tuple[AlertRule, ...]:
    """The rules of a parsed alerts file: `{"alerts": [{name, metric, threshold, duration, severity, comparison}]}`.

    Raises `AlertRuleError` for the first entry that is wrong.
    """
    if not isinstance(content, dict) or set(content) != {"alerts"}:
        raise AlertRuleError("the file: write one key, alerts, with the list of rules below it")
    if not isinstance(content["alerts"], list):
        raise AlertRuleError("alerts: write a list, one entry per rule, or []")
    rules = tuple(_rule(entry, f"alerts[{place}]") for place, entry in enumerate(content["alerts"], 1))
    names = [rule.name for rule in rules]
    for place, name in enumerate(names, 1):
        if name in names[: place - 1]:
            raise AlertRuleError(f"alerts[{place}] ({name}): name stands there twice; give each rule one of its own")
    return rules


_FIELDS = ("name", "metric", "threshold", "duration", "severity", "comparison")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def _rule(entry: Any, where: str) -> AlertRule:
    if not isinstance(entry, dict):
        raise AlertRuleError(f"{where}: is {entry!r}; write {', '.join(_FIELDS)}")
    where = f"{where} ({entry['name']})" if isinstance(entry.get("name"), str) else where
    if unknown := sorted(str(key) for key in entry if key not in _FIELDS):
        raise AlertRuleError(f"{where}: unknown key {', '.join(unknown)}; an entry has {', '.join(_FIELDS)}")
    if missing := [key for key in _FIELDS if key not in entry and key != "comparison"]:
        raise AlertRuleError(f"{where}: {', '.join(missing)} is missing; only comparison may be left out")
    if not isinstance(entry["name"], str) or not re.fullmatch(r"[A-Za-z0-9_.\-]+", entry["name"]):
        raise AlertRuleError(f"{where}: name is {entry['name']!r}; write letters, digits and _, such as high_lag")
    return AlertRule(
        name=entry["name"],
        metric=_one_of(METRICS, entry["metric"], f"{where}: metric"),
        threshold=_number(entry["threshold"], f"{where}: threshold"),
        duration=_duration(entry["duration"], f"{where}: duration"),
        severity=Severity(_one_of(Severity, entry["severity"], f"{where}: severity")),
        comparison=Comparison(_one_of(Comparison, entry.get("comparison", "greater"), f"{where}: comparison")),
    )


def _one_of(known: Iterable[str], value: Any, where: str) -> str:
    names = [str(name) for name in known]
    if value not in names:
        raise AlertRuleError(f"{where} is {value!r}; write one of {', '.join(names)}")
    return str(value)


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise AlertRuleError(f"{where} is {value!r}; write a number")
    return float(value)


def _duration(value: Any, where: str) -> timedelta:
    found = re.fullmatch(r"(\d{1,6})([smhd])", value) if isinstance(value, str) else None
    if found is None:
        raise AlertRuleError(f"{where} is {value!r}; write a whole number and s, m, h or d, such as 5m, 1h or 1d")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def _line(text: str) -> str:
    """On one line, blurred: a line break would end a header of an e-mail."""
    whole = " ".join(text[: 4 * TEXT_LENGTH].split())  # cut after blurring: half an account number is hard to tell
    return blurred(whole)[:TEXT_LENGTH]
