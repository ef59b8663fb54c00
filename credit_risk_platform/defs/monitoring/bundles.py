"""Which model is watched: the champion, or whoever scored a day."""

import datetime as dt

import dagster as dg

from credit_risk_platform.adapters.bundles import BundleStore
from credit_risk_platform.adapters.portfolio import bundle_of_day
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.domain.bundle import ModelBundle


def champion(bundles: BundleStore) -> ModelBundle:
    """The bundle that scores now. Raises `dg.Failure` before the first promotion."""
    bundle = bundles.champion()
    if bundle is None:
        raise dg.Failure("There is no champion to watch. Materialise models/champion first.", allow_retries=False)
    return bundle


def scorer_of(warehouse: Warehouse, bundles: BundleStore, as_of: dt.date) -> ModelBundle:
    """The bundle that scored a day. Raises `dg.Failure` for a day without scores."""
    sha = bundle_of_day(warehouse, as_of)
    if sha is None:
        raise dg.Failure(
            f"no loan is scored as of {as_of}: materialise that partition of gold/portfolio_scores first",
            allow_retries=False,
        )
    return bundles.load(sha)
