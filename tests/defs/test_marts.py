"""The marts room on a real warehouse and the real dbt project."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from credit_risk_platform.adapters.dbt_project import DBT_PROJECT, DbtProjectError
from credit_risk_platform.catalog import GROUPS, OWNERS, Gold, Group
from credit_risk_platform.defs import marts
from credit_risk_platform.defs.marts.checks import label_maturity, mart_checks
from credit_risk_platform.resources import build_resources
from credit_risk_platform.settings import Settings
from tests.mart_book import MartBook, built_marts, materialize


@pytest.fixture(scope="module")
def book() -> MartBook:
    return built_marts()


def metadata_of(run: dg.ExecuteInProcessResult) -> dict[str, dict[str, object]]:
    events = run.get_asset_materialization_events()
    found = (event.step_materialization_data.materialization for event in events)
    return {one.asset_key.to_user_string(): {k: v.value for k, v in one.metadata.items()} for one in found}


def versions_of(run: dg.ExecuteInProcessResult) -> dict[str, str]:
    events = run.get_asset_materialization_events()
    found = (event.step_materialization_data.materialization for event in events)
    return {one.asset_key.to_user_string(): one.tags["dagster/data_version"] for one in found}


# ------------------------------------------------------------------------------------------------- as defined


def test_every_dbt_node_is_an_asset_an_analyst_can_find(book: MartBook) -> None:
    specs = [spec for asset in book.definitions.assets for spec in asset.specs]
    assert {Gold.APPLICATION_FEATURES, Gold.LOAN_OUTCOMES, Gold.RISK_BANDS} <= {spec.key for spec in specs}
    for spec in specs:
        assert spec.key.path[0] in ("silver", "gold"), spec.key
        assert spec.group_name in GROUPS, spec.key
        assert set(spec.owners) <= OWNERS, spec.key
        assert spec.owners, spec.key
        assert "duckdb" in spec.kinds, spec.key
        assert len((spec.description or "").split()) > 5, spec.key


def test_a_red_data_test_stops_what_follows_and_a_warning_does_not(book: MartBook) -> None:
    checks = {check.name: check for check in book.definitions.assets[0].check_specs}
    assert len(checks) > 20
    assert checks["unique_key__application_features"].blocking
    assert not checks["null_rate__int_applications"].blocking


def test_what_scoring_reads_never_waits_for_scores_and_the_risk_marts_do(book: MartBook) -> None:
    before, after, _ = book.definitions.assets
    written_elsewhere = {Gold.PORTFOLIO_SCORES, Gold.ORIGINATION_SCORES, Gold.DECISIONS}
    assert not written_elsewhere & before.dependency_keys
    assert written_elsewhere <= after.dependency_keys
    assert {Gold.PORTFOLIO_LOANS, Gold.PORTFOLIO_MONTHS, Gold.HIGH_RISK_LOANS} <= after.keys
    assert {spec.group_name for spec in after.specs} == {Group.RISK}


def test_a_macro_or_a_variable_that_changes_changes_the_code_version(tmp_path: Path, book: MartBook) -> None:
    """dbt's own code version hashes the raw SQL, which says the same whatever its macros say."""
    project = copied(tmp_path)
    macro = project / "macros" / "formulas" / "ratios.sql"
    macro.write_text(macro.read_text().replace("/ 100.0", "/ 100.00"))
    changed = marts.definitions(Settings(home=tmp_path / "home"), project)
    before, after = (
        {spec.key: spec.code_version for spec in definitions.assets[0].specs}
        for definitions in (book.definitions, changed)
    )
    staged = dg.AssetKey(["silver", "stg_synthetic__loans"])
    assert before[staged] != after[staged]
    assert before[Gold.RISK_BANDS] == after[Gold.RISK_BANDS]


def test_a_model_that_does_not_compile_says_which(tmp_path: Path) -> None:
    project = copied(tmp_path)
    (project / "models" / "marts" / "features" / "broken.sql").write_text("select * from {{ ref('nowhere') }}")
    with pytest.raises(DbtProjectError, match="nowhere"):
        marts.definitions(Settings(home=tmp_path / "home"), project)


# ------------------------------------------------------------------------------------------------- as built


def test_the_build_is_green(book: MartBook) -> None:
    red = [
        f"{check.check_name} on {check.asset_key.to_user_string()}: {check.description}"
        for check in book.run.get_asset_check_evaluations()
        if not check.passed and check.severity is dg.AssetCheckSeverity.ERROR
    ]
    assert red == []
    assert book.run.success


