"""The marts room: dbt's models and tests as Dagster assets and checks, and the guards that stand before training."""

from pathlib import Path

import dagster as dg

from credit_risk_platform.adapters.dbt_project import DBT_PROJECT, DbtWorkspace
from credit_risk_platform.defs.marts.assets import mart_assets, published_marts, risk_mart_assets
from credit_risk_platform.defs.marts.checks import mart_checks
from credit_risk_platform.settings import Settings

__all__ = ["definitions", "workspace"]


def workspace(settings: Settings, project: Path = DBT_PROJECT) -> DbtWorkspace:
    """The dbt project on this home."""
    return DbtWorkspace(settings.paths.dbt, settings.paths.warehouse, settings.environment(), project)


def definitions(settings: Settings, project: Path = DBT_PROJECT) -> dg.Definitions:
    """Compiles the dbt project if a file of it changed; needs no credentials and no data."""
    dbt = workspace(settings, project)
    manifest = dbt.manifest()
    return dg.Definitions(
        assets=[mart_assets(dbt, manifest), risk_mart_assets(dbt, manifest), published_marts(manifest)],
        asset_checks=[mart_checks(dbt, manifest)],
    )
