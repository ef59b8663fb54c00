"""From messages as read to typed rows and dead letters, in SQL: the judgement of the file landing.

A sound message becomes a row of its contract; any other one becomes a dead letter with column, value, reason and next
step, and its text with letters and digits blurred. Personal fields become `subject_token` here and go no further.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import date
from functools import cached_property

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from credit_risk_platform.adapters.landing.rejects import advice_table
from credit_risk_platform.adapters.streaming.batch import RECORD_SCHEMA, REFUSED_SCHEMA
from credit_risk_platform.adapters.streaming.judgement import DEAD, REFUSED, UNSOUND, blamed_sql, judged_sql
from credit_risk_platform.adapters.sweeping import Sweeper
from credit_risk_platform.adapters.tokens import TokenKey
from credit_risk_platform.domain.contracts.messages import MessageContract

_PLACE = [("partition", "ascending"), ("offset", "ascending")]


@dataclass(frozen=True)
class Judged:
    """`accepted` has the columns of `Handler.prepare`; `dead` those of `bronze.dead_letters` without run_id."""

    accepted: pa.Table
    dead: pa.Table


class Intake:
    """Judges messages of one contract. Safe to share between threads."""

    def __init__(self, contract: MessageContract, key: TokenKey) -> None:
        self.contract = contract
        self._pads = dict(zip(("inner", "outer"), key.pads(), strict=True))
        self._one_at_a_time = threading.Lock()

    def warm(self, today: date) -> None:
        """Plan the judgement of that day, which the first batch would wait for."""
        with self._one_at_a_time:
            self._prepare(today)

    def judge(self, records: pa.Table, today: date) -> Judged:
        """`records` have `RECORD_SCHEMA`; dates after `today` are impossible."""
        with self._one_at_a_time:
            connection = self._connection
            self._fill("incoming", records)
            self._prepare(today)
            judged = connection.execute("execute judge").to_arrow_table()
            sound, accepted = judged["sound"], judged.drop_columns(["sound"])
            dead = self._none_dead
            if not pc.all(sound).as_py():
                accepted = accepted.filter(sound)
                self._fill("unsound", judged.filter(pc.invert(sound)).select(["partition", "offset"]))
                connection.execute("delete from blamed; execute blame")
                dead = connection.execute("execute dead").to_arrow_table()
            self._sweeper.filled(records.num_rows)
        if accepted.num_rows + dead.num_rows != records.num_rows:
            raise RuntimeError(
                f"of {records.num_rows} messages {accepted.num_rows} are sound and {dead.num_rows} have a problem: "
                "`column_flaw` and `column_problem` disagree; nothing was written"
            )
        return Judged(accepted.sort_by(_PLACE), dead)

    def refuse(self, records: pa.Table, refused: pa.Table) -> pa.Table:
        """Dead letters for messages a handler refused (`REFUSED_SCHEMA`); `records` are the batch they came in."""
        with self._one_at_a_time:
            connection = self._connection
            self._fill("incoming", records)
            connection.register("refused", refused.cast(REFUSED_SCHEMA))
            dead = connection.execute(REFUSED).to_arrow_table()
            connection.unregister("refused")
        return dead

    # ---------------------------------------------------------------- inside

    _today: date | None = None
    _none_dead: pa.Table

    @cached_property
    def _connection(self) -> duckdb.DuckDBPyConnection:
        connection = duckdb.connect()
        # One thread: a hundred expressions on a few rows, set up once per thread. And no statistics in the plans: a
        # prepared one outlives the rows it was made for.
        connection.execute("set timezone = 'UTC'; set threads = 1")
        connection.execute("set disabled_optimizers = 'statistics_propagation'")
        incoming = RECORD_SCHEMA.empty_table()
        tables = {
            "incoming": incoming,
            "unsound": incoming.select(["partition", "offset"]),
            "advice": advice_table(self.contract.columns),
        }
        for name, rows in tables.items():
            connection.register("given", rows)
            connection.execute(f"create table {name} as from given")
        # Here, and in no text of a statement: an error would quote it.
        connection.execute(
            "create table pads as select $inner::blob as inner_pad, $outer::blob as outer_pad", self._pads
        )
        return connection

    @cached_property
    def _sweeper(self) -> Sweeper:
        return Sweeper(self._connection)

    def _fill(self, table: str, rows: pa.Table) -> None:
        self._connection.register("given", rows)
        self._connection.execute(f"delete from {table}; insert into {table} from given")
        self._connection.unregister("given")

    def _prepare(self, today: date) -> None:
        """Plan the statements: that takes ten times as long as running them on a few messages, so it is done once."""
        if today == self._today:
            return
        connection = self._connection
        judge, blame = judged_sql(self.contract, today), blamed_sql(self.contract, today, UNSOUND)
        connection.execute(f"create or replace table blamed as select * from ({blame}) limit 0")
        statements = {
            "judge": judge,
            "blame": f"insert into blamed {blame}",
            "dead": DEAD,
        }
        for name, statement in statements.items():
            connection.execute(f"prepare {name} as {statement}")
        self._none_dead = connection.execute("execute dead").to_arrow_table()
        self._today = today
