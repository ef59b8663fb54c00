"""Watches the topics. A sensor looks at offsets and asks for a run; it never reads a message or opens the warehouse.

Dagster ticks a sensor every five seconds at most. So a tick stays and looks ten times a second until something comes
(`sensors.use_threads` in `dagster.yaml` lets other sensors tick meanwhile): a message is noticed within 0.1 seconds.
"""

import threading
import time

import dagster as dg

from credit_risk_platform.adapters.streaming.batch import NotReadyError
from credit_risk_platform.adapters.streaming.log import TopicLog
from credit_risk_platform.defs.streaming.attempts import Waiting, ask
from credit_risk_platform.defs.streaming.jobs import AssetJob
from credit_risk_platform.defs.streaming.lanes import Lane
from credit_risk_platform.resources import kafka_connection
from credit_risk_platform.settings import Settings

LOOK_SECONDS = 20.0
"""How long a tick stays: well below the 60 seconds after which Dagster gives a tick up."""
IDLE_SECONDS, BUSY_SECONDS = 0.1, 0.5


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
        try:
            return self._until(time.monotonic() + self.look_seconds, instance)
        except NotReadyError as error:
            return dg.SkipReason(str(error))
        finally:
            self._one_at_a_time.release()

    def _until(self, deadline: float, instance: dg.DagsterInstance) -> dg.RunRequest | dg.SkipReason:
        while True:
            ends = self.log.ends()
            ranges = self.log.pending(self.settings.stream_batch_messages)
            answer: dg.RunRequest | dg.SkipReason = dg.SkipReason(f"Nothing new in {self.lane.topic}.")
            if ranges:
                waiting = Waiting(self.log.topic_id(), ranges, self.log.lag())
                answer = ask(self.lane, waiting, instance, self.settings, time.time())
            if isinstance(answer, dg.RunRequest) or time.monotonic() >= deadline:
                return answer
            if ranges:
                time.sleep(BUSY_SECONDS)
            else:
                self._idle(ends, deadline)

    def _idle(self, ends: dict[int, int], deadline: float) -> None:
        """Until a message arrives: one small request a look, where `pending` needs one per partition."""
        while time.monotonic() < deadline and self.log.ends() == ends:
            time.sleep(IDLE_SECONDS)


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
