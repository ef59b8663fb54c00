"""One `dbt build` of the selected models and tests, as a stream of Dagster events while dbt is still running.

`DbtCliResource.cli` reads the environment of this process and opens a second dbt adapter in it, which for DuckDB holds
every event back until dbt has ended. We start the same invocation ourselves: own environment, no adapter, live events.
"""

import json
import os
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any

import dagster as dg
from dagster_dbt import DbtCliInvocation
from dagster_dbt.asset_utils import DBT_INDIRECT_SELECTION_ENV, get_updated_cli_invocation_params_for_context
from packaging.version import Version

from credit_risk_platform.adapters.dbt_project import DBT, DbtWorkspace
from credit_risk_platform.defs.marts.translator import MartTranslator

# Unit tests judge code, not data: `make test` runs them once per change, not every night.
BUILD = ("build", "--exclude-resource-type", "unit_test", "--no-use-colors")


def build(
    context: dg.AssetExecutionContext,
    workspace: DbtWorkspace,
    manifest: Mapping[str, Any],
    translator: MartTranslator,
) -> Iterator[Any]:
    """Events of one build: an `Output` per model, an `AssetCheckResult` per data test, in the order dbt ends them.

    Raises `DagsterDbtCliRuntimeError` with dbt's messages when a model or a blocking test failed.
    """
    run = get_updated_cli_invocation_params_for_context(
        # The AssetExecutionContext's own `op` is deprecated, and this is what the library reads.
        context=context.op_execution_context,
        manifest=manifest,
        dagster_dbt_translator=translator,
    )
    folder = workspace.run_folder(context.run.run_id)
    invocation = DbtCliInvocation.run(
        args=[*DBT, *BUILD, *run.selection_args],
        env=_environment(workspace, os.fspath(folder), run.indirect_selection, context.run.run_id),
        manifest=run.manifest,
        dagster_dbt_translator=run.dagster_dbt_translator,
        project_dir=workspace.source,
        target_path=folder,
        raise_on_error=True,
        context=context.op_execution_context,
        adapter=None,
        cli_version=Version(version("dbt-core")),
    )
    try:
        yield from invocation.stream()
    finally:
        workspace.keep_parsed(folder)


def _environment(workspace: DbtWorkspace, target: str, indirect_selection: str | None, run_id: str) -> dict[str, str]:
    return {
        **workspace.process_environment(),
        "DAGSTER_DBT_CLI": "true",
        "PYTHONUNBUFFERED": "1",
        "DBT_LOG_FORMAT": "json",
        "DBT_TARGET_PATH": target,
        "DBT_LOG_PATH": target,
        # In Snowflake's query history and bill: which run asked.
        "CRP_SNOWFLAKE_QUERY_TAG": json.dumps({"run_id": run_id}),
        **({DBT_INDIRECT_SELECTION_ENV: indirect_selection} if indirect_selection else {}),
    }
