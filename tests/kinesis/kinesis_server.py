"""moto's Kinesis as an HTTP server, and what Kinesis does and moto does not. `python kinesis_server.py PORT`.

- A shard that is split or merged keeps its records; moto hands them on to its children.
- The end of a closed shard has no next page; moto gives one for ever.
- Sequence numbers of a stream made anew are others; moto counts from 1 again.

And what tests ask for, at `/test/...`: records that expire, calls that are refused.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from moto.core import DEFAULT_ACCOUNT_ID
from moto.kinesis import models
from moto.kinesis.models import KinesisBackend, Shard, Stream, kinesis_backends
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple

REGION = "eu-central-1"
_numbers = itertools.count(49_600_000_000_000_000_000_000_000_000_000_000_000_000_000_000_000_000_000)
_refusals: dict[str, list[str]] = defaultdict(list)
"""Operation -> error codes that its next calls get."""
_partial: list[int] = []
"""How many records each of the next PutRecords refuses, from the front."""


def _put(shard: Shard, partition_key: str, data: str, explicit_hash_key: str) -> str:
    number = next(_numbers)
    shard.records[number] = models.Record(partition_key, data, number, explicit_hash_key)
    return str(number)


def _close(stream: Stream, closed: list[Shard], ranges: list[tuple[int, int]]) -> None:
    last = max(shard._shard_id for shard in stream.shards.values())
    parent, other = closed[0].shard_id, closed[1].shard_id if len(closed) > 1 else None
    for number, (start, end) in enumerate(ranges, last + 1):
        child = Shard(number, start, end, parent=parent, adjacent_parent=other)
        stream.shards[child.shard_id] = child
    for shard in closed:
        shard.is_open = False


def _split(stream: Stream, shard_to_split: str, new_starting_hash_key: str) -> None:
    shard, at = stream.shards[shard_to_split], int(new_starting_hash_key)
    _close(stream, [shard], [(shard.starting_hash, at - 1), (at, shard.ending_hash)])


def _merge(stream: Stream, shard_to_merge: str, adjacent_shard_to_merge: str) -> None:
    first, second = stream.shards[shard_to_merge], stream.shards[adjacent_shard_to_merge]
    bounds = (min(first.starting_hash, second.starting_hash), max(first.ending_hash, second.ending_hash))
    _close(stream, [first, second], [bounds])


_shard_for_key = Stream.get_shard_for_key


def _open_shard_for_key(stream: Stream, partition_key: str, explicit_hash_key: str) -> Shard | None:
    everything = stream.shards
    stream.shards = {name: shard for name, shard in everything.items() if shard.is_open}
    try:
        return _shard_for_key(stream, partition_key, explicit_hash_key)
    finally:
        stream.shards = everything


_get_records, _put_records = KinesisBackend.get_records, KinesisBackend.put_records


def _get_records_to_the_end(backend: KinesisBackend, stream_arn: str | None, iterator: str, limit: int | None) -> Any:
    following, records, behind = _get_records(backend, stream_arn, iterator, limit)
    stream, shard_id, last = models.decompose_shard_iterator(following)
    shard = backend.streams[stream].shards[shard_id]
    over = not shard.is_open and int(last) >= shard.get_max_sequence_number()
    return None if over else following, records, behind


def _put_some_records(backend: KinesisBackend, stream_arn: str, stream: str, records: list[Any]) -> dict[str, Any]:
    refused = min(_partial.pop(0), len(records)) if _partial else 0
    result = _put_records(backend, stream_arn, stream, records[refused:])
    told = {"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "Rate exceeded for shard"}
    return {"FailedRecordCount": refused, "Records": [told] * refused + result["Records"]}


def _asked(path: str, body: dict[str, Any]) -> dict[str, Any]:
    """What tests ask of the server itself."""
    if path == "/test/refuse":
        _refusals[body["operation"]] += [body["code"]] * body["times"]
    elif path == "/test/refuse_records":
        _partial.append(body["count"])
    elif path == "/test/expire":
        shard = kinesis_backends[DEFAULT_ACCOUNT_ID][REGION].streams[body["stream"]].shards[body["shard"]]
        for number in list(shard.records)[: body["count"]]:
            del shard.records[number]
    elif path == "/test/become":
        kinesis_backends[DEFAULT_ACCOUNT_ID][REGION].streams[body["stream"]].status = body["status"]
    elif path == "/test/forget_refusals":
        _refusals.clear()
        _partial.clear()
    return {}


class Server:
    """The application: refusals first, then moto."""

    def __init__(self) -> None:
        self.moto = DomainDispatcherApplication(create_backend_app)

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path.startswith("/test/"):
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            return self._answer(start, "200 OK", _asked(path, json.loads(body)))
        operation = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
        if codes := _refusals.get(operation):
            return self._answer(start, "400 Bad Request", {"__type": codes.pop(0), "message": "as the test asked"})
        return self.moto(environ, start)

    @staticmethod
    def _answer(start: Callable[..., Any], status: str, body: dict[str, Any]) -> Iterable[bytes]:
        start(status, [("Content-Type", "application/x-amz-json-1.1")])
        return [json.dumps(body).encode()]


if __name__ == "__main__":
    Shard.put_record = _put  # type: ignore[method-assign]
    Stream.split_shard, Stream.merge_shards = _split, _merge  # type: ignore[method-assign]
    Stream.get_shard_for_key = _open_shard_for_key  # type: ignore[method-assign]
    KinesisBackend.get_records = _get_records_to_the_end  # type: ignore[method-assign]
    KinesisBackend.put_records = _put_some_records  # type: ignore[method-assign]
    run_simple("127.0.0.1", int(sys.argv[1]), Server(), threaded=True)
