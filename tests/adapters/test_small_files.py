"""Small files are joined often enough for those who read them, and seldom enough for the events that wait."""

from itertools import pairwise

from credit_risk_platform.adapters.streaming.small_files import (
    BATCHES_BETWEEN,
    FILES_OF_A_READ_TABLE,
    FILES_OF_ANOTHER,
    SmallFiles,
)


def test_what_was_left_before_is_joined_first_and_what_each_batch_reads_earlier_than_the_rest() -> None:
    merged: list[str] = []
    files = SmallFiles(merged.append, lambda: {"gold.score_ledger"})
    for batch in range(1, FILES_OF_ANOTHER + BATCHES_BETWEEN + 1):
        files.written({"gold.score_ledger", "gold.message_trace"})
        if batch <= FILES_OF_A_READ_TABLE:
            assert merged == ["gold.score_ledger"]
        if batch < FILES_OF_ANOTHER:
            assert "gold.message_trace" not in merged
    assert merged.count("gold.message_trace") == 1
    assert merged.count("gold.score_ledger") == 1 + FILES_OF_ANOTHER // FILES_OF_A_READ_TABLE


def test_two_tables_that_are_due_at_once_do_not_hold_up_the_same_event() -> None:
    merged: list[str] = []
    files = SmallFiles(merged.append, lambda: {"raw", "ledger"})
    after_each_batch = []
    for _ in range(3 * FILES_OF_A_READ_TABLE):
        files.written({"raw", "ledger"})
        after_each_batch.append(len(merged))
    at = [batch for batch, (before, now) in enumerate(pairwise([0, *after_each_batch])) if now > before]
    assert set(merged) == {"raw", "ledger"}
    assert min(later - earlier for earlier, later in pairwise(at)) >= BATCHES_BETWEEN
