"""Arithmetic of offset ranges: where a batch begins, what of it is done, and its halves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from credit_risk_platform.adapters.streaming.batch import NotReadyError, OffsetRange


def reaching_back(found: OffsetRange, held: Mapping[int, int]) -> OffsetRange:
    """The range from where the sink ends, should the group's offset be ahead of it (a warehouse that was restored)."""
    start = min(found.start, held.get(found.partition, found.start))
    return OffsetRange(found.topic, found.partition, start, found.end)


def split(ranges: Sequence[OffsetRange], before: Mapping[int, int]) -> tuple[list[OffsetRange], list[OffsetRange]]:
    """(what is still to be written, what the sink holds)."""
    todo, done = [], []
    for found in ranges:
        start = min(max(before.get(found.partition, found.start), found.start), found.end)
        todo.append(OffsetRange(found.topic, found.partition, start, found.end))
        done.append(OffsetRange(found.topic, found.partition, found.start, start))
        if before.get(found.partition, found.start) < found.start:
            raise NotReadyError(
                f"the warehouse ends at {before[found.partition]} of {found.topic} partition {found.partition}, and "
                f"the messages begin at {found.start}: read from the former"
            )
    return [found for found in todo if found.count], [found for found in done if found.count]


def halves(ranges: Sequence[OffsetRange]) -> list[list[OffsetRange]]:
    """Two parts with all messages of `ranges`, in order within each partition."""
    if len(ranges) > 1:
        middle = len(ranges) // 2
        return [list(ranges[:middle]), list(ranges[middle:])]
    (whole,) = ranges
    cut = whole.start + whole.count // 2
    return [
        [OffsetRange(whole.topic, whole.partition, whole.start, cut)],
        [OffsetRange(whole.topic, whole.partition, cut, whole.end)],
    ]
