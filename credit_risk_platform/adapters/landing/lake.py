"""The lake's front door: a file comes in, typed Parquet, a receipt and a quarantine come out, all of it or nothing.

    bronze/<source>/batch=<12 hex of the file's SHA-256>/{loans.parquet, superseded.parquet, manifest.json}
    quarantine/<source>/batch=<...>/rejects.parquet

Belongs here: the order of the steps. Does not: parsing (`sql`), rules (`domain.contracts`), views.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from credit_risk_platform.adapters.files import FileStore, Place, as_files
from credit_risk_platform.adapters.landing.batches import Batches
from credit_risk_platform.adapters.landing.layout import (
    INCREMENTAL,
    LOANS,
    REJECTS,
    REPAYMENTS,
    SOURCES,
    SUPERSEDED,
    manifest_file,
)
from credit_risk_platform.adapters.landing.manifest import Delivery, Manifest, receipt
from credit_risk_platform.adapters.landing.source import fingerprint
from credit_risk_platform.adapters.landing.sql import literal
from credit_risk_platform.adapters.landing.stage import PARQUET, Resources, StagedLoans, scratch_connection, stage_loans
from credit_risk_platform.adapters.landing.tables import TableContract, land_rows
from credit_risk_platform.adapters.landing.views import ViewKeeper, table_query
from credit_risk_platform.adapters.tokens import TokenKey
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.adapters.warehouse.lock import WriterLock
from credit_risk_platform.domain.contracts.feed_columns import (
    MACRO_COLUMNS,
    MACRO_KEY,
    REPAYMENT_COLUMNS,
    REPAYMENT_KEY,
)

if TYPE_CHECKING:
    from credit_risk_platform.adapters.snowflake_load import BronzeTables, TakesFiles

SYNTHETIC_REPAYMENTS = TableContract("synthetic_repayments", REPAYMENT_COLUMNS, REPAYMENT_KEY)
MACRO_SERIES = TableContract("macro_series", MACRO_COLUMNS, MACRO_KEY)


class BronzeLake:
    """Lands files below `root` and keeps the warehouse's bronze views in step. One landing per source at a time."""

    def __init__(
        self, root: Place, warehouse: Warehouse, token_key: TokenKey, *, resources: Resources | None = None
    ) -> None:
        self.files = as_files(root)
        self.token_key, self.resources = token_key, resources or Resources()
        beside = self.files.below("bronze").local  # of this home, as its catalog, which holds the views
        self._views_lock = WriterLock(beside / "views.lock")
        self._keeper = _keeper(warehouse, self.files, beside / "views.json")

    def land_loans(
        self,
        file: Path,
        source: str,
        *,
        run_id: str,
        landed_at: datetime,
        today: date,
        observed_through: date | None = None,
        repayments: Path | None = None,
    ) -> Manifest:
        """Land a loan file; the same file again lands nothing and returns its receipt with `already_landed`.

        Args:
            file: CSV, plain or gzipped, in any of the known layouts.
            source: a key of `SOURCES` with loans.
            run_id: for the receipt only.
            landed_at: for the receipt only, UTC.
            today: dates after it are impossible.
            observed_through: last day the file knows of; by default the last outcome date in it.
            repayments: Parquet panel of the same book, landed in the same batch or not at all.

        Raises:
            LandingError: nothing was written, the previous state stands.
        """
        sha = fingerprint(file)
        delivery = Delivery(source, file.name, sha, file.stat().st_size, self.token_key.id, run_id, landed_at)
        batches = self._batches(source)
        with batches.locked():
            companion = (REPAYMENTS, fingerprint(repayments)) if repayments is not None else None
            manifest = batches.known(delivery, companion)
            if manifest is None:
                with (
                    batches.preparing(delivery.batch) as (prepared, scratch),
                    scratch_connection(scratch, self.resources) as engine,
                ):
                    self.files.equip(engine)
                    staged = stage_loans(engine, file, scratch, today=today, key=self.token_key)
                    manifest = _write_loans(batches, staged, prepared, delivery, observed_through)
                    if repayments is not None:
                        _write_companion(engine, repayments, prepared, manifest, delivery)
                    engine.execute(f"copy rejects to {literal(str(scratch / REJECTS))} {PARQUET}")
                    batches.commit(prepared, scratch / REJECTS, delivery.batch)
        self.ensure_views()
        return manifest

    def land_table(
        self, rows: pa.Table, source: str, contract: TableContract, *, file: str, run_id: str, landed_at: datetime
    ) -> Manifest:
        """Land a table that one of our own sources made, under its content hash; unchanged content lands nothing.

        Raises:
            LandingError: the table breaks its contract; nothing was written.
        """
        (table,) = SOURCES[source]
        batches = self._batches(source)
        with batches.locked(), batches.preparing("incoming") as (prepared, scratch):
            parquet = scratch / f"{table}.parquet"
            own = [column.name for column in contract.brought if column.name in rows.column_names]
            pq.write_table(rows.select(own), parquet, compression="zstd")
            size, sha = parquet.stat().st_size, fingerprint(parquet)
            delivery = Delivery(source, file, sha, size, self.token_key.id, run_id, landed_at)
            manifest = batches.known(delivery)
            if manifest is None:
                with scratch_connection(scratch, self.resources) as engine:
                    target = prepared / parquet.name
                    counts = land_rows(engine, parquet, target, contract, delivery.batch, label=file)
                    engine.execute(f"copy table_rejects to {literal(str(scratch / REJECTS))} {PARQUET}")
                manifest = receipt(delivery, table, counts, contract.brought, batches.sequence(delivery.batch))
                (prepared / manifest_file(table)).write_text(manifest.to_json())
                batches.commit(prepared, scratch / REJECTS, delivery.batch)
        self.ensure_views()
        return manifest

    def manifests(self, source: str, table: str = LOANS) -> tuple[Manifest, ...]:
        """Receipts of a source in the order they landed."""
        return self._batches(source).manifests(table)

    def current(self, source: str, table: str = LOANS) -> Manifest | None:
        """The last landed: for all but the incremental sources it is the whole table."""
        found = self.manifests(source, table)
        return found[-1] if found else None

    def rejects(self, manifest: Manifest, limit: int = 20) -> pa.Table:
        """The first rejects of one landing, by row."""
        with self._batches(manifest.source).held.open(manifest.batch, REJECTS) as file:
            return pq.read_table(file, filters=pc.field("file") == manifest.file).slice(0, limit)

    def uri(self, source: str) -> str:
        """Where the batches of a source lie."""
        return self._batches(source).held.uri

    def ensure_views(self) -> None:
        """Make every bronze table readable in the warehouse, landed or not. Cheap when nothing changed."""
        for source in SOURCES:
            self._batches(source).ensure_empty()
        with self._views_lock.held():  # the state is read within, so that no older one overwrites a newer one
            self._keeper.keep([self._batches(source) for source in SOURCES])

    def _batches(self, source: str) -> Batches:
        return Batches(self.files, source)


