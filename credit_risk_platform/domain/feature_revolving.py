"""Features of cards and credit lines. The SQL is marts/features/application_features.sql."""

from __future__ import annotations

from functools import partial

from credit_risk_platform.domain.feature_application import BUREAU
from credit_risk_platform.domain.feature_definition import Feature, Policy, Stage

_model = partial(Feature, stage=Stage.APPLICATION, policy=Policy.MODEL, lower=0.0)
_watched = partial(Feature, stage=Stage.APPLICATION, policy=Policy.MONITORING, lower=0.0)

REVOLVING = (
    _model(
        "revolving_balance",
        "Owed on cards and credit lines.",
        "sum of revolving balances",
        "currency",
        BUREAU,
        inputs=("revolving_balance",),
    ),
    _model(
        "revolving_balance_to_income",
        "Revolving debt against a year's income.",
        "revolving_balance / annual_income; null without income",
        "ratio",
        BUREAU,
        inputs=("revolving_balance", "annual_income"),
        monotone=1,
    ),
    _model(
        "revolving_limit_to_income",
        "Credit others have granted on cards and lines, against a year's income.",
        "revolving_limit, else revolving_balance / published utilisation, / annual_income; null without either",
        "ratio",
        BUREAU,
        inputs=("revolving_limit", "revolving_balance", "reported_utilisation", "annual_income"),
        monotone=-1,
    ),
    _model(
        "revolving_utilisation",
        "Share of the revolving limits in use; above 1 is over the limit.",
        "revolving_balance / revolving_limit, else the bureau's published ratio",
        "ratio",
        BUREAU,
        inputs=("revolving_balance", "revolving_limit", "reported_utilisation"),
        monotone=1,
        upper=20.0,
    ),
    _watched(
        "revolving_is_over_limit",
        "Revolving balances exceed their limits.",
        "1 when revolving_utilisation > 1, else 0",
        "flag",
        BUREAU,
        inputs=("revolving_balance", "revolving_limit", "reported_utilisation"),
        monotone=1,
        upper=1.0,
    ),
    _watched(
        "util_band",
        "Revolving utilisation in bands, for reports.",
        "edges in dbt var util_bands",
        "category",
        BUREAU,
        inputs=("revolving_balance", "revolving_limit", "reported_utilisation"),
        kind="categorical",
        lower=None,
    ),
    _watched(
        "bankcard_utilisation",
        "Share of bank card limits in use; published only from 2012 on.",
        "bureau's bc_util / 100",
        "ratio",
        BUREAU,
        inputs=("bankcard_utilisation",),
        monotone=1,
        upper=20.0,
    ),
)
