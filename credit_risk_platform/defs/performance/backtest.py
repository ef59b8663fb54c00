"""One vintage, one partition, one backtest. A partition exists only once its vintage has matured."""

from typing import Any

import dagster as dg

from credit_risk_platform.adapters import backtests, markdown
from credit_risk_platform.adapters.backtests import Backtest
from credit_risk_platform.adapters.bundles import BundleStore
from credit_risk_platform.adapters.portfolio import NothingToScoreError, bands_on
from credit_risk_platform.adapters.vintages import Vintage
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.catalog import BATCH_RUN, Gold, Group, Models, Monitoring, Owner
from credit_risk_platform.defs.performance.common import champion, table, the_book, warning
from credit_risk_platform.domain.backtest import AMBER, RED, Light
from credit_risk_platform.domain.bands import Bands, ScoringError
from credit_risk_platform.domain.maturity import VintageKeyError, key_of, month_of

VINTAGES = dg.DynamicPartitionsDefinition(name="matured_vintages")
TRAFFIC_LIGHT = dg.AssetCheckSpec(
    "traffic_light",
    asset=Monitoring.BACKTEST_PD,
    description=(
        "The vintage had no more bad loans than its PDs allow: warns when the whole vintage is red (binomial test, "
        "0.1 %), or all bands together are (Hosmer-Lemeshow, 0.1 %)."
    ),
)


@dg.asset(
    key=Monitoring.BACKTEST_PD,
    partitions_def=VINTAGES,
    deps=[
        Gold.APPLICATION_FEATURES,
        Gold.LOAN_OUTCOMES,
        Gold.RISK_BANDS,
        dg.AssetDep(Gold.SCORE_LEDGER, partition_mapping=dg.AllPartitionMapping()),
        Gold.TRAINING_SET,
        Models.CHAMPION,
    ],
    check_specs=[TRAFFIC_LIGHT],
    group_name=Group.PERFORMANCE,
    owners=[Owner.MODELS],
    kinds={"python", "duckdb"},
    code_version="1",
    description=(
        "Predicted against realised default of one matured vintage, per risk band and in total: binomial test, "
        "Hosmer-Lemeshow, traffic light. PDs are those given at the time where the ledger has them, else the "
        "champion's as of the application. Vintages whose loans still run are no partitions: the sensor "
        "label_maturity adds each once it has matured, and asks for its run."
    ),
)
def backtest_pd(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    bundles: dg.ResourceParam[BundleStore],
) -> dg.MaterializeResult:
    bundle = champion(bundles)
    among, learnt = the_book(warehouse, bundle)
    vintage = _matured(context.partition_key, among)
    bands = _bands(warehouse, vintage)
    found = backtests.backtest(warehouse, bundle, vintage, bands)
    rows = backtests.rows_of(found, bundle, learnt.exposure(vintage.month), bands)
    written = warehouse.replace(backtests.TABLE, rows, "issue_month = ?", [vintage.month])
    return dg.MaterializeResult(
        data_version=dg.DataVersion(backtests.version_of(rows)),
        check_results=[traffic_light(found)],
        metadata={
            **table(warehouse, Monitoring.BACKTEST_PD),
            "dagster/partition_row_count": written,
            "bands": dg.MetadataValue.md(_bands_shown(found)),
            "light": str(found.light),
            "loans": vintage.loans,
            "pd_source": found.pd_source,
            "pds_given_at_the_time": found.given,
            "exposure": str(learnt.exposure(vintage.month)),
            "champion": f"{bundle.name} {bundle.sha256[:12]}",
        },
    )


vintage_backtest = dg.define_asset_job(
    "vintage_backtest",
    dg.AssetSelection.assets(Monitoring.BACKTEST_PD),
    description="Predicted against realised default of vintages that have matured; the sensor label_maturity asks.",
    tags=BATCH_RUN,
)


def traffic_light(found: Backtest) -> dg.AssetCheckResult:
    """Red on the whole vintage only: of many bands and months, some are red by chance."""
    total, tested = found.total
    whole = found.all_bands
    metadata: dict[str, Any] = {
        "light": str(found.light),
        "observed_over_expected": total.bads / total.expected,
        "p_too_low": tested.p_too_low,
        "p_too_high": tested.p_too_high,
        "red_bands": ", ".join(band.grade for band, test in found.bands[:-1] if test.light is Light.FAIL) or "none",
    }
    if whole is not None:
        metadata |= {"hosmer_lemeshow_p": whole.p_value, "hosmer_lemeshow_groups": whole.groups}
    else:
        metadata["hosmer_lemeshow"] = "not enough loans"
    failed = found.light is Light.FAIL or (whole is not None and whole.p_value < RED)
    return warning(
        TRAFFIC_LIGHT.name,
        Monitoring.BACKTEST_PD,
        not failed,
        metadata,
        "Look at the table of bands for where PDs and outcomes part, and at the check calibration of "
        "monitoring/score_drift for the intercept shift that would mend the level; then train a new candidate.",
    )


def _matured(key: str, among: list[Vintage]) -> Vintage:
    """The vintage of a partition; ends the run with a sentence where it may not be judged."""
    try:
        month = month_of(key)
    except VintageKeyError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    vintage = next((one for one in among if one.month == month), None)
    if vintage is None:
        raise dg.Failure(f"No loan was issued in {key}: there is nothing to backtest.", allow_retries=False)
    if not vintage.matured:
        raise dg.Failure(
            f"Vintage {key} has not matured: as of {vintage.observed_through}, {vintage.loans - vintage.ripe:,} of its "
            f"{vintage.loans:,} loans are still inside their performance window. The sensor label_maturity backtests "
            "it once they are not.",
            allow_retries=False,
        )
    return vintage


def _bands(warehouse: Warehouse, vintage: Vintage) -> Bands:
    """Those in force when the loans were issued."""
    try:
        return bands_on(warehouse, vintage.month)
    except (NothingToScoreError, ScoringError) as error:
        raise dg.Failure(f"vintage {key_of(vintage.month)}: {error}", allow_retries=False) from error


def _bands_shown(found: Backtest) -> str:
    header = ("band", "loans", "PD", "bad rate", "expected bads", "bads", "p (too low)", "p (too high)", "light")
    lines = (
        (b.grade, b.loans, b.pd, b.bad_rate, round(b.expected, 1), b.bads, t.p_too_low, t.p_too_high, t.light)
        for b, t in found.bands
    )
    note = f"Amber below {AMBER:.0%} chance either way, fail below {RED:.1%} chance of so many bad loans."
    return f"{markdown.table(header, lines)}\n\n{note}"
