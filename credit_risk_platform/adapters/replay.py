"""`crp replay`: compute a score again from its ledger row and its bundle, and say what has changed since.

Two questions, kept apart. Is the score reproducible: the stored inputs through the stored bundle give the same bits?
And would it come out the same today: which of data, feature SQL, bundle, policy and code is another one now? Needs the
warehouse and the bundle store; MLflow may be gone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date
from functools import cache, cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from credit_risk_platform.adapters.bundles import BundleNotFoundError, BundleStore
from credit_risk_platform.adapters.code_version import code_hash, git_commit
from credit_risk_platform.adapters.feature_sql import APPLICATIONS, MACRO, FeatureSql, FeatureSqlError
from credit_risk_platform.adapters.ledger import LedgerError, ScoreLedger
from credit_risk_platform.adapters.online_sql import OnlineFeatures
from credit_risk_platform.domain.bundle import ModelBundle
from credit_risk_platform.domain.contracts.messages import APPLICATIONS as STREAMED
from credit_risk_platform.domain.models.frame import FeatureTable, by_kind
from credit_risk_platform.domain.provenance import (
    InputDifference,
    Part,
    PartComparison,
    content_hash,
    differing_inputs,
    inputs_hash,
    row_hash,
    same_value,
)
from credit_risk_platform.domain.scoring import Bands, ScoringError, points, score_inputs

BANDS = "gold.risk_bands"
REPAYMENTS = "_repayments"
"""End of the names of the tables that only behavioural models read."""


class _GoneError(LookupError):
    """What was scored cannot be computed from today's data; the message says why."""


class MissingBundleError(LedgerError):
    """The bundle that gave the score is not in the store; the message says where it may be had."""


@dataclass(frozen=True)
class Outcome:
    """What a score says. `band` is `None` where its policy version is no longer on record."""

    pd: float
    points: float
    band: str | None


@dataclass(frozen=True)
class ReplayReport:
    """One score then and now. `genuine`: the ledger row still has the hash it was written with."""

    score_id: str
    loan_id: str
    as_of: date
    model_name: str
    bundle_sha: str
    then: Outcome
    again: Outcome
    genuine: bool
    parts: tuple[PartComparison, ...]
    inputs: tuple[InputDifference, ...]
    """Features that would have another value today."""

    @property
    def equal(self) -> bool:
        """Reproduced to the last bit, from a row nobody touched."""
        pairs = zip(vars(self.then).values(), vars(self.again).values(), strict=True)
        return self.genuine and all(same_value(then, again) for then, again in pairs)

    @property
    def changed(self) -> tuple[PartComparison, ...]:
        """Parts that are not what they were when the score was given."""
        return tuple(part for part in self.parts if part.same is False)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {**asdict(self), "as_of": self.as_of.isoformat(), "equal": self.equal}

    def lines(self) -> Iterator[str]:
        """The report as text, one finding a line."""
        yield f"score {self.score_id}, loan {self.loan_id} as of {self.as_of}, {self.model_name} {self.bundle_sha[:12]}"
        yield f"  then   PD {self.then.pd!r}  points {self.then.points!r}  band {self.then.band}"
        yield f"  again  PD {self.again.pd!r}  points {self.again.points!r}  band {self.again.band}"
        if not self.genuine:
            yield "  the ledger row was changed after it was written; the ledger audit says which rows were"
        yield f"  {'equal to the last bit' if self.equal else 'NOT equal'}"
        for part in self.parts:
            state = {True: "unchanged", False: "changed since", None: "cannot be compared"}[part.same]
            yield f"  {part.part}: {state}{': ' + part.detail if part.detail else ''}"
        for value in self.inputs:
            yield f"    {value.feature}: {value.then!r} then, {value.now!r} now"


def replay(score_id: str, ledger: ScoreLedger, bundles: BundleStore, *, mart_sql: str | None = None) -> ReplayReport:
    """Replay one score (see `Replayer`)."""
    return Replayer(ledger, bundles, mart_sql).replay(score_id)


