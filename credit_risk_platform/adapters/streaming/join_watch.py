"""Notices a consumer that will never get its partitions.

kafka-python 3.0.12 can lose the answer to a join: of two polls that ran out of time while joining, each goes on for
itself, the first answer ends the joining, and for the second, which holds the partitions, nobody waits. The consumer
then says "rebalancing" for ever and keeps its partitions from all others (seen in one of ten starts on a busy machine).
"""

from __future__ import annotations

import time
from typing import Any

PATIENCE_SECONDS = 15.0
"""Longer than members need to agree (the broker gives a new group three seconds), shorter than people wait."""


class JoinWatch:
    """Asked after each poll of one consumer."""

    def __init__(self, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self.patience_seconds = patience_seconds
        self._unsettled_since: float | None = None

    def lost(self, consumer: Any) -> bool:
        """Whether it has been without a settled group for too long: close it and join anew."""
        from kafka.structs import MemberState

        if consumer.group_metadata().state == MemberState.STABLE:
            self._unsettled_since = None
            return False
        if self._unsettled_since is None:
            self._unsettled_since = time.monotonic()
        return time.monotonic() - self._unsettled_since > self.patience_seconds
