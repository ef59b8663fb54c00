"""One Dagster run in a process of its own: `python -m ...cli.worker JOB RUN_ID [PARTITION [ASSET ...]]`.

PARTITION is one key, or `first...last`, which is Dagster's own way to write a range.

A process per run keeps models and dbt out of the command's memory, gives the run one log file and lets Ctrl-C end it
the way Dagster expects. `runs.py` starts it and follows the run's events.
"""

from __future__ import annotations

import sys

import dagster as dg

from credit_risk_platform.log_format import install
from credit_risk_platform.settings import Settings

RANGE = "..."
STREAMING = ("micro_batch_scoring", "repayment_updates", "transaction_windows")
"""Jobs of the streaming location."""


def main(job: str, run_id: str, partition: str = "", *assets: str) -> int:
    """Exit code 0 when every step and every blocking check of the run was green. `assets` narrow the job."""
    first, _, last = partition.partition(RANGE)
    asked = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last} if last else {}
    settings = Settings()
    install(settings)
    definitions, location = _location_of(job, settings)
    with dg.DagsterInstance.from_config(str(settings.paths.dagster)) as instance:
        result = definitions.resolve_job_def(job).execute_in_process(
            instance=instance,
            run_id=run_id,
            partition_key=None if last else first or None,
            asset_selection=[dg.AssetKey.from_user_string(name) for name in assets] or None,
            tags={
                ".dagster/repository": f"__repository__@{location}",  # the job's page in the UI lists runs by this
                "dagster/max_retries": "0",  # a user who pressed Ctrl-C does not want the daemon to start over
                **asked,
            },
            raise_on_error=False,
        )
    return 0 if result.success else 1


def _location_of(job: str, settings: Settings) -> tuple[dg.Definitions, str]:
    if job in STREAMING:
        from credit_risk_platform.definitions_streaming import build_streaming_definitions

        return build_streaming_definitions(settings), "streaming"
    from credit_risk_platform.definitions import build_definitions

    return build_definitions(settings), "platform"


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
