"""The small files that batches leave, joined while the next batches are computed: every scan opens them all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import Future, ThreadPoolExecutor

FILES_OF_A_READ_TABLE = 32
FILES_OF_ANOTHER = 256
"""Files after which a table is due. One that each batch reads costs every batch some time per file; another only waits
for its readers, and joining costs its writer time as well."""
BATCHES_BETWEEN = 8
"""A batch waits for the merge beside it, so an event should meet one of them at most."""


class SmallFiles:
    """Counts the files per table and has `merge` join those of one table at a time, on a thread of its own.

    `read` names the tables that each batch reads.
    """

    def __init__(self, merge: Callable[[str], None], read: Collection[str]) -> None:
        self._merge, self._read = merge, read
        # Who wrote before has left some, too.
        self._files = Counter(dict.fromkeys(read, FILES_OF_A_READ_TABLE))
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="small-files")
        self._running: Future[None] | None = None
        self._since = BATCHES_BETWEEN

    def written(self, tables: Iterable[str]) -> None:
        """A batch has left one file in each of `tables`. Raises what an earlier merge failed with."""
        self._files.update(tables)
        self._since += 1
        if self._running is not None:
            if not self._running.done():
                return
            self._running.result()
            self._running = None
        table = max(self._files, key=self._due, default=None)
        if table is not None and self._due(table) >= 1 and self._since >= BATCHES_BETWEEN:
            self._since = 0
            del self._files[table]
            self._running = self._pool.submit(self._merge, table)

    def close(self) -> None:
        """Waits for the merge that runs, and raises what it failed with."""
        self._pool.shutdown(wait=True)
        if self._running is not None:
            self._running.result()

    def _due(self, table: str) -> float:
        return self._files[table] / (FILES_OF_A_READ_TABLE if table in self._read else FILES_OF_ANOTHER)
