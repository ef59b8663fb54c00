"""The SQL that turns the text of a loan file into typed rows and a list of what is wrong with each.

One pass, set-based. Every function returns SQL made of names from the contract; values of the file never enter it.
A row's problems are one text, `column US reason US value` joined by RS (the ASCII separators), empty when sound.
"""

from __future__ import annotations

from datetime import date

from credit_risk_platform.adapters.landing.source import LoanFile
from credit_risk_platform.adapters.tokens import LOAN_PREFIX, token_sql
from credit_risk_platform.domain.contracts.column import Column, Kind
from credit_risk_platform.domain.contracts.header import Header
from credit_risk_platform.domain.contracts.loan_columns import INPUT, LOAN_COLUMNS, ORDER, SURROGATE_KEY, by_name
from credit_risk_platform.domain.contracts.reasons import Reason

US, RS = "chr(31)", "chr(30)"
BLANKS = ("", "n/a", "N/A", "NA", "nan", "NaN", "NULL", "null")
NOTICES = ("Loans that do not meet the credit policy%", "Total amount funded in policy code%")
"""Lines that LendingClub itself writes between its loans."""
EARLIEST, LATEST = "1900-01-01", "2200-01-01"
REPEATED = "repeated"
"""Takes the place of the problems of a row that is sound but has another row's id."""
MASK = "'***'"
VALUE_LENGTH, LINE_LENGTH = 200, 2_000
CUSTOMER_COLUMNS = ("customer_id", "member_id")


def literal(text: str) -> str:
    """A SQL text literal."""
    return "'" + text.replace("'", "''") + "'"


def present(header: Header) -> tuple[Column, ...]:
    """Columns that this file brings and the lake keeps, in contract order."""
    return tuple(column for column in INPUT if column.landed and header.has(column.name))


def read_text(file: LoanFile) -> str:
    """All rows of well-formed lines, as text, columns named `raw_<name>`; broken lines go to `reject_errors`."""
    known = set(file.header.known)
    names = [f"raw_{name}" if name in known else f"unknown_{place}" for place, name in enumerate(file.header.names)]
    columns = ", ".join(f"'{name}': 'VARCHAR'" for name in names)
    blanks = ", ".join(map(literal, BLANKS))
    return (
        f"read_csv({literal(str(file.text))}, auto_detect = false, columns = {{{columns}}}, header = false, "
        f"skip = {file.skip}, delim = ',', quote = '\"', escape = '\"', strict_mode = true, nullstr = [{blanks}], "
        "store_rejects = true, rejects_limit = 0)"
    )


def stage(file: LoanFile, today: date) -> str:
    """Query over `read_text`: typed columns, `given_id`, `customer_token`, `problems`, `raw_line`. Binds the pads."""
    header = file.header
    columns = present(header)
    typed = ", ".join(f"{parse(column)} as {column.name}" for column in columns)
    parsed = f"select *, {typed}, {trimmed('id')} as given_id from {read_text(file)}"
    judged = f"select *, {_problems(columns, today)} as problems from ({parsed})"
    kept = ", ".join(column.name for column in columns)
    return (
        f"select {kept}, {loan_id(header)} as loan_id, given_id is null as id_made, {_customer_token(header)} as "
        f"customer_token, problems, case when problems <> '' then {_shown_line(header)} end as raw_line from ({judged})"
    )


def parse(column: Column) -> str:
    """Text to the column's type; null where the text does not fit."""
    raw = f"raw_{column.name}"
    match column.kind:
        case Kind.TEXT:
            return trimmed(column.name)
        case Kind.PERCENT:
            return f"try_cast(rtrim({raw}, '% ') as double)"
        case Kind.TERM:
            return _whole(f"replace({raw}, 'months', '')")
        case Kind.COUNT:
            return _whole(raw)
        case Kind.MONTH:
            # An ISO day is accepted for a month and cut to its first, as the contract promises.
            return f"date_trunc('month', try_strptime({_no_word(raw)}, ['%b-%Y', {_ISO}]))::date"
        case Kind.DAY:
            return f"try_strptime({_no_word(raw)}, [{_ISO}])::date"
        case _:
            return f"try_cast({raw} as {column.type})"


_ISO = "'%Y-%m-%d', '%Y-%m-%d %H:%M:%S'"


def _no_word(raw: str) -> str:
    """DuckDB 1.5.5 reads these three by any format, as 1900-01-01."""
    return f"case when lower(trim({raw})) not in ('infinity', '-infinity', 'epoch') then {raw} end"


def loan_id(header: Header) -> str:
    """The file's id, else a hash of the application: deterministic, and blind to the loan's outcome."""
    parts = ", ".join(_key_part(name) if header.has(name) else "''" for name in SURROGATE_KEY)
    return f"coalesce(given_id, 'made-' || left(sha256(concat_ws({US}, {parts})), 24))"


def _key_part(name: str) -> str:
    # Typed values, so that "5000" and "5000.0" of two layouts make one id.
    return f"coalesce({f'raw_{name}' if by_name(name).kind is Kind.TEXT else f'{name}::varchar'}, '')"


