"""The decision in a replay: made again by the policy version on record, and by the one that is in force now."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from credit_risk_platform.adapters import policy_record
from credit_risk_platform.adapters.policies import BANDS, REASONS, NoPolicyError, PolicyBook
from credit_risk_platform.adapters.replay_report import Outcome
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.domain.bands import Bands, ScoringError
from credit_risk_platform.domain.bundle import BundleError, ModelBundle
from credit_risk_platform.domain.models.frame import FeatureTable
from credit_risk_platform.domain.policy import Policy, PolicyError
from credit_risk_platform.domain.provenance import Part, PartComparison
from credit_risk_platform.domain.reasons import ReasonError
from credit_risk_platform.domain.scoring import decide, points, predict

_FAULTS = (ScoringError, PolicyError, ReasonError, BundleError, NoPolicyError)


class PoliciesThen:
    """What policies say of ledger rows. Rows without a decision are judged by the bands of their version alone."""

    def __init__(self, warehouse: Warehouse, book: PolicyBook) -> None:
        self.warehouse, self.book = warehouse, book

    def again(self, row: dict[str, Any], bundle: ModelBundle) -> Outcome:
        """The score once more, from the inputs and the policy version that the row names."""
        policy = self._then(row)
        try:
            return _outcome(row, bundle, policy)
        except _FAULTS:  # a version that was rewritten so that it cannot decide on this model any more
            return _outcome(row, bundle, policy.bands if isinstance(policy, Policy) else None)

    def compare(self, row: dict[str, Any], bundle: ModelBundle) -> PartComparison:
        """The policy on record against the one in force on the row's day, as both are on file now."""
        then = row["policy_version"]
        try:
            now = self._in_force(row)
            outcome = _outcome(row, bundle, now)
        except _FAULTS as error:
            return PartComparison(Part.POLICY, then, "", None, str(error))
        before = Outcome.of(row)
        details = []
        if now.policy_version != then or outcome.said != before.said:
            details.append(f"{then} gave {_told(before)}, {now.policy_version} gives {_told(outcome)}")
        details += self._rewritten(then) if row["decision"] is not None else []
        return PartComparison(Part.POLICY, then, now.policy_version, not details, "; ".join(details))

    # ---------------------------------------------------------------- inside

    def _then(self, row: dict[str, Any]) -> Policy | Bands | None:
        """The version the row names, or `None` when it is no longer on record."""
        if row["decision"] is not None:
            try:
                policy = self.book.version(row["policy_version"], *self._tables)
            except _FAULTS:  # `compare` tells what is wrong with it
                policy = None
            if policy is not None:
                return policy
        bands = self._tables[0]
        own = bands.filter(pc.equal(bands["policy_version"], row["policy_version"]))
        return Bands.from_rows(own, max(row["as_of"], *own["effective_from"].to_pylist())) if own.num_rows else None

    def _in_force(self, row: dict[str, Any]) -> Policy | Bands:
        if row["decision"] is None:
            return Bands.from_rows(self._tables[0], row["as_of"])
        return self.book.on(row["as_of"], *self._tables)

    def _rewritten(self, version: str) -> list[str]:
        """Whether the version says something else than when it was first recorded."""
        first = self._recorded.get(version)
        if first is None:
            return []
        try:
            now = self.book.version(version, *self._tables)
        except _FAULTS as error:
            return [str(error)]
        if now is None or now.sha256 == first:
            return []
        return [f"version {version} was rewritten: {first[:12]} when it was first recorded, {now.sha256[:12]} now"]

    @cached_property
    def _tables(self) -> tuple[pa.Table, pa.Table]:
        absent = pa.table({"reason_version": pa.array([], pa.string())})
        reasons = self.warehouse.query(f"select * from {REASONS}") if self.warehouse.exists(REASONS) else absent
        return self.warehouse.query(f"select * from {BANDS}"), reasons

    @cached_property
    def _recorded(self) -> dict[str, str]:
        return policy_record.known(self.warehouse)


def _outcome(row: dict[str, Any], bundle: ModelBundle, policy: Policy | Bands | None) -> Outcome:
    numeric = pa.array([row["numeric_inputs"]], pa.list_(pa.float64()))
    categorical = pa.array([row["categorical_inputs"]], pa.list_(pa.string()))
    frame = FeatureTable.from_inputs(numeric, categorical, bundle.features)
    pd = predict(bundle, frame)
    said: dict[str, Any] = {"band": None, "decision": None, "reasons": None}
    if policy is not None:
        said = {name: column[0].as_py() for name, column in decide(bundle, frame, pd, policy).items()}
    return Outcome.of({"pd": float(pd[0]), "points": float(points(pd)[0]), **said})


def _told(outcome: Outcome) -> str:
    if outcome.decision is None:
        return str(outcome.band)
    return f"{outcome.band}, {outcome.decision}{' for ' + ', '.join(outcome.reasons) if outcome.reasons else ''}"
