"""Watches the topics. A sensor looks at offsets and asks for a run; it never reads a message.

Kafka alone is asked; where Kinesis carries, the group's offsets stand in the warehouse, and are looked up there when
something waits.

Dagster ticks a sensor every five seconds at most. So a tick stays and looks ten times a second until something comes
(`sensors.use_threads` in `dagster.yaml` lets other sensors tick meanwhile): a message is noticed within 0.2 seconds.
And each topic has two sensors that take turns: one looks, the other waits beside it, and takes over when the first has
asked for a run or its time is up. Either can be off; then its topic waits for Dagster's five seconds now and then.
"""

import logging
import threading
import time
from collections.abc import Mapping, Sequence

import dagster as dg

from credit_risk_platform.adapters.streaming.batch import NotReadyError, OffsetRange
from credit_risk_platform.adapters.streaming.transport import Transport
from credit_risk_platform.defs.streaming.attempts import Waiting, ask, has_begun
from credit_risk_platform.defs.streaming.jobs import AssetJob
from credit_risk_platform.defs.streaming.lanes import Lane
from credit_risk_platform.resources import stream_transport
from credit_risk_platform.settings import Settings

LOOK_SECONDS = 20.0
"""How long a tick stays: well below the 60 seconds after which Dagster gives a tick up."""
IDLE_SECONDS, BUSY_SECONDS = 0.1, 0.25
GATHERING_LOOKS = 5
TURN_SECONDS = 25.0
"""How long a tick waits for its turn: with `LOOK_SECONDS`, still below those 60."""
BEGIN_SECONDS = 20.0
"""How long a run that was asked for may take to appear in Dagster; then the answer is taken for lost."""


