"""Read a whole topic with one of two clients and print what it took. Best of three.

python -m bench.stream.consumers kafka-python|confluent-kafka 127.0.0.1:9092 topic
"""

from __future__ import annotations

import json
import sys
import time
import uuid
from collections.abc import Callable

ROUNDS = 3
FETCH_BYTES = 8 * 1024 * 1024


def main(name: str, servers: str, topic: str) -> None:
    read = {"kafka-python": kafka_python, "confluent-kafka": confluent_kafka}[name]
    best = min((measured(read, servers, topic) for _ in range(ROUNDS)), key=lambda found: found["seconds"])
    print(json.dumps(best))


def measured(read: Callable[[str, str], int], servers: str, topic: str) -> dict[str, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    messages = read(servers, topic)
    seconds = time.perf_counter() - wall
    spent = time.process_time() - cpu
    return {
        "messages": messages,
        "seconds": seconds,
        "per_second": messages / seconds,
        "cpu_us": spent / messages * 1e6,
    }


def kafka_python(servers: str, topic: str) -> int:
    from kafka import KafkaConsumer, TopicPartition

    consumer = KafkaConsumer(
        bootstrap_servers=servers, enable_auto_commit=False, max_partition_fetch_bytes=FETCH_BYTES,
        max_poll_records=5_000,
    )  # fmt: skip
    places = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
    consumer.assign(places)
    consumer.seek_to_beginning(*places)
    ends = consumer.end_offsets(places)
    total, size = 0, 0
    while any(consumer.position(place) < ends[place] for place in places):
        for batch in consumer.poll(timeout_ms=500).values():
            total += len(batch)
            size += sum(len(record.value or b"") for record in batch)
    consumer.close()
    return total


def confluent_kafka(servers: str, topic: str) -> int:
    from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": uuid.uuid4().hex,
            "enable.auto.commit": False,
            "fetch.message.max.bytes": FETCH_BYTES,
        }
    )
    found = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in found])
    ends = {number: consumer.get_watermark_offsets(TopicPartition(topic, number))[1] for number in found}
    left, total, size = {number for number, end in ends.items() if end}, 0, 0
    while left:
        for message in consumer.consume(5_000, timeout=0.05):
            total += 1
            size += len(message.value() or b"")
            if message.offset() + 1 >= ends[message.partition()]:
                left.discard(message.partition())
    consumer.close()
    return total


if __name__ == "__main__":
    main(*sys.argv[1:4])
