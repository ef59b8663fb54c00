"""The provisioning room: PDs at application, hazards, LGD, and the expected loss that is computed from them."""

import dagster as dg

from credit_risk_platform.defs.provisioning.ecl import expected_credit_loss
from credit_risk_platform.defs.provisioning.models import hazard_pd, lgd_model
from credit_risk_platform.defs.provisioning.scores import origination_scores_asset
from credit_risk_platform.defs.provisioning.stress import stress_ecl, stress_testing
from credit_risk_platform.settings import Settings

__all__ = ["definitions"]


def definitions(settings: Settings) -> dg.Definitions:
    """The room's assets with their inline checks, and its job. Needs settings, warehouse, bundles and policies."""
    return dg.Definitions(
        assets=[origination_scores_asset, hazard_pd, lgd_model, expected_credit_loss, stress_ecl],
        jobs=[stress_testing],
    )
