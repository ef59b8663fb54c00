"""The reigning champion with all it needs to score an application: the stream's handler and the API share this one.

Belongs here: noticing a promotion, new macro rows, a new policy or an experiment, and swapping them in whole. Does not:
where applications come from and where scores go.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from credit_risk_platform.adapters import bank_history
from credit_risk_platform.adapters.bundles import BundleStore
from credit_risk_platform.adapters.challenger import Challenger, Split
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
class Snapshot:
    """One consistent set of all a score depends on; a call works with one of them from its first line to its last."""

    scorer: Scorer
    tables: _Tables
    book: PolicyBook
    files: tuple[Any, ...]
    bank: Callable[[pa.Table], pa.Table]
    """The bank transactions of applicants: asked only for a model that learnt from cash-flow features."""
    split: Split | None = None
    experiments: str | None = None
    """The state of the experiments that `split` comes from."""
    _days: dict[date, Policy] = field(default_factory=dict)

    @property
    def bundles(self) -> tuple[ModelBundle, ...]:
        """Those a row may be scored by: the champion's, and the challenger's in a split."""
        return (self.scorer.bundle, self.split.scorer.bundle) if self.split else (self.scorer.bundle,)

    def policy(self, day: date) -> Policy:
        """The policy in force on `day`, the same one whenever asked; raises `NotReadyError` when there is none."""
        if day not in self._days:
            try:
                self._days.setdefault(day, self.book.on(day, self.tables.bands, self.tables.reasons))
            except (NoPolicyError, PolicyError) as error:
                raise NotReadyError(str(error)) from error
        return self._days[day]

    def score(self, rows: pa.Table, day: date) -> pa.Table:
        """As `ApplicationScorer.score`."""
        theirs = self.split.theirs(rows) if self.split else np.zeros(rows.num_rows, dtype=bool)
        if self.split is None or not theirs.any():
            return self._by(self.scorer, rows, day)
        places = np.flatnonzero(~theirs), np.flatnonzero(theirs)
        arms = zip((self.scorer, self.split.scorer), places, strict=True)
        parts = [self._by(scorer, rows.take(pa.array(own)), day) for scorer, own in arms if own.size]
        return pa.concat_tables(parts).take(pa.array(np.argsort(np.concatenate(places)))).combine_chunks()

    def _by(self, scorer: Scorer, rows: pa.Table, day: date) -> pa.Table:
        return score(scorer.bundle, _features(scorer, self, rows), day, self.policy(day))


class ApplicationScorer:
    """Scores typed applications by the champion and the policy in force. Safe to share between threads.

    While a split experiment runs, its challenger decides on the applicants of its arm. `engines` is how many threads
    may make features at a time.
    """

    def __init__(self, warehouse: Warehouse, bundles: BundleStore, policies: PolicyBook, *, engines: int = 1) -> None:
        self.warehouse, self.policies = warehouse, policies
        self._champion = Champion(bundles, "models/champion", engines)
        self._challenger = Challenger(bundles, engines)
        self._refreshing = threading.Lock()
        self._ready: Snapshot | None = None

    def refresh(self) -> None:
        """Look for a promotion, an edited policy or an experiment; once a minute for new macro rows, bands and texts.

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
        """The champion's bundle that scores now."""
        return self.snapshot().scorer.bundle

    @property
    def trouble(self) -> str:
        """Why a split experiment that runs is without effect, with the next step; empty when nothing is wrong."""
        return self._challenger.trouble

    def policy(self, day: date) -> Policy:
        """The policy in force on `day`; raises `NotReadyError` when there is none."""
        return self.snapshot().policy(day)

    def score(self, rows: pa.Table, day: date) -> pa.Table:
        """`SCORE_SCHEMA` rows for typed bronze rows, in their order; a column that is absent is missing.

        The same loan may come twice. `rows` needs `loan_id`. Raises `NotReadyError`.
        """
        return self.snapshot().score(rows, day)

    def snapshot(self) -> Snapshot:
        """What scores now, for who scores in pieces that must fit together. Raises `NotReadyError`."""
        if self._ready is None:
            self.refresh()
        assert self._ready is not None
        return self._ready

    # ---------------------------------------------------------------- inside

    def _renew(self) -> None:
        before = self._ready
        if before is not None and before.experiments != self._challenger.state():
            # First of all: an experiment can be stopped whatever else is out of order.
            before = self._ready = self._split(before)
        scorer = self._champion.scorer()
        if scorer is None:
            raise NotReadyError("there is no champion to score with: materialise models/champion (or run `crp train`)")
        files = self.policies.state()
        fresh = before is not None and time.monotonic() - before.tables.read_at <= REFRESH_SECONDS
        if before is not None and fresh and scorer is before.scorer and files == before.files:
            return
        tables = before.tables if before is not None and fresh else self._tables(before)
        ready = Snapshot(scorer, tables, self.policies, files, partial(bank_history.rows_of, self.warehouse))
        _try(ready, scorer)
        self._ready = self._split(ready)

    def _split(self, ready: Snapshot) -> Snapshot:
        """With the split that runs now, if any. Its challenger is tried as the champion is."""
        state = self._challenger.state()
        split = self._challenger.split(ready.scorer.bundle.sha256, lambda challenger: _try(ready, challenger))
        return replace(ready, split=split, experiments=state)

    def _tables(self, before: Snapshot | None) -> _Tables:
        if not self.warehouse.exists(MACRO):
            raise NotReadyError(f"{MACRO} is not there yet: materialise the marts (job feature_engineering)")
        macro = self.warehouse.query(f"select * from {MACRO}")
        if before is not None and before.tables.macro.equals(macro):
            macro = before.tables.macro  # the engines hold it: no loading, no planning
        return _Tables(macro, *policy_tables(self.warehouse), time.monotonic())


def _try(ready: Snapshot, scorer: Scorer) -> None:
    """One application of which nothing is known, through features, model and reasons.

    So the first real one need not wait for what is made once, and a model that cannot score never decides.
    """
    policy = ready.policy(datetime.now(UTC).date())
    for _ in range(scorer.features.engines):
        made = _features(scorer, ready, pa.table({"loan_id": ["0"]}))
    frame = FeatureTable.from_arrow(made, scorer.bundle.features)
    decide(scorer.bundle, frame, predict(scorer.bundle, frame), policy)
    scorer.bundle.explainer_at(policy.approve_below).contributions(frame)


def _features(scorer: Scorer, one: Snapshot, rows: pa.Table) -> pa.Table:
    """Features in the order of `rows`. Rows are keyed by their place: a loan may ask twice in one batch."""
    places = pa.array([str(number) for number in range(rows.num_rows)])
    keyed = _replaced(rows, {"loan_id": places, "source_system": pa.repeat(SOURCE_SYSTEM, rows.num_rows)})
    engine = scorer.features
    made = engine.compute(engine.given(keyed, one.bank), one.tables.macro)
    order = made["loan_id"].cast(pa.int64()).combine_chunks()
    in_order = made.take(pc.sort_indices(order))
    if in_order.num_rows != rows.num_rows:
        raise ValueError(f"{rows.num_rows} applications gave {in_order.num_rows} rows of features")
    return _replaced(in_order, {"loan_id": rows["loan_id"]})


def _replaced(rows: pa.Table, columns: Mapping[str, pa.Array]) -> pa.Table:
    kept = {name: rows[name] for name in rows.column_names if name not in columns}
    return pa.table(kept | dict(columns))
