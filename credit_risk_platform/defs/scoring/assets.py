"""The daily score of the whole open portfolio, and the ledger that proves it: one step, one transaction."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import dagster as dg

from credit_risk_platform.adapters import portfolio, portfolio_figures, score_plots
from credit_risk_platform.adapters.bundles import BundleStore, Champion
from credit_risk_platform.adapters.ledger import LEDGER, SCORES, content_version
from credit_risk_platform.adapters.ledger_audit import Audit, verify
from credit_risk_platform.adapters.ledger_writer import Written, write_scores
from credit_risk_platform.adapters.policies import NoPolicyError, PolicyBook, policy_on
from credit_risk_platform.adapters.portfolio import NothingToScoreError
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.catalog import PORTFOLIO_DAYS, Gold, Group, Models, Owner
from credit_risk_platform.defs.scoring import checks
from credit_risk_platform.defs.scoring.columns import WORDS
from credit_risk_platform.domain.bundle import BundleError, ModelBundle
from credit_risk_platform.domain.policy import Policy, PolicyError
from credit_risk_platform.domain.reasons import ReasonError
from credit_risk_platform.domain.scoring import ScoringError
from credit_risk_platform.upstream import stamp_of, upstream_provenance

FRESH = dg.FreshnessPolicy.time_window(fail_window=dt.timedelta(hours=50), warn_window=dt.timedelta(hours=26))
HISTOGRAM_BINS = 40

SPECS = [
    dg.AssetSpec(
        Gold.PORTFOLIO_SCORES,
        # All are unpartitioned: a day is scored with the marts, the champion and the policy as they stand.
        deps=[Gold.APPLICATION_FEATURES, Gold.LOAN_OUTCOMES, Gold.RISK_BANDS, Gold.REASON_CODES, Models.CHAMPION],
        description=(
            "Probability of default, points and risk band of every loan open on the day, by the champion, and what the "
            "policy in force on the day would decide on its application, with reasons where that is not to approve. "
            "Materialising a day again replaces exactly that day."
        ),
        group_name=Group.SCORING,
        owners=[Owner.MODELS],
        kinds={"python", "duckdb"},
        code_version="2",
        freshness_policy=FRESH,
    ),
    dg.AssetSpec(
        Gold.SCORE_LEDGER,
        deps=[Gold.PORTFOLIO_SCORES],
        description=(
            "Every score ever given, with all it was made from: inputs, model bundle, feature SQL, policy, code and "
            "the upstream data versions. Rows are only ever appended, chained by hashes and sealed batch by batch. "
            "`crp replay <score id>` computes any of them again to the last bit."
        ),
        group_name=Group.SCORING,
        owners=[Owner.MODELS],
        kinds={"python", "duckdb"},
        code_version="1",
        freshness_policy=FRESH,
    ),
]


# No backfill policy: each day is a run of its own, so each carries its own data version and provenance.
@dg.multi_asset(name="portfolio_scores", specs=SPECS, check_specs=checks.SPECS, partitions_def=PORTFOLIO_DAYS)
def portfolio_scores(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[DuckLakeWarehouse],
    bundles: dg.ResourceParam[BundleStore],
    policies: dg.ResourceParam[PolicyBook],
) -> Iterator[dg.MaterializeResult]:
    as_of = dt.date.fromisoformat(context.partition_key)
    upstream = upstream_provenance(context)
    champion, bundle = _champion(bundles)
    try:
        policy = policy_on(warehouse, policies, as_of)
        scored = portfolio.score_open_loans(warehouse, bundle, as_of, policy)
        written = write_scores(warehouse, scored, as_of, stamp_of(context, upstream))
    except (NothingToScoreError, NoPolicyError, PolicyError, ReasonError, BundleError, ScoringError) as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    audit = verify(warehouse, max_rows=checks.AUDITED_ROWS, anchors=checks.remembered_seals(context.instance))
    context.log.info("%d loans scored as of %s, %d new in the ledger", written.rows, as_of, written.appended)
    yield dg.MaterializeResult(
        asset_key=Gold.PORTFOLIO_SCORES,
        data_version=dg.DataVersion(content_version(warehouse, SCORES, as_of)),
        metadata=_score_metadata(warehouse, as_of, written, policy, champion),
        check_results=list(checks.score_results(warehouse, as_of, bundle, policy)),
    )
    yield dg.MaterializeResult(
        asset_key=Gold.SCORE_LEDGER,
        data_version=dg.DataVersion(content_version(warehouse, LEDGER, as_of)),
        metadata=_ledger_metadata(warehouse, written, audit, upstream),
        check_results=list(checks.ledger_results(warehouse, as_of, audit)),
    )


def _champion(bundles: BundleStore) -> tuple[Champion, ModelBundle]:
    pointer = bundles.pointer()
    if pointer is None:
        raise dg.Failure(
            "There is no champion to score with. Materialise models/champion first (job model_training, or crp train).",
            allow_retries=False,
        )
    return pointer, bundles.load(pointer.sha)


def _score_metadata(
    warehouse: DuckLakeWarehouse, as_of: dt.date, written: Written, policy: Policy, champion: Champion
) -> dict[str, Any]:
    figures = portfolio_figures.summary(warehouse, as_of)
    bands = portfolio_figures.band_mix(warehouse, as_of, policy.bands)
    decisions = portfolio_figures.decision_mix(warehouse, as_of)
    texts = {rule.code: rule.description for rule in policy.rules} | dict(policy.reason_codes.texts)
    examples = figures["examples"]
    return {
        **_table(warehouse, SCORES, written.rows),
        "open_loans": written.rows,
        "mean_pd": figures["mean_pd"] or 0.0,
        "median_pd": figures["median_pd"] or 0.0,
        "approval_rate": decisions[0]["share"],
        "decision_mix": dg.MetadataValue.md(_mix_table(decisions, "decision")),
        "band_mix": dg.MetadataValue.md(_mix_table(bands, "band")),
        "reasons": dg.MetadataValue.md(_told_table(portfolio_figures.told(warehouse, as_of, "reasons"), texts)),
        "rules": dg.MetadataValue.md(_told_table(portfolio_figures.told(warehouse, as_of, "rules"), texts)),
        "pd_histogram": dg.MetadataValue.md(_histogram(warehouse, as_of)),
        "policy_version": policy.version,
        "policy_sha": policy.sha256,
        "champion": f"{champion.promotion.name} version {champion.promotion.version}",
        "champion_asset": dg.MetadataValue.asset(Models.CHAMPION),
        "bundle_sha": champion.sha,
        "score_ids": dg.MetadataValue.md("\n".join(f"- `crp replay {example}`" for example in examples) or "none"),
    }


def _ledger_metadata(
    warehouse: DuckLakeWarehouse, written: Written, audit: Audit, upstream: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        **_table(warehouse, LEDGER, audit.rows),
        "appended": written.appended,
        checks.SEALS_METADATA: audit.seals,
        checks.HEAD_METADATA: audit.head,
        "upstream": dg.MetadataValue.json(upstream),
    }


def _table(warehouse: DuckLakeWarehouse, table: str, rows: int) -> dict[str, Any]:
    columns = [dg.TableColumn(name, kind, description=WORDS[name]) for name, kind in warehouse.columns(table).items()]
    return {
        "dagster/row_count": rows,
        "dagster/table_name": f"lake.{table}",
        "dagster/column_schema": dg.TableSchema(columns),
    }


def _mix_table(mix: list[dict[str, Any]], by: str) -> str:
    lines = [f"| {by} | loans | share | mean PD | amount lent |", "|---|---:|---:|---:|---:|"]
    for row in mix:
        mean = "-" if row["mean_pd"] is None else f"{row['mean_pd']:.2%}"
        amount = "-" if row["amount"] is None else f"{row['amount']:,.0f}"
        lines.append(f"| {row[by]} | {row['loans']:,} | {row['share']:.1%} | {mean} | {amount} |")
    return "\n".join(lines)


def _told_table(counts: dict[str, int], texts: dict[str, str]) -> str:
    lines = [f"| {code} | {texts[code]} | {loans:,} |" for code, loans in counts.items()]
    return "\n".join(["| code | text | loans |", "|---|---|---:|", *lines]) if lines else "none"


def _histogram(warehouse: DuckLakeWarehouse, as_of: dt.date) -> str:
    """Over 0 to 50 %, which holds all but the outliers of any lending book; what lies above is in the last bar."""
    edges = [k / HISTOGRAM_BINS / 2 for k in range(HISTOGRAM_BINS + 1)]
    counts = portfolio_figures.pd_counts(warehouse, as_of, [*edges[:-1], 1.1])
    return score_plots.pd_histogram(counts, edges)
