"""What is to be watched: the assets of the composed graph with their policies and checks, as plain values.

Taken from the definitions where they are put together: a run knows its own job's assets only, and a run that `crp`
starts has no repository to ask.
"""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
from dagster._core.definitions.freshness import CronFreshnessPolicy, TimeWindowFreshnessPolicy
from dagster._utils.schedules import get_latest_completed_cron_tick

from credit_risk_platform.domain.health import Deadline

Policy = dg.FreshnessPolicy | None


@dataclass(frozen=True)
class WatchedGraph:
    """Asset -> group and freshness policy; check -> does it block?"""

    groups: dict[dg.AssetKey, str | None] = field(default_factory=dict)
    policies: dict[dg.AssetKey, Policy] = field(default_factory=dict)
    blocking: dict[dg.AssetCheckKey, bool] = field(default_factory=dict)


def watched(assets: Iterable[Any], asset_checks: Iterable[Any]) -> WatchedGraph:
    """Of everything this code location makes. What other locations make is known from the event log alone."""
    graph = WatchedGraph()
    for definition in (*assets, *asset_checks):
        if isinstance(definition, dg.AssetSpec):
            continue
        for check in definition.check_specs:
            graph.blocking[check.key] = check.blocking
        for spec in definition.specs:
            graph.groups[spec.key] = spec.group_name
            graph.policies[spec.key] = spec.freshness_policy
    return graph


def deadline(policy: Policy, now: dt.datetime) -> Deadline | None:
    """When an asset must have been made by now, as Dagster's own freshness daemon would say. `now` has a zone."""
    if isinstance(policy, TimeWindowFreshnessPolicy):
        overdue = now - policy.fail_window.to_timedelta()
        return Deadline(overdue, now - policy.warn_window.to_timedelta() if policy.warn_window else overdue)
    if isinstance(policy, CronFreshnessPolicy):
        tick = get_latest_completed_cron_tick(policy.deadline_cron, now, policy.timezone)
        return Deadline(tick - policy.lower_bound_delta, tick - policy.lower_bound_delta)
    return None
