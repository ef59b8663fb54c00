"""One shard, counted from the group's bookmark on: which offset each record has, and whether any were lost before it.

Kinesis numbers records, but not one by one: an offset is found by counting from a record whose offset is known. A
bookmark's record that is still there proves that nothing behind it has been deleted.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from credit_risk_platform.adapters.kinesis_connection import EXPIRED_ITERATOR, code_of
from credit_risk_platform.adapters.streaming.batch import NotReadyError
from credit_risk_platform.adapters.streaming.kinesis_bookmarks import Mark
from credit_risk_platform.adapters.streaming.kinesis_pages import Entry, Page, Pages

KEPT_BYTES = 8 * 1024 * 1024
"""Messages that counting keeps in memory, so that reading them need not ask again; for the others it only counts."""
LOOKED = 1_000
"""Records of a page at least: one call for a few costs as much as one for many."""
EMPTY_PAGES = 3
"""A place that Kinesis has deleted may answer with empty pages for ever."""
MARGIN = timedelta(minutes=5)
"""Between our clock and the moment Kinesis deletes a record."""
_log = logging.getLogger(__name__)


class ShardReader:
    """`marks` are known places, by offset; `mark` the one to go on from, or none: then from the shard's beginning.

    `sink_ends` is asked how far the warehouse is, where no place is known any more. One that `recalls` looks at what
    was taken before: it finds what is left of that, and proves nothing to others.
    """

    def __init__(
        self,
        pages: Pages,
        number: int,
        mark: Mark | None,
        marks: Sequence[Mark],
        sink_ends: Callable[[], int],
        retention: timedelta,
        *,
        recalls: bool = False,
    ) -> None:
        self.pages, self.number, self.sink_ends, self.retention = pages, number, sink_ends, retention
        self.mark, self._marks, self.recalls = mark, marks, recalls
        self.forget()

    def forget(self) -> None:
        """Begin anew at the mark when next asked."""
        self.window: list[Entry] = []
        """Records from offset `first` on, as far as has been looked."""
        self.start = self.first = self.mark.offset if self.mark else 0
        """Where the group goes on, and the first record from there that still exists. Between them they are lost."""
        self.tip_at: datetime | None = None
        self.behind_ms = 0
        self.over = False
        self.anchored = True
        """Whether offsets are proven by a record that the marks know; else they hold for this process alone."""
        self._located = False
        self._kept = 0

    @property
    def end(self) -> int:
        return self.first + len(self.window)

    @property
    def waiting(self) -> int:
        return self.end - self.start

    @property
    def finished(self) -> bool:
        """The group has taken all there will ever be."""
        return self.over and not self.waiting

    def update(self, mark: Mark | None, marks: Sequence[Mark]) -> None:
        """The group may have moved on, or back, meanwhile."""
        self._marks, before = marks, self.mark
        if mark and self._located and self._holds(mark):
            self.advance(mark)
            return
        self.mark = mark
        if (mark and mark.offset) != (before and before.offset):
            self.forget()

    def fill(self, count: int, *, keep: bool = False) -> None:
        """Look until `count` records from `first` on are known, or the shard holds no more now."""
        from botocore.exceptions import ClientError

        for again in (True, False):
            try:
                self._locate(keep)
                while len(self.window) < count and not self.over:
                    page = self.pages.next(max(count - len(self.window), LOOKED))
                    self._add(page, keep)
                    if page.tip:
                        break
                return
            except ClientError as error:
                if code_of(error) != EXPIRED_ITERATOR or not again:
                    raise
                self.forget()  # nobody asked for five minutes

    def take(self, start: int, end: int) -> list[tuple[int, Entry]]:
        """(offset, record) of [start, end), with their values; those that are lost are not among them."""
        self.fill(end - self.start, keep=True)
        if not all(entry.kept for entry in self._between(start, end)):
            self.forget()
            self.fill(end - self.start, keep=True)
        if self.end < end and not self.anchored:
            self.first += end - self.end  # who asked had counted more: those were deleted since, from the front
        if self.end < end:
            raise NotReadyError(
                f"shard {self.number} of {self.pages.stream} holds messages up to offset {self.end}, not {end}: the "
                "range was made for another stream, or by hand. The sensor asks for what is there."
            )
        offset = max(start, self.first)
        return list(enumerate(self._between(start, end), offset))

    def anchor(self) -> Mark | None:
        """The first record as a known place, where nothing else proves the offsets: a second attempt counts alike."""
        if self.anchored or self.recalls or not self.window:
            return None
        self.anchored = True
        head = self.window[0]
        return Mark(self.first + 1, head.sequence, head.arrived, taken=False)

    def mark_at(self, end: int) -> Mark:
        """The bookmark of a group that has taken everything before `end`."""
        self.fill(end - self.first)
        if self.end < end:
            raise NotReadyError(f"shard {self.number} of {self.pages.stream} ends before offset {end}: read it first")
        taken, left = self._between(self.first, end), self._between(end, self.end)
        tip_at = left[0].arrived if left else self.tip_at
        return Mark(
            end,
            taken[-1].sequence if taken else None,
            taken[-1].arrived if taken else None,
            tip_at=tip_at if end >= self.first else None,
            ended=self.over and end == self.end,
        )

    def advance(self, mark: Mark) -> None:
        """The group has taken everything before `mark`."""
        self.window = self.window[max(mark.offset - self.first, 0) :]
        self.start, self.first, self.mark = mark.offset, max(self.first, mark.offset), mark
        self.anchored = self.anchored or mark.sequence is not None
        self._kept = sum(entry.size for entry in self.window if entry.kept)

    # ---------------------------------------------------------------- inside

    def _between(self, start: int, end: int) -> list[Entry]:
        return self.window[max(start - self.first, 0) : max(end - self.first, 0)]

    def _holds(self, mark: Mark) -> bool:
        place = mark.offset - 1 - self.first
        return 0 <= place < len(self.window) and self.window[place].sequence == mark.sequence

    def _add(self, page: Page, keep: bool) -> None:
        for entry in page.entries:
            kept = keep or self._kept + entry.size <= KEPT_BYTES
            self._kept += entry.size if kept else 0
            self.window.append(entry if kept else entry._replace(value=None, kept=False))
        self.tip_at = page.asked_at if page.tip else self.tip_at
        self.behind_ms, self.over = page.behind_ms, page.over

    def _locate(self, keep: bool) -> None:
        if self._located:
            return
        if self.mark and self.mark.ended:
            self.over = True
        elif not self._at_the_mark(keep):
            self._from_the_horizon(keep)
        self._located = True

    def _at_the_mark(self, keep: bool) -> bool:
        """Whether the mark's record is there; then everything behind it is."""
        from botocore.exceptions import ClientError

        if self.mark is None or self.mark.sequence is None:
            return False
        try:
            self.pages.seek("AT_SEQUENCE_NUMBER", self.mark.sequence)
        except ClientError as error:
            if code_of(error) != "InvalidArgumentException":
                raise
            return False
        for _ in range(EMPTY_PAGES):
            page = self.pages.next(LOOKED)
            if page.entries or page.tip:
                break
        self._add(page, keep)
        if self.window and self.window[0].sequence == self.mark.sequence:
            del self.window[0]
            return True
        self.forget()
        return False

    def _from_the_horizon(self, keep: bool) -> None:
        """Count from the oldest record there is, up to one whose offset is known."""
        self.pages.seek("TRIM_HORIZON")
        page = None
        while not self.window and not (page and page.tip):
            page = self.pages.next(LOOKED)
            self._add(page, keep)
        oldest = self.window[0].sequence if self.window else None
        known = [mark for mark in self._marks if mark.sequence is not None and oldest and mark.sequence >= oldest]
        if known:
            self.first = self._counted_up_to(min(known, key=lambda mark: mark.sequence or 0), keep)
        elif self._nothing_can_be_lost():
            self.anchored = self.mark is not None
        else:
            self._lose()
        self.window = self.window[max(self.start - self.first, 0) :]
        self.first = max(self.first, self.start)

    def _counted_up_to(self, mark: Mark, keep: bool) -> int:
        """The offset of the oldest record."""
        assert mark.sequence is not None
        while self.window[-1].sequence < mark.sequence:
            page = self.pages.next(LOOKED)
            self._add(page, keep)
            if page.tip:
                break
        place = next((at for at, entry in enumerate(self.window) if entry.sequence == mark.sequence), None)
        if place is None:
            raise NotReadyError(
                f"record {mark.sequence} of shard {self.number} of {self.pages.stream}, which a bookmark names, is not "
                "among those around it: the bookmarks are not of this stream. Look at bronze.stream_bookmarks."
            )
        return mark.offset - 1 - place

    def _nothing_can_be_lost(self) -> bool:
        """A new group has missed nothing; an old one has not if it saw the end within the time records are kept."""
        if self.mark is None:
            return self.sink_ends() == 0
        now = datetime.now(UTC).replace(tzinfo=None)
        return self.mark.tip_at is not None and now - self.mark.tip_at < self.retention - MARGIN

    def _lose(self) -> None:
        """One offset stands for all that is gone: nobody knows how many. What the sink holds is not counted again."""
        self.start = max(self.start, self.sink_ends())
        self.first = self.start + 1
        self.anchored = False
        if self.recalls:
            return
        _log.warning(
            "Shard %d of %s: the record at the bookmark (offset %d) is gone, and with it perhaps others that nobody "
            "read. Offset %d stands for them as 'lost'. The stream keeps records for %s: ask the producer to send "
            "again what came before %s, and raise the stream's retention (docs/kinesis.md).",
            self.number, self.pages.stream, self.mark.offset if self.mark else 0, self.start, self.retention,
            self.window[0].arrived if self.window else "now",
        )  # fmt: skip
