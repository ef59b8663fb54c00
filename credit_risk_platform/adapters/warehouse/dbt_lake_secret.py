"""A dbt-duckdb plugin: dbt's engine reads and writes a lake in an object store, with the credentials boto3 finds.

profiles.yml: `plugins: [{module: <this module>, config: {url: s3://..., endpoint_url: ..., region: ...}}]`. An empty
`url` is a lake in a folder: the plugin does nothing. No credential passes through the profile or the environment.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from dbt.adapters.duckdb.plugins import BasePlugin

from credit_risk_platform.adapters.object_store import ObjectStore
from credit_risk_platform.adapters.warehouse.lake_secret import LakeSecret


class Plugin(BasePlugin):
    """Found by dbt-duckdb under this name. Config: the fields of `ObjectStore`, those that are not set empty."""

    _secret: LakeSecret | None = None

    def initialize(self, plugin_config: dict[str, Any]) -> None:
        # The engine's settings of the profile (TimeZone, ...) come along.
        given = {one.name: plugin_config[one.name] for one in fields(ObjectStore) if plugin_config.get(one.name)}
        if "url" in given:
            self._secret = LakeSecret(ObjectStore(**given))

    def configure_connection(self, conn: Any) -> None:
        """Before the lake is attached."""
        if self._secret is not None:
            self._secret.open(conn)

    def configure_cursor(self, cursor: Any) -> None:
        """Before each model: a build may last longer than a role's credentials."""
        if self._secret is not None:
            self._secret.renew(cursor)
