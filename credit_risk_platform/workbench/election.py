"""How one of a family's candidates becomes its champion: the evidence is gathered, the gates are shown, one is crowned.

A champion's asset materialises only when every blocking gate is green, and it can be rolled back; `succession.py`
carries out what is decided here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import dagster as dg
from pydantic import Field

from credit_risk_platform.adapters import candidates
from credit_risk_platform.adapters.bundles import BundleNotFoundError, BundleStore, Champion
from credit_risk_platform.adapters.registry import ModelRegistry
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.domain.bundle import BundleError, ModelBundle
from credit_risk_platform.domain.promotion import (
    Contender,
    Gate,
    GateName,
    Rules,
    judge,
    may_promote,
    own_gates,
    sampling_ece,
    weigh,
)
from credit_risk_platform.domain.splits import Split
from credit_risk_platform.domain.training import judge_bundle, predictions
from credit_risk_platform.settings import Settings
from credit_risk_platform.workbench import report
from credit_risk_platform.workbench.family import Family, recipe_of, share_cores
from credit_risk_platform.workbench.succession import Succession

Events = Iterator[dg.AssetCheckResult | dg.MaterializeResult]
DEFAULTS = Rules()
PICTURED_LOANS = 50_000
"""Curves are drawn from a sample of each split; the figures beside them are of all rows."""

_MEANINGS = {
    GateName.ELIGIBLE: "At least one candidate does not overfit.",
    GateName.BETTER: "Not worse than the present champion on the same validation and out-of-time loans.",
    GateName.CALIBRATION: "Predicted PDs meet observed bad rates out-of-time.",
    GateName.LEAKAGE: "No input knows what only the outcome could tell.",
    GateName.TOO_GOOD: "A model this good would be suspect.",
    GateName.STABILITY: "The population scored out-of-time resembles the one trained on.",
}


class PromotionConfig(dg.Config):
    """Thresholds of the gates, who decides, and the way back."""

    rollback_to: str = Field("", description="Version, or SHA-256 of the bundle, of an earlier champion to put back.")
    promoted_by: str = Field("", description="Who orders this; by default the schedule or the run.")
    reason: str = Field("", description="Why, for the champion's history.")
    replace_unmeasurable_champion: bool = Field(
        False, description="Promote although the present champion cannot be measured on today's training set."
    )
    max_ece: float = Field(DEFAULTS.max_ece, description="Largest expected calibration error out-of-time.")
    min_slope: float = Field(DEFAULTS.min_slope, description="Smallest calibration slope out-of-time.")
    max_slope: float = Field(DEFAULTS.max_slope, description="Largest calibration slope out-of-time.")
    max_auc: float = Field(DEFAULTS.max_auc, description="Out-of-time AUC above which leakage is suspected.")
    max_overfit: float = Field(DEFAULTS.max_overfit, description="Largest fall of the AUC from train to out-of-time.")
    auc_tolerance: float = Field(DEFAULTS.auc_tolerance, description="By how much the AUC may be below the champion's.")
    log_loss_tolerance: float = Field(DEFAULTS.log_loss_tolerance, description="The same for the log-loss.")
    max_psi: float = Field(DEFAULTS.max_psi, description="PSI of the PD, train to out-of-time, above which we warn.")

    def rules(self, inputs: str) -> Rules:
        """The thresholds, as the domain knows them."""
        told = {name: getattr(self, name) for name in Rules.__dataclass_fields__ if hasattr(self, name)}
        return Rules(**told, inputs=inputs)


def gate_checks(champion: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    """One check per gate, on the champion's asset."""
    return [
        dg.AssetCheckSpec(str(name), asset=champion, blocking=name.blocking, description=text)
        for name, text in _MEANINGS.items()
    ]


