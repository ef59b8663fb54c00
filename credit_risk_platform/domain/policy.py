"""The decision policy: hard rules first, then the PD against two cut-offs, as one dated version with one hash.

Rules read model inputs only, so that a decision can be made again from what the ledger keeps of a score. Does not
belong here: where versions are kept (`adapters/policies.py`) and how a model's reasons are found (`explanation`).
"""

from __future__ import annotations

import hashlib
import json
import math
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from enum import StrEnum
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa

from credit_risk_platform.domain.bands import Bands
from credit_risk_platform.domain.models.frame import FeatureTable
from credit_risk_platform.domain.reasons import ReasonCodes

Op = Literal["<", "<=", ">", ">=", "==", "in", "missing"]
OPS: tuple[str, ...] = get_args(Op)
Value = float | str | tuple[str, ...] | None

_COMPARED: Mapping[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
}


class PolicyError(ValueError):
    """A policy that must not decide. The message names the key that is wrong and what to write instead."""


class Decision(StrEnum):
    """What is done with an application."""

    APPROVE = "approve"
    REFER = "refer"
    """To a person."""
    DECLINE = "decline"


SEVERITY = (Decision.APPROVE, Decision.REFER, Decision.DECLINE)
"""From mild to hard: the hardest decision anything asks for is taken."""


@dataclass(frozen=True)
class HardRule:
    """`feature op value` -> at least `decision`, for `reason` (a reason code). A missing value fires "missing" only."""

    code: str
    description: str
    feature: str
    op: Op
    value: Value
    decision: Decision
    reason: str

    def __post_init__(self) -> None:
        if self.op not in OPS:
            raise PolicyError(f"rule {self.code}: op is {self.op!r}, expected one of {', '.join(OPS)}")
        if self.decision not in (Decision.REFER, Decision.DECLINE):
            raise PolicyError(f"rule {self.code}: decision is {self.decision!r}; a hard rule says refer or decline")
        if not _fits(self.op, self.value):
            raise PolicyError(
                f"rule {self.code}: value {self.value!r} does not go with {self.op!r}: {_EXPECTED[self.op]}"
            )

    def fires(self, frame: FeatureTable) -> np.ndarray:
        """Which rows it fires on, bool (n,). Raises `PolicyError` when the model does not read the feature."""
        if self.feature in frame.numeric_names:
            return self._on_numbers(frame.numeric[:, frame.numeric_names.index(self.feature)])
        if self.feature not in frame.categorical_names:
            raise PolicyError(
                f"rule {self.code} reads {self.feature}, which is no input of the model that scores: train a model "
                "that reads it, or publish a policy version without the rule"
            )
        column = frame.categorical[frame.categorical_names.index(self.feature)]
        if self.op == "missing":
            return np.asarray(column.codes < 0)
        wanted = self.value if isinstance(self.value, tuple) else (self.value,)
        # The last entry answers code -1, a missing category.
        return np.array([*(level in wanted for level in column.levels), False])[column.codes]

    def _on_numbers(self, values: np.ndarray) -> np.ndarray:
        if self.op == "missing":
            return np.asarray(np.isnan(values))
        if self.op not in _COMPARED or isinstance(self.value, str):
            raise PolicyError(
                f"rule {self.code}: {self.feature} is a number, {self.op!r} {self.value!r} is about texts"
            )
        return np.asarray(_COMPARED[self.op](values, self.value))  # NaN compares as false


@dataclass(frozen=True)
class Decided:
    """What a policy says of n rows. `decision` string (n,), `rules` list<string> (n,): codes of all that fired.

    `caused` bool (n, rules) and `caused_by_score` bool (n,): which of them asked for the decision that was taken.
    """

    decision: pa.Array
    rules: pa.Array
    caused: np.ndarray
    caused_by_score: np.ndarray


