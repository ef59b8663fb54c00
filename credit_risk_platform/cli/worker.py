"""Dagster runs in a process of their own: `python -m ...cli.worker JOB RUN_ID [PARTITION [ASSET ...]] [-- JOB ...]`.

PARTITION is one key, or `first...last`, which is Dagster's own way to write a range. What stands after `--` is the next
run, for which the graph and its libraries need no second loading; it starts where the one before it succeeded.

A process apart keeps models and dbt out of the command's memory, gives the runs one log file and lets Ctrl-C end them
the way Dagster expects. `runs.py` starts it and follows the runs' events.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from itertools import groupby

import dagster as dg

from credit_risk_platform.log_format import install
from credit_risk_platform.settings import Settings

RANGE, NEXT = "...", "--"
STREAMING = ("micro_batch_scoring", "repayment_updates", "transaction_windows")
"""Jobs of the streaming location."""


def main(*arguments: str) -> int:
    """Exit code 0 when every step and every blocking check of every run was green; the first red run is the last."""
    settings = Settings()
    install(settings)
    graphs: dict[bool, tuple[dg.Definitions, str]] = {}
    with dg.DagsterInstance.from_config(str(settings.paths.dagster)) as instance:
        for job, run_id, *narrowed in _runs(arguments):
            streamed = job in STREAMING
            if streamed not in graphs:
                graphs[streamed] = _location(settings, streamed=streamed)
            if not _run(instance, *graphs[streamed], job, run_id, *narrowed):
                return 1
    return 0


def _runs(arguments: Sequence[str]) -> Iterator[list[str]]:
    return (list(words) for between, words in groupby(arguments, NEXT.__eq__) if not between)


def _run(
    instance: dg.DagsterInstance,
    definitions: dg.Definitions,
    location: str,
    job: str,
    run_id: str,
    partition: str = "",
    *assets: str,
) -> bool:
    """Whether it succeeded. `assets` narrow the job."""
    first, _, last = partition.partition(RANGE)
    asked = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last} if last else {}
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
    return result.success


def _location(settings: Settings, *, streamed: bool) -> tuple[dg.Definitions, str]:
    if streamed:
        from credit_risk_platform.definitions_streaming import build_streaming_definitions

        return build_streaming_definitions(settings), "streaming"
    from credit_risk_platform.definitions import build_definitions

    return build_definitions(settings), "platform"


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
