"""A Kinesis for tests: moto's server in a process of its own, over real HTTP, through the real client.

def test_x(kinesis): topic = kinesis.new_topic(); kinesis.produce(topic, [b"a"]); kinesis.connection ...
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from credit_risk_platform.adapters.kafka_ports import free_port
from credit_risk_platform.adapters.kinesis_connection import KinesisConnection
from credit_risk_platform.adapters.streaming import kinesis_pages

HOST, REGION = "127.0.0.1", "eu-central-1"
SERVER = Path(__file__).with_name("kinesis_server.py")
PATIENCE = 120.0
SECRET = "a-secret-that-no-message-may-show"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIAEXAMPLEOFATEST",
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_EC2_METADATA_DISABLED": "true",
}


@dataclass
class KinesisCluster:
    """A running server and the few things every test does with one."""

    connection: KinesisConnection

    @cached_property
    def client(self) -> Any:
        """One for all tests: to make one takes longer than most of what is asked."""
        return self.connection.client()

    def new_topic(self, name: str | None = None, partitions: int = 3) -> str:
        """A stream no other test has, or that one made anew."""
        topic = name or f"test-{uuid.uuid4().hex[:12]}"
        if name and any(found == name for found in self.client.list_streams(Limit=100)["StreamNames"]):
            self.client.delete_stream(StreamName=name)
        self.client.create_stream(StreamName=topic, ShardCount=partitions)
        return topic

    def produce(
        self,
        topic: str,
        values: Sequence[bytes | None],
        partition: int | None = None,
        keys: Sequence[str | bytes | None] | None = None,
    ) -> list[tuple[int, str]]:
        """Send and wait; the (shard, sequence number) of each. A partition is one of the stream's first shards."""
        shards = self.shards(topic)
        records = []
        for value, key in zip(values, keys or [None] * len(values), strict=True):
            named = {} if partition is None else {"ExplicitHashKey": _within(shards[partition])}
            text = key.decode() if isinstance(key, bytes) else key or uuid.uuid4().hex
            records.append({"Data": value or b"", "PartitionKey": text, **named})
        told = self.client.put_records(StreamName=topic, Records=records)["Records"]
        return [(int(put["ShardId"][-12:]), put["SequenceNumber"]) for put in told]

    def shards(self, topic: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.client.list_shards(StreamName=topic)["Shards"]
        return found

    def split(self, topic: str, partition: int) -> None:
        """Into two halves."""
        shard = self.shards(topic)[partition]
        middle = str((int(shard["HashKeyRange"]["StartingHashKey"]) + int(shard["HashKeyRange"]["EndingHashKey"])) // 2)
        self.client.split_shard(StreamName=topic, ShardToSplit=shard["ShardId"], NewStartingHashKey=middle)

    def merge(self, topic: str, first: int, second: int) -> None:
        named = [self.shards(topic)[number]["ShardId"] for number in (first, second)]
        self.client.merge_shards(StreamName=topic, ShardToMerge=named[0], AdjacentShardToMerge=named[1])

    def refuse(self, operation: str, code: str, times: int = 1) -> None:
        """The next calls of an operation get an error."""
        self._tell("refuse", {"operation": operation, "code": code, "times": times})

    def refuse_records(self, count: int) -> None:
        """The next PutRecords takes all but the first `count`."""
        self._tell("refuse_records", {"count": count})

    def expire(self, topic: str, count: int, partition: int = 0) -> None:
        """Delete the oldest records of a shard, as their age does."""
        self._tell("expire", {"stream": topic, "shard": f"shardId-{partition:012d}", "count": count})

    def become(self, topic: str, status: str) -> None:
        self._tell("become", {"stream": topic, "status": status})

    def forget_refusals(self) -> None:
        self._tell("forget_refusals", {})

    def everything(self, topic: str) -> list[dict[str, Any]]:
        """All records of a stream, as any reader would read them, each with its `Place`: shard and offset."""
        found: list[dict[str, Any]] = []
        for shard in self.shards(topic):
            iterator = self.client.get_shard_iterator(
                StreamName=topic, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
            )["ShardIterator"]
            records = self.client.get_records(ShardIterator=iterator)["Records"]
            number = int(shard["ShardId"][-12:])
            found += [{**record, "Place": (number, offset)} for offset, record in enumerate(records)]
        return found

    def _tell(self, what: str, body: Mapping[str, Any]) -> None:
        address = f"{self.connection.endpoint_url}/test/{what}"
        with urllib.request.urlopen(urllib.request.Request(address, json.dumps(body).encode()), timeout=10) as answer:
            answer.read()


def _within(shard: Mapping[str, Any]) -> str:
    return str(int(shard["HashKeyRange"]["StartingHashKey"]) + 1)


@pytest.fixture(scope="session")
def kinesis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KinesisCluster]:
    """One server per session: give each test streams and groups of its own."""
    port = free_port(HOST)
    log = tmp_path_factory.mktemp("kinesis") / "server.log"
    with log.open("w") as output:
        server = subprocess.Popen([sys.executable, SERVER, str(port)], stdout=output, stderr=output)
        try:
            _until_it_listens(server, port, log)
            cluster = KinesisCluster(KinesisConnection(REGION, f"http://{HOST}:{port}"))
            yield cluster
            if "client" in vars(cluster):
                cluster.client.close()
        finally:
            server.kill()  # nobody needs what it holds
            server.wait()


@pytest.fixture
def kinesis(kinesis_server: KinesisCluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[KinesisCluster]:
    """The session's server, with credentials for this test. It bears more calls than Kinesis."""
    monkeypatch.setattr(kinesis_pages, "PAGE_SECONDS", 0.0)
    monkeypatch.setattr(kinesis_pages, "BUSY_SECONDS", 0.01)
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    yield kinesis_server
    kinesis_server.forget_refusals()


def _until_it_listens(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                return
        if server.poll() is not None:
            break
        time.sleep(0.05)
    pytest.fail(f"moto did not start:\n{log.read_text()[-2000:]}")