class Watch:
    """The eye on one topic, shared by its sensors: one tick looks at a time.

    Keeps its client from tick to tick; makes it anew after a fault.
    """

    def __init__(
        self,
        lane: Lane,
        settings: Settings,
        look_seconds: float = LOOK_SECONDS,
        turn_seconds: float = TURN_SECONDS,
        begin_seconds: float = BEGIN_SECONDS,
        transport: Transport | None = None,
    ) -> None:
        self.lane, self.settings = lane, settings
        self.look_seconds, self.turn_seconds, self.begin_seconds = look_seconds, turn_seconds, begin_seconds
        self._asked: tuple[dg.RunRequest, float] | None = None
        """The last request, until Dagster has made its run, and when it was given."""
        self.transport = transport or stream_transport(settings)
        self.log = self.transport.log(lane.topic, settings.kafka_group)
        self._one_at_a_time = threading.Lock()

    def tick(self, instance: dg.DagsterInstance) -> dg.RunRequest | dg.SkipReason:
        """A run for what waits as soon as something does, or, after a while, why none is asked for."""
        if not self._on_turn():
            return dg.SkipReason(f"Other ticks are still looking at {self.lane.topic}; two daemons may be running.")
        # The client writes thirty lines for every attempt at a broker that is away; the tick's answer says it in one.
        logging.getLogger("kafka").setLevel(logging.CRITICAL)
        try:
            return self._until(time.monotonic() + self.look_seconds, instance)
        except NotReadyError as error:
            return dg.SkipReason(str(error))
        finally:
            self._one_at_a_time.release()

    def _on_turn(self) -> bool:
        deadline = time.monotonic() + self.turn_seconds
        while not self._one_at_a_time.acquire(timeout=IDLE_SECONDS):
            if _over(deadline):
                return False
        return True

    def _until(self, deadline: float, instance: dg.DagsterInstance) -> dg.RunRequest | dg.SkipReason:
        waited = False
        while True:
            ends, committed = self.log.ends(), self.log.committed()
            ranges = self._gathered(waited)
            answer: dg.RunRequest | dg.SkipReason = dg.SkipReason(f"Nothing new in {self.lane.topic}.")
            if ranges:
                answer = self._answer(ranges, committed, instance)
            if isinstance(answer, dg.RunRequest) or _over(deadline):
                return answer
            waited = bool(ranges)
            if waited:
                time.sleep(max(BUSY_SECONDS, self.log.look_seconds))
            else:
                self.log.rest()
                self._idle(ends, deadline)

    def _answer(
        self, ranges: Sequence[OffsetRange], committed: Mapping[int, int], instance: dg.DagsterInstance
    ) -> dg.RunRequest | dg.SkipReason:
        """`committed` was read before `ranges`."""
        topic, lag = self.lane.topic, self.log.lag()
        if self._is_beginning(instance):
            return dg.SkipReason(f"Dagster is making a run of {topic}. Not yet committed: {lag:,} messages.")
        waiting = Waiting(self.log.topic_id(), ranges, lag, committed)
        answer = ask(self.lane, waiting, instance, self.settings, time.time())
        if isinstance(answer, dg.SkipReason):
            return answer
        if self.log.committed() != committed:  # a batch was committed after `ranges` were read: they hold it still
            return dg.SkipReason(f"The group of {topic} moves on. Not yet committed: {lag:,} messages.")
        if lanes := self.transport.fast_lanes(self.log.group, topic):
            return dg.SkipReason(
                f"{lanes} fast lane(s) (`crp stream`) work on {topic}: a run beside them would only do the same again. "
                f"When they end, runs take over. Not yet committed: {lag:,} messages."
            )
        self._asked = (answer, time.monotonic())
        return answer

    def _is_beginning(self, instance: dg.DagsterInstance) -> bool:
        """Whether a run was asked for that the history does not show yet: asking again would start it twice."""
        if self._asked is None:
            return False
        request, given = self._asked
        if has_begun(self.lane, request, instance) or time.monotonic() - given > self.begin_seconds:
            self._asked = None
        return self._asked is not None

    def _gathered(self, waited: bool) -> list[OffsetRange]:
        """What waits, once it has stopped growing or half a second is over: a burst goes into one run, not into two.

        What has `waited` for a run to end has gathered meanwhile.
        """
        at_most = self.settings.stream_batch_messages
        ranges = self.log.pending(at_most)
        for _ in range(GATHERING_LOOKS if ranges and not waited else 0):
            time.sleep(self.log.look_seconds)
            before, ranges = ranges, self.log.pending(at_most)
            if ranges == before:
                break
        return ranges

    def _idle(self, ends: dict[int, int], deadline: float) -> None:
        """Until a message arrives: one small request a look, where `pending` needs one per partition."""
        while not _over(deadline) and self.log.ends() == ends:
            time.sleep(self.log.look_seconds)


def _over(deadline: float) -> bool:
    """A code server that is told to stop waits for its calls: then a tick must not go on looking."""
    return time.monotonic() >= deadline or getattr(threading, "_SHUTTING_DOWN", False)


def build_sensors(
    lane: Lane, job: AssetJob, settings: Settings, transport: Transport | None = None
) -> list[dg.SensorDefinition]:
    """Two that share one watch."""
    watch = Watch(lane, settings, transport=transport)
    asks = f"Asks for a run of {lane.job} as soon as messages wait in {watch.transport.name} topic {lane.topic}"
    rules = (
        f"one batch at a time, at most {settings.stream_batch_messages:,} messages. A failed batch is asked for again."
    )
    turns = f"Takes turns with {lane.sensor}: looks while that one's tick is over and its next has not begun."
    return [
        _sensor(lane.sensor, watch, job, settings, f"{asks}: {rules}"),
        _sensor(lane.relief, watch, job, settings, f"{asks}. {turns} To halt the topic, stop both."),
    ]


def _sensor(name: str, watch: Watch, job: AssetJob, settings: Settings, description: str) -> dg.SensorDefinition:
    status = dg.DefaultSensorStatus.RUNNING if settings.automation_running else dg.DefaultSensorStatus.STOPPED

    @dg.sensor(name=name, job=job, minimum_interval_seconds=1, default_status=status, description=description)
    def kafka_sensor(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        return watch.tick(context.instance)

    return kafka_sensor
