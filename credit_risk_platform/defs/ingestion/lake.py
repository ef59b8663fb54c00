"""Hands the room its lake: the same folders, key and warehouse for every asset."""

from credit_risk_platform.adapters.landing import BronzeLake, Resources
from credit_risk_platform.adapters.tokens import load_token_key
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.settings import Settings


def open_lake(settings: Settings, warehouse: DuckLakeWarehouse) -> BronzeLake:
    """Makes the token key on first use, which is why this does not happen when the graph is loaded."""
    secret = settings.pii_token_key
    key = load_token_key(settings.paths.secrets, secret.get_secret_value() if secret is not None else None)
    limits = {"memory_limit": settings.duckdb_memory_limit} if settings.duckdb_memory_limit else {}
    resources = Resources(threads=settings.duckdb_threads, **limits)
    return BronzeLake(settings.files("lake"), warehouse, key, resources=resources)
