"""When the mix of the book needs somebody: a limit that is nearly or wholly used up, a group that fares worse.

Neither stops anything: a limit is steered by people, and a ratio is a reason to look, not a finding.
"""

from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg

from credit_risk_platform.adapters import markdown, risk_mix
from credit_risk_platform.adapters.risk_mix import AMBER, RED, Fairness, Limits
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.catalog import Gold

SPECS = [
    dg.AssetCheckSpec("limit_breach", asset=Gold.CONCENTRATION,
        description="No state, purpose, grade, risk band or term holds more of the open exposure than its limit "
                    "allows (seed concentration_limits): warns at amber, an error at red."),
    dg.AssetCheckSpec("fair_lending_measured", asset=Gold.FAIR_LENDING,
        description="Says how many groups were measured and how many are too small, and warns where a group's approval "
                    "rate is below four fifths of the best. A screening statistic, not a legal test."),
]  # fmt: skip
NOTE = "screening statistic, not a legal test"


@dg.multi_asset_check(name="risk_mix", specs=SPECS, can_subset=True)
def risk_mix_checks(
    context: dg.AssetCheckExecutionContext, warehouse: dg.ResourceParam[Warehouse]
) -> Iterator[dg.AssetCheckResult]:
    """Both as one step, of which any part can be run alone."""
    checks: dict[str, Callable[[], dg.AssetCheckResult]] = {
        "limit_breach": lambda: limit_breach(risk_mix.limits(warehouse)),
        "fair_lending_measured": lambda: fair_lending_measured(risk_mix.fairness(warehouse)),
    }
    for key in sorted(context.selected_asset_check_keys):
        yield checks[key.name]()


def limit_breach(found: Limits) -> dg.AssetCheckResult:
    """Red is an error, amber alone a warning. Alerts tell numbers and kinds; a segment's name may be any text."""
    red, amber = found.lit(RED), found.lit(AMBER)
    metadata: dict[str, Any] = {
        "segments": found.segments,
        "red_segments": red,
        "amber_segments": amber,
        "kinds_partly_unknown": found.unknown,
    }
    if found.highest_limit_used is not None:
        metadata["highest_limit_used"] = found.highest_limit_used
    if found.beyond.num_rows:
        metadata |= {
            "kinds": ", ".join(found.kinds),
            "beyond": dg.MetadataValue.md(markdown.records(found.beyond)),
            "next_step": "Steer new business away from the segments listed under `beyond`, or have the limit changed "
            "by who answers for it: a new version in seed concentration_limits.",
        }
    return dg.AssetCheckResult(
        check_name="limit_breach",
        asset_key=Gold.CONCENTRATION,
        passed=not found.beyond.num_rows,
        severity=dg.AssetCheckSeverity.ERROR if red else dg.AssetCheckSeverity.WARN,
        metadata=metadata,
    )


def fair_lending_measured(found: Fairness) -> dg.AssetCheckResult:
    """Measured and told; nothing is stopped by it."""
    metadata: dict[str, Any] = {
        "groups_measured": found.measured,
        "groups_suppressed": found.suppressed,
        "attributes_partly_not_stated": found.not_stated,
        "groups_below_four_fifths": found.below.num_rows,
        "fairness_policy": "measure",
        "note": NOTE,
    }
    if found.lowest_air is not None:
        metadata["lowest_air"] = found.lowest_air
    else:
        metadata["verdict"] = "not measurable: no attribute has two groups of enough loans that state it"
    if found.below.num_rows:
        metadata |= {
            "kinds": ", ".join(found.attributes),
            "below": dg.MetadataValue.md(markdown.records(found.below)),
            "next_step": "Look at the groups listed under `below`: whether the interval excludes 1, what the inputs "
            "that weigh most say of them, and whether a model that serves as well treats them more alike. A "
            f"{NOTE}: what it means is for people to judge.",
        }
    return dg.AssetCheckResult(
        check_name="fair_lending_measured",
        asset_key=Gold.FAIR_LENDING,
        passed=not found.below.num_rows,
        severity=dg.AssetCheckSeverity.WARN,
        metadata=metadata,
    )
