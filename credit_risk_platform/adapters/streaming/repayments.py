"""Repayments: the loan's state as of its latest news, and its behavioural PD, by the SQL of the loan-month panel.

The panel is made of month ends, and so is what the behavioural model learnt from. A loan's present month therefore
stands for its month end as if nothing more were paid in it; days past due are told as of the day of the latest message.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from credit_risk_platform.adapters import ledger_writer, portfolio
from credit_risk_platform.adapters.bundles import BundleStore
from credit_risk_platform.adapters.champion import Champion, Scorer
from credit_risk_platform.adapters.ledger import LEDGER
from credit_risk_platform.adapters.streaming.applications import STREAM_SCHEMA
from credit_risk_platform.adapters.streaming.batch import (
    REFUSED_SCHEMA,
    TRACED_SCHEMA,
    BatchContext,
    NotReadyError,
    Outcome,
    Prepared,
)
from credit_risk_platform.adapters.warehouse.base import Select, Transaction, Warehouse, Workspace
from credit_risk_platform.domain.contracts.messages import REPAYMENTS, MessageContract
from credit_risk_platform.domain.contracts.reasons import Reason
from credit_risk_platform.domain.scoring import Bands, score

STATE = "gold.loan_state"
PANEL = "lake.silver.int_loan_month_panel"


class RepaymentUpdates:
    """Handler of `repayments`. Without a behavioural champion messages are recorded, and nothing is scored."""

    contract: MessageContract = REPAYMENTS
    asks = (LEDGER,)

    def __init__(self, warehouse: Warehouse, bundles: BundleStore) -> None:
        self.warehouse = warehouse
        self.champion = Champion(bundles, "models/behaviour_champion")

    def warm(self) -> None:
        self.champion.scorer()

    def moved(self, before: str, after: str) -> None:
        """Nothing is remembered from batch to batch."""

    def prepare(self, accepted: pa.Table, context: BatchContext) -> Prepared:
        scorer = self.champion.scorer() if accepted.num_rows else None
        if scorer is None:
            return Prepared(traced=_recorded(accepted))
        with self.warehouse.workspace() as workspace:
            workspace.stage("news", accepted)
            loans, repayments, refused = self._known(workspace, scorer)
        if not loans.num_rows:
            return Prepared(traced=_recorded(accepted.slice(0, 0)), refused=refused)
        tables = {name: loans if name.endswith("_loans") else repayments for name in scorer.features.sources}
        made = scorer.features.compute(tables)
        with self.warehouse.workspace() as workspace:
            workspace.stage("news", accepted)
            workspace.stage("loans", loans)
            workspace.stage("features", made)
            workspace.stage("panel", scorer.features.rows_of(PANEL))
            state = workspace.query(_STATE)
        return self._scored(scorer, state, _latest(made, state), refused, context)

    # ---------------------------------------------------------------- inside

    def _known(self, workspace: Workspace, scorer: Scorer) -> tuple[pa.Table, pa.Table, pa.Table]:
        """(bronze rows of the touched loans, all that is known of their instalments, messages of unknown loans)."""
        book = next(name for name in scorer.features.sources if name.endswith("_loans"))
        panel = next(name for name in scorer.features.sources if name.endswith("_repayments"))
        if not self.warehouse.exists(f"bronze.{book}"):
            raise NotReadyError(f"bronze.{book} is not there yet: land the book first (job daily_ingestion)")
        earlier = "select * from news where false"
        if self.warehouse.exists(self.contract.raw_table):
            columns = ", ".join(f'"{name}"' for name in workspace.query("from news limit 0").column_names)
            earlier = f"select {columns} from {self.contract.raw_table} where loan_id in (select loan_id from news)"
        streamed = f"select * from ({earlier}) union all by name select * from news"
        loans = workspace.query(_LOANS.format(book=book, streamed=streamed))
        repayments = workspace.query(_REPAYMENTS.format(panel=panel, streamed=streamed))
        refused = workspace.query(_UNKNOWN.format(book=book)).cast(REFUSED_SCHEMA)
        return loans, repayments, refused

    def _scored(
        self, scorer: Scorer, state: pa.Table, features: pa.Table, refused: pa.Table, context: BatchContext
    ) -> Prepared:
        day = context.now.date()
        scored = score(scorer.bundle, features, day, self._bands_on(day))
        message = [state[name] for name in ("topic", "partition", "offset")]
        with_message = pa.table([*scored.columns, *message], names=STREAM_SCHEMA.names).cast(STREAM_SCHEMA)
        return Prepared(
            traced=Select(_TRACED),
            staged={
                "scored": ledger_writer.hashed(with_message.to_batches(), context.stamp, STREAM_SCHEMA),
                "state": state.drop_columns(["messages"]),
                "answered": _unnested(state),
            },
            write=lambda transaction: _write(transaction, context),
            bundle_sha=scorer.bundle.sha256,
            refused=refused,
        )

    def _bands_on(self, day: date) -> Bands:
        try:
            return portfolio.bands_on(self.warehouse, day)
        except portfolio.NothingToScoreError as error:
            raise NotReadyError(str(error)) from error


def _write(transaction: Transaction, context: BatchContext) -> Mapping[str, int]:
    seal = ledger_writer.append(transaction, context.stamp, STREAM_SCHEMA)
    updated = Select(
        "select state.*, pd, points, band, score_id, bundle_sha, ?::timestamp as updated_at, ? as run_id "
        "from state join scored using (loan_id)",
        [context.now, context.stamp.run_id],
    )
    transaction.stage("new_state", updated)
    rows = transaction.upsert(STATE, Select("select * from new_state"), ["loan_id"])
    return {STATE: rows, "gold.score_ledger": seal.rows if seal else 0}


def _recorded(accepted: pa.Table) -> pa.Table:
    size = accepted.num_rows
    columns = {
        "partition": accepted["partition"],
        "offset": accepted["offset"],
        "outcome": pa.repeat(str(Outcome.RECORDED), size),
        "score_id": pa.nulls(size, pa.string()),
        "reason": pa.nulls(size, pa.string()),
    }
    return pa.table(columns).cast(TRACED_SCHEMA)


def _latest(made: pa.Table, state: pa.Table) -> pa.Table:
    """The features of each loan at its present month, in the order of `state`, with what names the score."""
    keyed = state.select(["loan_id", "observation_month", "subject_token"]).append_column(
        "place", pa.array(range(state.num_rows))
    )
    joined = keyed.join(made, keys=["loan_id", "observation_month"], join_type="inner")
    return joined.sort_by("place")


def _unnested(state: pa.Table) -> pa.Table:
    """Each message of the batch beside the loan it spoke of."""
    messages = state["messages"].combine_chunks()
    parents = pc.list_parent_indices(messages)
    flat = messages.flatten()
    return pa.table(
        {
            "loan_id": state["loan_id"].take(parents),
            "partition": flat.field("partition"),
            "offset": flat.field("offset"),
        }
    )


# A book may know a loan longer than the stream does: the later of the two is how far it is known.
_LOANS = """
    select loans.* replace (greatest(loans._observed_through, last_day(heard.latest)) as _observed_through),
        greatest(loans._observed_through, heard.latest) as known_until
    from bronze.{book} as loans
    join (select loan_id, max(event_time)::date as latest from ({streamed}) group by loan_id) as heard using (loan_id)
