"""The models behind the allowance, on a real lake with a real champion: what their pages say is what was stored."""

from collections.abc import Iterator

import dagster as dg
import pytest

from credit_risk_platform.adapters.ledger import LEDGER
from credit_risk_platform.adapters.provisioning_models import NoModelError, ProvisioningStore
from credit_risk_platform.adapters.warehouse.base import Select
from credit_risk_platform.catalog import Gold, Models
from credit_risk_platform.defs.provisioning import model_checks
from credit_risk_platform.defs.provisioning.models import hazard_pd, lgd_model
from credit_risk_platform.defs.provisioning.scores import origination_coverage, origination_scores_asset
from credit_risk_platform.domain.provisioning.hazard_fit import OutOfTime
from credit_risk_platform.domain.provisioning.lgd import LgdModel
from credit_risk_platform.settings import Settings
from tests.scoring_book import DAY, Book, make_book, open_book

LOANS = 900
ASSETS = [origination_scores_asset, hazard_pd, lgd_model]


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Book]:
    made = make_book(tmp_path_factory.mktemp("book"), LOANS)
    made.warehouse.replace_table("silver.int_macro_published", Select(_MACRO))
    made.warehouse.replace_table("silver.int_loan_month_panel", Select(_PANEL))
    made.warehouse.replace_table("silver.stg_synthetic__loans", Select(_STAGED, [DAY, DAY]))
    yield made
    made.close()


_MACRO = """
    select unnest(range(date '2019-01-01', date '2026-07-01', interval 3 month))::date as valid_from,
        0.05 as unemployment_rate_pub
"""
_PANEL = """
    select loan_id, null::date as month_end, 0 as days_past_due, 'Current' as status
    from gold.loan_outcomes where false
"""
_STAGED = """
    select loan_id, 'car' as purpose, 0.12 as interest_rate, 0.4 * loan_amount as principal_received,
        case when default_date <= ? then 0.05 * loan_amount else 0 end as recoveries,
        case when default_date <= ? then 'Charged Off' else 'Fully Paid' end as loan_status
    from gold.loan_outcomes
"""


def materialise(book: Book) -> dg.ExecuteInProcessResult:
    resources = {
        "settings": Settings(home=book.home),
        "warehouse": book.warehouse,
        "bundles": book.bundles,
        "policies": book.policies,
    }
    return dg.materialize(ASSETS, resources=resources)


@pytest.fixture(scope="module")
def made(book: Book) -> dg.ExecuteInProcessResult:
    return materialise(book)


def versions(result: dg.ExecuteInProcessResult) -> dict[dg.AssetKey, str]:
    events = result.get_asset_materialization_events()
    return {event.asset_key: event.materialization.tags["dagster/data_version"] for event in events if event.asset_key}


def shown(result: dg.ExecuteInProcessResult, key: dg.AssetKey) -> dict:
    (event,) = [one for one in result.get_asset_materialization_events() if one.asset_key == key]
    return {name: value.value for name, value in event.materialization.metadata.items()}


def test_every_loan_ever_has_one_score_of_the_champion_and_the_ledger_none(
    book: Book, made: dg.ExecuteInProcessResult
) -> None:
    """The same PDs, bands and decisions that scoring gives."""
    rows = book.warehouse.query("select * from gold.origination_scores order by loan_id").to_pylist()
    assert [row["loan_id"] for row in rows] == [f"L{k:06d}" for k in range(LOANS)]
    for row, told in zip(rows, book.scores(loans=100).to_pylist(), strict=False):
        assert (row["pd"], row["points"], row["risk_band"], row["decision"], row["bundle_sha"]) == (
            told["pd"], told["points"], told["band"], told["decision"], book.champion.sha256,
        )  # fmt: skip
    assert not book.warehouse.exists(LEDGER)


