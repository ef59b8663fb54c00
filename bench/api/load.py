"""The load: HTTP/1.1 on raw sockets, requests made beforehand, so that the client takes little of two shared cores."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Target:
    """Where, and the headers every request carries."""

    host: str
    port: int
    path: str
    headers: tuple[str, ...] = ()

    def request(self, body: bytes) -> bytes:
        lines = (
            f"POST {self.path} HTTP/1.1", f"Host: {self.host}:{self.port}", "Content-Type: application/json",
            f"Content-Length: {len(body)}", *self.headers,
        )  # fmt: skip
        return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


@dataclass
class Load:
    """What was sent and how long each answer took, in milliseconds."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    waits: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    sample: bytes = b""

    @property
    def per_second(self) -> float:
        return len(self.waits) / self.seconds

    @property
    def failed(self) -> int:
        return sum(count for status, count in self.statuses.items() if status != 200)

    def percentiles(self) -> list[float]:
        return np.quantile(self.waits, [0.5, 0.95, 0.99]).tolist()

    def note(self, status: int, answer: bytes, waited: float) -> None:
        self.statuses[status] += 1
        self.waits.append(waited * 1000)
        self.sample = self.sample or answer


def paced(target: Target, bodies: Iterator[bytes], rate: float, seconds: float) -> Load:
    """`rate` requests a second, whatever the answers take (open loop). A wait counts from when a request was due."""
    return asyncio.run(_paced(target, bodies, rate, int(rate * seconds)))


def paced_list(target: Target, bodies: Sequence[bytes], rate: float, seconds: float) -> Load:
    """`paced` for another process, to which no iterator can be sent."""
    return paced(target, ready(bodies), rate, seconds)


def flat_out(target: Target, bodies: Iterator[bytes], connections: int, seconds: float) -> Load:
    """Each of `connections` sends its next request when it has its answer (closed loop)."""
    return asyncio.run(_flat_out(target, bodies, connections, seconds))


def ready(bodies: Sequence[bytes]) -> Iterator[bytes]:
    """The same bodies again and again."""
    while True:
        yield from bodies


class _Connection:
    def __init__(self, target: Target) -> None:
        self.target = target

    async def open(self) -> _Connection:
        streams = await asyncio.open_connection(self.target.host, self.target.port, limit=2**24)
        self.reader, self.writer = streams
        return self

    async def ask(self, body: bytes) -> tuple[int, bytes]:
        self.writer.write(self.target.request(body))
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        assert length is not None, head
        return int(head[9:12]), await self.reader.readexactly(int(length[1]))

    async def close(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()


async def _paced(target: Target, bodies: Iterator[bytes], rate: float, count: int) -> Load:
    load = Load()
    everyone = [await _Connection(target).open() for _ in range(4)]
    idle = deque(everyone)  # in turn: a server closes what nobody uses

    async def one(body: bytes, due: float) -> None:
        connection = idle.popleft() if idle else await _Connection(target).open()
        if connection not in everyone:
            everyone.append(connection)
        status, answer = await connection.ask(body)
        load.note(status, answer, time.perf_counter() - due)
        idle.append(connection)

    begun, cpu = time.perf_counter() + 0.05, time.process_time()
    tasks = []
    for number in range(count):
        due = begun + number / rate
        body = next(bodies)
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(one(body, due)))
    await asyncio.gather(*tasks)
    load.seconds, load.cpu_seconds = time.perf_counter() - begun, time.process_time() - cpu
    await asyncio.gather(*(connection.close() for connection in everyone))
    return load


async def _flat_out(target: Target, bodies: Iterator[bytes], connections: int, seconds: float) -> Load:
    load = Load()
    everyone = [await _Connection(target).open() for _ in range(connections)]
    begun, cpu = time.perf_counter(), time.process_time()

    async def loop(connection: _Connection) -> None:
        while time.perf_counter() - begun < seconds:
            sent = time.perf_counter()
            status, answer = await connection.ask(next(bodies))
            load.note(status, answer, time.perf_counter() - sent)

    await asyncio.gather(*(loop(connection) for connection in everyone))
    load.seconds, load.cpu_seconds = time.perf_counter() - begun, time.process_time() - cpu
    await asyncio.gather(*(connection.close() for connection in everyone))
    return load
