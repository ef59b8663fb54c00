"""The scoring room on a real lake and a real Dagster instance: every open loan, once, with its proof."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest

from credit_risk_platform.adapters.code_version import code_hash, git_commit
from credit_risk_platform.adapters.ledger import LEDGER, SCORES, SEALS, ScoreLedger
from credit_risk_platform.adapters.ledger_audit import verify
from credit_risk_platform.adapters.replay import Replayer
from credit_risk_platform.adapters.warehouse.base import Select
from credit_risk_platform.catalog import PORTFOLIO_DAYS, Gold, Models
from credit_risk_platform.defs.scoring.assets import portfolio_scores
from credit_risk_platform.upstream import upstream_provenance
from tests.policy_book import write_policy
from tests.scoring_book import BANDS, DAY, Book, applications, crown, make_book, train, write_marts, write_policies

LOANS = 1_500
DAY_AFTER = DAY + timedelta(days=1)
MARTS = (Gold.APPLICATION_FEATURES, Gold.LOAN_OUTCOMES, Gold.REASON_CODES, Gold.RISK_BANDS, Models.CHAMPION)


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Book]:
    made = make_book(tmp_path_factory.mktemp("book"), LOANS)
    yield made
    made.close()


@pytest.fixture
def book(pristine: Book) -> Book:
    """The module's marts and first champion; nothing scored."""
    with pristine.warehouse.transaction() as transaction:
        for table in (SCORES, LEDGER, SEALS):
            transaction._cursor.execute(f"drop table if exists {table}")
    return pristine


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def run(book: Book, instance: dg.DagsterInstance, day: date = DAY, *, check: bool = True) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [portfolio_scores],
        partition_key=day.isoformat(),
        instance=instance,
        resources={"warehouse": book.warehouse, "bundles": book.bundles, "policies": book.policies},
        raise_on_error=check,
    )


def metadata(result: dg.ExecuteInProcessResult, key: dg.AssetKey) -> dict:
    (event,) = [e for e in result.get_asset_materialization_events() if e.asset_key == key]
    return {name: value.value for name, value in event.materialization.metadata.items()}


def data_versions(result: dg.ExecuteInProcessResult) -> dict[dg.AssetKey, str]:
    return {
        event.asset_key: (event.materialization.tags or {})["dagster/data_version"]
        for event in result.get_asset_materialization_events()
    }


