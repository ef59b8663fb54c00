"""From messages as read to typed rows and dead letters, in one SQL statement: the judgement of the file landing.

A sound message becomes a row of its contract; any other one becomes a dead letter with column, value, reason and next
step, and its text with letters and digits blurred. Personal fields become `subject_token` here and go no further.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import date
from functools import cached_property

import duckdb
import pyarrow as pa

from credit_risk_platform.adapters.landing import sql
from credit_risk_platform.adapters.landing.rejects import advice_table
from credit_risk_platform.adapters.landing.sql import RS, US, literal
from credit_risk_platform.adapters.streaming.batch import RECORD_SCHEMA, REFUSED_SCHEMA
from credit_risk_platform.adapters.tokens import LOAN_PREFIX, TokenKey, token_sql
from credit_risk_platform.domain.contracts.messages import MAX_MESSAGE_BYTES, MessageContract
from credit_risk_platform.domain.contracts.reasons import Reason

PLACE = 'topic, topic_id, "partition", "offset", kafka_time'
SHAPE_LENGTH = 500
_PADS = ("inner_pad", "outer_pad")
COLUMN_NAMES = {"id": "loan_id"}
"""Fields that bronze knows by another name."""


@dataclass(frozen=True)
class Judged:
    """`accepted` has the columns of `Handler.prepare`; `dead` those of `bronze.dead_letters` without run_id."""

    accepted: pa.Table
    dead: pa.Table


class Intake:
    """Judges messages of one contract. Safe to share between threads."""

    def __init__(self, contract: MessageContract, key: TokenKey) -> None:
        self.contract = contract
        self._pads = dict(zip(("inner", "outer"), key.pads(), strict=True))
        self._one_at_a_time = threading.Lock()

    def warm(self, today: date) -> None:
        """Plan the judgement of that day, which the first batch would wait for."""
        with self._one_at_a_time:
            self._prepare(today)

    def judge(self, records: pa.Table, today: date) -> Judged:
        """`records` have `RECORD_SCHEMA`; dates after `today` are impossible."""
        with self._one_at_a_time:
            connection = self._given(records)
            self._prepare(today)
            connection.execute("delete from judged; execute judge")
            accepted = connection.execute("execute accepted").to_arrow_table()
            dead = connection.execute("execute dead").to_arrow_table()
        return Judged(accepted, dead)

    def refuse(self, records: pa.Table, refused: pa.Table) -> pa.Table:
        """Dead letters for messages a handler refused (`REFUSED_SCHEMA`); `records` are the batch they came in."""
        with self._one_at_a_time:
            connection = self._given(records)
            connection.register("refused", refused.cast(REFUSED_SCHEMA))
            dead = connection.execute(_REFUSED).to_arrow_table()
            connection.unregister("refused")
        return dead

    # ---------------------------------------------------------------- inside

    _today: date | None = None

    @cached_property
    def _connection(self) -> duckdb.DuckDBPyConnection:
        connection = duckdb.connect()
        # One thread: a hundred expressions on a few rows, set up once per thread. And no statistics in the plans: a
        # prepared one outlives the rows it was made for.
        connection.execute("set timezone = 'UTC'; set threads = 1")
        connection.execute("set disabled_optimizers = 'statistics_propagation'")
        tables = {"incoming": RECORD_SCHEMA.empty_table(), "advice": advice_table(self.contract.columns)}
        for name, rows in tables.items():
            connection.register("given", rows)
            connection.execute(f"create table {name} as from given")
        # Here, and in no text of a statement: an error would quote it.
        connection.execute(
            "create table pads as select $inner::blob as inner_pad, $outer::blob as outer_pad", self._pads
        )
        return connection

    def _given(self, records: pa.Table) -> duckdb.DuckDBPyConnection:
        connection = self._connection
        connection.register("given", records)
        connection.execute("delete from incoming; insert into incoming from given")
        connection.unregister("given")
        return connection

    def _prepare(self, today: date) -> None:
        """Plan the statements: that takes ten times as long as running them on a few messages, so it is done once."""
        if today == self._today:
            return
        connection = self._connection
        query = _judged(self.contract, today)
        names = ", ".join(COLUMN_NAMES.get(column.name, column.name) for column in self.contract.kept)
        accepted = f"""
            select {PLACE}, event_id, event_time, subject_token, {names} from judged where problems = ''
            order by "partition", "offset"
        """
        connection.execute(f"create or replace table judged as select * from ({query}) limit 0")
        for name, statement in (("judge", f"insert into judged {query}"), ("accepted", accepted), ("dead", _DEAD)):
            connection.execute(f"prepare {name} as {statement}")
        self._today = today


_TEXT = "try(decode(value))"
_OBJECT = "case when json_valid(text) and json_type(text) = 'OBJECT' then text::json end"


def _judged(contract: MessageContract, today: date) -> str:
    """Query over `incoming`: the record's place, the envelope, typed columns, `subject_token`, `problems`, `shape`."""
    columns = contract.columns
    fields = ", ".join(f'"{column.name}": "VARCHAR"' for column in columns)
    blanks = ", ".join(map(literal, sql.BLANKS))
    # Not `in (...)`: DuckDB makes a join of a longer list, and a hundred joins cost seconds of planning.
    raws = ", ".join(
        f"case when not list_contains([{blanks}], trim({column.name})) then {column.name} end as raw_{column.name}"
        for column in columns
    )
    listed = ", ".join(column.name for column in columns)
    typed = ", ".join(f"{sql.parse(column)} as {column.name}" for column in columns)
    names = ", ".join(
        f"{column.name} as {COLUMN_NAMES[column.name]}" if column.name in COLUMN_NAMES else column.name
        for column in contract.kept
    )
    # Materialised step by step: folded into one another, these hundred expressions cost seconds of planning.
    return f"""
        with texts as (select *, {_TEXT} as text from incoming),
        docs as (select *, {_OBJECT} as doc from texts),
        given as (
            select *, doc is not null as is_object, doc ->> '$.schema_version' as given_version,
                doc ->> '$.event_id' as event_id, doc ->> '$.event_time' as given_time,
                json_keys(doc, '$.data') as given_fields, json_transform(doc -> '$.data', '{{{fields}}}') as data
            from docs
        ),
        fields as (select * exclude (data, doc), unnest(data) from given),
        raw as (select * exclude ({listed}), {raws} from fields),
        typed as (
            select *, {typed}, try_cast(given_time as timestamptz)::timestamp as event_time from raw
        )
        select {PLACE}, event_id, event_time, {_subject(contract)} as subject_token, {names},
            {_problems(contract, today)} as problems, {_shape()} as shape
        from typed, pads
    """


