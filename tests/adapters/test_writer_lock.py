"""Without turns a slow writer starves beside a busy stream; without the kernel's help a killed one blocks all."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import pytest

from credit_risk_platform.adapters.warehouse.lock import PLACES, WriterLock, WriterLockTimeoutError

HOLD_SECONDS = 0.02

TIGHT_LOOP = """
import sys, time
from pathlib import Path
from credit_risk_platform.adapters.warehouse.lock import WriterLock

lock, turns, stop = WriterLock(Path(sys.argv[1])), Path(sys.argv[2]), Path(sys.argv[3])
while not stop.exists():
    with lock.held(), turns.open("a") as file:
        before = turns.stat().st_size
        time.sleep(float(sys.argv[5]))
        assert turns.stat().st_size == before, "two writers at once"
        file.write(sys.argv[4])
"""

HOLDER = """
import sys, time
from pathlib import Path
from credit_risk_platform.adapters.warehouse.lock import WriterLock

with WriterLock(Path(sys.argv[1])).held():
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "writer.lock"


class Loops:
    """Writers in tight loops, each a process; `turns` has a letter for each transaction."""

    def __init__(self, path: Path) -> None:
        self.path, self.turns, self.stop = path, path.with_name("turns"), path.with_name("stop")
        self.turns.touch()
        self.processes: list[subprocess.Popen[str]] = []

    def start(self, names: str) -> None:
        self.processes += [python(TIGHT_LOOP, self.path, self.turns, self.stop, name, HOLD_SECONDS) for name in names]
        until(lambda: set(self.turns.read_text()) >= set(names))

    def taken(self) -> int:
        return self.turns.stat().st_size

    def end(self) -> None:
        self.stop.touch()
        faults = [process.communicate(timeout=60)[1] for process in self.processes]
        assert [process.returncode for process in self.processes] == [0] * len(faults), faults


@pytest.fixture
def loops(path: Path) -> Iterator[Loops]:
    running = Loops(path)
    yield running
    running.end()


def turns_waited(lock: WriterLock, taken: Callable[[], int]) -> int:
    before = taken()
    with lock.held():
        return taken() - before


def python(script: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.005)


def queue(path: Path) -> list[str]:
    return sorted(file.name for file in path.parent.glob("*queue*"))


# -------------------------------------------------------------------- turns


def test_an_occasional_writer_waits_a_few_turns_beside_two_that_never_rest(path: Path, loops: Loops) -> None:
    """Two are ahead of it at most; the rest is what a busy machine does between looking and asking."""
    loops.start("ab")
    occasional = WriterLock(path, timeout_seconds=30.0)
    waited = []
    for _ in range(9):
        time.sleep(HOLD_SECONDS)
        waited.append(turns_waited(occasional, loops.taken))
    assert median(waited) <= 4, waited


def test_two_writers_that_never_rest_take_turns(loops: Loops) -> None:
    loops.start("ab")
    start = loops.taken()
    until(lambda: loops.taken() >= start + 40)
    seen = loops.turns.read_text()[start : start + 40]
    longest = max(len(run) for run in seen.replace("ab", "a b").replace("ba", "b a").split())
    assert longest <= 10, seen


def test_threads_that_share_one_lock_take_turns_too(path: Path) -> None:
    shared, stop, turns = WriterLock(path, timeout_seconds=30.0), threading.Event(), [0]

    def tight_loop() -> None:
        while not stop.is_set():
            with shared.held():
                time.sleep(HOLD_SECONDS)
                turns[0] += 1

    threads = [threading.Thread(target=tight_loop) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        until(lambda: turns[0] > 4)
        waited = [turns_waited(shared, lambda: turns[0]) for _ in range(9)]
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert median(waited) <= 4, waited


def test_writers_are_served_in_the_order_in_which_they_came(path: Path) -> None:
    served: list[int] = []

    def write(number: int) -> None:
        with WriterLock(path).held():
            served.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(PLACES)]
    with WriterLock(path).held():
        for number, thread in enumerate(threads):
            thread.start()
            until(lambda ahead=number: len(queue(path)) > ahead and _standing(path) > ahead)
    for thread in threads:
        thread.join()
    assert served == list(range(PLACES))


def _standing(path: Path) -> int:
    """Places next to the lock that somebody has, counted from the front."""
    front = [path.with_name(f"{path.stem}.queue-{place}.lock") for place in range(1, PLACES + 1)]
    return next((place for place, file in enumerate(front) if not file.exists()), PLACES)


def test_more_writers_than_places_all_get_their_turn(path: Path) -> None:
    done: list[int] = []

    def write(number: int) -> None:
        with WriterLock(path, timeout_seconds=60.0).held():
            before = list(done)
            time.sleep(0.002)
            assert done == before, "two writers at once"
            done.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(3 * PLACES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == list(range(3 * PLACES))


# -------------------------------------------------------------------- faults


def test_a_killed_holder_and_a_killed_waiter_block_nobody(path: Path) -> None:
    with python(HOLDER, path) as holder, ended(holder):
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with python(HOLDER, path) as waiter, ended(waiter):
            until(lambda: _standing(path) == 1)
        assert queue(path) != [], "the dead one's place is still marked"
    with WriterLock(path, timeout_seconds=5.0).held():
        assert queue(path) == []


@contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[None]:
    try:
        yield
    finally:
        process.kill()


def test_waiting_ends_with_the_name_of_the_lock_and_how_to_find_its_holder(path: Path) -> None:
    with WriterLock(path).held():
        with pytest.raises(WriterLockTimeoutError, match=r"writer\.lock has been locked.*fuser -v"):
            WriterLock(path, timeout_seconds=0.05).acquire()
        assert queue(path) == [], "who gave up stands in nobody's way"
    with WriterLock(path, timeout_seconds=0.0).held():
        pass


def test_who_holds_the_lock_may_take_it_again(path: Path) -> None:
    lock, elsewhere = WriterLock(path), WriterLock(path, timeout_seconds=0.0)
    with lock.held():
        with lock.held():
            pass
        with pytest.raises(WriterLockTimeoutError):
            elsewhere.acquire()
    with elsewhere.held():
        pass


def test_a_lock_is_given_back_only_by_its_holder(path: Path) -> None:
    lock, faults = WriterLock(path), []

    def release() -> None:
        try:
            lock.release()
        except RuntimeError as error:
            faults.append(str(error))

    with lock.held():
        thread = threading.Thread(target=release)
        thread.start()
        thread.join()
        assert len(faults) == 1
        with pytest.raises(WriterLockTimeoutError):
            WriterLock(path, timeout_seconds=0.0).acquire()


def test_nothing_is_left_behind_but_the_lock_itself(path: Path, loops: Loops) -> None:
    loops.start("ab")
    loops.end()
    assert sorted(file.name for file in path.parent.glob("*.lock")) == ["writer.lock"]
