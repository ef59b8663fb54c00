"""The parity room: do the embedded warehouse and Snowflake hold the same marts?"""

import dagster as dg

from credit_risk_platform.adapters.dbt_project import DbtWorkspace
from credit_risk_platform.adapters.parity import marts
from credit_risk_platform.defs.parity.assets import CHECK, warehouse_parity_of
from credit_risk_platform.settings import Settings

__all__ = ["CHECK", "definitions"]


def definitions(settings: Settings) -> dg.Definitions:
    """One asset and its check, asked for by hand. Needs both warehouses: resources `warehouse` and `twin`."""
    dbt = DbtWorkspace(settings.paths.dbt, settings.paths.warehouse, settings.environment())
    return dg.Definitions(assets=[warehouse_parity_of(marts(dbt.manifest()))])
