"""What a source said otherwise when it was landed again, and which scores and decisions were made from what it said."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

import dagster as dg
import pyarrow as pa

from credit_risk_platform.adapters import markdown, restated_scores, restatements
from credit_risk_platform.adapters.landing.layout import LOANS, MACRO, REPAYMENTS
from credit_risk_platform.adapters.restatements import KEYS_TABLE, Restatement
from credit_risk_platform.adapters.table_version import table_version
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.catalog import Bronze, Gold, Group, Monitoring, Owner
from credit_risk_platform.settings import Settings

LANDED = [
    Bronze.SYNTHETIC_LOANS,
    Bronze.SYNTHETIC_REPAYMENTS,
    Bronze.LENDING_CLUB_LOANS,
    Bronze.LANDING_LOANS,
    Bronze.MACRO_SERIES,
]
AFTER_A_LANDING = (
    dg.AutomationCondition.any_deps_updated().allow(dg.AssetSelection.assets(*LANDED))
    & ~dg.AutomationCondition.in_progress()
).with_label("after_a_landing")
MARTS = {
    LOANS: (Gold.APPLICATION_FEATURES, Gold.LOAN_OUTCOMES, Gold.BEHAVIOUR_FEATURES),
    REPAYMENTS: (Gold.LOAN_OUTCOMES, Gold.BEHAVIOUR_FEATURES),
    MACRO: (Gold.APPLICATION_FEATURES, dg.AssetKey(["silver", "int_macro_published"])),
}
"""What scores read of a landed table, as the ledger names it; of loans and repayments, those of the portfolio only."""


def build_restatement_diff(settings: Settings) -> dg.AssetsDefinition:
    @dg.asset(
        key=Monitoring.RESTATEMENT_DIFF,
        deps=[*LANDED, Gold.SCORE_LEDGER, Gold.DECISIONS],
        automation_condition=AFTER_A_LANDING,
        group_name=Group.ARCHIVE,
        owners=[Owner.DATA],
        kinds={"duckdb", "parquet"},
        code_version="1",
        description=(
            "For each source that was landed again: the keys added, removed and changed against the version before, "
            "with the columns that changed and the months restated; and every score, with the decisions on it, that "
            "was made from the earlier version. Landing the same rows again lists nothing."
        ),
    )
    def restatement_diff(
        context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[DuckLakeWarehouse]
    ) -> dg.MaterializeResult:
        restatements.ensure(warehouse)
        lake = settings.files("lake")
        found = restatements.restatements(lake)
        latest = {one.dataset: one for one in found}
        built = _built(context.instance, warehouse)
        for one in found:
            # Of the last one, scores may have been made from marts that are behind since it was recorded.
            if restatements.record(warehouse, lake, one) or one == latest[one.dataset]:
                scores = restated_scores.record(warehouse, one, _readers(one, settings), built)
                context.log.info("%s, batch %s after %s: %d scores", *one.pair, scores)
        return dg.MaterializeResult(
            data_version=dg.DataVersion(table_version(warehouse, KEYS_TABLE, _SAID)),
            metadata=_metadata(warehouse, latest),
        )

    return restatement_diff


DAYS_SHOWN = 60
WORDS = {
    "dataset": "Bronze table that was landed again.",
    "batch": "The landing that restates: first 12 hex digits of its file's SHA-256.",
    "previous_batch": "The landing before it.",
    "key": "Key of the row: loan, loan and instalment, or series, period and edition.",
    "loan_id": "The loan, where the row belongs to one.",
    "month": "Month of issue, due date or period.",
    "change": "added, removed or changed.",
    "columns": "Columns whose value changed.",
    "public_from": "Of macro values: the earliest day on which either version was public.",
}
_SAID = ("dataset", "batch", "previous_batch", "key", "change", "columns")


def _readers(found: Restatement, settings: Settings) -> list[str]:
    own = dg.AssetKey(["bronze", found.dataset])
    read = found.table == MACRO or found.source == settings.portfolio_source
    return [key.to_user_string() for key in (own, *(MARTS[found.table] if read else ()))]


def _built(instance: dg.DagsterInstance, warehouse: Warehouse) -> pa.Table:
    """When each build that scores name among their upstreams was made, as far as the event log knows."""
    assets = {key.to_user_string(): key for key in (*LANDED, *(key for keys in MARTS.values() for key in keys))}
    named = restated_scores.pointers(warehouse, list(assets)).to_pylist()
    rows = []
    for name, key in assets.items():
        if storage_ids := [row["storage_id"] for row in named if row["asset"] == name]:
            wanted = dg.AssetRecordsFilter(asset_key=key, storage_ids=storage_ids)
            records = instance.fetch_materializations(wanted, limit=len(storage_ids)).records
            rows += [{"asset": name, "storage_id": one.storage_id, "built_at": _utc(one.timestamp)} for one in records]
    return pa.Table.from_pylist(rows, restated_scores.BUILT_SCHEMA)


def _utc(timestamp: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(timestamp, dt.UTC).replace(tzinfo=None)


def _metadata(warehouse: Warehouse, latest: Mapping[str, Restatement]) -> dict[str, Any]:
    columns = [
        dg.TableColumn(name, kind, description=WORDS[name]) for name, kind in warehouse.columns(KEYS_TABLE).items()
    ]
    found = {name: (restatements.shown(warehouse, one), restated_scores.shown(warehouse, one))
             for name, one in latest.items()}  # fmt: skip
    summary = [
        {**{name: said["summary"][name] for name in ("dataset", "landed_at", "added", "removed", "changed", "months")},
         **{name: scores[name] for name in ("scores", "loans", "decisions")}}
        for said, scores in found.values()
    ]  # fmt: skip
    details: dict[str, Any] = {}
    for name, (said, scores) in found.items():
        if said["summary"]["months"]:
            details[name] = dg.MetadataValue.md(_details(said, scores))
    return {
        "dagster/row_count": warehouse.count(KEYS_TABLE),
        "dagster/table_name": f"lake.{KEYS_TABLE}",
        "dagster/column_schema": dg.TableSchema(columns),
        "restated_scores": sum(row["scores"] for row in summary),
        "restated_decisions": sum(row["decisions"] for row in summary),
        "latest": dg.MetadataValue.md(markdown.records(summary)),
        **details,
    }


def _details(said: Mapping[str, Any], scores: Mapping[str, Any]) -> str:
    parts = {
        "Columns that changed": markdown.records(said["columns"]),
        "Months restated": markdown.records(said["months"]),
        f"Scores made from the version before, all in lake.{restated_scores.TABLE}": markdown.records(
            scores["by_day"].slice(0, DAYS_SHOWN)
        ),
        "Look at some": "\n".join(f"- `crp replay {one}`" for one in scores["examples"]) or "none",
        "Next step": "Materialise gold/portfolio_scores for the days with scores to_score_again.",
    }
    return "\n\n".join(f"**{title}**\n\n{text}" for title, text in parts.items())