def test_every_dbt_asset_tells_its_rows_its_columns_and_where_they_came_from(book: MartBook) -> None:
    found = metadata_of(book.run)
    found.pop("gold/published_marts")
    assert len(found) > 10
    for key, metadata in found.items():
        assert metadata["dagster/row_count"] >= 0, key
        assert metadata["dagster/table_name"] == "lake." + key.replace("/", "."), key
        assert len(metadata["dagster/column_schema"].columns) > 1, key
        assert metadata["dagster/column_lineage"].deps_by_column.keys() == {
            column.name for column in metadata["dagster/column_schema"].columns
        }, key
    dti = found["gold/application_features"]["dagster/column_lineage"].deps_by_column["dti"]
    assert dg.TableColumnDep(dg.AssetKey(["silver", "int_applications"]), "reported_dti") in dti
    assert found["gold/application_features"]["dagster/row_count"] == 1_500


def test_before_anybody_has_scored_the_risk_marts_show_the_book_and_call_it_not_scored(book: MartBook) -> None:
    sql = """
        select count(*) as loans, count(*) filter (where risk_band = 'Not scored' and pd is null) as not_scored,
            count(*) filter (where is_open) as open, (select count(*) from gold.portfolio_daily) as scored_days
        from gold.portfolio_loans
    """
    (found,) = book.warehouse.query(sql).to_pylist()
    assert (found["loans"], found["not_scored"], found["scored_days"]) == (1_500, 1_500, 0)
    latest = "select sum(loans) as n from gold.portfolio_months group by month_end order by month_end desc limit 1"
    assert book.warehouse.query(latest).to_pylist() == [{"n": found["open"]}]


def test_no_preview_shows_a_person(book: MartBook) -> None:
    found = metadata_of(book.run)
    assert "preview" not in found["gold/restricted_attributes"]
    previews = [str(metadata["preview"]) for metadata in found.values() if "preview" in metadata]
    assert len(previews) > 3
    assert not any("subject_token" in preview for preview in previews)


def test_the_guards_compared_what_they_say(book: MartBook) -> None:
    checks = {check.check_name: check for check in book.run.get_asset_check_evaluations()}
    assert checks["leakage_guard"].metadata["findings"].value == 0
    assert checks["online_offline_parity"].metadata["applications_compared"].value == 1_000
    maturity = {name: value.value for name, value in checks["label_maturity"].metadata.items()}
    assert maturity["bad"] > 0
    assert maturity["good"] > maturity["bad"]
    assert maturity["immature"] > 0


@pytest.mark.slow
def test_equal_inputs_give_equal_data_versions_and_new_inputs_new_ones(book: MartBook) -> None:
    resources = build_resources(book.settings, warehouse=book.warehouse)
    staging = dg.AssetSelection.groups(Group.STAGING).without_checks() | dg.AssetSelection.assets(Gold.RISK_BANDS)
    again = versions_of(materialize(book.definitions, resources, bronze_version="1", selection=staging))
    other = versions_of(materialize(book.definitions, resources, bronze_version="2", selection=staging))
    first = {key: version for key, version in versions_of(book.run).items() if key in again}
    assert again == first
    assert len(again) > 4
    changed = {key for key in again if other[key] != again[key]}
    assert changed == set(again) - {"gold/risk_bands"}


def test_the_published_copy_opens_in_plain_duckdb_and_keeps_persons_out(book: MartBook) -> None:
    with duckdb.connect(str(book.settings.paths.published_marts), read_only=True) as plain:
        tables = {name for (name,) in plain.execute("select table_name from duckdb_tables()").fetchall()}
        loans = plain.execute("select count(*) from gold.loan_outcomes").fetchone()
    assert loans == (1_500,)
    assert {"application_features", "loan_outcomes", "risk_bands"} <= tables
    assert "restricted_attributes" not in tables


def test_the_statements_that_are_handed_to_analysts_work_as_they_stand(book: MartBook) -> None:
    text = str(metadata_of(book.run)["gold/published_marts"]["how_to_connect"])
    snippets = [part.split("```")[0] for part in text.split("```sql\n")[1:]]
    assert len(snippets) == 2
    for snippet in snippets:
        with duckdb.connect() as analyst:
            assert len(analyst.execute(snippet).fetchall()) == 10


# ------------------------------------------------------------------------------------------------- when it goes wrong


def test_a_model_that_fails_says_which_and_why_and_leaves_everything_as_it_was(tmp_path: Path, book: MartBook) -> None:
    project = copied(tmp_path)
    panel = "select * from {{ ref('int_loan_month_panel') }}"
    model = project / "models" / "marts" / "features" / "behaviour_features.sql"
    replace(model, panel, f"{panel} where error('the roof leaks') is null")
    definitions = marts.definitions(book.settings, project)
    resources = build_resources(book.settings, warehouse=book.warehouse)
    before, files, place = book.warehouse.count("gold.behaviour_features"), sorted(project.rglob("*")), Path.cwd()
    run = materialize(
        definitions, resources, bronze_version="1", selection=dg.AssetSelection.assets(Gold.BEHAVIOUR_FEATURES)
    )
    assert not run.success
    error = str(run.failure_data_for_node("marts").error)
    assert "behaviour_features" in error
    assert "the roof leaks" in error
    assert book.warehouse.count("gold.behaviour_features") == before
    assert sorted(project.rglob("*")) == files, "dbt wrote into the source tree"
    assert Path.cwd() == place


