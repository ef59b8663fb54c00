"""A table of labelled rows cut into splits: fingerprinted, summed up and read by SQL. Rows reach Python only as inputs.

Works on any engine behind `Warehouse`; knows nothing of models, nor of how the rows came to be in their split.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import pyarrow as pa

from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.domain.models.frame import FeatureLike
from credit_risk_platform.domain.splits import Split
from credit_risk_platform.domain.training import Labelled, Rows


@dataclass(frozen=True)
class SplitCard:
    """One split at a glance: `loans` are rows, months the first and last by which the split was cut."""

    split: str
    loans: int
    bads: int
    first_month: date
    last_month: date

    @property
    def bad_rate(self) -> float:
        return self.bads / self.loans


@dataclass(frozen=True)
class TrainingTable:
    """`month` is the column whose order in time cut the splits; a row is named by `key`."""

    name: str
    month: str
    key: tuple[str, ...]

    def fingerprint(self, warehouse: Warehouse) -> str:
        """SHA-256 over the content, whatever the order of its rows: same content, same hash.

        Each row is hashed by the engine over all its columns; the sum and the exclusive or of the row hashes, the row
        count and the column types make the fingerprint. About a second for ten million rows.
        """
        columns = warehouse.columns(self.name)
        row = f"hash({', '.join(columns)})"
        found = warehouse.query(
            f"select count(*) as n, sum(cast({row} as decimal(38, 0))) as total, bit_xor({row}) as parity "
            f"from {self.name}"
        ).to_pylist()[0]
        content = {"columns": columns, **{name: str(value) for name, value in found.items()}}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def cards(self, warehouse: Warehouse) -> list[SplitCard]:
        """One card per split, in the order of time."""
        found = warehouse.query(
            f"select split, count(*) as loans, cast(count_if(is_bad) as bigint) as bads, "
            f"min({self.month}) as first_month, max({self.month}) as last_month "
            f"from {self.name} group by split order by first_month"
        )
        return [SplitCard(**row) for row in found.to_pylist()]

    def loans(self, warehouse: Warehouse, split: Split) -> int:
        """Different loans in a split: how many rows are independent of each other where a loan has several."""
        counted = f"select count(distinct loan_id) as n from {self.name} where split = ?"
        return int(warehouse.query(counted, [str(split)])["n"][0].as_py())

    def repeated(self, warehouse: Warehouse) -> int:
        """Rows beyond the first of a key: a row in two splits, or twice in one."""
        distinct = f"select distinct {', '.join(self.key)} from {self.name}"
        counted = f"select (select count(*) from {self.name}) - (select count(*) from ({distinct}) as d) as n"
        return int(warehouse.query(counted)["n"][0].as_py())

    def read(
        self,
        warehouse: Warehouse,
        features: Sequence[str],
        splits: Sequence[Split],
        *,
        at_most: int | None = None,
        seed: int = 0,
    ) -> pa.Table:
        """issue_month (here: `month`), is_bad and `features` of some splits, in an order that repeats exactly.

        With `at_most`, a sample of exactly that many rows (or all, if fewer): the same rows for the same seed, on any
        number of threads and whatever the physical order of the table.
        """
        key = ", ".join(self.key)
        columns = ", ".join([f"{self.month} as issue_month", "is_bad", *features])
        members = f"from {self.name} where split in ({', '.join('?' for _ in splits)})"
        order = f"order by {self.month}, {key}"
        names = [str(split) for split in splits]
        if at_most is None:
            return warehouse.query(f"select {columns} {members} {order}", names)
        lot = f"select {key} {members} order by hash({key}, {int(seed)}), {key} limit {int(at_most)}"
        return warehouse.query(f"select {columns} {members} and ({key}) in ({lot}) {order}", [*names, *names])

    def rows(self, warehouse: Warehouse, features: Sequence[FeatureLike], seed: int) -> Rows:
        """Its rows as model inputs, a split at a time: a large book is never in memory whole."""
        names = [feature.name for feature in features]

        def rows(splits: Sequence[Split], at_most: int | None) -> Labelled:
            return Labelled.from_arrow(self.read(warehouse, names, splits, at_most=at_most, seed=seed), features)

        return rows