def _subject(contract: MessageContract) -> str:
    names = {column.name for column in contract.columns}
    given = token_sql("trim(raw_customer_id)", *_PADS) if "customer_id" in names else "null::varchar"
    if contract.key != "id":
        return given
    return f"coalesce({given}, {token_sql(f'{literal(LOAN_PREFIX)} || id', *_PADS)})"


def _problems(contract: MessageContract, today: date) -> str:
    """What is wrong, as the file landing writes it; the envelope first, since nothing within it can be trusted."""
    required = ", ".join(literal(column.name) for column in contract.columns if column.required)
    missing = f"list_filter([{required}], lambda field: not list_contains(coalesce(given_fields, []), field))"
    each_missing = f"list_transform({missing}, lambda field: {sql.problem('field', Reason.MISSING_FIELD, literal(''))})"
    version, wrong = str(contract.version), Reason.WRONG_SCHEMA_VERSION
    envelope = [
        (f"value is null and size > {MAX_MESSAGE_BYTES}", sql.problem("''", Reason.TOO_LARGE, "size::varchar")),
        ("value is null", sql.problem("''", Reason.TOMBSTONE, "''")),
        ("text is null", sql.problem("''", Reason.BAD_ENCODING, "''")),
        ("not is_object", sql.problem("''", Reason.NOT_JSON, "''")),
        (
            f"given_version is distinct from {literal(version)}",
            sql.problem(literal("schema_version"), wrong, "coalesce(given_version, 'none')"),
        ),
        ("coalesce(event_id, '') = ''", sql.problem(literal("event_id"), Reason.MISSING_FIELD, "''")),
        ("given_time is null", sql.problem(literal("event_time"), Reason.MISSING_FIELD, "''")),
        ("event_time is null", sql.problem(literal("event_time"), Reason.UNPARSABLE, "given_time")),
        (
            f"len({missing}) > 0",
            f"array_to_string({each_missing}, {RS})",
        ),
    ]
    fields = [sql.column_problem(column, today) for column in contract.columns]
    cases = " ".join(f"when {condition} then {problem}" for condition, problem in envelope)
    return f"case {cases} else concat_ws({RS}, {', '.join(fields)}) end"


def _shape() -> str:
    return f"left({sql.shape(f'left(text, {SHAPE_LENGTH})')}, {SHAPE_LENGTH})"


_FIRST = f"""
    select * exclude (problems), string_split(problems, {RS})[1] as first, string_split(problems, {RS})[2:] as others
    from judged where problems <> ''
"""
_DEAD = f"""
    select {", ".join(f"found.{name}" for name in PLACE.split(", "))}, event_id,
        nullif(parts[1], '') as "column", nullif(parts[3], '') as value, parts[2] as reason, advice.next_step,
        nullif(array_to_string(list_transform(others, lambda other: replace(other, {US}, ' ')), '; '), '') as also,
        shape
    from (select *, string_split(first, {US}) as parts from ({_FIRST})) as found
    left join advice on advice.reason = parts[2] and advice."column" = coalesce(parts[1], '')
    order by "partition", "offset"
"""
_DEAD = _DEAD.replace(
    "advice.next_step,", "coalesce(advice.next_step, (select a.next_step from advice as a where a.reason = parts[2] "
    "and a.\"column\" = '')) as next_step,"
)  # fmt: skip
_TEXT_GIVEN = "try(decode(given.value))"
_REFUSED = f"""
    select {", ".join(f"given.{name}" for name in PLACE.split(", "))},
        {_TEXT_GIVEN} ->> '$.event_id' as event_id, refused."column", refused.value, refused.reason, advice.next_step,
        null::varchar as also, {_shape().replace("left(text", f"left({_TEXT_GIVEN}")} as shape
    from incoming as given join refused using ("partition", "offset")
    left join advice on advice.reason = refused.reason and advice."column" = ''
    order by "partition", "offset"
"""
