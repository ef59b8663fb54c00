"""The champion of a bundle store, loaded again when another one is promoted."""

from __future__ import annotations

from dataclasses import dataclass

from credit_risk_platform.adapters.bundles import BundleStore
from credit_risk_platform.adapters.online_sql import OnlineFeatures
from credit_risk_platform.adapters.streaming.batch import NotReadyError
from credit_risk_platform.domain.bundle import ModelBundle


@dataclass(frozen=True)
class Scorer:
    """A champion ready to score: its bundle and the engine that makes its features."""

    bundle: ModelBundle
    features: OnlineFeatures

    @classmethod
    def of(cls, bundle: ModelBundle, engines: int = 1) -> Scorer:
        """Of an application, only what the model reads is computed; of a behaviour also the month it is of."""
        reads_panel = "_repayments" in bundle.intake_sql
        wanted = () if reads_panel else ("loan_id", "subject_token", *(feature.name for feature in bundle.features))
        return cls(bundle, OnlineFeatures(bundle.intake_sql, bundle.feature_sql, wanted, engines))


class Champion:
    """The champion of a store. Raises `NotReadyError` for one that cannot make features from bronze rows."""

    def __init__(self, bundles: BundleStore, asset: str, engines: int = 1) -> None:
        self.bundles, self.asset, self.engines = bundles, asset, engines
        self._sha, self._scorer = "", None

    def scorer(self) -> Scorer | None:
        """The reigning one, or `None` before the first promotion."""
        pointer = self.bundles.pointer()
        if pointer is None:
            return None
        if pointer.sha != self._sha or self._scorer is None:
            bundle = self.bundles.load(pointer.sha)
            if not bundle.intake_sql:
                raise NotReadyError(
                    f"the champion {bundle.name} cannot score messages, it is too old: materialise {self.asset} anew"
                )
            self._sha, self._scorer = pointer.sha, Scorer.of(bundle, self.engines)
        return self._scorer

    _scorer: Scorer | None
