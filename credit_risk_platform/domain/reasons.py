"""Reason codes: the approved, specific texts an applicant may be told, and which of them a score gives.

Regulation B, 12 CFR 1002.9(b)(2): reasons must be specific and must be factors actually scored; "did not reach the
qualifying score" is none. Belongs here: reading a version of `gold.reason_codes`, refusing vague texts, and picking the
principal reasons from contributions. Does not: how contributions are found (`explanation`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

INQUIRIES = "inquiries_6m"
"""The feature whose code may stand as a fifth factor: FCRA 609(f)(9)."""
NOISE = 1e-9
"""A contribution up to this is rounding, not a reason: two sums of a few thousand leaves differ in the last bits."""
SHORTEST = 15
VAGUE = re.compile(
    r"internal (polic|standard|criteri)|(polic|standard|criteri)\w* of the (creditor|lender|bank)"
    r"|(credit )?scor\w* (is |was )?(too |very )?low|qualifying score|low score|\bother\b(?! accounts|s\b)"
    r"|\b(algorithm|model|not approved|declined|unacceptable risk|high risk|insufficient information)\b",
    re.IGNORECASE,
)
"""What says nothing to act on, or names the creditor's machinery instead of the applicant's record."""


class ReasonError(ValueError):
    """Reason codes that must not be sent. The message names the version, the code or feature, and what to mend."""


@dataclass(frozen=True)
class ReasonCodes:
    """One version: code -> approved text, code -> HMDA denial reason (Regulation C), feature -> its one code.

    Features that say the same thing (an amount and its ratio to income) share a code, so that one fact is told once.
    """

    version: str
    texts: Mapping[str, str]
    hmda: Mapping[str, int]
    features: Mapping[str, str]
    when_missing: Mapping[str, str | None] = field(default_factory=dict)
    """Feature -> the code told where its value is missing, if any: nobody may read of a purpose he never stated.
    By default that of the feature."""
    incomplete: str | None = None
    """The code that stands for no feature: what was missing is why."""

    @classmethod
    def from_rows(cls, rows: pa.Table, version: str) -> ReasonCodes:
        """The version of that name from `gold.reason_codes`; raises `ReasonError` for one that must not be used."""
        told = [row for row in rows.to_pylist() if row["reason_version"] == version]
        if not told:
            known = ", ".join(sorted(set(rows["reason_version"].to_pylist()))) or "none"
            raise ReasonError(f"no reason codes of version {version} in gold.reason_codes; it holds: {known}")
        of_features = [row for row in told if row["feature"]]
        missing = {row["feature"]: row.get("code_when_missing", row["code"]) or None for row in of_features}
        return cls(
            version=version,
            texts=_one_each(version, "text", ((row["code"], row["text"]) for row in told)),
            hmda=_one_each(version, "HMDA code", ((row["code"], row["hmda_code"]) for row in told)),
            features=_one_each(version, "code", ((row["feature"], row["code"]) for row in of_features)),
            when_missing=dict(sorted(missing.items())),
            incomplete=next((row["code"] for row in told if not row["feature"]), None),
        )

    def __post_init__(self) -> None:
        for code, text in self.texts.items():
            _refuse_vague(f"reason {code} of version {self.version}", text)
        for code, number in self.hmda.items():
            if number not in range(1, 10):
                raise ReasonError(f"reason {code} of version {self.version}: HMDA code {number!r} is not one of 1 to 9")
        if strange := sorted({code for code in self.when_missing.values() if code} - set(self.texts)):
            raise ReasonError(f"version {self.version}: code_when_missing {', '.join(strange)} has no text of its own")
        twice = sorted(code for code, text in self.texts.items() if list(self.texts.values()).count(text) > 1)
        if twice:
            raise ReasonError(
                f"reasons {', '.join(twice)} of version {self.version} have the same text: make them one code"
            )

    @property
    def inquiries(self) -> str | None:
        """The code of recent inquiries, if a feature has it."""
        return self.features.get(INQUIRIES)

    def check(self, features: Iterable[str]) -> None:
        """Raise `ReasonError` naming every feature without a code: a model that reads it could not say why."""
        bare = [feature for feature in features if feature not in self.features]
        if bare:
            raise ReasonError(
                f"version {self.version} of the reason codes has none for {', '.join(bare)}: add a version with them "
                "to dbt_project/seeds/policy/reason_codes.csv and materialise gold/reason_codes"
            )

    def of(self, features: Iterable[str]) -> frozenset[str]:
        """Every code that a model of these features may give; features without a code give none."""
        known = [feature for feature in features if feature in self.features]
        told = {self.features[feature] for feature in known} | {self.of_missing(feature) for feature in known}
        return frozenset(code for code in (*told, self.incomplete) if code is not None)

    def of_missing(self, feature: str) -> str | None:
        """The code of a value nobody gave, if it has one."""
        return self.when_missing.get(feature, self.features[feature])

    def as_dict(self) -> dict[str, Any]:
        """Everything that is approved, for hashing."""
        return {
            "version": self.version,
            "texts": dict(self.texts),
            "hmda": dict(self.hmda),
            "features": dict(self.features),
            "when_missing": dict(self.when_missing),
        }


def principal_reasons(
    contributions: np.ndarray,
    features: Sequence[str],
    codes: ReasonCodes,
    at_most: int = 4,
    missing: np.ndarray | None = None,
) -> pa.Array:
    """LIST<VARCHAR> (n,): the codes that raised each row's risk most, the largest first, ties by code.

    `contributions` is (n, p) for `features` (p,), positive = riskier than the marginal approvals. `missing` bool (n, p)
    marks values nobody gave, which count under `codes.when_missing`. Contributions of one code are added up first; only
    what is above rounding counts. Beyond `at_most`, the inquiries code still stands last where it counted at all. A row
    that only missing values speak against is told that. Raises `ReasonError` for a feature without a code.
    """
    codes.check(features)
    names, totals = _totals(contributions, features, codes, missing)
    order = np.argsort(-totals, axis=1, kind="stable")
    fifth = names.index(codes.inquiries) if codes.inquiries in names else -1
    told = (np.arange(len(names)) < at_most) | (order == fifth)
    told &= np.take_along_axis(totals, order, axis=1) > NOISE
    offsets = np.concatenate([[0], np.cumsum(told.sum(axis=1))]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(names, pa.string()).take(pa.array(order[told])))


def _totals(
    contributions: np.ndarray, features: Sequence[str], codes: ReasonCodes, missing: np.ndarray | None
) -> tuple[list[str], np.ndarray]:
    """(codes, what speaks for each (n, codes))."""
    absent = np.zeros(contributions.shape, dtype=bool) if missing is None else missing
    names = sorted(codes.of(features))
    totals = np.zeros((contributions.shape[0], len(names)))
    for column, feature in enumerate(features):
        found, gone = contributions[:, column], absent[:, column]
        totals[:, names.index(codes.features[feature])] += np.where(gone, 0.0, found)
        if (code := codes.of_missing(feature)) is not None:
            totals[:, names.index(code)] += np.where(gone, found, 0.0)
    if codes.incomplete is not None:
        silent = ~(totals > NOISE).any(axis=1)
        against = np.where(absent, np.maximum(contributions, 0.0), 0.0).sum(axis=1)
        totals[silent, names.index(codes.incomplete)] = against[silent]
    return names, totals


def _one_each(version: str, what: str, pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if found.setdefault(key, value) != value:
            raise ReasonError(f"{key} has two {what}s in version {version}: {found[key]!r} and {value!r}; keep one")
    return dict(sorted(found.items()))


def _refuse_vague(which: str, text: str | None) -> None:
    if not text or len(text.strip()) < SHORTEST:
        raise ReasonError(f"{which}: {text!r} is too short to say what was wrong")
    if found := VAGUE.search(text):
        raise ReasonError(f"{which}: {text!r} is vague ({found.group()!r}): name the fact about the applicant instead")
