"""`crp replay`: compute a score again from its ledger row and its bundle, and say what has changed since.

Two questions, kept apart. Is the score reproducible: the stored inputs through the stored bundle give the same bits?
And would it come out the same today: which of data, feature SQL, bundle, policy and code is another one now? Needs the
warehouse and the bundle store; MLflow may be gone.
"""

from __future__ import annotations

from functools import cache, cached_property, partial
from typing import Any

import pyarrow as pa

from credit_risk_platform.adapters import bank_history
from credit_risk_platform.adapters.bundles import BundleNotFoundError, BundleStore
from credit_risk_platform.adapters.code_version import code_hash, git_commit
from credit_risk_platform.adapters.feature_sql import (
    APPLICATIONS,
    CASHFLOW,
    MACRO,
    FeatureSql,
    FeatureSqlError,
    also_read,
)
from credit_risk_platform.adapters.ledger import LedgerError, ScoreLedger
from credit_risk_platform.adapters.online_sql import OnlineFeatures
from credit_risk_platform.adapters.policies import PolicyBook
from credit_risk_platform.adapters.replay_policy import PoliciesThen
from credit_risk_platform.adapters.replay_report import Outcome, ReplayReport
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
)

ANSWERED = "gold.application_scores"
HTTP = "http"
"""Topic of the messages in bronze that came over the API."""
# The same loan may ask twice a day with other figures: the score knows which request it answers.
_OF_REQUEST = f"topic = ? and loan_id = ? and event_id in (select event_id from {ANSWERED} where score_id = ?)"
REPAYMENTS = "_repayments"
"""End of the names of the tables that only behavioural models read."""


class _GoneError(LookupError):
    """What was scored cannot be computed from today's data; the message says why."""


class MissingBundleError(LedgerError):
    """The bundle that gave the score is not in the store; the message says where it may be had."""


def replay(
    score_id: str, ledger: ScoreLedger, bundles: BundleStore, policies: PolicyBook, *, mart_sql: str | None = None
) -> ReplayReport:
    """Replay one score (see `Replayer`)."""
    return Replayer(ledger, bundles, policies, mart_sql).replay(score_id)


class Replayer:
    """Replays scores, keeping bundles and reference rows at hand. `mart_sql` is the feature SQL now in force.

    Raises `UnknownScoreError` with the nearest ids, `MissingBundleError`, and `BundleError` when the stored bundle
    was tampered with.
    """

    def __init__(
        self, ledger: ScoreLedger, bundles: BundleStore, policies: PolicyBook, mart_sql: str | None = None
    ) -> None:
        self.ledger = ledger
        self.warehouse = ledger.warehouse
        self.bundles = bundles
        self.policies = PoliciesThen(ledger.warehouse, policies)
        self.mart_sql = mart_sql
        self._bundle = cache(self._load)
        self._online = cache(self._online_features)

    def replay(self, score_id: str) -> ReplayReport:
        row = self.ledger.find(score_id)
        bundle, feature_sql = self._bundle(row["bundle_sha"])
        inputs, data = self._compare_inputs(row, bundle, feature_sql)
        policy = self.policies.compare(row, bundle)
        parts = (data, self._feature_sql(row, bundle), self._champion(row, bundle), policy, _code(row))
        return ReplayReport(
            score_id=row["score_id"],
            loan_id=row["loan_id"],
            as_of=row["as_of"],
            model_name=row["model_name"],
            bundle_sha=row["bundle_sha"],
            then=Outcome.of(row),
            again=self.policies.again(row, bundle),
            genuine=_genuine(row),
            parts=parts,
            inputs=tuple(inputs),
        )

    # ---------------------------------------------------------------- inside

    def _load(self, sha: str) -> tuple[ModelBundle, FeatureSql]:
        try:
            bundle = self.bundles.load(sha)
        except BundleNotFoundError as error:
            raise MissingBundleError(
                f"the score was given by bundle {sha[:12]}, which is not in the store. Its MLflow run holds the "
                f"archive: put it back as {self.bundles.path(sha)} and replay again."
            ) from error
        return bundle, FeatureSql(bundle.feature_sql)

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
        cashflow = self.warehouse.query(f"select * from {CASHFLOW}") if also_read(feature_sql.sql) else None
        return feature_sql.compute(rows, self._macro, cashflow)

    def _of_message(self, row: dict[str, Any]) -> pa.Table:
        """Features of the message that was answered, or of the request over HTTP, from its row in bronze."""
        online = self._online(row["bundle_sha"])
        if any(source.endswith(REPAYMENTS) for source in online.sources):
            raise _GoneError("the score was given on the instalments known by then; the loan has gone on since")
        table = STREAMED.raw_table
        if row["kafka_topic"] not in (STREAMED.topic, HTTP) or not self.warehouse.exists(table):
            raise _GoneError(f"{table} does not hold messages of {row['kafka_topic']}")
        if row["kafka_topic"] == HTTP:
            where, place = _OF_REQUEST, [HTTP, row["loan_id"], row["score_id"]]
        else:
            # A topic that was made anew has the same offsets again; the loan is another one then.
            where = 'topic = ? and "partition" = ? and "offset" = ? and loan_id = ?'
            place = [row["kafka_topic"], row["kafka_partition"], row["kafka_offset"], row["loan_id"]]
        found = self.warehouse.query(f"select *, 'kafka' as source_system from {table} where {where} limit 1", place)
        if not found.num_rows:
            raise _GoneError(f"{table} does not hold the message any more")
        return online.compute(online.given(found, partial(bank_history.rows_of, self.warehouse)), self._macro)

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
        store = BundleStore(self.bundles.files, "behaviour") if _is_behavioural(bundle) else self.bundles
        pointer, then = store.pointer(), row["bundle_sha"]
        if pointer is None:
            return PartComparison(Part.BUNDLE, then, "", None, "there is no champion now")
        detail = "" if pointer.sha == then else f"the champion is {pointer.promotion.name} {pointer.sha[:12]} now"
        return PartComparison(Part.BUNDLE, then, pointer.sha, pointer.sha == then, detail)


def _is_behavioural(bundle: ModelBundle) -> bool:
    return REPAYMENTS in bundle.intake_sql


def _code(row: dict[str, Any]) -> PartComparison:
    then, now = row["code_hash"], code_hash()
    commits = f"commit {row['git_commit'] or 'unknown'} then, {git_commit() or 'unknown'} now"
    return PartComparison(Part.CODE, then, now, then == now, "" if then == now else commits)


def _genuine(row: dict[str, Any]) -> bool:
    inputs_fit = row["inputs_hash"] == inputs_hash(row["numeric_inputs"], row["categorical_inputs"])
    return inputs_fit and row["row_hash"] == row_hash(content_hash(row), row["prev_hash"])
