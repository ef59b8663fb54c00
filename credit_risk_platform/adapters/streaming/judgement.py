"""The SQL by which messages are judged: what is sound, and what is wrong with the others, in the words of the landing.

`Intake` runs it. Only expressions and queries live here.
"""

from __future__ import annotations

from datetime import date

from credit_risk_platform.adapters.landing import sql
from credit_risk_platform.adapters.landing.sql import RS, US, literal
from credit_risk_platform.adapters.tokens import LOAN_PREFIX, token_sql
from credit_risk_platform.domain.contracts.messages import MAX_MESSAGE_BYTES, MessageContract
from credit_risk_platform.domain.contracts.reasons import Reason

PLACE = 'topic, topic_id, "partition", "offset", kafka_time'
SHAPE_LENGTH = 500
_PADS = ("inner_pad", "outer_pad")
KPL_MAGIC = "F3899AC2"
"""How a Kinesis record begins into which the Kinesis Producer Library has put several: not text in any case."""
COLUMN_NAMES = {"id": "loan_id"}
"""Fields that bronze knows by another name."""
_TEXT = "try(decode(value))"
_OBJECT = "case when json_valid(text) and json_type(text) = 'OBJECT' then text::json end"
_EVENT_ID = "doc ->> '$.event_id'"
EVENT_IDS = (
    f"select {_EVENT_ID} as event_id from (select {_OBJECT} as doc from (select {_TEXT} as text from {{messages}}))"
)
"""Query for the ids of events in column `value` of `messages`; null where a message has none."""


def judged_sql(contract: MessageContract, today: date) -> str:
    """Query over `incoming`: the record's place, the envelope, typed columns, `subject_token`, whether it is `sound`.

    What is wrong is asked only of those that are not (`blamed_sql`): to write it down takes some twenty expressions a
    column, which cost a batch of three messages more than all the rest.
    """
    names = ", ".join(
        f"{column.name} as {COLUMN_NAMES[column.name]}" if column.name in COLUMN_NAMES else column.name
        for column in contract.kept
    )
    flaws = [condition for condition, _ in _envelope(contract)]
    flaws += [sql.column_flaw(column, today) for column in contract.columns]
    sound = " and ".join(f"({flaw}) is not true" for flaw in flaws)
    return f"""
        {_read(contract, "incoming")}
        select {PLACE}, event_id, event_time, {_subject(contract)} as subject_token, {names}, {sound} as sound
        from typed, pads
    """


UNSOUND = 'incoming semi join unsound using ("partition", "offset")'


def blamed_sql(contract: MessageContract, today: date, messages: str) -> str:
    """Query over `messages`, a relation like `incoming`: place, `event_id`, `problems` and `shape`."""
    return f"""
        {_read(contract, messages)}
        select {PLACE}, event_id, {_problems(contract, today)} as problems, {_shape()} as shape from typed
    """


def _read(contract: MessageContract, messages: str) -> str:
    """CTEs up to `typed`: messages with envelope, `raw_<name>` texts and typed columns.

    Step by step: folded into one another, these hundred expressions cost seconds of planning.
    """
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
    return f"""
        with texts as (select *, {_TEXT} as text from {messages}),
        docs as (select *, {_OBJECT} as doc from texts),
        given as (
            select *, doc is not null as is_object, doc ->> '$.schema_version' as given_version,
                {_EVENT_ID} as event_id, doc ->> '$.event_time' as given_time,
                json_keys(doc, '$.data') as given_fields, json_transform(doc -> '$.data', '{{{fields}}}') as data
            from docs
        ),
        fields as (select * exclude (data, doc), unnest(data) from given),
        raw as (select * exclude ({listed}), {raws} from fields),
        typed as (
            select *, {typed}, try_cast(given_time as timestamptz)::timestamp as event_time from raw
        )
    """


def _subject(contract: MessageContract) -> str:
    names = {column.name for column in contract.columns}
    given = token_sql("trim(raw_customer_id)", *_PADS) if "customer_id" in names else "null::varchar"
    if contract.key != "id":
        return given
    return f"coalesce({given}, {token_sql(f'{literal(LOAN_PREFIX)} || id', *_PADS)})"


def _problems(contract: MessageContract, today: date) -> str:
    """What is wrong, as the file landing writes it; the envelope first, since nothing within it can be trusted."""
    fields = ", ".join(sql.column_problem(column, today) for column in contract.columns)
    cases = " ".join(f"when {condition} then {problem}" for condition, problem in _envelope(contract))
    return f"case {cases} else concat_ws({RS}, {fields}) end"


def _envelope(contract: MessageContract) -> list[tuple[str, str]]:
    """(what is wrong with a message before its fields are looked at, how that is told), the first that holds counts."""
    required = ", ".join(literal(column.name) for column in contract.columns if column.required)
    missing = f"list_filter([{required}], lambda field: not list_contains(coalesce(given_fields, []), field))"
    each_missing = f"list_transform({missing}, lambda field: {sql.problem('field', Reason.MISSING_FIELD, literal(''))})"
    version, wrong = str(contract.version), Reason.WRONG_SCHEMA_VERSION
    return [
        (f"value is null and size > {MAX_MESSAGE_BYTES}", sql.problem("''", Reason.TOO_LARGE, "size::varchar")),
        ("value is null", sql.problem("''", Reason.TOMBSTONE, "''")),
        (
            f"text is null and hex(array_slice(value, 1, 4)) = '{KPL_MAGIC}'",
            sql.problem("''", Reason.KPL_AGGREGATED, "''"),
        ),
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


def _shape() -> str:
    return f"left({sql.shape(f'left(text, {SHAPE_LENGTH})')}, {SHAPE_LENGTH})"


_FIRST = f"""
    select * exclude (problems), string_split(problems, {RS})[1] as first, string_split(problems, {RS})[2:] as others
    from blamed where problems <> ''
"""
DEAD = f"""
    select {", ".join(f"found.{name}" for name in PLACE.split(", "))}, event_id,
        nullif(parts[1], '') as "column", nullif(parts[3], '') as value, parts[2] as reason, advice.next_step,
        nullif(array_to_string(list_transform(others, lambda other: replace(other, {US}, ' ')), '; '), '') as also,
        shape
    from (select *, string_split(first, {US}) as parts from ({_FIRST})) as found
    left join advice on advice.reason = parts[2] and advice."column" = coalesce(parts[1], '')
    order by "partition", "offset"
"""
DEAD = DEAD.replace(
    "advice.next_step,", "coalesce(advice.next_step, (select a.next_step from advice as a where a.reason = parts[2] "
    "and a.\"column\" = '')) as next_step,"
)  # fmt: skip
_TEXT_GIVEN = "try(decode(given.value))"
REFUSED = f"""
    select {", ".join(f"given.{name}" for name in PLACE.split(", "))},
        {_TEXT_GIVEN} ->> '$.event_id' as event_id, refused."column", refused.value, refused.reason, advice.next_step,
        null::varchar as also, {_shape().replace("left(text", f"left({_TEXT_GIVEN}")} as shape
    from incoming as given join refused using ("partition", "offset")
    left join advice on advice.reason = refused.reason and advice."column" = ''
    order by "partition", "offset"
"""
