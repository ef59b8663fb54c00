"""What a contract says of one column, and the words it says it in. Pure data: parsing lives in the landing adapter."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Stage(StrEnum):
    """When a value comes to exist, and so what may use it. The letters are those of the feature map, part 3.3."""

    CORE = "K"
    """Known at application, filled in every vintage."""
    ERA = "V"
    """Known at application, filled only in some vintages: its absence tells the year."""
    BUREAU = "B"
    """Credit bureau block, empty before about August 2012: same rule as `ERA`."""
    OFFER = "O"
    """The lender's own offer or funding: circular for an application model, allowed for pricing."""
    OUTCOME = "X"
    """After the money went out: never a feature."""
    LABEL = "S"
    """Label or vintage."""
    PERSON = "P"
    """Identifiers, free text, geography: never in a model; geography for concentration and fairness only."""
    EXTRA = "E"
    """Known at application, in the platform's own layout, not in LendingClub's."""
    RESTRICTED = "R"
    """Personal attributes that no decision may rest on: kept for fairness tests."""
    MACRO = "M"
    """Published macroeconomic figure, dated by its publication."""
    LANDING = "L"
    """Describes the row's landing: keys and lineage."""


class Kind(StrEnum):
    """How a value is spelled in a file and typed in the lake."""

    TEXT = "text"
    MONEY = "money"
    AMOUNT = "amount"
    PERCENT = "percent"
    NUMBER = "number"
    COUNT = "count"
    TERM = "term"
    MONTH = "month"
    DAY = "day"
    ROW = "row"
    TIMESTAMP = "timestamp"
    FLAG = "flag"

    @property
    def sql_type(self) -> str:
        """Type of the landed column; the same name in DuckDB and Snowflake."""
        return _SQL_TYPES[self]

    @property
    def is_date(self) -> bool:
        return self in (Kind.MONTH, Kind.DAY)

    @property
    def is_number(self) -> bool:
        return self in (Kind.MONEY, Kind.AMOUNT, Kind.PERCENT, Kind.NUMBER, Kind.COUNT, Kind.TERM)


_SQL_TYPES = {
    Kind.TEXT: "VARCHAR",
    Kind.MONEY: "DECIMAL(18,2)",
    Kind.AMOUNT: "DOUBLE",
    Kind.PERCENT: "DOUBLE",
    Kind.NUMBER: "DOUBLE",
    Kind.COUNT: "INTEGER",
    Kind.TERM: "INTEGER",
    Kind.MONTH: "DATE",
    Kind.DAY: "DATE",
    Kind.ROW: "BIGINT",
    Kind.TIMESTAMP: "TIMESTAMP",
    Kind.FLAG: "BOOLEAN",
}

EXAMPLES = {
    Kind.MONEY: "a number like 5000.00, without currency sign or thousands separator",
    Kind.AMOUNT: "a number like 5863.155, without currency sign or thousands separator",
    Kind.PERCENT: "percent points like 10.65% or 10.65",
    Kind.NUMBER: "a number like 0.25",
    Kind.COUNT: "a whole number like 3",
    Kind.TERM: "months like '36 months' or 36",
    Kind.MONTH: "a month like Dec-2011 or a date like 2011-12-01",
    Kind.DAY: "a date like 2011-12-31",
}
"""What a reader of a reject is told to write instead."""


@dataclass(frozen=True)
class Column:
    """One column of a contract. Limits are inclusive and in the column's unit."""

    name: str
    stage: Stage
    kind: Kind
    unit: str
    description: str
    required: bool = False
    """The file must have the column; a file without it is no loan file."""
    nullable: bool = True
    """A row may leave it blank."""
    lower: float | None = None
    upper: float | None = None
    may_be_future: bool = False
    """A date that lies ahead of the landing is plausible (a payment that falls due)."""
    scale_floor: float | None = None
    """Percent columns: if half the non-zero values lie below this, the file wrote fractions, not percent points."""
    landed: bool = True
    """False: read for keys and tokens at most, never written to the lake."""
    pii: bool = False
    """Never shown: not in a reject, not in a preview."""

    @property
    def type(self) -> str:
        return self.kind.sql_type

    @property
    def constraint(self) -> str:
        """The allowed range in words; empty where there is none."""
        low, high = (None if limit is None else f"{limit:g}" for limit in (self.lower, self.upper))
        if low is not None and high is not None:
            return f"{low} to {high}"
        return f"at least {low}" if low is not None else f"at most {high}" if high is not None else ""
