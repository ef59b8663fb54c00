"""A message contract as JSON Schema: what a producer in any language checks its messages against.

Belongs here: the schema as a dict. Does not: files (`cli.schemas` publishes the copies in `schemas/`).

The schema holds a producer to the letter of the contract. What it cannot say is judged at the intake: that a date
exists and lies within reach, and limits of a number that is written as text.
"""

from __future__ import annotations

from typing import Any

from credit_risk_platform.domain.contracts.column import EXAMPLES, Column, Kind
from credit_risk_platform.domain.contracts.messages import MessageContract

DIALECT = "https://json-schema.org/draft/2020-12/schema"
Schema = dict[str, Any]

_SIGN = "[-+]?"
_NUMBER = _SIGN + r"(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?"
_ISO_DAY = r"\d{4}-\d{2}-\d{2}( \d{2}:\d{2}:\d{2})?"
_MONTHS = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
_TEXT_FORMS = {
    Kind.MONEY: rf"^\s*{_NUMBER}\s*$",
    Kind.AMOUNT: rf"^\s*{_NUMBER}\s*$",
    Kind.NUMBER: rf"^\s*{_NUMBER}\s*$",
    Kind.PERCENT: rf"^\s*{_NUMBER}\s*%?\s*$",
    Kind.COUNT: rf"^\s*{_SIGN}\d+(\.0*)?\s*$",
    Kind.TERM: r"^\s*\d+(\.0*)?\s*(months)?\s*$",
    Kind.MONTH: rf"^(({_MONTHS})-\d{{4}}|{_ISO_DAY})$",
    Kind.DAY: rf"^{_ISO_DAY}$",
    Kind.TIMESTAMP: rf"^{_ISO_DAY}$",
}
"""How each kind is spelled as text; a number may come as one, as files write it."""
_TYPE_LIMITS = {
    "INTEGER": (-(2**31), 2**31 - 1),
    "DECIMAL(18,2)": (-9_999_999_999_999_999, 9_999_999_999_999_999),
}
"""What the column's type can hold, for columns without limits of their own."""


def json_schema(contract: MessageContract) -> Schema:
    """JSON Schema 2020-12 of one topic's messages. Unknown fields are allowed, as the intake ignores them."""
    return {
        "$schema": DIALECT,
        "$id": f"urn:credit-risk-platform:message:{contract.topic}:v{contract.version}",
        "title": f"{contract.topic} v{contract.version}",
        "description": f"{contract.description} Kafka key: data.{contract.key} as text.",
        "type": "object",
        "required": ["schema_version", "event_id", "event_time", "data"],
        "additionalProperties": True,
        "properties": {
            "schema_version": {"const": contract.version},
            "event_id": {
                "type": "string",
                "minLength": 1,
                "description": "Names the event: the same id again is the same event, and counts once.",
            },
            "event_time": {
                "type": "string",
                "pattern": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,6})?Z$",
                "description": "When it happened, UTC.",
            },
            "data": {
                "type": "object",
                "required": [column.name for column in contract.columns if column.required],
                "additionalProperties": True,
                "properties": {column.name: _property(column) for column in contract.columns},
            },
        },
    }


def _property(column: Column) -> Schema:
    forms = _forms(column)
    if column.nullable:
        forms = [*forms, {"type": "null"}]
    meaning: Schema = {"description": _described(column)}
    if column.pii:
        meaning["x-personal"] = True
    return meaning | (forms[0] if len(forms) == 1 else {"anyOf": forms})


def _forms(column: Column) -> list[Schema]:
    """The JSON types a value may have."""
    if column.kind is Kind.TEXT:
        return [{"type": "string"} if column.nullable else {"type": "string", "pattern": r"\S"}]
    pattern = _TEXT_FORMS[column.kind]
    if column.lower is not None and column.lower >= 0:
        pattern = pattern.replace(_SIGN, "[+]?", 1)
    text = {"type": "string", "pattern": pattern}
    if not column.kind.is_number:
        return [text]
    low, high = _TYPE_LIMITS.get(column.type, (None, None))
    limits = {
        "minimum": low if column.lower is None else _plain(column.lower),
        "maximum": high if column.upper is None else _plain(column.upper),
    }
    whole = column.kind in (Kind.COUNT, Kind.TERM)
    number: Schema = {"type": "integer" if whole else "number"}
    return [number | {name: limit for name, limit in limits.items() if limit is not None}, text]


def _plain(limit: float) -> float | int:
    return int(limit) if float(limit).is_integer() else limit


def _described(column: Column) -> str:
    unit = f" Unit: {column.unit}." if column.unit else ""
    spelled = f" Write {EXAMPLES[column.kind]}." if column.kind in EXAMPLES else ""
    personal = " Personal: stored nowhere." if column.pii else ""
    return f"{column.description}{unit}{spelled}{personal}"
