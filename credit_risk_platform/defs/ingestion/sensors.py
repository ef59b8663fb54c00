"""Watches the drop folder. It looks at names, sizes and times; reading a file is the run's business."""

import time
from pathlib import Path

import dagster as dg

from credit_risk_platform.adapters.drop_folder import DropFolder
from credit_risk_platform.catalog import BATCH_RUN, Bronze
from credit_risk_platform.settings import Settings

SETTLED_SECONDS = 5.0
"""A file written to within the last seconds may still be growing."""
ATTEMPTS = 3
TAG = "crp/landing_files"
_OVER = (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)


def build_landing_sensor(settings: Settings) -> dg.SensorDefinition:
    folder = DropFolder(settings.paths.landing)
    status = dg.DefaultSensorStatus.RUNNING if settings.automation_running else dg.DefaultSensorStatus.STOPPED

    @dg.sensor(
        name="landing_csv_sensor",
        target=dg.AssetSelection.assets(Bronze.LANDING_LOANS),
        minimum_interval_seconds=15,
        default_status=status,
        description=f"Lands every CSV dropped into {Path(*folder.path.parts[-2:])}, once it has stopped growing.",
    )
    def landing_csv_sensor(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        return look(folder, context.instance, time.time())

    return landing_csv_sensor


def look(folder: DropFolder, instance: dg.DagsterInstance, now: float) -> dg.RunRequest | dg.SkipReason:
    """A run for the files that wait, or why there is none. The attempt is part of the run key.

    Landed and refused files leave the folder, so files that are still there after a run mean that the run was lost.
    """
    waiting = folder.waiting()
    if not waiting.files:
        return dg.SkipReason(f"No CSV file waits in {folder.path}.")
    if now - waiting.newest < SETTLED_SECONDS:
        return dg.SkipReason("A file was written to just now; it may still be growing.")
    earlier = instance.get_runs(dg.RunsFilter(tags={TAG: waiting.signature}))
    if any(not run.is_finished for run in earlier):
        return dg.SkipReason("These files are being landed.")
    lost = sum(run.status in _OVER for run in earlier)
    if lost >= ATTEMPTS:
        return dg.SkipReason(f"Landing these files was tried {lost} times; see the failed runs tagged {TAG}.")
    return dg.RunRequest(run_key=f"{waiting.signature}-{lost + 1}", tags={TAG: waiting.signature, **BATCH_RUN})
