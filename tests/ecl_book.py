"""A small book for the tests of provisions: a real lake with the tables they read, made as their contracts say.

Forty loans of 10,000 over 36 months at 12 %, issued month by month from 2024-01 on and paying as agreed, so that the
balance of a loan at a month end is that of its schedule. `LATE` tells who is not: days past due by month end.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa

from credit_risk_platform.adapters.provisioning_models import ProvisioningStore
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.domain.provisioning.hazard import HazardModel
from credit_risk_platform.domain.provisioning.lgd import LgdModel
from credit_risk_platform.settings import Settings

APRIL, MAY, JUNE = date(2026, 4, 30), date(2026, 5, 31), date(2026, 6, 30)
MONTHS = (APRIL, MAY, JUNE)
LATE = {"L03": (0, 10, 41), "L04": (0, 0, 30), "L05": (0, 0, 31), "L06": (29, 60, 91), "L07": (95, 126, 156)}
CHARGED_OFF, REPAID, FRESH = "L08", "L09", "L39"
"""Left the book in June, both of them; the last was issued in June and has no month in the panel."""
BUNDLE = "b" * 64
HAZARD = HazardModel(
    {"intercept": -3.6, "logit PD": 0.5, "unemployment": 0.08, "1-29, 1+ ahead": 2.0, "30-59, 1+ ahead": 3.0},
    {"intercept": -4.0, "at term": 9.0},
)
LGD = LgdModel(mean=0.6, groups={"36|car": 0.55}, per_point=0.01, reference_unemployment=5.0)


@dataclass
class EclBook:
    """A home with a lake, two models and our own scenarios."""

    settings: Settings
    warehouse: DuckLakeWarehouse

    @property
    def store(self) -> ProvisioningStore:
        return ProvisioningStore(self.settings.paths.models / "provisioning")

    def resources(self) -> dict[str, object]:
        return {"warehouse": self.warehouse, "settings": self.settings}


def make(home: Path) -> EclBook:
    book = EclBook(Settings(home=home), DuckLakeWarehouse(home / "warehouse", threads=1))
    write_loans(book)
    write_panel(book)
    write_scores(book)
    write_models(book)
    return book


def write_models(book: EclBook) -> None:
    book.store.save("hazard", HAZARD)
    book.store.save("lgd", LGD)


def write_scores(book: EclBook, bundle: str = BUNDLE, times: float = 1.0) -> None:
    rows = [{"loan_id": f"L{k:02d}", "pd": (0.03 + 0.005 * k) * times, "bundle_sha": bundle} for k in range(40)]
    book.warehouse.replace_table("gold.origination_scores", pa.Table.from_pylist(rows))


def write_loans(book: EclBook, as_of: date = JUNE) -> None:
    rows = [_loan(k, as_of) for k in range(40)]
    book.warehouse.replace_table("gold.portfolio_loans", pa.Table.from_pylist(rows, schema=_LOANS))


def write_panel(book: EclBook, balance_times: float = 1.0, months: tuple[date, ...] = MONTHS) -> None:
    """`balance_times` is what a source restated: all that is owed, in all months."""
    rows = [row for k in range(39) for row in _months(k, balance_times) if row["month_end"] in months]
    book.warehouse.replace_table("silver.int_loan_month_panel", pa.Table.from_pylist(rows, schema=_PANEL))


_LOANS = pa.schema(
    [
        ("loan_id", pa.string()), ("issue_month", pa.date32()), ("decision_date", pa.date32()),
        ("purpose", pa.string()), ("term_months", pa.int32()), ("loan_amount", pa.decimal128(18, 2)),
        ("interest_rate", pa.float64()), ("status", pa.string()), ("risk_band", pa.string()),
        ("balance", pa.decimal128(18, 2)), ("days_past_due", pa.int32()), ("days_past_due_at_least", pa.int32()),
        ("default_date", pa.date32()), ("closed_date", pa.date32()), ("left_date", pa.date32()),
        ("as_of", pa.date32()),
    ]
)  # fmt: skip
_PANEL = pa.schema(
    [("loan_id", pa.string()), ("month_end", pa.date32()), ("status", pa.string()),
     ("balance", pa.decimal128(18, 2)), ("days_past_due", pa.int32())]
)  # fmt: skip


def _issued(k: int) -> date:
    months = 2024 * 12 + (k % 25)
    return JUNE.replace(day=1) if f"L{k:02d}" == FRESH else date(months // 12, months % 12 + 1, 1)


def _loan(k: int, as_of: date) -> dict[str, object]:
    name, issued = f"L{k:02d}", _issued(k)
    left = {CHARGED_OFF: date(2026, 6, 20), REPAID: date(2026, 6, 5)}.get(name)
    default = {"L06": JUNE, "L07": APRIL, CHARGED_OFF: APRIL}.get(name)
    return {
        "loan_id": name, "issue_month": issued, "decision_date": issued + timedelta(days=4),
        "purpose": ("car", "medical", None)[k % 3], "term_months": 36, "loan_amount": "10000.00", "interest_rate": 0.12,
        "status": "Current", "risk_band": "Medium", "balance": "10000.00", "default_date": default, "left_date": left,
        "closed_date": left, "as_of": as_of,
    } | {"loan_amount": _money(10_000), "balance": _money(10_000)}  # fmt: skip


def _months(k: int, times: float) -> list[dict[str, object]]:
    name, issued = f"L{k:02d}", _issued(k)
    rows = []
    for place, end in enumerate(MONTHS):
        paid = (end.year - issued.year) * 12 + end.month - issued.month
        late = LATE.get(name, (0, 0, 0))[place]
        gone = end == JUNE and name in (CHARGED_OFF, REPAID)
        status = {CHARGED_OFF: "Charged Off", REPAID: "Closed"}[name] if gone else "Current"
        share = (1.01**36 - 1.01**paid) / (1.01**36 - 1)
        late = 100 + 30 * place if name == CHARGED_OFF else late
        rows.append({
            "loan_id": name, "month_end": end, "status": "Default" if late >= 90 and not gone else status,
            "balance": _money(0 if gone and name == REPAID else 10_000 * share * times), "days_past_due": late,
        })  # fmt: skip
    return rows


def _money(amount: float) -> object:
    from decimal import Decimal

    return Decimal(f"{amount:.2f}")
