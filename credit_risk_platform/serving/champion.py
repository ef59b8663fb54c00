"""Follows the promotion: looks for another champion every few seconds, swaps it in, and knows whether there is one."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, date, datetime

from credit_risk_platform.adapters.application_scorer import ApplicationScorer
from credit_risk_platform.adapters.streaming.batch import NotReadyError
from credit_risk_platform.serving.answers import ModelVersions
from credit_risk_platform.serving.metrics import ApiMetrics
from credit_risk_platform.serving.problems import Kind, Problem

log = logging.getLogger(__name__)
LOOK_SECONDS = 2.0


class Follower:
    """The scorer with its state. `trouble` is what the last look found wrong, empty when nothing."""

    def __init__(self, scorer: ApplicationScorer, versions: ModelVersions, metrics: ApiMetrics) -> None:
        self.scorer, self.versions, self.metrics = scorer, versions, metrics
        self.ready = False
        self.told: dict[str, str] = {}
        """The champion in words."""
        self.trouble = ""

    async def follow(self) -> None:
        """Look now and then, for ever."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self.look()

    async def look(self) -> None:
        """One look. A fault keeps the champion that scored before; it is told by `trouble` and a metric."""
        task = asyncio.get_running_loop().run_in_executor(None, self._look)
        await asyncio.wait([task])
        if error := task.exception():
            self.metrics.refresh_failures.inc()
            told = isinstance(error, NotReadyError)  # else it is nobody's business but the log's
            trouble = str(error) if told else f"the champion cannot be loaded ({type(error).__name__}): see the log"
            if trouble != self.trouble:
                log.error("the champion cannot be used: %s", error)
            self.trouble = trouble
        self.metrics.ready.set(self.ready)

    def require(self) -> None:
        """Raises the problem 503 with the next step when nothing can score."""
        if not self.ready:
            raise Problem(Kind.NOT_READY, self.trouble, headers={"Retry-After": "5"})

    def _look(self) -> None:
        self.scorer.refresh()
        bundle = self.scorer.bundle
        self.told = {
            "model_version": self.versions.of(bundle.sha256),
            "model_name": bundle.name,
            "bundle_sha": bundle.sha256,
            "policy_version": self.scorer.policy(today()).version,
        }
        self.metrics.champion(*self.told.values())
        self.ready, self.trouble = True, self.scorer.trouble


def now() -> datetime:
    """The API's clock: naive UTC, as everything stored."""
    return datetime.now(UTC).replace(tzinfo=None)


def today() -> date:
    return now().date()
