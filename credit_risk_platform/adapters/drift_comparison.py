"""The two drift reports of a day: whom each compares with whom, and what it found, in words and figures.

Belongs here: choosing samples and putting findings together. Does not: drawing samples (`drift_samples.py`), Evidently
(`evidently_reports.py`), and PSI over everybody (`drift_report.py`), which is only shown beside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import pyarrow as pa

from credit_risk_platform.adapters import drift_samples, evidently_reports
from credit_risk_platform.adapters.drift_report import FEATURE_DRIFT, SCORE_DRIFT
from credit_risk_platform.adapters.drift_samples import SAMPLE_ROWS, DaySample, Part, Pinned
from credit_risk_platform.adapters.evidently_reports import DIGITS, DRIFTED_SHARE, Comparison
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.domain.bundle import ModelBundle
from credit_risk_platform.domain.drift import ENOUGH_ROWS
from credit_risk_platform.domain.models.frame import FeatureTable, by_kind
from credit_risk_platform.domain.models.scorecard import Scorecard
from credit_risk_platform.domain.policy import Policy
from credit_risk_platform.domain.scoring import predict

FEATURES, PREDICTIONS = "feature_drift", "prediction_drift"
TITLES = {FEATURES: "Feature drift", PREDICTIONS: "Prediction drift"}
HELD_AGAINST = {FEATURES: "its training split", PREDICTIONS: "its held-out vintages, scored by the same bundle"}
NOT_ENOUGH, NOT_JUDGED, MOVED, STABLE = "not enough data", "not judged", "drifted", "stable"


@dataclass(frozen=True)
class DriftReport:
    """`comparison` is None where a side has fewer than 500 rows.

    `in_warehouse`: PSI by fixed bins over everybody, where that day has been measured. `points_shift`: scorecards only.
    """

    name: str
    as_of: date
    reference: Pinned
    day: DaySample
    comparison: Comparison | None
    in_warehouse: Mapping[str, float | None]
    points_shift: Mapping[str, float]

    @property
    def verdict(self) -> str:
        """New applications are judged. The open portfolio, which is also shaped by who has left, is only shown."""
        if self.comparison is None:
            return NOT_ENOUGH
        if self.day.fell_back:
            return NOT_JUDGED
        return MOVED if self.comparison.drifted_share > DRIFTED_SHARE else STABLE

    def summary(self) -> dict[str, Any]:
        """Everything that was found, as plain values: the same data, the same values."""
        return {
            "report": self.name,
            "as_of": self.as_of.isoformat(),
            "verdict": self.verdict,
            "population": self.day.population,
            "compared": self.day.described,
            "loans": self.day.loans,
            "rows_sampled": self.day.rows.num_rows,
            "reference": {
                "is": f"{self.reference.described}: {HELD_AGAINST[self.name]}",
                "bundle_sha": self.reference.bundle_sha,
                "data_version": self.reference.data_version,
                "rows_sampled": self.reference.rows.num_rows,
            },
            "psi_in_warehouse": dict(self.in_warehouse),
            "points_shift": dict(self.points_shift),
            **(self.comparison.as_dict() if self.comparison else {}),
        }


def feature_report(warehouse: Warehouse, bundle: ModelBundle, as_of: date, limit: int = SAMPLE_ROWS) -> DriftReport:
    """The day's new applications against the champion's training split. Raises `NoReferenceError`."""
    reference = drift_samples.pinned(warehouse, bundle, Part.TRAIN, limit)
    day = drift_samples.applicants(warehouse, bundle, as_of, limit)
    numbers = [feature.name for feature in by_kind(bundle.features)[0]]
    shift = _points_shift(bundle, reference.rows, day.rows) if _enough(reference, day) else {}
    return _report(warehouse, FEATURES, as_of, reference, day, (reference.rows, day.rows), numbers, shift)


def prediction_report(
    warehouse: Warehouse, bundle: ModelBundle, policy: Policy, as_of: date, limit: int = SAMPLE_ROWS
) -> DriftReport:
    """PDs, bands and decisions of the day against what the same bundle and policy say of the held-out vintages.

    The policy in force on the day decides on both sides: a new one is no drift of the applicants. Raises
    `NoReferenceError`, and `PolicyError` when the policy reads what the bundle does not.
    """
    reference = drift_samples.pinned(warehouse, bundle, Part.HELD_OUT, limit)
    day = drift_samples.predictions(warehouse, as_of, limit)
    frame = FeatureTable.from_arrow(reference.rows, bundle.features)
    pds = predict(bundle, frame)
    before = pa.table({"pd": pds, "band": policy.bands.of(pds), "decision": policy.decide(frame, pds).decision})
    told = [name for name in before.column_names if day.rows[name].null_count < day.rows.num_rows]
    sides = (before.select(told), day.rows.select(told))
    return _report(warehouse, PREDICTIONS, as_of, reference, day, sides, ["pd"], {})


def _report(
    warehouse: Warehouse,
    name: str,
    as_of: date,
    reference: Pinned,
    day: DaySample,
    sides: tuple[pa.Table, pa.Table],
    numbers: list[str],
    points_shift: Mapping[str, float],
) -> DriftReport:
    comparison = None
    measured = _in_warehouse(warehouse, name, as_of, reference.bundle_sha, day.population)
    if _enough(reference, day):
        names = sorted(sides[0].column_names, key=lambda column: -(measured.get(column) or 0.0))  # worst on top
        heading = [
            f"{TITLES[name]} as of {as_of}",
            f"Current: {day.described}, {day.rows.num_rows:,} of {day.loans:,} loans",
            f"Reference: {reference.described}: {HELD_AGAINST[name]}, {reference.rows.num_rows:,} loans",
            f"Model bundle {reference.bundle_sha}, reference data version {reference.data_version}",
        ]
        comparison = evidently_reports.compare(sides[0].select(names), sides[1].select(names), numbers, heading)
    return DriftReport(name, as_of, reference, day, comparison, measured, points_shift)


def _enough(reference: Pinned, day: DaySample) -> bool:
    return bool(min(reference.rows.num_rows, day.rows.num_rows) >= ENOUGH_ROWS)


def _in_warehouse(
    warehouse: Warehouse, name: str, as_of: date, bundle_sha: str, population: str
) -> dict[str, float | None]:
    table = FEATURE_DRIFT if name == FEATURES else SCORE_DRIFT
    if not warehouse.exists(table):
        return {}
    sql = f"select feature, psi from {table} where as_of = ? and bundle_sha = ? and population = ? order by feature"
    found = warehouse.query(sql, [as_of, bundle_sha, population]).to_pylist()
    return {row["feature"]: None if row["psi"] is None else round(row["psi"], DIGITS) for row in found}


def _points_shift(bundle: ModelBundle, before: pa.Table, now: pa.Table) -> dict[str, float]:
    """CSI as scorecards have it (Siddiqi 2017): sum over bins of (actual - expected share) * points.

    That is the difference of the mean points of a characteristic; what it did to the average score. Empty for models
    without points.
    """
    card = bundle.model
    if not isinstance(card, Scorecard):
        return {}
    means = [
        card.table.points(card.design(FeatureTable.from_arrow(rows, bundle.features))).mean(axis=0)
        for rows in (before, now)
    ]
    return {
        name: round(float(shift), DIGITS) for name, shift in zip(card.table.features, means[1] - means[0], strict=True)
    }
