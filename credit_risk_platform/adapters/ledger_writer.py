"""Writing scores: the day's partition, the ledger rows and their seal, in one transaction or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Protocol

import pyarrow as pa

from credit_risk_platform.adapters import ledger_sql
from credit_risk_platform.adapters.ledger import (
    LEDGER,
    LEDGER_COLUMNS,
    LINK_COLUMNS,
    SCORE_COLUMNS,
    SCORES,
    SEALS,
    LedgerError,
    ScoreConflictError,
    seal_of,
)
from credit_risk_platform.adapters.warehouse.base import Batches, Select, Transaction, Warehouse
from credit_risk_platform.domain.provenance import CONTEXT, GENESIS, OWN, Seal, bucket_digits, packed
from credit_risk_platform.domain.scoring import SCORE_SCHEMA

_LEDGER_TYPES = {name: f"null::{kind} as {name}" for name, kind in LEDGER_COLUMNS.items()}
_OF_A_SCORE = {*SCORE_SCHEMA.names, "score_id", "inputs_hash"}
MESSAGE_SCHEMA = pa.schema(
    [("kafka_topic", pa.string()), ("kafka_partition", pa.int32()), ("kafka_offset", pa.int64())]
)
"""What a score brings besides `SCORE_SCHEMA` when a message asked for it."""
_NOT_LEDGERED = ("content_hash", "rules")
"""Of the staged scores: what goes into the links, and what stands in the score tables only."""
_DECIDED = ("decision", "reasons")
_SAID = ("pd", "band", *_DECIDED)
_HELD = pa.schema([("score_id", pa.string())] + [SCORE_SCHEMA.field(name) for name in _SAID])


@dataclass(frozen=True)
class Stamp:
    """What all rows of one write share. Times are naive UTC; `upstream` is JSON text."""

    known_at: datetime
    run_id: str
    upstream: str
    git_commit: str | None
    code_hash: str


@dataclass(frozen=True)
class Written:
    """`rows` scores in force for the partition, `appended` of them new to the ledger under `seal`."""

    rows: int
    appended: int
    seal: Seal | None


def write_scores(warehouse: Warehouse, batches: Iterable[pa.RecordBatch], as_of: date, stamp: Stamp) -> Written:
    """Replace the scores of `as_of` and append those new to the ledger: both in one transaction, or neither.

    `batches` have `SCORE_SCHEMA`, one row per loan. They are consumed, and hashed, before the writer lock is taken.
    Writing the same scores twice equals writing them once. Raises `LedgerError` when a loan comes twice.
    """
    with warehouse.transaction({"scored": hashed(batches, stamp)}) as transaction:
        _refuse_twice(transaction, "loan_id")
        rows = transaction.replace(
            SCORES, Select(f"select {', '.join(SCORE_COLUMNS)} from scored"), "as_of = ?", [as_of]
        )
        seal = append(transaction, stamp)
    return Written(rows, seal.rows if seal else 0, seal)


def hashed(batches: Iterable[pa.RecordBatch], stamp: Stamp, schema: pa.Schema = SCORE_SCHEMA) -> Batches:
    """Score rows on their way into staged table `scored`, with `inputs_hash`, `score_id` and `content_hash`.

    `schema` is `SCORE_SCHEMA`, with `MESSAGE_SCHEMA` behind it where the scores came by message.
    """
    shared = [name for name in CONTEXT if name in schema.names]
    unknown = "".join(f", {_LEDGER_TYPES[name]}" for name in OWN if name not in {*schema.names, *_OF_A_SCORE})
    stamped, params = _stamped(stamp, schema.names)
    named = f"""
        select *, {ledger_sql.SCORE_ID} as score_id
        from (select *, {ledger_sql.INPUTS_HASH} as inputs_hash{unknown} from incoming_rows)
    """
    contexts = f"select *, {stamped} from (select distinct {', '.join(shared)} from incoming_rows)"
    sql = f"""
        select {", ".join(schema.names)}, inputs_hash, score_id, {ledger_sql.CONTENT_HASH} as content_hash
        from ({ledger_sql.with_context_hash(named, contexts, shared)})
    """
    packed_schema = schema.append(pa.field(ledger_sql.PACKED, pa.large_binary()))
    reader = pa.RecordBatchReader.from_batches(packed_schema, (with_packed(batch) for batch in batches))
    return Batches(reader, sql, params)


def with_packed(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with its numeric inputs once more as bytes, which is what is hashed."""
    return batch.append_column(ledger_sql.PACKED, packed(batch.column("numeric_inputs")))


