"""The daily archive: the raw events that arrived on a day and its drift reports, as files with checksums.

Equal content gives equal bytes: rows in the order of topic, partition and offset, row groups and parts of a fixed
length, one writing thread, and nothing of clock or run in a data file (the writing library names its version in it).
A day's files are complete before its manifest names them, so a killed run leaves the earlier archive as it was.

Retention: nothing is ever deleted here but files of a day that its present manifest no longer names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from credit_risk_platform.adapters import archive_tables
from credit_risk_platform.adapters.archive_manifest import (
    DIGEST_DIGITS,
    ArchivedFile,
    ArchivedTable,
    ArchiveError,
    DayManifest,
    folder_of,
    manifest_name,
    read_manifest,
    require_manifest,
)
from credit_risk_platform.adapters.archive_store import ArchiveStore
from credit_risk_platform.adapters.archive_tables import RawTable
from credit_risk_platform.adapters.files import FileStore, Place, as_files, digest, fetch
from credit_risk_platform.adapters.landing.sql import literal
from credit_risk_platform.adapters.warehouse.base import Warehouse

GROUP_ROWS = 100_000
PART_GROUPS = 20
"""Row groups of one part: two million events."""
REPORT_KINDS = (".html", ".json")


@dataclass(frozen=True)
class Archived:
    """The day's manifest, and the state of the lake that this run compared it with."""

    manifest: DayManifest
    snapshot: str
    unchanged: bool


def archive_day(
    warehouse: Warehouse, store: ArchiveStore, reports: Place, day: date, *, run_id: str, now: datetime
) -> Archived:
    """Archive what arrived on `day` and the files of `reports`; what is archived of it already is brought up to date.

    Raises `ArchiveError` where the archive holds rows that the tables have lost: it is what they can be restored from.
    """
    with store.writing() as scratch:
        earlier = read_manifest(store, day)
        tables = archive_tables.present(warehouse)
        snapshot = warehouse.snapshot()
        made: dict[str, Path] = {}
        archived = tuple(_archive_table(warehouse, one, tables, snapshot, day, scratch, made) for one in tables)
        found = DayManifest(
            day=day.isoformat(),
            tables=archived,
            reports=_archive_reports(as_files(reports), day, scratch, earlier, made),
            snapshot=snapshot,
            run_id=run_id,
            archived_at=now.isoformat(timespec="seconds"),
        )
        unchanged = earlier is not None and earlier.version == found.version
        if earlier is not None and not unchanged:
            _refuse_losses(store, earlier, found, made)
        for file in found.files:
            if file.name in made and store.digest(file.name) != (file.bytes, file.sha256):
                store.put(made[file.name], file.name)
        if not unchanged:
            store.put_bytes(found.to_json(), manifest_name(day))
        _sweep(store, found, day)
    return Archived(earlier if unchanged and earlier else found, snapshot, unchanged)


def verify(store: ArchiveStore, day: date) -> list[str]:
    """What is wrong with a day's files, read anew: missing, of another length or checksum, with other rows."""
    problems = []
    for file in require_manifest(store, day).files:
        found = store.digest(file.name)
        if found is None:
            problems.append(f"{file.name} is missing")
        elif found != (file.bytes, file.sha256):
            problems.append(
                f"{file.name} has {found[0]:,} bytes and SHA-256 {found[1]}, not {file.bytes:,} and {file.sha256}"
            )
        elif file.rows is not None and (rows := _rows(store, file.name)) != file.rows:
            problems.append(f"{file.name} has {rows:,} rows, not {file.rows:,}")
    return problems


def _rows(store: ArchiveStore, name: str) -> int:
    with store.open(name) as file:
        return int(pq.read_metadata(file).num_rows)


def archived_rows(store: ArchiveStore, table: ArchivedTable) -> str:
    """Query for the archived rows of a table that has some."""
    files = ", ".join(literal(store.location(file.name)) for file in table.files)
    names = ", ".join(archive_tables.quoted(list(table.schema)))
    return f"select {names} from read_parquet([{files}], hive_partitioning = false)"


# -------------------------------------------------------------------- inside


def _archive_table(
    warehouse: Warehouse,
    table: RawTable,
    tables: tuple[RawTable, ...],
    snapshot: str,
    day: date,
    scratch: Path,
    made: dict[str, Path],
) -> ArchivedTable:
    sql, params = archive_tables.of_day(warehouse, table, tables, snapshot, day)
    ordered = f"{sql} order by {', '.join(archive_tables.quoted(table.order))}"
    files = []
    with warehouse.stream(ordered, params, GROUP_ROWS) as batches:
        for number, (file, rows) in enumerate(_write_parts(batches, scratch / table.short)):
            folder = folder_of(f"raw/{table.short}", day)
            files.append(_described(file, f"{folder}/part-{number:03d}", ".parquet", made, rows))
    return ArchivedTable(table.name, sum(file.rows or 0 for file in files), warehouse.columns(table.name), tuple(files))


