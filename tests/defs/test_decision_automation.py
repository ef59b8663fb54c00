"""Decisions are followed up by themselves: every ten minutes, also for an API that no run tells of."""

import datetime as dt
from collections.abc import Iterator

import dagster as dg
import pytest

from credit_risk_platform.catalog import Bronze, Gold, Models
from credit_risk_platform.defs import decisions
from credit_risk_platform.defs.automation.conditions import automate
from credit_risk_platform.settings import Settings

NOON = dt.datetime(2026, 3, 2, 12, 1, tzinfo=dt.UTC)
FOLLOWERS = {
    Gold.POLICY_VERSIONS, Gold.FRAUD_SIGNALS, Gold.DECISIONS, Gold.REFERRAL_QUEUE, Gold.ADVERSE_ACTION_NOTICES,
    Gold.SHADOW_SCORES, Gold.EXPERIMENT_READOUT,
}  # fmt: skip
MADE_BY_RUNS = (Gold.RISK_BANDS, Gold.REASON_CODES, Bronze.SYNTHETIC_LOANS, Gold.TRAINING_SET, Gold.LOAN_OUTCOMES)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as made:
        yield made


@pytest.fixture
def graph(tmp_path) -> dg.Definitions:
    assets = decisions.definitions(Settings(home=tmp_path)).assets or []
    upstream = [dg.AssetSpec(key) for key in (*MADE_BY_RUNS, Models.CHAMPION)]
    resources = dict.fromkeys(("warehouse", "bundles", "policies"), dg.ResourceDefinition.none_resource())
    return dg.Definitions(assets=[*automate(assets), *upstream], resources=resources)


def made(instance: dg.DagsterInstance, *keys: dg.AssetKey) -> None:
    for key in keys:
        instance.report_runless_asset_event(dg.AssetMaterialization(key))


def asked(graph: dg.Definitions, instance: dg.DagsterInstance, at: dt.datetime, cursor=None):
    result = dg.evaluate_automation_conditions(graph, instance=instance, cursor=cursor, evaluation_time=at)
    keys = FOLLOWERS | {Gold.CUTOFF_CURVE}
    return {key for key in keys if result.get_num_requested(key)}, result.cursor


def test_a_tick_asks_for_all_that_follows_from_decisions_and_the_next_one_only_ten_minutes_later(graph, instance):
    made(instance, *MADE_BY_RUNS)
    _, cursor = asked(graph, instance, NOON)
    found, cursor = asked(graph, instance, NOON + dt.timedelta(minutes=10), cursor)
    assert found == FOLLOWERS
    found, cursor = asked(graph, instance, NOON + dt.timedelta(minutes=11), cursor)
    assert found == set()
    found, _ = asked(graph, instance, NOON + dt.timedelta(minutes=20), cursor)
    assert found == FOLLOWERS


def test_nothing_is_asked_for_before_the_policy_s_tables_are_there(graph, instance):
    _, cursor = asked(graph, instance, NOON)
    found, _ = asked(graph, instance, NOON + dt.timedelta(minutes=10), cursor)
    assert found == set()


def test_a_promotion_has_the_cutoff_weighed_again(graph, instance):
    made(instance, *MADE_BY_RUNS, Models.CHAMPION, Gold.POLICY_VERSIONS)
    instance.report_runless_asset_event(
        dg.AssetCheckEvaluation(asset_key=Gold.POLICY_VERSIONS, check_name="published_policy_unchanged", passed=True)
    )
    _, cursor = asked(graph, instance, NOON)
    made(instance, Models.CHAMPION)
    found, _ = asked(graph, instance, NOON + dt.timedelta(minutes=1), cursor)
    assert found == {Gold.CUTOFF_CURVE}
