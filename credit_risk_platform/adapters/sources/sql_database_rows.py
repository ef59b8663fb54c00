"""Rows as a bank's database gave them, judged by their contract: what lands, and what is refused with its reason.

Belongs here: types, rules, tokens; all of it SQL in a private in-memory engine, so that no raw id reaches the warehouse
or its spill files. Does not: where rows come from and where they go.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from types import TracebackType

import duckdb
import pyarrow as pa

from credit_risk_platform.adapters.landing import sql
from credit_risk_platform.adapters.landing.sql import RS, US, literal
from credit_risk_platform.adapters.sources.sql_database import EARLIEST, Position
from credit_risk_platform.adapters.tokens import TokenKey, token_sql
from credit_risk_platform.domain.contracts.bank_columns import (
    BIRTH_DATE,
    BIRTH_YEAR,
    PULL,
    TOKENS,
    UPDATED_AT,
    BankTable,
)
from credit_risk_platform.domain.contracts.column import Column, Kind
from credit_risk_platform.domain.contracts.errors import ReconciliationError
from credit_risk_platform.domain.contracts.reasons import Reason

REJECTS = pa.schema(
    [
        (name, pa.string())
        for name in ("source", "row_key", "file", "column_name", "value", "reason", "next_step", PULL.name)
    ]
)
"""As the quarantine of files, but a row of a database has no number: `row_key` is the token of its key, or of all of
the row where it has no key. `file` is the source's table. Personal values are not shown."""
_PADS = ("inner_pad", "outer_pad")
_ROW = "row:"


@dataclass(frozen=True)
class Judged:
    """One batch, told apart. `keys` names every row that was read, so that what was said of it before can go."""

    sound: pa.Table
    rejects: pa.Table
    keys: pa.Table
    rows_in: int
    rejected: int
    by_reason: dict[str, int]
    last: Position | None
    """Of the batch's last row."""


class Judge:
    """Judges batches of one table. A context manager: its engine holds raw ids and ends with the pull."""

    def __init__(self, table: BankTable, key: TokenKey, pull: str, latest: datetime) -> None:
        self.table, self.pull = table, pull
        self._connection = connection = duckdb.connect(config={"temp_directory": ""})  # raw ids stay off the disk
        connection.execute("set timezone = 'UTC'")
        # Here, and in no text of a statement: an error would quote it.
        inner, outer = key.pads()
        pads = f"create table pads as select $inner::blob as {_PADS[0]}, $outer::blob as {_PADS[1]}"
        connection.execute(pads, {"inner": inner, "outer": outer})
        connection.register("given", _advice(table))
        connection.execute("create table advice as from given")
        connection.unregister("given")
        self._statements = _statements(table, latest)

    def __enter__(self) -> Judge:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._connection.close()

    def judge(self, rows: pa.Table) -> Judged:
        """`rows` are `raw_<column>` texts in the order they were read.

        Raises:
            ReconciliationError: rows in are not rows that land and rows that are refused.
        """
        connection = self._connection
        connection.register("given", rows)
        connection.execute("create or replace table incoming as select row_number() over () as place, * from given")
        connection.unregister("given")
        for statement in self._statements:
            connection.execute(statement)
        sound = connection.execute(f"{_landed(self.table)} where sound order by place", [self.pull]).to_arrow_table()
        named = {"source": self.table.system, "file": self.table.relation, "pull": self.pull}
        rejects = connection.execute(_REJECTS, named).to_arrow_table().cast(REJECTS)
        by_reason = dict(connection.execute(_BY_REASON).fetchall())
        rejected = connection.execute("select count(distinct place) from problems").fetchall()[0][0]
        keys = connection.execute("select distinct row_key from judged").to_arrow_table()
        if sound.num_rows + rejected != rows.num_rows:
            problem = f"{rows.num_rows:,} rows came in, {sound.num_rows:,} would land and {rejected:,} are refused."
            step = "Nothing of this batch was written: report this as a defect."
            raise ReconciliationError(self.table.relation, problem, next_step=step)
        return Judged(sound, rejects, keys, rows.num_rows, rejected, by_reason, self._last())

    def nothing(self) -> Judged:
        """What no rows come to: the landed table's shape."""
        names = [f"raw_{column.name}" for column in self.table.columns]
        return self.judge(pa.table({name: pa.array([], pa.string()) for name in names}))

    def _last(self) -> Position | None:
        found = self._connection.execute(
            f"select {UPDATED_AT}, raw_{self.table.key} from judged order by place desc limit 1"
        ).fetchone()
        return Position(*found) if found and None not in found else None


