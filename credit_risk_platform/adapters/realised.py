"""How the champion's PDs came true: vintages that matured after it was trained, so that it never saw their end."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date

import numpy as np
import pyarrow as pa

from credit_risk_platform.adapters.drift_reference import BATCH_ROWS
from credit_risk_platform.adapters.portfolio import FEATURES, OUTCOMES
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.domain.bundle import ModelBundle
from credit_risk_platform.domain.calibration import intercept_shift
from credit_risk_platform.domain.models.frame import FeatureTable
from credit_risk_platform.domain.scoring import predict

REALISED = "monitoring.realised_pd"
ENOUGH_LOANS = 500
MAX_SHIFT = 0.2
"""Log-odds: the level is off by a fifth."""
MAX_Z = 3.0


@dataclass(frozen=True)
class Realised:
    """`loans` matured loans of vintages the bundle did not know, `bads` of them bad, `mean_pd` what it expected."""

    loans: int
    bads: int
    mean_pd: float
    shift: float
    """ln(observed odds / predicted odds): what to add to the calibrator's intercept."""

    @property
    def bad_rate(self) -> float:
        return self.bads / self.loans if self.loans else 0.0

    @property
    def z(self) -> float:
        """Observed minus expected bad loans in standard errors of a sum of independent loans."""
        spread = float(np.sqrt(self.loans * self.mean_pd * (1 - self.mean_pd)))
        return (self.bads - self.loans * self.mean_pd) / spread if spread else 0.0

    @property
    def enough(self) -> bool:
        return self.loans >= ENOUGH_LOANS

    @property
    def off(self) -> bool:
        """The level is wrong: by more than a fifth, and by more than chance explains."""
        return self.enough and abs(self.shift) > MAX_SHIFT and abs(self.z) > MAX_Z


def realised(warehouse: Warehouse, bundle: ModelBundle, learnt_until: date) -> Realised:
    """PDs as of the application against outcomes, for vintages issued after `learnt_until`."""
    inputs = ", ".join(f"f.{feature.name}" for feature in bundle.features)
    sql = f"""
        select is_bad, {inputs} from {FEATURES} as f join {OUTCOMES} as o using (loan_id)
        where o.matured and o.meets_credit_policy and o.issue_month > ?
    """
    loans, bads, expected = 0, 0, 0.0
    with warehouse.stream(sql, [learnt_until], BATCH_ROWS) as batches:
        for batch in batches:
            table = pa.Table.from_batches([batch])
            loans += table.num_rows
            bads += int(np.sum(table["is_bad"].to_numpy()))
            expected += float(np.sum(predict(bundle, FeatureTable.from_arrow(table, bundle.features))))
    if not loans:
        return Realised(0, 0, 0.0, 0.0)
    observed = np.array([bads / loans])
    return Realised(loans, bads, expected / loans, intercept_shift(np.array([expected / loans]), observed))


def keep_realised(warehouse: Warehouse, found: Realised, as_of: date, bundle_sha: str) -> None:
    """One row per monitored day in `REALISED`: what retraining and people look back at. Replaces that day only."""
    row = {"as_of": as_of, "bundle_sha": bundle_sha, **asdict(found), "z": found.z, "is_off": found.off}
    warehouse.replace(REALISED, pa.Table.from_pylist([row], _SCHEMA), "as_of = ?", [as_of])


_SCHEMA = pa.schema(
    [
        ("as_of", pa.date32()),
        ("bundle_sha", pa.string()),
        ("loans", pa.int64()),
        ("bads", pa.int64()),
        ("mean_pd", pa.float64()),
        ("shift", pa.float64()),
        ("z", pa.float64()),
        ("is_off", pa.bool_()),
    ]
)
