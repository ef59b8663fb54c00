"""What an asset may ask for by name. Built once at the root, handed out as plain adapters.

Production, tests and the CLI go through the same seam: `build_resources(settings, **overrides)`. Values are adapter
objects, not config, so no credential can show up in a run's config or in the UI.
"""

from __future__ import annotations

from typing import Any

from credit_risk_platform.adapters.bundles import BundleStore
from credit_risk_platform.adapters.registry import ModelRegistry
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.settings import Settings


def build_resources(settings: Settings, **overrides: Any) -> dict[str, Any]:
    """Resource key -> adapter. `overrides` replace single adapters in tests."""
    resources: dict[str, Any] = {
        "settings": settings,
        "warehouse": DuckLakeWarehouse(
            settings.paths.warehouse,
            memory_limit=settings.duckdb_memory_limit,
            threads=settings.duckdb_threads,
        ),
        "bundles": BundleStore(settings.paths.models),
        "registry": ModelRegistry(settings.paths.mlflow, f"http://{settings.host}:{settings.mlflow_port}"),
    }
    return {**resources, **overrides}
