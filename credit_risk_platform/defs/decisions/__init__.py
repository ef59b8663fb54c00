"""The decisions room: what the policy says of each application, why, who looks at it, and what a change would bring."""

import dagster as dg

from credit_risk_platform.defs.decisions.decisions import decisions
from credit_risk_platform.defs.decisions.experiments import experiment_readout, shadow_scores
from credit_risk_platform.defs.decisions.fraud import build_fraud_signals
from credit_risk_platform.defs.decisions.notices import adverse_action_notices
from credit_risk_platform.defs.decisions.policy import cutoff_curve, policy_versions
from credit_risk_platform.settings import Settings

__all__ = ["definitions"]


def definitions(settings: Settings) -> dg.Definitions:
    """The room's assets with their inline checks. Needs the resources settings, warehouse, bundles and policies."""
    return dg.Definitions(
        assets=[
            policy_versions,
            cutoff_curve,
            build_fraud_signals(settings),
            decisions,
            adverse_action_notices,
            shadow_scores,
            experiment_readout,
        ]
    )