@dataclass(frozen=True)
class Policy:
    """One version of the decision policy, in force from `effective_from` until the next one starts.

    PDs below `approve_below` pass, PDs from `decline_from` on are declined, those between are referred. `assumptions`
    are the economics the cut-offs were chosen with.
    """

    version: str
    effective_from: date
    bands: Bands
    approve_below: float
    decline_from: float
    rules: tuple[HardRule, ...]
    reason_codes: ReasonCodes
    assumptions: Mapping[str, float]
    note: str

    def __post_init__(self) -> None:
        if self.bands.policy_version != self.version:
            raise PolicyError(f"version: {self.version} is given the bands of version {self.bands.policy_version}")
        if not 0 < self.approve_below <= self.decline_from <= 1:
            raise PolicyError(
                f"approve_below, decline_from: {self.approve_below} and {self.decline_from} must be PDs between 0 and "
                "1, the first not above the second"
            )
        codes = [rule.code for rule in self.rules]
        if twice := sorted({code for code in codes if codes.count(code) > 1}):
            raise PolicyError(f"rules: {', '.join(twice)} stands there twice; give each rule a code of its own")
        for rule in self.rules:
            if rule.reason not in self.reason_codes.texts:
                raise PolicyError(
                    f"rule {rule.code}: reason {rule.reason} has no approved text in version "
                    f"{self.reason_codes.version} of the reason codes"
                )

    @property
    def policy_version(self) -> str:
        """The name scores carry: the same as that of the bands."""
        return self.version

    @cached_property
    def sha256(self) -> str:
        """Hex SHA-256 of everything that decides and of the texts that say why: two versions never share one."""
        content = {
            "version": self.version,
            "effective_from": self.effective_from.isoformat(),
            "bands": asdict(self.bands),
            "approve_below": self.approve_below,
            "decline_from": self.decline_from,
            "rules": [asdict(rule) for rule in self.rules],
            "reasons": self.reason_codes.as_dict(),
            "assumptions": dict(self.assumptions),
            "note": self.note,
        }
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def known_reasons(self, features: Iterable[str]) -> tuple[str, ...]:
        """Every code a decision on a model of these features may give: those of the features and of the rules."""
        return tuple(sorted(self.reason_codes.of(features) | {rule.reason for rule in self.rules}))

    def decide(self, frame: FeatureTable, pd: np.ndarray) -> Decided:
        """The decision on each row of `frame` with its `pd` (n,). Raises `PolicyError` for a feature it lacks."""
        fired = np.zeros((frame.rows, len(self.rules)), dtype=bool)
        for place, rule in enumerate(self.rules):
            fired[:, place] = rule.fires(frame)
        asked = fired * np.array([SEVERITY.index(rule.decision) for rule in self.rules], dtype=np.int8)
        by_score = np.searchsorted([self.approve_below, self.decline_from], pd, side="right").astype(np.int8)
        taken = np.maximum(by_score, asked.max(axis=1, initial=0))
        names = pa.array([str(decision) for decision in SEVERITY])
        return Decided(
            decision=names.take(pa.array(taken)),
            rules=_named(fired, [rule.code for rule in self.rules]),
            caused=fired & (asked == taken[:, None]),
            caused_by_score=(by_score == taken) & (taken > 0),
        )


_EXPECTED = {
    **dict.fromkeys(("<", "<=", ">", ">="), "write a number"),
    "==": "write a number or a text",
    "in": "write a list of texts",
    "missing": "leave value out",
}


def _fits(op: str, value: Value) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    match op:
        case "missing":
            return value is None
        case "in":
            return isinstance(value, tuple) and bool(value) and all(isinstance(text, str) for text in value)
        case "==":
            return number or isinstance(value, str)
    return number


def _named(chosen: np.ndarray, names: list[str]) -> pa.Array:
    """LIST<VARCHAR> (n,) of the names of each row's chosen columns, in column order."""
    offsets = np.concatenate([[0], np.cumsum(chosen.sum(axis=1))]).astype(np.int32)
    places = pa.array(np.nonzero(chosen)[1], pa.int32())
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(names, pa.string()).take(places))
