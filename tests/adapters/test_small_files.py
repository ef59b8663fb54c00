"""Small files are joined beside the batches: an event never waits for it, and a fault of it is never hidden."""

import threading

import pytest

from credit_risk_platform.adapters.streaming.small_files import (
    BATCHES_BETWEEN,
    FILES_OF_A_READ_TABLE,
    FILES_OF_ANOTHER,
    SmallFiles,
)


def test_what_was_left_before_is_joined_first_and_what_each_batch_reads_earlier_than_the_rest() -> None:
    merged: list[str] = []
    files = SmallFiles(merged.append, {"gold.score_ledger"})
    for batch in range(1, FILES_OF_ANOTHER + BATCHES_BETWEEN + 1):
        files.written({"gold.score_ledger", "gold.message_trace"})
        if files._running is not None:
            files._running.result()
        if batch <= FILES_OF_A_READ_TABLE:
            assert merged == ["gold.score_ledger"]
        if batch < FILES_OF_ANOTHER:
            assert "gold.message_trace" not in merged
    files.close()
    assert merged.count("gold.message_trace") == 1
    assert merged.count("gold.score_ledger") == 1 + FILES_OF_ANOTHER // FILES_OF_A_READ_TABLE


def test_a_batch_does_not_wait_for_a_merge_and_a_second_one_does_not_start_beside_it() -> None:
    go_on, started = threading.Event(), []

    def slow(table: str) -> None:
        started.append(table)
        go_on.wait(10)

    files = SmallFiles(slow, {"a", "b"})
    for _ in range(3 * FILES_OF_A_READ_TABLE):
        files.written({"a", "b"})  # would hang here
    assert len(started) == 1
    go_on.set()
    files.close()


def test_a_merge_that_fails_ends_the_lane_instead_of_letting_files_pile_up() -> None:
    def broken(_: str) -> None:
        raise OSError("disk full")

    files = SmallFiles(broken, {"a"})
    files.written({"a"})
    assert isinstance(files._running.exception(10), OSError)
    with pytest.raises(OSError, match="disk full"):
        files.written({"a"})
