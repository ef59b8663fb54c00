"""The open portfolio of a day: which loans are open, and their scores batch by batch.

A loan is open on a day when it was decided by then and had neither defaulted nor closed, as far as the book knows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import pyarrow as pa

from credit_risk_platform.adapters.ledger import SCORES
from credit_risk_platform.adapters.policies import BANDS
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.domain.bundle import ModelBundle
from credit_risk_platform.domain.policy import Policy
from credit_risk_platform.domain.scoring import Bands, score

FEATURES = "gold.application_features"
OUTCOMES = "gold.loan_outcomes"
BATCH_ROWS = 250_000

OPEN = """
    decision_date <= ?
    and coalesce(default_date > ?, true)
    and coalesce(closed_date > ?, true)
"""
"""Predicate over `gold.loan_outcomes`; takes the day three times (`open_on`)."""


class NothingToScoreError(LookupError):
    """A mart that scoring reads is not there yet; the message says what to materialise."""


@dataclass(frozen=True)
class Coverage:
    """Open loans of a day against its scores. `examples` are a few loan ids that are missing, doubled or not open."""

    open_loans: int
    scored: int
    missing: int
    doubled: int
    not_open: int
    examples: tuple[str, ...]

    @property
    def complete(self) -> bool:
        return not (self.missing or self.doubled or self.not_open)


def open_on(as_of: date) -> list[date]:
    """The parameters of `OPEN`."""
    return [as_of] * 3


def bands_on(warehouse: Warehouse, as_of: date) -> Bands:
    """The version of the risk bands in force on a day."""
    _require(warehouse, BANDS)
    return Bands.from_rows(warehouse.query(f"select * from {BANDS}"), as_of)


def score_open_loans(
    warehouse: Warehouse, bundle: ModelBundle, as_of: date, policy: Policy | Bands, batch_rows: int = BATCH_ROWS
) -> Iterator[pa.RecordBatch]:
    """Scores (`SCORE_SCHEMA`) of every loan open on `as_of`, in bounded memory."""
    for table in (FEATURES, OUTCOMES):
        _require(warehouse, table)
    inputs = ", ".join(f"f.{feature.name}" for feature in bundle.features)
    sql = f"""
        select f.loan_id, f.subject_token, {inputs}
        from {FEATURES} as f
        semi join (select loan_id from {OUTCOMES} where {OPEN}) using (loan_id)
    """
    with warehouse.stream(sql, open_on(as_of), batch_rows) as features:
        for batch in features:
            scored = score(bundle, pa.Table.from_batches([batch]), as_of, policy)
            yield from scored.combine_chunks().to_batches()


def coverage(warehouse: Warehouse, as_of: date) -> Coverage:
    """Whether each open loan has exactly one score of that day, and nothing else has one."""
    sql = f"""
        with wanted as (select loan_id from {OUTCOMES} where {OPEN}),
        found as (select loan_id, count(*) as n from {SCORES} where as_of = ? group by loan_id),
        compared as (
            select loan_id, wanted.loan_id is not null as is_open, coalesce(n, 0) as n
            from wanted full join found using (loan_id)
        )
        select count(*) filter (is_open) as open_loans, coalesce(sum(n), 0)::bigint as scored,
            count(*) filter (n = 0) as missing, count(*) filter (n > 1) as doubled,
            count(*) filter (not is_open) as not_open,
            coalesce((list(loan_id order by loan_id) filter (n <> 1 or not is_open))[:5], []) as examples
        from compared
    """
    row = warehouse.query(sql, [*open_on(as_of), as_of]).to_pylist()[0]
    return Coverage(**{**row, "examples": tuple(row["examples"])})


def pds(warehouse: Warehouse, as_of: date, bundle_sha: str) -> pa.ChunkedArray:
    """The PDs one bundle gave on a day (8 bytes a loan)."""
    return warehouse.query(f"select pd from {SCORES} where as_of = ? and bundle_sha = ?", [as_of, bundle_sha])["pd"]


def bundle_of_day(warehouse: Warehouse, as_of: date) -> str | None:
    """SHA of the bundle that scored a day, or `None` when no loan is scored as of it."""
    if not warehouse.exists(SCORES):
        return None
    found = warehouse.query(f"select max(bundle_sha) as sha from {SCORES} where as_of = ?", [as_of])
    sha: str | None = found["sha"][0].as_py()
    return sha


def day_before(warehouse: Warehouse, as_of: date, bundle_sha: str) -> date | None:
    """The latest earlier day that the same bundle scored."""
    sql = f"select max(as_of) as day from {SCORES} where as_of < ? and bundle_sha = ?"
    day: date | None = warehouse.query(sql, [as_of, bundle_sha])["day"][0].as_py()
    return day


def without_ledger_row(warehouse: Warehouse, ledger: str, as_of: date) -> int:
    """Scores of a day that the ledger does not hold with the same PD, band and, where it has one, decision."""
    sql = f"""
        select count(*) as n from {SCORES} as s
        where as_of = ? and not exists (
            select 1 from {ledger} as l
            where l.as_of = ? and l.score_id = s.score_id and l.pd = s.pd and l.band = s.band
                and coalesce(l.decision = s.decision, l.decision is null)
        )
    """
    return int(warehouse.query(sql, [as_of, as_of])["n"][0].as_py())


def _require(warehouse: Warehouse, table: str) -> None:
    if not warehouse.exists(table):
        raise NothingToScoreError(f"{table} is not there yet: materialise {table.replace('.', '/')} (the marts) first")
