"""What the lake knows of the present champion that may call for a new one. Reads a few rows and counts vintages."""

from __future__ import annotations

from datetime import date
from typing import Any

from credit_risk_platform.adapters import training_data
from credit_risk_platform.adapters.drift_reference import PD
from credit_risk_platform.adapters.drift_reference import TABLE as REFERENCE
from credit_risk_platform.adapters.drift_report import NEW, SCORE_DRIFT
from credit_risk_platform.adapters.portfolio import OUTCOMES
from credit_risk_platform.adapters.realised import REALISED, Realised
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.domain.retraining import Evidence


def gather(warehouse: Warehouse, bundle_sha: str) -> Evidence:
    """The evidence against this bundle, from the newest monitored day.

    Drift that was measured against another bundle says nothing of this one: then the day counts as not monitored,
    until monitoring has run for this one. The same goes for a champion that a rollback put back.
    """
    day = _newest_day(warehouse, bundle_sha)
    known: dict[str, Any] = {"new_labels": _new_labels(warehouse, bundle_sha)}
    if day is not None:
        known |= {"as_of": day["as_of"], "psi": day["psi"]}
        came_true = _realised(warehouse, bundle_sha, day["as_of"])
        if came_true is not None and came_true.enough:
            known |= {"shift": came_true.shift, "z": came_true.z, "calibration_off": came_true.off}
    return Evidence(bundle_sha, **known)


def _newest_day(warehouse: Warehouse, bundle_sha: str) -> dict[str, Any] | None:
    """Day and PSI of the PDs of new applications; their PSI is None where they were too few."""
    if not warehouse.exists(SCORE_DRIFT):
        return None
    sql = f"""
        select as_of, psi from {SCORE_DRIFT}
        where as_of = (select max(as_of) from {SCORE_DRIFT})
            and bundle_sha = ? and population = ? and feature = ?
    """
    rows = warehouse.query(sql, [bundle_sha, NEW, PD]).to_pylist()
    return rows[0] if rows else None


def _realised(warehouse: Warehouse, bundle_sha: str, as_of: date) -> Realised | None:
    if not warehouse.exists(REALISED):
        return None
    sql = f"select loans, bads, mean_pd, shift from {REALISED} where as_of = ? and bundle_sha = ?"
    rows = warehouse.query(sql, [as_of, bundle_sha]).to_pylist()
    return Realised(**rows[0]) if rows else None


def _new_labels(warehouse: Warehouse, bundle_sha: str) -> int | None:
    """Loans that a training set made now would hold, of vintages later than those the bundle learnt from.

    Not every matured loan: of a vintage whose long loans still run no training learns. None before the bundle's first
    monitoring, which notes what it learnt from.
    """
    if not (warehouse.exists(REFERENCE) and warehouse.exists(OUTCOMES)):
        return None
    sql = f"select max(learnt_until) as until from {REFERENCE} where bundle_sha = ?"
    until = warehouse.query(sql, [bundle_sha])["until"][0].as_py()
    return None if until is None else training_data.loans_after(warehouse, until)
