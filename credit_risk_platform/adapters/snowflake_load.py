"""Bronze in a warehouse that cannot read the lake's files: each batch is loaded once, and counted against its receipt.

DuckLake shows the lake's Parquet through views (`landing.views`). Snowflake gets tables of the same names and rows: PUT
and COPY of whole files, one transaction per batch, which also notes what was loaded. So a load that was killed is done
again, and one that went through is not.

    bronze.<dataset>               the batch that landed last; of a source whose files add up, a view over the next two
    bronze.<dataset>_batches       every batch, `_batch` telling them apart
    bronze.<dataset>_superseded    (loan_id, _batch) of rows that a later batch states anew
    bronze.landings, quarantine    receipts and rejects; the rejected line itself stays in the lake
    bronze.loaded_batches          what is in these tables, by the content hash of the receipt
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import duckdb
import pyarrow as pa

from credit_risk_platform.adapters.files import FileStore
from credit_risk_platform.adapters.landing.batches import Batches
from credit_risk_platform.adapters.landing.layout import (
    EMPTY_BATCH,
    INCREMENTAL,
    SUPERSEDED,
    TABLES,
    dataset_name,
)
from credit_risk_platform.adapters.landing.manifest import Manifest, schema_fingerprint
from credit_risk_platform.adapters.landing.views import bronze_views
from credit_risk_platform.adapters.warehouse.base import Staged, Transaction, Warehouse

LOADED = "bronze.loaded_batches"


class Loading(Transaction, Protocol):
    """A transaction that takes whole files."""

    def load_parquet(self, table: str, files: Sequence[Path], where: str, params: Sequence[Any] = ()) -> int: ...


class TakesFiles(Warehouse, Protocol):
    """A warehouse into which files are loaded."""

    def transaction(self, staged: Mapping[str, Staged] | None = None) -> AbstractContextManager[Loading]: ...


class BronzeLoadError(RuntimeError):
    """A file of the lake and its receipt disagree; nothing of the batch was loaded."""


@dataclass(frozen=True)
class Load:
    """One batch of one table: `rows` by its receipt, `state` changing with what is in it."""

    batch: str
    state: str
    rows: int


class BronzeTables:
    """Keeps the bronze tables of `warehouse` in step with the lake. One caller at a time (`BronzeLake` sees to it)."""

    def __init__(self, warehouse: TakesFiles, files: FileStore) -> None:
        self.warehouse, self.files = warehouse, files

    def keep(self, sources: Sequence[Batches]) -> None:
        """Load what is new or changed since the last call; asks one question where nothing is.

        Raises `BronzeLoadError` where a file does not hold the rows that its receipt tells.
        """
        loaded = self._loaded()
        for batches in sources:
            for table in batches.tables:
                dataset = dataset_name(batches.source, table)
                for load in _loads(batches, table):
                    if loaded.get((dataset, load.batch)) != load.state:
                        self._load(batches, table, dataset, load)
        self._keep_listings(sources, loaded)

    # ---------------------------------------------------------------- inside

    def _loaded(self) -> dict[tuple[str, str], str]:
        if not self.warehouse.exists(LOADED):
            return {}
        rows = self.warehouse.query(f"select dataset, batch, state from {LOADED}").to_pylist()
        return {(row["dataset"], row["batch"]): row["state"] for row in rows}

    def _load(self, batches: Batches, table: str, dataset: str, load: Load) -> None:
        adds_up = batches.source in INCREMENTAL
        target = f"bronze.{dataset}_batches" if adds_up else f"bronze.{dataset}"
        with _local(batches, load.batch, f"{table}.parquet") as file, self.warehouse.transaction() as transaction:
            transaction.append(target, _columns(batches, table))
            # Where the latest file is the book, it takes the place of whatever stood there.
            where, range_ = ("_batch = ?", [load.batch]) if adds_up else ("true", [])
            found = transaction.load_parquet(target, [file], where, range_)
            if found != load.rows:
                raise BronzeLoadError(
                    f"Batch {load.batch} of {target}: its receipt tells {load.rows:,} rows and {found:,} were loaded. "
                    f"Compare {table}.parquet with its receipt in {batches.held.uri}, and land the file again."
                )
            if adds_up:
                with _local(batches, load.batch, f"{SUPERSEDED}.parquet") as restated:
                    self._supersede(transaction, dataset, load.batch, restated)
            _note(transaction, dataset, load, replace_all=not adds_up)
            if adds_up:
                transaction.create_view(f"bronze.{dataset}", _standing(dataset, table))

    def _supersede(self, transaction: Transaction, dataset: str, batch: str, file: Path) -> None:
        with duckdb.connect() as engine:
            rows = engine.execute(
                "select loan_id, _batch, $batch as _by from read_parquet($file)", {"batch": batch, "file": str(file)}
            ).to_arrow_table()
        transaction.replace(f"bronze.{dataset}_{SUPERSEDED}", rows, "_by = ?", [batch])

    def _keep_listings(self, sources: Sequence[Batches], loaded: dict[tuple[str, str], str]) -> None:
        """Receipts and rejects are few: both are written anew whenever a receipt was."""
        receipts = [
            each.to_json() for batches in sources for table in batches.tables for each in batches.manifests(table)
        ]
        load = Load(EMPTY_BATCH, _hash(*sorted(receipts)), len(receipts))
        if loaded.get(("landings", load.batch)) == load.state:
            return
        views = bronze_views(sources)
        with duckdb.connect() as engine:
            self.files.equip(engine)
            landings = engine.execute(
                "select * replace (to_json(rejects_by_reason)::varchar as rejects_by_reason) "
                f"from ({views['bronze.landings']})"
            ).to_arrow_table()
            rejects = engine.execute(
                f"select * replace (null::varchar as raw_line) from ({views['bronze.quarantine']})"
            ).to_arrow_table()
        with self.warehouse.transaction() as transaction:
            transaction.replace("bronze.landings", landings, "true")
            transaction.replace("bronze.quarantine", rejects, "true")
            _note(transaction, "landings", load, replace_all=True)


def _loads(batches: Batches, table: str) -> list[Load]:
    """What counts of one table, the empty batch where nothing has landed: its columns are there from the start."""
    landed = batches.manifests(table)
    empty = Load(EMPTY_BATCH, schema_fingerprint(TABLES[table]), 0)
    if batches.source in INCREMENTAL:
        return [empty, *map(_of, landed)]
    return [_of(landed[-1])] if landed else [empty]


def _of(manifest: Manifest) -> Load:
    content = (manifest.file_sha256, manifest.contract_version, manifest.token_key_id, manifest.schema_fingerprint)
    return Load(manifest.batch, _hash(*content), manifest.rows_landed)


def _hash(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _note(transaction: Transaction, dataset: str, load: Load, *, replace_all: bool) -> None:
    row = {"dataset": dataset, "batch": load.batch, "state": load.state, "rows_loaded": load.rows}
    where, params = ("dataset = ?", [dataset]) if replace_all else ("dataset = ? and batch = ?", [dataset, load.batch])
    transaction.replace(LOADED, pa.Table.from_pylist([row]), where, params)


def _standing(dataset: str, table: str) -> str:
    columns = ", ".join(f"landed.{column.name}" for column in TABLES[table])
    return (
        f"select {columns} from bronze.{dataset}_batches as landed "
        f"left join (select distinct loan_id, _batch from bronze.{dataset}_{SUPERSEDED}) as restated "
        "on landed.loan_id = restated.loan_id and landed._batch = restated._batch where restated.loan_id is null"
    )


def _columns(batches: Batches, table: str) -> pa.Table:
    """The table without rows: every column of the contract, also those that a file lacks."""
    with _local(batches, EMPTY_BATCH, f"{table}.parquet") as file, duckdb.connect() as engine:
        return engine.execute("select * from read_parquet(?)", [str(file)]).to_arrow_table()


@contextmanager
def _local(batches: Batches, batch: str, name: str) -> Iterator[Path]:
    """A file of the lake as one of this machine: PUT reads nothing else."""
    location = Path(batches.held.location(batch, name))
    if location.is_absolute():
        yield location
        return
    with tempfile.TemporaryDirectory(prefix="crp-load-") as folder, batches.held.open(batch, name) as source:
        target = Path(folder) / name
        with target.open("wb") as copy:
            shutil.copyfileobj(source, copy)
        yield target
