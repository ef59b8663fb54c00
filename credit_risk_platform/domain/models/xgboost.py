"""XGBoost with the parameters of the source system (S3); the shallower trees of the search space suit small books.

`scale_pos_weight = auto` weighs bad loans by good / bad. That inflates the probabilities on purpose; the calibrator
takes the inflation out again before anybody multiplies a PD with money.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from credit_risk_platform.domain.explanation.forest import Forest, below
from credit_risk_platform.domain.models.base import Progress, sigmoid, strided
from credit_risk_platform.domain.models.frame import FeatureTable
from credit_risk_platform.domain.models.preprocessing import Style
from credit_risk_platform.domain.models.tree_model import TreeModel

BOOSTER = "booster.ubj"
PATIENCE = 20
MATRIX_ROWS = 500_000
REPORT_EVERY = 50
Design = Callable[[FeatureTable], np.ndarray]


class XGBoost(TreeModel):
    """Histogram boosting, stopped after 20 rounds without a better log-loss on the early-stopping split.

    The stopping split bears the same class weights as training: without them the loss would punish exactly the
    inflation that the weights ask for.
    """

    name = "xgboost"
    scales = True
    style = Style.NATIVE
    absent = np.nan
    """XGBoost skips missing cells: one-hot columns cost by the row instead of by the level, a third less in all."""
    default_params: ClassVar[Mapping[str, Any]] = {
        "max_depth": 6,
        "learning_rate": 0.1,
        "n_estimators": 200,
        "objective": "binary:logistic",
        "scale_pos_weight": "auto",
        "min_child_weight": 1.0,
        "subsample": 1.0,
        "colsample_bytree": 1.0,
        "reg_lambda": 1.0,
        "monotone": False,
        "threads": 2,
    }
    search_space: ClassVar[Mapping[str, Sequence[Any]]] = {
        "max_depth": (2, 3, 4),
        "learning_rate": (0.05, 0.1),
        "n_estimators": (200, 300),
        "scale_pos_weight": ("auto", 1.0),
        "min_child_weight": (10.0, 30.0),
        "subsample": (0.7, 0.9),
        "colsample_bytree": (0.4, 0.6),
        "reg_lambda": (1.0, 5.0),
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
        import xgboost

        weight = self._bad_weight(y)
        matrix = _matrix(self.design, train, y, weight, self.params["threads"])
        callbacks = [_reporter(on_progress, self.params["n_estimators"])]
        watched = []
        if stopping is not None:
            watched = [(_watched(self.design, *stopping, weight, self.params["threads"]), "stop")]
            callbacks.append(xgboost.callback.EarlyStopping(rounds=PATIENCE, save_best=True))
        booster = xgboost.train(
            self._native_params(seed),
            matrix,
            num_boost_round=self.params["n_estimators"],
            evals=watched,
            callbacks=callbacks,
            verbose_eval=False,
        )
        self._load({BOOSTER: bytes(booster.save_raw("ubj"))})
        on_progress(f"{self.name}: kept {booster.num_boosted_rounds()} of {self.params['n_estimators']} rounds")

    def _bad_weight(self, y: np.ndarray) -> float:
        weight = self.params["scale_pos_weight"]
        return float((y == 0).sum() / (y == 1).sum()) if weight == "auto" else float(weight)

    def _native_params(self, seed: int) -> dict[str, Any]:
        # The class weight travels with the rows, so that the stopping split can bear it as well.
        own = ("n_estimators", "monotone", "threads", "scale_pos_weight")
        native = {name: value for name, value in self.params.items() if name not in own}
        native |= {"tree_method": "hist", "eval_metric": "logloss", "nthread": self.params["threads"], "seed": seed}
        if self.params["monotone"]:
            native["monotone_constraints"] = f"({','.join(str(sign) for sign in self.preprocessor.monotone)})"
        return native

    def _predict(self, design: np.ndarray) -> np.ndarray:
        # The margin keeps more digits near 0 and 1 than XGBoost's own float32 probability.
        return sigmoid(self._booster.inplace_predict(design, predict_type="margin").astype(np.float64))

    def _column_weights(self) -> np.ndarray:
        weights = np.zeros(self.preprocessor.width)
        for column, gain in self._booster.get_score(importance_type="total_gain").items():
            weights[int(column.removeprefix("f"))] = gain
        return weights

    def _forest(self) -> Forest:
        learner = json.loads(bytes(self._booster.save_raw("json")))["learner"]
        # A probability, in brackets since the library knows several targets; its trees start from the log-odds.
        start = np.float32(learner["learner_model_param"]["base_score"].strip("[]"))
        return Forest.join(
            [
                Forest.tree(
                    column=np.array(tree["split_indices"]),
                    threshold=below(np.array(tree["split_conditions"])),
                    missing_left=np.array(tree["default_left"], dtype=bool),
                    left=np.array(tree["left_children"]),
                    right=np.array(tree["right_children"]),
                    value=np.array(tree["split_conditions"], dtype=np.float32).astype(np.float64),
                )
                for tree in learner["gradient_booster"]["model"]["trees"]
            ],
            bias=float(-np.log(np.float32(1) / start - np.float32(1))),
        )

    def _save(self) -> dict[str, bytes]:
        return {BOOSTER: bytes(self._booster.save_raw("ubj"))}

    def _load(self, files: Mapping[str, bytes]) -> None:
        import xgboost

        self._booster = xgboost.Booster({"nthread": 1}, model_file=bytearray(files[BOOSTER]))


def _matrix(design: Design, table: FeatureTable, y: np.ndarray, bad_weight: float, threads: int) -> Any:
    """Quantised rows, fed block by block: the float matrix of a large book never stands in memory whole."""
    import xgboost

    weights = np.where(y == 1, bad_weight, 1.0)
    ref = None
    if table.rows > 2 * MATRIX_ROWS:
        rows = strided(table.rows, MATRIX_ROWS)
        # Cut points from a sample halve the time at 10M rows and leave the AUC where it was.
        ref = xgboost.QuantileDMatrix(design(table.take(rows)), label=y[rows], weight=weights[rows], nthread=threads)

    class Blocks(xgboost.DataIter):
        def __init__(self) -> None:
            super().__init__()
            self.reset()

        def next(self, input_data: Any) -> bool:
            block = next(self.blocks, None)
            if block is None:
                return False
            input_data(data=design(table.take(block)), label=y[block], weight=weights[block])
            return True

        def reset(self) -> None:
            starts = range(0, table.rows, MATRIX_ROWS)
            self.blocks: Iterator[slice] = iter([slice(start, start + MATRIX_ROWS) for start in starts])

    return xgboost.QuantileDMatrix(Blocks(), ref=ref, nthread=threads)


def _watched(design: Design, table: FeatureTable, y: np.ndarray, bad_weight: float, threads: int) -> Any:
    """Stopping rows as plain floats: predicting quantised ones every round would cost more than the training."""
    import xgboost

    rows = strided(table.rows, MATRIX_ROWS)
    labels = y[rows]
    weights = np.where(labels == 1, bad_weight, 1.0)
    return xgboost.DMatrix(design(table.take(rows)), label=labels, weight=weights, nthread=threads)


def _reporter(on_progress: Progress, rounds: int) -> Any:
    import xgboost

    class Report(xgboost.callback.TrainingCallback):
        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            if (epoch + 1) % REPORT_EVERY == 0:
                loss = f", log-loss {evals_log['stop']['logloss'][-1]:.4f} on the stopping split" if evals_log else ""
                on_progress(f"xgboost: round {epoch + 1}/{rounds}{loss}")
            return False

    return Report()
