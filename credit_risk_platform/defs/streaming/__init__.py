"""The streaming room: messages of Kafka or Kinesis in, scores and states out, in bounded batches of exact offsets."""

import dagster as dg

from credit_risk_platform.defs.streaming.assets import build_assets
from credit_risk_platform.defs.streaming.jobs import build_job
from credit_risk_platform.defs.streaming.lanes import LANES, SHARED
from credit_risk_platform.defs.streaming.sensors import build_sensors
from credit_risk_platform.resources import stream_transport
from credit_risk_platform.settings import Settings

__all__ = ["definitions"]


def definitions(settings: Settings) -> dg.Definitions:
    """Assets, jobs and sensors of the three topics. Needs the resources settings, warehouse and streams."""
    transport = stream_transport(settings)  # one for all watches: what it opens is opened once
    jobs = {lane.topic: build_job(lane) for lane in LANES}
    return dg.Definitions(
        assets=[*(build_assets(lane) for lane in LANES), *SHARED],
        jobs=list(jobs.values()),
        sensors=[sensor for lane in LANES for sensor in build_sensors(lane, jobs[lane.topic], settings, transport)],
    )
