"""The scorecard: bins, weights of evidence and points, the model that fits on two sheets of paper.

A logistic regression of bad on the WOE of monotone bins, compiled to a table of points that scores without any
library. Where the registry expects a direction, no bin contradicts it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from credit_risk_platform.domain.explanation.explainer import Explainer
from credit_risk_platform.domain.explanation.linear import LinearExplainer
from credit_risk_platform.domain.models.base import CreditModel, ModelError, Progress, to_json
from credit_risk_platform.domain.models.frame import FeatureTable
from credit_risk_platform.domain.models.preprocessing import Style
from credit_risk_platform.domain.models.scorecard_table import (
    FEATURES_TABLE,
    LEAKAGE_IV,
    POINTS_TABLE,
    Dropped,
    ScorecardTable,
)
from credit_risk_platform.domain.models.woe import Binned
from credit_risk_platform.domain.points import POINTS_FACTOR, POINTS_OFFSET

CARD = "scorecard.json"
WRONG_SIGN = "its coefficient had the wrong sign beside the others"


class Scorecard(CreditModel):
    """WOE scorecard. `special_codes` maps a feature to numbers that mean something else, each a bin of its own.

    Features below `min_iv` are left out (the strongest always stays), and so is, one after the other, whichever the
    regression would reward for being worse. Levels never seen, or rare in training, are neutral.
    """

    name = "scorecard"
    scales = False
    style = Style.BINNED
    default_params: ClassVar[Mapping[str, Any]] = {
        "max_bins": 8,
        "min_bin_share": 0.05,
        "min_iv": 0.02,
        "special_codes": {},
        "C": 1.0,
        "max_iter": 200,
        "threads": 2,
    }
    search_space: ClassVar[Mapping[str, Sequence[Any]]] = {
        "max_bins": (4, 6, 8),
        "min_iv": (0.01, 0.02),
        "C": (0.03, 0.3, 1.0),
    }

    def __init__(self) -> None:
        super().__init__()
        self._table: ScorecardTable | None = None

    @property
    def table(self) -> ScorecardTable:
        """The card itself."""
        if self._table is None:
            raise ModelError(f"{self.name} is not trained yet")
        return self._table

    def explain(self, background: FeatureTable) -> Explainer:
        """Points lost against the mean of the background, in log-odds of bad: a card is linear in its points."""
        table = self.table
        return LinearExplainer(
            self.preprocessor.features,
            table.features,
            np.full(len(table.features), -1.0 / POINTS_FACTOR),
            POINTS_OFFSET / POINTS_FACTOR,
            lambda frame: table.points(self.design(frame)),
            background,
        )

    def tables(self) -> dict[str, pa.Table]:
        return {POINTS_TABLE: self.table.points_table(), FEATURES_TABLE: self.table.features_table()}

    def _fit(
        self,
        train: FeatureTable,
        y: np.ndarray,
        stopping: tuple[FeatureTable, np.ndarray] | None,
        seed: int,
        on_progress: Progress,
    ) -> None:
        design = self.design(train)
        binned = self._bin(design, y)
        _warn_of_leakage(binned, on_progress)
        columns = _strong(binned, self.params["min_iv"])
        weak = f"information value below {self.params['min_iv']:g}"
        dropped = [Dropped(entry.feature, entry.iv, weak) for k, entry in enumerate(binned) if k not in columns]
        woe = np.column_stack([np.asarray(binned[k].woe)[binned[k].bins.indices(design[:, k])] for k in columns])
        kept, coefficients, intercept = self._regress(woe, y)
        dropped += [
            Dropped(binned[k].feature, binned[k].iv, WRONG_SIGN) for j, k in enumerate(columns) if j not in kept
        ]
        chosen = [columns[j] for j in kept]
        self._table = ScorecardTable.scaled([binned[k] for k in chosen], chosen, coefficients, intercept, dropped)
        on_progress(f"{self.name}: {len(chosen)} of {len(binned)} features score")

    def _bin(self, design: np.ndarray, y: np.ndarray) -> list[Binned]:
        """One entry per prepared column."""
        from credit_risk_platform.domain.models.woe_binning import level_bins, number_bins

        rules, codes = self.preprocessor, self._special_codes()
        limits = {"max_bins": self.params["max_bins"], "min_bin_share": self.params["min_bin_share"]}
        binned = []
        for number, values in zip(rules.numbers, design.T, strict=False):
            special = codes.get(number.name, ())
            bins = number_bins(number.name, values, y, monotone=number.monotone, codes=special, **limits)
            binned.append(Binned.count(number.name, bins, values, y))
        for category, values in zip(rules.categorical, design.T[len(rules.numbers) :], strict=True):
            groups = level_bins(category.name, values, y, category.levels, **limits)
            binned.append(Binned.count(category.name, groups, values, y))
        return binned

    def _special_codes(self) -> Mapping[str, Sequence[float]]:
        codes: Mapping[str, Sequence[float]] = self.params["special_codes"]
        unknown = sorted(set(codes) - {rule.name for rule in self.preprocessor.numeric})
        if unknown:
            raise ModelError(f"special codes for {', '.join(unknown)}: no numeric feature of that name")
        return codes

    def _regress(self, woe: np.ndarray, y: np.ndarray) -> tuple[list[int], list[float], float]:
        """(columns of `woe` (n, k) that score, their coefficients, intercept), in log-odds of bad.

        Good WOE must lower the odds of bad. Of the coefficients that do not, the worst goes, and the rest is refitted.
        """
        from sklearn.linear_model import LogisticRegression as Estimator
        from threadpoolctl import threadpool_limits

        kept = list(range(woe.shape[1]))
        while True:
            estimator = Estimator(C=self.params["C"], solver="newton-cholesky", max_iter=self.params["max_iter"])
            with threadpool_limits(limits=self.params["threads"]):
                fitted = estimator.fit(woe[:, kept], y)
            worst = int(np.argmax(fitted.coef_[0]))
            if len(kept) == 1 or fitted.coef_[0][worst] <= 0:
                return kept, [float(value) for value in fitted.coef_[0]], float(fitted.intercept_[0])
            del kept[worst]

    def _predict(self, design: np.ndarray) -> np.ndarray:
        return self.table.probability(design)

    def _column_weights(self) -> np.ndarray:
        weights = np.zeros(self.preprocessor.width)
        weights[list(self.table.columns)] = [line.spread for line in self.table.characteristics]
        return weights

    def _save(self) -> dict[str, bytes]:
        return {CARD: to_json(self.table.to_dict())}

    def _load(self, files: Mapping[str, bytes]) -> None:
        self._table = ScorecardTable.from_dict(json.loads(files[CARD]))


def _strong(binned: Sequence[Binned], min_iv: float) -> list[int]:
    """Columns that carry enough to be worth a line; the strongest one if none does."""
    found = [k for k, entry in enumerate(binned) if entry.iv >= min_iv]
    return found or [max(range(len(binned)), key=lambda k: binned[k].iv)]


def _warn_of_leakage(binned: Sequence[Binned], on_progress: Progress) -> None:
    for entry in binned:
        if entry.iv > LEAKAGE_IV:
            told = f"{entry.feature} has an information value of {entry.iv:.2f}, above {LEAKAGE_IV:g}"
            on_progress(f"{Scorecard.name}: warning: {told}. Is it known when the score is needed?")