def _keeper(warehouse: Warehouse, files: FileStore, memory: Path) -> ViewKeeper | BronzeTables:
    """Views where the warehouse's engine reads the lake's files, tables that are loaded where it does not."""
    from credit_risk_platform.adapters.snowflake_load import BronzeTables  # which reads this package

    if isinstance(warehouse, DuckLakeWarehouse):
        return ViewKeeper(warehouse, memory)
    return BronzeTables(cast("TakesFiles", warehouse), files)


def tidy(lake: Place, before: datetime) -> int:
    """Remove what killed landings left in an object store before that moment (UTC); how many objects."""
    return sum(Batches(lake, source).held.sweep(before) for source in SOURCES)


def _write_loans(
    batches: Batches, staged: StagedLoans, prepared: Path, delivery: Delivery, observed_through: date | None
) -> Manifest:
    """`loans.parquet`, `superseded.parquet` and their receipt."""
    known_until = observed_through or staged.observed_through()
    staged.write(prepared / f"{LOANS}.parquet", delivery.source, delivery.batch, known_until)
    restated = _write_superseded(batches, staged.connection, prepared / f"{SUPERSEDED}.parquet", delivery.batch)
    sequence = batches.sequence(delivery.batch)
    manifest = replace(
        receipt(delivery, LOANS, staged.counts, staged.columns, sequence),
        unknown_columns=list(staged.file.header.unknown),
        observed_through=known_until.isoformat() if known_until else None,
        superseded_rows=restated,
    )
    (prepared / manifest_file(LOANS)).write_text(manifest.to_json())
    return manifest


def _write_superseded(batches: Batches, engine: duckdb.DuckDBPyConnection, target: Path, batch: str) -> int:
    """List the rows of earlier files that this one states anew; a file read again keeps the list it had."""
    earlier = "select null::varchar as loan_id, null::varchar as _batch where false"
    before = batches.held.find(batch, target.name)
    if before is not None:
        earlier = f"select loan_id, _batch from read_parquet({literal(before)})"
    elif batches.source in INCREMENTAL and batches.manifests(LOANS):
        earlier = (
            f"select loan_id, _batch from ({table_query(batches, LOANS)}) "
            "as landed semi join (select loan_id from staged where problems = '') as new using (loan_id)"
        )
    engine.execute(f"create or replace temp table superseded as {earlier}")
    engine.execute(f"copy superseded to {literal(str(target))} {PARQUET}")
    row = engine.execute("select count(*) from superseded").fetchone()
    return int(row[0]) if row else 0


def _write_companion(
    engine: duckdb.DuckDBPyConnection, repayments: Path, prepared: Path, loans: Manifest, delivery: Delivery
) -> None:
    """The repayment panel into the batch of its loans; its rejects join theirs."""
    target = prepared / f"{REPAYMENTS}.parquet"
    known = "select loan_id from staged where problems = ''"
    counts = land_rows(engine, repayments, target, SYNTHETIC_REPAYMENTS, delivery.batch, loans=known)
    engine.execute("insert into rejects from table_rejects")
    panel = replace(
        receipt(delivery, REPAYMENTS, counts, SYNTHETIC_REPAYMENTS.brought, loans.sequence),
        file=repayments.name,
        file_sha256=fingerprint(repayments),
        file_bytes=repayments.stat().st_size,
        observed_through=loans.observed_through,
    )
    (prepared / manifest_file(REPAYMENTS)).write_text(panel.to_json())
