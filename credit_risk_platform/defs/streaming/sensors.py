"""Watches the topics. A sensor looks at offsets and asks for a run; it never reads a message or opens the warehouse.

Dagster ticks a sensor every five seconds at most. So a tick stays and looks ten times a second until something comes
(`sensors.use_threads` in `dagster.yaml` lets other sensors tick meanwhile): a message is noticed within 0.2 seconds.
"""

import logging
import threading
import time
from collections.abc import Sequence

import dagster as dg

from credit_risk_platform.adapters.streaming.batch import NotReadyError, OffsetRange
from credit_risk_platform.adapters.streaming.log import TopicLog
from credit_risk_platform.adapters.streaming.members import fast_lanes
from credit_risk_platform.defs.streaming.attempts import Waiting, ask
from credit_risk_platform.defs.streaming.jobs import AssetJob
from credit_risk_platform.defs.streaming.lanes import Lane
from credit_risk_platform.resources import kafka_connection
from credit_risk_platform.settings import Settings

LOOK_SECONDS = 20.0
"""How long a tick stays: well below the 60 seconds after which Dagster gives a tick up."""
IDLE_SECONDS, BUSY_SECONDS = 0.1, 0.5
GATHERING_LOOKS = 5


class Watch:
    """The eye on one topic. Keeps its Kafka client from tick to tick; makes it anew after a fault."""

    def __init__(self, lane: Lane, settings: Settings, look_seconds: float = LOOK_SECONDS) -> None:
        self.lane, self.settings, self.look_seconds = lane, settings, look_seconds
        self.log = TopicLog(kafka_connection(settings), lane.topic, settings.kafka_group)
        self._one_at_a_time = threading.Lock()

    def tick(self, instance: dg.DagsterInstance) -> dg.RunRequest | dg.SkipReason:
        """A run for what waits as soon as something does, or, after a while, why none is asked for."""
        if not self._one_at_a_time.acquire(blocking=False):
            return dg.SkipReason(f"An earlier tick is still looking at {self.lane.topic}; two daemons may be running.")
        # The client writes thirty lines for every attempt at a broker that is away; the tick's answer says it in one.
        logging.getLogger("kafka").setLevel(logging.CRITICAL)
        try:
            return self._until(time.monotonic() + self.look_seconds, instance)
        except NotReadyError as error:
            return dg.SkipReason(str(error))
        finally:
            self._one_at_a_time.release()

    def _until(self, deadline: float, instance: dg.DagsterInstance) -> dg.RunRequest | dg.SkipReason:
        while True:
            ends = self.log.ends()
            ranges = self._gathered()
            answer: dg.RunRequest | dg.SkipReason = dg.SkipReason(f"Nothing new in {self.lane.topic}.")
            if ranges:
                answer = self._answer(ranges, instance)
            if isinstance(answer, dg.RunRequest) or _over(deadline):
                return answer
            if ranges:
                time.sleep(BUSY_SECONDS)
            else:
                self._idle(ends, deadline)

    def _answer(self, ranges: Sequence[OffsetRange], instance: dg.DagsterInstance) -> dg.RunRequest | dg.SkipReason:
        topic, lag = self.lane.topic, self.log.lag()
        waiting = Waiting(self.log.topic_id(), ranges, lag)
        answer = ask(self.lane, waiting, instance, self.settings, time.time())
        if isinstance(answer, dg.SkipReason):
            return answer
        if lanes := fast_lanes(self.log.connection, self.log.group, topic):
            return dg.SkipReason(
                f"{lanes} fast lane(s) (`crp stream`) work on {topic}: a run beside them would only do the same again. "
                f"When they end, runs take over. Not yet committed: {lag:,} messages."
            )
        return answer

    def _gathered(self) -> list[OffsetRange]:
        """What waits, once it has stopped growing or half a second is over: a burst goes into one run, not into two."""
        at_most = self.settings.stream_batch_messages
        ranges = self.log.pending(at_most)
        for _ in range(GATHERING_LOOKS if ranges else 0):
            time.sleep(IDLE_SECONDS)
            before, ranges = ranges, self.log.pending(at_most)
            if ranges == before:
                break
        return ranges

    def _idle(self, ends: dict[int, int], deadline: float) -> None:
        """Until a message arrives: one small request a look, where `pending` needs one per partition."""
        while not _over(deadline) and self.log.ends() == ends:
            time.sleep(IDLE_SECONDS)


def _over(deadline: float) -> bool:
    """A code server that is told to stop waits for its calls: then a tick must not go on looking."""
    return time.monotonic() >= deadline or getattr(threading, "_SHUTTING_DOWN", False)


def build_sensor(lane: Lane, job: AssetJob, settings: Settings) -> dg.SensorDefinition:
    watch = Watch(lane, settings)
    status = dg.DefaultSensorStatus.RUNNING if settings.automation_running else dg.DefaultSensorStatus.STOPPED

    @dg.sensor(
        name=lane.sensor,
        job=job,
        minimum_interval_seconds=1,
        default_status=status,
        description=(
            f"Asks for a run of {lane.job} as soon as messages wait in Kafka topic {lane.topic}: one batch at a time, "
            f"at most {settings.stream_batch_messages:,} messages. A failed batch is asked for again."
        ),
    )
    def kafka_sensor(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        return watch.tick(context.instance)

    return kafka_sensor
