"""Performance of the champion by vintage: what came true where loans have matured, what its PDs expect elsewhere.

Two tables that are never mixed. `MATURED` has a row per matured vintage and none for any other. `ESTIMATED` has a row
for every vintage, and what the estimate was off by once the vintage has matured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa

from credit_risk_platform.adapters.vintages import Judged, Vintage, judged_by
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.domain.bundle import ModelBundle
from credit_risk_platform.domain.estimated_performance import auc_standard_error, estimate
from credit_risk_platform.domain.evaluation import auc, evaluate
from credit_risk_platform.domain.maturity import Exposure, Learnt
from credit_risk_platform.domain.splits import Split
from credit_risk_platform.domain.stability import FEWEST_VINTAGES, Stability, gini_stability

MATURED = "monitoring.performance_matured"
ESTIMATED = "monitoring.performance_estimated"
EVER_30 = "silver.int_vintage_ever_30"
FEWEST_BADS = 10
"""Bad (and good) loans below which the AUC of a vintage is left out of the series that are judged or drawn."""
ENOUGH_BADS = 30
MAX_FALL = 0.05
WIDE = 1.96
"""Standard errors either side of a 95 % interval."""
REALISED = ("auc", "gini", "ks", "brier", "log_loss", "ece", "precision", "recall")


@dataclass(frozen=True)
class Fall:
    """Realised AUC of the vintages new to the champion, together, against its out-of-time AUC in development."""

    loans: int
    bads: int
    auc: float | None = None
    development: float | None = None
    error: float | None = None
    """Standard error of the difference."""

    @property
    def enough(self) -> bool:
        return min(self.bads, self.loans - self.bads) >= ENOUGH_BADS and self.development is not None

    @property
    def fallen(self) -> bool:
        """By more than 0.05, and by more than chance explains."""
        if not self.enough or self.auc is None or self.development is None or self.error is None:
            return False
        fall = self.development - self.auc
        return fall > MAX_FALL and fall > WIDE * self.error


def matured_rows(
    warehouse: Warehouse, bundle: ModelBundle, among: list[Vintage], learnt: Learnt, cutoff: float
) -> tuple[pa.Table, Fall]:
    """A row per matured vintage (`MATURED_SCHEMA`), and how the new ones together compare with development."""
    known = {vintage.month: vintage for vintage in among}
    rows, new = [], []
    for found in judged_by(warehouse, bundle, among):
        if found.bad is None:
            continue
        exposure = learnt.exposure(found.month)
        rows.append(_came_true(found, known[found.month], cutoff, exposure, bundle.sha256))
        if exposure is Exposure.NEW:
            new.append((found.pd, found.bad))
    return pa.Table.from_pylist(rows, MATURED_SCHEMA), _fall(new, bundle)


def estimated_rows(
    warehouse: Warehouse, bundle: ModelBundle, among: list[Vintage], learnt: Learnt, cutoff: float
) -> pa.Table:
    """A row per vintage (`ESTIMATED_SCHEMA`): expected performance, early arrears, and the error where labels are."""
    early = early_arrears(warehouse)
    rows = []
    for found in judged_by(warehouse, bundle, among):
        if found.pd.size < 2:
            continue
        rows.append(
            _expected(found, cutoff, learnt.exposure(found.month), bundle.sha256) | early.get(found.month, _NOT_SEEN)
        )
    return pa.Table.from_pylist(rows, ESTIMATED_SCHEMA)


def early_arrears(warehouse: Warehouse) -> dict[date, dict[str, Any]]:
    """Ever 30 days past due by the third month on book, as early warning counts it; vintages that are that old."""
    if not warehouse.exists(EVER_30):
        return {}
    found = warehouse.query(f"select issue_month, loans as early_loans, ever_30_rate as early_rate from {EVER_30}")
    return {row.pop("issue_month"): row for row in found.to_pylist()}


def stability_of(rows: pa.Table) -> dict[str, Stability]:
    """Gini stability over the matured vintages: over `all` and, apart, over those the champion did not learn from."""
    honest = [str(Exposure.HELD_OUT), str(Exposure.NEW)]
    found = {}
    for name, exposures in (("not learnt from", honest), ("all", [str(one) for one in Exposure])):
        some = [row for row in rows.to_pylist() if row["exposure"] in exposures and speaks(row)]
        if len(some) >= FEWEST_VINTAGES:
            months = np.array([row["issue_month"] for row in some], dtype="datetime64[M]")
            found[name] = gini_stability(months, np.array([row["gini"] for row in some]))
    return found


def speaks(row: dict[str, Any]) -> bool:
    """Whether a matured vintage has good and bad loans enough for its AUC to be looked at by itself."""
    return min(row["bads"], row["loans"] - row["bads"]) >= FEWEST_BADS


def _came_true(found: Judged, vintage: Vintage, cutoff: float, exposure: Exposure, sha: str) -> dict[str, Any]:
    assert found.bad is not None
    bads, loans = int(found.bad.sum()), found.bad.size
    metrics: dict[str, Any] = dict.fromkeys((*REALISED, "auc_error"))
    if 0 < bads < loans:
        values = evaluate(found.bad, found.pd, cutoff=cutoff, bootstrap=0)
        metrics = {name: values[name].value for name in REALISED}
        metrics["auc_error"] = auc_standard_error(metrics["auc"], bads, loans - bads)
    return {
        "issue_month": found.month,
        "exposure": str(exposure),
        "loans": loans,
        "bads": bads,
        "observed_bad_rate": bads / loans,
        "expected_bad_rate": float(found.pd.mean()),
        **metrics,
        "cutoff": cutoff,
        "observed_through": vintage.observed_through,
        "bundle_sha": sha,
    }


def _expected(found: Judged, cutoff: float, exposure: Exposure, sha: str) -> dict[str, Any]:
    expected = estimate(found.pd, cutoff)
    realised: dict[str, Any] = dict.fromkeys(("realised_auc", "auc_off_by", "realised_bad_rate", "bad_rate_off_by"))
    if found.bad is not None:
        rate = float(found.bad.mean())
        realised |= {"realised_bad_rate": rate, "bad_rate_off_by": expected.bad_rate - rate}
        if 0 < rate < 1:
            came_true = auc(found.bad, found.pd)
            realised |= {"realised_auc": came_true, "auc_off_by": expected.auc - came_true}
    return {
        "issue_month": found.month,
        "exposure": str(exposure),
        "matured": found.bad is not None,
        "loans": expected.loans,
        "estimated_bad_rate": expected.bad_rate,
        "estimated_auc": expected.auc,
        "auc_error": expected.auc_error,
        "estimated_gini": expected.gini,
        "estimated_ks": expected.ks,
        "estimated_brier": expected.brier,
        "estimated_log_loss": expected.log_loss,
        "estimated_precision": expected.precision,
        "estimated_recall": expected.recall,
        **realised,
        "cutoff": cutoff,
        "bundle_sha": sha,
    }


def _fall(new: Sequence[tuple[np.ndarray, np.ndarray]], bundle: ModelBundle) -> Fall:
    pd = np.concatenate([np.empty(0), *(pds for pds, _ in new)])
    bad = np.concatenate([np.empty(0, np.int8), *(bads for _, bads in new)])
    bads, loans = int(bad.sum()), bad.size
    development = bundle.metrics.get(str(Split.OUT_OF_TIME), {}).get("auc")
    if not 0 < bads < loans or development is None:
        return Fall(loans, bads)
    now = auc(bad, pd)
    before = (development["high"] - development["low"]) / (2 * WIDE)
    error = float(np.hypot(auc_standard_error(now, bads, loans - bads), before))
    return Fall(loans, bads, now, development["value"], error)


_NOT_SEEN = {"early_loans": 0, "early_rate": None}
_NUMBERS = {"loans": pa.int64(), "bads": pa.int64(), "early_loans": pa.int64()}


def _schema(*names: str) -> pa.Schema:
    kinds = {
        **_NUMBERS,
        "issue_month": pa.date32(),
        "observed_through": pa.date32(),
        "exposure": pa.string(),
        "bundle_sha": pa.string(),
        "matured": pa.bool_(),
    }
    return pa.schema([(name, kinds.get(name, pa.float64())) for name in names])


MATURED_SCHEMA = _schema(
    "issue_month", "exposure", "loans", "bads", "observed_bad_rate", "expected_bad_rate", *REALISED, "auc_error",
    "cutoff", "observed_through", "bundle_sha",
)  # fmt: skip
ESTIMATED_SCHEMA = _schema(
    "issue_month", "exposure", "matured", "loans", "estimated_bad_rate", "estimated_auc", "auc_error",
    "estimated_gini", "estimated_ks", "estimated_brier", "estimated_log_loss", "estimated_precision",
    "estimated_recall", "early_loans", "early_rate", "realised_auc", "auc_off_by", "realised_bad_rate",
    "bad_rate_off_by", "cutoff", "bundle_sha",
)  # fmt: skip
