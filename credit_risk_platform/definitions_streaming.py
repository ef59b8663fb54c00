"""Front door of the `streaming` code location: Kafka to scores. Slim, as every micro-batch starts a process with it."""

from __future__ import annotations

import dagster as dg

from credit_risk_platform.defs import streaming
from credit_risk_platform.log_format import install
from credit_risk_platform.resources import build_streaming_resources
from credit_risk_platform.settings import Settings


def build_streaming_definitions(settings: Settings, **overrides: object) -> dg.Definitions:
    """The streaming graph on one `Settings`: production, tests and the CLI assemble it through this seam."""
    room = streaming.definitions(settings)
    return dg.Definitions(
        assets=room.assets,
        jobs=room.jobs,
        sensors=room.sensors,
        resources=build_streaming_resources(settings, **overrides),
        executor=dg.in_process_executor,  # one step per run: a process of its own would only cost time
    )


@dg.definitions
def defs() -> dg.Definitions:
    settings = Settings()
    install(settings)
    return build_streaming_definitions(settings)
