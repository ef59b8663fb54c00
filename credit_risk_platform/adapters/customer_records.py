"""What a customer may see of his own application: what was decided, the band, and the reasons in approved words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from credit_risk_platform.adapters import api_sink, decisions, policy_record
from credit_risk_platform.adapters.warehouse.base import Warehouse


@dataclass(frozen=True)
class CustomerRecord:
    """One application. `outcome` is None while nothing was decided; `bands` from the lowest risk to the highest."""

    reference: str
    outcome: str | None
    decided_on: date | None = None
    band: str | None = None
    bands: Sequence[str] = ()
    codes: Sequence[str] = ()
    reasons: Sequence[str] = ()


class CustomerRecords:
    """Records by the id of their score. Reads only."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def find(self, score_id: str) -> CustomerRecord | None:
        """The application with exactly this score; `None` for a score of anything else, or none at all."""
        if self._warehouse.exists(decisions.TABLE):
            sql = f"""
                select outcome, cast(decided_at as date) as decided_on, band, reasons, reason_texts, policy_version
                from {decisions.TABLE} where score_id = ?
            """
            for row in self._warehouse.query(sql, [score_id]).to_pylist():
                return CustomerRecord(
                    score_id,
                    row["outcome"],
                    row["decided_on"],
                    row["band"],
                    self._bands(row["policy_version"]),
                    row["reasons"] or (),
                    row["reason_texts"] or (),
                )
        return CustomerRecord(score_id, None) if self._applied(score_id) else None

    def _applied(self, score_id: str) -> bool:
        if not self._warehouse.exists(api_sink.SCORES):
            return False
        sql = f"select count(*) as n from {api_sink.SCORES} where score_id = ?"
        return bool(self._warehouse.query(sql, [score_id])["n"][0].as_py())

    def _bands(self, version: str) -> Sequence[str]:
        if not self._warehouse.exists(policy_record.TABLE):
            return ()
        sql = f"select bands from {policy_record.TABLE} where policy_version = ?"
        found = self._warehouse.query(sql, [version])["bands"].to_pylist()
        return json.loads(found[0])["names"] if found else ()
