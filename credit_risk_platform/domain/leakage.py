"""May a feature use the columns it comes from? The rules, given where each feature's lineage ends.

A bronze column carries a stage: when its value comes to exist. A model that decides an application may read what was
there at the decision and nothing else; the name a value goes by on its way does not matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from credit_risk_platform.domain.contracts.bank_history import BANK_COLUMNS, BANK_TRANSACTIONS
from credit_risk_platform.domain.contracts.column import Stage
from credit_risk_platform.domain.contracts.feed_columns import MACRO_COLUMNS, REPAYMENT_COLUMNS
from credit_risk_platform.domain.contracts.loan_columns import KEYS, LOAN_COLUMNS


class Purpose(StrEnum):
    """What the model is for. A pricing model may see the lender's own offer."""

    APPLICATION = "application"
    PRICING = "pricing"


@dataclass(frozen=True, order=True)
class Column:
    """A column of a relation (`schema.table`). The column `ROWS` stands for the choice of the relation's rows."""

    relation: str
    name: str

    def __str__(self) -> str:
        return f"{self.relation}.{self.name}"


ROWS = "(rows)"
"""Name of the pseudo-column for what decides which rows a relation has: its filters and join conditions."""

Trail = tuple[Column, ...]
"""From a column of a mart (first) to the column where its lineage ends (last), one step per relation."""


@dataclass(frozen=True)
class Finding:
    """Why one feature may not be used, and what to do about it."""

    feature: str
    column: str
    reason: str
    path: str
    next_step: str

    def __str__(self) -> str:
        return f"{self.feature}: {self.column} {self.reason}. Path: {self.path}. {self.next_step}"


KNOWN_AT_DECISION = frozenset({Stage.CORE, Stage.ERA, Stage.BUREAU, Stage.EXTRA, Stage.MACRO})
"""Macro counts as known: a figure's publication date says from when, and the marts join it by that date. So do bank
transactions: the marts take those booked before the decision."""

CLOCK = "decision_date"
"""The day every feature is as of. What it is made of is judged by `judge_clocks`, once, and not for every feature."""

_LAST_RESORT = "issue_d"
_JOIN_KEYS = frozenset(column.name for column in KEYS)

_REASONS = {
    Stage.OUTCOME: "exists only after the money went out: it tells how the loan went",
    Stage.LABEL: "is the label or the vintage, which the model shall find out by itself",
    Stage.OFFER: "is the lender's own offer: a model that reads it learns the old lender",
    Stage.RESTRICTED: "is a personal attribute that no decision may rest on",
    Stage.PERSON: "identifies a person or a place: for concentration and fairness reports only",
    Stage.LANDING: "describes how the row was landed, not the applicant",
}
_UNKNOWN = "has no stage in domain/contracts: nobody has said when its value comes to exist"


def judge_trails(
    trails: Mapping[str, Sequence[Trail]],
    stages: Mapping[Column, Stage],
    purpose: Purpose = Purpose.APPLICATION,
) -> tuple[Finding, ...]:
    """One finding per feature and forbidden source column.

    `trails` lead from each feature to its sources and stop at the `CLOCK`; `stages` tells of every known source column
    when it comes to exist.
    """
    allowed = KNOWN_AT_DECISION | {Stage.OFFER} if purpose is Purpose.PRICING else KNOWN_AT_DECISION
    to_judge = {name: [trail for trail in found if trail[-1].name != CLOCK] for name, found in trails.items()}
    return _judge(to_judge, stages, allowed)


def judge_clocks(trails: Mapping[str, Sequence[Trail]], stages: Mapping[Column, Stage]) -> tuple[Finding, ...]:
    """The same for the clock's own trails: where no application date was published, the month of issue may stand in."""
    to_judge = {name: [trail for trail in found if trail[-1].name != _LAST_RESORT] for name, found in trails.items()}
    return _judge(to_judge, stages, KNOWN_AT_DECISION)


def judge_registry(mart_columns: Iterable[str], keys: Iterable[str], registered: Iterable[str]) -> tuple[Finding, ...]:
    """Findings where the mart's columns and the registry disagree; `keys` are columns that are no features."""
    in_mart, known = set(mart_columns) - set(keys), set(registered)
    unregistered = (
        Finding(name, name, "is in the mart but not in the registry", name, "Register it in domain/features.py.")
        for name in sorted(in_mart - known)
    )
    unbuilt = (
        Finding(name, name, "is in the registry but not in the mart", name, "Add it to the mart's SQL.")
        for name in sorted(known - in_mart)
    )
    return (*unregistered, *unbuilt)


def _judge(
    trails: Mapping[str, Sequence[Trail]], stages: Mapping[Column, Stage], allowed: frozenset[Stage]
) -> tuple[Finding, ...]:
    return tuple(
        _finding(feature, trail, reason)
        for feature, found in trails.items()
        for trail in found
        if (reason := _objection(trail, stages.get(trail[-1]), allowed)) is not None
    )


def _objection(trail: Trail, stage: Stage | None, allowed: frozenset[Stage]) -> str | None:
    if stage in allowed:
        return None
    # Rows may be matched by their keys; a key as a feature would still be wrong.
    if stage is Stage.LANDING and trail[-1].name in _JOIN_KEYS and any(step.name == ROWS for step in trail):
        return None
    return _UNKNOWN if stage is None else _REASONS[stage]


def _finding(feature: str, trail: Trail, reason: str) -> Finding:
    reader = trail[-2].relation if len(trail) > 1 else trail[-1].relation
    return Finding(
        feature=feature,
        column=str(trail[-1]),
        reason=reason,
        path=" <- ".join(str(step) for step in trail),
        next_step=f"Build {feature} from columns known at the decision: take {trail[-1].name} out of {reader} "
        "or cut the path behind it.",
    )


# ------------------------------------------------------------------------------------------------- what bronze holds

LOAN_SOURCES = ("bronze.synthetic_loans", "bronze.lending_club_loans", "bronze.landing_loans")
REPAYMENTS = "bronze.synthetic_repayments"
MACRO_SERIES = "bronze.macro_series"


def source_stages() -> dict[Column, Stage]:
    """When every bronze column comes to exist. Of repayments even the loan id: that there is one tells already."""
    loans = {Column(source, column.name): column.stage for source in LOAN_SOURCES for column in LOAN_COLUMNS}
    repayments = {Column(REPAYMENTS, column.name): Stage.OUTCOME for column in REPAYMENT_COLUMNS}
    macro = {Column(MACRO_SERIES, column.name): column.stage for column in MACRO_COLUMNS}
    bank = {Column(BANK_TRANSACTIONS, column.name): column.stage for column in BANK_COLUMNS}
    return loans | repayments | macro | bank


def source_columns() -> dict[str, list[str]]:
    """Bronze relation -> its column names."""
    columns: dict[str, list[str]] = {}
    for column in source_stages():
        columns.setdefault(column.relation, []).append(column.name)
    return columns