class Replayer:
    """Replays scores, keeping bundles and reference rows at hand. `mart_sql` is the feature SQL now in force.

    Raises `UnknownScoreError` with the nearest ids, `MissingBundleError`, and `BundleError` when the stored bundle
    was tampered with.
    """

    def __init__(self, ledger: ScoreLedger, bundles: BundleStore, mart_sql: str | None = None) -> None:
        self.ledger = ledger
        self.warehouse = ledger.warehouse
        self.bundles = bundles
        self.mart_sql = mart_sql
        self._bundle = cache(self._load)
        self._online = cache(self._online_features)

    def replay(self, score_id: str) -> ReplayReport:
        row = self.ledger.find(score_id)
        bundle, feature_sql = self._bundle(row["bundle_sha"])
        inputs, data = self._compare_inputs(row, bundle, feature_sql)
        parts = (data, self._feature_sql(row, bundle), self._champion(row, bundle), self._policy(row), _code(row))
        return ReplayReport(
            score_id=row["score_id"],
            loan_id=row["loan_id"],
            as_of=row["as_of"],
            model_name=row["model_name"],
            bundle_sha=row["bundle_sha"],
            then=Outcome(row["pd"], row["points"], row["band"]),
            again=self._again(row, bundle),
            genuine=_genuine(row),
            parts=parts,
            inputs=tuple(inputs),
        )

    # ---------------------------------------------------------------- the score again

    def _again(self, row: dict[str, Any], bundle: ModelBundle) -> Outcome:
        numeric = pa.array([row["numeric_inputs"]], pa.list_(pa.float64()))
        categorical = pa.array([row["categorical_inputs"]], pa.list_(pa.string()))
        pd = score_inputs(bundle, numeric, categorical)
        bands = self._bands(row["policy_version"], row["as_of"])
        return Outcome(float(pd[0]), float(points(pd)[0]), bands.of(pd)[0].as_py() if bands else None)

    def _load(self, sha: str) -> tuple[ModelBundle, FeatureSql]:
        try:
            bundle = self.bundles.load(sha)
        except BundleNotFoundError as error:
            raise MissingBundleError(
                f"the score was given by bundle {sha[:12]}, which is not in the store. Its MLflow run holds the "
                f"archive: put it back as {self.bundles.path(sha)} and replay again."
            ) from error
        return bundle, FeatureSql(bundle.feature_sql)

    def _bands(self, policy_version: str, as_of: date) -> Bands | None:
        """The bands of one version as they are on record now, or `None` when it is not."""
        rows = self.warehouse.query(f"select * from {BANDS} where policy_version = ?", [policy_version])
        return Bands.from_rows(rows, max(as_of, *rows["effective_from"].to_pylist())) if rows.num_rows else None

    # ---------------------------------------------------------------- what has changed since

    def _compare_inputs(
        self, row: dict[str, Any], bundle: ModelBundle, feature_sql: FeatureSql
    ) -> tuple[list[InputDifference], PartComparison]:
        """Today's data through the bundle's own feature SQL, against what was scored."""
        try:
            features = self._of_message(row) if row["kafka_topic"] else self._of_loan(row, feature_sql)
        except (FeatureSqlError, _GoneError) as error:
            return [], PartComparison(Part.FEATURE_DATA, row["inputs_hash"], "", None, str(error))
        frame = FeatureTable.from_arrow(features, bundle.features)
        numeric, categorical = frame.numeric_inputs()[0].as_py(), frame.categorical_inputs()[0].as_py()
        names = [feature.name for kind in by_kind(bundle.features) for feature in kind]
        then = [*row["numeric_inputs"], *row["categorical_inputs"]]
        found = differing_inputs(names, then, [*numeric, *categorical])
        now = inputs_hash(numeric, categorical)
        detail = f"{len(found)} of {len(names)} inputs have another value" if found else ""
        return found, PartComparison(Part.FEATURE_DATA, row["inputs_hash"], now, not found, detail)

    def _of_loan(self, row: dict[str, Any], feature_sql: FeatureSql) -> pa.Table:
        rows = self.warehouse.query(f"select * from {APPLICATIONS} where loan_id = ?", [row["loan_id"]])
        if rows.num_rows != 1:
            raise _GoneError(f"{APPLICATIONS} holds {rows.num_rows} rows of this loan now")
        return feature_sql.compute(rows, self._macro)

    def _of_message(self, row: dict[str, Any]) -> pa.Table:
        """Features of the message that was answered, from its row in bronze."""
        online = self._online(row["bundle_sha"])
        if any(source.endswith(REPAYMENTS) for source in online.sources):
            raise _GoneError("the score was given on the instalments known by then; the loan has gone on since")
        table = STREAMED.raw_table
        if row["kafka_topic"] != STREAMED.topic or not self.warehouse.exists(table):
            raise _GoneError(f"{table} does not hold messages of {row['kafka_topic']}")
        place = [row["kafka_topic"], row["kafka_partition"], row["kafka_offset"], row["loan_id"]]
        # A topic that was made anew has the same offsets again; the loan is another one then.
        sql = f'select * from {table} where topic = ? and "partition" = ? and "offset" = ? and loan_id = ?'
        found = self.warehouse.query(f"select *, 'kafka' as source_system from ({sql}) limit 1", place)
        if not found.num_rows:
            raise _GoneError(f"{table} does not hold the message any more")
        return online.compute(dict.fromkeys(online.sources, found), self._macro)

    def _online_features(self, sha: str) -> OnlineFeatures:
        bundle, _ = self._bundle(sha)
        return OnlineFeatures(bundle.intake_sql, bundle.feature_sql)

    @cached_property
    def _macro(self) -> pa.Table:
        return self.warehouse.query(f"select * from {MACRO}")

    def _feature_sql(self, row: dict[str, Any], bundle: ModelBundle) -> PartComparison:
        then = row["feature_sql_hash"]
        if self.mart_sql is None or _is_behavioural(bundle):
            return PartComparison(Part.FEATURE_SQL, then, "", None, "the present feature SQL was not given")
        now = FeatureSql(self.mart_sql).sha256
        detail = "" if now == then else f"{then[:12]} then, {now[:12]} now; a new bundle will carry the new one"
        return PartComparison(Part.FEATURE_SQL, then, now, now == then, detail)

    def _champion(self, row: dict[str, Any], bundle: ModelBundle) -> PartComparison:
        store = BundleStore(self.bundles.root, "behaviour") if _is_behavioural(bundle) else self.bundles
        pointer, then = store.pointer(), row["bundle_sha"]
        if pointer is None:
            return PartComparison(Part.BUNDLE, then, "", None, "there is no champion now")
        detail = "" if pointer.sha == then else f"the champion is {pointer.promotion.name} {pointer.sha[:12]} now"
        return PartComparison(Part.BUNDLE, then, pointer.sha, pointer.sha == then, detail)

    def _policy(self, row: dict[str, Any]) -> PartComparison:
        then = row["policy_version"]
        try:
            now = Bands.from_rows(self.warehouse.query(f"select * from {BANDS}"), row["as_of"])
        except ScoringError as error:
            return PartComparison(Part.POLICY, then, "", None, str(error))
        band = now.of(np.array([row["pd"]]))[0].as_py()
        same = now.policy_version == then and band == row["band"]
        detail = "" if same else f"{then} gave {row['band']}, {now.policy_version} gives {band}"
        return PartComparison(Part.POLICY, then, now.policy_version, same, detail)


def _is_behavioural(bundle: ModelBundle) -> bool:
    return REPAYMENTS in bundle.intake_sql


def _code(row: dict[str, Any]) -> PartComparison:
    then, now = row["code_hash"], code_hash()
    commits = f"commit {row['git_commit'] or 'unknown'} then, {git_commit() or 'unknown'} now"
    return PartComparison(Part.CODE, then, now, then == now, "" if then == now else commits)


def _genuine(row: dict[str, Any]) -> bool:
    inputs_fit = row["inputs_hash"] == inputs_hash(row["numeric_inputs"], row["categorical_inputs"])
    return inputs_fit and row["row_hash"] == row_hash(content_hash(row), row["prev_hash"])
