"""Column lineage read off SQL: whatever way a value takes, the guard must see where it came from."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from credit_risk_platform.adapters import outside_tables
from credit_risk_platform.adapters.column_lineage import LineageError, read_lineage
from credit_risk_platform.adapters.model_lineage import UNTRACEABLE
from credit_risk_platform.domain.leakage import ROWS, Column, source_columns
from tests.mart_book import compiled_project

SOURCES = {"bronze.loans": ["loan_id", "income", "total_pymnt", "issue_d"], "bronze.macro": ["day", "value"]}


def project(tmp_path: Path, **models: str) -> dict:
    """A compiled manifest with one seed; `silver.a` may read bronze, `silver.b` may read `silver.a`, and so on."""
    (tmp_path / "grades.csv").write_text("grade,lower\nA,0\n")
    nodes = {
        "seed.grades": {
            "name": "grades", "schema": "gold", "resource_type": "seed", "relation_name": '"lake"."gold"."grades"',
            "original_file_path": "grades.csv", "depends_on": {},
        }
    }  # fmt: skip
    before = ["seed.grades"]
    for name, sql in models.items():
        nodes[f"model.{name}"] = {
            "name": name, "schema": "silver", "resource_type": "model", "relation_name": f'"lake"."silver"."{name}"',
            "original_file_path": f"models/{name}.sql", "compiled_code": sql, "depends_on": {"nodes": list(before)},
        }  # fmt: skip
        before.append(f"model.{name}")
    sources = {
        f"source.{relation}": {
            "name": relation.removeprefix("bronze."), "schema": "bronze", "relation_name": f"lake.{relation}",
        }
        for relation in SOURCES
    }  # fmt: skip
    return {"nodes": nodes, "sources": sources}


def origins(tmp_path: Path, column: str, **models: str) -> set[str]:
    """Where `column` of the last model comes from."""
    lineage = read_lineage(project(tmp_path, **models), SOURCES, tmp_path)
    last = list(models)[-1]
    return {str(trail[-1]) for trail in lineage.trails(Column(f"silver.{last}", column))}


LOANS = '"lake"."bronze"."loans"'
A = '"lake"."silver"."a"'
B = '"lake"."silver"."b"'


def test_a_rename_over_three_models_is_followed_to_its_source_with_every_name_on_the_way(tmp_path: Path) -> None:
    lineage = read_lineage(
        project(
            tmp_path,
            a=f"select loan_id, total_pymnt as money from {LOANS}",
            b=f"select loan_id, money * 2 as volume from {A}",
            c=f"select loan_id, coalesce(volume, 0) as feature from {B}",
        ),
        SOURCES,
        tmp_path,
    )
    (trail,) = lineage.trails(Column("silver.c", "feature"))
    assert [str(step) for step in trail] == [
        "silver.c.feature", "silver.b.volume", "silver.a.money", "bronze.loans.total_pymnt",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "sql",
    [
        f"with x as (select * from {LOANS}), y as (select total_pymnt as p from x) select p as f from y",
        f"select l.f from (select total_pymnt as f, * exclude (total_pymnt) from {LOANS}) as l",
        f"select total_pymnt as f from {LOANS} union all select total_pymnt from {LOANS}",
        f"select sum(total_pymnt) over (partition by loan_id) as f from {LOANS}",
        f"select sum(1) over w as f from {LOANS} window w as (order by total_pymnt)",
        f"select case when total_pymnt > 0 then 1 else 0 end as f from {LOANS}",
        f"select (select max(total_pymnt) from {LOANS}) as f",
        f"select a.f from {LOANS} as l inner join (select loan_id, total_pymnt as f from {LOANS}) as a using (loan_id)",
        f"select * replace (1 as loan_id), total_pymnt as f from {LOANS}",
        f"with t as (select loan_id, total_pymnt as f from {LOANS}) from t",
        f"select f from {LOANS}, lateral (select total_pymnt * 2 as f) as s",
        f"select unnest([total_pymnt]) as f from {LOANS}",
    ],
)
def test_no_sql_construct_hides_the_source(tmp_path: Path, sql: str) -> None:
    assert "bronze.loans.total_pymnt" in origins(tmp_path, "f", a=sql)


@pytest.mark.parametrize(
    "sql",
    [
        f"select 1 as f from {LOANS} where total_pymnt > 0",
        f"select 1 as f from {LOANS} qualify row_number() over (order by total_pymnt) = 1",
        f"select max(1) as f from {LOANS} group by loan_id having max(total_pymnt) > 0",
        f"""
        with paid as (select loan_id from {LOANS} where total_pymnt > 0)
        select case when paid.loan_id is null then 0 else 1 end as f
        from {LOANS} as l left join paid on l.loan_id = paid.loan_id
        """,
        f"select 1 as f from {LOANS} as l where exists (select 1 from {LOANS} as i where i.loan_id = l.total_pymnt)",
        f"select count(*) as f from {LOANS} as l inner join {LOANS} as r on l.total_pymnt = r.income",
    ],
)
def test_a_value_that_tells_only_by_which_rows_are_there_is_seen_too(tmp_path: Path, sql: str) -> None:
    assert "bronze.loans.total_pymnt" in origins(tmp_path, "f", a=sql)


def test_a_filter_in_an_earlier_model_is_seen_through_a_bare_count(tmp_path: Path) -> None:
    found = origins(
        tmp_path, "f", a=f"select loan_id from {LOANS} where total_pymnt > 0", b=f"select count(*) as f from {A}"
    )
    assert "bronze.loans.total_pymnt" in found


def test_a_column_that_is_only_beside_the_leak_is_not_blamed(tmp_path: Path) -> None:
    found = origins(
        tmp_path, "clean", a=f"select loan_id, income, total_pymnt from {LOANS}", b=f"select income as clean from {A}"
    )
    assert found == {"bronze.loans.income"}


def test_a_way_around_the_clock_is_found_although_the_way_through_it_is_shorter(tmp_path: Path) -> None:
    """The date of issue may be the clock; the same date as a feature is the vintage and must not hide behind it."""
    through = f"with d as (select *, issue_d as decision_date from {LOANS}) "
    for sql, found in (
        (f"{through} select decision_date - 1 as f from d", {"silver.a:d.decision_date"}),
        (f"{through} select decision_date - issue_d as f from d", {"silver.a:d.decision_date", "bronze.loans.issue_d"}),
        (f"{through} select income as f from d where decision_date > '2020-01-01'",
         {"silver.a:d.decision_date", "bronze.loans.income"}),
    ):  # fmt: skip
        clock = frozenset({"decision_date"})
        lineage = read_lineage(project(tmp_path, a=sql), SOURCES, tmp_path, keep=clock)
        trails = lineage.trails(Column("silver.a", "f"), stop=clock)
        assert {str(trail[-1]) for trail in trails} == found
        assert (
            lineage.columns("silver.a")["f"]
            == read_lineage(project(tmp_path, a=sql), SOURCES, tmp_path).columns("silver.a")["f"]
        ), "what Dagster shows has no inner steps"


def test_an_asof_join_brings_in_the_columns_it_is_matched_by(tmp_path: Path) -> None:
    sql = f'select m.value as f from {LOANS} as l asof left join "lake"."bronze"."macro" as m on l.issue_d >= m.day'
    assert origins(tmp_path, "f", a=sql) == {"bronze.macro.value", "bronze.macro.day", "bronze.loans.issue_d"}


def test_a_constant_and_a_seed_come_from_nowhere(tmp_path: Path) -> None:
    assert origins(tmp_path, "f", a="select 1 as f") == set()
    assert origins(tmp_path, "f", a='select lower as f from "lake"."gold"."grades"') == set()


def test_a_table_behind_dbts_back_is_reported_by_its_own_name(tmp_path: Path) -> None:
    """`from lake.bronze.raw` without source(): the guard has no stage for it and says so."""
    assert origins(tmp_path, "f", a="select r.anything as f from lake.bronze.raw as r") == {"bronze.raw.anything"}


@pytest.mark.parametrize("sql", ["select * from {raw}", "with r as (select * from {raw}) select r.x as f from r"])
def test_a_star_over_an_unknown_table_is_an_error_and_never_silently_clean(tmp_path: Path, sql: str) -> None:
    with pytest.raises(LineageError, match=r"selects \* from a relation whose columns are not known"):
        read_lineage(project(tmp_path, a=sql.format(raw="lake.bronze.raw")), SOURCES, tmp_path)


def test_sql_that_cannot_be_read_names_its_file(tmp_path: Path) -> None:
    with pytest.raises(LineageError, match=r"models/a\.sql"):
        read_lineage(project(tmp_path, a="select from where"), SOURCES, tmp_path)


def test_a_source_nobody_described_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LineageError, match=r"bronze\.macro"):
        read_lineage(project(tmp_path, a="select 1 as f"), {"bronze.loans": ["loan_id"]}, tmp_path)


def test_the_whole_project_is_read_in_seconds_and_without_a_gap() -> None:
    workspace, manifest = compiled_project()
    started = time.process_time()  # other programs may be at work beside it
    lineage = read_lineage(manifest, source_columns() | outside_tables.columns(), workspace.source)
    trails = {
        name: lineage.trails(Column("gold.application_features", name))
        for name in lineage.columns("gold.application_features")
    }
    assert time.process_time() - started < 10
    assert len(trails) > 45
    assert all(trail[-1].relation.startswith("bronze.") for found in trails.values() for trail in found)
    assert ROWS not in trails
    untraceable = [column for found in lineage.parents.values() for column in found if column.relation == UNTRACEABLE]
    assert untraceable == []
