"""How requests share a micro-batch: they are scored together, and fail alone."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from credit_risk_platform.serving.engine import MOST_WAITING, _Job, _Lane
from credit_risk_platform.serving.problems import Problem


class Work:
    """Stands for scoring: answers with the client's name, and holds the first batch until it is let go."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.let_go = threading.Event()

    def __call__(self, jobs: Sequence[_Job]) -> list[list[dict[str, Any]]]:
        self.sizes.append(len(jobs))
        self.let_go.wait(10)
        if any(job.client == "poison" for job in jobs):
            raise ValueError("this one cannot be scored")
        return [[{"client": job.client}] for job in jobs]


async def asked(work: Work, clients: Sequence[str]) -> list[Any]:
    """All clients at once, while the first one is being worked on."""
    lane = _Lane("test", work)
    running = asyncio.create_task(lane.run())
    try:
        tasks = [asyncio.create_task(lane.put([object()], client)) for client in clients]  # type: ignore[list-item]
        await asyncio.sleep(0.05)
        work.let_go.set()
        return list(await asyncio.gather(*tasks, return_exceptions=True))
    finally:
        running.cancel()
        lane.thread.shutdown()


def test_those_who_wait_at_the_same_moment_are_scored_in_one_call() -> None:
    work = Work()
    told = asyncio.run(asked(work, [str(number) for number in range(12)]))
    assert told == [[{"client": str(number)}] for number in range(12)]
    assert work.sizes[-1] > 1
    assert sum(work.sizes) == 12


def test_a_request_that_cannot_be_scored_fails_alone() -> None:
    told = asyncio.run(asked(Work(), ["a", "b", "poison", "c"]))
    assert [one for one in told if isinstance(one, list)] == [[{"client": name}] for name in "abc"]
    assert isinstance(told[2], ValueError)


def test_a_crowd_is_turned_away_at_once_instead_of_waiting_for_ever() -> None:
    told = asyncio.run(asked(Work(), ["x"] * (MOST_WAITING + 50)))
    turned_away = [one for one in told if isinstance(one, Problem)]
    assert 0 < len(turned_away) <= 50
    assert {problem.status_code for problem in turned_away} == {503}
    assert {problem.headers["Retry-After"] for problem in turned_away if problem.headers} == {"1"}


@pytest.mark.parametrize("cancelled", [0, 1])
def test_a_client_that_went_away_takes_nobody_along(cancelled: int) -> None:
    async def scenario() -> Any:
        work = Work()
        lane = _Lane("test", work)
        running = asyncio.create_task(lane.run())
        tasks = [asyncio.create_task(lane.put([object()], name)) for name in "ab"]  # type: ignore[list-item]
        await asyncio.sleep(0.02)
        tasks[cancelled].cancel()
        work.let_go.set()
        told = await asyncio.gather(*tasks, return_exceptions=True)
        running.cancel()
        lane.thread.shutdown()
        return told[1 - cancelled]

    assert asyncio.run(scenario()) == [{"client": "ba"[cancelled]}]