class _Made(Protocol):
    @property
    def after(self) -> str | None: ...


@dataclass(frozen=True)
class _State:
    after: str


class Tail:
    """The ledger's last seal, remembered by a process that wrote it. Anyone else's commit makes it ask again."""

    def __init__(self) -> None:
        self._written: tuple[_Made, Seal] | None = None
        self.unbroken = False
        """Whether the last one to append found that nobody else had written since the one before."""

    @property
    def written(self) -> bool:
        """Whether there is a ledger that this process has written to."""
        return self._written is not None

    def remember(self, transaction: Transaction, seal: Seal) -> None:
        self._written = (transaction, seal)

    def moved(self, before: str, after: str) -> None:
        """This process made the state `after` of `before`, and changed no rows."""
        if self._written is not None and self._written[0].after == before:
            self._written = (_State(after), self._written[1])

    def carried(self, transaction: Transaction) -> Mapping[str, int]:
        """Past a transaction that appends nothing to the ledger: it is this process's own. No rows of any table."""
        if (seal := self.last(transaction)) is not None:
            self.remember(transaction, seal)
        return {}

    def last(self, transaction: Transaction) -> Seal | None:
        """The last seal, if it is known to be that still: the commit went through, and none came after it."""
        before = transaction.before  # asked in any case: only who asks is told what the commit made
        if self._written is None:
            return None
        written, seal = self._written
        self.unbroken = written.after == before
        return seal if self.unbroken else None


def nothing_held() -> pa.Table:
    """As `held` of loans that the ledger holds no score of."""
    return _HELD.empty_table()


def held(warehouse: Warehouse, day: date, loan_ids: pa.ChunkedArray) -> pa.Table:
    """What the ledger holds of the day's scores of these loans, for `append`: read before their scores are computed.

    A score's id comes from the loan and the day among other things, so whatever the scores will be, theirs are here.
    """
    names = ", ".join(("score_id", *_SAID))
    with warehouse.workspace() as workspace:
        workspace.stage("loans", pa.table({"loan_id": loan_ids}))
        return workspace.query(f"select {names} from {LEDGER} semi join loans using (loan_id) where as_of = ?", [day])


def append(
    transaction: Transaction,
    stamp: Stamp,
    schema: pa.Schema = SCORE_SCHEMA,
    tail: Tail | None = None,
    known: pa.Table | None = None,
) -> Seal | None:
    """Append the scores of staged table `scored` (`hashed` with the same `schema`) that the ledger does not hold.

    They are sealed as one batch. The caller's transaction commits; one who appends again and again gives the same
    `tail` each time, and may give as `known` what the ledger `held` at any time since: it counts if nobody else has
    written. Returns `None` when there was nothing new. Raises `ScoreConflictError` when a score is there with another
    PD, band, decision or reasons.
    """
    _refuse_twice(transaction, "score_id")
    last = tail.last(transaction) if tail is not None else None
    if last is None:
        known = None  # somebody has written since
        transaction.append(LEDGER, Select(f"select {', '.join(_LEDGER_TYPES.values())} limit 0"))
        transaction.append(SEALS, _seal_table(None))
        last = _last_seal(transaction)
    any_known = _stage_known(transaction, known) > 0
    if any_known:
        _refuse_conflicts(transaction)
    seal_no, previous = (last.seal_no + 1, last.seal_hash) if last else (1, GENESIS)
    count = _stage_links(transaction, previous, any_known=any_known)
    if not count:
        if tail is not None and last is not None:
            tail.remember(transaction, last)
        return None
    digest = transaction.query(ledger_sql.digest("links", "row_hash", bucket_digits(count)))["digest"][0].as_py()
    stamped, params = _stamped(stamp, schema.names)
    brought = f"* exclude ({', '.join(_NOT_LEDGERED)})"
    new = f"select {brought}, {stamped}, ?::bigint as seal_no from scored join links using (score_id)"
    transaction.append(LEDGER, Select(new, [*params, seal_no]))
    seal = Seal(seal_no, count, digest, previous, stamp.run_id, stamp.known_at)
    transaction.append(SEALS, _seal_table(seal))
    if tail is not None:
        tail.remember(transaction, seal)
    return seal


