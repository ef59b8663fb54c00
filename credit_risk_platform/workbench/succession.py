"""Carrying out a promotion, a refusal or a rollback, in the order that survives a crash.

MLflow version, MLflow alias, then the pointer by which everything scores. A crash in between leaves the old champion
scoring; the next materialisation finds the version by its hash and takes up where it stopped.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import dagster as dg

from credit_risk_platform.adapters import candidates
from credit_risk_platform.adapters.bundles import BundleStore, Champion, Promotion
from credit_risk_platform.adapters.candidates import Candidate
from credit_risk_platform.adapters.registry import CHALLENGER, CHAMPION, ModelRegistry
from credit_risk_platform.catalog import TRIGGER, TRIGGER_EVIDENCE, TRIGGER_VALUE
from credit_risk_platform.domain.bundle import ModelBundle
from credit_risk_platform.domain.promotion import Gate
from credit_risk_platform.workbench import report

TRIGGERS = {"dagster/schedule_name": "schedule", "dagster/sensor_name": "sensor"}


@dataclass(frozen=True)
class Succession:
    """One run's say in who scores as `asset`. `ordered_by` and `reason` come from its config and may be empty."""

    asset: dg.AssetKey
    bundles: BundleStore
    registry: ModelRegistry
    run: dg.DagsterRun
    ordered_by: str
    reason: str

    @property
    def who(self) -> str:
        """Whoever the config names, else the schedule or sensor that asked for the run, else the run's job."""
        asked = (f"{kind} {self.run.tags[tag]}" for tag, kind in TRIGGERS.items() if tag in self.run.tags)
        return self.ordered_by or next(asked, f"job {self.run.job_name}")

    @property
    def _called_for(self) -> str:
        """What evidence against the former champion called for this run, where some did."""
        tags = self.run.tags
        if TRIGGER not in tags:
            return ""
        return f"; trained because of {tags[TRIGGER]} {tags[TRIGGER_VALUE]} ({tags[TRIGGER_EVIDENCE]})"

    def promote(
        self, candidate: Candidate, bundle: ModelBundle, reigning: Champion | None, gates: Sequence[Gate]
    ) -> Champion:
        """Make the candidate champion; the one that reigns already stays as it is."""
        if reigning is not None and reigning.sha == candidate.bundle_sha:
            return reigning
        version = self._register(candidate)
        passed = ", ".join(str(gate.name) for gate in gates if gate.passed)
        promotion = Promotion(
            name=candidate.name,
            version=version,
            sha=candidate.bundle_sha,
            promoted_at=self._now(),
            run_id=self.run.run_id,
            promoted_by=self.who,
            reason=self.reason or f"best eligible candidate; passed {passed}{self._called_for}",
            mlflow_run_id=candidate.mlflow_run_id,
            training_fingerprint=candidate.training_fingerprint,
        )
        return self._crown(promotion, bundle, reigning)

    def roll_back(self, entry: Promotion, bundle: ModelBundle) -> Champion:
        """Put the bundle of an earlier promotion back; the bundle it replaces counts as withdrawn."""
        reigning = self.bundles.pointer()
        if reigning is not None and reigning.sha == entry.sha:
            return reigning
        promotion = replace(
            entry,
            promoted_at=self._now(),
            run_id=self.run.run_id,
            promoted_by=self.who,
            reason=f"rollback to version {entry.version}" + (f": {self.reason}" if self.reason else ""),
            withdraws=reigning.sha if reigning else "",
        )
        return self._crown(promotion, bundle, reigning)

    def refuse(self, gates: Sequence[Gate], candidate: Candidate | None) -> dg.Failure:
        """Register the loser as @challenger; the failure to raise says which gates were red and what to do."""
        red = [gate for gate in gates if not gate.passed and gate.name.blocking]
        reigning = self.bundles.pointer()
        if candidate is not None and (reigning is None or reigning.sha != candidate.bundle_sha):
            version = self._register(candidate)
            self.registry.point(CHALLENGER, version)
            self.registry.tag_version(version, {"refused": "; ".join(f"{g.name}: {g.finding}" for g in red)})
        stays = f"{reigning.promotion.name} version {reigning.promotion.version}" if reigning else "no champion"
        return dg.Failure(
            f"Promotion refused, {stays} stays. "
            + " ".join(f"{gate.name}: {gate.finding}. {gate.next_step}" for gate in red),
            metadata={"gates": report.gates_table(gates)},
            allow_retries=False,
        )

    def links(self, crowned: Champion) -> dict[str, dg.MetadataValue]:
        """To the bundle that scores, and in the MLflow UI to the training run and the registered version."""
        return {
            "bundle": dg.MetadataValue.path(self.bundles.location(crowned.sha)),
            "mlflow_run": dg.MetadataValue.url(self.registry.run_url(crowned.promotion.mlflow_run_id)),
            "mlflow_version": dg.MetadataValue.url(self.registry.version_url(crowned.promotion.version)),
        }

    def _register(self, candidate: Candidate) -> int:
        return self.registry.register(
            candidate.bundle_sha,
            candidate.mlflow_run_id,
            {
                "candidate": candidate.name,
                "training_fingerprint": candidate.training_fingerprint,
                "dagster_run_id": self.run.run_id,
                "dagster_asset": self.asset.to_user_string(),
            },
        )

    def _crown(self, promotion: Promotion, bundle: ModelBundle, reigning: Champion | None) -> Champion:
        self.registry.point(CHAMPION, promotion.version)
        told = {"promoted_at": promotion.promoted_at, "promoted_by": promotion.promoted_by, "reason": promotion.reason}
        self.registry.tag_version(promotion.version, {**told, "promotion_dagster_run_id": promotion.run_id})
        self.registry.tag_run(promotion.mlflow_run_id, {"champion_version": str(promotion.version)})
        replaces = reigning.sha if reigning else None
        return self.bundles.promote(promotion, candidates.values(bundle.metrics), replaces=replaces)

    @staticmethod
    def _now() -> str:
        return datetime.now(UTC).isoformat(timespec="seconds")
