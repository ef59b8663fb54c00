"""Two days of raw events in a small lake: messages of every stream, API calls, dead letters, late events."""

from __future__ import annotations

import atexit
import shutil
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path

from credit_risk_platform.adapters import archive
from credit_risk_platform.adapters.archive_store import ArchiveStore
from credit_risk_platform.adapters.warehouse.base import Select
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse

DAY = date(2026, 6, 30)
NEXT = DAY + timedelta(days=1)
NOW = datetime(2026, 7, 1, 0, 30)
TABLES = (
    "raw_applications", "raw_repayments", "raw_transactions", "late_events", "dead_letters", "api_requests",
    "stream_batches",
)  # fmt: skip
_PLACED = "'{topic}' as topic, 'id-1' as topic_id, (i % 2)::int as \"partition\", (i // 2)::bigint as \"offset\""
_TIMES = "timestamp '2026-06-30 23:00:00' + to_seconds(i) as kafka_time, '{topic}-' || i as event_id"
_EVENT = f"{_PLACED}, {_TIMES}, timestamp '2026-06-29 08:00:00' + to_seconds(i) as event_time"


@dataclass
class ArchiveBook:
    """A lake, its archive and the folder that drift reports are written to."""

    warehouse: DuckLakeWarehouse
    store: ArchiveStore
    reports: Path

    def archive(self, day: date = DAY, run_id: str = "run-1") -> archive.Archived:
        folder = self.reports / day.isoformat()
        return archive.archive_day(self.warehouse, self.store, folder, day, run_id=run_id, now=NOW)

    def listing(self) -> dict[str, bytes]:
        """Everything the archive holds."""
        return {name: (self.store.root / name).read_bytes() for name in self.store.names(".") if ".lock" not in name}


def open_book(home: Path) -> ArchiveBook:
    return ArchiveBook(
        DuckLakeWarehouse(home / "warehouse", threads=1), ArchiveStore(home / "archive"), home / "reports" / "drift"
    )


def make_archive_book(home: Path, messages: int = 40) -> ArchiveBook:
    """`messages` of each topic, sent on DAY; the first half is written on it, the others on the NEXT one.

    Two calls through the API on DAY and one on NEXT; messages 4 and 5 of the applications were dead letters.
    """
    book = open_book(home)
    write_events(book, messages)
    folder = book.reports / DAY.isoformat()
    folder.mkdir(parents=True)
    (folder / "feature_drift.html").write_text("<html>moved</html>")
    (folder / "feature_drift.json").write_text('{"psi": 0.3}')
    return book


@cache
def _template() -> Path:
    home = Path(tempfile.mkdtemp(prefix="archive-book-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    make_archive_book(home).warehouse.close()
    return home


def copy_archive_book(home: Path) -> ArchiveBook:
    """The same, sooner: the lake's catalog is told where its files are now."""
    shutil.copytree(_template(), home)
    with closing(sqlite3.connect(home / "warehouse" / "catalog.sqlite")) as catalog, catalog:
        place = f"{home / 'warehouse' / 'data'}/"
        catalog.execute("update ducklake_metadata set value = ? where key = 'data_path'", [place])
    return open_book(home)


def write_events(book: ArchiveBook, messages: int) -> None:
    half = messages // 4
    topics = {"raw_applications": "loan_applications", "raw_repayments": "repayments", "raw_transactions": "bank"}
    batches = " union all ".join(
        f"select '{topic}' as topic, 'id-1' as topic_id, p::int as \"partition\", s::bigint as start_offset, "
        f"e::bigint as end_offset, 'run' as run_id, c::timestamp as committed_at "
        f"from (values (0, '2026-06-30 23:30:00'), ({half}, '2026-07-01 00:10:00')) as v(s, c), "
        f"lateral (select s + {half} as e), range(2) as r(p)"
        for topic in topics.values()
    )
    with book.warehouse.transaction() as transaction:
        transaction.append("bronze.stream_batches", Select(batches))
        for table, topic in topics.items():
            more = ", (100 + i)::decimal(18, 2) as amount, ['a', null] as tags, 'run' as run_id"
            rows = f"select {_EVENT.format(topic=topic)}{more} from range({messages}) as r(i)"
            if table == "raw_applications":
                rows += f" where i not in (4, 5) union all select {_CALL}{more} from range(3) as r(i)"
            transaction.append(f"bronze.{table}", Select(rows))
        dead = f"select {_PLACED}, {_TIMES}, 'dti' as \"column\" from range({messages}) as r(i) where i in (4, 5)"
        transaction.append("bronze.dead_letters", Select(dead.format(topic="loan_applications")))
        late = f"select {_EVENT}, timestamp '2026-06-30 23:30:00' as recorded_at from range(3) as r(i)"
        transaction.append("bronze.late_events", Select(late.format(topic="bank")))
        calls = f"select event_id, event_time as received_at from (select {_CALL} from range(3) as r(i))"
        transaction.append("bronze.api_requests", Select(calls))


_CALL = (
    "'http' as topic, '' as topic_id, null::int as \"partition\", null::bigint as \"offset\", "
    "null::timestamp as kafka_time, 'call-' || i as event_id, "
    "timestamp '2026-06-30 23:59:58' + to_seconds(i) as event_time"
)
