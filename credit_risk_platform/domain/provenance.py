"""What makes a score provable: its id, the hashes that chain the ledger, and the comparison of a score's parts.

Belongs here: the canonical text of a ledger row and what is hashed, in plain Python. `adapters/ledger_sql.py` says the
same in SQL for millions of rows; a test holds the two equal, so anyone can check a row without our database.

Canonical text: a value becomes text (a double as the 16 hex digits of its bits, so nothing is rounded), the text is
written as `<bytes>:<text>`, a missing value as `-`. The numbers a model saw are hashed as their 8 bytes each, highest
byte first. No two different rows have the same text.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any

import numpy as np
import pyarrow as pa

GENESIS = "0" * 64
"""What the first row of the first batch is chained to."""
SCORE_ID_LENGTH = 32
BUCKET_ROWS = 4096


class Kind(StrEnum):
    """How a column becomes text."""

    TEXT = "text"
    LONG_TEXT = "long_text"
    """As its SHA-256."""
    TEXTS = "texts"
    NUMBER = "number"
    INTEGER = "integer"
    DAY = "day"
    TIME = "time"


OWN: Mapping[str, Kind] = {
    "score_id": Kind.TEXT,
    "inputs_hash": Kind.TEXT,
    "loan_id": Kind.TEXT,
    "subject_token": Kind.TEXT,
    "as_of": Kind.DAY,
    "pd": Kind.NUMBER,
    "points": Kind.NUMBER,
    "band": Kind.TEXT,
    "decision": Kind.TEXT,
    "reasons": Kind.TEXTS,
    "kafka_topic": Kind.TEXT,
    "kafka_partition": Kind.INTEGER,
    "kafka_offset": Kind.INTEGER,
}
"""What a ledger row says of its own score, in order. The inputs are covered through `inputs_hash`."""

CONTEXT: Mapping[str, Kind] = {
    "known_at": Kind.TIME,
    "model_name": Kind.TEXT,
    "bundle_sha": Kind.TEXT,
    "feature_sql_hash": Kind.TEXT,
    "policy_version": Kind.TEXT,
    "upstream": Kind.LONG_TEXT,
    "run_id": Kind.TEXT,
    "git_commit": Kind.TEXT,
    "code_hash": Kind.TEXT,
}
"""Where it came from: the same for all scores of one bundle in a batch."""

CONTENT: Mapping[str, Kind] = {**OWN, **CONTEXT}
"""Every column a row's hash covers; the place in the ledger is covered by the link."""

SEAL: Mapping[str, Kind] = {
    "seal_no": Kind.INTEGER,
    "rows": Kind.INTEGER,
    "digest": Kind.TEXT,
    "previous": Kind.TEXT,
    "run_id": Kind.TEXT,
    "sealed_at": Kind.TIME,
}
"""What the hash of a seal covers, in order."""

SCORE_KEY = ("loan_id", "as_of", "bundle_sha", "inputs_hash", "policy_version")
"""What makes two scores the same score."""


def as_text(value: Any, kind: Kind) -> str | None:
    """Canonical text of one value; `None` for a missing one. Times are UTC microseconds since 1970."""
    if value is None:
        return None
    match kind:
        case Kind.TEXT:
            return str(value)
        case Kind.LONG_TEXT:
            return sha256(str(value))
        case Kind.NUMBER:
            return struct.pack(">d", value).hex().upper()
        case Kind.TEXTS:
            return ",".join(framed(item) for item in value)
        case Kind.INTEGER:
            return str(int(value))
        case Kind.DAY:
            return date.isoformat(value)
        case Kind.TIME:
            return str(_microseconds(value))


def framed(text: str | None) -> str:
    """`<bytes>:<text>`, so that no text can run into its neighbour; `-` for a missing one."""
    return "-" if text is None else f"{len(text.encode())}:{text}"


def sha256(text: str) -> str:
    """Hex SHA-256 of the UTF-8 bytes."""
    return hashlib.sha256(text.encode()).hexdigest()


def packed(numeric: pa.Array | pa.ChunkedArray) -> pa.Array:
    """LIST<DOUBLE> rows -> BINARY rows: 8 bytes a number, highest byte first; null and NaN are one fixed NaN."""
    rows = numeric.combine_chunks() if isinstance(numeric, pa.ChunkedArray) else numeric
    values = rows.flatten().cast(pa.float64()).to_numpy(zero_copy_only=False)
    wire = np.where(np.isnan(values), math.nan, values).astype(">f8")
    lengths = rows.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]) * wire.itemsize
    data = pa.py_buffer(wire.tobytes())
    return pa.Array.from_buffers(pa.large_binary(), len(rows), [None, pa.py_buffer(offsets.astype(np.int64)), data])


