"""What tells one kind of model from another: its rows, its SQL, its limits, and the asset under which one scores."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from credit_risk_platform.adapters.feature_sql import also_read
from credit_risk_platform.adapters.online_sql import intake_script
from credit_risk_platform.adapters.training_table import TrainingTable
from credit_risk_platform.domain.features import Policy, Stage, by_name
from credit_risk_platform.domain.training import Recipe
from credit_risk_platform.settings import Settings

CODE_VERSION = "3"
"""Raised when the way candidates are made changes; a part of every bundle."""


@dataclass(frozen=True)
class Family:
    """`kind` is what a bundle says of itself. `guard` is the marts' leakage guard of its features, where there is one.

    `feature_sql` takes dbt's manifest; `intake_model` is the dbt model that the bundle's intake SQL ends in.
    """

    kind: str
    champion: dg.AssetKey
    table: TrainingTable
    stage: Stage
    inputs: str
    candidates: Callable[[Settings], Sequence[str]]
    feature_sql: Callable[[Mapping[str, Any]], str]
    intake_model: str
    guard: dg.AssetCheckKey | None = None
    run_prefix: str = ""

    def sql(self, settings: Settings) -> tuple[str, str]:
        """(feature SQL, intake SQL), as dbt compiled them."""
        manifest = json.loads(settings.paths.dbt_manifest.read_bytes())
        feature_sql = self.feature_sql(manifest)
        return feature_sql, intake_script(manifest, self.intake_model, *also_read(feature_sql))

    def uncleared(self, names: Sequence[str]) -> list[str]:
        """One sentence per name that this kind of model may not use."""
        return [fault for name in names if (fault := self._fault(name)) is not None]

    def leaks(self, instance: dg.DagsterInstance, names: Sequence[str]) -> list[str]:
        """What speaks against these inputs: the registry, and the latest result of the marts' leakage guard."""
        record = instance.get_latest_asset_check_evaluation_record(self.guard) if self.guard else None
        red = record is not None and record.evaluation is not None and not record.evaluation.passed
        return [*self.uncleared(names), *(["the leakage guard of the feature mart is red"] if red else [])]

    def _fault(self, name: str) -> str | None:
        try:
            feature = by_name(name)
        except KeyError:
            return f"{name} is not in the feature registry"
        # Whether alternative data is an input is the setting's affair; no other kind of model may read it.
        stages = (Stage.APPLICATION, Stage.ALTERNATIVE) if self.stage is Stage.APPLICATION else (self.stage,)
        if feature.stage in stages and feature.policy is Policy.MODEL:
            return None
        return f"{name} is a {feature.stage} feature for {feature.policy}, not for the {self.kind} PD"


def share_cores() -> None:
    """Let waiting OpenMP threads sleep. Spinning, two of them made XGBoost 13 times slower on busy cores.

    Has its effect only before the first model library is loaded, so it stands at the start of an asset.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def recipe_of(settings: Settings) -> Recipe:
    return Recipe(
        trials=settings.tuning_trials,
        bootstrap=settings.bootstrap_samples,
        sample_rows=settings.training_sample_rows,
        seed=settings.seed,
    )