def _write_parts(batches: Iterable[pa.RecordBatch], stem: Path) -> Iterator[tuple[Path, int]]:
    """(file, rows) of each part; no rows make no file."""
    writer: pq.ParquetWriter | None = None
    file, rows, groups = stem, 0, 0
    for group in _row_groups(batches):
        if writer is None:
            file, rows, groups = stem.with_name(f"{stem.name}-{groups}.parquet"), 0, groups
            writer = pq.ParquetWriter(file, group.schema, compression="zstd")
        writer.write_table(group, row_group_size=GROUP_ROWS)
        rows, groups = rows + group.num_rows, groups + 1
        if groups % PART_GROUPS == 0:
            writer.close()
            writer = None
            yield file, rows
    if writer is not None:
        writer.close()
        yield file, rows


def _row_groups(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The rows in tables of `GROUP_ROWS`, in one piece each: however the engine cut them, the bytes are the same."""
    held: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        held.append(batch)
        count += batch.num_rows
        while count >= GROUP_ROWS:
            together = pa.Table.from_batches(held)
            yield together.slice(0, GROUP_ROWS).combine_chunks()
            rest = together.slice(GROUP_ROWS)
            held, count = rest.to_batches(), rest.num_rows
    if count:
        yield pa.Table.from_batches(held).combine_chunks()


def _archive_reports(
    reports: FileStore, day: date, scratch: Path, earlier: DayManifest | None, made: dict[str, Path]
) -> tuple[ArchivedFile, ...]:
    """Copies of the reports that are there; one that is no longer there stays archived."""
    names = [name for name in reports.names() if "/" not in name and name.endswith(REPORT_KINDS)]
    copies = [fetch(reports, name, scratch / name) for name in names]
    present = [_described(file, f"{folder_of('drift', day)}/{file.stem}", file.suffix, made) for file in copies]
    known = {_report(file) for file in present}
    kept = [file for file in (earlier.reports if earlier else ()) if _report(file) not in known]
    return tuple(sorted([*present, *kept], key=lambda file: file.name))


def _report(file: ArchivedFile) -> tuple[str, str]:
    """(name, kind) of an archived report without its digest."""
    stem, _, suffix = file.name.rpartition(".")
    return stem[: -DIGEST_DIGITS - 1], suffix


def _described(file: Path, stem: str, suffix: str, made: dict[str, Path], rows: int | None = None) -> ArchivedFile:
    size, sha = digest(file)
    name = f"{stem}-{sha[:DIGEST_DIGITS]}{suffix}"
    made[name] = file
    return ArchivedFile(name, size, sha, rows)


def _refuse_losses(store: ArchiveStore, earlier: DayManifest, found: DayManifest, made: dict[str, Path]) -> None:
    keys = {table.name: archive_tables.quoted(table.key) for table in archive_tables.TABLES}
    for before in earlier.tables:
        # From a file that is damaged nothing could be restored: what the lake holds takes its place.
        sound = tuple(file for file in before.files if store.digest(file.name) == (file.bytes, file.sha256))
        if not sound:
            continue
        table = replace(before, files=sound)
        now = found.table(table.table)
        files = ", ".join(literal(str(made[file.name])) for file in now.files) if now else ""
        kept = f"from read_parquet([{files}]) as new where " if files else ""
        same = " and ".join(f"old.{key} is not distinct from new.{key}" for key in keys[table.table])
        gone = f"not exists (select 1 {kept}{same})" if files else "true"
        sql = f"select count(*) as n from ({archived_rows(store, table)}) as old where {gone}"
        with store.engine() as engine:
            lost = engine.execute(sql).fetchall()[0][0]
        if lost:
            raise ArchiveError(
                f"the archive of {earlier.day} holds {lost:,} rows of {table.table} that the table has lost; it was "
                f"left as it is. Bring them back first: crp archive restore --day {earlier.day}"
            )


def _sweep(store: ArchiveStore, manifest: DayManifest, day: date) -> None:
    named = {file.name for file in manifest.files}
    areas = ["drift", *(f"raw/{table.short}" for table in archive_tables.TABLES)]
    for area in areas:
        for name in store.names(folder_of(area, day)):
            if name not in named:
                store.remove(name)
