"""The challenger of the running split experiment, ready to score its share of the applicants.

What is wrong with it costs the challenger its applicants and never the champion his: it is told, in the log and as
`trouble`, and everyone is the champion's until it is mended or stopped.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from credit_risk_platform.adapters.bundles import BundleStore
from credit_risk_platform.adapters.champion import Scorer
from credit_risk_platform.adapters.experiment_store import FILE, ExperimentStore
from credit_risk_platform.adapters.object_store import ObjectStoreError
from credit_risk_platform.domain.experiments import Arm, Experiment, ExperimentError, Mode

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Split:
    """A running experiment and the scorer of its challenger."""

    experiment: Experiment
    scorer: Scorer

    def theirs(self, rows: pa.Table) -> np.ndarray:
        """Mask (n,) of the rows that the challenger decides. One without a token has no lot: it is the champion's."""
        if "subject_token" not in rows.column_names:
            return np.zeros(rows.num_rows, dtype=bool)
        arm = self.experiment.arm
        lots = (token is not None and arm(token) is Arm.CHALLENGER for token in rows["subject_token"].to_pylist())
        return np.fromiter(lots, dtype=bool, count=rows.num_rows)


class Challenger:
    """Follows the experiments on file. `trouble` is why a split that runs sends everyone to the champion, or empty."""

    def __init__(self, bundles: BundleStore, engines: int = 1) -> None:
        self.bundles, self.engines, self.trouble = bundles, engines, ""
        self._store = ExperimentStore(bundles)
        self._scorer: Scorer | None = None
        self._running = ""

    def state(self) -> str | None:
        """Another one means that an experiment began or ended. One look at the file."""
        try:
            return self.bundles.files.mark(FILE)
        except (OSError, ObjectStoreError):  # a file out of reach is told when it is read
            return None

    def split(self, champion_sha: str, attempt: Callable[[Scorer], None]) -> Split | None:
        """The running split, its challenger loaded and tried by `attempt`; `None` where there is none. Never raises."""
        found, trouble, fault = None, "", None
        try:
            running = self._store.running()
            if running is not None and running.mode is Mode.SPLIT:
                trouble = (
                    f"experiment {running.id}, challenger {running.challenger_sha[:12]} (crp experiment stop ends it)"
                )
                found = Split(running, self._loaded(running, champion_sha))
                attempt(found.scorer)
        except Exception as error:  # noqa: BLE001  whatever is wrong with a challenger, the champion goes on
            found, fault = None, error
            why = str(error) or type(error).__name__
            trouble = f"{trouble or 'experiments'}: the champion decides on everyone, because {why}"
        else:
            trouble = ""
        self._tell(found, trouble, fault)
        return found

    def _loaded(self, running: Experiment, champion_sha: str) -> Scorer:
        sha = running.challenger_sha
        if sha == champion_sha:
            raise ExperimentError("it is the champion now")
        if self._scorer is None or self._scorer.bundle.sha256 != sha:
            bundle = self.bundles.load(sha)
            self._scorer = Scorer.of(bundle, self.engines)
        return self._scorer

    def _tell(self, found: Split | None, trouble: str, fault: Exception | None) -> None:
        """In the log, when it is news."""
        if trouble and trouble != self.trouble:
            log.error("%s", trouble, exc_info=fault)
        running = found.experiment.id if found else ""
        if found and running != self._running:
            log.info(
                "experiment %s: %s decides on %s of the applicants",
                running, found.scorer.bundle.sha256[:12], f"{found.experiment.share:.0%}",
            )  # fmt: skip
        if found is None:
            self._scorer = None
            if self._running:
                log.info("experiment %s: the champion decides on everyone", self._running)
        self._running, self.trouble = running, trouble
