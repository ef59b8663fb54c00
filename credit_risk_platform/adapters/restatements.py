"""What a source said otherwise when it was landed again: keys added, removed and changed, column by column.

A version of a bronze table is what it showed after one of its landings; the batches of earlier ones stay in the lake.
Two versions are compared by a hash per row, so wide books are read in full only where they differ, and shown by a hash
per month, which is the partition that lenders restate. All of it is SQL over the lake's files.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from credit_risk_platform.adapters.files import Place
from credit_risk_platform.adapters.landing.batches import Batches
from credit_risk_platform.adapters.landing.layout import (
    INCREMENTAL,
    LOANS,
    MACRO,
    REPAYMENTS,
    SOURCES,
    TABLES,
    dataset_name,
)
from credit_risk_platform.adapters.landing.manifest import Manifest
from credit_risk_platform.adapters.landing.views import version_query
from credit_risk_platform.adapters.warehouse.base import Select, Staged, Transaction, Warehouse
from credit_risk_platform.domain.contracts.feed_columns import MACRO_KEY, REPAYMENT_KEY

SUMMARY = "monitoring.restatements"
KEYS_TABLE = "monitoring.restatement_diff"
MONTHS = "monitoring.restated_months"

KEY = {LOANS: ("loan_id",), REPAYMENTS: REPAYMENT_KEY, MACRO: MACRO_KEY}
_PAIR_FIELDS = [("dataset", pa.string()), ("batch", pa.string()), ("previous_batch", pa.string())]
_SUMMARY_SCHEMA = pa.schema(
    [
        *_PAIR_FIELDS,
        ("source", pa.string()),
        ("landed_at", pa.timestamp("us")),
        *((name, pa.int64()) for name in ("added", "removed", "changed", "months")),
    ]
)
_KEYS_SCHEMA = pa.schema(
    [
        *_PAIR_FIELDS,
        ("key", pa.string()),
        ("loan_id", pa.string()),
        ("month", pa.date32()),
        ("change", pa.string()),
        ("columns", pa.list_(pa.string())),
        ("public_from", pa.date32()),
    ]
)
_MONTH = {LOANS: "issue_d", REPAYMENTS: "due_date", MACRO: "observation_date"}
_PAIR = "dataset = ? and batch = ? and previous_batch = ?"


@dataclass(frozen=True)
class Restatement:
    """One landing after another of the same table. `landed` are all up to it, in order, so the last is it."""

    source: str
    table: str
    landed: tuple[Manifest, ...]

    @property
    def dataset(self) -> str:
        """Table of schema bronze."""
        return dataset_name(self.source, self.table)

    @property
    def pair(self) -> list[str]:
        """Dataset, batch and the batch before it: what its rows are known by."""
        return [self.dataset, self.landed[-1].batch, self.landed[-2].batch]

    @property
    def landed_at(self) -> datetime:
        """Naive UTC, to the second, as receipts tell it."""
        return datetime.fromisoformat(self.landed[-1].landed_at).astimezone(UTC).replace(tzinfo=None)


def restatements(lake: Place) -> list[Restatement]:
    """Every landing that took the place of an earlier one, table by table in the order of landing.

    Of sources whose files add up, those files that state a loan anew.
    """
    return [found for source, tables in SOURCES.items() for table in tables for found in _of(lake, source, table)]


def record(warehouse: Warehouse, lake: Place, found: Restatement) -> bool:
    """Write down what changed, unless it stands there already; whether it was new."""
    known = f"select 1 from {SUMMARY} where {_PAIR} and landed_at = ?"
    if warehouse.exists(SUMMARY) and warehouse.query(known, [*found.pair, found.landed_at]).num_rows:
        return False
    batches = Batches(lake, found.source)
    before, after = (version_query(batches, found.table, landed) for landed in (found.landed[:-1], found.landed))
    staged: dict[str, Staged] = {
        "hashed_before": Select(_hashed(found.table, before)),
        "hashed_after": Select(_hashed(found.table, after)),
        "differing": Select(_differing(found.table)),
        "restated_keys": Select(_restated(found.table, before, after), found.pair),
        "months_restated": Select(_MONTHS_RESTATED, found.pair),
        "restatement": Select(_SUMMARY, [*found.pair, found.source, found.landed_at]),
    }
    targets = {KEYS_TABLE: "restated_keys", MONTHS: "months_restated", SUMMARY: "restatement"}
    with warehouse.transaction(staged) as transaction:
        for target, rows in targets.items():
            replace_pair(transaction, target, rows, found)
    return True


def ensure(warehouse: Warehouse) -> None:
    """Make the tables where nothing was ever restated, so that whoever asks finds them empty."""
    for table, schema in ((SUMMARY, _SUMMARY_SCHEMA), (KEYS_TABLE, _KEYS_SCHEMA)):
        if not warehouse.exists(table):
            warehouse.replace_table(table, schema.empty_table())


def replace_pair(transaction: Transaction, table: str, staged: str, found: Restatement) -> int:
    """Make the rows of staged table `staged` all that `table` says of one restatement."""
    return transaction.replace(table, Select(f"select * from {staged}"), _PAIR, found.pair)


def shown(warehouse: Warehouse, found: Restatement) -> dict[str, Any]:
    """For a page: the summary row, the columns that changed with how often, and the months, the latest first."""
    columns = f"""
        select "column", count(*) as keys from (select unnest(columns) as "column" from {KEYS_TABLE} where {_PAIR})
        group by all order by keys desc, "column" limit 20
    """
    months = (
        f"select * exclude (dataset, batch, previous_batch) from {MONTHS} where {_PAIR} order by month desc limit 24"
    )
    return {
        "summary": warehouse.query(f"select * from {SUMMARY} where {_PAIR}", found.pair).to_pylist()[0],
        "columns": warehouse.query(columns, found.pair),
        "months": warehouse.query(months, found.pair),
    }


# -------------------------------------------------------------------- inside


def _of(lake: Place, source: str, table: str) -> Iterator[Restatement]:
    landed = Batches(lake, source).manifests(table)
    for count in range(2, len(landed) + 1):
        if source not in INCREMENTAL or landed[count - 1].superseded_rows:
            yield Restatement(source, table, landed[:count])


def _content(table: str) -> list[str]:
    """Columns that the lender states; those about the delivery (`_batch`, `_row`, ...) change with every file."""
    return [column.name for column in TABLES[table] if column.name not in KEY[table] and column.name[0] != "_"]


def _keys(table: str) -> str:
    return ", ".join(KEY[table])


def _hashed(table: str, version: str) -> str:
    month = f"date_trunc('month', {_MONTH[table]})::date"
    public = "publication_date" if table == MACRO else "null::date"
    told = f"{month} as month, {public} as public_from, hash({', '.join(_content(table))}) as content"
    # Numbers as every engine keeps them: those of a hash go to 2^64.
    return f"""
        select * replace (content::decimal(20, 0) as content), (hash(told) >> 32)::bigint as high,
            (hash(told) & 4294967295)::bigint as low
        from (select {_keys(table)}, {told} from ({version})) as told
    """


def _differing(table: str) -> str:
    """Key, change, month (of the present version where there is one), and since when either version was public."""
    first = KEY[table][0]
    return f"""
        select {_keys(table)}, coalesce(new.month, old.month) as month,
            least(old.public_from, new.public_from) as public_from,
            case when old.{first} is null then 'added' when new.{first} is null then 'removed' else 'changed' end
            as change
        from hashed_before as old full join hashed_after as new using ({_keys(table)})
        where old.content is distinct from new.content or old.{first} is null or new.{first} is null
    """


def _restated(table: str, before: str, after: str) -> str:
    """Rows of `KEYS_TABLE`; takes the pair. Full rows are read of changed keys only."""
    keys = _keys(table)
    told = ", ".join(f"case when old.{name} is distinct from new.{name} then '{name}' end" for name in _content(table))
    wanted = "semi join (select * from differing where change = 'changed') as wanted"
    loan = "loan_id" if "loan_id" in KEY[table] else "null::varchar"
    return f"""
        select ?::varchar as dataset, ?::varchar as batch, ?::varchar as previous_batch,
            concat_ws(' ', {", ".join(f"{name}::varchar" for name in KEY[table])}) as key, {loan} as loan_id, month,
            change, coalesce(columns, []) as columns, public_from
        from differing left join (
            select {keys}, list_filter([{told}], lambda name: name is not null) as columns
            from (select * from ({before}) {wanted} using ({keys})) as old
            join (select * from ({after}) {wanted} using ({keys})) as new using ({keys})
        ) as compared using ({keys})
    """


_MONTHS_RESTATED = """
    select ?::varchar as dataset, ?::varchar as batch, ?::varchar as previous_batch, month,
        rows_before, rows_after, hash_before, hash_after,
        coalesce(added, 0) as added, coalesce(removed, 0) as removed, coalesce(changed, 0) as changed
    from (
        select month, coalesce(old.n, 0) as rows_before, coalesce(new.n, 0) as rows_after,
            format('{:08x}', old.high) || format('{:08x}', old.low) as hash_before,
            format('{:08x}', new.high) || format('{:08x}', new.low) as hash_after
        from (
            select month, count(*) as n, bit_xor(high) as high, bit_xor(low) as low from hashed_before group by month
        ) as old
        full join (
            select month, count(*) as n, bit_xor(high) as high, bit_xor(low) as low from hashed_after group by month
        ) as new using (month)
    ) as both_versions
    left join (
        select month, count(*) filter (change = 'added') as added, count(*) filter (change = 'removed') as removed,
            count(*) filter (change = 'changed') as changed
        from differing group by month
    ) as counted using (month)
    where hash_before is distinct from hash_after or rows_before <> rows_after
"""
_SUMMARY = """
    select ?::varchar as dataset, ?::varchar as batch, ?::varchar as previous_batch, ?::varchar as source,
        ?::timestamp as landed_at, count(*) filter (change = 'added') as added,
        count(*) filter (change = 'removed') as removed, count(*) filter (change = 'changed') as changed,
        (select count(*) from months_restated) as months
    from restated_keys
"""
