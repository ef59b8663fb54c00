"""Is the ledger still what was written? Recomputes every hash from the rows and names the first one that does not fit.

What it finds: a changed value, a deleted row, an inserted row, a lost or rewritten seal. What only an anchor finds: the
newest batches cut off together with their seals; so callers pass the seals they remember from elsewhere (the run log).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from credit_risk_platform.adapters import ledger_sql
from credit_risk_platform.adapters.ledger import LEDGER, LINK_COLUMNS, SEALS
from credit_risk_platform.adapters.ledger_writer import with_packed
from credit_risk_platform.adapters.warehouse.base import Batches, Select, Warehouse, Workspace
from credit_risk_platform.domain.provenance import BUCKET_ROWS, CONTEXT, GENESIS, OWN

BATCH_ROWS = 250_000
INPUT_COLUMNS = ("numeric_inputs", "categorical_inputs")
_DIGITS = f'case when seals."rows" <= {BUCKET_ROWS} then 0 when seals."rows" <= {16 * BUCKET_ROWS} then 1 else 2 end'


@dataclass(frozen=True)
class Break:
    """One place where the ledger is not what was written; `score_id` is `None` when a whole batch is meant."""

    seal_no: int
    score_id: str | None
    what: str

    def __str__(self) -> str:
        where = f"score {self.score_id} (seal {self.seal_no})" if self.score_id else f"seal {self.seal_no}"
        return f"{where}: {self.what}"


@dataclass(frozen=True)
class Audit:
    """`rows_checked` of `rows` were recomputed; all `seals` were. `breaks` holds the first few, in ledger order."""

    seals: int
    rows: int
    rows_checked: int
    head: str
    breaks: tuple[Break, ...]

    @property
    def intact(self) -> bool:
        return not self.breaks


def verify(
    warehouse: Warehouse, *, max_rows: int | None = None, anchors: Mapping[int, str] | None = None, limit: int = 10
) -> Audit:
    """Recompute the chain: all seals, and the rows of the newest batches up to `max_rows` (`None`: all rows).

    `anchors` are seal number -> seal hash as remembered outside the warehouse. Reads only, waits for nobody, and holds
    no more than a narrow copy of the hashes; a batch that is appended meanwhile is left to the next audit.
    """
    remembered = _remembered(anchors or {})
    if not warehouse.exists(SEALS):
        gone = (Break(seal_no, None, "the ledger is gone") for seal_no in remembered["seal_no"].to_pylist())
        return Audit(0, 0, 0, GENESIS, tuple(gone))
    with warehouse.workspace() as workspace:
        seals = workspace.stage("seals", Select(f"select * from {SEALS}"))
        workspace.stage("anchors", remembered)
        first = _first_seal(workspace, max_rows)
        checked = _stage_rows(warehouse, workspace, first)
        found = workspace.query(f"{_BREAKS} limit ?", [first, GENESIS, limit]).to_pylist()
        state = workspace.query(_STATE, [GENESIS]).to_pylist()[0]
    return Audit(seals, state["total"], checked, state["head"], tuple(Break(**row) for row in found))


def _remembered(anchors: Mapping[int, str]) -> pa.Table:
    return pa.table(
        {"seal_no": pa.array(anchors.keys(), pa.int64()), "remembered": pa.array(anchors.values(), pa.string())}
    )


def _first_seal(workspace: Workspace, max_rows: int | None) -> int:
    """The oldest seal whose rows, with all newer ones, stay within `max_rows`; the newest seal is always checked."""
    sql = """
        select coalesce(min(seal_no) filter (newer <= ?), max(seal_no), 0) as first
        from (select seal_no, sum("rows") over (order by seal_no desc) as newer from seals)
    """
    return int(workspace.query(sql, [2**62 if max_rows is None else max_rows])["first"][0].as_py())


def _stage_rows(warehouse: Warehouse, workspace: Workspace, first: int) -> int:
    """Staged `audited`: of each row its stored links, the hash of what it holds now, and whether its inputs no longer
    have the hash that this one covers.

    Hashed on the way through this process: one engine's text of a number is not another's.
    """
    read = ", ".join(dict.fromkeys([*OWN, *CONTEXT, *LINK_COLUMNS, *INPUT_COLUMNS]))
    rows = f"select {read} from {LEDGER} where seal_no >= ? or seal_no is null"
    contexts = f"select distinct {', '.join(CONTEXT)} from incoming_rows"
    rehashed = f"""
        select seal_no, score_id, prev_hash, row_hash, {ledger_sql.CONTENT_HASH} as content_hash,
            inputs_hash is distinct from {ledger_sql.INPUTS_HASH} as misfit
        from ({ledger_sql.with_context_hash("select * from incoming_rows", contexts)})
    """
    schema = warehouse.query(f"{rows} limit 0", [first]).schema.append(pa.field(ledger_sql.PACKED, pa.large_binary()))
    with warehouse.stream(rows, [first], BATCH_ROWS) as batches:
        reader = pa.RecordBatchReader.from_batches(schema, (with_packed(batch) for batch in batches))
        return workspace.stage("audited", Batches(reader, rehashed))


_STATE = """
    select coalesce(sum("rows"), 0)::bigint as total, coalesce(max_by(seal_hash, seal_no), ?) as head from seals
