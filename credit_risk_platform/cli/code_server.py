"""The code server of the `streaming` location: `python -m ...cli.code_server --port 4267`.

Dagster's own gRPC server, but for one thing: a run is forked from a process that has imported all it needs, where
Dagster spawns an interpreter that imports everything anew (some 2.5 of the 3.7 seconds of a micro-batch on two cores).
Python's forkserver is made for that: it imports, starts no thread and opens nothing, so its children begin clean.
"""

from __future__ import annotations

import multiprocessing
import sys
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext

LOCATION = "credit_risk_platform.definitions_streaming"
IMPORTED = (
    LOCATION,
    # What a batch imports inside its functions; the library of a model that is not scikit-learn's comes on top.
    "credit_risk_platform.domain.models.logistic_regression",
    "kafka",
    "prometheus_client.parser",
    "pyarrow.acero",
    "pyarrow.dataset",
    "skops.io",
    "sklearn.linear_model",
    # What Dagster imports when it opens its books and begins a run.
    "credit_risk_platform.run_queue",
    "dagster._cli.api",
    "dagster._core.execution.api",
    "dagster._core.executor.in_process",
    "dagster._core.instance.factory",
    "dagster._core.storage.local_compute_log_manager",
    "dagster._core.storage.sqlite_storage",
    "dagster._grpc.impl",
    "fsspec.implementations.local",
    "structlog",
    "upath.implementations.local",
    __name__,
)


class _Forking:
    """Stands for `multiprocessing` in Dagster's server, which asks it for the way to start a run and nothing else."""

    @staticmethod
    def get_context(_: str) -> ForkServerContext:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(list(IMPORTED))
        return context


def main(arguments: list[str]) -> None:
    """Serve until told to stop; `arguments` are those of `dagster api grpc` after the location's own."""
    from dagster._cli import main as dagster
    from dagster._grpc import server

    # There is no setting for it; tests/cli/test_code_server.py sees when a new Dagster asks for more.
    server.multiprocessing = _Forking  # type: ignore[assignment, attr-defined]
    _Forking.get_context("forkserver")
    forkserver.ensure_running()  # imports now, not when the first event waits
    # Three topics with two sensors each stay in their calls for 20 seconds and more.
    own = ["-m", LOCATION, "--location-name", "streaming", "-n", "16"]
    sys.argv = ["dagster", "api", "grpc", *own, *arguments]
    dagster()


if __name__ == "__main__":
    main(sys.argv[1:])
