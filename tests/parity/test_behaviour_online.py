"""What a bundle computes from a handful of bronze rows must be what the warehouse holds, to the last bit."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from credit_risk_platform.adapters import behaviour_data
from credit_risk_platform.adapters.feature_sql import FeatureSql
from credit_risk_platform.adapters.online_sql import OnlineFeatures, intake_script
from credit_risk_platform.domain.parity import differences
from tests.mart_book import built_marts, compiled_project

LOANS = 200
NIL = Decimal("0.00")


@pytest.fixture(scope="module")
def bronze() -> dict[str, pa.Table]:
    """Every seventh loan and all that bronze knows of its instalments."""
    warehouse = built_marts().warehouse
    some = f"select loan_id from bronze.synthetic_loans where _row % 7 = 0 order by loan_id limit {LOANS}"
    found = {
        name: warehouse.query(f"select * from bronze.{name} where loan_id in ({some})")
        for name in ("synthetic_loans", "synthetic_repayments")
    }
    assert found["synthetic_loans"].num_rows == LOANS
    return found


@pytest.fixture(scope="module")
def behaviour() -> OnlineFeatures:
    manifest = compiled_project()[1]
    return OnlineFeatures(intake_script(manifest, "int_loan_month_panel"), behaviour_data.feature_sql(manifest))


@pytest.fixture(scope="module")
def application() -> OnlineFeatures:
    manifest = compiled_project()[1]
    return OnlineFeatures(intake_script(manifest, "int_applications"), FeatureSql.from_manifest(manifest).sql)


def stored(mart: str, loans: pa.Table) -> pa.Table:
    rows = built_marts().warehouse.query(f"select * from {mart} order by loan_id")
    return rows.filter(pc.is_in(rows["loan_id"], loans["loan_id"].combine_chunks()))


def keyed(features: pa.Table) -> pa.Table:
    """In an order of its own, with one column that names the loan and the month."""
    months = pc.cast(features["observation_month"], pa.string())
    return features.append_column("key", pc.binary_join_element_wise(features["loan_id"], months, " ")).sort_by("key")


def test_behaviour_computed_from_bronze_rows_equals_the_mart_in_every_month(behaviour, bronze) -> None:
    assert behaviour.sources == {"synthetic_loans", "synthetic_repayments"}
    computed, kept = behaviour.compute(bronze), stored("gold.behaviour_features", bronze["synthetic_loans"])
    assert computed.num_rows == kept.num_rows > LOANS
    assert computed.schema.equals(kept.schema)
    assert differences(keyed(kept), keyed(computed), "key") == ()


def test_one_loan_alone_behaves_as_it_does_among_others(behaviour, bronze) -> None:
    loan = bronze["synthetic_loans"].slice(17, 1)
    alone = {name: rows.filter(pc.equal(rows["loan_id"], loan["loan_id"][0])) for name, rows in bronze.items()}
    assert differences(keyed(stored("gold.behaviour_features", loan)), keyed(behaviour.compute(alone)), "key") == ()


def test_a_missed_instalment_ages_the_loan_from_its_due_day_and_leaves_the_past_alone(behaviour, bronze) -> None:
    """The last payment of a loan that owes nothing, taken back: what posting a missed instalment changes."""
    loan, due = _last_payment_of_a_current_loan(behaviour, bronze)
    mine = {name: rows.filter(pc.equal(rows["loan_id"], loan)) for name, rows in bronze.items()}
    missed = mine | {"synthetic_repayments": _unpaid(mine["synthetic_repayments"], due)}
    before, after = (keyed(behaviour.compute(rows)).to_pylist() for rows in (mine, missed))
    then, now = before[-1], after[-1]
    assert then["observation_month"] == now["observation_month"]
    assert (then["dpd_current"], now["dpd_current"]) == (0.0, (now["observation_month"] - due).days)
    assert now["balance_to_original"] > then["balance_to_original"]
    earlier = sum(row["observation_month"] < due for row in before)
    assert before[:earlier] == after[:earlier]


def test_applications_computed_from_bronze_rows_equal_the_mart(application, bronze) -> None:
    assert application.sources == {"synthetic_loans"}
    macro = built_marts().warehouse.query("select * from silver.int_macro_published")
    loans = bronze["synthetic_loans"]
    computed = application.compute({"synthetic_loans": loans}, macro)
    assert computed.num_rows == LOANS
    assert differences(stored("gold.application_features", loans), computed.sort_by("loan_id"), "loan_id") == ()
    assert application.compute({"synthetic_loans": loans.slice(0, 0)}, macro).num_rows == 0


def test_an_application_that_tells_nothing_of_its_outcome_has_the_same_features(application, bronze) -> None:
    """A message carries application-time columns only: what bronze learnt later must not matter."""
    macro = built_marts().warehouse.query("select * from silver.int_macro_published")
    later = ("loan_status", "default_date", "closed_date", "out_prncp", "total_rec_prncp", "recoveries", "last_pymnt_d")
    bare = bronze["synthetic_loans"].drop_columns([*later, "_batch"])
    computed = application.compute({"synthetic_loans": bare}, macro)
    assert differences(stored("gold.application_features", bare), computed.sort_by("loan_id"), "loan_id") == ()


def _last_payment_of_a_current_loan(behaviour: OnlineFeatures, bronze: dict[str, pa.Table]) -> tuple[str, date]:
    """A loan on time at its last month end, and the due day of the last instalment it has paid."""
    features = behaviour.compute(bronze)
    newest = max(features["observation_month"].to_pylist())
    current = features.filter((pc.field("observation_month") == newest) & (pc.field("dpd_current") == 0))
    loan = min(current["loan_id"].to_pylist())
    rows = bronze["synthetic_repayments"].filter(pc.field("loan_id") == loan)
    return loan, max(rows.filter(pc.is_valid(rows["paid_date"]))["due_date"].to_pylist())


def _unpaid(rows: pa.Table, due: date) -> pa.Table:
    changed = pc.equal(rows["due_date"], pa.scalar(due))
    for name, value in {"paid_date": None, "amount_paid": NIL, "principal_paid": NIL, "interest_paid": NIL}.items():
        field = rows.schema.field(name)
        column = pc.if_else(changed, pa.scalar(value, field.type), rows[name])
        rows = rows.set_column(rows.column_names.index(name), field, column)
    return rows
