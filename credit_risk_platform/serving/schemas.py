"""What a request may say: the pydantic model of an application, generated from the contract's columns.

`Application.model_validate_json` refuses what is no application; `asked` makes the typed row of one that is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    PlainValidator,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    create_model,
)
from pydantic import Field as ModelField
from pydantic_core import PydanticCustomError

from credit_risk_platform.adapters.tokens import LOAN_PREFIX, TokenKey
from credit_risk_platform.domain.contracts.messages import APPLICATIONS
from credit_risk_platform.domain.provenance import framed
from credit_risk_platform.serving.fields import ALIASES, FIELDS, SENT_MACRO, Field, Row, json_schema
from credit_risk_platform.serving.problems import FieldError, field_errors
from credit_risk_platform.serving.values import WrongValueError, typed

MOST_ITEMS = 10_000
"""Applications of one batch call."""
MADE_ID = "made-"
_OURS = "wrong_value"
EXAMPLE = {field.name: field.example for field in FIELDS.values() if field.example is not None}
FULLER_EXAMPLE = {
    "id": "A-2026-000123", "customer_id": "CUST_12345", "application_date": "2026-06-30", "loan_amnt": 12000,
    "term": 36, "purpose": "debt_consolidation", "annual_inc": 75000, "emp_length": "8 years",
    "employment_type": "permanent", "home_ownership": "MORTGAGE", "verification_status": "Verified", "dti": 18.4,
    "fico_range_low": 715, "fico_range_high": 719, "earliest_cr_line": "2009-05-01", "inq_last_6mths": 1,
    "delinq_2yrs": 0, "open_acc": 9, "total_acc": 21, "pub_rec": 0, "revol_bal": 8400, "revol_util": 35.2,
}  # fmt: skip
EXAMPLES: tuple[dict[str, Any], ...] = (EXAMPLE, FULLER_EXAMPLE)


@dataclass(frozen=True)
class Asked:
    """One sound application. `row` holds typed contract columns without `id` and `customer_id`; null ones are absent.

    `content` identifies what was said, whichever names it was said in; `id_made`: the caller gave none.
    """

    loan_id: str
    subject_token: str
    row: Row
    content: str
    id_made: bool
    sent_macro: Mapping[str, float]


def _validator(field: Field) -> PlainValidator:
    def check(value: Any, info: ValidationInfo) -> Row:
        try:
            found = typed(field.column, value, (info.context or {})["today"])
            if isinstance(found, float) and field.multiple_of and found % field.multiple_of:
                raise WrongValueError(
                    "wrong-step", f"{field.name} is no multiple of {field.multiple_of:g}.", "Round the value."
                )
        except WrongValueError as error:
            raise PydanticCustomError(_OURS, "{detail}", vars(error)) from error
        return {field.name: found}

    return PlainValidator(check)


class _Application(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        title="Application",
        json_schema_extra={
            "examples": [*EXAMPLES],
            "anyOf": [{"required": [name], "properties": {name: {"type": "string"}}} for name in ("customer_id", "id")],
            "allOf": [{"not": {"required": list(names)}} for names in ALIASES],
        },
    )


Application: type[BaseModel] = create_model(
    "Application",
    __base__=_Application,
    __doc__="An application for a loan. A field that is left out, or null, is missing; it never counts as zero.",
    **{
        name: (Annotated[Any, _validator(field), WithJsonSchema(json_schema(field))], ModelField(None))
        for name, field in FIELDS.items()
    },
)  # type: ignore[call-overload]


class RefusedError(ValueError):
    """An application that cannot be scored, and all that is wrong with it."""

    def __init__(self, errors: list[FieldError]) -> None:
        self.errors = errors
        super().__init__(f"{len(errors)} faults")


def read(application: Any, today: date, key: TokenKey, prefix: str = "") -> Asked:
    """The application in a parsed JSON value. Raises `RefusedError`, whose fields begin with `prefix`."""
    try:
        model = Application.model_validate(application, context={"today": today})
    except ValidationError as error:
        raise RefusedError(_errors(error, prefix)) from error
    found = {name: value[name] for name in model.model_fields_set if (value := getattr(model, name))[name] is not None}
    if faults := [*_said_twice(found), *_nobody(found)]:
        raise RefusedError([fault.model_copy(update={"field": prefix + fault.field}) for fault in faults])
    return _asked(found, key)


def _asked(found: Row, key: TokenKey) -> Asked:
    facts: Row = {}
    for name, value in found.items():
        facts |= FIELDS[name].becomes(value)
    customer, given = facts.pop("customer_id", None), facts.pop("id", None)
    row = {column.name: facts[column.name] for column in APPLICATIONS.columns if column.name in facts}
    said = "".join(framed(name) + framed(_said(value)) for name, value in row.items())
    content = hashlib.sha256((framed(key.token(customer) if customer else None) + said).encode()).hexdigest()
    loan_id = given or MADE_ID + content[:24]
    return Asked(
        loan_id=loan_id,
        subject_token=key.token(customer) if customer else key.token(LOAN_PREFIX + loan_id),
        row=row,
        content=content,
        id_made=given is None,
        sent_macro={name: found[name] for name in SENT_MACRO if name in found},
    )


def _said(value: Any) -> str:
    return value.hex() if isinstance(value, float) else str(value)


def _said_twice(found: Row) -> list[FieldError]:
    return [
        FieldError(
            field=name,
            code="said-twice",
            detail=f"{name} and {also} are two names for one fact.",
            fix=f"Send one of them: {also} is the fuller application's name.",
        )
        for name, also in ALIASES
        if name in found and also in found
    ]


def _nobody(found: Row) -> list[FieldError]:
    if "customer_id" in found or "id" in found:
        return []
    return [
        FieldError(
            field="customer_id",
            code="missing",
            detail="The application names nobody.",
            fix="Send customer_id, or the application's id.",
        )
    ]


def _errors(error: ValidationError, prefix: str) -> list[FieldError]:
    """Our own faults in our words, pydantic's in those of `problems`."""
    found = error.errors(include_url=False, include_input=False)
    return [
        FieldError(field=f"{prefix}{one['loc'][0]}", **{part: one["ctx"][part] for part in ("code", "detail", "fix")})
        if one["type"] == _OURS
        else general
        for one, general in zip(found, field_errors(error, FIELDS, prefix), strict=False)
    ]