LEAK = "total_pymnt"


def leaking(tmp_path: Path) -> Path:
    """The project with `total_pymnt` brought into the mart under another name in each of two models."""
    project = copied(tmp_path)
    replace(project / "macros/portfolio/staged_loans.sql", "annual_inc as annual_income,",
            "annual_inc as annual_income, total_pymnt as money_seen,")  # fmt: skip
    replace(project / "models/intermediate/applications/int_applications.sql", "loan_amount,\n",
            "loan_amount,\n        money_seen as relationship_volume,\n")  # fmt: skip
    replace(project / "models/marts/features/application_features.sql", "burdens.emi,",
            "cast(coalesce(burdens.emi, burdens.relationship_volume) as double) as emi,")  # fmt: skip
    return project


@pytest.mark.slow
def test_total_pymnt_renamed_through_two_models_is_found_before_anything_trains(tmp_path: Path, book: MartBook) -> None:
    workspace = marts.workspace(Settings(home=tmp_path / "home"), leaking(tmp_path))
    trained = []

    @dg.asset(key=Gold.APPLICATION_FEATURES)
    def built() -> None: ...

    @dg.asset(key=Gold.LOAN_OUTCOMES)
    def also_built() -> None: ...

    @dg.asset(deps=[Gold.APPLICATION_FEATURES])
    def training_set() -> None:
        trained.append(True)

    run = dg.materialize(
        [built, also_built, training_set, mart_checks(workspace, workspace.manifest())],
        resources=build_resources(book.settings, warehouse=book.warehouse),
        selection=dg.AssetSelection.all()
        - dg.AssetSelection.checks(
            dg.AssetCheckKey(Gold.APPLICATION_FEATURES, "online_offline_parity"),
            dg.AssetCheckKey(Gold.LOAN_OUTCOMES, "label_maturity"),
        ),
        raise_on_error=False,
    )
    (guard,) = run.get_asset_check_evaluations()
    assert not guard.passed
    assert guard.check_name == "leakage_guard"
    assert "emi: bronze.synthetic_loans.total_pymnt exists only after the money went out" in guard.description
    assert (
        "gold.application_features.emi <- silver.int_applications.relationship_volume "
        "<- silver.stg_synthetic__loans.money_seen <- bronze.synthetic_loans.total_pymnt" in guard.description
    )
    assert trained == []


def test_a_young_loan_called_good_turns_label_maturity_red(book: MartBook, tmp_path: Path) -> None:
    lake = build_resources(Settings(home=tmp_path))["warehouse"]
    lake.replace_table("gold.loan_outcomes", book.warehouse.query("select * from gold.loan_outcomes"))
    assert label_maturity(lake, None).passed
    with lake.transaction() as transaction:
        everyone_is_good = "select * replace (coalesce(is_bad, false) as is_bad) from gold.loan_outcomes"
        transaction.replace_table("gold.loan_outcomes", transaction.query(everyone_is_good))
    result = label_maturity(lake, None)
    assert not result.passed
    assert result.metadata["labelled_too_early"].value == result.metadata["immature"].value > 0
    lake.close()


def test_a_shorter_window_is_judged_by_the_shorter_window(book: MartBook) -> None:
    """Twelve months: labels that wait for the contractual term are then missing, which the check says."""
    result = label_maturity(book.warehouse, 12)
    assert result.metadata["labelled_too_early"].value == 0


@pytest.mark.slow
def test_two_processes_that_start_together_compile_once_and_agree(tmp_path: Path) -> None:
    import sys

    script = (
        "import sys\nfrom pathlib import Path\nfrom credit_risk_platform.defs import marts\n"
        "from credit_risk_platform.settings import Settings\n"
        "print(len(marts.workspace(Settings(home=Path(sys.argv[1]))).manifest()['nodes']))"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    answers = [process.communicate(timeout=300)[0] for process in started]
    assert answers[0] == answers[1] != ""
    assert sorted(path.name for path in (tmp_path / "dbt").iterdir()) == ["manifest.json", "manifest.lock"]


def copied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DBT_PROJECT, tmp_path / "dbt_project"))


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert text.count(old) >= 1, f"{file.name} has changed; mend this test"
    file.write_text(text.replace(old, new, 1))
