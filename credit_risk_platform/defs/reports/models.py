"""Documents of a model version: its card, and whether it still does what it was promoted for."""

import datetime as dt

import dagster as dg

from credit_risk_platform.adapters.bundles import BundleStore
from credit_risk_platform.adapters.reports import model_card as cards
from credit_risk_platform.adapters.reports import validation
from credit_risk_platform.adapters.reports.model_card import ModelVersion
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.catalog import Gold, Group, Models, Monitoring, Owner
from credit_risk_platform.defs.reports.common import publish, reproducible
from credit_risk_platform.settings import Settings

KINDS = {"jinja", "html", "python"}


@dg.asset(
    key=Models.MODEL_CARD,
    deps=[Models.CHAMPION, Gold.TRAINING_SET, Gold.LOAN_OUTCOMES, Gold.FAIR_LENDING],
    check_specs=[reproducible(Models.MODEL_CARD)],
    group_name=Group.REPORTS,
    owners=[Owner.MODELS],
    kinds=KINDS,
    code_version="1",
    description=(
        "The card of the champion: purpose, training window and fingerprint, inputs with their policy status, metrics "
        "per split with intervals, calibration, fairness, limits, owner, gates passed. One page per promoted version, "
        "kept when the next one reigns. Written in the style of SR 26-2; a form, not a finding."
    ),
)
def model_card(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    warehouse: dg.ResourceParam[Warehouse],
    bundles: dg.ResourceParam[BundleStore],
) -> dg.MaterializeResult:
    version = _champion(bundles)
    report = cards.report(warehouse, version, _known_until(warehouse), Owner.MODELS)
    return publish(context, settings, report, version.name, Models.MODEL_CARD)


@dg.asset(
    key=Monitoring.REPORT_MODEL_VALIDATION,
    deps=[
        Models.CHAMPION,
        Models.LEADERBOARD,
        Gold.LOAN_OUTCOMES,
        Monitoring.PERFORMANCE_MATURED,
        Monitoring.BACKTEST_PD,
        Monitoring.SCORE_DRIFT,
        Monitoring.FEATURE_DRIFT,
    ],
    check_specs=[reproducible(Monitoring.REPORT_MODEL_VALIDATION)],
    group_name=Group.REPORTS,
    owners=[Owner.MODELS],
    kinds=KINDS,
    code_version="1",
    description=(
        "The champion under review, as a page: outcomes per matured vintage, backtests, stability of scores and "
        "inputs, the candidates and plain rules beside it, and how far PDs move with each input. One folder per "
        "version; each number links to the event that made it. SR 26-2-style documentation for the validator, who "
        "does the judging."
    ),
)
def report_model_validation(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    warehouse: dg.ResourceParam[Warehouse],
    bundles: dg.ResourceParam[BundleStore],
) -> dg.MaterializeResult:
    version = _champion(bundles)
    report = validation.report(warehouse, version, _known_until(warehouse))
    return publish(context, settings, report, version.name, Monitoring.REPORT_MODEL_VALIDATION)


def _champion(bundles: BundleStore) -> ModelVersion:
    pointer = bundles.pointer()
    if pointer is None:
        raise dg.Failure("There is no champion to write of. Materialise models/champion first.", allow_retries=False)
    return ModelVersion(bundles.load(pointer.sha), pointer)


def _known_until(warehouse: Warehouse) -> dt.date:
    """The last day the book knows of: what is known of a model changes with it."""
    if warehouse.exists("gold.loan_outcomes"):
        sql = "select max(observed_through) as day from gold.loan_outcomes"
        day: dt.date | None = warehouse.query(sql)["day"][0].as_py()
        if day is not None:
            return day
    raise dg.Failure("The book is empty: land loans and materialise gold/loan_outcomes first.", allow_retries=False)
