"""The two models behind every allowance: when loans default (hazards), and how much is lost then (LGD)."""

import dagster as dg

from credit_risk_platform.adapters import person_months, workouts
from credit_risk_platform.adapters.portfolio import NothingToScoreError
from credit_risk_platform.adapters.provisioning_models import ProvisioningStore
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.catalog import Gold, Group, Models, Owner
from credit_risk_platform.defs.provisioning import model_checks, model_pages
from credit_risk_platform.domain.provisioning import hazard_fit, lgd_fit
from credit_risk_platform.domain.provisioning.hazard_fit import HazardError, OutOfTime
from credit_risk_platform.domain.provisioning.lgd import WORKOUT_MONTHS
from credit_risk_platform.settings import Settings

PANEL = dg.AssetKey(["silver", "int_loan_month_panel"])
MACRO = dg.AssetKey(["silver", "int_macro_published"])
STAGED = [dg.AssetKey(["silver", f"stg_{source}__loans"]) for source in ("synthetic", "lending_club", "landing")]


@dg.asset(
    key=Models.HAZARD_PD,
    deps=[Gold.ORIGINATION_SCORES, Gold.LOAN_OUTCOMES, PANEL, MACRO],
    check_specs=model_checks.HAZARD_CHECKS,
    group_name=Group.PROVISIONING,
    owners=[Owner.MODELS],
    kinds={"python", "scikitlearn", "duckdb"},
    code_version="1",
    pool="dbt",  # several queries, one state: no build swaps the tables between two of them
    description=(
        "Chance of a loan on the book to default in each month ahead, from which 12-month and lifetime PDs follow: "
        "discrete-time hazards of default and, competing with it, of repayment, by months on book, term, PD at "
        "application, arrears by how long ago they were seen, and unemployment as it was published, which may only "
        "raise the risk. Learnt from loans followed from their issue and from month ends on the book; loans that still "
        "run are censored, not good. The months at risk are a weighted sample that holds every default."
    ),
)
def hazard_pd(
    context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Warehouse], settings: dg.ResourceParam[Settings]
) -> dg.MaterializeResult:
    try:
        at_risk = person_months.read(warehouse, settings.training_sample_rows)
        model = hazard_fit.fit(at_risk.months, model_pages.hazard_notes(at_risk))
    except (NothingToScoreError, HazardError) as error:
        raise dg.Failure(f"{error}. No hazards can be learnt.", allow_retries=False) from error
    judged = _out_of_time(context, at_risk)
    matured = person_months.matured(warehouse, settings.training_sample_rows)
    ProvisioningStore(settings.files("models").below("provisioning")).save("hazard", model)
    context.log.info("hazards of %d months at risk, model %s", at_risk.months_at_risk, model.sha256[:12])
    curves = hazard_fit.from_issue(model, matured["term_months"].to_numpy(), matured["pd"].to_numpy(), at_risk.months)
    return dg.MaterializeResult(
        data_version=dg.DataVersion(model.sha256),
        metadata=model_pages.hazard_page(model, at_risk, judged, curves, matured),
        check_results=[model_checks.hazard_marginals_sum(curves), model_checks.hazard_calibration(judged)],
    )


@dg.asset(
    key=Models.LGD_MODEL,
    deps=[Gold.LOAN_OUTCOMES, *STAGED, MACRO],
    check_specs=model_checks.LGD_CHECKS,
    group_name=Group.PROVISIONING,
    owners=[Owner.MODELS],
    kinds={"python", "duckdb"},
    code_version="1",
    pool="dbt",
    description=(
        "Share of the exposure at default that is lost: realised losses of defaulted loans whose workout is over "
        f"({WORKOUT_MONTHS} months), recoveries discounted at the loan's own rate and after collection costs, by term "
        "and purpose, each group pulled towards the mean by how few workouts it has. Workouts that still run are left "
        "out and counted. An add-on per point of unemployment applies where losses clearly rose with it. The longer a "
        "loan is in default, the less is still to come."
    ),
)
def lgd_model(
    context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Warehouse], settings: dg.ResourceParam[Settings]
) -> dg.MaterializeResult:
    try:
        found = workouts.read(warehouse, f"silver.stg_{settings.portfolio_source.value}__loans")
    except NothingToScoreError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    model = lgd_fit.fit(found.closed, model_pages.lgd_notes(found))
    ProvisioningStore(settings.files("models").below("provisioning")).save("lgd", model)
    context.log.info("LGD of %d closed workouts, model %s", len(found.closed), model.sha256[:12])
    return dg.MaterializeResult(
        data_version=dg.DataVersion(model.sha256),
        metadata=model_pages.lgd_page(model, found),
        check_results=[model_checks.lgd_in_range(model), model_checks.lgd_basis(model)],
    )


def _out_of_time(context: dg.AssetExecutionContext, at_risk: person_months.AtRisk) -> OutOfTime | None:
    """`None` for a book too small to be split: the model stands, unjudged, and its check says so."""
    try:
        return hazard_fit.out_of_time(at_risk.months)
    except HazardError as error:
        context.log.info("no out-of-time check: %s", error)
        return None
