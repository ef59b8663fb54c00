"""Scores and decisions in a real PostgreSQL: all of them, once, whoever comes late or breaks off; no secret told."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest

from credit_risk_platform.adapters import decisions
from credit_risk_platform.adapters.kafka_ports import free_port
from credit_risk_platform.adapters.serving_store import TABLES, Copied, copy
from credit_risk_platform.adapters.sources.sql_database_url import Address, SourceError, address
from credit_risk_platform.adapters.warehouse.base import Select
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.catalog import Gold, Serving
from credit_risk_platform.defs import serving_store
from credit_risk_platform.resources import build_resources
from credit_risk_platform.settings import Settings
from tests.postgres_server import HOST, PASSWORD, Postgres

SCORES, DECISIONS = TABLES
FIRST, SECOND = date(2026, 3, 1), date(2026, 3, 2)
ODD = ['quo"te', "back\\slash", "a,b", "{brace}", "", "null", None, "Zürich\n"]


def scored(day: date, first: int, count: int) -> pa.Table:
    numbers = range(first, first + count)
    columns: dict[str, Any] = {
        "as_of": pa.array([day] * count, pa.date32()),
        "loan_id": [f"L{number}" for number in numbers],
        "score_id": [f"s{number}" for number in numbers],
        "pd": [number / 1000 for number in numbers],
        "reasons": pa.array([ODD if number % 2 else None for number in numbers], pa.list_(pa.string())),
        "rules": pa.array([[] for _ in numbers], pa.list_(pa.string())),
        "topic": ["loan_applications"] * count,
        "partition": pa.array([0] * count, pa.int32()),
        "offset": list(numbers),
        "kafka_time": pa.array([datetime(2026, 3, 1, 12, 0, 0, 123456)] * count, pa.timestamp("us")),
        "event_id": [None if count < 0 else f"e{number}" for number in numbers],
        "band": [("", None)[number % 2] for number in numbers],
    }
    return pa.table(columns)


@pytest.fixture
def store(server: Postgres) -> Postgres:
    return server.another(f"store {uuid.uuid4().hex}")


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[DuckLakeWarehouse]:
    made = DuckLakeWarehouse(tmp_path / "warehouse", threads=1)
    made.replace_table(SCORES.source, scored(FIRST, 1, 6))
    yield made
    made.close()


def place(store: Postgres) -> Address:
    return address("serving store", "CRP_SERVING_DATABASE_URL", store.url)


def copied(warehouse: DuckLakeWarehouse, store: Postgres, told: Any = lambda *_: None) -> Copied:
    return copy(warehouse, SCORES, place(store), told)


def test_every_value_arrives_as_it_is_in_the_warehouse(warehouse: DuckLakeWarehouse, store: Postgres) -> None:
    assert copied(warehouse, store) == Copied(6, [FIRST], 6, 0)
    names = ", ".join(f'"{name}"' for name in warehouse.columns(SCORES.source))
    there = store.sql(f"select {names} from credit_risk.scored_applications order by score_id")
    here = warehouse.query(f"select {names} from {SCORES.source} order by score_id").to_pylist()
    assert there == [tuple(row.values()) for row in here]
    assert [row["reasons"] for row in here[:2]] == [ODD, None]


def test_a_second_copy_writes_nothing_and_a_later_one_only_the_day_that_grew(
    warehouse: DuckLakeWarehouse, store: Postgres
) -> None:
    copied(warehouse, store)
    assert copied(warehouse, store) == Copied(6, [], 0, 0)
    for batch in (scored(SECOND, 7, 3), scored(SECOND, 10, 2)):
        with warehouse.transaction() as transaction:
            transaction.append(SCORES.source, batch)
        found = copied(warehouse, store)
    assert found == Copied(11, [SECOND], 5, 3)
    assert store.sql("select count(*), count(distinct event_id) from credit_risk.scored_applications") == [(11, 11)]


def test_what_changed_or_went_in_the_warehouse_does_so_in_the_store(
    warehouse: DuckLakeWarehouse, store: Postgres
) -> None:
    with warehouse.transaction() as transaction:
        transaction.append(SCORES.source, scored(SECOND, 7, 3))
    copied(warehouse, store)
    warehouse.replace_table(
        SCORES.source,
        Select(f"select * replace (pd / 2 as pd), 'new' as added from {SCORES.source} where as_of = ?", [FIRST]),
    )
    assert copied(warehouse, store) == Copied(6, [FIRST], 6, 9)
    assert store.sql("select max(pd), min(added) from credit_risk.scored_applications") == [(0.003, "new")]


def test_a_copy_that_breaks_off_leaves_what_was_there(warehouse: DuckLakeWarehouse, store: Postgres) -> None:
    copied(warehouse, store)
    with warehouse.transaction() as transaction:
        transaction.append(SCORES.source, scored(FIRST, 7, 3))
        transaction.append(SCORES.source, scored(SECOND, 10, 3))

    def killed(day: date, _: int) -> None:
        if day == SECOND:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copied(warehouse, store, killed)
    assert store.sql("select count(*) from credit_risk.scored_applications") == [(6,)]
    assert copied(warehouse, store) == Copied(12, [FIRST, SECOND], 12, 6)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"port": 1}, "cannot be reached at 127.0.0.1"),
        ({"password": "wrong-and-secret"}, "cannot be reached at 127.0.0.1"),
        ({"database": "absent"}, "cannot be reached at 127.0.0.1"),
    ],
)
def test_a_store_that_is_away_is_named_without_its_password(
    warehouse: DuckLakeWarehouse, store: Postgres, change: dict[str, Any], said: str
) -> None:
    elsewhere = replace(store, **({"port": free_port(HOST)} if "port" in change else change))
    with pytest.raises(SourceError, match=said) as refused:
        copied(warehouse, elsewhere)
    assert refused.value.__cause__ is None
    assert refused.value.__context__ is None
    assert elsewhere.password not in str(refused.value)


def test_a_user_who_may_not_write_is_told_which_right_is_missing(warehouse: DuckLakeWarehouse, store: Postgres) -> None:
    store.sql("drop role if exists reader", "create role reader login password 'r'")
    url = f"postgresql+psycopg://reader:r@{HOST}:{store.port}/{store.database}".replace(" ", "%20")
    with pytest.raises(SourceError, match=r"may not write .*Grant it create on the database"):
        copy(warehouse, SCORES, address("serving store", "CRP_SERVING_DATABASE_URL", url), lambda *_: None)


def test_what_comes_while_a_day_is_copied_comes_with_the_next_copy(
    warehouse: DuckLakeWarehouse, store: Postgres
) -> None:
    with warehouse.transaction() as transaction:
        transaction.append(SCORES.source, scored(SECOND, 7, 1))

    def meanwhile(day: date, _: int) -> None:
        if day == FIRST:
            with warehouse.transaction() as other:
                other.append(SCORES.source, scored(SECOND, 8, 4))

    assert copied(warehouse, store, meanwhile).rows == 11
    assert copied(warehouse, store) == Copied(11, [SECOND], 5, 5)
    assert copied(warehouse, store).written == 0


# ---------------------------------------------------------------- the room


def run(settings: Settings, warehouse: DuckLakeWarehouse) -> Any:
    made = serving_store.definitions(settings)
    resources = build_resources(settings, warehouse=warehouse)
    graph = dg.Definitions(assets=made.assets, resources=resources, executor=dg.in_process_executor)
    return graph.resolve_implicit_global_asset_job_def().execute_in_process(raise_on_error=False)


def test_the_room_shows_the_store_s_own_count_and_keeps_its_secret(
    warehouse: DuckLakeWarehouse, store: Postgres, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    decisions.prepare(warehouse)
    settings = Settings(home=tmp_path, serving_database_url=store.url)
    result = run(settings, warehouse)
    assert result.success
    made = {event.asset_key: event.materialization for event in result.all_events if event.is_step_materialization}
    assert set(made) == {Serving.SCORED_APPLICATIONS, Serving.DECISIONS}
    rows = made[Serving.SCORED_APPLICATIONS].metadata["dagster/row_count"].value
    assert [(rows,)] == store.sql("select count(*) from credit_risk.scored_applications") == [(6,)]
    assert all(check.passed for check in result.get_asset_check_evaluations())
    told = (
        "".join(capfd.readouterr())
        + repr(made)
        + "".join(event.to_json() if hasattr(event, "to_json") else str(event) for event in result.all_events)
    )
    assert PASSWORD not in told
    assert store.url not in told


def test_without_a_store_or_without_scores_the_asset_says_what_to_do(
    warehouse: DuckLakeWarehouse, tmp_path: Path
) -> None:
    errors = [
        event.step_failure_data.error.message
        for event in run(Settings(home=tmp_path), warehouse).all_events
        if event.is_step_failure
    ]
    assert len(errors) == 2
    assert all("CRP_SERVING_DATABASE_URL is not set" in error for error in errors)


def test_a_store_that_is_set_is_filled_within_a_minute_of_a_batch(store: Postgres, tmp_path: Path) -> None:
    made = serving_store.definitions(Settings(home=tmp_path, serving_database_url=store.url))
    specs = [dg.AssetSpec(key) for key in (Gold.APPLICATION_SCORES, Gold.DECISIONS)]
    graph = dg.Definitions(assets=[*(made.assets or ()), *specs], resources=build_resources(Settings(home=tmp_path)))
    with dg.DagsterInstance.ephemeral() as instance:
        at = datetime(2026, 3, 1, 12, 0, 30)
        first = dg.evaluate_automation_conditions(graph, instance, evaluation_time=at)
        instance.report_runless_asset_event(dg.AssetMaterialization(Gold.APPLICATION_SCORES))
        soon = dg.evaluate_automation_conditions(
            graph, instance, cursor=first.cursor, evaluation_time=at.replace(minute=1, second=5)
        )
        later = dg.evaluate_automation_conditions(
            graph, instance, cursor=soon.cursor, evaluation_time=at.replace(minute=2, second=5)
        )
    asked = [found.get_requested_partitions(Serving.SCORED_APPLICATIONS) for found in (first, soon, later)]
    assert [bool(one) for one in asked] == [False, True, False]
    assert not soon.get_requested_partitions(Serving.DECISIONS)