def _statements(table: BankTable, latest: datetime) -> tuple[str, ...]:
    """What a batch goes through: `judged` (typed, with problems as one text) and `problems` (one row for each).

    Dates after the day of `latest`, and changes after it, are impossible.
    """
    listed = [column.name for column in table.columns]
    # Blank is missing, as in a file.
    blanks = ", ".join(f"nullif(trim(raw_{name}), '') as raw_{name}" for name in listed)
    typed = ", ".join(f"{_parsed(column)} as {column.name}" for column in table.columns)
    problems = f"concat_ws({RS}, {', '.join(_problems(table, latest))})"
    token = _token(f"raw_{table.key}", TOKENS[table.key].prefix if table.key in TOKENS else "")
    key = token if table.key in TOKENS else f"raw_{table.key}"
    whole = _token(f"concat_ws({US}, {', '.join(f'coalesce(raw_{name}, chr(0))' for name in listed)})", _ROW)
    judged = f"""
        create or replace table judged as
        with raw as (select place, {blanks} from incoming), typed as (select *, {typed} from raw)
        select typed.*, {problems} as problems, coalesce({key}, {whole}) as row_key from typed, pads
    """
    # Of rows that share a key the one that changed last; they come in that order.
    sound = """
        update judged set sound = problems = '' and place = newest
        from (
            select row_key as one, max(place) filter (where problems = '') as newest from judged group by row_key
        )
        where row_key = one
    """
    listed_problems = f"""
        create or replace table problems as
        select place, row_key, parts[1] as column_name, parts[2] as reason, nullif(parts[3], '') as value
        from (
            select place, row_key, string_split(unnest(string_split(problems, {RS})), {US}) as parts
            from judged where problems <> ''
        )
        union all
        select place, row_key, {literal(table.key)}, {literal(Reason.DUPLICATE_ID)}, row_key
        from judged where problems = '' and not sound
    """
    personal = ", ".join(literal(column.name) for column in table.columns if column.pii)
    hidden = f"update problems set value = null where column_name in ({personal})"
    return judged, "alter table judged add column sound boolean", sound, listed_problems, hidden


def _parsed(column: Column) -> str:
    raw = f"raw_{column.name}"
    if column.kind is Kind.TIMESTAMP:
        # With its zone where the text has one; PostgreSQL's infinity is no moment.
        return f"case when isfinite(try_cast({raw} as timestamptz)) then try_cast({raw} as timestamptz)::timestamp end"
    if column.kind is Kind.DAY:
        # DuckDB 1.5.5 reads 'infinity' by any format as 1900-01-01.
        return f"case when regexp_matches({raw}, '^[0-9]') then {sql.parse(column)} end"
    return sql.parse(column)


def _problems(table: BankTable, latest: datetime) -> list[str]:
    each = [
        sql.column_problem(column, latest.date())
        for column in table.columns
        if column.kind is not Kind.TEXT or not column.nullable
    ]
    limits = f"timestamp '{EARLIEST.isoformat(' ')}' and timestamp '{latest.isoformat(' ')}'"
    each.append(
        f"case when {UPDATED_AT} not between {limits} then "
        f"{sql.problem(literal(UPDATED_AT), Reason.IMPOSSIBLE_DATE, f'raw_{UPDATED_AT}')} end"
    )
    each += [
        f"case when {earlier} > {later} then {sql.problem(literal(later), Reason.IMPOSSIBLE_DATE, f'raw_{later}')} end"
        for earlier, later in table.order
    ]
    return each


def _landed(table: BankTable) -> str:
    """The landed columns of `judged`; binds the pull."""

    def made(column: Column) -> str:
        if column.name in TOKENS:
            token = TOKENS[column.name]
            return f"{_token(f'raw_{column.name}', token.prefix)} as {token.name}"
        if column.name == BIRTH_DATE:
            return f"year({BIRTH_DATE})::{BIRTH_YEAR.type} as {BIRTH_YEAR.name}"
        return column.name

    return f"select {', '.join(made(column) for column in table.columns)}, ?::varchar as {PULL.name} from judged, pads"


def _token(text: str, prefix: str) -> str:
    return token_sql(f"{literal(prefix)} || {text}" if prefix else text, *_PADS)


_REJECTS = f"""
    select $source as source, row_key, $file as file, column_name, value, reason, advice.next_step, $pull as {PULL.name}
    from problems left join advice using (column_name, reason) order by place, column_name
"""
_BY_REASON = "select reason, count(distinct place) from problems group by reason order by reason"


def _advice(table: BankTable) -> pa.Table:
    return pa.Table.from_pylist(
        [
            {"column_name": column.name, "reason": str(reason), "next_step": table.advice(column, reason)}
            for column in table.columns
            for reason in Reason
        ]
    )
