"""The fields of an application: the columns of the message contract, and the ten names callers of the first API know.

Belongs here: which field there is, what it becomes, how it stands in the schema. Limits, units and types are the
contract's; the ten names are other words for its facts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from credit_risk_platform.domain.contracts.column import EXAMPLES, Column, Kind, Stage
from credit_risk_platform.domain.contracts.messages import APPLICATIONS
from credit_risk_platform.serving import values

Row = dict[str, Any]
"""Contract column -> typed value."""


@dataclass(frozen=True)
class Field:
    """One field of a request. `facts` are the contract's columns it fills; `becomes` makes them of its typed value."""

    column: Column
    facts: tuple[str, ...]
    becomes: Callable[[Any], Row]
    example: Any = None
    multiple_of: float | None = None

    @property
    def name(self) -> str:
        return self.column.name


def _as_is(name: str) -> Callable[[Any], Row]:
    return lambda value: {name: value}


def _revolving(ratio: float) -> Row:
    # In decimal: 0.29 is 29 percent points, not 28.999999999999996.
    return {"revol_util": float(Decimal(repr(ratio)).scaleb(2))}


def _fico_range(points: float) -> Row:
    """The two ends of the range whose middle is the score."""
    return {"fico_range_low": math.floor(points), "fico_range_high": math.ceil(points)}


def _employment(years: float) -> Row:
    """Whole years as bureaus publish them."""
    whole = int(years)
    text = "< 1 year" if whole < 1 else "10+ years" if whole >= 10 else f"{whole} year{'s' if whole > 1 else ''}"
    return {"emp_length": text}


_BY_NAME = {column.name: column for column in APPLICATIONS.columns}
_ratio = Column("", Stage.CORE, Kind.NUMBER, "ratio", "", lower=0)


def _renamed(name: str, of: str, description: str = "") -> Column:
    column = _BY_NAME[of]
    return replace(column, name=name, description=description or column.description)


_UTILISATION_LIMIT = (_BY_NAME["revol_util"].upper or 0) / 100
SENT_MACRO = ("interest_rate", "unemployment_rate")
"""What the caller thinks of the economy: recorded, never used."""

SIMPLE: tuple[Field, ...] = (
    Field(
        replace(_BY_NAME["customer_id"], nullable=False,
                description="Your id of the customer. Becomes a token; stored nowhere."),
        ("customer_id",), _as_is("customer_id"), "CUST_12345",
    ),
    Field(
        replace(_BY_NAME["age"], description="Age in years: recorded for fairness tests, never in a decision."),
        ("age",), _as_is("age"), 35,
    ),
    Field(_renamed("annual_income", "annual_inc"), ("annual_inc",), _as_is("annual_inc"), 75000),
    Field(
        replace(_ratio, name="credit_utilization", upper=_UTILISATION_LIMIT,
                description="Revolving balance over revolving limit, as a ratio; above 1 when overdrawn."),
        ("revol_util",), _revolving, 0.35,
    ),
    Field(
        Column("payment_history_score", Stage.CORE, Kind.NUMBER, "score points", "Bureau score.", lower=300, upper=850),
        ("fico_range_low", "fico_range_high"), _fico_range, 720, multiple_of=0.5,
    ),
    Field(
        Column("employment_years", Stage.CORE, Kind.NUMBER, "years",
               "Years with the present employer; whole years count, ten and more are one class.", lower=0, upper=80),
        ("emp_length",), _employment, 8,
    ),
    Field(_renamed("num_credit_accounts", "open_acc"), ("open_acc",), _as_is("open_acc"), 5),
    Field(_BY_NAME["total_debt"], ("total_debt",), _as_is("total_debt"), 25000),
    Field(replace(_ratio, name="interest_rate", lower=-1, upper=1, description="Recorded, not used: the platform takes "
                  "published figures as of the day."), (), lambda _: {}, 0.065),
    Field(replace(_ratio, name="unemployment_rate", upper=1, description="Recorded, not used: the platform takes "
                  "published figures as of the day."), (), lambda _: {}, 0.04),
)  # fmt: skip
"""The ten names, in their published order."""

_ALSO = {fact: field.name for field in SIMPLE for fact in field.facts if field.name != fact}
_TAKEN = {field.name for field in SIMPLE}


def _full(column: Column) -> Field:
    described = column.description
    if column.name == "id":
        described = "Your id of the application; made from its content when left out."
    if column.name == "application_date":
        described = "Day of the application; the day of the call when left out."
    if column.name in _ALSO:
        described += f" Or send `{_ALSO[column.name]}`."
    return Field(replace(column, description=described), (column.name,), _as_is(column.name))


def _positive(field: Field) -> Field:
    return (
        replace(field, column=replace(field.column, lower=values.LEAST_INCOME))
        if field.name in values.POSITIVE
        else field
    )


FIELDS: Mapping[str, Field] = {
    field.name: _positive(field)
    for field in (*SIMPLE, *(_full(column) for column in APPLICATIONS.columns if column.name not in _TAKEN))
}
"""Every field a request may carry."""

ALIASES: tuple[tuple[str, str], ...] = tuple(
    (field.name, fact) for field in SIMPLE for fact in field.facts if fact != field.name
)
"""(name, contract column): two names for one fact, of which a request may use one."""


def json_schema(field: Field) -> dict[str, Any]:
    """How the field stands in the OpenAPI document. Null is the same as leaving it out."""
    column = field.column
    forms: list[dict[str, Any]] = [_form(field), *_texts(column.kind), {"type": "null"}]
    unit = f" Unit: {column.unit}." if column.unit else ""
    spelled = f" {EXAMPLES[column.kind].capitalize()}." if column.kind.is_date else ""
    schema: dict[str, Any] = {"anyOf": forms, "description": f"{column.description}{unit}{spelled}"}
    if field.example is not None:
        schema["examples"] = [field.example]
    if column.pii:
        schema["x-personal"] = True
    return schema


def _form(field: Field) -> dict[str, Any]:
    column = field.column
    if column.kind is Kind.TEXT:
        some = {"minLength": 1} if not column.nullable else {}  # null means "left out", blank is a mistake
        return {"type": "string", "maxLength": values.MOST_CHARACTERS, "pattern": values.PLAIN_TEXT, **some}
    if column.kind.is_date:
        return {"type": "string", "pattern": values.MONTH_TEXT if column.kind is Kind.MONTH else values.DAY_TEXT}
    whole = column.kind in (Kind.COUNT, Kind.TERM)
    limits = {"minimum": column.lower, "maximum": column.upper, "multipleOf": field.multiple_of}
    return {"type": "integer" if whole else "number"} | {
        name: _plain(limit) for name, limit in limits.items() if limit is not None
    }


def _texts(kind: Kind) -> list[dict[str, Any]]:
    pattern = {Kind.PERCENT: values.PERCENT_TEXT, Kind.TERM: values.TERM_TEXT}.get(kind)
    return [{"type": "string", "pattern": pattern}] if pattern else []


def _plain(limit: float) -> float | int:
    return int(limit) if float(limit).is_integer() else limit
