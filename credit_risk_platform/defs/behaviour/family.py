"""The behavioural PD as a family of models: its rows, its SQL, its limits."""

from collections.abc import Sequence

from credit_risk_platform.adapters import behaviour_data
from credit_risk_platform.catalog import Models
from credit_risk_platform.domain.features import Stage
from credit_risk_platform.settings import Settings
from credit_risk_platform.workbench.family import Family

CANDIDATES = ("logistic_regression", "xgboost")
"""A linear model and a boosted one: thirteen inputs do not keep six models of the zoo apart."""
MAX_AUC = 0.95
"""Days past due are how a default begins, so an AUC of 0.85 to 0.95 can be honest here, where for an application
anything above 0.80 is suspect. Beyond this limit a feature probably knows the outcome."""


def _candidates(_settings: Settings) -> Sequence[str]:
    return CANDIDATES


BEHAVIOURAL = Family(
    kind="behavioural",
    champion=Models.BEHAVIOUR_CHAMPION,
    table=behaviour_data.SET,
    stage=Stage.BEHAVIOUR,
    inputs="repayment behaviour",
    candidates=_candidates,
    feature_sql=behaviour_data.feature_sql,
    intake_model="int_loan_month_panel",
    run_prefix="behaviour_",
)
