"""Gradient boosting as scikit-learn does it on histograms: no library beyond scikit-learn needed to read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from credit_risk_platform.domain.explanation.forest import LEAF, Forest
from credit_risk_platform.domain.models import skops_format
from credit_risk_platform.domain.models.base import Progress, sigmoid
from credit_risk_platform.domain.models.frame import FeatureTable
from credit_risk_platform.domain.models.preprocessing import Style
from credit_risk_platform.domain.models.tree_model import TreeModel

BOOSTER = "booster.skops"
TRUSTED = ("sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",)
PATIENCE = 20


class GradientBoosting(TreeModel):
    """`HistGradientBoostingClassifier`, stopped by log-loss on the early-stopping split."""

    name = "gradient_boosting"
    scales = False
    style = Style.NATIVE
    default_params: ClassVar[Mapping[str, Any]] = {
        "max_iter": 300,
        "learning_rate": 0.05,
        "max_depth": 3,
        "min_samples_leaf": 50,
        "l2_regularization": 5.0,
        "max_features": 0.5,
        "monotone": False,
        "threads": 2,
    }
    search_space: ClassVar[Mapping[str, Sequence[Any]]] = {
        "learning_rate": (0.03, 0.05, 0.1),
        "max_depth": (2, 3, 4),
        "min_samples_leaf": (20, 50, 200),
        "l2_regularization": (1.0, 5.0, 20.0),
        "monotone": (False, True),
    }

    def __init__(self) -> None:
        super().__init__()
        self._booster: Any = None

    def _fit(
        self,
        train: FeatureTable,
        y: np.ndarray,
        stopping: tuple[FeatureTable, np.ndarray] | None,
        seed: int,
        on_progress: Progress,
    ) -> None:
        from sklearn.ensemble import HistGradientBoostingClassifier
        from threadpoolctl import threadpool_limits

        options = {name: value for name, value in self.params.items() if name not in ("threads", "monotone")}
        booster = HistGradientBoostingClassifier(
            **options,
            early_stopping=stopping is not None,
            n_iter_no_change=PATIENCE,
            scoring="loss",
            monotonic_cst=np.array(self.preprocessor.monotone) if self.params["monotone"] else None,
            random_state=seed,
        )
        held = {} if stopping is None else {"X_val": self.design(stopping[0]), "y_val": stopping[1]}
        # Gradients are summed per thread: another number of threads would give other last bits.
        with threadpool_limits(limits=self.params["threads"]):
            self._booster = booster.fit(self.design(train), y, **held)
        on_progress(f"{self.name}: stopped after {booster.n_iter_} of {options['max_iter']} rounds")

    def _predict(self, design: np.ndarray) -> np.ndarray:
        # Below `decision_function`, which would start a thread team for every tree.
        return sigmoid(self._booster._raw_predict(design, n_threads=1)[:, 0])

    def _column_weights(self) -> np.ndarray:
        """Total gain per column: scikit-learn offers none for this model, its tree nodes hold it."""
        weights = np.zeros(self.preprocessor.width)
        for (tree,) in self._booster._predictors:
            splits = tree.nodes[tree.nodes["is_leaf"] == 0]
            np.add.at(weights, splits["feature_idx"], np.maximum(splits["gain"], 0.0))
        return weights

    def _forest(self) -> Forest:
        grown = [tree.nodes for (tree,) in self._booster._predictors]
        return Forest.join(
            [
                Forest.tree(
                    column=nodes["feature_idx"],
                    threshold=nodes["num_threshold"],
                    missing_left=nodes["missing_go_to_left"].astype(bool),
                    left=np.where(nodes["is_leaf"], LEAF, nodes["left"].astype(np.int64)),
                    right=np.where(nodes["is_leaf"], LEAF, nodes["right"].astype(np.int64)),
                    value=nodes["value"],
                )
                for nodes in grown
            ],
            bias=float(self._booster._baseline_prediction[0, 0]),
        )

    def _save(self) -> dict[str, bytes]:
        return {BOOSTER: skops_format.dump(self._booster)}

    def _load(self, files: Mapping[str, bytes]) -> None:
        self._booster = skops_format.load(files[BOOSTER], trusted=TRUSTED)
