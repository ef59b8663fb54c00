"""From what the parser refused and what the contract refused to one table of rejects, one row per row and column."""

from __future__ import annotations

from collections.abc import Iterable

import duckdb
import pyarrow as pa

from credit_risk_platform.adapters.landing.source import LoanFile
from credit_risk_platform.adapters.landing.sql import NOTICES, REPEATED, RS, US, literal, shape
from credit_risk_platform.domain.contracts.column import Column
from credit_risk_platform.domain.contracts.errors import BrokenQuoteError
from credit_risk_platform.domain.contracts.loan_columns import INPUT
from credit_risk_platform.domain.contracts.reasons import Reason, advice

REJECT_COLUMNS = {
    "file": "VARCHAR",
    "row": "BIGINT",
    "column": "VARCHAR",
    "value": "VARCHAR",
    "reason": "VARCHAR",
    "next_step": "VARCHAR",
    "raw_line": "VARCHAR",
}
_PARSER_REASONS = {
    "UNQUOTED VALUE": Reason.BROKEN_QUOTE,
    "INVALID ENCODING": Reason.BAD_ENCODING,
    "LINE SIZE OVER MAXIMUM": Reason.LINE_TOO_LONG,
}
"""Everything else the parser refuses is a wrong number of columns."""


def collect_broken_lines(connection: duckdb.DuckDBPyConnection, file: LoanFile) -> int:
    """Make temp table `broken` of the lines that are no rows; returns how many.

    Raises:
        BrokenQuoteError: a quote swallowed several lines, so nobody can say which loans are missing.
    """
    ranked = ", ".join(map(literal, _PARSER_REASONS))
    connection.execute(
        "create or replace temp table broken as select line::bigint as line, "
        f"arg_min(error_type::varchar, coalesce(list_position([{ranked}], error_type::varchar), 9)) as error, "
        "min(column_idx) filter (error_type = 'MISSING COLUMNS') as too_few, "
        "max(column_idx) filter (error_type = 'TOO MANY COLUMNS') as too_many, "
        "trim(any_value(csv_line), chr(10) || chr(13)) as text from reject_errors group by line"
    )
    swallowed = connection.execute(
        "select line, length(text) - length(replace(text, chr(10), '')) from broken "
        "where error = 'UNQUOTED VALUE' and contains(text, chr(10)) order by line limit 1"
    ).fetchone()
    if swallowed is not None:
        line, lines = swallowed
        raise BrokenQuoteError(file.name, f"a quote that opens on row {line} swallows the {lines} lines after it.")
    return _count(connection, "broken")


def number_rows(connection: duckdb.DuckDBPyConnection, file: LoanFile, blanks: tuple[int, ...]) -> None:
    """Make view `numbered`: `staged` with `_row`, its row number in the file.

    The parser numbers only what it refuses, so a sound row's number is its place among the sound ones plus the gaps
    (blank and broken lines) before it.
    """
    connection.register("blank_lines", pa.table({"line": pa.array(blanks, pa.int64())}))
    connection.execute(
        "create or replace temp table gaps as select sound_before, max(place) as gaps from ("
        "select row_number() over (order by line) as place, line - $skip - place as sound_before from "
        "(select line from blank_lines union select line from broken) where line > $skip) group by sound_before",
        {"skip": file.skip},
    )
    connection.unregister("blank_lines")
    first = file.skip + 1
    if _count(connection, "gaps"):
        numbering = f"staged.rowid + {first} + coalesce(gaps, 0) as _row"
        source = "staged asof left join gaps on staged.rowid >= sound_before"
    else:
        numbering, source = f"staged.rowid + {first} as _row", "staged"
    connection.execute(
        f"create or replace temp view numbered as select staged.*, staged.rowid as place, {numbering} from {source}"
    )


def collect_rejects(connection: duckdb.DuckDBPyConnection, file: LoanFile) -> None:
    """Make temp table `rejects` from `broken`, from the problems of `numbered` and from `repeated`."""
    connection.register("advice", advice_table(INPUT))
    connection.execute(
        "create or replace temp table rejects as "
        f"select {literal(file.name)} as file, row, nullif(found.\"column\", '') as column, value, found.reason, "
        "advice.next_step, raw_line "
        f"from ({_broken_sql(file)} union all {_problem_sql()}) as found "
        'left join advice on advice.reason = found.reason and advice."column" = found."column" '
        f"union all select {literal(file.name)}, row, 'id', loan_id, {literal(Reason.DUPLICATE_ID)}, "
        "'Row ' || first_row || ' has this id too and landed: keep one row per loan.', raw_line from repeated "
        'order by row, "column"'
    )
    connection.unregister("advice")


def _broken_sql(file: LoanFile) -> str:
    reasons = " ".join(f"when {literal(error)} then {literal(reason)}" for error, reason in _PARSER_REASONS.items())
    is_junk = " or ".join(
        ["not contains(text, ',')", *(f"ltrim(text, '\"') like {literal(notice)}" for notice in NOTICES)]
    )
    return (
        "select line as row, '' as \"column\", "
        f"coalesce(too_few, too_many) || ' of {len(file.header.names)} columns' as value, "
        f"case error {reasons} else case when {is_junk} then {literal(Reason.JUNK_LINE)} "
        f"else {literal(Reason.WRONG_COLUMN_COUNT)} end end as reason, {shape('text')} as raw_line from broken"
    )


def _problem_sql() -> str:
    return (
        "select row, parts[1] as \"column\", nullif(parts[3], '') as value, parts[2] as reason, raw_line from ("
        f"select _row as row, raw_line, string_split(unnest(string_split(problems, {RS})), {US}) as parts "
        f"from numbered where problems not in ('', {literal(REPEATED)}))"
    )


def advice_table(columns: Iterable[Column]) -> pa.Table:
    """Column (empty: the row as a whole), reason, next_step: what to do about each thing that can be wrong."""
    rows = [{"column": "", "reason": str(reason), "next_step": reason.next_step} for reason in Reason]
    rows += [
        {"column": column.name, "reason": str(reason), "next_step": advice(column, reason)}
        for column in columns
        for reason in Reason
    ]
    return pa.Table.from_pylist(rows)


def _count(connection: duckdb.DuckDBPyConnection, relation: str) -> int:
    row = connection.execute(f"select count(*) from {relation}").fetchone()
    assert row is not None
    return int(row[0])
