"""Cash-flow features: values by hand, nothing from after the decision, one SQL for batch and online, a switch."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from credit_risk_platform.adapters import bank_history
from credit_risk_platform.adapters.feature_sql import FeatureSql, FeatureSqlError, also_read
from credit_risk_platform.adapters.online_sql import OnlineFeatures, intake_script
from credit_risk_platform.adapters.reports.model_card import _alternative_data
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.defs import marts
from credit_risk_platform.defs.marts.leakage import audit, project_lineage
from credit_risk_platform.defs.training.family import APPLICATION
from credit_risk_platform.domain.contracts.bank_history import BANK_COLUMNS, BANK_TRANSACTIONS
from credit_risk_platform.domain.features import Stage, by_name, model_features, of_stages
from credit_risk_platform.domain.leakage import Column
from credit_risk_platform.domain.parity import differences
from credit_risk_platform.settings import Settings

DECIDED = date(2026, 7, 1)
NAMES = [feature.name for feature in of_stages(Stage.ALTERNATIVE)]
STEADY = [
    booking
    for month in (3, 4, 5, 6)
    for booking in ((f"2026-0{month}-01", 2_000, "salary", None), (f"2026-0{month}-02", -1_000, "rent", None))
]
UNEVEN = [
    ("2026-03-15", -50, "card", None),  # the history begins in mid-March: April, May and June are its months
    ("2026-03-20", 500, "salary", None),
    ("2026-04-10", 1_000, "salary", None),
    ("2026-05-10", 240, "returned_payment", -10),
    ("2026-05-11", -35, "overdraft", -45),
    ("2026-05-11", -615, "card", -5),
    ("2026-06-30", 2_000, "income", 1_000),
]
NEW = [("2026-06-20", 100, "salary", None), ("2026-07-01", 9_999, "salary", -1), ("2026-07-02", -9_999, "card", -1)]
LONG_AGO = [
    ("2024-06-01", 1_200, "salary", None),
    ("2025-06-30", 50, "returned_payment", None),  # a day before the twelve months
    ("2025-07-01", 50, "returned_payment", None),
]
GOLDEN: dict[str, dict[str, float | None]] = {
    # four months of 2,000, of which 1,000 goes out; no balance is ever told
    "steady": dict(zip(NAMES, (4, 2_000, 0, 1, 0, None, 4_000 / 8_000), strict=True)),
    # 1,000, 0 and 2,000: mean 1,000, deviations 0, -1,000 and 1,000; out 50 + 35 + 615 of 500 + 1,000 + 2,000
    "uneven": dict(zip(NAMES, (3, 1_000, (2 / 3) ** 0.5, 2 / 3, 2, 2, 700 / 3_500), strict=True)),
    # eleven days of history are no month; the day of the decision and what follows it are not known
    "new": dict(zip(NAMES, (0, None, None, None, 0, None, 0), strict=True)),
    "long ago": dict(zip(NAMES, (12, 0, None, 0, 1, None, None), strict=True)),
}
HISTORY = {"steady": STEADY, "uneven": UNEVEN, "new": NEW, "long ago": LONG_AGO}
PENDING = ("new", "2026-06-21", 5_000, "salary", 1)
MACRO = pa.table(
    {
        "valid_from": pa.array([date(2020, 1, 1)]),
        **{
            name: pa.array([0.05])
            for name in (
                "unemployment_rate_pub", "policy_rate_pub", "gdp_growth_pub", "unemployment_change_12m",
                "inflation_pub", "consumer_sentiment_pub",
            )
        },
    }
)  # fmt: skip


def bookings() -> pa.Table:
    """Rows of `bronze.bank_transactions`: the histories, one booking that was sent twice and one that is pending."""
    rows = [(who, *told, False) for who, history in HISTORY.items() for told in history]
    told = ("subject_token", "booked_on", "amount", "category", "balance_after", "is_pending")
    found: list[dict[str, Any]] = [dict(zip(told, row, strict=True)) for row in (*rows, (*PENDING, True))]
    listed = [one | {"transaction_id": f"T{place}", "source_system": "plaid"} for place, one in enumerate(found)]
    given = pa.Table.from_pylist([*listed, listed[0]])
    typed = ", ".join(
        f"cast({column.name if column.name in given.column_names else 'null'} as {column.type}) as {column.name}"
        for column in BANK_COLUMNS
    )
    with duckdb.connect() as connection:
        connection.register("given", given)
        return connection.execute(f"select {typed} from given").to_arrow_table()


def loans(*extra: tuple[str, date]) -> pa.Table:
    """One application of each customer on one day, one of a stranger, and `extra` ones."""
    asked = [*((who, DECIDED) for who in (*HISTORY, "stranger")), *extra]
    return pa.table(
        {
            "loan_id": [f"L{place}" for place in range(len(asked))],
            "source_system": ["synthetic"] * len(asked),
            "subject_token": [who for who, _ in asked],
            "application_date": pa.array([day for _, day in asked]),
            "issue_d": pa.array([day.replace(day=1) for _, day in asked]),
        }
    )


def workspace(home: Path, *, on: bool) -> Any:
    return marts.workspace(Settings(home=home, alternative_data=on))


@pytest.fixture(scope="module")
def switched_on(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, dict[str, Any]]:
    made = workspace(tmp_path_factory.mktemp("on"), on=True)
    return made, made.manifest()


@pytest.fixture(scope="module")
def switched_off(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return dict(workspace(tmp_path_factory.mktemp("off"), on=False).manifest())


@pytest.fixture(scope="module")
def online(switched_on: tuple[Any, dict[str, Any]]) -> OnlineFeatures:
    sql = FeatureSql.from_manifest(switched_on[1]).sql
    return OnlineFeatures(intake_script(switched_on[1], "int_applications", *also_read(sql)), sql)


def computed(online: OnlineFeatures, applications: pa.Table) -> pa.Table:
    return online.compute(online.given(applications, lambda rows: bookings()), MACRO).sort_by("loan_id")


def test_the_values_are_those_worked_out_by_hand(online: OnlineFeatures) -> None:
    found = {row["subject_token"]: row for row in computed(online, loans()).to_pylist()}
    for who, golden in GOLDEN.items():
        known = {name: value for name, value in golden.items() if value is not None}
        assert {name for name in NAMES if found[who][name] is not None} == set(known), who
        assert {name: found[who][name] for name in known} == pytest.approx(known, rel=1e-12), who
    assert {name: found["stranger"][name] for name in NAMES} == dict.fromkeys(NAMES)


def test_an_earlier_application_of_the_same_customer_sees_only_what_was_booked_before_it(
    online: OnlineFeatures,
) -> None:
    rows = computed(online, loans(("steady", date(2026, 5, 1)), ("steady", date(2026, 3, 1)))).to_pylist()
    earlier = {row["decision_date"]: row for row in rows if row["subject_token"] == "steady"}
    assert earlier[DECIDED]["cf_months_of_history"] == 4
    assert earlier[date(2026, 5, 1)]["cf_months_of_history"] == 2
    assert earlier[date(2026, 5, 1)]["cf_income_cv"] is None  # of two months nobody knows
    assert earlier[date(2026, 3, 1)]["cf_months_of_history"] is None


def test_batch_and_online_agree_to_the_last_bit(
    online: OnlineFeatures, switched_on: tuple[Any, dict[str, Any]]
) -> None:
    live = computed(online, loans())
    applications, cashflow = online.rows_of("silver.int_applications"), online.rows_of("gold.cashflow_features")
    batch = FeatureSql.from_manifest(switched_on[1])
    assert differences(batch.compute(applications, MACRO, cashflow), live, "loan_id") == ()
    with pytest.raises(FeatureSqlError, match=r"reads gold\.cashflow_features, which was not given"):
        batch.compute(applications, MACRO)


def test_no_cash_flow_feature_comes_from_a_column_that_only_exists_later(
    switched_on: tuple[Any, dict[str, Any]],
) -> None:
    assert audit(*switched_on) == ()
    trails = project_lineage(*switched_on).trails(Column("gold.application_features", "cf_monthly_income"))
    assert BANK_TRANSACTIONS in {trail[-1].relation for trail in trails}  # or the guard saw nothing of it


def test_switched_off_features_and_sql_are_what_they_were(
    switched_off: dict[str, Any], switched_on: tuple[Any, dict[str, Any]]
) -> None:
    off, on = FeatureSql.from_manifest(switched_off).sql, FeatureSql.from_manifest(switched_on[1]).sql
    added = [line for line in on.splitlines() if "cashflow" in line or "alternative data" in line]
    kept = "\n".join(line for line in on.splitlines() if line not in added)
    assert kept.replace("share_never_delinquent,\n\n\n", "share_never_delinquent,\n\n") == off
    assert len(added) == len(NAMES) + 3
    node = next(node for node in switched_off["nodes"].values() if node["name"] == "application_features")
    assert not any("cashflow" in parent for parent in node["depends_on"]["nodes"])
    assert also_read(off) == ()


def test_models_read_alternative_data_only_where_it_is_switched_on() -> None:
    assert not {feature.name for feature in model_features()} & set(NAMES)
    assert {feature.name for feature in model_features(alternative_data=True)} >= set(NAMES)
    assert APPLICATION.uncleared(NAMES) == []
    assert "Tag: alt_data." in by_name(NAMES[0]).documentation


@pytest.mark.parametrize(("names", "told"), [((), "Alternative data: none."), (NAMES[:1], f"({NAMES[0]})")])
def test_the_model_card_says_whether_the_model_reads_it(names: tuple[str, ...], told: str) -> None:
    features = tuple(by_name(name) for name in ("loan_amount", *names))
    assert told in _alternative_data(SimpleNamespace(bundle=SimpleNamespace(features=features)))  # type: ignore[arg-type]


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[DuckLakeWarehouse]:
    made = DuckLakeWarehouse(tmp_path / "warehouse", threads=1)
    yield made
    made.close()


def test_the_view_shows_the_sources_that_are_there_and_takes_in_those_that_come(lake: DuckLakeWarehouse) -> None:
    bank_history.ensure(lake)
    assert lake.columns(BANK_TRANSACTIONS) == {column.name: column.type for column in BANK_COLUMNS}
    assert lake.count(BANK_TRANSACTIONS) == 0
    plaid = bookings().rename_columns(["pending" if n == "is_pending" else n for n in bookings().column_names])
    lake.replace_table("bronze.raw_plaid_transactions", plaid)
    bank_history.ensure(lake)
    assert lake.count(BANK_TRANSACTIONS) == plaid.num_rows
    lake.replace_table(
        "bronze.raw_transactions",
        duckdb.sql(
            "select 'S1' as transaction_id, 'steady' as subject_token, timestamp '2026-06-03 10:00:00' as event_time, "
            "5::decimal(18, 2) as amount, 'card' as category, 7::decimal(18, 2) as balance_after"
        ).to_arrow_table(),
    )
    bank_history.ensure(lake)
    found = bank_history.rows_of(lake, pa.table({"subject_token": ["steady", "steady", None]})).to_pylist()
    assert len(found) == len(STEADY) + 2  # one of them was sent twice
    assert {row["source_system"] for row in found} == {"plaid", "bank_transactions"}
    assert bank_history.rows_of(lake, pa.table({"loan_id": ["0"]})).num_rows == 0
