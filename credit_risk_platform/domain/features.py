"""The feature registry: every column of the feature marts, once, with its meaning and what it may be used for.

The formulas run as SQL (dbt_project/models/marts/features); this registry says what they mean. A test holds both
together: same columns, same descriptions, same ranges. Change a feature in both places, then run
`python dbt_project/write_feature_docs.py`.
"""

from __future__ import annotations

from credit_risk_platform.domain.feature_application import INCOME, REQUEST
from credit_risk_platform.domain.feature_behaviour import BEHAVIOUR
from credit_risk_platform.domain.feature_bureau import BUREAU_FILE
from credit_risk_platform.domain.feature_cashflow import CASHFLOW
from credit_risk_platform.domain.feature_context import MACRO, OFFER, RESTRICTED
from credit_risk_platform.domain.feature_definition import Feature, Policy, Stage
from credit_risk_platform.domain.feature_revolving import REVOLVING

__all__ = ["MARTS", "REGISTRY", "Feature", "Policy", "Stage", "by_name", "model_features", "of_stages"]

REGISTRY: tuple[Feature, ...] = (
    *REQUEST,
    *INCOME,
    *REVOLVING,
    *BUREAU_FILE,
    *MACRO,
    *BEHAVIOUR,
    *RESTRICTED,
    *OFFER,
    *CASHFLOW,
)

MARTS: dict[str, tuple[Stage, ...]] = {
    "application_features": (Stage.APPLICATION, Stage.MACRO),
    "behaviour_features": (Stage.BEHAVIOUR,),
    "restricted_attributes": (Stage.RESTRICTED,),
    "loan_offers": (Stage.OFFER,),
    "cashflow_features": (Stage.ALTERNATIVE,),
}
"""Gold mart -> the stages whose features are its columns, in registry order."""


def of_stages(*stages: Stage) -> tuple[Feature, ...]:
    """The features of these stages, in registry order."""
    return tuple(feature for feature in REGISTRY if feature.stage in stages)


def model_features(*, alternative_data: bool = False) -> tuple[Feature, ...]:
    """What the application PD may use: known at the decision, cleared for models; alternative data if it is on."""
    stages = (Stage.APPLICATION, Stage.ALTERNATIVE) if alternative_data else (Stage.APPLICATION,)
    return tuple(feature for feature in of_stages(*stages) if feature.policy is Policy.MODEL)


def by_name(name: str) -> Feature:
    """The feature called `name`; raises `KeyError` naming it when there is none."""
    for feature in REGISTRY:
        if feature.name == name:
            return feature
    raise KeyError(f"{name} is not a registered feature; see domain/features.py")
