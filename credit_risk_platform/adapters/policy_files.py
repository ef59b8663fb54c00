"""One version of the decision policy as a YAML file, read strictly.

Belongs here: what the file may say, and joining it with the risk bands and reason texts it names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from credit_risk_platform.domain.bands import Bands, ScoringError
from credit_risk_platform.domain.features import model_features
from credit_risk_platform.domain.models.frame import NUMERIC
from credit_risk_platform.domain.policy import Decision, HardRule, Policy, PolicyError
from credit_risk_platform.domain.reasons import ReasonCodes, ReasonError


class PolicyFileError(PolicyError):
    """A policy file that must not decide: says which file, which key, what is wrong and what to write."""

    def __init__(self, file: Path, key: str, wrong: str) -> None:
        self.file, self.key = file, key
        super().__init__(f"{file}: {key}: {wrong}" if key else f"{file}: {wrong}")


@dataclass(frozen=True)
class PolicyDraft:
    """One file: a policy without its bands and reason texts."""

    file: Path
    version: str
    effective_from: date
    reason_version: str
    approve_below: float
    decline_from: float
    rules: tuple[HardRule, ...]
    assumptions: Mapping[str, float]
    note: str

    def with_tables(self, bands: pa.Table, reasons: pa.Table) -> Policy:
        """The policy, with the rows of its version from `gold.risk_bands` and `gold.reason_codes`."""
        try:
            return Policy(
                version=self.version,
                effective_from=self.effective_from,
                bands=self._bands(bands),
                approve_below=self.approve_below,
                decline_from=self.decline_from,
                rules=self.rules,
                reason_codes=ReasonCodes.from_rows(reasons, self.reason_version),
                assumptions=self.assumptions,
                note=self.note,
            )
        except (PolicyError, ScoringError, ReasonError) as error:
            raise PolicyFileError(self.file, "", str(error)) from error

    def _bands(self, bands: pa.Table) -> Bands:
        own = bands.filter(pc.equal(bands["policy_version"], self.version))
        if not own.num_rows:
            known = ", ".join(sorted(set(bands["policy_version"].to_pylist()))) or "none"
            raise PolicyError(
                f"gold.risk_bands holds no bands of version {self.version} (it holds: {known}): add its rows to "
                "dbt_project/seeds/policy/risk_bands.csv and materialise gold/risk_bands"
            )
        since = own["effective_from"].to_pylist()[0]
        if since != self.effective_from:
            raise PolicyError(
                f"effective_from: {self.effective_from} here, {since} in gold.risk_bands: write the same day in both"
            )
        return Bands.from_rows(own, since)


def read(file: Path) -> PolicyDraft:
    """One version from its YAML. Raises `PolicyFileError` with the first key that is wrong."""
    told = _loaded(file)
    wrong = partial(PolicyFileError, file)
    _refuse_keys(told, {**_KEYS, **_OPTIONAL}, set(_OPTIONAL), "", wrong)
    version = _text(told, "version", "", wrong)
    if version != file.stem:
        raise wrong("version", f"is {version!r} in a file named {file.name}; name the file {version}.yaml")
    assumptions = told.get("assumptions", {})
    if not isinstance(assumptions, dict):
        raise wrong("assumptions", f"is {assumptions!r}; write names and numbers, such as margin: 0.12")
    listed = told.get("rules", [])
    if not isinstance(listed, list):
        raise wrong("rules", "write a list, one entry per rule, or []")
    return PolicyDraft(
        file=file,
        version=version,
        effective_from=_day(told, "effective_from", wrong),
        reason_version=_text(told, "reason_version", "", wrong),
        approve_below=_number(told, "approve_below", "", wrong),
        decline_from=_number(told, "decline_from", "", wrong),
        rules=tuple(_rule(rule, f"rules[{place}]", wrong) for place, rule in enumerate(listed, 1)),
        assumptions={str(name): _number(assumptions, name, "assumptions.", wrong) for name in assumptions},
        note=_text(told, "note", "", wrong),
    )


Wrong = Callable[[str, str], PolicyFileError]
_KEYS = {
    "version": "the name scores carry",
    "effective_from": "the first day, such as 2026-07-01",
    "reason_version": "the version of dbt_project/seeds/policy/reason_codes.csv",
    "approve_below": "a PD",
    "decline_from": "a PD",
    "note": "who decided this and why",
}
_OPTIONAL = {"rules": "the hard rules", "assumptions": "the economics the cut-offs were chosen with"}
_RULE = {field.name: "see policies/2007.1.yaml" for field in fields(HardRule)}


def _loaded(file: Path) -> dict[str, Any]:
    import yaml

    try:
        told = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise PolicyFileError(file, "", f"this is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(told, dict):
        raise PolicyFileError(file, "", f"write keys and values; expected are {', '.join(_KEYS)}")
    return told


def _rule(told: Any, key: str, wrong: Wrong) -> HardRule:
    if not isinstance(told, dict):
        raise wrong(key, f"is {told!r}; write {', '.join(_RULE)}")
    _refuse_keys(told, _RULE, {"value"}, f"{key}.", wrong)
    text: dict[str, Any] = {name: _text(told, name, f"{key}.", wrong) for name in _RULE if name != "value"}
    value = told.get("value")
    text["value"] = tuple(value) if isinstance(value, list) else value
    text["decision"] = next((known for known in Decision if known == text["decision"]), text["decision"])
    try:
        rule = HardRule(**text)
    except PolicyError as error:
        raise wrong(key, str(error)) from error
    _refuse_feature(rule, key, wrong)
    return rule


def _refuse_feature(rule: HardRule, key: str, wrong: Wrong) -> None:
    known = {feature.name: str(feature.kind) for feature in model_features()}
    if rule.feature not in known:
        raise wrong(
            f"{key}.feature",
            f"{rule.feature} is no input of the application model, so a replay could not decide again; "
            f"use one of: {', '.join(known)}",
        )
    about_numbers = rule.op in ("<", "<=", ">", ">=") or isinstance(rule.value, int | float)
    if rule.op != "missing" and about_numbers != (known[rule.feature] == NUMERIC):
        raise wrong(
            f"{key}.op", f"{rule.op} {rule.value!r} does not go with {rule.feature}, which is {known[rule.feature]}"
        )


def _refuse_keys(told: Mapping[Any, Any], known: Mapping[str, str], optional: set[str], at: str, wrong: Wrong) -> None:
    for name in told:
        if name not in known:
            raise wrong(f"{at}{name}", f"is not a key of a policy; known are {', '.join(known)}")
    for name, meaning in known.items():
        if name not in told and name not in optional:
            raise wrong(f"{at}{name}", f"is missing: write {meaning}")


def _text(told: Mapping[Any, Any], name: str, at: str, wrong: Wrong) -> str:
    value = told[name]
    if not isinstance(value, str) or not value.strip():
        raise wrong(f"{at}{name}", f'is {value!r}; write a text (with quotes where it looks like a number: "2007.1")')
    return value.strip()


def _number(told: Mapping[Any, Any], name: str, at: str, wrong: Wrong) -> float:
    value = told[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong(f"{at}{name}", f"is {value!r}; write a number")
    return float(value)


def _day(told: Mapping[Any, Any], name: str, wrong: Wrong) -> date:
    value = told[name]
    if type(value) is not date:
        raise wrong(name, f"is {value!r}; write a day as 2026-07-01, without quotes")
    return value