def inputs_hash(numeric: Sequence[float | None], categorical: Sequence[str | None]) -> str:
    """Hash of everything the model saw of one loan, to the last bit."""
    numbers = packed(pa.array([numeric], pa.list_(pa.float64())))[0].as_py()
    texts = framed(as_text(categorical, Kind.TEXTS))
    return hashlib.sha256(f"{len(numbers)}:".encode() + numbers + texts.encode()).hexdigest()


def score_id(key: Mapping[str, Any]) -> str:
    """32 hex digits from `SCORE_KEY`: the same loan, day, inputs, bundle and policy give the same id on any machine."""
    return sha256("".join(framed(as_text(key[name], CONTENT[name])) for name in SCORE_KEY))[:SCORE_ID_LENGTH]


def context_hash(row: Mapping[str, Any]) -> str:
    """Hash of what a row shares with its batch; `row` holds every column of `CONTEXT`."""
    return sha256("".join(framed(as_text(row[name], kind)) for name, kind in CONTEXT.items()))


def content_hash(row: Mapping[str, Any]) -> str:
    """Hash of all a ledger row says; `row` holds every column of `CONTENT`."""
    return sha256("".join(framed(as_text(row[name], kind)) for name, kind in OWN.items()) + context_hash(row))


def row_hash(content: str, previous: str) -> str:
    """Binds a row to the one before it (`previous` is that row's content hash, or the previous seal)."""
    return sha256(content + previous)


def bucket_digits(rows: int) -> int:
    """Leading digits of the score id that split a batch into buckets of some `BUCKET_ROWS` rows: 0, 1 or 2."""
    return 0 if rows <= BUCKET_ROWS else 1 if rows <= 16 * BUCKET_ROWS else 2


def batch_digest(row_hashes: Mapping[str, str]) -> str:
    """Digest of a batch from score id -> row hash: hash of the buckets' hashes, each over its rows in id order."""
    digits = bucket_digits(len(row_hashes))
    buckets: dict[str, list[str]] = {}
    for key in sorted(row_hashes):
        buckets.setdefault(key[:digits], []).append(row_hashes[key])
    return sha256("".join(sha256("".join(hashes)) for _, hashes in sorted(buckets.items())))


@dataclass(frozen=True)
class Seal:
    """The end of one batch in the ledger. `previous` is the former seal's hash."""

    seal_no: int
    rows: int
    digest: str
    previous: str
    run_id: str
    sealed_at: datetime

    @property
    def seal_hash(self) -> str:
        return sha256("".join(framed(as_text(getattr(self, name), kind)) for name, kind in SEAL.items()))


class Part(StrEnum):
    """What a score is made of; each can have changed since."""

    FEATURE_DATA = "feature data"
    FEATURE_SQL = "feature SQL"
    BUNDLE = "model bundle"
    POLICY = "policy"
    CODE = "code"


@dataclass(frozen=True)
class PartComparison:
    """One part then and now. `same` is `None` where the present state is not there to compare with."""

    part: Part
    then: str
    now: str
    same: bool | None
    detail: str = ""


@dataclass(frozen=True)
class InputDifference:
    """One feature whose value for this loan is no longer what was scored."""

    feature: str
    then: float | str | None
    now: float | str | None


def differing_inputs(
    names: Iterable[str], then: Sequence[float | str | None], now: Sequence[float | str | None]
) -> list[InputDifference]:
    """Features whose two values differ in any bit; a missing number equals a missing number, null or NaN."""
    return [
        InputDifference(name, before, after)
        for name, before, after in zip(names, then, now, strict=True)
        if not same_value(before, after)
    ]


def same_value(left: float | str | None, right: float | str | None) -> bool:
    """Equality to the last bit: 0.0 and -0.0 differ, NaN and null are both 'missing'."""
    first, second = _missing_as_none(left), _missing_as_none(right)
    if isinstance(first, float) and isinstance(second, float):
        return struct.pack(">d", first) == struct.pack(">d", second)
    return first == second


def _missing_as_none(value: float | str | None) -> float | str | None:
    return None if isinstance(value, float) and value != value else value


def _microseconds(moment: datetime) -> int:
    """UTC microseconds since 1970, in integers: a float would lose the last digits."""
    since = moment.replace(tzinfo=moment.tzinfo or UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
