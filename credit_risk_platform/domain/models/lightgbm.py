"""LightGBM, deterministic, kept in its own text format."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from credit_risk_platform.domain.explanation.forest import LEAF, Forest
from credit_risk_platform.domain.models.base import Progress, sigmoid
from credit_risk_platform.domain.models.frame import FeatureTable
from credit_risk_platform.domain.models.preprocessing import Style
from credit_risk_platform.domain.models.tree_model import TreeModel

BOOSTER = "booster.txt"
PATIENCE = 20
DEFAULT_LEFT = 2
"""Bit of a split's decision type: a missing value goes left."""
MISSING_IS_NAN = 8
"""Bits of the decision type that say what counts as missing. Without them a NaN is read as 0: training saw none."""


class LightGBM(TreeModel):
    """Leaf-wise boosting, stopped after 20 rounds without a better log-loss on the early-stopping split."""

    name = "lightgbm"
    scales = True
    style = Style.NATIVE
    default_params: ClassVar[Mapping[str, Any]] = {
        "n_estimators": 400,
        "learning_rate": 0.05,
        "num_leaves": 8,
        "min_data_in_leaf": 50,
        "feature_fraction": 0.5,
        "bagging_fraction": 0.8,
        "lambda_l2": 5.0,
        "monotone": False,
        "threads": 2,
    }
    search_space: ClassVar[Mapping[str, Sequence[Any]]] = {
        "learning_rate": (0.03, 0.05, 0.1),
        "num_leaves": (4, 8, 15, 31),
        "min_data_in_leaf": (20, 50, 200),
        "feature_fraction": (0.3, 0.5, 0.8),
        "lambda_l2": (1.0, 5.0, 20.0),
        "monotone": (False, True),
    }

    def __init__(self) -> None:
        super().__init__()
        self._booster: Any = None
        self._text = ""

    def _fit(
        self,
        train: FeatureTable,
        y: np.ndarray,
        stopping: tuple[FeatureTable, np.ndarray] | None,
        seed: int,
        on_progress: Progress,
    ) -> None:
        import lightgbm

        native = self._native_params(seed)
        data = lightgbm.Dataset(self.design(train), label=y, params=native)
        callbacks: list[Callable[..., Any]] = []
        watched = []
        if stopping is not None:
            watched = [data.create_valid(self.design(stopping[0]), label=stopping[1])]
            callbacks = [lightgbm.early_stopping(PATIENCE, verbose=False)]
        rounds = self.params["n_estimators"]
        fitted = lightgbm.train(native, data, num_boost_round=rounds, valid_sets=watched, callbacks=callbacks)
        kept = fitted.best_iteration if stopping is not None else rounds
        self._text = fitted.model_to_string(num_iteration=kept)
        self._booster = lightgbm.Booster(model_str=self._text)
        on_progress(f"{self.name}: kept {kept} of {rounds} rounds")

    def _native_params(self, seed: int) -> dict[str, Any]:
        own = ("n_estimators", "monotone", "threads")
        native = {name: value for name, value in self.params.items() if name not in own}
        native |= {
            "objective": "binary",
            "metric": "binary_logloss",
            "bagging_freq": 1,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": self.params["threads"],
            "seed": seed,
            "verbosity": -1,
        }
        if self.params["monotone"]:
            native["monotone_constraints"] = list(self.preprocessor.monotone)
        return native

    def _predict(self, design: np.ndarray) -> np.ndarray:
        return sigmoid(self._booster.predict(design, raw_score=True, num_threads=1))

    def _column_weights(self) -> np.ndarray:
        return np.asarray(self._booster.feature_importance(importance_type="gain"), dtype=np.float64)

    def _forest(self) -> Forest:
        blocks = self._text.split("end of trees")[0].split("\nTree=")[1:]
        return Forest.join([_tree(block) for block in blocks], bias=0.0)

    def _save(self) -> dict[str, bytes]:
        return {BOOSTER: self._text.encode()}

    def _load(self, files: Mapping[str, bytes]) -> None:
        import lightgbm

        self._text = files[BOOSTER].decode()
        self._booster = lightgbm.Booster(model_str=self._text)


def _tree(block: str) -> Forest:
    """One tree from LightGBM's text: inner nodes first, then its leaves, which it names -1, -2, ..."""
    told = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)

    def numbers(name: str, kind: type) -> np.ndarray:
        return np.array(told.get(name, "").split(), dtype=kind)

    leaves = numbers("leaf_value", float)
    threshold, decision = numbers("threshold", float), numbers("decision_type", int)
    inner = threshold.size
    reads_nan = (decision & MISSING_IS_NAN) > 0

    def joined(ours: np.ndarray, filler: float) -> np.ndarray:
        return np.concatenate([ours, np.full(leaves.size, filler, dtype=ours.dtype)])

    def child(name: str) -> np.ndarray:
        named = numbers(name, int)
        return joined(np.where(named < 0, inner - 1 - named, named), LEAF)

    return Forest.tree(
        column=joined(numbers("split_feature", int), 0),
        threshold=joined(threshold, 0.0),
        missing_left=joined(np.where(reads_nan, (decision & DEFAULT_LEFT) > 0, threshold >= 0.0), False),
        left=child("left_child"),
        right=child("right_child"),
        value=np.concatenate([np.zeros(inner), leaves]),
    )
