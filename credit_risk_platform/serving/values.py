"""One JSON value to one typed value of a contract column: the scalar twin of the landing's SQL.

It is stricter about spelling than a file may be: a number is a number, text stands for one only where it carries its
unit (`36 months`, `10.65%`). What it accepts, the intake of the stream accepts too and types alike.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pyarrow as pa

from credit_risk_platform.adapters.landing.sql import BLANKS
from credit_risk_platform.domain.contracts.column import EXAMPLES, Column, Kind

Value = Decimal | float | int | str | date
MOST_CHARACTERS = 200
EARLIEST = date(1900, 1, 1)

ARROW_TYPES = {
    "VARCHAR": pa.string(),
    "DECIMAL(18,2)": pa.decimal128(18, 2),
    "DOUBLE": pa.float64(),
    "INTEGER": pa.int32(),
    "DATE": pa.date32(),
}
"""Type of a landed column -> Arrow type."""

_NUMBER = r"-?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?"
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAY = r"\d{4}-\d{2}-\d{2}"
PERCENT_TEXT = rf"^{_NUMBER} *%$"
TERM_TEXT = r"^ *\d{1,3} months$"
MONTH_TEXT = rf"^(({'|'.join(_MONTHS)})-\d{{4}}|{_DAY})$"
DAY_TEXT = rf"^{_DAY}$"
PLAIN_TEXT = r"^[^\u0000-\u001f\u007f-\u009f]*$"
"""Patterns of what may come as text, for the schema and for us."""


@dataclass(frozen=True)
class WrongValueError(ValueError):
    """A value that its column cannot take. Never repeats the value: it may be somebody's income."""

    code: str
    detail: str
    fix: str

    def __str__(self) -> str:
        return self.detail


def typed(column: Column, value: Any, today: date) -> Value | None:
    """The value as its column is stored; `None` for null and for a text that says there is none.

    Dates after `today` are impossible. Raises `WrongValueError`.
    """
    if value is None:
        return None
    if isinstance(value, bool):
        raise _wrong_type(column)
    match column.kind:
        case Kind.TEXT:
            return _text(column, value)
        case Kind.MONTH | Kind.DAY:
            return _day(column, value, today)
        case Kind.MONEY:
            return _money(column, value)
        case Kind.COUNT | Kind.TERM:
            return _whole(column, value)
        case _:
            return float(_number(column, value))


def _text(column: Column, value: Any) -> str | None:
    if not isinstance(value, str):
        raise _wrong_type(column)
    if len(value) > MOST_CHARACTERS:
        raise WrongValueError(
            "wrong-length", f"{column.name} is longer than {MOST_CHARACTERS} characters.", "Send a shorter text."
        )
    if not re.fullmatch(PLAIN_TEXT, value):
        raise WrongValueError("wrong-format", f"{column.name} holds control characters.", "Send plain text.")
    text = value.strip(" ")
    if text not in BLANKS:
        return text
    if not column.nullable:
        raise WrongValueError("blank", f"{column.name} is blank.", "Fill it in, or leave the field out.")
    return None


def _day(column: Column, value: Any, today: date) -> date:
    if not isinstance(value, str):
        raise _wrong_type(column)
    pattern = MONTH_TEXT if column.kind is Kind.MONTH else DAY_TEXT
    if not re.fullmatch(pattern, value) or not value.isascii():
        raise WrongValueError("wrong-format", f"{column.name} is not a date we can read.", _spelling(column))
    impossible = WrongValueError(
        "impossible-date",
        f"{column.name} is a day that does not exist or lies outside 1900 to today.",
        "Correct the date.",
    )
    try:
        if value[:3].isalpha():
            found = date(int(value[4:]), _MONTHS.index(value[:3]) + 1, 1)
        else:
            found = datetime.strptime(value, "%Y-%m-%d").date()  # noqa: DTZ007 - a day has no zone
    except ValueError:
        raise impossible from None
    found = found.replace(day=1) if column.kind is Kind.MONTH else found
    if not EARLIEST <= found <= today:
        raise impossible
    return found


def _whole(column: Column, value: Any) -> int:
    if column.kind is Kind.TERM and isinstance(value, str) and re.fullmatch(TERM_TEXT, value) and value.isascii():
        value = int(value.removesuffix("months"))
    number = _number(column, value)
    if isinstance(number, float) and not number.is_integer():
        raise WrongValueError("wrong-type", f"{column.name} is not a whole number.", _spelling(column))
    return int(number)


def _number(column: Column, value: Any) -> int | float:
    if column.kind is Kind.PERCENT and isinstance(value, str) and re.fullmatch(PERCENT_TEXT, value) and value.isascii():
        value = float(value.rstrip("% "))
    if isinstance(value, str) or not isinstance(value, int | float):
        raise _wrong_type(column)
    if isinstance(value, float) and not math.isfinite(value):
        raise WrongValueError(
            "not-finite", f"{column.name} is not a finite number.", "Leave the field out when the value is unknown."
        )
    low, high = column.lower, column.upper
    if (low is not None and value < low) or (high is not None and value > high):
        raise WrongValueError("out-of-range", f"{column.name} is out of range.", _range(column))
    return value


def _money(column: Column, value: Any) -> Decimal:
    number = _number(column, value)
    if 0 < abs(number) < LEAST_MONEY:
        raise WrongValueError(
            "out-of-range", f"{column.name} is less than a hundredth of a cent.", "Send the amount in whole units."
        )
    return Decimal(repr(number)).quantize(Decimal("0.01"), ROUND_HALF_UP)


def _wrong_type(column: Column) -> WrongValueError:
    return WrongValueError("wrong-type", f"{column.name} has the wrong JSON type.", _spelling(column))


def _spelling(column: Column) -> str:
    if column.kind is Kind.TEXT:
        return "Send a JSON string."
    texts = {Kind.PERCENT: ", or text with its unit like '10.65%'", Kind.TERM: ", or text like '36 months'"}
    if column.kind.is_number:
        whole = "whole " if column.kind in (Kind.COUNT, Kind.TERM) else ""
        return f"Send a {whole}JSON number without quotes{texts.get(column.kind, '')}; leave it out when unknown."
    return f"Write {column.name} as {EXAMPLES[column.kind]}."


def _range(column: Column) -> str:
    if column.name in POSITIVE:
        return (
            f"{column.name} must be above zero and at most {column.upper:,.0f}. Leave it out when the income is not "
            "known: it then counts as missing, not as zero."
        )
    unit = f" {column.unit}" if column.unit else ""
    fix = f"{column.name} may be {column.constraint}{unit}"
    hint = " (10.65, not 0.1065)" if column.kind is Kind.PERCENT else ""
    return f"{fix}{hint}. Correct the value or its unit."


POSITIVE = frozenset({"annual_income", "annual_inc", "annual_inc_joint"})
"""Incomes: zero is no income to judge a debt by, and most often stands for "not known"."""
LEAST_INCOME = 0.01
LEAST_MONEY = 1e-4
"""JSON writes what is smaller with an exponent, and DuckDB 1.5.5 reads '5e-05' as the decimal 0.01."""
