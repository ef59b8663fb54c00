"""The reigning champion with all it needs to score an application: the stream's handler and the API share this one.

Belongs here: noticing a promotion, new macro rows or a new policy, and swapping them in whole. Does not: where
applications come from and where scores go.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from credit_risk_platform.adapters.bundles import BundleStore
from credit_risk_platform.adapters.champion import Champion, Scorer
from credit_risk_platform.adapters.feature_sql import MACRO
from credit_risk_platform.adapters.policies import NoPolicyError, PolicyBook, policy_tables
from credit_risk_platform.adapters.streaming.batch import NotReadyError
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.domain.bundle import BundleError, ModelBundle
from credit_risk_platform.domain.models.frame import FeatureTable
from credit_risk_platform.domain.policy import Policy, PolicyError
from credit_risk_platform.domain.reasons import ReasonError
from credit_risk_platform.domain.scoring import decide, predict, score

SOURCE_SYSTEM = "kafka"
REFRESH_SECONDS = 60.0
"""How long macro rows, bands and reason texts are kept by a process that lives on."""


@dataclass(frozen=True)
class _Tables:
    """What the warehouse gives to a score, as of `read_at` (monotonic seconds)."""

    macro: pa.Table
    bands: pa.Table
    reasons: pa.Table
    read_at: float


@dataclass(frozen=True)
class _Ready:
    """One consistent set of all a score depends on; a call works with one of them from its first line to its last."""

    scorer: Scorer
    tables: _Tables
    files: tuple[Any, ...]
    policies: dict[date, Policy] = field(default_factory=dict)


class ApplicationScorer:
    """Scores typed applications by the champion and the policy in force. Safe to share between threads."""

    def __init__(self, warehouse: Warehouse, bundles: BundleStore, policies: PolicyBook) -> None:
        self.warehouse, self.policies = warehouse, policies
        self._champion = Champion(bundles, "models/champion")
        self._refreshing = threading.Lock()
        self._ready: _Ready | None = None

    def refresh(self) -> None:
        """Look for a promotion or an edited policy, and once a minute for new macro rows, bands and texts.

        What is new is loaded and tried before it is swapped in. Raises `NotReadyError` with the next step; what was
        ready before then goes on scoring.
        """
        with self._refreshing:
            try:
                self._renew()
            except (NoPolicyError, PolicyError, ReasonError, BundleError) as error:
                raise NotReadyError(str(error)) from error

    @property
    def bundle(self) -> ModelBundle:
        """The bundle that scores now."""
        return self._now().scorer.bundle

    def policy(self, day: date) -> Policy:
        """The policy in force on `day`; raises `NotReadyError` when there is none."""
        return self._policy(self._now(), day)

    def score(self, rows: pa.Table, day: date) -> pa.Table:
        """`SCORE_SCHEMA` rows for typed bronze rows, in their order; a column that is absent is missing.

        The same loan may come twice. `rows` needs `loan_id`. Raises `NotReadyError`.
        """
        ready = self._now()
        policy = self._policy(ready, day)
        return score(ready.scorer.bundle, _features(ready, rows), day, policy)

    # ---------------------------------------------------------------- inside

    def _now(self) -> _Ready:
        if self._ready is None:
            self.refresh()
        assert self._ready is not None
        return self._ready

    def _policy(self, ready: _Ready, day: date) -> Policy:
        if day not in ready.policies:
            try:
                ready.policies[day] = self.policies.on(day, ready.tables.bands, ready.tables.reasons)
            except (NoPolicyError, PolicyError) as error:
                raise NotReadyError(str(error)) from error
        return ready.policies[day]

    def _renew(self) -> None:
        before = self._ready
        scorer = self._champion.scorer()
        if scorer is None:
            raise NotReadyError("there is no champion to score with: materialise models/champion (or run `crp train`)")
        files = self.policies.state()
        fresh = before is not None and time.monotonic() - before.tables.read_at <= REFRESH_SECONDS
        if before is not None and fresh and scorer is before.scorer and files == before.files:
            return
        ready = _Ready(scorer, before.tables if before is not None and fresh else self._tables(), files)
        self._try(ready)
        self._ready = ready

    def _tables(self) -> _Tables:
        if not self.warehouse.exists(MACRO):
            raise NotReadyError(f"{MACRO} is not there yet: materialise the marts (job feature_engineering)")
        macro = self.warehouse.query(f"select * from {MACRO}")
        return _Tables(macro, *policy_tables(self.warehouse), time.monotonic())

    def _try(self, ready: _Ready) -> None:
        """One application of which nothing is known, through features, model and reasons.

        So the first real one need not wait for what is made once, and a champion that cannot score never reigns.
        """
        policy = self._policy(ready, datetime.now(UTC).date())
        made = _features(ready, pa.table({"loan_id": ["0"]}))
        frame = FeatureTable.from_arrow(made, ready.scorer.bundle.features)
        decide(ready.scorer.bundle, frame, predict(ready.scorer.bundle, frame), policy)
        ready.scorer.bundle.explainer_at(policy.approve_below).contributions(frame)


def _features(ready: _Ready, rows: pa.Table) -> pa.Table:
    """Features in the order of `rows`. Rows are keyed by their place: a loan may ask twice in one batch."""
    places = pa.array([str(number) for number in range(rows.num_rows)])
    keyed = _replaced(rows, {"loan_id": places, "source_system": pa.repeat(SOURCE_SYSTEM, rows.num_rows)})
    engine = ready.scorer.features
    made = engine.compute(dict.fromkeys(engine.sources, keyed), ready.tables.macro)
    order = made["loan_id"].cast(pa.int64()).combine_chunks()
    in_order = made.take(pc.sort_indices(order))
    if in_order.num_rows != rows.num_rows:
        raise ValueError(f"{rows.num_rows} applications gave {in_order.num_rows} rows of features")
    return _replaced(in_order, {"loan_id": rows["loan_id"]})


def _replaced(rows: pa.Table, columns: Mapping[str, pa.Array]) -> pa.Table:
    kept = {name: rows[name] for name in rows.column_names if name not in columns}
    return pa.table(kept | dict(columns))
