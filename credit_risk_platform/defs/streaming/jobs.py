"""One job per topic. One run is one micro-batch, one step, one transaction."""

from typing import Any, TypeAlias

import dagster as dg

from credit_risk_platform.catalog import STREAM_RUN
from credit_risk_platform.defs.streaming.lanes import Lane

AssetJob: TypeAlias = Any  # what `define_asset_job` returns; Dagster exports no name for it

TAGS = {
    **STREAM_RUN,
    "dagster/priority": "10",  # before any batch run that waits for the same slot
    "dagster/max_retries": "0",  # the sensor asks again, with the attempt counted
}


def build_job(lane: Lane) -> AssetJob:
    return dg.define_asset_job(lane.job, dg.AssetSelection.assets(*lane.keys), description=lane.about, tags=TAGS)
