"""Applications: features by the marts' own SQL, one `score()`, the ledger."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from credit_risk_platform.adapters import ledger_writer, portfolio
from credit_risk_platform.adapters.bundles import BundleStore
from credit_risk_platform.adapters.feature_sql import MACRO
from credit_risk_platform.adapters.ledger import SCORE_COLUMNS
from credit_risk_platform.adapters.ledger_writer import MESSAGE_SCHEMA
from credit_risk_platform.adapters.online_sql import OnlineFeatures
from credit_risk_platform.adapters.streaming.batch import (
    TRACED_SCHEMA,
    BatchContext,
    NotReadyError,
    Outcome,
    Prepared,
)
from credit_risk_platform.adapters.warehouse.base import Select, Transaction, Warehouse
from credit_risk_platform.domain.bundle import ModelBundle
from credit_risk_platform.domain.contracts.messages import APPLICATIONS, MessageContract
from credit_risk_platform.domain.scoring import SCORE_SCHEMA, Bands, score

SCORES = "gold.application_scores"
SOURCE_SYSTEM = "kafka"
REFRESH_SECONDS = 60.0
"""How long macro rows and bands are kept by a process that lives on."""

STREAM_SCHEMA = pa.schema([*SCORE_SCHEMA, *MESSAGE_SCHEMA])
"""Scores with the message they answer."""
_MESSAGE = 'kafka_partition = "partition" and kafka_offset = "offset"'


@dataclass(frozen=True)
class Scorer:
    """A champion ready to score: its bundle and the engine that makes its features."""

    bundle: ModelBundle
    features: OnlineFeatures


class Champion:
    """The champion of a store, loaded when it changes. Raises `NotReadyError` when there is none."""

    def __init__(self, bundles: BundleStore, asset: str) -> None:
        self.bundles, self.asset = bundles, asset
        self._sha, self._scorer = "", None

    def scorer(self) -> Scorer | None:
        """The reigning one, or `None` before the first promotion."""
        pointer = self.bundles.pointer()
        if pointer is None:
            return None
        if pointer.sha != self._sha or self._scorer is None:
            bundle = self.bundles.load(pointer.sha)
            if not bundle.intake_sql:
                raise NotReadyError(
                    f"the champion {bundle.name} cannot score messages, it is too old: materialise {self.asset} anew"
                )
            self._sha, self._scorer = pointer.sha, Scorer(bundle, OnlineFeatures(bundle.intake_sql, bundle.feature_sql))
        return self._scorer

    _scorer: Scorer | None


class ApplicationScoring:
    """Handler of `loan_applications`."""

    contract: MessageContract = APPLICATIONS

    def __init__(self, warehouse: Warehouse, bundles: BundleStore) -> None:
        self.warehouse = warehouse
        self.champion = Champion(bundles, "models/champion")
        self._macro: tuple[float, pa.Table] | None = None
        self._bands: dict[date, Bands] = {}

    def prepare(self, accepted: pa.Table, context: BatchContext) -> Prepared:
        if not accepted.num_rows:
            return Prepared(traced=_NOTHING)
        scorer = self.champion.scorer()
        if scorer is None:
            raise NotReadyError("there is no champion to score with: materialise models/champion (or run `crp train`)")
        day = context.now.date()
        features = self._features(scorer, accepted)
        scored = _with_message(score(scorer.bundle, features, day, self._bands_on(day)), accepted)
        staged = {
            "scored_messages": ledger_writer.hashed(scored.to_batches(), context.stamp, STREAM_SCHEMA),
            "scored": Select(_ONE_PER_SCORE),
        }
        return Prepared(
            traced=Select(_TRACED),
            staged=staged | {"asked": accepted.select(["partition", "offset", "kafka_time", "event_id", "event_time"])},
            write=lambda transaction: _write(transaction, context),
            bundle_sha=scorer.bundle.sha256,
        )

    def _features(self, scorer: Scorer, accepted: pa.Table) -> pa.Table:
        """Features in the order of `accepted`. Rows are keyed by their place: a loan may ask twice in one batch."""
        places = pa.array([str(number) for number in range(accepted.num_rows)])
        rows = _replaced(accepted, {"loan_id": places, "source_system": pa.repeat(SOURCE_SYSTEM, accepted.num_rows)})
        made = scorer.features.compute(dict.fromkeys(scorer.features.sources, rows), self._published_macro())
        order = made["loan_id"].cast(pa.int64()).combine_chunks()
        in_order = made.take(pc.sort_indices(order))
        if in_order.num_rows != accepted.num_rows:
            raise ValueError(f"{accepted.num_rows} applications gave {in_order.num_rows} rows of features")
        return _replaced(in_order, {"loan_id": accepted["loan_id"]})

    def _published_macro(self) -> pa.Table:
        if self._macro is None or time.monotonic() - self._macro[0] > REFRESH_SECONDS:
            if not self.warehouse.exists(MACRO):
                raise NotReadyError(f"{MACRO} is not there yet: materialise the marts (job feature_engineering)")
            self._macro = (time.monotonic(), self.warehouse.query(f"select * from {MACRO}"))
            self._bands.clear()
        return self._macro[1]

    def _bands_on(self, day: date) -> Bands:
        if day not in self._bands:
            try:
                self._bands[day] = portfolio.bands_on(self.warehouse, day)
            except portfolio.NothingToScoreError as error:
                raise NotReadyError(str(error)) from error
        return self._bands[day]


def _write(transaction: Transaction, context: BatchContext) -> Mapping[str, int]:
    seal = ledger_writer.append(transaction, context.stamp, STREAM_SCHEMA)
    columns = ", ".join(SCORE_COLUMNS)
    rows = transaction.append(
        SCORES,
        Select(
            f'select {columns}, kafka_topic as topic, "partition", "offset", kafka_time, event_id, event_time '
            f"from scored_messages join asked on {_MESSAGE}"
        ),
    )
    return {SCORES: rows, "gold.score_ledger": seal.rows if seal else 0}


def _with_message(scored: pa.Table, accepted: pa.Table) -> pa.Table:
    columns = [*scored.columns, accepted["topic"], accepted["partition"], accepted["offset"]]
    return pa.table(columns, names=STREAM_SCHEMA.names).cast(STREAM_SCHEMA)


def _replaced(rows: pa.Table, columns: Mapping[str, pa.Array]) -> pa.Table:
    kept = {name: rows[name] for name in rows.column_names if name not in columns}
    return pa.table(kept | dict(columns))


# The same application asked twice on a day has one score and two messages.
_ONE_PER_SCORE = (
    "select * from scored_messages qualify row_number() over "
    "(partition by score_id order by kafka_partition, kafka_offset) = 1"
)
_TRACED = (
    f'select kafka_partition as "partition", kafka_offset as "offset", \'{Outcome.SCORED}\' as outcome, score_id, '
    "null::varchar as reason from scored_messages"
)
_NOTHING = pa.Table.from_batches([], TRACED_SCHEMA)  # `pa.array([])` would import pandas
