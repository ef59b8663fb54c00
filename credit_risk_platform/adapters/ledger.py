"""The score ledger: one row per score ever given, appended and sealed, never changed.

Belongs here: what the tables hold, and finding a score again. `ledger_writer.py` appends, `ledger_audit.py` checks that
the ledger still is what was written.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from credit_risk_platform.adapters import ledger_sql
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.domain.provenance import Seal

SCORES = "gold.portfolio_scores"
LEDGER = "gold.score_ledger"
SEALS = "gold.ledger_seals"

LEDGER_COLUMNS: dict[str, str] = {
    "score_id": "varchar",
    "loan_id": "varchar",
    "subject_token": "varchar",
    "as_of": "date",
    "known_at": "timestamp",
    "pd": "double",
    "points": "double",
    "band": "varchar",
    "decision": "varchar",
    "reasons": "varchar[]",
    "model_name": "varchar",
    "bundle_sha": "varchar",
    "feature_sql_hash": "varchar",
    "policy_version": "varchar",
    "numeric_inputs": "double[]",
    "categorical_inputs": "varchar[]",
    "inputs_hash": "varchar",
    "upstream": "varchar",
    "kafka_topic": "varchar",
    "kafka_partition": "integer",
    "kafka_offset": "bigint",
    "run_id": "varchar",
    "git_commit": "varchar",
    "code_hash": "varchar",
    "seal_no": "bigint",
    "prev_hash": "varchar",
    "row_hash": "varchar",
}
SEAL_COLUMNS: dict[str, str] = {
    "seal_no": "bigint",
    "rows": "bigint",
    "digest": "varchar",
    "previous": "varchar",
    "run_id": "varchar",
    "sealed_at": "timestamp",
    "seal_hash": "varchar",
}
LINK_COLUMNS = ("seal_no", "prev_hash", "row_hash")
SCORE_COLUMNS = (
    "as_of", "loan_id", "subject_token", "score_id", "pd", "points", "band", "decision", "reasons", "rules",
    "policy_version", "model_name", "bundle_sha", "feature_sql_hash",
)  # fmt: skip


class LedgerError(ValueError):
    """The ledger refuses, or cannot find. The message names the score and what to do."""


class UnknownScoreError(LedgerError):
    """No such score id. `near` lists ids the caller may have meant."""

    def __init__(self, score_id: str, near: Sequence[str], hint: str) -> None:
        self.near = tuple(near)
        super().__init__(f"no score {score_id!r} in the ledger. {hint}")


class ScoreConflictError(LedgerError):
    """The same inputs, bundle and policy now give another score: code or policy has changed under a fixed version."""


class ScoreLedger:
    """Finds scores again."""

    def __init__(self, warehouse: Warehouse) -> None:
        self.warehouse = warehouse

    def find(self, score_id: str) -> dict[str, Any]:
        """The ledger row of a score; an unambiguous beginning of the id (8 digits or more) will do.

        Raises `UnknownScoreError` with the ids that come near, or with the scores of the loan whose id was given.
        """
        if self.warehouse.exists(LEDGER):
            found = self._rows("score_id = ?", score_id)
            if not found and len(score_id) >= 8:
                found = self._rows("starts_with(score_id, ?)", score_id)
            if len(found) == 1:
                return found[0]
        raise self._unknown(score_id)

    def sample(self, count: int, seed: int = 0) -> list[str]:
        """`count` score ids picked evenly over the ledger; the same seed picks the same ones."""
        sql = f"select score_id from {LEDGER} order by sha256(score_id || ?) limit ?"
        return list(self.warehouse.query(sql, [str(seed), count])["score_id"].to_pylist())

    def _rows(self, where: str, score_id: str) -> list[dict[str, Any]]:
        return list(self.warehouse.query(f"select * from {LEDGER} where {where} limit 2", [score_id]).to_pylist())

    def _unknown(self, score_id: str) -> UnknownScoreError:
        if not self.warehouse.exists(LEDGER):
            return UnknownScoreError(score_id, [], "The ledger is empty: materialise gold/portfolio_scores first.")
        sql = f"select score_id from {LEDGER} where loan_id = ? order by as_of desc, score_id limit 5"
        of_loan = self.warehouse.query(sql, [score_id])["score_id"].to_pylist()
        if of_loan:
            return UnknownScoreError(score_id, of_loan, f"That is a loan; its latest scores: {', '.join(of_loan)}.")
        sql = f"select score_id from {LEDGER} order by jaro_winkler_similarity(score_id, ?) desc, score_id limit 3"
        near = self.warehouse.query(sql, [score_id])["score_id"].to_pylist()
        return UnknownScoreError(score_id, near, f"Did you mean one of: {', '.join(near) or 'none yet'}?")


def content_version(warehouse: Warehouse, table: str, as_of: date) -> str:
    """Hash over the scores of one day in `table`: ids, PDs to the bit, bands, decisions with their reasons."""
    said = "coalesce(decision, '-') || ':' || coalesce(array_to_string(reasons, ','), '-')"
    scored = f"score_id || hex(pd::bit::blob) || band || {said}"
    content = f"(select score_id, {scored} as content from {table} where as_of = ?)"
    return str(warehouse.query(ledger_sql.digest(content, "content", digits=2), [as_of])["digest"][0].as_py())


def seal_of(row: dict[str, Any]) -> Seal:
    """A row of `gold.ledger_seals` as the domain's `Seal`."""
    return Seal(**{name: row[name] for name in ("seal_no", "rows", "digest", "previous", "run_id", "sealed_at")})