def landed(header: Header) -> str:
    """Columns of `loans.parquet` from the numbered stage; binds batch, source, observed_through and the pads."""
    fallback = token_sql(f"{literal(LOAN_PREFIX)} || loan_id")
    brought = {column.name for column in present(header)}
    made = {
        "source_system": "$source",
        "subject_token": f"coalesce(customer_token, {fallback})",
        "_batch": "$batch",
        "_observed_through": "$observed_through::date",
    }
    always = {"loan_id", "_row", *made}
    return ", ".join(
        f"{made[column.name]} as {column.name}" if column.name in made else column.name
        for column in LOAN_COLUMNS
        if column.name in brought | always
    )


def shape(text: str) -> str:
    """A line with every letter as x and every digit as 9: shows where the separators are, and nobody's data."""
    blurred = f"regexp_replace(regexp_replace({text}, '\\p{{L}}', 'x', 'g'), '\\p{{N}}', '9', 'g')"
    is_notice = " or ".join(f"ltrim({text}, '\" \n') like {literal(notice)}" for notice in NOTICES)
    return f"case when {is_notice} then {text} else left({blurred}, {LINE_LENGTH}) end"


def trimmed(name: str) -> str:
    return f"nullif(trim(raw_{name}), '')"


def _whole(text: str) -> str:
    """'35' and '35.0' are 35; '35.5' is nothing (a plain cast would make it 36)."""
    number = f"try_cast({text} as double)"
    return (
        f"case when contains({text}, '.') then case when {number} = trunc({number}) then try_cast({number} as integer) "
        f"end else try_cast({text} as integer) end"
    )


def _customer_token(header: Header) -> str:
    given = [trimmed(name) for name in CUSTOMER_COLUMNS if header.has(name)]
    return token_sql(f"coalesce({', '.join(given)})") if given else "null::varchar"


def _problems(columns: tuple[Column, ...], today: date) -> str:
    needed = [column for column in columns if not column.nullable]
    all_blank = " and ".join(f"raw_{column.name} is null" for column in needed)
    junk = problem("''", Reason.JUNK_LINE, shape("coalesce(raw_id, '')"))
    names = {column.name for column in columns}
    each = [column_problem(column, today) for column in columns if column.kind is not Kind.TEXT or not column.nullable]
    crossed = [
        f"case when {earlier} > {later} then {problem(literal(blamed), Reason.IMPOSSIBLE_DATE, f'raw_{blamed}')} end"
        for earlier, later, blamed in ORDER
        if {earlier, later} <= names
    ]
    return f"case when {all_blank} then {junk} else concat_ws({RS}, {', '.join([*each, *crossed])}) end"


def column_problem(column: Column, today: date) -> str:
    name, raw = literal(column.name), f"raw_{column.name}"
    unfit: str = literal(Reason.UNPARSABLE)
    if column.kind.is_date:  # 2011-02-30 is spelled well and does not exist
        spelled = r"'\s*\d{4}-\d{1,2}-\d{1,2}.*'"
        unfit = f"case when regexp_full_match({raw}, {spelled}) then {literal(Reason.IMPOSSIBLE_DATE)} else {unfit} end"
    blank = "" if column.nullable else f" else {problem(name, Reason.REQUIRED_BLANK, chr(39) * 2)}"
    absent = f"when {column.name} is null then case when {raw} is not null then {problem(name, unfit, raw)}{blank} end"
    if (limits := _outside(column, today)) is None:
        return f"case {absent} end"
    wrong = Reason.IMPOSSIBLE_DATE if column.kind.is_date else Reason.OUT_OF_RANGE
    return f"case {absent} when {limits} then {problem(name, wrong, raw)} end"


def column_flaw(column: Column, today: date) -> str:
    """Predicate: true where `column_problem` has something to say, at a tenth of its cost."""
    blank = f" and raw_{column.name} is not null" if column.nullable else ""
    limits = _outside(column, today)
    return f"({column.name} is null{blank}{f' or {limits}' if limits else ''})"


def _outside(column: Column, today: date) -> str | None:
    if column.kind.is_date:
        last = LATEST if column.may_be_future else today.isoformat()
        return f"{column.name} not between date '{EARLIEST}' and date '{last}'"
    if column.kind.is_number:
        # Not-a-number is above every number in DuckDB, so the upper limit catches it too.
        low, high = (None if limit is None else f"{limit:.0f}::{column.type}" for limit in (column.lower, column.upper))
        if low is None or high is None:
            return f"{column.name} < {low}" if low else f"{column.name} > {high}" if high else None
        return f"{column.name} not between {low} and {high}"
    return None


def problem(name: str, reason: Reason | str, value: str) -> str:
    code = literal(reason) if isinstance(reason, Reason) else reason
    shown = f"left(translate({value}, {US} || {RS}, ''), {VALUE_LENGTH})"
    return f"{name} || {US} || {code} || {US} || {shown}"


def _shown_line(header: Header) -> str:
    """The row as text again, without personal columns and unknown ones."""
    cells = ", ".join(
        f"coalesce(raw_{name}, '')" if name in header.known and not by_name(name).pii else MASK for name in header.names
    )
    return f"left(concat_ws(',', {cells}), {LINE_LENGTH})"