@dataclass(frozen=True)
class Election:
    """One run's weighing of a family's candidates."""

    context: dg.AssetExecutionContext
    family: Family
    config: PromotionConfig
    warehouse: Warehouse
    settings: Settings
    bundles: BundleStore
    registry: ModelRegistry

    def events(self) -> Events:
        """Gates as check results and then the materialisation; raises `dg.Failure` when a blocking gate is red."""
        share_cores()
        yield from self._roll_back() if self.config.rollback_to else self._promote()

    @property
    def _succession(self) -> Succession:
        return Succession(
            self.family.champion, self.bundles, self.registry, self.context.run,
            self.config.promoted_by, self.config.reason,
        )  # fmt: skip

    def _promote(self) -> Events:
        reigning, table = self.bundles.pointer(), self.family.table
        judged = {card.split: card for card in table.cards(self.warehouse)}[Split.OUT_OF_TIME]
        noise = sampling_ece(table.loans(self.warehouse, Split.OUT_OF_TIME), judged.bad_rate)
        rules = replace(self.config.rules(self.family.inputs), ece_noise=noise)
        names = self.family.candidates(self.settings)
        found = candidates.contenders(self.warehouse, table.fingerprint(self.warehouse), names)
        verdicts = judge([contender for _, contender in found.values()], rules, reigning.withdrawn if reigning else ())
        if not verdicts or not verdicts[0].eligible:
            gates = weigh(verdicts, None, (), rules)
            yield from map(self._result, gates)
            raise self._succession.refuse(gates, None)
        candidate, best = found[verdicts[0].contender.name]
        bundle = self.bundles.load(best.sha)
        rival, obstacle = self._rival(reigning, best)
        gates = weigh(verdicts, rival, self._leaks(bundle), rules)
        if obstacle and not self.config.replace_unmeasurable_champion:
            gates = tuple(obstacle if gate.name is obstacle.name else gate for gate in gates)
        yield from map(self._result, gates)
        if not may_promote(gates):
            raise self._succession.refuse(gates, candidate)
        crowned = self._succession.promote(candidate, bundle, reigning, gates)
        drawn = predictions(bundle, table.rows(self.warehouse, bundle.features, self.settings.seed), PICTURED_LOANS)
        yield self._materialised(crowned, bundle, gates, report.pictures(drawn, crowned.metrics, bundle.model))

    def _rival(self, reigning: Champion | None, best: Contender) -> tuple[Contender | None, Gate | None]:
        """The present champion measured on the challenger's rows, or the gate that says why it cannot be."""
        if reigning is None:
            return None, None
        if reigning.sha == best.sha:
            return best, None
        try:
            bundle = self.bundles.load(reigning.sha)
        except (BundleError, BundleNotFoundError) as error:
            return None, _unmeasurable(str(error))
        table = self.family.table
        absent = {feature.name for feature in bundle.features} - set(self.warehouse.columns(table.name))
        if absent:
            return None, _unmeasurable(f"its features {', '.join(sorted(absent))} are no longer in the training set")
        rows = table.rows(self.warehouse, bundle.features, self.settings.seed)
        return Contender(bundle.name, reigning.sha, judge_bundle(bundle, rows, recipe_of(self.settings))), None

    def _roll_back(self) -> Events:
        """Put an earlier champion back. Asks neither warehouse nor gates: this must work on the worst of days."""
        entry = self.bundles.earlier(self.config.rollback_to)
        bundle = self.bundles.load(entry.sha)
        recorded = Contender(bundle.name, entry.sha, candidates.values(bundle.metrics))
        order = f"not weighed: {self._succession.who} ordered the rollback"
        ordered = (Gate(GateName.ELIGIBLE, True, order), Gate(GateName.BETTER, True, order))
        rules = self.config.rules(self.family.inputs)
        gates = (*ordered, *own_gates(recorded, self._leaks(bundle), rules))
        for result in map(self._result, gates):
            yield result._replace(severity=dg.AssetCheckSeverity.WARN)
        yield self._materialised(self._succession.roll_back(entry, bundle), bundle, gates, {})

    def _leaks(self, bundle: ModelBundle) -> list[str]:
        return self.family.leaks(self.context.instance, [feature.name for feature in bundle.features])

    def _result(self, gate: Gate) -> dg.AssetCheckResult:
        """A gate as a check of the champion's asset."""
        return dg.AssetCheckResult(
            check_name=str(gate.name),
            asset_key=self.family.champion,
            passed=gate.passed,
            severity=dg.AssetCheckSeverity.ERROR if gate.name.blocking else dg.AssetCheckSeverity.WARN,
            description=gate.finding,
            metadata={"finding": gate.finding, **({"next_step": gate.next_step} if gate.next_step else {})},
        )

    def _materialised(
        self, crowned: Champion, bundle: ModelBundle, gates: tuple[Gate, ...], pictures: Mapping[str, Any]
    ) -> dg.MaterializeResult:
        now = crowned.promotion
        return dg.MaterializeResult(
            asset_key=self.family.champion,
            data_version=dg.DataVersion(crowned.sha),
            metadata={
                "model": now.name,
                "version": now.version,
                **report.headlines(crowned.metrics),
                "gates": report.gates_table(gates),
                "metrics": report.metrics_table(bundle.metrics),
                **pictures,
                "promoted_by": now.promoted_by,
                "promoted_at": now.promoted_at,
                "reason": now.reason,
                "history": report.history_table(crowned.history),
                "bundle_sha": crowned.sha,
                "training_fingerprint": bundle.training_fingerprint,
                "feature_sql_hash": bundle.feature_sql_hash,
                "policy_version": bundle.policy_version,
                "params": dg.MetadataValue.json(dict(bundle.params)),
                "mlflow_run_id": now.mlflow_run_id,
                **self._succession.links(crowned),
            },
        )


def _unmeasurable(reason: str) -> Gate:
    return Gate(
        GateName.BETTER,
        False,
        f"the present champion cannot be measured: {reason}",
        "If it must go all the same, materialise with replace_unmeasurable_champion: true and a reason.",
    )