"""

_BREAKS = f"""
with linked as (
    select audited.*, lag(content_hash, 1, previous) over (partition by seal_no order by score_id) as expected
    from audited join seals using (seal_no)
),
rows_broken as (
    select seal_no, score_id, case when changed
        then 'the row is not what was written: a value in it was changed'
        else 'the row does not follow the one before it: a row was deleted, inserted or changed there'
        end as what
    from (
        select *,
            row_hash is distinct from sha256(content_hash || prev_hash) or misfit as changed
        from linked
    )
    where changed or prev_hash is distinct from expected
),
buckets as (
    select seal_no, left(score_id, {_DIGITS}) as bucket, count(*) as n,
        sha256(string_agg(row_hash, '' order by score_id)) as bucket_hash
    from audited join seals using (seal_no)
    group by all
),
batches as (
    select seal_no, sum(n)::bigint as present, sha256(string_agg(bucket_hash, '' order by bucket)) as digest
    from buckets
    group by seal_no
),
batches_broken as (
    select seal_no, null as score_id,
        case when coalesce(present, 0) = seals."rows" then 'its rows are not those that were sealed'
        else coalesce(present, 0) || ' rows are there, ' || seals."rows" || ' were sealed' end as what
    from seals left join batches using (seal_no)
    where seal_no >= ? and batches.digest is distinct from seals.digest
),
unsealed as (
    select seal_no, min(score_id) as score_id,
        'the row belongs to no seal (' || count(*) || ' such): not written by the platform, or its seal is gone' as what
    from audited
    where not exists (select 1 from {SEALS} as late where late.seal_no = audited.seal_no)
    group by seal_no
),
chain as (
    select *, lag(seal_hash, 1, ?) over (order by seal_no) as expected, row_number() over (order by seal_no) as place
    from seals
),
seals_broken as (
    select seal_no, null as score_id, case
        when seal_hash is distinct from {ledger_sql.SEAL_HASH} then 'the seal is not what was written'
        else 'the seal does not follow the one before it: a seal was deleted or inserted there'
        end as what
    from chain
    where seal_hash is distinct from {ledger_sql.SEAL_HASH} or previous <> expected or place <> seal_no
),
anchors_broken as (
    select seal_no, null as score_id, case
        when seal_hash is null then 'the seal is gone, the run log remembers it'
        else 'the seal is not the one the run log remembers'
        end as what
    from anchors left join seals using (seal_no)
    where seal_hash is distinct from remembered
)
select coalesce(seal_no, 0) as seal_no, score_id, what
from (
    from rows_broken union all by name from batches_broken union all by name from unsealed
    union all by name from seals_broken union all by name from anchors_broken
)
order by seal_no, score_id nulls last
"""