def _stamped(stamp: Stamp, brought: Sequence[str]) -> tuple[str, list[Any]]:
    """Select list of what a score does not bring itself: the stamp as parameters, null for what is not known yet."""
    own = {*_OF_A_SCORE, *LINK_COLUMNS, *brought}
    rest = [name for name in LEDGER_COLUMNS if name not in own]
    values = vars(stamp)
    listed = [f"?::{LEDGER_COLUMNS[name]} as {name}" if name in values else _LEDGER_TYPES[name] for name in rest]
    return ", ".join(listed), [values[name] for name in rest if name in values]


def _refuse_twice(transaction: Transaction, key: str) -> None:
    sql = f"""
        select any_value(loan_id) as loan_id, count(*) as n
        from scored group by {key} having n > 1 order by loan_id limit 1
    """
    for loan in transaction.query(sql).to_pylist():
        raise LedgerError(
            f"loan {loan['loan_id']} came {loan['n']} times in one batch of scores: the feature mart holds it "
            "more than once. Mend the mart; nothing was written."
        )


def _stage_known(transaction: Transaction, known: pa.Table | None) -> int:
    """Staged `ledgered`: what the ledger holds of the scores, read once for all questions about it; how many rows."""
    if known is not None:
        return transaction.stage("ledgered", known) if known.num_rows else 0
    days = transaction.query("select min(as_of) as first, max(as_of) as last from scored").to_pylist()[0]
    names = ", ".join(f"old.{name}" for name in ("score_id", *_SAID))
    # The days are bound, so that the engine skips the data files of all others: the ledger grows for years.
    held = f"select {names} from {LEDGER} as old semi join scored using (score_id) where old.as_of between ? and ?"
    return transaction.stage("ledgered", Select(held, [days["first"], days["last"]]))


def _refuse_conflicts(transaction: Transaction) -> None:
    # A score from before there were decisions, and one of a behavioural model, has none to compare.
    said = ", ".join(f"old.{name} as {name}_then, new.{name} as {name}_now" for name in _SAID)
    differs = " or ".join(f"old.{name} is distinct from new.{name}" for name in _DECIDED)
    conflict = transaction.query(
        f"""
        select new.score_id, new.loan_id, {said}
        from scored as new join ledgered as old using (score_id)
        where old.pd is distinct from new.pd or old.band is distinct from new.band
            or (old.decision is not null and ({differs}))
        order by score_id limit 1
        """
    ).to_pylist()
    if conflict:
        row = conflict[0]
        changed = [name for name in _SAID if row[f"{name}_then"] != row[f"{name}_now"]]
        then = ", ".join(f"{name} {row[f'{name}_then']!r}" for name in changed)
        now = ", ".join(f"{name} {row[f'{name}_now']!r}" for name in changed)
        raise ScoreConflictError(
            f"score {row['score_id']} of loan {row['loan_id']} stands in the ledger with {then}, the same inputs, "
            f"bundle and policy version now give {now}: the scoring code or the policy was changed without a new "
            "version. Train a new bundle (or publish a new policy version) instead; nothing was written."
        )


def _stage_links(transaction: Transaction, previous: str, *, any_known: bool) -> int:
    """Staged `links`: each row new to the ledger bound to the one before it in id order, the first to the last seal."""
    fresh = "select score_id, content_hash from scored"
    if any_known:
        fresh += " anti join ledgered using (score_id)"
    chained = f"select *, lag(content_hash, 1, ?) over (order by score_id) as prev_hash from ({fresh})"
    bound = f"select score_id, prev_hash, sha256(content_hash || prev_hash) as row_hash from ({chained})"
    return transaction.stage("links", Select(bound, [previous]))


def _last_seal(transaction: Transaction) -> Seal | None:
    rows = transaction.query(f"select * from {SEALS} order by seal_no desc limit 1").to_pylist()
    return seal_of(rows[0]) if rows else None


def _seal_table(seal: Seal | None) -> pa.Table:
    schema = pa.schema(
        [
            ("seal_no", pa.int64()),
            ("rows", pa.int64()),
            ("digest", pa.string()),
            ("previous", pa.string()),
            ("run_id", pa.string()),
            ("sealed_at", pa.timestamp("us")),
            ("seal_hash", pa.string()),
        ]
    )
    return pa.Table.from_pylist([{**vars(seal), "seal_hash": seal.seal_hash}] if seal else [], schema)
