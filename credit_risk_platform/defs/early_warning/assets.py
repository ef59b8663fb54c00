"""The early-warning files for those who work in spreadsheets."""

import hashlib
from collections.abc import Mapping

import dagster as dg

from credit_risk_platform.adapters import early_warning_files as files
from credit_risk_platform.adapters import markdown
from credit_risk_platform.adapters.csv_exports import Written
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.catalog import Gold, Group, Owner
from credit_risk_platform.defs.early_warning import checks
from credit_risk_platform.settings import Settings


@dg.asset(
    key=Gold.EARLY_WARNING_FILES,
    deps=[
        Gold.APPLICATION_FEATURES,
        Gold.LOAN_OUTCOMES,
        Gold.RISK_SEGMENTS,
        Gold.WATCHLIST,
        Gold.KPI_SUMMARY,
        Gold.EARLY_WARNING_COVERAGE,
        Gold.PORTFOLIO_WARNINGS,
        Gold.PORTFOLIO_SCORES,
    ],
    check_specs=checks.SPECS,
    group_name=Group.EARLY_WARNING,
    owners=[Owner.ANALYTICS],
    kinds={"csv"},
    code_version="1",
    pool="dbt",  # five queries, one state: no build swaps the tables between two of them
    description=(
        "Five CSV files of the book: the cleaned loans, the segment of every open loan, the watch list with the rules "
        "and values of each loan, the KPIs that say whether the list catches defaults, and the segments beside the "
        "latest predictions. Loans and tokens only, no person; text that a spreadsheet would run is defused."
    ),
)
def early_warning_files(
    context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Warehouse], settings: dg.ResourceParam[Settings]
) -> dg.MaterializeResult:
    if absent := files.missing_tables(warehouse):
        raise dg.Failure(
            f"{', '.join(absent)} not there yet: materialise {', '.join(name.replace('.', '/') for name in absent)} "
            "first (job feature_engineering, then portfolio_scoring)",
            allow_retries=False,
        )
    written = files.write(warehouse, settings.paths.exports)
    found = files.agreement(warehouse)
    context.log.info("%d files in %s", len(written), settings.paths.exports)
    return dg.MaterializeResult(
        data_version=dg.DataVersion(_version(written)),
        check_results=checks.results(written, found),
        metadata={
            "dagster/row_count": sum(one.rows for one in written.values()),
            "dagster/uri": settings.paths.exports.as_uri(),
            "files": dg.MetadataValue.md(_listed(written)),
            "kpis": _shown(warehouse, f"select * from {files.KPIS} order by evaluated"),
            "rules": _shown(warehouse, _RULES),
            "portfolio_warnings": _shown(warehouse, _FIRED),
            "segments": _shown(warehouse, _SEGMENTS),
        },
    )


def _version(written: Mapping[str, Written]) -> str:
    """Hash over the files' hashes: equal rows give an equal version, in any home."""
    return hashlib.sha256("".join(f"{name}{one.sha256}" for name, one in sorted(written.items())).encode()).hexdigest()


def _listed(written: Mapping[str, Written]) -> str:
    rows = [[name, one.rows, one.size, one.sha256, str(one.file)] for name, one in written.items()]
    return markdown.table(["file", "rows", "bytes", "sha256", "path"], rows)


def _shown(warehouse: Warehouse, sql: str) -> dg.MarkdownMetadataValue:
    return dg.MetadataValue.md(markdown.records(warehouse.query(sql)))


_RULES = f"""
    select rule_id, rule_name, severity, status, judged, measured, not_measurable, fired, reason
    from {files.COVERAGE} order by rule_id
"""
_FIRED = f"""
    select rule_id, segment_kind, segment, period, evidence from {files.PORTFOLIO_WARNINGS}
    where status = 'fired' order by rule_id, segment_kind, segment
"""
_SEGMENTS = f"""
    select segment, count(*) as loans, sum(exposure) as exposure from {files.SEGMENTS} group by segment order by segment
"""
