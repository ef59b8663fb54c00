"""Where the API's answers end: raw application, request, score and ledger row of each, in one transaction.

A call is known by its `event_id`: writing the same calls twice equals writing them once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from credit_risk_platform.adapters import ledger_writer
from credit_risk_platform.adapters.ledger import LEDGER, SCORE_COLUMNS, SEALS
from credit_risk_platform.adapters.ledger_writer import MESSAGE_SCHEMA, Stamp
from credit_risk_platform.adapters.warehouse.base import Select, Transaction, Warehouse
from credit_risk_platform.domain.contracts.messages import APPLICATIONS
from credit_risk_platform.domain.scoring import SCORE_SCHEMA

TOPIC = "http"
"""Stands where messages name their topic."""
SCORES = "gold.application_scores"
REQUESTS = "bronze.api_requests"

REQUEST_SCHEMA = pa.schema(
    [
        ("event_id", pa.string()),
        ("received_at", pa.timestamp("us")),
        ("client", pa.string()),
        ("loan_id", pa.string()),
        ("as_of", pa.date32()),
        ("content", pa.string()),
        ("sent_interest_rate", pa.float64()),
        ("sent_unemployment_rate", pa.float64()),
    ]
)
"""One answered application. `content` identifies what was said; the two rates are the caller's and are not used."""
TABLES = (APPLICATIONS.raw_table, SCORES, LEDGER, REQUESTS, SEALS)
"""What a write adds a small file to."""
_PLACE_SCHEMA = pa.schema(
    [
        ("topic", pa.string()),
        ("topic_id", pa.string()),
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("kafka_time", pa.timestamp("us")),
        ("event_id", pa.string()),
        ("event_time", pa.timestamp("us")),
    ]
)
_LEDGER_SCHEMA = pa.schema([*SCORE_SCHEMA, *MESSAGE_SCHEMA])
_HASHED_SCHEMA = _LEDGER_SCHEMA.append(pa.field("event_id", pa.string()))


@dataclass(frozen=True)
class Answered:
    """Calls that were answered, row by row alike: `requests` (`REQUEST_SCHEMA`), `raw` typed, `scores`."""

    requests: pa.Table
    raw: pa.Table
    scores: pa.Table


class ApiSink:
    """Writes calls. `raw_schema` has every column a typed application can have."""

    def __init__(self, warehouse: Warehouse, raw_schema: pa.Schema) -> None:
        self.warehouse, self.raw_schema = warehouse, raw_schema
        self._tail = ledger_writer.Tail()
        self._made = False

    def write(self, answered: Answered, stamp: Stamp) -> int:
        """Write what is not there yet; returns the number of calls written. Raises what the ledger refuses."""
        requests = answered.requests.cast(REQUEST_SCHEMA)
        received = requests["received_at"]
        between = [pc.min(received).as_py(), pc.max(received).as_py()]
        staged = {
            "answered": ledger_writer.hashed(_messages(answered).to_batches(), stamp, _HASHED_SCHEMA),
            "scored": Select(_ONE_PER_SCORE),
            "requests": requests,
            "raw": _placed(answered, self.raw_schema, stamp.run_id),
        }
        with self.warehouse.transaction(staged) as transaction:
            if not self._made:
                _make(transaction, self.raw_schema)
            # Bound by time, so that the engine opens the files of these minutes only.
            transaction.stage("known_calls", Select(_KNOWN_CALLS, between))
            ledger_writer.append(transaction, stamp, _LEDGER_SCHEMA, self._tail)
            transaction.append(APPLICATIONS.raw_table, Select(_NEW.format("raw")))
            transaction.append(SCORES, Select(_NEW_SCORES))
            written = transaction.append(REQUESTS, Select(_NEW.format("requests")))
        self._made = True
        return written


def calls_of_day(warehouse: Warehouse, day: date) -> pa.Table:
    """`loan_id` and `content` of the calls answered as of `day`, each once."""
    if not warehouse.exists(REQUESTS):
        return REQUEST_SCHEMA.empty_table().select(["loan_id", "content"])
    return warehouse.query(f"select distinct loan_id, content from {REQUESTS} where as_of = ?", [day])


def _messages(answered: Answered) -> pa.Table:
    count = answered.scores.num_rows
    named = answered.scores.select(SCORE_SCHEMA.names).cast(SCORE_SCHEMA)
    message = [pa.repeat(pa.scalar(TOPIC), count), pa.nulls(count, pa.int32()), pa.nulls(count, pa.int64())]
    return pa.table([*named.columns, *message, answered.requests["event_id"]], schema=_HASHED_SCHEMA).combine_chunks()


def _placed(answered: Answered, raw_schema: pa.Schema, run_id: str) -> pa.Table:
    count = answered.raw.num_rows
    place = {
        "topic": pa.repeat(pa.scalar(TOPIC), count),
        "topic_id": pa.repeat(pa.scalar(""), count),
        "event_id": answered.requests["event_id"],
        "event_time": answered.requests["received_at"],
        "run_id": pa.repeat(pa.scalar(run_id), count),
    }
    found = place | {name: answered.raw[name] for name in answered.raw.column_names}
    schema = _raw_table_schema(raw_schema)
    columns = [found[field.name] if field.name in found else pa.nulls(count, field.type) for field in schema]
    return pa.table(columns, schema=schema)


def _raw_table_schema(raw_schema: pa.Schema) -> pa.Schema:
    return pa.schema([*_PLACE_SCHEMA, *raw_schema, ("run_id", pa.string())])


def _make(transaction: Transaction, raw_schema: pa.Schema) -> None:
    """The tables, where this is the first answer ever."""
    transaction.append(REQUESTS, REQUEST_SCHEMA.empty_table())
    transaction.append(APPLICATIONS.raw_table, _raw_table_schema(raw_schema).empty_table())


_KNOWN_CALLS = f"select event_id from {REQUESTS} where received_at between ? and ?"
_NEW = "select * from {} anti join known_calls using (event_id)"
_ONE_PER_SCORE = """
    select * exclude (event_id) from answered
    qualify row_number() over (partition by score_id order by event_id) = 1
"""
_NEW_SCORES = f"""
    select {", ".join(f"answered.{name}" for name in SCORE_COLUMNS)}, kafka_topic as topic,
        kafka_partition as "partition", kafka_offset as "offset", null::timestamp as kafka_time, event_id,
        received_at as event_time
    from answered join requests using (event_id) anti join known_calls using (event_id)
"""
