"""The warehouse's view of bronze: which files make up each table. Views hold paths; rows stay in the lake's Parquet."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from credit_risk_platform.adapters.landing.batches import Batches
from credit_risk_platform.adapters.landing.files import write_file
from credit_risk_platform.adapters.landing.layout import (
    EMPTY_BATCH,
    INCREMENTAL,
    LOANS,
    REJECTS,
    SUPERSEDED,
    TABLES,
    dataset_name,
)
from credit_risk_platform.adapters.landing.manifest import SQL_COLUMNS, Manifest
from credit_risk_platform.adapters.landing.rejects import REJECT_COLUMNS
from credit_risk_platform.adapters.landing.sql import literal
from credit_risk_platform.adapters.warehouse.base import Warehouse


def bronze_views(sources: Sequence[Batches]) -> dict[str, str]:
    """View -> query, for every table of bronze, `bronze.landings` and `bronze.quarantine`."""
    views = {
        f"bronze.{dataset_name(batches.source, table)}": table_query(batches, table)
        for batches in sources
        for table in batches.tables
    }
    landings = _landings(sources)
    return views | {"bronze.landings": landings, "bronze.quarantine": _quarantine(sources, landings)}


def table_query(batches: Batches, table: str) -> str:
    """The rows of one bronze table.

    Incremental sources: all batches, without what a later one restates. Others: the batch that landed last.
    """
    columns = ", ".join(column.name for column in TABLES[table])
    if batches.source in INCREMENTAL:
        landed, restated = (_parquet(*batches.held.every(f"{name}.parquet")) for name in (LOANS, SUPERSEDED))
        return (
            f"select {columns} from (select * from {landed}) as landed "
            f"anti join (select * from {restated}) as restated using (loan_id, _batch)"
        )
    return version_query(batches, table, batches.manifests(table))


def version_query(batches: Batches, table: str, landed: Sequence[Manifest]) -> str:
    """The rows of one bronze table as they stood after the last of `landed`, which are the first ones in their order.

    Batches stay in the lake after a later one has taken their place, so earlier versions can be read.
    """
    columns = ", ".join(column.name for column in TABLES[table])
    counting = landed if batches.source in INCREMENTAL else landed[-1:]
    ids = [EMPTY_BATCH, *(manifest.batch for manifest in counting)]
    rows = f"select * from {_parquet(*(batches.held.location(batch, f'{table}.parquet') for batch in ids))}"
    if batches.source not in INCREMENTAL:
        return f"select {columns} from ({rows})"
    restated = f"select * from {_parquet(*(batches.held.location(batch, f'{SUPERSEDED}.parquet') for batch in ids))}"
    return f"select {columns} from ({rows}) as landed anti join ({restated}) as restated using (loan_id, _batch)"


def _landings(sources: Iterable[Batches]) -> str:
    columns = ", ".join(f"{name}: {literal(kind)}" for name, kind in SQL_COLUMNS.items())
    files = ", ".join(literal(file) for batches in sources for file in batches.held.every_receipt())
    names = ", ".join(SQL_COLUMNS)
    return f"select {names} from read_json([{files}], columns = {{{columns}}}) where batch <> '{EMPTY_BATCH}'"


def _quarantine(sources: Iterable[Batches], landings: str) -> str:
    """Rejects of what has landed: a landing that was killed may leave some of a batch that never came."""
    names = ", ".join(f'"{name}"' for name in REJECT_COLUMNS)
    every = (file for batches in sources for file in batches.held.every(REJECTS))
    files = _parquet(*every, options=", filename = true")
    return (
        f"select source, batch, {names} from (select *, "
        "regexp_extract(filename, '([^/]+)/batch=[0-9a-f]+/[^/]+$', 1) as source, "
        f"regexp_extract(filename, 'batch=([0-9a-f]+)/[^/]+$', 1) as batch from {files}) "
        f"as rejects semi join ({landings}) as landings using (source, batch)"
    )


def _parquet(*files: str, options: str = "") -> str:
    listed = ", ".join(map(literal, files))
    return f"read_parquet([{listed}], union_by_name = true, hive_partitioning = false{options})"


class ViewKeeper:
    """Creates a view where its query has changed: a commit takes the writer lock, so not at every landing."""

    def __init__(self, warehouse: Warehouse, memory: Path) -> None:
        self.warehouse, self.memory = warehouse, memory

    def keep(self, sources: Sequence[Batches]) -> None:
        """One transaction for all that changed, so if one view is there, all are."""
        views = bronze_views(sources)
        wanted = {view: hashlib.sha256(query.encode()).hexdigest() for view, query in views.items()}
        known = json.loads(self.memory.read_text()) if self.memory.exists() else {}
        if not self.warehouse.exists(next(iter(views))):  # another warehouse than the one we remember
            known = {}
        changed = [view for view in views if known.get(view) != wanted[view]]
        if changed:
            with self.warehouse.transaction() as transaction:
                for view in changed:
                    transaction.create_view(view, views[view])
            write_file(self.memory, json.dumps(wanted, indent=2, sort_keys=True))
