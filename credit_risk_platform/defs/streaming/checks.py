"""What must hold of every micro-batch. Inline checks: they judge the batch that was just written."""

from typing import Any

import dagster as dg

from credit_risk_platform.adapters.streaming.batch import BatchReport, Outcome
from credit_risk_platform.defs.streaming.lanes import Lane

NOTHING_LOST, DEAD_LETTER_RATE = "nothing_lost", "dead_letter_rate"
TOLERATED_DEAD_LETTERS = 0.05


def specs_of(lane: Lane) -> list[dg.AssetCheckSpec]:
    """Both stand on the asset that holds the lane's messages as they came."""
    return [
        dg.AssetCheckSpec(NOTHING_LOST, asset=lane.raw, blocking=True,
            description="Every message of the batch's offsets was read, and each came to exactly one outcome."),
        dg.AssetCheckSpec(DEAD_LETTER_RATE, asset=lane.raw,
            description=f"At most {TOLERATED_DEAD_LETTERS:.0%} of the batch could not be used (warns)."),
    ]  # fmt: skip


def results(lane: Lane, report: BatchReport) -> list[dg.AssetCheckResult]:
    return [nothing_lost(lane, report), dead_letter_rate(lane, report)]


def nothing_lost(lane: Lane, report: BatchReport) -> dg.AssetCheckResult:
    """Red when the log gave up messages before they were read, or when some were read and have no outcome."""
    accounted, lost = sum(report.outcomes.values()), report.outcomes.get(Outcome.LOST, 0)
    metadata: dict[str, Any] = {"messages": report.messages, "accounted_for": accounted, "lost": lost}
    if lost:
        metadata["next_step"] = (
            f"The stream had deleted {lost:,} messages before they were read: their offsets stand in "
            "gold.message_trace as 'lost' (of Kinesis, one stands for all that a shard deleted; nobody can count "
            f"them). Ask the producer to send them again, and raise the retention of {lane.topic} or find out why the "
            "stream stood still."
        )
    elif accounted != report.messages:
        metadata["next_step"] = (
            "A fault of the platform: compare gold.message_trace of this run with the offsets above, and report it. "
            "The messages themselves are still in the stream."
        )
    return dg.AssetCheckResult(
        check_name=NOTHING_LOST, asset_key=lane.raw, passed=not lost and accounted == report.messages, metadata=metadata
    )


def dead_letter_rate(lane: Lane, report: BatchReport) -> dg.AssetCheckResult:
    dead = report.outcomes.get(Outcome.DEAD_LETTER, 0)
    rate = dead / report.messages if report.messages else 0.0
    metadata: dict[str, Any] = {"messages": report.messages, "dead_letters": dead, "rate": rate}
    if dead:
        most = max(report.reasons, key=lambda reason: report.reasons[reason], default="")
        metadata["most_frequent_reason"] = most
    if passed := rate <= TOLERATED_DEAD_LETTERS:
        return _warning(lane, passed, metadata)
    metadata["next_step"] = (
        f"Look at bronze.dead_letters where topic = '{lane.topic}': it names field, reason and remedy of each message. "
        "When the producer is mended, have it send those messages again; an event is never counted twice."
    )
    return _warning(lane, passed, metadata)


def _warning(lane: Lane, passed: bool, metadata: dict[str, Any]) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=DEAD_LETTER_RATE,
        asset_key=lane.raw,
        passed=passed,
        severity=dg.AssetCheckSeverity.WARN,
        metadata=metadata,
    )
