"""Decision policies for tests: files as an analyst writes them, and the seed's rows of bands and reason texts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv

from credit_risk_platform.domain.reasons import ReasonCodes
from credit_risk_platform.settings import PROJECT_ROOT

SEEDS = PROJECT_ROOT / "dbt_project" / "seeds" / "policy"
VERSION = "2007.1"
SINCE = date(2007, 1, 1)
RULES: tuple[Mapping[str, Any], ...] = (
    {"code": "D01", "feature": "dti", "op": ">", "value": 0.6, "decision": "decline", "reason": "AA04"},
    {"code": "R01", "feature": "loan_to_income", "op": ">", "value": 0.5, "decision": "refer", "reason": "AA01"},
    {"code": "R02", "feature": "purpose", "op": "in", "value": ["o'ther"], "decision": "refer", "reason": "AA10"},
    {"code": "R03", "feature": "revolving_utilisation", "op": "missing", "decision": "refer", "reason": "AA13"},
)
"""Hard rules over the features of `scoring_book`."""


def write_policy(
    folder: Path,
    version: str = VERSION,
    since: date = SINCE,
    *,
    approve_below: float = 0.155,
    decline_from: float = 0.25,
    rules: Sequence[Any] = RULES,
    **more: Any,
) -> Path:
    """One version as a file; `more` adds keys or, with `None`, takes them away."""
    told = {
        "version": version,
        "reason_version": "2007.1",
        "approve_below": approve_below,
        "decline_from": decline_from,
        "assumptions": {"margin": 0.12, "loss_given_default": 0.65},
        "note": "for tests",
        "rules": rules if isinstance(rules, str) else [_described(rule) for rule in rules],
        **more,
    }
    kept = {key: value for key, value in told.items() if value is not None}
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{version}.yaml"
    day = "" if "effective_from" in more else f"effective_from: {since}\n"
    file.write_text(day + "\n".join(f"{key}: {json.dumps(value)}" for key, value in kept.items()) + "\n")
    return file


@cache
def reason_rows() -> pa.Table:
    """Rows of `gold.reason_codes` as dbt seeds them."""
    return _seed("reason_codes", "reason_version")


@cache
def band_rows() -> pa.Table:
    """Rows of `gold.risk_bands` as dbt seeds them."""
    return _seed("risk_bands", "policy_version")


def reason_codes() -> ReasonCodes:
    return ReasonCodes.from_rows(reason_rows(), "2007.1")


def _described(rule: Any) -> Any:
    return {"description": f"rule over {rule.get('feature')}", **rule} if isinstance(rule, Mapping) else rule


def _seed(name: str, version: str) -> pa.Table:
    options = pa.csv.ConvertOptions(column_types={version: pa.string()}, strings_can_be_null=True)
    return pa.csv.read_csv(SEEDS / f"{name}.csv", convert_options=options)
