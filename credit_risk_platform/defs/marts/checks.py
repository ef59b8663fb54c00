"""Guards between the marts and training: no leakage, online equals offline, no label before its time.

One step for all three: every check of its own would cost a process. Each says in its metadata what to do next.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from credit_risk_platform.adapters import markdown
from credit_risk_platform.adapters.column_lineage import LineageError
from credit_risk_platform.adapters.dbt_project import DbtWorkspace
from credit_risk_platform.adapters.feature_sql import APPLICATIONS, CASHFLOW, MACRO, FeatureSql, also_read
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.catalog import Gold
from credit_risk_platform.defs.marts.leakage import audit
from credit_risk_platform.domain.parity import differences
from credit_risk_platform.settings import Settings

PARITY_SAMPLE = 1_000
GRACE_MONTHS = 5
"""Months after the window until a default is surely known: four months to charge-off and one to publish it."""

_SPECS = [
    dg.AssetCheckSpec(
        "leakage_guard",
        asset=Gold.APPLICATION_FEATURES,
        blocking=True,
        description="No feature is made, by any path through any model, from a column that only exists later.",
    ),
    dg.AssetCheckSpec(
        "online_offline_parity",
        asset=Gold.APPLICATION_FEATURES,
        blocking=True,
        description="1,000 sampled applications recomputed as a micro-batch or the API would: equal to the last bit.",
    ),
    dg.AssetCheckSpec(
        "label_maturity",
        asset=Gold.LOAN_OUTCOMES,
        blocking=True,
        description="No loan is called good or bad before its performance window and the grace months are over.",
    ),
]


def mart_checks(workspace: DbtWorkspace, manifest: Mapping[str, Any]) -> dg.AssetChecksDefinition:
    """The three guards as one step of which any part can be run alone."""

    @dg.multi_asset_check(name="mart_guards", specs=_SPECS, can_subset=True)
    def mart_guards(
        context: dg.AssetCheckExecutionContext,
        warehouse: dg.ResourceParam[DuckLakeWarehouse],
        settings: dg.ResourceParam[Settings],
    ) -> Iterator[dg.AssetCheckResult]:
        guards: dict[str, Callable[[], dg.AssetCheckResult]] = {
            "leakage_guard": lambda: leakage_guard(workspace, manifest),
            "online_offline_parity": lambda: online_offline_parity(warehouse, manifest, settings.seed),
            "label_maturity": lambda: label_maturity(warehouse, settings.performance_window_months),
        }
        for key in sorted(context.selected_asset_check_keys):
            yield guards[key.name]()

    return mart_guards


def leakage_guard(workspace: DbtWorkspace, manifest: Mapping[str, Any]) -> dg.AssetCheckResult:
    """Walks the compiled SQL of every model from each feature to bronze."""
    try:
        findings, unread = audit(workspace, manifest), None
    except LineageError as error:  # what cannot be traced cannot be called clean
        findings, unread = (), str(error)
    return dg.AssetCheckResult(
        check_name="leakage_guard",
        asset_key=Gold.APPLICATION_FEATURES,
        passed=not findings and unread is None,
        description=str(findings[0]) if findings else unread,
        metadata={"findings": len(findings), **_listed("leaks", findings)},
    )


def online_offline_parity(warehouse: DuckLakeWarehouse, manifest: Mapping[str, Any], seed: int) -> dg.AssetCheckResult:
    """Recomputes a seeded sample with the SQL that travels in the model bundle."""
    sample = warehouse.query(_SAMPLE, [str(seed), PARITY_SAMPLE])["loan_id"].to_pylist()
    stored = warehouse.query(_ROWS_OF.format(_MART), [sample])
    applications = warehouse.query(_ROWS_OF.format(APPLICATIONS), [sample])
    feature_sql = FeatureSql.from_manifest(manifest)
    cashflow = warehouse.query(f"select * from {CASHFLOW}") if also_read(feature_sql.sql) else None
    computed = feature_sql.compute(applications, warehouse.query(f"select * from {MACRO}"), cashflow)
    found = differences(stored, computed, "loan_id")
    return dg.AssetCheckResult(
        check_name="online_offline_parity",
        asset_key=Gold.APPLICATION_FEATURES,
        passed=not found,
        description=(
            f"{found[0].column} differs in {found[0].rows} of {stored.num_rows} loans. Rebuild the mart; if it still "
            "differs, make its SQL depend on nothing but one application's row and the macro row of its day."
            if found
            else None
        ),
        metadata={
            "applications_compared": stored.num_rows,
            "columns_compared": stored.num_columns,
            "feature_sql_sha256": feature_sql.sha256,
            **_listed("differences", found),
        },
    )


def label_maturity(warehouse: DuckLakeWarehouse, window_months: int | None) -> dg.AssetCheckResult:
    """Counts the labels that came too early, and those that are missing although their time has come."""
    window = "term_months" if window_months is None else str(int(window_months))
    counts = warehouse.query(_LABELS.format(window=window, grace=GRACE_MONTHS)).to_pylist()[0]
    wrong = {name: counts[name] for name in ("labelled_too_early", "immature_with_label", "mature_without_label")}
    return dg.AssetCheckResult(
        check_name="label_maturity",
        asset_key=Gold.LOAN_OUTCOMES,
        passed=not any(wrong.values()),
        description=(
            f"{wrong}. Compare `matured` in gold.loan_outcomes with a window of {window} plus {GRACE_MONTHS} months; "
            "a young loan that is current is unknown, never good."
            if any(wrong.values())
            else None
        ),
        metadata={name: int(value) for name, value in counts.items()},
    )


def _listed(name: str, records: Sequence[Any]) -> dict[str, dg.MarkdownMetadataValue]:
    return {name: dg.MetadataValue.md(markdown.records([vars(record) for record in records]))} if records else {}


_MART = "gold.application_features"
_SAMPLE = f"select loan_id from {_MART} order by md5(loan_id || ?) limit ?"
_ROWS_OF = "select * from {} where loan_id in (select unnest(?)) order by loan_id"
_LABELS = """
select
    count(*) filter (where outcome = 'bad') as bad,
    count(*) filter (where outcome = 'good') as good,
    count(*) filter (where outcome = 'immature') as immature,
    count(*) filter (
        where is_bad is not null
        and issue_month + to_months(cast({window} + {grace} as integer)) > observed_through
    ) as labelled_too_early,
    count(*) filter (where not matured and (is_bad is not null or outcome <> 'immature')) as immature_with_label,
    count(*) filter (where matured and is_bad is null) as mature_without_label
from gold.loan_outcomes
"""
