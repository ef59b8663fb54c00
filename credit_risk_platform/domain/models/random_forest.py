"""Random forest: 100 trees of middling depth on bootstrap samples. Does not scale to every row of a large book."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from credit_risk_platform.domain.explanation.forest import Forest
from credit_risk_platform.domain.models import skops_format
from credit_risk_platform.domain.models.base import Progress
from credit_risk_platform.domain.models.frame import FeatureTable
from credit_risk_platform.domain.models.preprocessing import Style
from credit_risk_platform.domain.models.tree_model import TreeModel

FOREST = "forest.skops"
TRUSTED = ("sklearn.tree._tree.Tree",)


class RandomForest(TreeModel):
    """scikit-learn's forest, each tree on a bootstrap sample of at most `tree_rows` loans.

    Its own threads would add up the trees in the order they finish, so predicting gets none of them.
    """

    name = "random_forest"
    scales = False
    style = Style.FILLED
    default_params: ClassVar[Mapping[str, Any]] = {
        "n_estimators": 100,
        "max_depth": 10,
        "min_samples_leaf": 50,
        "max_features": "sqrt",
        "tree_rows": 50_000,
        "threads": 2,
    }
    search_space: ClassVar[Mapping[str, Sequence[Any]]] = {
        "max_depth": (6, 8, 10),
        "min_samples_leaf": (20, 50, 100),
        "max_features": ("sqrt", 0.2),
    }

    def __init__(self) -> None:
        super().__init__()
        self._grown: Any = None

    def _fit(
        self,
        train: FeatureTable,
        y: np.ndarray,
        stopping: tuple[FeatureTable, np.ndarray] | None,
        seed: int,
        on_progress: Progress,
    ) -> None:
        from sklearn.ensemble import RandomForestClassifier

        options = {name: value for name, value in self.params.items() if name not in ("threads", "tree_rows")}
        drawn = self.params["tree_rows"] if train.rows > self.params["tree_rows"] else None
        forest = RandomForestClassifier(**options, max_samples=drawn, random_state=seed, n_jobs=self.params["threads"])
        forest.fit(self.design(train), y)
        self._grown = forest.set_params(n_jobs=1)
        on_progress(f"{self.name}: {len(forest.estimators_)} trees grown")

    def _predict(self, design: np.ndarray) -> np.ndarray:
        return np.asarray(self._grown.predict_proba(design)[:, 1])

    def _column_weights(self) -> np.ndarray:
        return np.asarray(self._grown.feature_importances_)

    def _forest(self) -> Forest:
        trees = [grown.tree_ for grown in self._grown.estimators_]
        share = 1.0 / len(trees)
        return Forest.join(
            [
                Forest.tree(
                    column=tree.feature,
                    threshold=tree.threshold,
                    missing_left=np.zeros(tree.node_count, dtype=bool),
                    left=tree.children_left,
                    right=tree.children_right,
                    value=share * tree.value[:, 0, 1] / tree.value[:, 0].sum(axis=1),
                )
                for tree in trees
            ],
            bias=0.0,
        )

    def _save(self) -> dict[str, bytes]:
        return {FOREST: skops_format.dump(self._grown)}

    def _load(self, files: Mapping[str, bytes]) -> None:
        self._grown = skops_format.load(files[FOREST], trusted=TRUSTED)
