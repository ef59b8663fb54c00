"""Applications: features by the marts' own SQL, one `score()`, the ledger."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import pyarrow as pa

from credit_risk_platform.adapters import ledger_writer
from credit_risk_platform.adapters.application_scorer import ApplicationScorer
from credit_risk_platform.adapters.ledger import LEDGER, SCORE_COLUMNS
from credit_risk_platform.adapters.ledger_writer import MESSAGE_SCHEMA
from credit_risk_platform.adapters.streaming.batch import TRACED_SCHEMA, BatchContext, Outcome, Prepared
from credit_risk_platform.adapters.streaming.memory import Memory
from credit_risk_platform.adapters.warehouse.base import Select, Transaction
from credit_risk_platform.domain.contracts.messages import APPLICATIONS, MessageContract
from credit_risk_platform.domain.scoring import SCORE_SCHEMA

SCORES = "gold.application_scores"

STREAM_SCHEMA = pa.schema([*SCORE_SCHEMA, *MESSAGE_SCHEMA])
"""Scores with the message they answer."""
_EVENT_SCHEMA = pa.schema(
    [("kafka_time", pa.timestamp("us")), ("event_id", pa.string()), ("event_time", pa.timestamp("us"))]
)
_ASKED_SCHEMA = pa.schema([*STREAM_SCHEMA, *_EVENT_SCHEMA])
"""The same with what `SCORES` says of the message; the ledger does not."""


class ApplicationScoring:
    """Handler of `loan_applications`."""

    contract: MessageContract = APPLICATIONS

    def __init__(self, scorer: ApplicationScorer) -> None:
        self.scorer = scorer
        self.ledger_tail = ledger_writer.Tail()
        self._scored_today = Memory()
        self._today: date | None = None

    @property
    def asks(self) -> Collection[str]:
        return () if self._scored_today.ready else (LEDGER,)

    def warm(self) -> None:
        self.scorer.refresh()

    def moved(self, before: str, after: str) -> None:
        self.ledger_tail.moved(before, after)

    def prepare(self, accepted: pa.Table, context: BatchContext) -> Prepared:
        if not accepted.num_rows:
            return Prepared(traced=_NOTHING, write=self.ledger_tail.carried)
        self.scorer.refresh()
        one, day = self.scorer.snapshot(), context.now.date()
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="held") as beside:
            held = beside.submit(self._held, accepted, day)
            scored = _with_message(one.score(accepted, day), accepted)
        return Prepared(
            traced=Select(_TRACED),
            staged={
                "scored_messages": ledger_writer.hashed(scored.to_batches(), context.stamp, _ASKED_SCHEMA),
                "scored": Select(_ONE_PER_SCORE),
            },
            write=lambda transaction: self._write(transaction, context, accepted, held.result()),
            bundle_sha=one.scorer.bundle.sha256,
        )

    def _held(self, accepted: pa.Table, day: date) -> pa.Table | None:
        """What the ledger says of these loans, looked up while their scores are computed."""
        if not self.ledger_tail.written:
            return None
        warehouse, memory = self.scorer.warehouse, self._scored_today
        if day != self._today:
            memory.forget()
            self._today = day
        if memory.due:
            with warehouse.stream(f"select loan_id from {LEDGER} where as_of = ?", [day]) as batches:
                memory.fill(batches)
        if memory.ready and not memory.may_hold(accepted["loan_id"]):
            return ledger_writer.nothing_held()
        return ledger_writer.held(warehouse, day, accepted["loan_id"])

    def _write(
        self, transaction: Transaction, context: BatchContext, accepted: pa.Table, held: pa.Table | None
    ) -> Mapping[str, int]:
        seal = ledger_writer.append(transaction, context.stamp, STREAM_SCHEMA, self.ledger_tail, held)
        self._scored_today.wrote(accepted["loan_id"], undisturbed=self.ledger_tail.unbroken)
        rows = transaction.append(SCORES, Select(_SCORES))
        return {SCORES: rows, "gold.score_ledger": seal.rows if seal else 0}


def _with_message(scored: pa.Table, accepted: pa.Table) -> pa.Table:
    asked = [accepted[name] for name in ("topic", "partition", "offset", *_EVENT_SCHEMA.names)]
    return pa.table([*scored.columns, *asked], names=_ASKED_SCHEMA.names).cast(_ASKED_SCHEMA)


# The same application asked twice on a day has one score and two messages.
_ONE_PER_SCORE = (
    f"select * exclude ({', '.join(_EVENT_SCHEMA.names)}) from scored_messages qualify row_number() over "
    "(partition by score_id order by kafka_partition, kafka_offset) = 1"
)
_SCORES = (
    f'select {", ".join(SCORE_COLUMNS)}, kafka_topic as topic, kafka_partition as "partition", '
    f'kafka_offset as "offset", {", ".join(_EVENT_SCHEMA.names)} from scored_messages'
)
_TRACED = (
    f'select kafka_partition as "partition", kafka_offset as "offset", \'{Outcome.SCORED}\' as outcome, score_id, '
    "null::varchar as reason from scored_messages"
)
_NOTHING = pa.Table.from_batches([], TRACED_SCHEMA)  # `pa.array([])` would import pandas
