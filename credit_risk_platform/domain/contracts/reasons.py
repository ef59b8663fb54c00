"""Why one row goes to quarantine or one message to the dead letters, and what to tell who has to mend it."""

from __future__ import annotations

from enum import StrEnum

from credit_risk_platform.domain.contracts.column import EXAMPLES, Column, Kind


class Reason(StrEnum):
    """Stored with every reject; one reject per row and column."""

    JUNK_LINE = "junk_line"
    WRONG_COLUMN_COUNT = "wrong_column_count"
    BROKEN_QUOTE = "broken_quote"
    BAD_ENCODING = "bad_encoding"
    LINE_TOO_LONG = "line_too_long"
    REQUIRED_BLANK = "required_blank"
    UNPARSABLE = "unparsable"
    IMPOSSIBLE_DATE = "impossible_date"
    OUT_OF_RANGE = "out_of_range"
    DUPLICATE_ID = "duplicate_id"
    UNKNOWN_LOAN = "unknown_loan"
    TOMBSTONE = "tombstone"
    TOO_LARGE = "too_large"
    KPL_AGGREGATED = "kpl_aggregated"
    NOT_JSON = "not_json"
    WRONG_SCHEMA_VERSION = "wrong_schema_version"
    MISSING_FIELD = "missing_field"
    UNPROCESSABLE = "unprocessable"

    @property
    def next_step(self) -> str:
        """The advice where no column adds to it."""
        return _NEXT_STEPS[self]


_NEXT_STEPS = {
    Reason.JUNK_LINE: "Nothing to do if it is a notice or a total; otherwise mend the row in the file.",
    Reason.WRONG_COLUMN_COUNT: "Look for a missing or an extra separator in this row, or for unquoted commas.",
    Reason.BROKEN_QUOTE: "Double the quotes inside the quoted value of this row.",
    Reason.BAD_ENCODING: "Write it in UTF-8.",
    Reason.LINE_TOO_LONG: "Look for a line break that is missing in this row.",
    Reason.REQUIRED_BLANK: "Fill in the value: a loan cannot be used without it.",
    Reason.UNPARSABLE: "Write the value as the contract spells it.",
    Reason.IMPOSSIBLE_DATE: "Correct the date.",
    Reason.OUT_OF_RANGE: "Correct the value or its unit.",
    Reason.UNKNOWN_LOAN: "Look for the loan among the rejects of its book, or land the book that holds it.",
    Reason.DUPLICATE_ID: "Keep one row per loan: the first one landed.",
    Reason.TOMBSTONE: "Send the event with a value: a message without one says nothing about a loan.",
    Reason.TOO_LARGE: "Send one event per message, without attachments: a message may take 256 kB.",
    Reason.KPL_AGGREGATED: "Set AggregationEnabled=false in the Kinesis Producer Library: one event per record.",
    Reason.NOT_JSON: "Write the message as one JSON object with schema_version, event_id, event_time and data.",
    Reason.WRONG_SCHEMA_VERSION: "Send the version the platform speaks, or upgrade the platform before the producer.",
    Reason.MISSING_FIELD: "Add the field, filled in or null: leaving it out is taken for a renamed field.",
    Reason.UNPROCESSABLE: "The platform failed on this message alone: report it with the error, then send it again.",
}


def advice(column: Column, reason: Reason) -> str:
    """What to do about `reason` in `column`, in one sentence or two."""
    if reason is Reason.UNPARSABLE and column.kind in EXAMPLES:
        return f"Write {column.name} as {EXAMPLES[column.kind]}."
    if reason is Reason.OUT_OF_RANGE:
        hint = " (10.65, not 0.1065)" if column.kind is Kind.PERCENT else ""
        return f"{column.name} may be {column.constraint} {column.unit}{hint}. {reason.next_step}"
    if reason is Reason.IMPOSSIBLE_DATE:
        limits = "between 1900 and 2200" if column.may_be_future else "after 1900 and not after the day of landing"
        return f"{column.name} must be a day that exists, {limits}, in step with the loan's other dates."
    return reason.next_step
