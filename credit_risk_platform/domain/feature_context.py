"""What surrounds an application: the economy, attributes restricted by law or policy, and the lender's own offer."""

from __future__ import annotations

from functools import partial

from credit_risk_platform.domain.feature_definition import Feature, Policy, Stage

PUBLISHED = "last value published on or before the decision date; later revisions never count"
AFTER_DECISION = "the lender's answer, known only after the decision"
RESTRICTED_USE = "at the decision date; fairness monitoring and policy checks only"

_macro = partial(
    Feature, stage=Stage.MACRO, policy=Policy.MONITORING, as_of_rule=PUBLISHED, owner="team:risk-analytics"
)
_restricted = partial(Feature, stage=Stage.RESTRICTED, policy=Policy.RESTRICTED, as_of_rule=RESTRICTED_USE)
_offer = partial(Feature, stage=Stage.OFFER, policy=Policy.MONITORING, as_of_rule=AFTER_DECISION)


MACRO = (
    _macro(
        "unemployment_rate_pub",
        "Unemployment rate.",
        "UNRATE / 100",
        "ratio",
        inputs=("UNRATE",),
        monotone=1,
        lower=0.0,
        upper=1.0,
    ),
    _macro(
        "policy_rate_pub",
        "Central bank policy rate.",
        "FEDFUNDS / 100",
        "ratio",
        inputs=("FEDFUNDS",),
        lower=-0.05,
        upper=1.0,
    ),
    _macro(
        "gdp_growth_pub",
        "Growth of real GDP over a year.",
        "GDPC1 / GDPC1 a year before - 1, both as known then",
        "ratio",
        inputs=("GDPC1",),
        monotone=-1,
        lower=-0.5,
        upper=0.5,
    ),
    _macro(
        "unemployment_change_12m",
        "Change of the unemployment rate over a year.",
        "(UNRATE - UNRATE a year before) / 100, both as known then",
        "difference of ratios",
        inputs=("UNRATE",),
        monotone=1,
        lower=-0.5,
        upper=0.5,
    ),
    _macro(
        "inflation_pub",
        "Growth of consumer prices over a year.",
        "CPIAUCSL / CPIAUCSL a year before - 1, both as known then",
        "ratio",
        inputs=("CPIAUCSL",),
        lower=-0.5,
        upper=1.0,
    ),
    _macro(
        "consumer_sentiment_pub",
        "University of Michigan consumer sentiment.",
        "UMCSENT",
        "index, 1966 = 100",
        inputs=("UMCSENT",),
        monotone=-1,
        lower=0.0,
        upper=200.0,
    ),
)

RESTRICTED = (
    _restricted(
        "age",
        "Age of the applicant; a protected attribute (Reg B 1002.6(b)(2)).",
        "years",
        "years",
        inputs=("age",),
        lower=18.0,
        upper=120.0,
    ),
    _restricted(
        "education", "Highest education; a proxy.", "category", "category", inputs=("education",), kind="categorical"
    ),
    _restricted(
        "family_size",
        "People in the household; a proxy for family status.",
        "people",
        "count",
        inputs=("family_size",),
        lower=1.0,
        upper=30.0,
    ),
    _restricted(
        "per_capita_income",
        "Annual income per member of the household; built on a proxy.",
        "annual_income / family_size",
        "currency per year",
        inputs=("annual_income", "family_size"),
        lower=0.0,
    ),
    _restricted(
        "state",
        "State of residence: concentration and fairness only.",
        "addr_state",
        "category",
        inputs=("addr_state",),
        kind="categorical",
    ),
)

OFFER = (
    _offer(
        "funded_amount", "Amount the lender funded.", "funded amount", "currency", inputs=("funded_amount",), lower=0.0
    ),
    _offer(
        "int_rate",
        "The lender's annual interest rate.",
        "published rate / 100",
        "ratio",
        inputs=("interest_rate",),
        monotone=1,
        lower=0.0,
        upper=1.0,
    ),
    _offer("grade", "The lender's own grade.", "category", "category", inputs=("grade",), kind="categorical"),
    _offer(
        "sub_grade", "The lender's own sub-grade.", "category", "category", inputs=("sub_grade",), kind="categorical"
    ),
    _offer(
        "instalment_billed",
        "Monthly instalment as the lender billed it.",
        "published instalment",
        "currency per month",
        inputs=("instalment",),
        lower=0.0,
    ),
    _offer(
        "emi_contractual",
        "Monthly instalment at the contractual rate.",
        "P r / (1 - (1 + r)^-n), r = int_rate / 12, rounded to cents",
        "currency per month",
        inputs=("loan_amount", "interest_rate", "term_months"),
        lower=0.0,
    ),
)
