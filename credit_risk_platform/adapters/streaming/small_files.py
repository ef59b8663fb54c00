"""The small files that batches leave, joined now and then: every scan opens them all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable

FILES_OF_A_READ_TABLE = 32
FILES_OF_ANOTHER = 256
"""Files after which a table is due. One that each batch reads costs every batch some time per file; another only waits
for its readers, and joining costs its writer time as well."""
BATCHES_BETWEEN = 8
"""The next batch waits for a merge, so an event should meet one of them at most."""


class SmallFiles:
    """Counts the files per table and has `merge` join those of one table at a time, between two batches.

    Not beside them: DuckDB's SQLite sleeps a whole second where a merge and a reader of the catalog meet. `read` tells
    the tables that each batch reads now.
    """

    def __init__(self, merge: Callable[[str], None], read: Callable[[], Collection[str]]) -> None:
        self._merge, self._read = merge, read
        # Who wrote before has left some, too.
        self._files = Counter(dict.fromkeys(read(), FILES_OF_A_READ_TABLE))
        self._since = BATCHES_BETWEEN

    def written(self, tables: Iterable[str]) -> None:
        """A batch has left one file in each of `tables`."""
        self._files.update(tables)
        self._since += 1
        read = self._read()
        due = {
            name: n / (FILES_OF_A_READ_TABLE if name in read else FILES_OF_ANOTHER) for name, n in self._files.items()
        }
        table = max(due, key=due.__getitem__)
        if due[table] >= 1 and self._since >= BATCHES_BETWEEN:
            self._since = 0
            del self._files[table]
            self._merge(table)