"""
# The latest word on an instalment counts, the stream's before the book's.
_REPAYMENTS = """
    with streamed as (
        select * exclude (nth) from (
            select *, row_number() over (
                partition by loan_id, instalment_number order by event_time desc, "partition" desc, "offset" desc
            ) as nth
            from ({streamed})
        ) where nth = 1
    )
    select loan_id, instalment_number, due_date, amount_due, principal_due, interest_due, paid_date, amount_paid,
        principal_paid, interest_paid, opening_balance, closing_balance, event_time as known_at, 'kafka' as _batch
    from streamed
    union all by name
    select * from bronze.{panel} as booked
    where loan_id in (select loan_id from news)
        and (loan_id, instalment_number) not in (select loan_id, instalment_number from streamed)
"""
_UNKNOWN = f"""
    select "partition", "offset", 'loan_id' as "column", loan_id as value, '{Reason.UNKNOWN_LOAN}' as reason
    from news where loan_id not in (select loan_id from bronze.{{book}})
"""
# One row per touched loan, at its present month; the messages of this batch that touched it stand beside it.
_STATE = """
    with touched as (
        select loan_id, max(event_time) as latest_event_time, arg_max(topic, "offset") as topic,
            arg_max(topic_id, "offset") as topic_id, arg_max("partition", "offset") as "partition",
            max("offset") as "offset", list({'partition': "partition", 'offset': "offset"}) as messages
        from news group by loan_id
    ),
    present as (
        select loan_id, max(observation_month) as observation_month from features group by loan_id
    )
    select loan_id, loans.subject_token, present.observation_month,
        loans.known_until as observed_on,
        greatest(0, panel.days_past_due - greatest(0, datediff('day', loans.known_until, present.observation_month)))
            ::integer as days_past_due,
        panel.days_past_due as days_past_due_at_month_end, panel.dpd_bucket as dpd_bucket_at_month_end, panel.status,
        panel.balance, panel.months_on_book, touched.latest_event_time, touched.topic, touched.topic_id,
        touched."partition", touched."offset", touched.messages
    from touched join present using (loan_id) join loans using (loan_id)
    join panel on panel.loan_id = present.loan_id and panel.month_end = present.observation_month
    order by loan_id
"""
_TRACED = f"""
    select answered."partition", answered."offset", '{Outcome.SCORED}' as outcome, scored.score_id,
        null::varchar as reason
    from answered join scored using (loan_id)
"""
