"""The behavioural training set in the warehouse: loans on the book at month ends, and whether they defaulted since.

What an observation is, and how long its outcome takes, is `domain/observation.py`'s affair; here is the SQL of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np

from credit_risk_platform.adapters.feature_sql import FeatureSqlError
from credit_risk_platform.adapters.training_table import SplitCard, TrainingTable
from credit_risk_platform.adapters.warehouse.base import Select, Warehouse
from credit_risk_platform.domain.observation import (
    DEFAULT_DPD,
    EVERY_MONTHS,
    MIN_DEFAULTED,
    MIN_MONTHS_ON_BOOK,
    WINDOW_MONTHS,
    ObservationPlan,
)
from credit_risk_platform.domain.splits import Split

SET = TrainingTable("gold.behaviour_training_set", "observation_month", ("loan_id", "observation_month"))
IDENTITY = ("loan_id", "observation_month", "window_end", "split", "is_bad")
FEATURES = "gold.behaviour_features"

_MATURED = f"""
    select
        f.*,
        last_day(cast(f.observation_month + to_months({WINDOW_MONTHS}) as date)) as window_end,
        o.default_date
    from {FEATURES} as f
    join gold.loan_outcomes as o using (loan_id)
    where f.months_on_book >= {MIN_MONTHS_ON_BOOK}
      and f.dpd_current < {DEFAULT_DPD}
      and f.balance_to_original > 0
      and coalesce(o.default_date > f.observation_month, true)
      and last_day(cast(f.observation_month + to_months({WINDOW_MONTHS}) as date)) <= o.observed_through
      and datediff('month', date '2000-01-01', f.observation_month) % {EVERY_MONTHS}
          = cast(hash(f.loan_id) % {EVERY_MONTHS} as integer)
"""
"""On the book, not in default and never before, and old enough that the whole window has been seen.

A balance above nothing is what the panel calls neither closed nor charged off. A default is known on its day: the
instalment that makes it is then 90 days old, and payments reach the platform within days.
"""


def feature_sql(manifest: Mapping[str, Any]) -> str:
    """Compiled SQL of the behaviour features, as it travels in the bundle."""
    node: Mapping[str, Any] = next((n for n in manifest["nodes"].values() if n["name"] == "behaviour_features"), {})
    if not node.get("compiled_code"):
        raise FeatureSqlError("the manifest holds no compiled model behaviour_features; compile it with `dbt compile`")
    return str(node["compiled_code"])


def has_panel(warehouse: Warehouse) -> bool:
    """Whether the portfolio has repayment histories at all; LendingClub's file and the landing folder have none."""
    return bool(warehouse.query(f"select exists (select 1 from {FEATURES}) as found")["found"][0].as_py())


def calendar(warehouse: Warehouse) -> tuple[np.ndarray, np.ndarray]:
    """(observation months datetime64[M], rows per month) of everything that may teach, in the order of time."""
    found = warehouse.query(
        f"select observation_month as month, count(*) as n from ({_MATURED}) as matured group by 1 order by 1"
    )
    return found["month"].to_numpy().astype("datetime64[M]"), found["n"].to_numpy()


def select_training_set(features: Sequence[str], plan: ObservationPlan | None) -> Select:
    """Matured observations, each with its split, label and `features`. Without a plan: the same columns, no rows."""
    columns = ", ".join(features)
    bounds = _bounds(plan)
    sql = f"""
        select loan_id, observation_month, window_end, split, is_bad, {columns}
        from (
            select
                *,
                coalesce(default_date <= window_end, false) as is_bad,
                case
                    when observation_month < cast(? as date) then '{Split.TRAIN}'
                    when observation_month < cast(? as date) then '{Split.EARLY_STOP}'
                    when observation_month < cast(? as date) then null
                    when observation_month < cast(? as date) then '{Split.VALIDATION}'
                    when observation_month < cast(? as date) then null
                    else '{Split.OUT_OF_TIME}'
                end as split
            from ({_MATURED}) as matured
            {"" if plan else "where false"}
        ) as labelled
        where split is not null
    """
    return Select(sql, bounds)


def defaulters(warehouse: Warehouse) -> dict[str, tuple[int, int]]:
    """Split -> (loans, loans that are bad at one of their observations at least): a default shows up to four times."""
    found = warehouse.query(
        f"select split, count(distinct loan_id) as loans, count(distinct case when is_bad then loan_id end) as bads "
        f"from {SET.name} group by split"
    )
    return {row["split"]: (row["loans"], row["bads"]) for row in found.to_pylist()}


def wrong_labels(warehouse: Warehouse) -> int:
    """Rows whose window is not over, whose loan was in default already, or whose label is not what came of it."""
    wrong = f"""
        select count(*) as n from {SET.name} as t left join gold.loan_outcomes as o using (loan_id)
        where coalesce(t.window_end > o.observed_through, true)
           or coalesce(o.default_date <= t.observation_month, false)
           or coalesce(o.default_date <= t.window_end, false) <> t.is_bad
           or t.dpd_current >= {DEFAULT_DPD}
    """
    return int(warehouse.query(wrong)["n"][0].as_py())


def obstacle(warehouse: Warehouse, cards: Sequence[SplitCard]) -> str:
    """Why no model can be trained on the set as it stands, in one sentence; empty when one can."""
    if not cards:
        return (
            "not enough history for four splits of observations whose twelve months are over"
            if has_panel(warehouse)
            else "this portfolio has no repayment histories (gold.behaviour_features is empty)"
        )
    defaulted = {split: bads for split, (_, bads) in defaulters(warehouse).items()}
    short = [f"{split} has {defaulted.get(split, 0)} loans that defaulted, needs {least}"
             for split, least in MIN_DEFAULTED.items() if defaulted.get(split, 0) < least]  # fmt: skip
    return "; ".join(short)


def _bounds(plan: ObservationPlan | None) -> list[date]:
    """First days from which a row no longer belongs to: train, early stop, the embargo, validation, the embargo."""
    if plan is None:
        return [date(1970, 1, 1)] * 5
    month = np.timedelta64(1, "M")
    firsts = (
        plan.early_stop_from, plan.learn_until + month, plan.validation_from, plan.validation_until + month,
        plan.out_of_time_from,
    )  # fmt: skip
    return [first.astype("datetime64[D]").astype(date) for first in firsts]
