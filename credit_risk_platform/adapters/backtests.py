"""One vintage's PDs against what became of its loans, band by band.

The PD that counts is the one that was given: the loan's first application score on the ledger, if it stood there
within 90 days of the decision. A score made later for an old day is no forecast. Loans without one are scored by the
champion as of their application, and the rows say how many those were.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from credit_risk_platform.adapters.drift_reference import BATCH_ROWS
from credit_risk_platform.adapters.ledger import LEDGER
from credit_risk_platform.adapters.portfolio import FEATURES, OUTCOMES
from credit_risk_platform.adapters.vintages import Vintage
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.domain.backtest import (
    BandVerdict,
    Graded,
    HosmerLemeshow,
    Light,
    binomial_test,
    grade,
    in_total,
)
from credit_risk_platform.domain.backtest import hosmer_lemeshow as all_bands_test
from credit_risk_platform.domain.bands import Bands
from credit_risk_platform.domain.bundle import ModelBundle
from credit_risk_platform.domain.maturity import Exposure
from credit_risk_platform.domain.models.frame import FeatureTable
from credit_risk_platform.domain.scoring import predict

TABLE = "monitoring.backtest_pd"
TOTAL = "all"
GIVEN, CHAMPION, BOTH = "given at the time", "champion as of the application", "both"
GIVEN_WITHIN_DAYS = 90
LONGEST_DECISION_DAYS = 400
"""How long before its month of issue a loan may have been decided on: it only narrows the search of the ledger."""


@dataclass(frozen=True)
class Backtest:
    """The bands that hold loans with their tests, all of them together last, and the test over all bands."""

    vintage: Vintage
    bands: tuple[tuple[Graded, BandVerdict], ...]
    all_bands: HosmerLemeshow | None
    given: int
    """Loans whose PD was on the ledger."""

    @property
    def total(self) -> tuple[Graded, BandVerdict]:
        return self.bands[-1]

    @property
    def light(self) -> Light:
        return self.total[1].light

    @property
    def pd_source(self) -> str:
        if self.given == self.vintage.loans:
            return GIVEN
        return BOTH if self.given else CHAMPION


def backtest(warehouse: Warehouse, bundle: ModelBundle, vintage: Vintage, bands: Bands) -> Backtest:
    """Test a matured vintage in the risk bands `bands`."""
    pd, bad, given = _forecasts(warehouse, bundle, vintage.month)
    found = grade(bands.names, bands.indices(pd), pd, bad)
    tested = tuple((band, binomial_test(band)) for band in [*found, in_total(found, TOTAL)])
    return Backtest(vintage, tested, all_bands_test(found), given)


def rows_of(found: Backtest, bundle: ModelBundle, exposure: Exposure, bands: Bands) -> pa.Table:
    """The rows kept for a vintage: a row per band, and `all`."""
    same: dict[str, Any] = {
        "pd_source": found.pd_source,
        "given_loans": found.given,
        "exposure": str(exposure),
        "policy_version": bands.policy_version,
        "bundle_sha": bundle.sha256,
        "observed_through": found.vintage.observed_through,
    }
    return pa.Table.from_pylist([{**_row(found, *line), **same} for line in found.bands], SCHEMA)


def version_of(rows: pa.Table) -> str:
    """Hash of the content of a vintage's rows."""
    return hashlib.sha256(json.dumps(rows.to_pylist(), default=str).encode()).hexdigest()


def _row(found: Backtest, band: Graded, tested: BandVerdict) -> dict[str, Any]:
    whole = found.all_bands if band.grade == TOTAL else None
    return {
        "issue_month": found.vintage.month,
        "band": band.grade,
        "loans": band.loans,
        "expected_pd": band.pd,
        "bad_rate": band.bad_rate,
        "expected_bads": band.expected,
        "bads": band.bads,
        "p_too_low": tested.p_too_low,
        "p_too_high": tested.p_too_high,
        "light": str(tested.light),
        "hosmer_lemeshow": None if whole is None else whole.statistic,
        "hosmer_lemeshow_p": None if whole is None else whole.p_value,
    }


def _forecasts(warehouse: Warehouse, bundle: ModelBundle, month: date) -> tuple[np.ndarray, np.ndarray, int]:
    """(PD, 1 for bad, how many PDs were given at the time) of the vintage's loans."""
    inputs = ", ".join(f"f.{feature.name}" for feature in bundle.features)
    given, params = _given(warehouse, month)
    sql = f"""
        with given as ({given})
        select given.pd as given_pd, o.is_bad as went_bad, {inputs}
        from {OUTCOMES} as o join {FEATURES} as f using (loan_id) left join given using (loan_id)
        where o.meets_credit_policy and o.issue_month = ?
    """
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    with warehouse.stream(sql, [*params, month], BATCH_ROWS) as batches:
        for batch in batches:
            table = pa.Table.from_batches([batch])
            first = table["given_pd"].cast(pa.float64()).to_numpy()
            own = predict(bundle, FeatureTable.from_arrow(table, bundle.features))
            was_given = ~np.isnan(first)
            parts.append((np.where(was_given, first, own), table["went_bad"].to_numpy(), was_given))
    pd, bad, was_given = (np.concatenate(column) for column in zip(*parts, strict=True))
    return pd, bad.astype(np.float64), int(was_given.sum())


def _given(warehouse: Warehouse, month: date) -> tuple[str, list[Any]]:
    """Query for the first application score of each loan of the vintage, and its parameters."""
    if not warehouse.exists(LEDGER):
        return "select null::varchar as loan_id, null::double as pd where false", []
    sql = f"""
        select l.loan_id, l.pd from {LEDGER} as l join {OUTCOMES} as d using (loan_id)
        where d.issue_month = ? and l.known_at >= ? and l.known_at < ?
            and l.known_at < d.decision_date + interval {GIVEN_WITHIN_DAYS} day
            and coalesce(l.kafka_topic, '') <> 'repayments'
        qualify row_number() over (partition by l.loan_id order by l.known_at, l.score_id) = 1
    """
    earliest = month - timedelta(days=LONGEST_DECISION_DAYS)
    latest = month + timedelta(days=31 + GIVEN_WITHIN_DAYS)
    return sql, [month, earliest, latest]


SCHEMA = pa.schema(
    [
        ("issue_month", pa.date32()),
        ("band", pa.string()),
        ("loans", pa.int64()),
        ("expected_pd", pa.float64()),
        ("bad_rate", pa.float64()),
        ("expected_bads", pa.float64()),
        ("bads", pa.int64()),
        ("p_too_low", pa.float64()),
        ("p_too_high", pa.float64()),
        ("light", pa.string()),
        ("hosmer_lemeshow", pa.float64()),
        ("hosmer_lemeshow_p", pa.float64()),
        ("pd_source", pa.string()),
        ("given_loans", pa.int64()),
        ("exposure", pa.string()),
        ("policy_version", pa.string()),
        ("bundle_sha", pa.string()),
        ("observed_through", pa.date32()),
    ]
)