def test_the_models_in_the_store_are_those_on_the_pages(book: Book, made: dg.ExecuteInProcessResult) -> None:
    store = ProvisioningStore(book.home / "models" / "provisioning")
    assert versions(made)[Models.HAZARD_PD] == store.hazard().sha256 == shown(made, Models.HAZARD_PD)["model_sha"]
    assert versions(made)[Models.LGD_MODEL] == store.lgd().sha256
    blocking = [one for one in made.get_asset_check_evaluations() if one.severity == dg.AssetCheckSeverity.ERROR]
    assert {one.check_name for one in blocking} == {"origination_coverage", "hazard_marginals_sum", "lgd_in_range"}
    assert all(one.passed for one in blocking)


def test_lifetime_pds_come_to_the_bad_rate_of_the_matured_loans(made: dg.ExecuteInProcessResult) -> None:
    page = shown(made, Models.HAZARD_PD)
    assert page["lifetime_pd"] == pytest.approx(page["matured_bad_rate"], rel=0.1)
    assert "![Kaplan-Meier" in page["kaplan_meier"]


def test_the_lgd_is_of_closed_workouts_and_counts_the_open_ones(book: Book, made: dg.ExecuteInProcessResult) -> None:
    """0.6 of the loan owed, 0.05 recovered: 1 - 0.05 x 0.86 / 1.12 / (0.6 x 1.03) = 0.93788."""
    page = shown(made, Models.LGD_MODEL)
    sql = "select count(*) as n from gold.loan_outcomes where default_date + interval 24 month <= observed_through"
    assert page["closed_workouts"] == book.warehouse.query(sql)["n"][0].as_py()
    assert page["open_workouts_left_out"] > 0
    assert page["mean_lgd"] == pytest.approx(0.93788, abs=1e-5)


def test_materialising_again_changes_nothing(book: Book, made: dg.ExecuteInProcessResult) -> None:
    assert versions(materialise(book)) == versions(made)


def test_without_a_champion_it_says_what_to_materialise(book: Book, tmp_path_factory: pytest.TempPathFactory) -> None:
    bare = open_book(tmp_path_factory.mktemp("bare"))
    with pytest.raises(dg.Failure, match="Materialise models/champion first"):
        origination_scores_asset(dg.build_asset_context(), book.warehouse, bare.bundles, book.policies)
    with pytest.raises(NoModelError, match="materialise models/hazard_pd first"):
        ProvisioningStore(bare.home).hazard()
    bare.close()


def test_the_checks_go_red_where_an_allowance_would_be_wrong() -> None:
    def out_of_time(expected: float, observed: float) -> OutOfTime:
        row = {"group": 0, "months": 1.0, "expected": expected, "observed": observed, "ratio": observed / expected}
        return OutOfTime(0, row, [row], [row], [row])

    assert model_checks.hazard_calibration(out_of_time(1_000, 1_200)).passed
    assert model_checks.hazard_calibration(out_of_time(10, 15)).passed  # within chance
    off = model_checks.hazard_calibration(out_of_time(1_000, 1_300))
    assert not off.passed
    assert off.severity == dg.AssetCheckSeverity.WARN
    assert not model_checks.lgd_in_range(LgdModel(0.8, {"36|car": 1.3})).passed
    assert not model_checks.lgd_basis(LgdModel(0.65, {}, notes={"basis": "assumed: 3 closed workouts"})).passed
    assert not origination_coverage({"loans": 2, "missing": 1, "doubled": 0, "impossible": 0}).passed


def test_a_changed_model_file_is_not_used(book: Book, made: dg.ExecuteInProcessResult) -> None:
    store = ProvisioningStore(book.home / "models" / "provisioning")
    sha = store.sha("lgd")
    assert sha is not None
    file = store.files.local / f"{sha}.json"
    before = file.read_bytes()
    try:
        file.write_bytes(before.replace(b'"mean":0.9', b'"mean":0.1'))
        with pytest.raises(NoModelError, match="was changed after it was stored"):
            store.lgd()
    finally:
        file.write_bytes(before)


def test_scores_are_written_whole_or_not_at_all(book: Book, made: dg.ExecuteInProcessResult) -> None:
    rows = shown(made, Gold.ORIGINATION_SCORES)
    assert rows["dagster/row_count"] == LOANS
    assert rows["dagster/table_name"] == "lake.gold.origination_scores"
