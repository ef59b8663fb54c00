"""The file format of the spool: records that are whole or not there, and what a file of them says.

A record is a mark, its length, the CRC-32 of its payload and that of the header; the payload is an Arrow stream. The
first record of a file is the stamp, as JSON. A record cut off at the end of a file was never answered and is ignored;
one that is whole and wrong was damaged later, and its file is never thrown away.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from credit_risk_platform.adapters.ledger import LedgerError
from credit_risk_platform.adapters.ledger_writer import Stamp

RECEIVED = "call.received_at"
_MARK = b"CRP1"
_HEAD = struct.Struct(">4sQI")
_CHECK = struct.Struct(">I")
_HEADER_BYTES = _HEAD.size + _CHECK.size


class DamagedSegmentError(LedgerError):
    """A file holds a record that was whole once and is not what was written; the message says where."""


@dataclass(frozen=True)
class Segment:
    """What can be read of a file. `stamp.known_at` is when its last row was received, at every reading.

    `damaged` is the byte at which a damaged record begins; what follows it cannot be read.
    """

    path: Path
    stamp: Stamp
    rows: pa.Table
    damaged: int | None


def record(payload: bytes) -> bytes:
    """`payload` with its header."""
    head = _HEAD.pack(_MARK, len(payload), zlib.crc32(payload))
    return head + _CHECK.pack(zlib.crc32(head)) + payload


def encoded(rows: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows.combine_chunks())
    return sink.getvalue().to_pybytes()


def stamped(stamp: Stamp) -> bytes:
    return json.dumps({**vars(stamp), "known_at": stamp.known_at.isoformat()}).encode()


def read(path: Path) -> Segment | None:
    """A file up to its first record that is not whole; `None` when nothing in it was ever answered.

    Raises `DamagedSegmentError` when not even its stamp can be read.
    """
    records = _Records(path.read_bytes())
    stamp = next(records, None)
    tables = [pa.ipc.open_stream(payload).read_all() for payload in records]
    if stamp is None and records.damaged is not None:
        raise DamagedSegmentError(f"{path}: the stamp of its scores is damaged")
    if stamp is None or not tables:
        return None
    rows = pa.concat_tables(tables, promote_options="default").combine_chunks()
    known_at = pc.max(rows[RECEIVED]).as_py()
    return Segment(path, replace(_stamp(stamp), known_at=known_at), rows, records.damaged)


def part(rows: pa.Table, prefix: str) -> pa.Table:
    """The columns `<prefix>.<name>` as `<name>`."""
    names = [name for name in rows.column_names if name.startswith(f"{prefix}.")]
    return rows.select(names).rename_columns([name.removeprefix(f"{prefix}.") for name in names])


class _Records(Iterator[bytes]):
    """Payloads of whole records; `damaged` tells afterwards where a wrong one stopped the reading."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = memoryview(data), 0
        self.damaged: int | None = None

    def __next__(self) -> bytes:
        body = self._at + _HEADER_BYTES
        if self.damaged is not None or body > len(self._data):
            raise StopIteration
        head = self._data[self._at : self._at + _HEAD.size]
        mark, length, checksum = _HEAD.unpack(head)
        header_fits = mark == _MARK and _CHECK.unpack_from(self._data, body - _CHECK.size)[0] == zlib.crc32(head)
        if header_fits and body + length > len(self._data):
            raise StopIteration
        payload = bytes(self._data[body : body + length]) if header_fits else b""  # a copy has aligned buffers
        if not header_fits or zlib.crc32(payload) != checksum:
            self.damaged = self._at
            raise StopIteration
        self._at = body + length
        return payload


def _stamp(payload: bytes) -> Stamp:
    told = json.loads(payload)
    return Stamp(**{**told, "known_at": datetime.fromisoformat(told["known_at"])})
