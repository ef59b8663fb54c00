"""The lake's front door: a file comes in, typed Parquet, a receipt and a quarantine come out, all of it or nothing.

    bronze/<source>/batch=<12 hex of the file's SHA-256>/{loans.parquet, superseded.parquet, manifest.json}
    quarantine/<source>/batch=<...>/rejects.parquet

Belongs here: the order of the steps. Does not: parsing (`landing_sql`), rules (`domain.contracts`), views.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from credit_risk_platform.adapters.landing_batches import REJECTS, Batches, Delivery
from credit_risk_platform.adapters.landing_manifest import (
    LOANS,
    REPAYMENTS,
    Manifest,
    data_version,
    manifest_file,
    receipt,
)
from credit_risk_platform.adapters.landing_report import LandingReport, validate_file
from credit_risk_platform.adapters.landing_source import fingerprint
from credit_risk_platform.adapters.landing_sql import literal
from credit_risk_platform.adapters.landing_stage import PARQUET, Resources, StagedLoans, scratch_connection, stage_loans
from credit_risk_platform.adapters.landing_tables import TableContract, land_rows
from credit_risk_platform.adapters.landing_views import (
    INCREMENTAL,
    SOURCES,
    SUPERSEDED,
    ViewKeeper,
    bronze_views,
    incremental_rows,
    write_empty_batches,
)
from credit_risk_platform.adapters.tokens import TokenKey
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.domain.contracts.feed_columns import REPAYMENT_COLUMNS, REPAYMENT_KEY

__all__ = ["BronzeLake", "LandingReport", "Manifest", "Resources", "TableContract", "data_version", "validate_file"]

REPAYMENT_CONTRACT = TableContract("synthetic_repayments", REPAYMENT_COLUMNS, REPAYMENT_KEY)


class BronzeLake:
    """Lands files below `root` and keeps the warehouse's bronze views in step. One landing per source at a time."""

    def __init__(
        self, root: Path, warehouse: Warehouse, token_key: TokenKey, *, resources: Resources | None = None
    ) -> None:
        self.bronze, self.quarantine = root / "bronze", root / "quarantine"
        self.token_key, self.resources = token_key, resources or Resources()
        self._keeper = ViewKeeper(warehouse, self.bronze / "views.json")

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
        companion = (REPAYMENTS, fingerprint(repayments)) if repayments is not None else None
        with batches.locked():
            known = batches.known(delivery, LOANS, companion)
            if known is not None:
                manifest = batches.make_current(known, SOURCES[source])
            else:
                manifest = self._land_loans(batches, file, delivery, today, observed_through, repayments)
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
        with batches.locked(), batches.preparing("incoming") as (_, incoming):
            parquet = incoming / f"{table}.parquet"
            pq.write_table(rows, parquet, compression="zstd")
            size = parquet.stat().st_size
            delivery = Delivery(source, file, fingerprint(parquet), size, self.token_key.id, run_id, landed_at)
            known = batches.known(delivery, table)
            if known is not None:
                manifest = batches.make_current(known, SOURCES[source])
            else:
                manifest = self._land_table(batches, parquet, table, contract, delivery)
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
        file = self._batches(manifest.source).quarantine.batch(manifest.batch) / REJECTS
        return pq.read_table(file, filters=pc.field("file") == manifest.file).slice(0, limit)

    def ensure_views(self) -> None:
        """Make every bronze table readable in the warehouse, landed or not. Cheap when nothing changed."""
        sources = {source: self._batches(source) for source in SOURCES}
        for source, batches in sources.items():
            with batches.locked():
                write_empty_batches(batches, SOURCES[source])
        self._keeper.keep(bronze_views(self.bronze, self.quarantine, sources))

    # ---------------------------------------------------------------- inside

    def _batches(self, source: str) -> Batches:
        if source not in SOURCES:
            raise KeyError(f"{source} is not a source; the lake knows {', '.join(SOURCES)}")
        return Batches(self.bronze, self.quarantine, source)

    def _land_loans(
        self,
        batches: Batches,
        file: Path,
        delivery: Delivery,
        today: date,
        observed_through: date | None,
        repayments: Path | None,
    ) -> Manifest:
        with (
            batches.preparing(delivery.batch) as (prepared, scratch),
            scratch_connection(scratch, self.resources) as engine,
        ):
            staged = stage_loans(engine, file, scratch, today=today, key=self.token_key)
            known_until = observed_through or staged.observed_through()
            staged.write(prepared / f"{LOANS}.parquet", delivery.source, delivery.batch, known_until)
            restated = _write_superseded(batches, staged, prepared / f"{SUPERSEDED}.parquet", delivery.batch)
            manifest = replace(
                receipt(delivery, LOANS, staged.counts, staged.columns, batches.sequence(delivery.batch, LOANS)),
                unknown_columns=list(staged.file.header.unknown),
                observed_through=known_until.isoformat() if known_until else None,
                superseded_rows=restated,
            )
            (prepared / manifest_file(LOANS)).write_text(manifest.to_json())
            engine.execute("alter table rejects rename to rejected")
            if repayments is not None:
                self._land_beside(engine, batches, repayments, prepared, manifest, delivery)
                engine.execute("insert into rejected from rejects")
            engine.execute(f"copy rejected to {literal(str(scratch / REJECTS))} {PARQUET}")
            batches.commit(prepared, scratch / REJECTS, delivery.batch)
        return manifest
