"""The compiled feature SQL, run away from the warehouse."""

from __future__ import annotations

import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from decimal import Decimal

import pyarrow as pa
import pytest

from credit_risk_platform.adapters.feature_sql import FeatureSql, FeatureSqlError
from tests.mart_book import built_marts, compiled_project

SQL = """
select a.loan_id, cast(a.amount as double) / 3.0 as third, m.rate
from "lake"."silver"."int_applications" as a
asof left join "lake"."silver"."int_macro_published" as m on a.decision_date >= m.valid_from
"""


def applications(*loan_ids: str, amount: object = Decimal("100.00")) -> pa.Table:
    days = [date(2020, 1, 1)] * len(loan_ids)
    return pa.table({"loan_id": list(loan_ids), "amount": [amount] * len(loan_ids), "decision_date": days})


def macro(rate: float) -> pa.Table:
    return pa.table({"valid_from": [date(2019, 12, 1), date(2020, 2, 1)], "rate": [rate, 99.0]})


def manifest(*parents: tuple[str, str], compiled: str = SQL) -> dict:
    nodes = {f"model.{name}": {"schema": schema, "name": name} for schema, name in parents}
    nodes["model.mart"] = {
        "schema": "gold", "name": "application_features", "compiled_code": compiled,
        "depends_on": {"nodes": list(nodes)},
    }  # fmt: skip
    return {"nodes": nodes, "sources": {}}


def test_rows_come_back_in_the_order_they_were_asked_for() -> None:
    features = FeatureSql(SQL).compute(applications("b", "c", "a"), macro(1.0))
    assert features.to_pydict() == {"loan_id": ["b", "c", "a"], "third": [100 / 3] * 3, "rate": [1.0] * 3}


def test_a_new_macro_table_replaces_the_old_one_and_batches_do_not_pile_up() -> None:
    sql = FeatureSql(SQL)
    assert sql.compute(applications("a"), macro(1.0))["rate"].to_pylist() == [1.0]
    assert sql.compute(applications("b"), macro(2.0)).select(["loan_id", "rate"]).to_pylist() == [
        {"loan_id": "b", "rate": 2.0}
    ]


def test_a_batch_of_other_types_is_taken_as_it_is_and_not_cast_to_the_last_one() -> None:
    sql = FeatureSql(SQL)
    sql.compute(applications("a", amount=1), macro(1.0))
    assert sql.compute(applications("a", amount=0.5), macro(1.0))["third"].to_pylist() == [0.5 / 3.0]


def test_threads_of_one_server_do_not_see_each_others_applicants() -> None:
    sql, known = FeatureSql(SQL), macro(1.0)

    def ask(number: int) -> bool:
        one = sql.compute(applications(f"L{number}", amount=number), known)
        return one.to_pylist() == [{"loan_id": f"L{number}", "third": number / 3.0, "rate": 1.0}]

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(ask, range(100)))


def test_a_mart_that_reads_a_third_relation_is_refused_where_it_is_read_in() -> None:
    with pytest.raises(FeatureSqlError, match=r"silver\.int_loan_month_panel"):
        FeatureSql.from_manifest(manifest(("silver", "int_applications"), ("silver", "int_loan_month_panel")))


def test_a_manifest_that_was_only_parsed_is_refused() -> None:
    with pytest.raises(FeatureSqlError, match="no compiled model"):
        FeatureSql.from_manifest(manifest(("silver", "int_applications"), compiled=""))


def test_an_application_without_an_id_is_refused() -> None:
    nameless = pa.table(
        {"loan_id": pa.array([None], pa.string()), "amount": [1.0], "decision_date": [date(2020, 1, 1)]}
    )
    with pytest.raises(FeatureSqlError, match="not null"):
        FeatureSql(SQL).compute(nameless, macro(1.0))


def test_one_application_is_quick_enough_to_answer_a_request() -> None:
    """About 10 ms on an idle machine; the bound leaves room for a busy one."""
    sql, warehouse = FeatureSql.from_manifest(compiled_project()[1]), built_marts().warehouse
    book = warehouse.query("select * from silver.int_applications limit 60")
    known = warehouse.query("select * from silver.int_macro_published")
    times = []
    for row in range(60):
        began = time.perf_counter()
        sql.compute(book.slice(row, 1), known)
        times.append(time.perf_counter() - began)
    assert statistics.median(times[10:]) < 0.1
