"""What a dbt node looks like in Dagster. Keys are [schema, name]; groups and owners stand in dbt_project.yml."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings


class MartTranslator(DagsterDbtTranslator):
    """Descriptions in words, the SQL beside them, and a code version that follows macros and variables too."""

    def __init__(self) -> None:
        # Bronze is checked where it lands: as dbt tests those checks would start a dbt process for a landing.
        super().__init__(settings=DagsterDbtTranslatorSettings(enable_source_tests_as_checks=False))

    def get_description(self, dbt_resource_props: Mapping[str, Any]) -> str:
        return str(dbt_resource_props.get("description") or f"dbt {dbt_resource_props['resource_type']}")

    def get_code_version(self, dbt_resource_props: Mapping[str, Any]) -> str:
        """Hash of the *compiled* SQL, in which macros, variables and the chosen portfolio are written out."""
        code = dbt_resource_props.get("compiled_code") or dbt_resource_props.get("checksum", {}).get("checksum", "")
        config = dbt_resource_props.get("config", {})
        shape = {name: config.get(name) for name in ("materialized", "incremental_strategy", "unique_key", "post-hook")}
        return hashlib.sha256((code + json.dumps(shape, sort_keys=True, default=str)).encode()).hexdigest()[:16]

    def get_metadata(self, dbt_resource_props: Mapping[str, Any]) -> Mapping[str, Any]:
        metadata = dict(super().get_metadata(dbt_resource_props))
        if sql := dbt_resource_props.get("compiled_code"):
            metadata["sql"] = dg.MetadataValue.md(f"```sql\n{sql.strip()}\n```")
        return metadata
