"""MLflow on SQLite: what was trained (runs) and what was registered (versions, aliases). The only MLflow client here.

Runs are named by id in every call, never by MLflow's "active run": that is per-thread state which a failed step leaves
behind. No scorer reads MLflow: which model scores is `BundleStore`'s pointer; this is the record and the shop window.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from credit_risk_platform.adapters.warehouse.lock import WriterLock

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

EXPERIMENT = "application_pd"
REGISTERED_MODEL = "application_pd"
BEHAVIOURAL_MODEL = "behavioural_pd"
CHAMPION = "champion"
CHALLENGER = "challenger"
BUNDLE_FOLDER = "bundle"
_DESCRIPTIONS = {
    REGISTERED_MODEL: "Probability of default of an application.",
    BEHAVIOURAL_MODEL: "Probability of default of a loan on the book within twelve months.",
}


@dataclass(frozen=True)
class CandidateRun:
    """What one trained candidate leaves in MLflow. `metrics` are named `<split>.<metric>`."""

    name: str
    params: Mapping[str, Any]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    bundle: Path


class ModelRegistry:
    """Tracking and registry at `tracking_url`, in `root/mlflow.db` when there is none; artefacts in `root/artifacts`;
    `ui_url` is where the UI listens.

    `model` is the registered model whose versions and aliases these are. Runs of all models share one experiment,
    because a Dagster run has one MLflow run and a child run must stand in its parent's experiment.
    """

    def __init__(self, root: Path, ui_url: str, model: str = REGISTERED_MODEL, tracking_url: str | None = None) -> None:
        self.model = model
        self.root = root.absolute()
        self.ui_url = ui_url.rstrip("/")
        self.tracking_uri = tracking_url or f"sqlite:///{self.root / 'mlflow.db'}"
        # Two processes that make the tables or the experiment at once both fail.
        self._first_use = WriterLock(self.root / "first_use.lock")

    # ---------------------------------------------------------------- runs

    @cached_property
    def experiment_id(self) -> str:
        """The experiment, made on first use with an absolute artefact folder (MLflow's default follows the cwd)."""
        with self._first_use.held():
            found = self._client.get_experiment_by_name(EXPERIMENT)
            if found is not None:
                return str(found.experiment_id)
            return str(self._client.create_experiment(EXPERIMENT, artifact_location=(self.root / "artifacts").as_uri()))

    def log_candidate(self, parent_run_id: str, candidate: CandidateRun) -> str:
        """A finished child run below `parent_run_id`, with the bundle as its artefact. Returns its run id."""
        from mlflow.entities import Metric, Param, RunTag
        from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
        from mlflow.utils.time import get_current_time_millis

        run = self._client.create_run(
            self.experiment_id, run_name=candidate.name, tags={MLFLOW_PARENT_RUN_ID: parent_run_id}
        )
        run_id = str(run.info.run_id)
        now = get_current_time_millis()
        finite = {name: value for name, value in candidate.metrics.items() if math.isfinite(value)}
        self._client.log_batch(
            run_id,
            metrics=[Metric(name, float(value), now, 0) for name, value in finite.items()],
            params=[Param(name, str(value)) for name, value in candidate.params.items()],
            tags=[RunTag(name, value) for name, value in candidate.tags.items()],
        )
        self._client.log_artifact(run_id, str(candidate.bundle), BUNDLE_FOLDER)
        self._client.set_terminated(run_id)
        return run_id

    def tag_run(self, run_id: str, tags: Mapping[str, str]) -> None:
        for name, value in tags.items():
            self._client.set_tag(run_id, name, value)

    def run_url(self, run_id: str) -> str:
        return f"{self.ui_url}/#/experiments/{self.experiment_id}/runs/{run_id}"

    # ---------------------------------------------------------------- versions

    def register(self, sha: str, run_id: str, tags: Mapping[str, str]) -> int:
        """The version that holds this bundle: found by its hash, else made from the run's artefact.

        So the same bundle never gets a second version, however often its training is repeated.
        """
        found = self.version_of(sha)
        if found is not None:
            return found
        self._ensure_model()
        made = self._client.create_model_version(
            self.model,
            source=f"runs:/{run_id}/{BUNDLE_FOLDER}/{sha}.zip",
            run_id=run_id,
            tags={**tags, "bundle_sha": sha},
        )
        self.tag_run(run_id, {"registered_version": str(made.version)})
        return int(made.version)

    def version_of(self, sha: str) -> int | None:
        found = self._client.search_model_versions(f"name = '{self.model}' and tags.bundle_sha = '{sha}'")
        return min((int(version.version) for version in found), default=None)

    def point(self, alias: str, version: int) -> None:
        """Let `alias` name `version`. What becomes champion stops being the challenger."""
        self._client.set_registered_model_alias(self.model, alias, str(version))
        if alias == CHAMPION and self.alias(CHALLENGER) == version:
            self._client.delete_registered_model_alias(self.model, CHALLENGER)

    def alias(self, alias: str) -> int | None:
        """The version an alias names, or `None`."""
        models = self._client.search_registered_models(f"name = '{self.model}'")
        version = models[0].aliases.get(alias) if models else None
        return int(version) if version is not None else None

    def version(self, version: int) -> ModelVersion:
        return self._client.get_model_version(self.model, str(version))

    def tag_version(self, version: int, tags: Mapping[str, str]) -> None:
        for name, value in tags.items():
            self._client.set_model_version_tag(self.model, str(version), name, value)

    def version_url(self, version: int) -> str:
        return f"{self.ui_url}/#/models/{self.model}/versions/{version}"

    # ---------------------------------------------------------------- inside

    def _ensure_model(self) -> None:
        if not self._client.search_registered_models(f"name = '{self.model}'"):
            self._client.create_registered_model(
                self.model,
                description=f"{_DESCRIPTIONS[self.model]} Aliases: @champion scores, @challenger lost.",
            )

    @cached_property
    def _client(self) -> MlflowClient:
        # MLflow reports its use to its makers unless told not to before its first import.
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow import MlflowClient

        with self._first_use.held(), warnings.catch_warnings():
            # MLflow's own mapping of its tables, on first use.
            warnings.filterwarnings("ignore", message=r"The ``noload`` loader strategy is deprecated")
            return MlflowClient(tracking_uri=self.tracking_uri, registry_uri=self.tracking_uri)
