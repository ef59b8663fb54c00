"""A home that can score messages, and events for it: marts, a real champion with intake SQL, the platform's topics.

The features come from a short SQL, as in `scoring_book`; everything between Kafka and the ledger is the real thing.
"""

from __future__ import annotations

import atexit
import shutil
import sqlite3
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, cast

from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient

from credit_risk_platform.adapters.code_version import code_hash
from credit_risk_platform.adapters.kafka_connection import KafkaConnection
from credit_risk_platform.adapters.ledger_writer import Stamp
from credit_risk_platform.adapters.producing import ProducerReport
from credit_risk_platform.adapters.streaming.batch import BatchReport, OffsetRange
from credit_risk_platform.adapters.streaming.streams import Streams
from credit_risk_platform.adapters.tokens import load_token_key
from credit_risk_platform.domain.contracts.messages import APPLICATIONS, DEAD_LETTER_SUFFIX
from credit_risk_platform.domain.synthetic.chaos import chaos
from credit_risk_platform.domain.synthetic.events import Event, Pace, applications
from credit_risk_platform.resources import build_streaming_resources
from credit_risk_platform.settings import Settings
from tests.kafka_cluster import KafkaCluster
from tests.kinesis.kinesis_cluster import KinesisCluster
from tests.scoring_book import Book, crown, make_book, train

TODAY = date(2026, 6, 30)
NOW = datetime(2026, 7, 1, 9, 30)
PACE = Pace(datetime(2026, 6, 30, 9))
TOPIC = APPLICATIONS.topic
INTAKE_SQL = """
create or replace view lake.silver.int_applications as
select
    loan_id, source_system, subject_token, application_date as decision_date,
    date_trunc('month', application_date)::date as issue_month, true as meets_credit_policy, annual_inc as income,
    round(dti * annual_inc / 100, 2) as debt, loan_amnt::double as amount, revol_util as utilisation, purpose
from lake.bronze.landing_loans
"""
COUNTED = "select outcome, count(*) as n from gold.message_trace group by outcome"
ONE_ROW_EACH = """
    select count(*) as traced, count(distinct (topic, topic_id, "partition", "offset")) as places
    from gold.message_trace
"""


def make_stream_book(home: Path, loans: int = 600) -> Book:
    """Marts and a champion that can score messages."""
    book = make_book(home, loans)
    crown(book, replace(train(book), intake_sql=INTAKE_SQL))
    return book


@cache
def _template() -> Path:
    home = Path(tempfile.mkdtemp(prefix="stream-book-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    make_stream_book(home).close()
    load_token_key(home / ".secrets")
    return home


def new_home(home: Path) -> Path:
    """A copy of such a book: making one takes seconds. The lake's catalog is told where its files are now."""
    shutil.copytree(_template(), home)
    with closing(sqlite3.connect(home / "warehouse" / "catalog.sqlite")) as catalog, catalog:
        place = f"{home / 'warehouse' / 'data'}/"
        catalog.execute("update ducklake_metadata set value = ? where key = 'data_path'", [place])
    return home


def fresh_topics(cluster: KafkaCluster | KinesisCluster, partitions: int = 3, **config: Any) -> None:
    """The applications' topic and its dead letters' made anew: the name is the contract's, so tests take turns."""
    names = [TOPIC, TOPIC + DEAD_LETTER_SUFFIX]
    if isinstance(cluster, KinesisCluster):
        cluster.new_topic(names[0], partitions)
        cluster.new_topic(names[1], 1)
        return
    admin = KafkaAdminClient(**cluster.connection.options())
    try:
        if present := [name for name in names if name in admin.list_topics()]:
            admin.delete_topics(present)
    finally:
        admin.close()
    cluster.new_topic(names[0], partitions, **config)
    cluster.new_topic(names[1], 1, **config)


@dataclass
class StreamHome:
    """One home at one cluster, as a run, the fast lane and a test see it."""

    settings: Settings
    cluster: KafkaCluster | KinesisCluster
    streams: Streams = field(init=False)

    def __post_init__(self) -> None:
        resources = build_streaming_resources(self.settings)
        self.streams, self.warehouse = resources["streams"], resources["warehouse"]

    def send(self, events: Sequence[Event]) -> ProducerReport:
        return self.streams.transport.produce(TOPIC, events)

    def pending(self, at_most: int = 100_000) -> list[OffsetRange]:
        return self.streams.log(TOPIC).pending(at_most)

    def process(self, ranges: Sequence[OffsetRange] | None = None, run_id: str = "run-1", **more: Any) -> BatchReport:
        return self.streams.process(TOPIC, ranges or self.pending(), stamp(run_id), NOW, **more)

    def outcomes(self) -> dict[str, int]:
        return {row["outcome"]: row["n"] for row in self.warehouse.query(COUNTED).to_pylist()}

    def one_row_each(self) -> int:
        """Messages in the trace; fails when one of them stands there twice."""
        row = self.warehouse.query(ONE_ROW_EACH).to_pylist()[0]
        assert row["traced"] == row["places"]
        return int(row["traced"])

    def reading(self, **more: Any) -> Streams:
        """A second worker on the same home, in the same group."""
        return cast(Streams, build_streaming_resources(self.settings, **more)["streams"])

    def close(self) -> None:
        self.streams.close()
        self.warehouse.close()


def stamp(run_id: str = "run-1") -> Stamp:
    return Stamp(NOW, run_id, "[]", "c" * 40, code_hash())


def settings_of(home: Path, **chosen: Any) -> Settings:
    """The settings of a home; a book's policy reads the few features its model has."""
    own = {"policy_folder": home / "policies"} if (home / "policies").exists() else {}
    return Settings(home=home, **(own | chosen))


@contextmanager
def opened(home: Path, cluster: KafkaCluster | KinesisCluster, **chosen: Any) -> Iterator[StreamHome]:
    chosen = {"kafka_group": f"group-{uuid.uuid4().hex[:8]}"} | chosen
    settings = settings_of(home, **_carried_by(cluster), **chosen)
    stream = StreamHome(settings, cluster)
    try:
        yield stream
    finally:
        stream.close()


def _carried_by(cluster: KafkaCluster | KinesisCluster) -> dict[str, Any]:
    if isinstance(cluster, KafkaCluster):
        return {"kafka_bootstrap_servers": cluster.connection.bootstrap_servers}
    there = cluster.connection
    return {"stream_transport": "kinesis", "kinesis_endpoint_url": there.endpoint_url, "kinesis_region": there.region}


def sound(count: int, seed: int = 7) -> list[Event]:
    return list(islice(applications(seed, TODAY, PACE), count))


def chaotic(count: int, seed: int = 7) -> list[Event]:
    return list(chaos(islice(applications(seed, TODAY, PACE), count), seed))


def everything(connection: KafkaConnection, topic: str) -> list[Any]:
    """All records of a topic, as any consumer would read them."""
    consumer = KafkaConsumer(**connection.options(auto_offset_reset="earliest"))
    try:
        places = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
        consumer.assign(places)
        consumer.seek_to_beginning(*places)
        ends = consumer.end_offsets(places)
        found: list[Any] = []
        while any(consumer.position(place) < ends[place] for place in places):
            found += [record for batch in consumer.poll(500).values() for record in batch]
        return found
    finally:
        consumer.close()