def check_results(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {found.check_name: found for found in result.get_asset_check_evaluations()}


def open_loans(book: Book, day: date) -> set[str]:
    """Straight from the definition, in Python: decided, not defaulted, not closed."""
    rows = book.warehouse.query("select * from gold.loan_outcomes").to_pylist()
    return {
        row["loan_id"]
        for row in rows
        if row["decision_date"] <= day
        and (row["default_date"] is None or row["default_date"] > day)
        and (row["closed_date"] is None or row["closed_date"] > day)
    }


def test_every_loan_open_on_the_day_is_scored_once_and_no_other(book: Book, instance: dg.DagsterInstance) -> None:
    for day in (DAY, date(2022, 3, 1)):
        run(book, instance, day)
        scored = book.warehouse.query(f"select loan_id from {SCORES} where as_of = ?", [day])["loan_id"].to_pylist()
        assert len(scored) == len(set(scored))
        assert set(scored) == open_loans(book, day)
        assert 100 < len(scored) < LOANS


def test_the_asset_page_tells_the_day_s_portfolio(book: Book, instance: dg.DagsterInstance) -> None:
    result = run(book, instance)
    found = metadata(result, Gold.PORTFOLIO_SCORES)
    count = len(open_loans(book, DAY))
    assert found["dagster/row_count"] == found["open_loans"] == count
    assert 0 < found["mean_pd"] < 1
    assert [line.split("|")[1].strip() for line in found["band_mix"].splitlines()[2:]] == [band[0] for band in BANDS]
    assert sum(int(line.split("|")[2].replace(",", "")) for line in found["band_mix"].splitlines()[2:]) == count
    assert found["pd_histogram"].startswith("![Histogram of predicted PDs](data:image/png;base64,")
    assert found["champion"] == "logistic_regression version 1"
    assert found["policy_sha"] == book.policy().sha256
    decided = [line.split("|")[1:4] for line in found["decision_mix"].splitlines()[2:]]
    assert [decision.strip() for decision, *_ in decided] == ["approve", "refer", "decline"]
    assert sum(int(loans.replace(",", "")) for _, loans, _ in decided) == count
    assert 0 < found["approval_rate"] < 1
    assert "| AA04 | Excessive obligations in relation to income |" in found["reasons"]
    assert "| R03 | rule over revolving_utilisation |" in found["rules"]
    assert "`crp replay " in found["score_ids"]
    ledger = metadata(result, Gold.SCORE_LEDGER)
    assert (ledger["dagster/row_count"], ledger["appended"], ledger["ledger_seals"]) == (count, count, 1)
    assert {name: check.passed for name, check in check_results(result).items()} == dict.fromkeys(
        [
            "score_coverage",
            "possible_scores",
            "reason_codes_complete",
            "psi_score",
            "ledger_hash_chain",
            "ledger_holds_scores",
        ],
        True,
    )


def test_scoring_a_day_again_gives_the_same_versions_and_appends_nothing(
    book: Book, instance: dg.DagsterInstance
) -> None:
    first, second = run(book, instance), run(book, instance)
    assert data_versions(first) == data_versions(second)
    assert metadata(second, Gold.SCORE_LEDGER)["appended"] == 0
    assert book.warehouse.count(LEDGER) == book.warehouse.count(SCORES)
    assert first.run_id != second.run_id


def test_a_score_knows_when_it_was_given_in_utc_and_by_which_run(book: Book, instance: dg.DagsterInstance) -> None:
    before = datetime.now(UTC).replace(microsecond=0, tzinfo=None)
    result = run(book, instance)
    rows = book.warehouse.query(f"select distinct known_at, run_id, git_commit, code_hash from {LEDGER}").to_pylist()
    assert len(rows) == 1
    assert before <= rows[0]["known_at"] <= datetime.now(UTC).replace(tzinfo=None)
    assert (rows[0]["run_id"], rows[0]["git_commit"], rows[0]["code_hash"]) == (
        result.run_id,
        git_commit(),
        code_hash(),
    )


def test_days_do_not_depend_on_the_order_they_are_scored_in(book: Book) -> None:
    def scores_in(order: list[date]) -> dict[date, str]:
        with book.warehouse.transaction() as transaction:
            for table in (SCORES, LEDGER, SEALS):
                transaction._cursor.execute(f"drop table if exists {table}")
        with dg.DagsterInstance.ephemeral() as instance:
            return {day: data_versions(run(book, instance, day))[Gold.PORTFOLIO_SCORES] for day in order}

    assert scores_in([DAY, DAY_AFTER]) == scores_in([DAY_AFTER, DAY])


def test_the_band_is_that_of_the_policy_in_force_on_the_day(book: Book, instance: dg.DagsterInstance) -> None:
    write_policies(book, [("2007.1", date(2007, 1, 1), BANDS), ("2026.7", DAY_AFTER, (("Any", 0.0, 1.000001),))])
    try:
        for day in (DAY, DAY_AFTER):
            run(book, instance, day)
    finally:
        write_policies(book, [("2007.1", date(2007, 1, 1), BANDS)])
    sql = f"select as_of, policy_version, count(distinct band) as bands from {SCORES} group by all order by as_of"
    found = book.warehouse.query(sql).to_pylist()
    assert [(row["as_of"], row["policy_version"]) for row in found] == [(DAY, "2007.1"), (DAY_AFTER, "2026.7")]
    assert found[0]["bands"] > found[1]["bands"] == 1


def test_fifty_scores_of_a_run_replay_to_the_last_bit(book: Book, instance: dg.DagsterInstance) -> None:
    run(book, instance)
    ledger = ScoreLedger(book.warehouse)
    replayer = Replayer(ledger, book.bundles, book.policies)
    assert all(replayer.replay(score_id).equal for score_id in ledger.sample(50, seed=11))


# -------------------------------------------------------------------- what must stop the flow


def test_without_a_champion_the_failure_says_what_to_materialise(
    book: Book, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    nobody = replace(book, bundles=type(book.bundles)(tmp_path))
    with pytest.raises(dg.Failure, match="Materialise models/champion first"):
        run(nobody, instance)
    assert not book.warehouse.exists(SCORES)


def test_without_marts_the_failure_says_what_to_materialise(
    book: Book, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    empty = replace(book, warehouse=type(book.warehouse)(tmp_path / "lake"))
    with pytest.raises(dg.Failure, match=r"materialise gold/risk_bands \(the marts\) first"):
        run(empty, instance)
    empty.close()


def test_a_champion_from_before_there_were_decisions_says_what_to_materialise(
    book: Book, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    old = replace(book, bundles=type(book.bundles)(tmp_path))
    crown(old, replace(train(book), background=None))
    with pytest.raises(dg.Failure, match="trained before decisions came; materialise models/champion again"):
        run(old, instance)
    assert not book.warehouse.exists(SCORES)


def test_a_policy_over_what_the_champion_does_not_read_is_named(book: Book, instance: dg.DagsterInstance) -> None:
    over_ltv = {"code": "R1", "feature": "ltv", "op": ">", "value": 1, "decision": "refer", "reason": "AA12"}
    write_policy(book.policies.folder, rules=[over_ltv])
    try:
        with pytest.raises(dg.Failure, match="rule R1 reads ltv, which is no input of the model that scores"):
            run(book, instance)
    finally:
        write_policies(book, [("2007.1", date(2007, 1, 1), BANDS)])


def test_a_day_before_the_first_policy_is_refused_in_words(book: Book, instance: dg.DagsterInstance) -> None:
    write_policies(book, [("2030.1", date(2030, 1, 1), BANDS)])
    try:
        with pytest.raises(dg.Failure, match="no policy in force on 2026-06-30"):
            run(book, instance)
    finally:
        write_policies(book, [("2007.1", date(2007, 1, 1), BANDS)])


def test_an_open_loan_without_features_turns_coverage_red_and_is_named(
    book: Book, instance: dg.DagsterInstance
) -> None:
    lost = max(open_loans(book, DAY))
    whole = book.warehouse.query("select * from gold.application_features")
    book.warehouse.replace("gold.application_features", whole.slice(0, 0), "loan_id = ?", [lost])
    try:
        result = run(book, instance, check=False)
    finally:
        book.warehouse.replace_table("gold.application_features", whole)
    assert not result.success
    coverage = check_results(result)["score_coverage"]
    assert not coverage.passed
    assert coverage.metadata["missing"].value == 1
    assert coverage.metadata["loans"].value == lost
    assert "rebuild them" in str(coverage.metadata["next_step"].value)


def test_a_tampered_ledger_stops_the_flow_and_the_row_is_named(book: Book, instance: dg.DagsterInstance) -> None:
    run(book, instance)
    with book.warehouse.transaction() as transaction:
        victim = transaction.query(f"select score_id from {LEDGER} order by score_id limit 1")["score_id"][0].as_py()
        transaction._cursor.execute(f"update {LEDGER} set pd = pd / 2 where score_id = '{victim}'")
    result = run(book, instance, DAY_AFTER, check=False)
    assert not result.success
    chain = check_results(result)["ledger_hash_chain"]
    assert not chain.passed
    assert victim in str(chain.metadata["first_break"].value)


def test_a_ledger_cut_off_at_its_end_is_found_through_the_run_log(book: Book, instance: dg.DagsterInstance) -> None:
    for day in (DAY, DAY_AFTER):
        run(book, instance, day)
    with book.warehouse.transaction() as transaction:
        transaction._cursor.execute(f"delete from {LEDGER} where seal_no = 2")
        transaction._cursor.execute(f"delete from {SEALS} where seal_no = 2")
    assert verify(book.warehouse).intact, "the ledger alone cannot know"
    result = run(book, instance, DAY, check=False)
    assert not check_results(result)["ledger_hash_chain"].passed


def test_a_run_that_is_killed_leaves_no_half_day(book: Book, instance: dg.DagsterInstance) -> None:
    run(book, instance, DAY_AFTER)
    before = book.warehouse.count(LEDGER)
    script = f"""
import sys, time
from pathlib import Path
import dagster as dg
from credit_risk_platform.adapters import ledger_writer
from credit_risk_platform.defs.scoring.assets import portfolio_scores
from tests.scoring_book import *
home = Path(sys.argv[1])
book = open_book(home)
whole = ledger_writer._seal_table
def stall(seal):
    if seal is not None:
        print("half way", flush=True)
        time.sleep(600)
    return whole(seal)
ledger_writer._seal_table = stall
resources = {{"warehouse": book.warehouse, "bundles": book.bundles, "policies": book.policies}}
dg.materialize([portfolio_scores], partition_key="{DAY}", resources=resources)
"""
    scorer = subprocess.Popen(
        [sys.executable, "-c", script, str(book.home)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert scorer.stdout is not None
    assert scorer.stdout.readline() == b"half way\n"
    os.kill(scorer.pid, signal.SIGKILL)
    scorer.wait()
    scorer.stdout.close()
    assert book.warehouse.count(LEDGER) == book.warehouse.count(SCORES) == before
    assert run(book, instance).success
    assert verify(book.warehouse).intact


# -------------------------------------------------------------------- drift of the scores


def test_scores_that_moved_since_the_day_before_warn_and_do_not_block(book: Book, instance: dg.DagsterInstance) -> None:
    run(book, instance)
    calm = check_results(run(book, instance, DAY_AFTER))["psi_score"]
    assert calm.passed
    assert calm.metadata["compared_with"].value == DAY.isoformat()
    rows = applications(LOANS, 7)
    strained = rows.set_column(rows.column_names.index("utilisation"), "utilisation", [pa.array([99.0] * LOANS)])
    write_marts(book, strained)
    try:
        book.warehouse.replace_table("gold.loan_outcomes", Select("select * from gold.loan_outcomes"))
        moved = run(book, instance, DAY_AFTER + timedelta(days=1))
    finally:
        write_marts(book, rows)
    found = check_results(moved)["psi_score"]
    assert moved.success
    assert not found.passed
    assert found.severity is dg.AssetCheckSeverity.WARN
    assert found.metadata["verdict"].value == "significant"


def test_a_small_book_is_not_called_drifted(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    small = make_book(tmp_path, loans=600)
    for day in (DAY, DAY_AFTER):
        result = run(small, instance, day)
    small.close()
    found = check_results(result)["psi_score"]
    assert found.passed
    assert found.metadata["verdict"].value == "not enough data"


# -------------------------------------------------------------------- provenance per partition


@dg.asset(key="features", partitions_def=PORTFOLIO_DAYS, code_version="f1")
def daily_features(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    return dg.MaterializeResult(data_version=dg.DataVersion(f"feat-{context.partition_key}"))


@dg.asset(key="policy", code_version="p1")
def policy() -> dg.MaterializeResult:
    return dg.MaterializeResult(data_version=dg.DataVersion("policy-1"))


SEEN: dict[str, list[dict]] = {}
WEEK = dg.TimeWindowPartitionMapping(start_offset=-1)


@dg.asset(key="scores", partitions_def=PORTFOLIO_DAYS, deps=["features", "policy", "never_made"])
def daily_scores(context: dg.AssetExecutionContext) -> None:
    SEEN["scores"] = upstream_provenance(context)


@dg.asset(key="change", partitions_def=PORTFOLIO_DAYS, deps=[dg.AssetDep("features", partition_mapping=WEEK), "policy"])
def two_days(context: dg.AssetExecutionContext) -> None:
    SEEN["change"] = upstream_provenance(context)
    SEEN["limited"] = upstream_provenance(context, [dg.AssetKey("policy")])


def test_a_partition_made_late_names_its_own_upstream_partition_and_not_the_latest(
    instance: dg.DagsterInstance,
) -> None:
    """Dagster's own input pointer names the newest upstream event: 2026-01-02's for a score of 2026-01-01."""
    assets = [daily_features, policy, daily_scores]
    for day in ("2026-01-01", "2026-01-02"):
        dg.materialize(assets, partition_key=day, instance=instance, selection=["features"])
    dg.materialize(assets, instance=instance, selection=["policy"])
    result = dg.materialize(assets, partition_key="2026-01-01", instance=instance, selection=["scores"])

    own = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=dg.AssetKey("features"), asset_partitions=["2026-01-01"]), limit=1
    ).records[0]
    latest = instance.fetch_materializations(dg.AssetKey("features"), limit=1).records[0]
    features, never, policies = SEEN["scores"]
    assert features == {
        "asset": "features",
        "partition": "2026-01-01",
        "storage_id": own.storage_id,
        "run_id": own.run_id,
        "data_version": "feat-2026-01-01",
        "code_version": "f1",
    }
    assert (never["asset"], never["storage_id"], never["data_version"]) == ("never_made", None, None)
    assert (policies["partition"], policies["data_version"]) == (None, "policy-1")

    (event,) = result.get_asset_materialization_events()
    pointed = int((event.materialization.tags or {})["dagster/input_event_pointer/features"])
    assert pointed == latest.storage_id != own.storage_id, "Dagster is mended: this lookup could go"


def test_a_mapping_over_several_partitions_lists_each(instance: dg.DagsterInstance) -> None:
    assets = [daily_features, policy, two_days]
    for day in ("2026-01-02", "2026-01-01"):
        dg.materialize(assets, partition_key=day, instance=instance, selection=["features"])
    dg.materialize(assets, partition_key="2026-01-02", instance=instance, selection=["change"])
    found = [(pointer["asset"], pointer["partition"], pointer["data_version"]) for pointer in SEEN["change"]]
    assert found == [
        ("features", "2026-01-01", "feat-2026-01-01"),
        ("features", "2026-01-02", "feat-2026-01-02"),
        ("policy", None, None),
    ]
    assert [pointer["asset"] for pointer in SEEN["limited"]] == ["policy"]


def test_the_ledger_and_the_asset_page_carry_the_upstream_versions(book: Book, instance: dg.DagsterInstance) -> None:
    for key in MARTS:
        version = f"version of {key.path[-1]}"
        instance.report_runless_asset_event(
            dg.AssetMaterialization(key, tags={"dagster/data_version": version, "dagster/code_version": "9"})
        )
    result = run(book, instance)
    shown = metadata(result, Gold.SCORE_LEDGER)["upstream"]
    (stored,) = book.warehouse.query(f"select distinct upstream from {LEDGER}")["upstream"].to_pylist()
    assert json.loads(stored) == shown
    assert [(row["asset"], row["data_version"], row["code_version"]) for row in shown] == [
        (f"{key.path[0]}/{key.path[1]}", f"version of {key.path[1]}", "9")
        for key in sorted(MARTS, key=lambda k: k.path)
    ]


def test_a_new_champion_is_picked_up_by_the_next_run(book: Book, instance: dg.DagsterInstance) -> None:
    run(book, instance)
    former = book.bundles.pointer()
    assert former is not None
    sha = crown(book, train(book, "xgboost", seed=3))
    try:
        result = run(book, instance)
    finally:
        crown(book, book.bundles.load(former.sha))
    assert metadata(result, Gold.PORTFOLIO_SCORES)["bundle_sha"] == sha
    assert metadata(result, Gold.SCORE_LEDGER)["appended"] == len(open_loans(book, DAY))
    assert check_results(result)["ledger_hash_chain"].passed
