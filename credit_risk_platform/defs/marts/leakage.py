"""The leakage guard's wiring: dbt's compiled project on one side, the contracts and the registry on the other."""

from collections.abc import Mapping
from typing import Any

from credit_risk_platform.adapters import outside_tables
from credit_risk_platform.adapters.column_lineage import ColumnLineage, read_lineage
from credit_risk_platform.adapters.dbt_project import DbtWorkspace
from credit_risk_platform.domain.features import MARTS, Stage, of_stages
from credit_risk_platform.domain.leakage import (
    CLOCK,
    Column,
    Finding,
    Purpose,
    judge_clocks,
    judge_registry,
    judge_trails,
    source_columns,
    source_stages,
)

MART = "application_features"
KEYS = ("loan_id", "source_system", "subject_token", "decision_date", "issue_month", "meets_credit_policy")
"""Columns of the mart that say which loan and when, and that no model reads."""


def project_lineage(workspace: DbtWorkspace, manifest: Mapping[str, Any]) -> ColumnLineage:
    """Column lineage of every dbt model, down to bronze columns of the contracts and to tables of other rooms.

    The latter have no stage: a feature that reads a score or a decision is a finding.
    """
    sources = source_columns() | outside_tables.columns()
    return read_lineage(manifest, sources, workspace.source, keep=frozenset({CLOCK}))


def audit(
    workspace: DbtWorkspace, manifest: Mapping[str, Any], purpose: Purpose = Purpose.APPLICATION
) -> tuple[Finding, ...]:
    """Every reason why a column of the application mart may not be used. Static: it needs no data and no connection."""
    lineage, stages = project_lineage(workspace, manifest), source_stages()
    relation = f"gold.{MART}"
    built = list(lineage.columns(relation))
    features = [name for name in built if name not in KEYS]
    # Alternative data is in the mart where it is switched on.
    registered = [feature.name for feature in of_stages(*MARTS[MART])]
    registered += [feature.name for feature in of_stages(Stage.ALTERNATIVE) if feature.name in built]
    trails = {name: lineage.trails(Column(relation, name), stop=frozenset({CLOCK})) for name in features}
    ends = sorted({trail[-1] for found in trails.values() for trail in found})
    clocks = {str(end): lineage.trails(end) for end in ends if end.name == CLOCK}
    return (
        *judge_registry(built, KEYS, registered),
        *judge_trails(trails, stages, purpose),
        *judge_clocks(clocks, stages),
    )
