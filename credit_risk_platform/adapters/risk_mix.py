"""What the checks of the risk room ask of the mix of the book: limits that are broken, groups that fare worse."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from credit_risk_platform.adapters.warehouse.base import Warehouse

CONCENTRATION = "gold.concentration"
FAIR_LENDING = "gold.fair_lending"
RED, AMBER = "red", "amber"


@dataclass(frozen=True)
class Limits:
    """The traffic lights of the book. `beyond` lists what is amber or red, worst first."""

    segments: int
    """Segments that have a limit."""
    unknown: int
    """Kinds of which a part is unknown: not published, or not scored."""
    beyond: pa.Table
    highest_limit_used: float | None

    def lit(self, light: str) -> int:
        return int(self.beyond["light"].to_pylist().count(light))

    @property
    def kinds(self) -> list[str]:
        """What is concentrated: our own words, never a segment's."""
        return sorted(set(self.beyond["kind"].to_pylist()))


@dataclass(frozen=True)
class Fairness:
    """How many groups were measured, and those whose selection rate is below four fifths of the best."""

    measured: int
    suppressed: int
    not_stated: int
    below: pa.Table
    lowest_air: float | None

    @property
    def attributes(self) -> list[str]:
        return sorted(set(self.below["attribute"].to_pylist()))


def limits(warehouse: Warehouse) -> Limits:
    """The lights of `gold.concentration` as it stands."""
    counted = warehouse.query(
        "select count(limit_share) as segments, count(*) - count(limit_share) as unknown, "
        f"max(limit_used) as highest from {CONCENTRATION}"
    ).to_pylist()[0]
    beyond = warehouse.query(
        "select light, kind, segment, share, limit_share, amber_share, limit_used, exposure, loans, limit_version "
        f"from {CONCENTRATION} where light in ('{RED}', '{AMBER}') order by light desc, limit_used desc, kind, segment"
    )
    return Limits(counted["segments"], counted["unknown"], beyond, counted["highest"])


def fairness(warehouse: Warehouse) -> Fairness:
    """The ratios of `gold.fair_lending` as it stands."""
    counted = warehouse.query(
        "select count(*) filter (not suppressed) as measured, "
        "count(*) filter (suppressed and group_name <> 'not stated') as suppressed, "
        "count(*) filter (group_name = 'not stated') as not_stated, min(air) as lowest_air "
        f"from {FAIR_LENDING}"
    ).to_pylist()[0]
    below = warehouse.query(
        "select attribute, group_name, reference_group, loans, selection_rate, air, air_low, air_high, smd_pd "
        f"from {FAIR_LENDING} where below_four_fifths order by air, attribute, group_name"
    )
    return Fairness(**counted, below=below)
