"""dagster-mlflow, made lazy and tidy: one MLflow run per Dagster run, opened and closed with it.

Loading the definitions imports neither `mlflow` nor `dagster_mlflow` (1.3 s, 195 MB). The integration leaves three
gaps that are closed here: it would create its experiment with artefacts below the current directory, it takes over
whatever MLflow run an earlier Dagster run left open in this process, and it ends its run after the last op of the
whole job, which in `full_pipeline` is not one of ours.
"""

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg

from credit_risk_platform.adapters.registry import EXPERIMENT, ModelRegistry


@dg.resource(
    required_resource_keys={"registry"},
    description="dagster-mlflow on the platform's MLflow: one MLflow run per Dagster run.",
)
def mlflow_run(context: dg.InitResourceContext) -> Iterator[Any]:
    """The resource under the key `mlflow`: dagster-mlflow's own object; `mlflow_run_id` names the Dagster run's run."""
    with _run_of(context, context.resources.registry) as integration:
        yield integration


@contextlib.contextmanager
def _run_of(context: dg.InitResourceContext, registry: ModelRegistry) -> Iterator[Any]:
    _ = registry.experiment_id  # made with absolute artefacts before the integration makes it without
    with contextlib.ExitStack() as opened:
        with _its_own_warnings_ignored():
            from dagster_mlflow import mlflow_tracking
            from mlflow import active_run, end_run

            while active_run() is not None:
                end_run("KILLED")
            config = {"experiment_name": EXPERIMENT, "mlflow_tracking_uri": registry.tracking_uri, "extra_tags": {}}
            tracking = contextlib.contextmanager(mlflow_tracking.resource_fn)
            integration = opened.enter_context(tracking(context.replace_config(config)))
        run = active_run()
        assert run is not None
        # A step that fails makes the hook end the run; the steps after it still need its id.
        integration.mlflow_run_id = run.info.run_id
        try:
            yield integration
        finally:
            end_run()


def _end_run(context: dg.HookContext, events: Sequence[dg.DagsterEvent]) -> dg.HookExecutionResult:
    with _its_own_warnings_ignored():
        from dagster_mlflow import end_mlflow_on_run_finished as integration

        return integration.hook_fn(context, events)


end_mlflow_on_run_finished = dg.HookDefinition(
    name="end_mlflow_on_run_finished", hook_fn=_end_run, required_resource_keys={"mlflow"}
)
"""dagster-mlflow's hook, imported when it runs: a failed step marks the MLflow run FAILED."""


@contextlib.contextmanager
def _its_own_warnings_ignored() -> Iterator[None]:
    """The integration is beta and reads deprecated attributes of its context; neither is ours to mend."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r".*is currently in beta")
        warnings.filterwarnings("ignore", message=r"InitResourceContext\.(run_id|dagster_run) is deprecated")
        yield
