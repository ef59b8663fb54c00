"""From what a provider said to typed rows without a person in them, and rejects: one pass, in a private DuckDB.

Names, account ids and notes are turned into tokens or left out here, before anything is written anywhere.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date

import duckdb
import pyarrow as pa

from credit_risk_platform.adapters.fintech.source import Connection, Delivery, Flaw, RecordShape, page_lists
from credit_risk_platform.adapters.http_source import SourceError
from credit_risk_platform.adapters.landing.sql import literal
from credit_risk_platform.adapters.tokens import TokenKey, token_sql
from credit_risk_platform.domain.contracts.bank_transactions import (
    BANK_TRANSACTION_COLUMNS,
    CURRENCIES,
    LARGEST_AMOUNT,
    NEXT_STEPS,
)
from credit_risk_platform.domain.contracts.reasons import Reason

VALUE_LENGTH = 60
FORGIVEN_DAYS = 1
"""Beyond the 180th meridian it is tomorrow already."""


@dataclass(frozen=True)
class Judged:
    """What one delivery comes to: rows_in = rows of `landed` + rejected + repeated."""

    landed: pa.Table
    rejects: pa.Table
    """One row per record and column."""
    touched: pa.Table
    """`transaction_id` of all records, also of rejected and withdrawn ones."""
    rows_in: int
    rejected: int
    repeated: int
    """Records that a later one of the same delivery restates or withdraws."""
    removed: int
    batch: str
    new_fields: tuple[str, ...]
    """Fields that the source does not know; they were not landed."""


def judge(
    name: str, shape: RecordShape, connection: Connection, delivery: Delivery, key: TokenKey, today: date
) -> Judged:
    """Judge a delivery of source `name`; days after `today` are impossible.

    Raises:
        SourceError: records in the pages and records read do not add up; nothing is to be written.
    """
    batch = hashlib.sha256("\n".join(delivery.pages).encode()).hexdigest()[:12]
    first, last = delivery.days or (date(1900, 1, 1), date(2200, 1, 1))
    with duckdb.connect() as engine:
        engine.execute("set timezone = 'UTC'")
        engine.register("given", pa.table({"page": range(1, len(delivery.pages) + 1), "body": list(delivery.pages)}))
        engine.execute("create table pages as select page, body::json as body from given")
        inner, outer = key.pads()
        constants = {
            "source": name, "subject": key.token(connection.subject), "batch": batch, "inner": inner, "outer": outer,
            "connection": key.token(f"connection:{name}:{connection.name}"), "first": first, "last": last,
            "today": today,
        }  # fmt: skip
        engine.execute(
            "create table fixed as select $source as source_system, $subject as subject_token, $connection as "
            "connection_token, $batch as _batch, $inner::blob as inner_pad, $outer::blob as outer_pad, "
            f"$first::date as first_day, $last::date as last_day, $today::date + {FORGIVEN_DAYS} as latest_day",
            constants,
        )
        engine.execute(_records(shape))
        engine.execute(_judged(shape))
        engine.execute(_REJECTS)
        judged = Judged(
            landed=engine.execute(_landed(shape)).to_arrow_table(),
            rejects=engine.execute(_SHOWN).to_arrow_table(),
            touched=engine.execute(_TOUCHED).to_arrow_table(),
            rows_in=_one(engine, "select count(*) from records where not removed"),
            rejected=_one(engine, "select count(*) from judged where not removed and len(problems) > 0"),
            repeated=_one(
                engine, "select count(*) from records where not removed and row not in (select row from judged)"
            ),
            removed=_one(engine, "select count(*) from judged where removed and len(problems) = 0"),
            batch=batch,
            new_fields=tuple(name for (name,) in engine.execute(_new_fields(shape)).fetchall()),
        )
        _reconcile(engine, name, shape, judged)
    return judged


def _records(shape: RecordShape) -> str:
    """Table `records`: page, row (place in the delivery, from 1), removed, record, and the raw text of each column."""
    lists = " union all ".join(
        f"select page, {number} as list, {removed} as removed, json_extract(body, {literal(path + '[*]')}) as items "
        "from pages"
        for number, (path, removed) in enumerate(page_lists(shape).items())
    )
    texts = {
        "transaction_id": shape.transaction_id, "account_id": shape.account_id, "booked_on": shape.booked_on,
        "amount": shape.raw_amount, "currency": shape.currency, "booked_at": shape.booked_at, "owner": shape.owner,
        "category": shape.category, "provider_category": shape.provider_category, "pending": shape.pending,
        "balance_after": shape.balance_after, "counterparty": shape.counterparty, "channel": shape.channel,
    }  # fmt: skip
    raw = ", ".join(f"nullif(trim(({text})::varchar), '') as raw_{name}" for name, text in texts.items())
    return f"""
        create table records as
        with lists as ({lists}),
        placed as (
            select page, list, removed, unnest(items) as record, generate_subscripts(items, 1) as place from lists
        )
        select page, row_number() over (order by page, list, place) as row, removed, record, {raw} from placed
    """


def _judged(shape: RecordShape) -> str:
    """Table `judged`: the last record of each id, typed, with its `problems`; those without an id all stay."""
    return f"""
        create table judged as
        with latest as (
            select * from records
            qualify raw_transaction_id is null
                or row_number() over (partition by raw_transaction_id order by row desc) = 1
        ),
        numbers as (
            select *, try_cast(raw_amount as decimal(28, 9)) as number,
                try_strptime(raw_booked_on, '%Y-%m-%d')::date as booked_on, upper(raw_currency) as currency,
                try_cast(raw_pending as boolean) as pending
            from latest
        ),
        typed as (select *, ({shape.amount}) as amount from numbers)
        select *, {_problems(shape)} as problems from typed, fixed
    """


def _problems(shape: RecordShape) -> str:
    known = ", ".join(literal(code) for code in sorted(shape.currencies or CURRENCIES))
    needed = ("transaction_id", "account_id", "booked_on", "amount", "currency")
    faults = [
        *((column, Reason.REQUIRED_BLANK, f"raw_{column} is null") for column in needed),
        ("booked_on", Reason.UNPARSABLE, "raw_booked_on is not null and booked_on is null"),
        ("booked_on", Reason.IMPOSSIBLE_DATE, "booked_on > latest_day or booked_on < date '1900-01-01'"),
        ("booked_on", Reason.OUT_OF_RANGE, "booked_on <= latest_day and booked_on not between first_day and last_day"),
        ("amount", Reason.UNPARSABLE, "raw_amount is not null and (amount is null or amount <> round(amount, 2))"),
        ("amount", Reason.OUT_OF_RANGE, f"abs(amount) > {LARGEST_AMOUNT:.0f}"),
        ("currency", Reason.OUT_OF_RANGE, f"currency not in ({known})"),
        ("pending", Reason.UNPARSABLE, "raw_pending is null or pending is null"),
    ]
    listed = [_problem(Flaw(column, fault, reason, NEXT_STEPS[column, reason])) for column, reason, fault in faults]
    listed += [_problem(flaw) for flaw in shape.flaws]
    blank = Flaw("transaction_id", "raw_transaction_id is null", Reason.REQUIRED_BLANK,
                 NEXT_STEPS["transaction_id", Reason.REQUIRED_BLANK])  # fmt: skip
    return f"list_filter(case when removed then [{_problem(blank)}] else [{', '.join(listed)}] end, p -> p is not null)"


def _problem(flaw: Flaw) -> str:
    shown = {"account_id": "null::varchar"}.get(flaw.column, f"left(raw_{flaw.column}, {VALUE_LENGTH})")
    return (
        f"case when {flaw.condition} then {{'column': {literal(flaw.column)}, 'value': {shown}, "
        f"'reason': {literal(flaw.reason)}, 'next_step': {literal(flaw.next_step)}}} end"
    )


def _landed(shape: RecordShape) -> str:
    facts = ", ".join(f"{literal(path)}, record -> {literal('$.' + path)}" for path in shape.facts)
    made = {
        "transaction_id": "raw_transaction_id",
        "account_token": _token("account", "raw_account_id"),
        "booked_at": "try_cast(raw_booked_at as timestamptz)",
        "direction": "case when amount > 0 then 'in' when amount < 0 then 'out' else 'none' end",
        "category": "coalesce(raw_category, 'other')",
        "provider_category": "raw_provider_category",
        "balance_after": "raw_balance_after",
        "counterparty_token": _token("counterparty", "raw_counterparty"),
        "owner_token": _token("owner", "raw_owner"),
        "channel": "raw_channel",
        "facts": f"json_object({facts})",
    }
    columns = ", ".join(
        f"try_cast({made.get(column.name, column.name)} as {column.type}) as {column.name}"
        for column in BANK_TRANSACTION_COLUMNS
    )
    return f"select {columns} from judged where not removed and len(problems) = 0 order by row"


def _token(kind: str, text: str) -> str:
    return token_sql(f"'{kind}:' || source_system || ':' || {text}", "inner_pad", "outer_pad")


def _new_fields(shape: RecordShape) -> str:
    fields = [field.partition(".")[0] for field in (*shape.facts, *shape.known)]
    listed = ", ".join(literal(field) for field in sorted({*fields}))
    return (
        "select distinct field from (select unnest(json_keys(record)) as field from records "
        f"where json_type(record) = 'OBJECT') where not list_contains([{listed}]::varchar[], field) order by field"
    )


def _reconcile(engine: duckdb.DuckDBPyConnection, name: str, shape: RecordShape, judged: Judged) -> None:
    """Counted by the length of the lists, which is not how they were read."""
    lengths = " + ".join(
        f"coalesce(json_array_length(body, {literal(path)}), 0)"
        for path, removed in page_lists(shape).items() if not removed
    )  # fmt: skip
    said = _one(engine, f"select coalesce(sum({lengths}), 0) from pages")
    if not said == judged.rows_in == judged.landed.num_rows + judged.rejected + judged.repeated:
        raise SourceError(
            f"{name} sent {said:,} records; {judged.landed.num_rows:,} would land, {judged.rejected:,} are rejected, "
            f"{judged.repeated:,} repeated. Nothing was written. Next step: report this as a defect of the platform."
        )


_REJECTS = """
    create table rejects as
    select source_system, connection_token, _batch, page, row, raw_transaction_id as transaction_id, booked_on,
        unnest(problems) as problem
    from judged where len(problems) > 0
"""
_SHOWN = """
    select source_system, connection_token, _batch, page::integer as page, row::bigint as row, transaction_id,
        booked_on, problem['column'] as "column", problem['value'] as value, problem['reason'] as reason,
        problem['next_step'] as next_step
    from rejects order by row, "column"
"""
_TOUCHED = "select distinct raw_transaction_id as transaction_id from records where raw_transaction_id is not null"


def _one(engine: duckdb.DuckDBPyConnection, query: str) -> int:
    row = engine.execute(query).fetchone()
    assert row is not None
    return int(row[0])
