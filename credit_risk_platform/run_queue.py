"""Dagster's run queue, with a lane past it for micro-batches. Named in `dagster.yaml`, so any Dagster process loads it.

The queue is looked at once a second. A batch run can wait that long; an event should not, and a stream never asks for
more runs than one per topic, so its runs need no queue to be few.
"""

import dagster as dg

from credit_risk_platform.catalog import LANE, STREAM_RUN


class StreamsFirst(dg.QueuedRunCoordinator):
    """Starts the runs of streams at once and queues all others."""

    def submit_run(self, context: dg.SubmitRunContext) -> dg.DagsterRun:
        run = context.dagster_run
        fresh = run.status is dg.DagsterRunStatus.NOT_STARTED
        if not fresh or run.tags.get(LANE) != STREAM_RUN[LANE]:
            return super().submit_run(context)
        self._instance.launch_run(run.run_id, context.workspace)
        return self._instance.get_run_by_id(run.run_id) or run
